"""Edges equal those that a plain loop over samples finds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from labdata.errors import FormatError
from labdata.formats.spikeglx import events, read_analog_channels, read_digital_events

Write = Callable[..., Path]


def random_words(rng: np.random.Generator, n: int, mask: int) -> np.ndarray:
    """Words that change now and then, in the bits of a mask."""
    words = np.repeat(rng.integers(0, 65536, n), rng.integers(1, 9, n))[:n] & mask
    return words.astype(np.uint16).view(np.int16)


def brute_force(column: np.ndarray, bit: int) -> list[tuple[int, int]]:
    levels = [int(word) >> bit & 1 for word in column.view(np.uint16)]
    return [(i, levels[i]) for i in range(1, len(levels)) if levels[i] != levels[i - 1]]


def check(path: Path, columns: dict[int, np.ndarray], rate_hz: float) -> None:
    """``columns`` maps the number of the first bit of a word to the word's samples."""
    expected = {
        str(first + bit): edges
        for first, column in columns.items()
        for bit in range(16)
        if (edges := brute_force(column, bit))
    }
    lines = read_digital_events(path)
    assert [line.event_name for line in lines] == sorted(expected, key=int)
    for line in lines:
        edges = np.array(expected[line.event_name])
        np.testing.assert_array_equal(line.samples, edges[:, 0])
        np.testing.assert_array_equal(line.values, edges[:, 1])
        np.testing.assert_array_equal(line.timestamps, edges[:, 0] / rate_hz)
        assert (line.samples.dtype, line.values.dtype) == (np.int64, np.int8)
        assert line.timestamps.dtype == np.float64


@pytest.mark.parametrize("chunk_bytes", [10, 64, 1000, 1 << 25])
def test_imec_word(
    write_stream: Write, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch,
    chunk_bytes: int,
) -> None:  # fmt: skip
    """Edges at the border of two pieces are neither lost nor doubled."""
    monkeypatch.setattr(events, "_CHUNK_BYTES", chunk_bytes)
    frames = rng.integers(-500, 500, (700, 5), dtype=np.int16)
    frames[:, 4] = random_words(rng, 700, 0xFFFF)
    path = write_stream(frames, "imec0.ap", "384,0,1", saved="4,0,1", subset="0:3,384")
    check(path, {0: frames[:, 4]}, 30000.0)


def test_quad_base_words_continue_at_16(write_stream: Write, rng: np.random.Generator) -> None:
    frames = np.zeros((300, 6), np.int16)
    for column in (2, 3, 4, 5):
        frames[:, column] = random_words(rng, 300, 0x8041)
    path = write_stream(frames, "imec0.ap", "1536,0,4", saved="2,0,4", subset="0:1,1536:1539")
    check(path, {16 * i: frames[:, 2 + i] for i in range(4)}, 30000.0)


def test_names_do_not_depend_on_what_else_was_saved(
    write_stream: Write, rng: np.random.Generator
) -> None:
    """The third word of four begins at bit 32, also when it is the only one saved."""
    frames = np.zeros((300, 2), np.int16)
    frames[:, 1] = random_words(rng, 300, 0x0041)
    path = write_stream(frames, "imec0.ap", "1536,0,4", saved="1,0,1", subset="0,1538")
    check(path, {32: frames[:, 1]}, 30000.0)


def test_nidq_with_two_words(write_stream: Write, rng: np.random.Generator) -> None:
    frames = np.zeros((300, 3), np.int16)
    frames[:, 1], frames[:, 2] = random_words(rng, 300, 0xFF00), random_words(rng, 300, 0x00FF)
    path = write_stream(frames, "nidq", "0,0,1,2")
    check(path, {0: frames[:, 1], 16: frames[:, 2]}, 10000.0)


def test_onebox(write_stream: Write, rng: np.random.Generator) -> None:
    frames = np.zeros((300, 4), np.int16)
    frames[:, 2], frames[:, 3] = random_words(rng, 300, 0x0FFF), random_words(rng, 300, 0x0040)
    path = write_stream(frames, "obx0.obx", "2,1,1")
    check(path, {0: frames[:, 2], 16: frames[:, 3]}, 30303.001)


def test_two_sync_lines_are_both_kept(write_stream: Write) -> None:
    """faults 11: the second sync line of a stream was dropped."""
    frames = np.zeros((40, 2), np.int16)
    frames[10:20, 1] |= 1 << 3
    frames[15:30, 1] |= 1 << 6
    lines = read_digital_events(write_stream(frames, "nidq", "0,0,1,1"))
    assert [line.event_name for line in lines] == ["3", "6"]
    assert [line.samples.tolist() for line in lines] == [[10, 20], [15, 30]]
    assert [line.values.tolist() for line in lines] == [[1, 0], [1, 0]]


def test_a_line_that_starts_high_has_no_rise_there(write_stream: Write) -> None:
    frames = np.zeros((40, 2), np.int16)
    frames[:7, 1] = 2
    frames[39, 1] = 2
    (line,) = read_digital_events(write_stream(frames, "nidq", "0,0,1,1"))
    assert line.samples.tolist() == [7, 39]
    assert line.values.tolist() == [0, 1]


def test_constant_lines_and_streams_without_words_give_nothing(write_stream: Write) -> None:
    frames = np.full((40, 2), 255, np.int16)
    assert read_digital_events(write_stream(frames, "nidq", "0,0,1,1")) == []
    assert read_digital_events(write_stream(frames, "nidq", "0,0,2,0")) == []


def test_progress_reaches_the_size_of_the_file(
    write_stream: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_CHUNK_BYTES", 64)
    path = write_stream(np.zeros((100, 2), np.int16), "nidq", "0,0,1,1")
    done: list[int] = []
    read_digital_events(path, progress=done.append)
    assert sum(done) == path.stat().st_size
    assert len(done) > 3


def test_analog_channels(
    write_stream: Write, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_CHUNK_BYTES", 64)
    frames = rng.integers(-32768, 32768, (200, 5), dtype=np.int16)
    path = write_stream(frames, "nidq", "1,1,4,1", saved="0,1,3,1", subset="1,3:5,6")
    channels = read_analog_channels(path)
    assert [c.channel_name for c in channels] == ["MA0", "XA1", "XA2", "XA3"]
    for column, (channel, gain) in enumerate(zip(channels, (10, 1, 1, 1), strict=True)):
        assert channel.volts.dtype == np.float32
        assert channel.sampling_rate_hz == 10000.0
        exact = frames[:, column] / 32768 * 5 / gain
        np.testing.assert_allclose(channel.volts, exact, rtol=3e-7)


def test_a_probe_has_no_analog_inputs(write_stream: Write) -> None:
    path = write_stream(
        np.zeros((10, 2), np.int16), "imec0.ap", "384,0,1", saved="1,0,1", subset="0,384"
    )
    with pytest.raises(FormatError, match="no analog inputs"):
        read_analog_channels(path)
