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
    ahead, behind = (
        _walk(times[first:], period, tolerance),
        _walk(_turned(times[: last + 1]), period, tolerance),
    )
    position, number = first + ahead[0], ahead[1]
    position_behind, number_behind = (last - behind[0])[::-1], -behind[1][::-1]
    shared = np.isin(position, position_behind, assume_unique=True)
    if not shared.any():
        return None
    # where the two meet they are made one, so that no number is given twice
    meet = int(np.argmax(shared))
    before = int(np.searchsorted(position_behind, position[meet]))
    number_behind += number[meet] - number_behind[before]
    index = np.concatenate([position_behind[:before], position[meet:]])
    if len(index) < REGULAR_SHARE * len(times):
        return None
    number = np.concatenate([number_behind[:before], number[meet:]])
    return Numbering(index, number - number[0], period)


def _turned(times: list[float]) -> list[float]:
    return [-t for t in reversed(times)]


def _longest_run(regular: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the first and last pulse of the longest run of regular intervals."""
    padded = np.concatenate([[False], regular, [False]]).astype(np.int8)
    steps = np.diff(padded)
    starts, stops = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    longest = int(np.argmax(stops - starts))
    return int(starts[longest]), int(stops[longest])


def _walk(times: list[float], period: float, tolerance: float) -> tuple[IntArray, IntArray]:
    """Return positions and numbers from the first pulse on, without those that do not fit.

    Where intervals follow that are within half the tolerance, the period that is followed stays
    within it too, so that each is one period: such stretches are numbered in one go.
    """
    numbered = _Numbered()
    first_period, reach = period, _reach(times, period, tolerance / 2)
    last, number, run, k = times[0], 0, 0, 0
    while (k := k + 1) < len(times):
        steps = round((times[k] - last) / period)
        allowed = min(tolerance + 2e-4 * period * max(steps - 1, 0), 0.3 * period)
        if steps >= 1 and abs(times[k] - last - steps * period) <= allowed:
            number += steps
            numbered.add(k, number)
            period += FOLLOWED * ((times[k] - last) / steps - period)
            if reach[k] - k > WORTH_A_LEAP and abs(period - first_period) < tolerance / 2:
                numbered.add(k + 1, number + 1, reach[k] - k)
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
                numbered.drop_last()
            number += gap
            numbered.add(start, number, run + 1)
            number, last, run = number + run, times[k], 0
    return numbered.to_arrays()


class _Numbered:
    """Pulses with their numbers, as stretches in which both go up by one: the first is 0, 0."""

    def __init__(self) -> None:
        self._position, self._number, self._count = [0], [0], [1]

    def add(self, position: int, number: int, count: int = 1) -> None:
        """Add a stretch."""
        self._position.append(position)
        self._number.append(number)
        self._count.append(count)

    def drop_last(self) -> None:
        """Take the last pulse back."""
        self._count[-1] -= 1

    def to_arrays(self) -> tuple[IntArray, IntArray]:
        """Return positions and numbers of all pulses, ascending."""
        count = np.array(self._count)
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        position, number = (
            np.repeat(np.array(of, np.int64), count) + within
            for of in (self._position, self._number)
        )
        return position, number


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
