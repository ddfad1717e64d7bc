"""Ranges of files are given whole or not at all, to forked processes and threads alike."""

from __future__ import annotations

import io
import os
import random
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from labdata.errors import FormatError, IntegrityError
from labdata.formats import zip_ranges
from labdata.formats.byte_ranges import FileRanges, RangeFile, TailKept
from labdata.formats.raw_samples import RawSamples
from labdata.formats.zip_ranges import ZipRanges

CONTENT = random.Random(3).randbytes(100_003)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "content.bin"
    found.write_bytes(CONTENT)
    return found


@pytest.mark.parametrize("pread", [True, False])
def test_any_range_from_any_thread(
    path: Path, monkeypatch: pytest.MonkeyPatch, pread: bool
) -> None:
    if not pread:  # as on Windows
        monkeypatch.delattr(os, "pread")
    ranges = FileRanges(path)
    assert (ranges.name, ranges.size_bytes) == (str(path), len(CONTENT))
    chosen = [(random.Random(i).randrange(90_000), i) for i in range(200)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda r: ranges.read(*r), chosen))
    assert found == [CONTENT[start : start + size] for start, size in chosen]


def test_a_file_that_was_cut_meanwhile_is_an_error(path: Path) -> None:
    ranges = FileRanges(path)
    os.truncate(path, 50_000)
    assert ranges.read(49_990, 10) == CONTENT[49_990:50_000]
    with pytest.raises(IntegrityError, match="ended at byte 50000"):
        ranges.read(49_990, 11)


def test_there_must_be_a_file(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="does not exist"):
        FileRanges(tmp_path / "absent")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_reads_on_its_own(path: Path) -> None:
    ranges = FileRanges(path)
    child = os.fork()
    if child == 0:
        ok = all(ranges.read(i, 99) == CONTENT[i : i + 99] for i in range(5000))
        os._exit(0 if ok else 1)
    assert all(ranges.read(i, 7) == CONTENT[i : i + 7] for i in range(50_000, 55_000))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("tail_bytes", [0, 1, 5000, 10**6])
def test_as_a_file_it_reads_like_one(path: Path, tail_bytes: int) -> None:
    chance = random.Random(tail_bytes)
    with io.BytesIO(CONTENT) as expected:
        file = RangeFile(TailKept(FileRanges(path), tail_bytes))
        for _ in range(300):
            place, size = chance.randrange(110_000), chance.choice([0, 1, 3000, -1])
            assert file.seek(place) == expected.seek(place) == file.tell()
            assert file.read(size) == expected.read(size)
        assert file.seek(-10, os.SEEK_END) == expected.seek(-10, os.SEEK_END)
        assert file.read() == expected.read()
        with pytest.raises(ValueError, match="negative"):
            file.seek(-1)


def test_raw_frames_by_ranges(path: Path) -> None:
    frames = np.random.default_rng(0).integers(-9, 9, (1000, 7), dtype=np.int16)
    frames.tofile(path)
    samples = RawSamples(FileRanges(path), 7)
    assert samples.shape == (1000, 7)
    for key in (
        slice(3, 9),
        slice(990, 2000),
        slice(5, 5),
        (slice(0, 20, 3), [6, 0]),
        slice(None),
    ):
        np.testing.assert_array_equal(samples[key], frames[key])
    for key in (5, slice(9, 3, -1), [1, 2]):
        with pytest.raises(FormatError, match="Samples are read"):
            samples[key]
    with pytest.raises(FormatError, match=r"1166\.67 frames"):
        RawSamples(FileRanges(path), 6)


def test_entries_of_a_zip_with_a_long_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "many.zip"
    entries = {f"samples/{i}.0": random.Random(i).randbytes(i % 50) for i in range(3000)}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    for tail_bytes in (100, 10**6):
        monkeypatch.setattr(zip_ranges, "_TAIL_BYTES", tail_bytes)
        found = ZipRanges(FileRanges(path))
        assert dict(found) == entries
        assert found.read_all(list(entries)[5:9]) == dict(list(entries.items())[5:9])
        assert "samples/1.0" in found and "samples/x" not in found
        with pytest.raises(KeyError):
            found["samples/x"]
    monkeypatch.setattr(zip_ranges, "_TOGETHER_BYTES", 300)
    assert ZipRanges(FileRanges(path)).read_all(list(entries)) == entries


def test_other_zips_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"a" * 1000)
    with pytest.raises(zipfile.BadZipFile, match="a is compressed"):
        ZipRanges(FileRanges(path))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a", b"2")
    with pytest.raises(zipfile.BadZipFile, match="twice"):
        ZipRanges(FileRanges(path))
