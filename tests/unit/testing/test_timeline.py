"""Clocks, lines and stimuli against plain evaluation sample by sample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labdata.errors import FormatError
from labdata.testing import timeline
from labdata.testing.truth import ClockTruth

CLOCK = ClockTruth("nidq", 1000.0, 1000.0 * (1 + 3e-4), -0.31, 9000)


def test_clock_by_hand() -> None:
    clock = ClockTruth("imec0", 100.0, 101.0, 2.0, 500)
    assert clock.samples_at(3.0) == 101.0
    assert clock.seconds_at(3.0) == 1.01
    assert clock.true_at(1.01) == 3.0
    assert clock.first_samples_from([2.0, 2.001, 3.0]).tolist() == [0, 1, 101]


@given(
    st.floats(-500, 500), st.floats(-500, 500), st.floats(-5, 5), st.floats(-5, 5),
    st.floats(0, 5000),
)  # fmt: skip
def test_maps_between_clocks_go_through_true_time(
    ppm_a: float, ppm_b: float, start_a: float, start_b: float, true_s: float
) -> None:
    a = ClockTruth("a", 30000.0, 30000.0 * (1 + ppm_a * 1e-6), start_a, 1)
    b = ClockTruth("b", 30003.0003, 30003.0003 * (1 + ppm_b * 1e-6), start_b, 1)
    slope, offset = a.map_to(b)
    assert slope * a.seconds_at(true_s) + offset == pytest.approx(b.seconds_at(true_s), abs=1e-7)
    assert a.true_at(a.seconds_at(true_s)) == pytest.approx(true_s, abs=1e-9)


def brute_levels(line: timeline.Line, clock: ClockTruth) -> np.ndarray:
    true_s = clock.start_s + np.arange(clock.n_samples) / clock.true_rate_hz
    on = np.zeros(clock.n_samples, bool)
    for a, b in zip(line.on_s, line.off_s, strict=True):
        on |= (true_s >= a) & (true_s < b)
    return on


@pytest.fixture
def line() -> timeline.Line:
    rng = np.random.default_rng(3)
    return timeline.sync_line(rng, -0.4, 9.0, jitter_s=0.2)


def test_levels_and_edges(line: timeline.Line) -> None:
    expected = brute_levels(line, CLOCK)
    np.testing.assert_array_equal(line.levels(CLOCK, 0, CLOCK.n_samples), expected)
    parts = [line.levels(CLOCK, a, min(a + 777, 9000)) for a in range(0, 9000, 777)]
    np.testing.assert_array_equal(np.concatenate(parts), expected)
    change = np.diff(expected.astype(int))
    rise, fall = line.edges(CLOCK)
    np.testing.assert_array_equal(rise, np.flatnonzero(change == 1) + 1)
    np.testing.assert_array_equal(fall, np.flatnonzero(change == -1) + 1)
    assert rise.size and fall.size


def test_a_square_wave_has_equal_intervals() -> None:
    square = timeline.sync_line(np.random.default_rng(0), -1.0, 10.0)
    np.testing.assert_allclose(np.diff(square.on_s), 1.0)
    np.testing.assert_allclose(square.off_s - square.on_s, 0.5)
    with pytest.raises(FormatError, match="does not fit"):
        timeline.sync_line(np.random.default_rng(0), 0.0, 1.0, jitter_s=0.3)


def test_damage_loses_and_adds_what_it_says(line: timeline.Line) -> None:
    damaged, dropped, spurious = timeline.damage(np.random.default_rng(1), line, 2, 3)
    assert dropped.size == 2 and spurious.size == 3
    assert damaged.on_s.size == line.on_s.size - 2 + 3
    kept = np.setdiff1d(line.on_s, line.on_s[dropped])
    np.testing.assert_array_equal(np.sort(np.concatenate([kept, spurious])), damaged.on_s)
    assert dropped.min() >= 2 and dropped.max() < line.on_s.size - 2
    for time_s in spurious:  # within a gap
        assert not ((line.on_s <= time_s) & (time_s <= line.off_s)).any()
    assert (damaged.on_s[1:] > damaged.off_s[:-1]).all()


def test_chosen_pulses_are_dropped(line: timeline.Line) -> None:
    damaged, dropped, _ = timeline.damage(np.random.default_rng(1), line, [4, 1], 0)
    assert dropped.tolist() == [1, 4]
    np.testing.assert_array_equal(damaged.on_s, np.delete(line.on_s, [1, 4]))
    with pytest.raises(FormatError, match="asked to drop"):
        timeline.damage(np.random.default_rng(1), line, [99], 0)


@pytest.mark.parametrize("duration_s", [1.5, 4.0, 20.0, 63.0])
def test_each_orientation_is_shown_equally_often(duration_s: float) -> None:
    shown = timeline.stimuli(np.random.default_rng(0), duration_s, period_s=0.75, width_s=0.25)
    pairs = list(zip(shown.stim.tolist(), shown.trial.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs) == shown.line.on_s.size
    if pairs:
        n_kinds, repeats = shown.stim.max() + 1, shown.trial.max() + 1
        assert len(pairs) == n_kinds * repeats
        assert (shown.line.on_s[1:] > shown.line.off_s[:-1]).all()
        assert shown.line.off_s.max() < duration_s
    np.testing.assert_array_equal(shown.orientation_deg, shown.stim * 22.5)
