"""Samples come back as they were written, and damaged files do not come back at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from labdata.errors import FormatError
from labdata.formats.bands import Band
from labdata.formats.spikeglx import open_band

Write = Callable[..., Path]


@pytest.fixture
def frames(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(-32768, 32768, (500, 5), dtype=np.int16)


@pytest.fixture
def path(write_stream: Write, frames: np.ndarray) -> Path:
    return write_stream(frames, "imec0.ap", "384,0,1", saved="4,0,1", subset="0:3,384")


def test_samples_are_a_read_only_map(path: Path, frames: np.ndarray) -> None:
    band = open_band(path)
    assert isinstance(band, Band)
    assert isinstance(band.samples, np.memmap)
    np.testing.assert_array_equal(band.samples, frames)
    assert (band.n_samples, band.n_channels, band.name) == (500, 5, "imec0.ap")
    with pytest.raises(ValueError, match="read-only"):
        band.samples[0, 0] = 1


def test_microvolts(path: Path, frames: np.ndarray) -> None:
    band = open_band(path)
    uv = band.read_uv(100, 200)
    assert uv.dtype == np.float32
    assert uv.shape == (100, 4)
    exact = frames[100:200, :4].astype(np.float64) * (0.62 / 2048 / 100 * 1e6)
    np.testing.assert_allclose(uv, exact, rtol=2e-7)
    np.testing.assert_allclose(band.read_uv(100, 200, [3, 1]), exact[:, [3, 1]], rtol=2e-7)
    assert band.read_uv(7, 7).shape == (0, 4)


def test_sync_words_are_unsigned(path: Path, frames: np.ndarray) -> None:
    words = open_band(path).sync_words(0, 500)
    assert words.dtype == np.uint16
    np.testing.assert_array_equal(words[:, 0], frames[:, 4].astype(np.int64) % 65536)


@pytest.mark.parametrize(("start", "stop"), [(-1, 5), (0, 501), (10, 5)])
def test_a_range_outside_the_band_is_refused(path: Path, start: int, stop: int) -> None:
    band = open_band(path)
    with pytest.raises(FormatError, match="which has 500"):
        band.read_uv(start, stop)
    with pytest.raises(FormatError, match="which has 500"):
        band.sync_words(start, stop)


def test_columns_that_are_not_voltages_are_refused(path: Path) -> None:
    band = open_band(path)
    with pytest.raises(FormatError, match=r"Column 4 of imec0.ap holds a digital word"):
        band.read_uv(0, 1, [0, 4])
    for wrong in (5, -1):
        with pytest.raises(FormatError, match="channels 0 to 4"):
            band.read_uv(0, 1, [wrong])


@pytest.mark.parametrize("wrong", [[True, False, True, False, False], [0.5, 2], ["1"]])
def test_what_is_no_number_of_a_column_chooses_none(path: Path, wrong: list[object]) -> None:
    """A mask taken for numbers would give column 1 and column 0, again and again."""
    with pytest.raises(FormatError, match="by numbers of columns") as caught:
        open_band(path).read_uv(0, 1, wrong)
    assert "flatnonzero" in str(caught.value.hint)
    assert open_band(path).read_uv(0, 1, []).shape == (1, 0)
    assert open_band(path).read_uv(0, 1, np.array([2], np.uint8)).shape == (1, 1)


@pytest.mark.parametrize("lost", [1, 10, 1000])
def test_a_cut_file_is_refused_with_both_sizes(path: Path, lost: int) -> None:
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(FormatError, match=f"{5000 - lost} bytes, its meta file says 5000") as e:
        open_band(path)
    assert "again" in str(e.value.hint)


def test_a_longer_file_is_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0" * 10)
    with pytest.raises(FormatError, match="5010 bytes, its meta file says 5000"):
        open_band(path)


def test_half_a_frame_is_refused_even_when_the_meta_agrees(
    write_stream: Write, frames: np.ndarray
) -> None:
    path = write_stream(
        frames, "imec0.ap", "384,0,1", saved="4,0,1", subset="0:3,384", fileSizeBytes="4998"
    )
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(FormatError, match=r"4998 bytes, which is 499.80 frames of 10 bytes"):
        open_band(path)


def test_bin_and_meta_need_each_other(path: Path) -> None:
    meta = path.with_suffix(".meta")
    text = meta.read_text()
    meta.unlink()
    with pytest.raises(FormatError, match=r"ap.meta does not exist"):
        open_band(path)
    meta.write_text(text)
    path.unlink()
    with pytest.raises(FormatError, match="which is not in"):
        open_band(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"not a SpikeGLX .bin"):
        open_band(tmp_path / "x.npy")
