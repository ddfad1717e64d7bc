"""The noise of each channel is what numpy says of the same samples, and what was put in."""

from __future__ import annotations

import numpy as np
import pytest

from labdata.errors import FormatError
from labdata.formats.bands import RecordedBand
from labdata.formats.channel_noise import measure_noise, snippet_ranges

RATE_HZ = 1000.0
STD = np.array([100.0, 200.0, 300.0])
MEAN = np.array([-20.0, 0.0, 7.0])


class Watched:
    """Samples that count what is read of them."""

    def __init__(self, data):
        self.data, self.n_read, self.largest_read = data, 0, 0

    @property
    def shape(self):
        return self.data.shape

    def __getitem__(self, key):
        found = self.data[key]
        self.n_read += len(found)
        self.largest_read = max(self.largest_read, len(found))
        return found


def make_band(n_samples, digital=True):
    noise = np.random.default_rng(1)
    data = noise.normal(MEAN, STD, (n_samples, 3)).round().astype(np.int16)
    gains = np.full(3, 0.195)
    if digital:  # a word between the voltages, of large values
        data = np.insert(data, 1, -32768, axis=1)
        gains = np.insert(gains, 1, np.nan)
    return RecordedBand("imec0.ap", None, Watched(data), gains, RATE_HZ)


def test_a_short_recording_is_measured_whole():
    band = make_band(900)
    found = measure_noise(band)
    data = band.samples.data[:, [0, 2, 3]].astype(float)
    median = np.median(data, axis=0)
    assert found.n_samples == 900
    np.testing.assert_array_equal(found.median, median)
    np.testing.assert_array_equal(found.mad, np.median(np.abs(data - median), axis=0))
    np.testing.assert_array_equal(found.largest, data.max(axis=0))
    np.testing.assert_array_equal(found.smallest, data.min(axis=0))
    np.testing.assert_array_equal(found.peak_to_peak, np.ptp(data, axis=0))


def test_a_long_recording_is_measured_by_a_bounded_part_of_it():
    band = make_band(400_000)
    found = measure_noise(band)
    assert band.samples.n_read == found.n_samples == 20 * 250
    assert band.samples.largest_read == 250
    np.testing.assert_allclose(found.mad * 1.4826, STD, rtol=0.05)
    np.testing.assert_allclose(found.median, MEAN, atol=3 * 1.25 * STD.max() / np.sqrt(5000))
    again = measure_noise(band)
    np.testing.assert_array_equal(again.median, found.median)
    other = measure_noise(band, seed=1)
    assert (other.largest != found.largest).any()


def test_a_change_in_the_middle_is_seen():
    band = make_band(100_000, digital=False)
    band.samples.data[50_000:] += 1000
    assert (measure_noise(band).median > 100).all()


def test_the_whole_range_of_samples_does_not_overflow():
    band = make_band(100, digital=False)
    band.samples.data[:2, 0] = -32768, 32767
    assert measure_noise(band).peak_to_peak[0] == 65535


@pytest.mark.parametrize("n_samples", [21, 5000, 5001, 123_457])
def test_snippets_are_spread_and_do_not_overlap(n_samples):
    ranges = np.array(snippet_ranges(n_samples, 20, 1 if n_samples < 5000 else 250, 0))
    assert (np.diff(ranges, axis=1) > 0).all()
    assert (ranges[1:, 0] >= ranges[:-1, 1]).all()
    assert ranges[0, 0] >= 0 and ranges[-1, 1] <= n_samples
    if len(ranges) > 1:
        parts = ranges[:, 0] * 20 // n_samples
        assert np.abs(parts - np.arange(20)).max() <= 1


def test_what_makes_no_sense_is_refused():
    with pytest.raises(FormatError, match="no samples"):
        measure_noise(make_band(0))
    with pytest.raises(FormatError, match="must be positive"):
        measure_noise(make_band(10), n_snippets=0)
