"""Number the pulses of a regular train, so that missing ones are missing numbers.

A regular train carries no code, but each interval is a whole number of periods. Going from
pulse to pulse and rounding gives each a number; a dropped pulse is a number that is skipped and a
spurious one has none. The period is followed as it goes, because clocks warm up and generators
wander, and a fixed one would be half a period off after a day.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Share of the pulses that must fit whole periods for a train to be regular.
REGULAR_SHARE = 0.7
#: Regular intervals in a row after which a train that lost its phase is taken up again.
RESTART_AFTER = 5
#: Share of each interval in the period that is followed; after so many an interval is forgotten.
FOLLOWED, FORGOTTEN = 0.05, 500
#: Regular intervals in a row from which on they are numbered in one go.
WORTH_A_LEAP = 20


@dataclass(frozen=True, eq=False)
class Numbering:
    """Whole-period numbers of a regular train.

    Attributes
    ----------
    index : ndarray of int64, shape (n_on_grid,)
        Which pulses have a number.
    number : ndarray of int64, shape (n_on_grid,)
        Their numbers, ascending, the first is 0.
    period_s : float
        Median period in seconds on the train's own clock.
    """

    index: IntArray
    number: IntArray
    period_s: float


def number_pulses(times_s: FloatArray) -> Numbering | None:
    """Return the numbers of the pulses of a regular train.

    Parameters
    ----------
    times_s : ndarray of float64, shape (n,)
        Onsets in seconds, ascending.

    Returns
    -------
    Numbering or None
        None if fewer than :data:`REGULAR_SHARE` of the pulses fit whole periods.
    """
    if len(times_s) < 3:
        return None
    intervals = np.diff(times_s)
    period = float(np.median(intervals))
    near = intervals[np.abs(intervals - period) < 0.2 * period]
    if period <= 0 or len(near) < 0.3 * len(intervals):
        return None
    period = float(np.median(near))
    spread = 1.4826 * float(np.median(np.abs(near - period)))
    tolerance = min(max(0.02 * period, 6 * spread), 0.1 * period)
    regular = np.abs(intervals - period) < tolerance
    if not regular.any():  # an even number of intervals, all off their median
        return None
    first, last = _longest_run(regular)
    times = times_s.tolist()
    numbers = {first + k: number for k, number in _walk(times[first:], period, tolerance)}
    behind = {last - k: -n for k, n in _walk([-t for t in times[last::-1]], period, tolerance)}
    both = numbers.keys() & behind.keys()
    if not both:
        return None
    # where the two meet they are made one, so that no number is given twice
    meet = min(both)
    base = numbers[meet] - behind[meet]
    numbers = {k: n for k, n in numbers.items() if k >= meet}
    numbers |= {k: base + n for k, n in behind.items() if k < meet}
    if len(numbers) < REGULAR_SHARE * len(times):
        return None
    index = np.array(sorted(numbers), dtype=np.int64)
    number = np.array([numbers[k] for k in index.tolist()], dtype=np.int64)
    return Numbering(index, number - number[0], period)


def _longest_run(regular: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the first and last pulse of the longest run of regular intervals."""
    padded = np.concatenate([[False], regular, [False]]).astype(np.int8)
    steps = np.diff(padded)
    starts, stops = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    longest = int(np.argmax(stops - starts))
    return int(starts[longest]), int(stops[longest])


def _walk(times: list[float], period: float, tolerance: float) -> list[tuple[int, int]]:
    """Return (position, number) from the first pulse on, without those that do not fit.

    Where intervals follow that are within half the tolerance, the period that is followed stays
    within it too, so that each is one period: such stretches are numbered in one go.
    """
    numbered = [(0, 0)]
    first_period, reach = period, _reach(times, period, tolerance / 2)
    last, number, run, k = times[0], 0, 0, 0
    while (k := k + 1) < len(times):
        steps = round((times[k] - last) / period)
        allowed = min(tolerance + 2e-4 * period * max(steps - 1, 0), 0.3 * period)
        if steps >= 1 and abs(times[k] - last - steps * period) <= allowed:
            number += steps
            numbered.append((k, number))
            period += FOLLOWED * ((times[k] - last) / steps - period)
            if reach[k] - k > WORTH_A_LEAP and abs(period - first_period) < tolerance / 2:
                numbered += [(m, number + m - k) for m in range(k + 1, reach[k] + 1)]
                period = _follow(times[k : reach[k] + 1], period)
                number, k = number + reach[k] - k, reach[k]
            last, run = times[k], 0
            continue
        run = run + 1 if abs(times[k] - times[k - 1] - period) <= tolerance else 0
        if run >= RESTART_AFTER:
            # The generator came back with another phase, or the last pulse was a spurious one just
            # before its neighbour: the rounded gap keeps the numbers, and none is given twice.
            start = k - run
            gap = round((times[start] - last) / period)
            if gap == 0:
                numbered.pop()
            number += gap
            numbered += [(start + m, number + m) for m in range(run + 1)]
            number, last, run = number + run, times[k], 0
    return numbered


def _reach(times: list[float], period: float, tolerance: float) -> list[int]:
    """Return for each pulse the last one to which all intervals are within the tolerance."""
    off = np.abs(np.diff(times) - period) >= tolerance
    ends = np.append(np.flatnonzero(off), len(times) - 1)
    reach: list[int] = ends[np.searchsorted(ends, np.arange(len(times)))].tolist()
    return reach


def _follow(times: list[float], period: float) -> float:
    """Return the period that is followed after intervals of one period each."""
    recent = np.diff(times[-FORGOTTEN - 1 :])
    kept = (1 - FOLLOWED) ** np.arange(len(recent) - 1, -1, -1)
    return float((1 - FOLLOWED) ** len(recent) * period + FOLLOWED * (kept @ recent))
