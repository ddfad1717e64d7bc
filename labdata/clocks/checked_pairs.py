"""Pairs of pulses that a smooth relation of the two clocks explains, and holes between them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labdata.clocks.patterns import nearest_pairs, predict
from labdata.clocks.rough_pairs import FEWEST_PULSES, RoughPairs
from labdata.clocks.smoothing import local_line, running_median, straight_line
from labdata.errors import ClockError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: A pair this many times further off than is usual is none, from so many pairs on and not below
#: this error in seconds, which is that of sampling.
STRANGE, FEWEST_TO_JUDGE, STRANGE_S = 8.0, 20, 8e-5


def find_holes(n_stream: int, n_clock: int, i: IntArray, j: IntArray) -> NDArray[np.bool_]:
    """Return before which pairs (and after the last) several pulses of both sides have none.

    Parameters
    ----------
    n_stream, n_clock : int
        All pulses of either side.
    i, j : ndarray of int64, shape (n_pairs,)
        Positions of partners in each, ascending.

    Returns
    -------
    ndarray of bool, shape (n_pairs + 1,)
    """
    alone = (np.diff(np.r_[-1, i, n_stream]), np.diff(np.r_[-1, j, n_clock]))
    return np.asarray(np.minimum(*alone) > FEWEST_PULSES)


def check_pairs(
    stream: FloatArray, clock: FloatArray, rough: RoughPairs, tolerance_s: float
) -> tuple[IntArray, IntArray]:
    """Keep the pairs that a smooth relation of the clocks explains; look for lost partners.

    Parameters
    ----------
    stream, clock : ndarray of float64
        All pulses of either side, seconds, ascending.
    rough : RoughPairs
        What is to be checked.
    tolerance_s : float
        Largest error of a pulse, seconds.

    Returns
    -------
    i, j : ndarray of int64, shape (n_pairs,)
        Positions of partners in each, ascending.

    Raises
    ------
    ClockError
        If too few are left.
    """
    i, j = rough.i, rough.j
    for _ in range(2):
        if len(i) < FEWEST_PULSES:
            break
        kept = _smooth_pairs(stream[i], clock[j], tolerance_s)
        if kept.sum() < FEWEST_PULSES:
            i, j = i[kept], j[kept]
            break
        x, y = stream[i][kept], clock[j][kept]
        level, slope = straight_line(x, y)
        line = local_line(x, y - level - slope * x, min(21, len(x)))[0]
        everything = np.arange(len(stream))
        guess = predict(x, line + level + slope * x, stream)
        i, j = nearest_pairs(everything, guess, clock, tolerance_s)
        i, j = _without_accidents(len(stream), len(clock), i, j)
    if len(i) < FEWEST_PULSES:
        raise ClockError(
            f"Only {len(i)} of {min(len(stream), len(clock))} pulses agree within "
            f"{tolerance_s:.3g} s; typical error {_typical_error(stream, clock, rough):.3g} s.",
            hint="Check that both events are the same sync line; a jittery one needs a larger "
            "tolerance_s.",
        )
    return _without_strangers(stream, clock, i, j)


def _without_accidents(
    n_stream: int, n_clock: int, i: IntArray, j: IntArray
) -> tuple[IntArray, IntArray]:
    """Leave out a pair or two among pulses of both sides that fit nothing.

    Behind a jump some pulses come within the tolerance of others by accident.
    """
    if len(i) == 0:
        return i, j
    hole = find_holes(n_stream, n_clock, i, j)
    run = np.cumsum(hole[:-1])
    kept = (np.bincount(run) >= FEWEST_PULSES)[run]
    # at a train's end that all pulses reach a short run stands by no hole
    kept |= (run == run[0]) & ~hole[0] | (run == run[-1]) & ~hole[-1]
    return i[kept], j[kept]


def _without_strangers(
    stream: FloatArray, clock: FloatArray, i: IntArray, j: IntArray
) -> tuple[IntArray, IntArray]:
    """Leave out pairs that are far off for these pulses, though within the tolerance.

    A spurious pulse that came within the tolerance of one that was lost would bend the map.
    """
    if len(i) < FEWEST_TO_JUDGE:
        return i, j
    level, slope = straight_line(stream[i], clock[j])
    error = clock[j] - level - slope * stream[i]
    error = error - running_median(error, 11)
    usual_s = 1.4826 * float(np.median(np.abs(error)))
    kept = np.abs(error) <= max(STRANGE * usual_s, STRANGE_S)
    return i[kept], j[kept]


def _smooth_pairs(x: FloatArray, y: FloatArray, tolerance_s: float) -> NDArray[np.bool_]:
    level, slope = straight_line(x, y)
    error = y - level - slope * x
    return np.abs(error - running_median(error, 11)) <= tolerance_s


def _typical_error(stream: FloatArray, clock: FloatArray, rough: RoughPairs) -> float:
    if len(rough.i) < 2:
        return float("nan")
    x, y = stream[rough.i], clock[rough.j]
    level, slope = straight_line(x, y)
    error = y - level - slope * x
    return float(np.median(np.abs(error - running_median(error, 11))))
