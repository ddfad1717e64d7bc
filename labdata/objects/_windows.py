"""Spikes in windows around events: found and cut by compiled loops, or the same in NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labdata import loops
from labdata.objects._groups import Groups

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def spikes_around(
    groups: Groups,
    times: FloatArray,
    window_s: tuple[float, float],
    units: NDArray[np.int32],
    trials: NDArray[np.int32],
) -> tuple[FloatArray, NDArray[np.int32], NDArray[np.int32]]:
    """Return relative time, unit and trial of every spike in a window, sorted by unit and trial.

    Unit by unit, so that what is worked on stays in the processor's cache.

    Parameters
    ----------
    groups : Groups
        The spikes.
    times : ndarray of float64, shape (n_trials,)
        Events, seconds; NaN where none happened.
    window_s : (float, float)
        Start and stop around an event; the stop is not included.
    units, trials : ndarray of int32, shape (n_units,), (n_trials,)
        Labels.

    Returns
    -------
    relative : ndarray of float64, shape (n_found,)
        Seconds from the event.
    of_unit, of_trial : ndarray of int32, shape (n_found,)
        Labels of each.
    """
    low, high = _bounds(groups, times, window_s)
    totals = (high - low).sum(axis=1)
    stops = np.cumsum(totals)
    relative = np.empty(int(totals.sum()))
    of_trial = np.empty(len(relative), dtype=np.int32)
    cut = _cut if loops.compiled is None else loops.compiled.cut_windows
    for k, (begin, end) in enumerate(zip(stops - totals, stops, strict=True)):
        mine = slice(begin, end)
        cut(groups.time_s, times, low[k], high[k], trials, relative[mine], of_trial[mine])
    return relative, np.repeat(units, totals), of_trial


def _cut(
    time_s: FloatArray,
    times: FloatArray,
    low: IntArray,
    high: IntArray,
    trials: NDArray[np.int32],
    relative: FloatArray,
    of_trial: NDArray[np.int32],
) -> None:
    """Fill relative time and trial of one unit's spikes."""
    n = high - low
    at = np.arange(len(relative))
    at += np.repeat(low - (np.cumsum(n) - n), n)
    time_s.take(at, out=relative, mode="clip")  # unlike "raise", it needs no buffer
    relative -= np.repeat(times, n)
    of_trial[:] = np.repeat(trials, n)


def _bounds(
    groups: Groups, times: FloatArray, window_s: tuple[float, float]
) -> tuple[IntArray, IntArray]:
    """Return where each unit's spikes around each event begin and end, (n_units, n_trials)."""
    trial = np.flatnonzero(np.isfinite(times))
    trial = trial[np.argsort(times[trial], kind="stable")]
    event = times[trial]
    find = _find if loops.compiled is None else loops.compiled.bound_windows
    low = np.zeros((len(groups.start), len(times)), dtype=np.int64)
    high = np.zeros_like(low)
    begin, end = np.empty((2, len(event)), dtype=np.int64)
    for k, (a, b) in enumerate(zip(groups.start, groups.stop, strict=True)):
        find(groups.time_s[a:b], event, *window_s, begin, end)
        low[k, trial], high[k, trial] = a + begin, a + end
    return low, high


def _find(
    mine: FloatArray, event: FloatArray, start: float, stop: float, low: IntArray, high: IntArray
) -> None:
    """Fill where the spikes of one unit around ascending events begin and end.

    The relative time itself decides, as it is rounded; the sum of event and bound, rounded as
    well, may be one of a few spikes off.
    """
    for bound, found in ((start, low), (stop, high)):
        found[:] = mine.searchsorted(event + bound)
        for step in (-1, 1):
            while True:
                at = found + min(step, 0)
                there = (at >= 0) & (at < len(mine))
                relative = mine[np.where(there, at, 0)] - event if len(mine) else event
                wrong = there & ((relative >= bound) if step < 0 else (relative < bound))
                if not wrong.any():
                    break
                found[wrong] += step
