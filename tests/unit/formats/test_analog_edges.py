"""The edges of a photodiode are found where they were put, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest

from labdata.errors import FormatError
from labdata.formats import analog_edges
from labdata.formats.analog_edges import find_analog_edges, find_band_edges, find_thresholds
from labdata.formats.bands import RecordedBand

RATE_HZ = 10_000.0
RNG = np.random.default_rng


def square(edges, n_samples, low=0.2, high=3.0):
    level = np.zeros(n_samples)
    level[edges] = 1
    return low + (high - low) * (np.cumsum(level) % 2)


@pytest.fixture
def photodiode():
    """Known edges, 20 mV of noise, and rises that take 4 samples."""
    edges = np.sort(RNG(3).choice(np.arange(100, 99_900, 150), 400, replace=False))
    volts = square(edges, 100_000)
    volts = np.convolve(volts, np.ones(4) / 4)[: len(volts)]
    volts[:4] = 0.2
    return edges, volts + RNG(4).normal(0, 0.02, len(volts))


def brute_force(volts, high, low):
    """Sample by sample."""
    level, found = None, []
    for i, v in enumerate(volts):
        new = 1 if v >= high else 0 if v <= low else level
        if level is not None and new != level:
            found.append((i, new))
        level = new
    return found


def test_each_edge_is_found_within_its_slope(photodiode):
    edges, volts = photodiode
    found = find_analog_edges(volts, RATE_HZ, 2.0, 1.0)
    late = found.samples - edges
    assert (late >= 0).all() and (late <= 3).all()
    np.testing.assert_array_equal(found.values, np.arange(400) % 2 == 0)
    assert not found.glitches.size
    line = found.as_line("XA0")
    assert line.event_name == "XA0"
    np.testing.assert_array_equal(line.timestamps, found.samples / RATE_HZ)
    assert (line.samples.dtype, line.values.dtype) == (np.int64, np.int8)


@pytest.mark.parametrize("noise_v", [0.3, 0.8])
def test_as_sample_by_sample_whole_and_in_pieces(noise_v):
    volts = square([500, 900, 2000], 5000) + RNG(5).normal(0, noise_v, 5000)
    wanted = brute_force(volts, 2.2, 1.1)
    whole = find_analog_edges(volts, RATE_HZ, 2.2, 1.1)
    assert list(zip(whole.samples.tolist(), whole.values.tolist(), strict=True)) == wanted
    for size in (1, 7, 499, 4999):
        pieces = iter([volts[i : i + size] for i in range(0, 5000, size)])
        again = find_analog_edges(pieces, RATE_HZ, 2.2, 1.1)
        np.testing.assert_array_equal(again.samples, whole.samples)


def test_hysteresis_makes_one_edge_of_a_noisy_slope():
    volts = np.linspace(0, 3, 3000) + RNG(6).normal(0, 0.2, 3000)
    assert len(find_analog_edges(volts, RATE_HZ, 1.5001, 1.5).samples) > 20
    assert len(find_analog_edges(volts, RATE_HZ, 2.5, 0.5).samples) == 1


def test_glitches_are_taken_out_and_handed_back():
    volts = square([1000, 2000, 3000, 4000], 5000)
    volts[500:505] = 3.0  # a spike
    volts[1500:1503] = 0.2  # a flicker within a pulse
    volts[3001:3004] = 0.2  # a bounce after a rise
    found = find_analog_edges(volts, RATE_HZ, 2, 1, min_width_s=0.005)
    np.testing.assert_array_equal(found.samples, [1000, 2000, 3004, 4000])
    np.testing.assert_array_equal(found.values, [1, 0, 1, 0])
    np.testing.assert_array_equal(found.glitches, [500, 1500, 3000])
    assert len(find_analog_edges(volts, RATE_HZ, 2, 1).samples) == 10


def test_the_level_that_it_begins_with_is_no_edge():
    assert not find_analog_edges(np.full(50, 3.0), RATE_HZ, 2, 1).samples.size
    between = np.r_[np.full(9, 1.5), np.full(9, 3.0), np.full(9, 0.0)]
    found = find_analog_edges(between, RATE_HZ, 2, 1)
    assert (found.samples.tolist(), found.values.tolist()) == ([18], [0])
    assert not find_analog_edges([], RATE_HZ, 2, 1).samples.size


# --- thresholds ---------------------------------------------------------------------------------


def counted(volts, step_v=0.0):
    if step_v:
        volts = np.round(volts / step_v) * step_v
    return np.unique(volts, return_counts=True)


@pytest.mark.parametrize("share", [0.5, 0.02, 0.0005])
def test_thresholds_lie_between_the_levels(share):
    noise = RNG(7).normal(0, 0.03, 200_000)
    volts = np.where(np.arange(200_000) < share * 200_000, 3.2, 0.2) + noise
    high, low = find_thresholds(*counted(volts, 1e-3), step_v=1e-3)
    assert high == pytest.approx(2.2, abs=0.05) and low == pytest.approx(1.2, abs=0.05)


@pytest.mark.parametrize(
    "volts",
    [
        RNG(0).normal(0, 1, 100_000),
        RNG(0).uniform(-1, 1, 100_000),
        np.sin(np.arange(100_000) / 50),
        RNG(0).integers(0, 2, 100_000) * 1e-3,  # flickers between two bits
        np.zeros(1000),
        np.r_[RNG(0).normal(0, 0.01, 100_000), 5.0],  # one spike
    ],
    ids=["noise", "even", "sine", "flicker", "constant", "spike"],
)
def test_a_trace_without_two_levels_is_refused(volts):
    with pytest.raises(FormatError, match="no two levels"):
        find_thresholds(*counted(volts, 1e-3), step_v=1e-3)


# --- of a band ----------------------------------------------------------------------------------


@pytest.mark.parametrize("step_v", [1e-4, -1e-4])
def test_a_band_is_read_in_pieces(photodiode, monkeypatch, step_v):
    monkeypatch.setattr(analog_edges, "_CHUNK_BYTES", 4 * 999)
    edges, volts = photodiode
    data = np.zeros((len(volts), 2), np.int16)
    data[:, 1] = np.round(volts / step_v)
    band = RecordedBand("nidq", None, data, np.array([np.nan, step_v * 1e6]), RATE_HZ)
    found = find_band_edges(band, 1)
    assert found.high_v == pytest.approx(2.07, abs=0.02)
    assert np.abs(found.samples - edges - 1.5).max() <= 1.5
    given = find_band_edges(band, 1, high_v=2.0, low_v=1.0)
    np.testing.assert_array_equal(
        given.samples, find_analog_edges(data[:, 1] * step_v, RATE_HZ, 2.0, 1.0).samples
    )
    with pytest.raises(FormatError, match="without the other"):
        find_band_edges(band, 1, high_v=2.0)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(FormatError, match="not in this order"):
        find_analog_edges([0, 1], RATE_HZ, 1, 2)
    with pytest.raises(FormatError, match="0 Hz"):
        find_analog_edges([0, 1], 0, 2, 1)
    with pytest.raises(FormatError, match="2 dimensions"):
        find_analog_edges(np.zeros((3, 2)), RATE_HZ, 2, 1)
    with pytest.raises(FormatError, match="no samples"):
        find_thresholds(np.empty(0), np.empty(0, np.int64))
