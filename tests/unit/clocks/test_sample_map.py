"""Sample numbers on a clock by the table, against the clock map that it stands for."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labdata.clocks import SegmentAxis, fit_clock, sum_bits, tabulate
from labdata.errors import ClockError
from labdata.step_planes import split_steps

RATE_HZ = 30000.0
#: Seconds in which a day's time is known when it is computed in float64: a few roundings.
ROUNDING_S = 1e-10


def fitted(world, **more):
    return fit_clock(world.pulses("stream"), world.pulses("clock"), **world.spans, **more)


@pytest.mark.parametrize("period_s", [0.02, 0.5, 1.0, 7.3])
def test_every_sample_is_where_the_map_puts_it(world, period_s):
    w = world(duration_s=300 * period_s + 20, period_s=period_s, thermal_ppm=3.0, lead_s=1.0)
    clock_map = fitted(w)
    table = tabulate(clock_map, RATE_HZ)
    samples = w.rng.integers(0, int(RATE_HZ * w.duration_s), 50_000)
    knots = np.round(clock_map.stream_knots_s * RATE_HZ).astype("int64")
    samples = np.concatenate([samples, knots, knots - 1, knots + 1])
    got = table.apply(samples)
    np.testing.assert_allclose(got, clock_map.apply(samples / RATE_HZ), rtol=0, atol=ROUNDING_S)


def test_a_day_of_random_intervals_with_lost_pulses(world):
    w = world(duration_s=86_400.0, random_intervals=True, seed=3)
    clock_map = fit_clock(
        w.pulses("stream", drop=range(1000, 1300)), w.pulses("clock", drop=[5, 77]), **w.spans
    )
    samples = np.sort(w.rng.integers(0, int(RATE_HZ * w.duration_s), 100_000))
    table = tabulate(clock_map, RATE_HZ)
    expected = clock_map.apply(samples / RATE_HZ)
    np.testing.assert_allclose(table.apply(samples), expected, rtol=0, atol=ROUNDING_S)
    assert table.count_extrapolated(samples) == clock_map.extrapolated(samples / RATE_HZ).sum()


def test_outside_the_pulses_it_goes_on_at_the_fitted_rate(world):
    clock_map = fitted(world(duration_s=600.0))
    first, last = np.round(clock_map.stream_knots_s[[0, -1]] * RATE_HZ).astype("int64")
    samples = np.array([-40_000, 0, first - 1, first, last, last + 1, last + 10**8])
    table = tabulate(clock_map, RATE_HZ)
    expected = clock_map.apply(samples / RATE_HZ)
    np.testing.assert_allclose(table.apply(samples), expected, rtol=0, atol=ROUNDING_S)
    assert table.count_extrapolated(samples) == 5


def test_it_fills_what_it_is_given(world):
    table = tabulate(fitted(world(duration_s=100.0)), RATE_HZ)
    samples, out = np.arange(0, 3_000_000, 999), np.full(4000, np.nan)
    filled = table.apply(samples, out=out[: len(samples)])
    assert np.shares_memory(filled, out)
    np.testing.assert_array_equal(filled, table.apply(samples))
    assert np.isnan(out[len(samples) :]).all()


def test_a_streams_own_clock_is_sample_over_rate():
    table = tabulate(None, RATE_HZ)
    samples = np.array([0, 1, 29_999, 10**9])
    np.testing.assert_array_equal(table.apply(samples), samples / RATE_HZ)
    assert table.count_extrapolated(samples) == 0
    assert table.samples_around((1.0, 2.0)) == (29_999, 60_002)


def test_times_that_the_map_refuses_are_refused(world):
    table = tabulate(fitted(world(duration_s=100.0), max_extrapolation_s=5.0), RATE_HZ)
    np.testing.assert_array_less(table.apply(np.array([RATE_HZ * 50], "int64")), 60.0)
    with pytest.raises(ClockError, match="at most 5"):
        table.apply(np.array([int(RATE_HZ * 200)]))


def test_pulses_too_close_for_a_table_are_searched():
    pulses = np.cumsum(np.random.default_rng(0).choice([0.002, 1.3], 15_000))
    clock_map = fit_clock(pulses, pulses + 0.25)
    assert np.diff(clock_map.stream_knots_s).min() * RATE_HZ < 64
    table = tabulate(clock_map, RATE_HZ)
    samples = np.arange(0, 10**9, 1_234_567)
    expected = clock_map.apply(samples / RATE_HZ)
    np.testing.assert_allclose(table.apply(samples), expected, rtol=0, atol=ROUNDING_S)
    out = np.empty(len(samples))
    assert table.apply(samples, out=out) is out
    np.testing.assert_array_equal(out, table.apply(samples))


@settings(max_examples=60, deadline=None)
@given(st.floats(0.0, 90.0), st.floats(0.001, 20.0), st.integers(0, 10**6))
def test_samples_around_a_window_are_all_of_it(start_s, length_s, seed):
    rng = np.random.default_rng(seed)
    pulses = np.cumsum(rng.uniform(0.5, 1.5, 100))
    table = tabulate(fit_clock(pulses, 3.0 + pulses * (1 + 50e-6)), RATE_HZ)
    samples = np.sort(rng.integers(0, int(110 * RATE_HZ), 2000))
    window = (3.0 + start_s, 3.0 + start_s + length_s)
    seconds = table.apply(samples)
    inside = samples[(seconds >= window[0]) & (seconds < window[1])]
    low, high = table.samples_around(window)
    assert ((inside >= low) & (inside < high)).all()
    assert high - low <= length_s * RATE_HZ * (1 + 1e-3) + 5


@settings(max_examples=60, deadline=None)
@given(st.floats(-2.0, 60.0), st.floats(0.001, 20.0), st.integers(0, 10**6))
def test_samples_around_a_window_are_all_of_it_where_pauses_are(start_s, length_s, seed):
    """Every sample of a small stream in segments, against the time of each."""
    rng, rate_hz = np.random.default_rng(seed), 100.0
    lengths = rng.integers(1, 900, 4)
    pauses = rng.choice([0.0, 0.013, 3.3, 11.0], 3)
    starts = np.concatenate([[0.0], np.cumsum(lengths[:-1] / rate_hz + pauses)])
    axis = SegmentAxis(
        np.cumsum(lengths) - lengths, lengths, starts, np.zeros(4, "int16"), rate_hz
    )
    pulses = np.cumsum(rng.uniform(0.5, 1.5, 100))
    table = tabulate(fit_clock(pulses, 3.0 + pulses * (1 + 50e-6)), rate_hz, axis)
    samples = np.arange(axis.total_samples)
    seconds = table.apply(samples)
    inside = samples[(seconds >= start_s) & (seconds < start_s + length_s)]
    low, high = table.samples_around((start_s, start_s + length_s))
    assert ((inside >= low) & (inside < high)).all()
    held = max(0, min(high, axis.total_samples) - max(low, 0))
    assert held <= len(inside) + 5
    steps = np.diff(seconds)
    leaps = np.flatnonzero(steps > 1.2 / rate_hz)
    found = table.pauses_s()
    np.testing.assert_allclose(found[:, 1], seconds[leaps + 1], atol=1e-9)
    np.testing.assert_allclose(found[:, 0], seconds[leaps] + 1 / rate_hz, atol=1e-5)
    first, last = table.span_s(0, len(samples))
    assert first == seconds[0] and last == pytest.approx(seconds[-1] + 1 / rate_hz, abs=1e-5)


@pytest.mark.usefixtures("loops_either_way")
def test_steps_are_placed_as_the_samples_that_they_add_up_to(world):
    w = world(duration_s=900.0, period_s=0.5, thermal_ppm=3.0, lead_s=1.0)
    clock_map = fitted(w)
    knots = np.round(clock_map.stream_knots_s * RATE_HZ).astype("int64")
    some = w.rng.integers(0, int(RATE_HZ * 950), 20_000)
    samples = np.sort(np.concatenate([some, knots, knots - 1, knots + 1, knots]))
    planes = split_steps(np.diff(samples, prepend=0))
    axis = SegmentAxis(*(np.array([v]) for v in (0, 10**8, 3.0, 0)), RATE_HZ)
    limited = fitted(w, max_extrapolation_s=100.0)
    for table in (
        tabulate(clock_map, RATE_HZ),
        tabulate(None, RATE_HZ),
        tabulate(clock_map, RATE_HZ, axis),
        tabulate(limited, RATE_HZ),
    ):
        out = np.full(len(samples), np.nan)
        found = table.place_steps(planes, out)
        assert found == (table.count_extrapolated(samples), sum_bits(out))
        np.testing.assert_array_equal(out, table.apply(samples))  # to the bit


@pytest.mark.usefixtures("loops_either_way")
def test_no_steps_and_one(world):
    table = tabulate(fitted(world(duration_s=100.0)), RATE_HZ)
    assert table.place_steps((), np.empty(0)) == (0, 0)
    out = np.empty(1)
    assert table.place_steps(split_steps(np.array([7])), out)[0] == 1  # before the first pulse
    assert out == table.apply(np.array([7]))


def test_the_sum_of_bits_is_that_of_whole_numbers_modulo_their_range():
    seconds = np.array([-1.5, 1e300, 0.1, np.pi, -0.0])
    whole = sum(int.from_bytes(one.tobytes(), sys.byteorder) for one in seconds)
    assert sum_bits(seconds) == whole % 2**64
    assert whole > 2**64


@pytest.mark.usefixtures("loops_either_way")
def test_samples_before_the_first_and_far_behind_the_last_are_on_the_outer_lines(world):
    clock_map = fitted(world(duration_s=100.0))
    samples = np.array([-(10**9), -30_000, -1, 0, 10**7, 10**9])
    seconds = tabulate(clock_map, RATE_HZ).apply(samples)
    np.testing.assert_allclose(seconds, clock_map.apply(samples / RATE_HZ), rtol=0, atol=1e-7)
