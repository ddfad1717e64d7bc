"""Bursts of pulses with long pauses: no jump is seen where none is, and those there are, are.

The oracle is the planted relation of the clocks, and the planted jump.
"""

from dataclasses import dataclass

import numpy as np
import pytest

from labdata.clocks import fit_clock, match_pulses
from labdata.errors import ClockError
from tests.unit.clocks.test_jumps import jump_told

RATE_HZ = 30000.0


@dataclass
class Bursts:
    """True times of bursts, what each clock logs of them, and where the clock jumped."""

    seed: int
    regular: bool
    lost: float = 0.0
    jump: str = ""

    def __post_init__(self):
        rng = np.random.default_rng(self.seed)
        self.period_s = float(np.exp(rng.uniform(np.log(0.05), np.log(3.0))))
        bursts, at_s = [], rng.uniform(1.0, 20.0)
        for _ in range(int(rng.integers(3, 9))):
            n = int(rng.integers(6, 41))
            steps = np.ones(n) if self.regular else rng.uniform(0.5, 1.5, n)
            bursts.append(at_s + np.cumsum(steps) * self.period_s)
            at_s = bursts[-1][-1] + rng.uniform(10.0, 600.0)
        self.true_s = np.concatenate(bursts)
        self.rate = 1 + rng.uniform(-50e-6, 50e-6)
        first = np.cumsum([len(burst) for burst in bursts])[:-1]
        self.behind = int(rng.choice(first[:-1])) if self.jump else len(self.true_s)
        if self.jump == "inside":
            self.behind += 3
        self.pause_s = float(np.diff(self.true_s)[self.behind - 1]) if self.jump else 0.0
        least_s = 5e-3 + 1e-4 * self.pause_s
        self.step_s = least_s + float(np.exp(rng.uniform(np.log(1e-3), np.log(2.0))))
        if self.jump == "whole":
            self.step_s = self.period_s * int(rng.integers(1, 4))
        self.stream_s, self.clock_s = (
            self.log(rng, times_s, rate_hz)
            for times_s, rate_hz in (
                (self.true_s, RATE_HZ),
                (self.clock(), float(rng.choice([25000.0, RATE_HZ]))),
            )
        )

    def clock(self):
        behind = np.arange(len(self.true_s)) >= self.behind
        return self.true_s * self.rate + behind * self.step_s * bool(self.jump)

    def log(self, rng, times_s, rate_hz):
        seen = times_s[rng.random(len(times_s)) >= self.lost]
        return np.ceil((seen + rng.normal(0, 1 / rate_hz, len(seen))) * rate_hz) / rate_hz


@pytest.mark.parametrize("lost", [0.0, 0.03])
@pytest.mark.parametrize("regular", [True, False])
def test_no_jump_is_seen_where_none_is(regular, lost):
    refused = 0
    for seed in range(100):
        one = Bursts(seed, regular, lost)
        try:
            fitted = fit_clock(one.stream_s, one.clock_s)
        except ClockError:
            refused += 1
            continue
        first, last = fitted.covered_s
        inside = one.true_s[(one.true_s >= first) & (one.true_s <= last)]
        assert np.abs(fitted.apply(inside) - inside * one.rate).max() < 2e-4
        if regular:
            assert len(inside) > 0.9 * len(one.true_s)
            assert lost or not fitted.report.ambiguous_offset
    assert refused <= (1 if lost else 0)


@pytest.mark.parametrize("jump", ["pause", "inside"])
@pytest.mark.parametrize("regular", [True, False])
def test_jumps_are_refused_with_place_and_size(regular, jump):
    told = wrong = 0
    for seed in range(60):
        one = Bursts(seed, regular, jump=jump)
        try:
            fitted = fit_clock(one.stream_s, one.clock_s)
        except ClockError as caught:
            if "jumps by" not in str(caught):
                continue
            off_s = jump_told(caught) - one.step_s
            if regular:  # but for whole periods
                off_s -= one.period_s * round(off_s / one.period_s)
            after, before = one.true_s[[one.behind - 1, one.behind]]
            words = str(caught).split()
            at = float(words[words.index("between") + 1]), float(words[words.index("and") + 1])
            told += at[0] - 1e-3 <= after < before <= at[1] + 1e-3 and abs(off_s) < 0.05
        else:  # a map of one side is right there
            first, last = fitted.covered_s
            inside = (one.true_s >= first) & (one.true_s <= last)
            error = fitted.apply(one.true_s[inside]) - one.clock()[inside]
            whole = round(float(error[np.argmax(np.abs(error))]) / one.period_s) if regular else 0
            wrong += np.abs(error).max() > 2e-3 and not whole
    assert told >= 45 and wrong <= 1


def test_whole_periods_at_a_pause_show_by_the_first_and_last_pulse_of_each_burst():
    refused = 0
    for seed in range(60):
        one = Bursts(seed, True, jump="whole")
        try:
            match_pulses(one.stream_s, one.clock_s)
        except ClockError as caught:
            refused += "jumps by" in str(caught)
    assert refused >= 50


def test_pulses_that_came_late_for_a_while_are_no_jump():
    rng = np.random.default_rng(0)
    true = np.cumsum(rng.uniform(0.5, 1.5, 600))
    late = true.copy()
    late[300:306] += 4e-3
    match = match_pulses(true, late)
    assert match.n_matched == 594
    np.testing.assert_array_equal(match.missing_in_clock, np.arange(300, 306))


def test_a_jump_is_seen_before_a_pause_that_would_hide_it():
    true = np.concatenate([start + np.arange(30) * 0.5 for start in (5.0, 400.0, 900.0, 1500.0)])
    clock = true + 0.006 * (np.arange(120) >= 45)
    with pytest.raises(
        ClockError, match=r"jumps by \+0\.006 s .* between 40\d\.\d+ and 4[01]\d\."
    ):
        match_pulses(true, clock)


def test_a_pulse_that_fits_by_accident_behind_a_jump_does_not_bridge_it():
    rng = np.random.default_rng(1)
    true = np.cumsum(rng.uniform(0.05, 0.15, 300))
    clock = true + 0.125 * (np.arange(300) >= 250)
    clock[280] = true[279]
    clock = np.sort(clock)
    with pytest.raises(ClockError, match=r"jumps by \+0\.125 s"):
        match_pulses(true, clock)
