"""Compressed bands lose nothing, say when they are damaged, and read like raw ones."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from labdata.errors import FormatError, IntegrityError
from labdata.formats import zip_ranges
from labdata.formats.bands import Band
from labdata.formats.byte_ranges import FileRanges
from labdata.formats.spikeglx import open_band, read_digital_events
from labdata.formats.spikeglx.events import band_digital_events
from labdata.formats.zarr_band import compress_band, open_zarr_band, restore_bin, verify_band

Write = Callable[..., Path]
REAL = (
    Path(__file__).resolve().parents[3].parent / "shared/data/spikeglx_raw/run-001cut_g0"
    "/run-001cut_g0_imec0/run-001cut_g0_t0.imec0.ap.bin"
)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def raw(write_stream: Write, rng: np.random.Generator) -> Path:
    """1.7 chunks and a bit of every int16 value, so that differences overflow."""
    frames = rng.integers(-32768, 32768, (26007, 5), dtype=np.int16)
    frames[100:110] = [[32767], [-32768]] * 5
    path = write_stream(frames, "imec0.ap", "384,0,1", saved="4,0,1", subset="0:3,384")
    meta = path.with_suffix(".meta")
    meta.write_bytes(meta.read_bytes() + b"userNotes=10 \xb5m, caf\xc3\xa9\r\n")
    return path


@pytest.fixture
def packed(raw: Path, tmp_path: Path) -> Path:
    return compress_band(raw, tmp_path / "store" / "x.imec0.ap.zarr.zip").path


def test_gives_back_the_same_bytes(raw: Path, packed: Path, tmp_path: Path) -> None:
    verify_band(raw, packed)
    restored = restore_bin(packed, tmp_path / "restored")
    assert restored.name == raw.name
    assert sha256(restored) == sha256(raw)
    assert sha256(restored.with_suffix(".meta")) == sha256(raw.with_suffix(".meta"))
    assert sorted(p.name for p in restored.parent.iterdir()) == sorted(
        [raw.name, raw.with_suffix(".meta").name]
    )


@pytest.mark.parametrize(("chunk_s", "threads"), [(0.001, 3), (0.5, 1), (10.0, 2)])
def test_any_chunk_and_number_of_threads(
    raw: Path, tmp_path: Path, chunk_s: float, threads: int
) -> None:
    done: list[int] = []
    report = compress_band(
        raw, tmp_path / "x.zarr.zip", chunk_s=chunk_s, threads=threads, progress=done.append
    )
    assert sum(done) == report.raw_bytes == raw.stat().st_size
    assert report.stored_bytes == report.path.stat().st_size
    assert report.ratio == report.raw_bytes / report.stored_bytes
    assert report.sha256 == sha256(raw)
    done.clear()
    verify_band(raw, report.path, done.append)
    assert sum(done) == raw.stat().st_size


def test_the_same_input_makes_the_same_file(raw: Path, packed: Path, tmp_path: Path) -> None:
    again = compress_band(raw, tmp_path / "again.zarr.zip", threads=1).path
    assert sha256(again) == sha256(packed)


def test_reads_like_the_raw_band(raw: Path, packed: Path) -> None:
    one, other = open_band(raw), open_zarr_band(packed)
    assert isinstance(other, Band)
    assert (one.name, one.n_samples, one.n_channels) == (
        other.name, other.n_samples, other.n_channels,
    )  # fmt: skip
    assert one.sampling_rate_hz == other.sampling_rate_hz
    np.testing.assert_array_equal(one.uv_per_bit, other.uv_per_bit)
    for a, b in ((0, 10), (14990, 15010), (26000, 26007), (5, 5), (0, 26007)):
        np.testing.assert_array_equal(other.samples[a:b], one.samples[a:b])
        np.testing.assert_array_equal(other.read_uv(a, b), one.read_uv(a, b))
        np.testing.assert_array_equal(other.read_uv(a, b, [2, 0]), one.read_uv(a, b, [2, 0]))
        np.testing.assert_array_equal(other.sync_words(a, b), one.sync_words(a, b))
    np.testing.assert_array_equal(
        other.samples[14990:15010, [1, 4]], one.samples[14990:15010, [1, 4]]
    )
    np.testing.assert_array_equal(other.samples[3:9, 1:3], one.samples[3:9, 1:3])
    lines, raw_lines = band_digital_events(other), read_digital_events(raw)
    assert [x.event_name for x in lines] == [x.event_name for x in raw_lines]
    for line, raw_line in zip(lines, raw_lines, strict=True):
        np.testing.assert_array_equal(line.samples, raw_line.samples)


def test_any_zarr_reader_opens_it(raw: Path, packed: Path) -> None:
    import zarr

    array = zarr.open_group(zarr.ZipStore(str(packed), mode="r"), mode="r")["samples"]
    np.testing.assert_array_equal(array[:], open_band(raw).samples)
    assert all(x.compress_type == zipfile.ZIP_STORED for x in zipfile.ZipFile(packed).infolist())


def test_a_range_reads_only_its_chunks(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zip_ranges, "_TAIL_BYTES", 20_000)  # the recording is small
    path = compress_band(raw, tmp_path / "x.zarr.zip", chunk_s=0.01).path

    class Counting(FileRanges):
        asked: ClassVar[list[tuple[int, int]]] = []

        def read(self, start_byte: int, size_bytes: int) -> bytes:
            self.asked.append((start_byte, size_bytes))
            return super().read(start_byte, size_bytes)

    band = open_zarr_band(Counting(path))
    assert len(Counting.asked) == 1, "the list and the descriptions stand at the end, together"
    with zipfile.ZipFile(path) as archive:
        place = {e.filename: e.header_offset for e in archive.infolist()}
    for wanted, first, after in ((slice(650, 850), 2, 3), (slice(650, 1150), 2, 4)):
        Counting.asked.clear()
        band.samples[wanted]
        begin, end = place[f"samples/{first}.0"], place[f"samples/{after}.0"]
        assert Counting.asked == [(begin, end - begin)]


def test_every_flipped_byte_of_the_data_is_found(packed: Path, raw: Path, tmp_path: Path) -> None:
    """A byte is flipped in each part of the file: chunks, descriptions, names, directory."""
    data = packed.read_bytes()
    with zipfile.ZipFile(packed) as archive:
        entries = archive.infolist()
    places = [e.header_offset + 30 + len(e.filename) + e.file_size // 2 for e in entries]
    places += [e.header_offset + 30 for e in entries]  # the name
    directory = data.rfind(b"PK\x01\x02")
    places += [directory + 46, directory + 16, len(data) - 10]
    wrong = tmp_path / "wrong.zarr.zip"
    for place in places:
        flipped = bytearray(data)
        flipped[place] ^= 0x10
        wrong.write_bytes(flipped)
        with pytest.raises(IntegrityError, match="damaged"):
            verify_band(raw, wrong)
        with pytest.raises(IntegrityError, match="damaged"):
            restore_bin(wrong, tmp_path / "out")
        assert not list((tmp_path / "out").glob("*"))


def test_a_cut_file_is_damaged(packed: Path, raw: Path) -> None:
    packed.write_bytes(packed.read_bytes()[:-100])
    with pytest.raises(IntegrityError, match="damaged"):
        open_zarr_band(packed)


def rewrite(packed: Path, change: Callable[[str, bytes], bytes | None]) -> None:
    """Rewrite a zip with valid checksums but other content."""
    with zipfile.ZipFile(packed) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in entries.items():
            changed = change(name, content)
            if changed is not None:
                archive.writestr(name, changed)


def test_an_absent_chunk_is_not_read_as_zeros(packed: Path) -> None:
    rewrite(packed, lambda name, data: None if name == "samples/1.0" else data)
    with pytest.raises(IntegrityError, match="1 of 2 chunks"):
        open_zarr_band(packed)


def test_a_changed_sample_is_named(raw: Path, packed: Path) -> None:
    frames = np.fromfile(raw, "<i2").reshape(-1, 5)
    frames[17003, 2] ^= 1
    frames.tofile(raw)
    with pytest.raises(IntegrityError, match="sample 17003 of channel 2 is"):
        verify_band(raw, packed)


def test_a_changed_meta_is_found(raw: Path, packed: Path) -> None:
    meta = raw.with_suffix(".meta")
    meta.write_bytes(meta.read_bytes().replace(b"firstSample=17", b"firstSample=18"))
    with pytest.raises(IntegrityError, match="meta text is not that of"):
        verify_band(raw, packed)


def test_meta_text_edited_inside_is_found(packed: Path) -> None:
    def edit(name: str, data: bytes) -> bytes:
        return data.replace(b"30000", b"25000") if name == ".zattrs" else data

    rewrite(packed, edit)
    with pytest.raises(IntegrityError, match="meta text has another SHA-256"):
        open_zarr_band(packed)


def test_another_zarr_is_not_a_band(packed: Path) -> None:
    rewrite(packed, lambda name, data: b"{}" if name == ".zattrs" else data)
    with pytest.raises(FormatError, match="not a compressed band"):
        open_zarr_band(packed)


def test_a_stored_name_cannot_leave_the_folder(packed: Path, tmp_path: Path) -> None:
    def edit(name: str, data: bytes) -> bytes:
        if name != ".zattrs":
            return data
        attributes = json.loads(data)
        attributes["meta_name"] = "../../" + attributes["meta_name"]
        return json.dumps(attributes).encode()

    rewrite(packed, edit)
    assert restore_bin(packed, tmp_path / "a" / "b").parent == tmp_path / "a" / "b"


def test_nothing_is_overwritten_unasked(raw: Path, packed: Path, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="exists already"):
        compress_band(raw, packed)
    compress_band(raw, packed, overwrite=True)
    with pytest.raises(FormatError, match="exists already"):
        restore_bin(packed, raw.parent)
    with pytest.raises(FormatError, match=r"does not end in .zarr.zip"):
        compress_band(raw, tmp_path / "x.zip")
    with pytest.raises(FormatError, match="must be positive"):
        compress_band(raw, tmp_path / "y.zarr.zip", chunk_s=0)


def test_a_failure_leaves_nothing_behind(raw: Path, tmp_path: Path) -> None:
    def stop(advance: int) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        compress_band(raw, out / "x.zarr.zip", progress=stop)
    assert list(out.iterdir()) == []


def test_a_cut_raw_file_is_not_compressed(raw: Path, tmp_path: Path) -> None:
    raw.write_bytes(raw.read_bytes()[:-10])
    with pytest.raises(FormatError, match="its meta file says"):
        compress_band(raw, tmp_path / "x.zarr.zip")


def test_an_nidq_band(write_stream: Write, rng: np.random.Generator, tmp_path: Path) -> None:
    frames = rng.integers(0, 4, (12345, 3), dtype=np.int16)
    path = write_stream(frames, "nidq", "0,0,2,1")
    report = compress_band(path, tmp_path / "x.nidq.zarr.zip")
    verify_band(path, report.path)
    assert open_zarr_band(report.path).name == "nidq"


def test_it_is_no_larger_than_mtscomp_makes_it(write_stream: Write, tmp_path: Path) -> None:
    """On noise that is correlated in time, with few bits, as of a quiet probe."""
    mtscomp = pytest.importorskip("mtscomp")
    rng = np.random.default_rng(4)
    frames = np.cumsum(rng.normal(0, 1, (60_000, 64)), axis=0) * 0.3 + rng.normal(0, 4, 64)
    path = write_stream(
        np.rint(frames).astype(np.int16), "imec0.ap", "384,0,1", saved="63,0,1", subset="0:62,384"
    )
    ours = compress_band(path, tmp_path / "x.zarr.zip").stored_bytes
    cbin = tmp_path / "x.cbin"
    mtscomp.compress(
        path, cbin, tmp_path / "x.ch", sample_rate=3e4, n_channels=64, dtype=np.int16, n_threads=1
    )
    assert ours <= cbin.stat().st_size


@pytest.mark.skipif(not REAL.is_file(), reason="the real recording (shared/data) is not here")
def test_real_recording(tmp_path: Path) -> None:
    report = compress_band(REAL, tmp_path / "x.zarr.zip")
    verify_band(REAL, report.path)
    assert sha256(restore_bin(report.path, tmp_path / "out")) == sha256(REAL)
    assert report.ratio > 2.1
