"""Files of mtscomp are read to the last bit; mtscomp itself is the oracle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from labdata.errors import FormatError, IntegrityError
from labdata.formats.bands import Band
from labdata.formats.byte_ranges import FileRanges
from labdata.formats.cbin import CbinSamples, open_cbin_band, verify_cbin
from labdata.formats.spikeglx import open_band

Write = Callable[..., Path]


@pytest.fixture
def raw(write_stream: Write, rng: np.random.Generator) -> Path:
    """More than three chunks, with differences that overflow."""
    frames = rng.integers(-300, 300, (100_007, 5), dtype=np.int16)
    frames[100:110] = [[32767], [-32768]] * 5
    return write_stream(frames, "imec0.ap", "384,0,1", saved="4,0,1", subset="0:3,384")


@pytest.fixture(params=[{}, {"do_spatial_diff": True}, {"do_time_diff": False}])
def packed(raw: Path, request: pytest.FixtureRequest) -> Path:
    mtscomp = pytest.importorskip("mtscomp")
    cbin = raw.with_suffix(".cbin")
    mtscomp.compress(
        raw,
        cbin,
        raw.with_suffix(".ch"),
        sample_rate=30000.0,
        n_channels=5,
        dtype=np.int16,
        n_threads=1,
        **request.param,
    )
    return cbin


def test_it_reads_like_the_raw_band(raw: Path, packed: Path) -> None:
    one, other = open_band(raw), open_cbin_band(packed)
    assert isinstance(other, Band)
    assert (one.name, one.n_samples, one.n_channels, one.sampling_rate_hz) == (
        other.name, other.n_samples, other.n_channels, other.sampling_rate_hz,
    )  # fmt: skip
    for a, b in ((0, 10), (29990, 30010), (29990, 90001), (100_000, 100_007), (5, 5), (7, 3)):
        np.testing.assert_array_equal(other.samples[a:b], one.samples[a:b])
    np.testing.assert_array_equal(other.samples[:], one.samples[:])
    np.testing.assert_array_equal(other.samples[9:99:7, [1, 4]], one.samples[9:99:7, [1, 4]])
    np.testing.assert_array_equal(other.read_uv(5, 31000, [2, 0]), one.read_uv(5, 31000, [2, 0]))
    np.testing.assert_array_equal(other.sync_words(5, 9), one.sync_words(5, 9))


def test_all_of_it_has_the_checksum_of_the_original(raw: Path, packed: Path) -> None:
    done: list[int] = []
    samples = CbinSamples(FileRanges(packed), packed.with_suffix(".ch").read_text())
    found = verify_cbin(samples, done.append)
    assert found == hashlib.sha1(raw.read_bytes()).hexdigest()
    assert sum(done) == raw.stat().st_size


def test_a_flipped_byte_is_found_in_every_chunk(packed: Path) -> None:
    data, about = packed.read_bytes(), json.loads(packed.with_suffix(".ch").read_text())
    for number, offset in enumerate(about["chunk_offsets"][:-1]):
        flipped = bytearray(data)
        flipped[offset + 1000] ^= 4
        packed.write_bytes(flipped)
        with pytest.raises(IntegrityError, match=f"Chunk {number} of"):
            open_cbin_band(packed).samples[:]


def change(packed: Path, **values: object) -> None:
    ch = packed.with_suffix(".ch")
    ch.write_text(json.dumps(json.loads(ch.read_text()) | values))


def test_files_that_do_not_belong_together(packed: Path) -> None:
    about = json.loads(packed.with_suffix(".ch").read_text())
    change(packed, sha1_uncompressed="0" * 40)
    with pytest.raises(IntegrityError, match=r"its \.ch file says 0000"):
        verify_cbin(CbinSamples(FileRanges(packed), packed.with_suffix(".ch").read_text()))
    change(packed, algorithm="lossy")
    with pytest.raises(FormatError, match="algorithm 'lossy'"):
        open_cbin_band(packed)
    change(packed, algorithm="zlib", chunk_bounds=about["chunk_bounds"][:-1])
    with pytest.raises(FormatError, match="do not fit together"):
        open_cbin_band(packed)
    bounds = [*about["chunk_bounds"][:-1], 100_006]
    change(packed, chunk_bounds=bounds, shape=[100_006, 5])
    with pytest.raises(FormatError, match="its meta file says 100007"):
        open_cbin_band(packed)
    packed.with_suffix(".ch").write_text("{}")
    with pytest.raises(FormatError, match="lacks chunk_bounds"):
        open_cbin_band(packed)
    packed.with_suffix(".ch").write_text("no json")
    with pytest.raises(FormatError, match="not JSON"):
        open_cbin_band(packed)
    packed.with_suffix(".ch").unlink()
    with pytest.raises(FormatError, match="cannot be read without"):
        open_cbin_band(packed)


def test_a_cut_file_is_refused(packed: Path) -> None:
    packed.write_bytes(packed.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match=r"its \.ch file says"):
        open_cbin_band(packed)
