"""The 3143 edges of a real sync line, and what other ways of using them would have given.

The line is a 1 Hz wave of half an hour, logged by a Neuropixels probe. A second clock that sees
the same generator is made with a known relation, so that what each way errs by is known.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labdata.clocks import synchronise

RECORDING = (
    Path(__file__).resolve().parents[3].parent
    / "shared/data/openephys_raw/Record Node 104/experiment1/recording1"
)
TTL = RECORDING / "events/Neuropix-PXI-100.ProbeA-AP/TTL"
pytestmark = pytest.mark.skipif(not TTL.exists(), reason="openephys_raw (shared/data) is not here")

RATE_HZ, CLOCK_HZ = 30_000.0, 25_000.0
START_S, PPM = 3.7, 40.0


class Line:
    """The edges as the probe logged them and as a second clock would have."""

    def __init__(self):
        samples = np.load(TTL / "sample_numbers.npy")
        # the recording's own first sample: 21836244 samples after the acquisition began
        first = np.load(
            RECORDING / "continuous/Neuropix-PXI-100.ProbeA-AP/sample_numbers.npy", mmap_mode="r"
        )[0]
        self.stream_s = (samples - int(first)) / RATE_HZ
        self.values = (np.load(TTL / "states.npy") > 0).astype("int8")
        self.true_s = np.empty(len(samples))
        for value in (0, 1):  # the generator drifts by two samples, smoothly
            mine = self.values == value
            number = np.arange(mine.sum())
            drift = np.polynomial.Polynomial.fit(number, self.stream_s[mine], 5)
            self.true_s[mine] = drift(number)
        assert np.abs(self.true_s - self.stream_s).max() < 0.7 / RATE_HZ  # what sampling leaves
        self.clock_s = np.ceil(self.on_clock(self.true_s) * CLOCK_HZ) / CLOCK_HZ
        self.at = np.random.default_rng(0).uniform(self.true_s[0], self.true_s[-1], 20_000)

    @staticmethod
    def on_clock(stream_s):
        return (stream_s + START_S) * (1 + PPM * 1e-6)

    def fit(self, *, drop_stream=(), drop_clock=(), hint_s=START_S):
        keep, there = np.ones((2, len(self.values)), bool)
        keep[list(drop_stream)], there[list(drop_clock)] = False, False
        return synchronise(
            self.stream_s[keep],
            self.values[keep],
            self.clock_s[there],
            self.values[there],
            stream_quantum_s=1 / RATE_HZ,
            clock_quantum_s=1 / CLOCK_HZ,
            offset_hint_s=hint_s,
        )

    def error(self, found_s):
        return float(np.abs(found_s - self.on_clock(self.at)).max())


@pytest.fixture(scope="module")
def line():
    return Line()


def test_the_line_is_what_it_is_said_to_be(line):
    assert (len(line.values), line.values.sum()) == (3143, 1571)
    rises = line.stream_s[line.values == 1]
    assert set(np.round(np.diff(rises) * RATE_HZ)) == {30_000, 30_001}


def test_the_map_is_right_to_a_fraction_of_a_sample(line):
    fitted = line.fit()
    assert line.error(fitted.apply(line.at)) < 25e-6
    assert fitted.report.n_matched == 1571
    assert (fitted.report.n_dropped, fitted.report.n_spurious) == (0, 0)
    assert fitted.report.drift_ppm == pytest.approx(PPM, abs=0.1)


@pytest.mark.parametrize("lost", [(700, 701), (2, 3, 1500, 1501), tuple(range(1000, 1100))])
def test_lost_pulses_cost_nothing_here_and_a_period_elsewhere(line, lost):
    fitted = line.fit(drop_stream=lost)
    assert line.error(fitted.apply(line.at)) < 30e-6
    assert fitted.report.n_dropped == len(lost) // 2
    rises, there = line.stream_s[line.values == 1], line.clock_s[line.values == 1]
    mine = np.delete(rises, sorted({n // 2 for n in lost}))
    by_index = np.interp(line.at, mine, there[: len(mine)])
    straight = np.polyval(np.polyfit(mine, there[: len(mine)], 1), line.at)
    periods = len(lost) // 2
    assert line.error(by_index) > 0.99 * periods
    assert line.error(straight) > 0.3 * periods


def test_beyond_the_last_pulse_time_goes_on(line):
    """The recording went on for a minute after the line was cut."""
    cut = np.flatnonzero(line.true_s > line.true_s[-1] - 60.0)
    fitted = line.fit(drop_stream=cut, drop_clock=cut)
    late = line.at > line.true_s[cut[0]]
    assert fitted.extrapolated(line.at[late]).all()
    assert np.abs(fitted.apply(line.at[late]) - line.on_clock(line.at[late])).max() < 30e-6
    rises = np.setdiff1d(np.flatnonzero(line.values == 1), cut)
    clamped = np.interp(line.at[late], line.stream_s[rises], line.clock_s[rises])
    assert np.abs(clamped - line.on_clock(line.at[late])).max() > 59.0


def test_samples_are_better_times_than_those_that_the_software_wrote(line):
    """Its timestamps were guessed while it recorded: they jump by 10 of its samples and more."""
    written = np.load(TTL / "timestamps.npy")
    slope, level = np.polyfit(line.true_s, written, 1)
    off = np.abs(level + slope * line.true_s - written)
    assert off.max() > 10 / RATE_HZ
    assert np.abs(line.true_s - line.stream_s).max() < 0.7 / RATE_HZ
