"""From logged edges to the onsets of a pulse train.

One stream logs both edges of a line (value 1 a rise, 0 a fall), another only its onsets. Both
become the same thing here, a sorted train of onsets in seconds, because everything after this
compares trains. Glitches are taken out *and handed back*: a pulse that was removed in silence
could have been a real one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labdata.errors import ClockError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Onsets:
    """The onsets of a pulse train, and what was taken out of it.

    Attributes
    ----------
    onsets_s : ndarray of float64, shape (n_onsets,)
        Accepted onsets in seconds, ascending.
    glitches_s : ndarray of float64, shape (n_glitches,)
        Onsets in seconds that were judged to be glitches, ascending.
    """

    onsets_s: FloatArray
    glitches_s: FloatArray


def as_times(times_s: ArrayLike, name: str) -> FloatArray:
    """Return times as a finite, ascending float64 vector.

    Parameters
    ----------
    times_s : array_like, shape (n,)
        Times in seconds.
    name : str
        What the times are, for the error.

    Returns
    -------
    ndarray of float64, shape (n,)

    Raises
    ------
    ClockError
        If the times are not one-dimensional, not finite or go backwards.
    """
    times = np.asarray(times_s, dtype=np.float64)
    if times.ndim != 1:
        raise ClockError(f"The {name} have {times.ndim} dimensions; pulse times are a vector.")
    if not np.isfinite(times).all():
        bad = int(np.flatnonzero(~np.isfinite(times))[0])
        raise ClockError(
            f"The {name} hold {times[bad]} at position {bad}.",
            hint="Drop the events that have no time before matching clocks.",
        )
    backwards = np.flatnonzero(np.diff(times) < 0)
    if len(backwards):
        k = int(backwards[0])
        raise ClockError(
            f"The {name} go backwards at position {k + 1}: {times[k]:.6f} s, "
            f"then {times[k + 1]:.6f} s.",
            hint="Sort the events by time; if they were sorted, the stream's clock was reset "
            "and its parts must be matched one by one.",
        )
    return times


def select_onsets(timestamps_s: ArrayLike, values: ArrayLike | None = None) -> FloatArray:
    """Return the onsets of a line, whichever way its edges were logged.

    Parameters
    ----------
    timestamps_s : array_like, shape (n_edges,)
        Time of each logged edge in seconds, ascending.
    values : array_like, shape (n_edges,), optional
        Level after each edge: nonzero a rise, 0 a fall. ``None``, or a single level throughout
        that is not 0, means that only onsets were logged.

    Returns
    -------
    ndarray of float64, shape (n_onsets,)
        Rises in seconds.

    Raises
    ------
    ClockError
        If the lengths differ, times are not finite and ascending, or only falls were logged.
    """
    times = as_times(timestamps_s, "edge times")
    if values is None or len(times) == 0:
        return times
    rises = _levels(values, times)
    if not rises.any():
        raise ClockError(
            f"All {len(times)} edges are falls (value 0): there is no onset to match.",
            hint="Pass values=None if this stream logs one edge a pulse and calls it 0.",
        )
    return times[rises]


def remove_glitches(
    timestamps_s: ArrayLike,
    values: ArrayLike | None = None,
    *,
    width_fraction: float = 0.2,
    interval_fraction: float = 0.02,
) -> Onsets:
    """Separate the onsets of real pulses from glitches.

    With both edges logged, a pulse narrower than `width_fraction` of the usual width is a glitch,
    and so is a gap inside a pulse that is shorter than `width_fraction` of the usual gap. Then, or
    with onsets only, of two onsets closer than `interval_fraction` of the usual interval the one
    that fits the rhythm of its neighbours is kept (the earlier where neither fits better). If that
    guess is wrong the kept pulse misses the matching tolerance and is reported there.

    Parameters
    ----------
    timestamps_s : array_like, shape (n_edges,)
        Time of each logged edge in seconds, ascending.
    values : array_like, shape (n_edges,), optional
        Level after each edge, see :func:`select_onsets`.
    width_fraction : float
        Fraction of the median width (and of the median gap) below which a pulse is a glitch.
    interval_fraction : float
        Fraction of the median interval between onsets below which one of the two is a glitch.

    Returns
    -------
    Onsets

    Raises
    ------
    ClockError
        As :func:`select_onsets`.
    """
    times = as_times(timestamps_s, "edge times")
    onsets = select_onsets(times, values)
    glitches = [np.empty(0)]
    if values is not None and len(onsets) < len(times):
        onsets, narrow = _drop_narrow(times, _levels(values, times), width_fraction)
        glitches.append(narrow)
    onsets, close = _drop_close(onsets, interval_fraction)
    glitches.append(close)
    return Onsets(onsets, np.sort(np.concatenate(glitches)))


def _levels(values: ArrayLike, times: FloatArray) -> NDArray[np.bool_]:
    levels = np.asarray(values)
    if levels.shape != times.shape:
        raise ClockError(
            f"There are {len(times)} edge times but the values have shape {levels.shape}.",
            hint="Each edge needs one value: 1 for a rise, 0 for a fall.",
        )
    return levels.astype(np.bool_)


def _drop_narrow(
    times: FloatArray, levels: NDArray[np.bool_], fraction: float
) -> tuple[FloatArray, FloatArray]:
    """Remove pulses and gaps much shorter than the median one, shortest of neighbours first."""
    usual = np.array([_usual_length(times, levels, kind) for kind in (False, True)])
    glitches = [np.empty(0)]
    while len(times) > 2:
        length = np.where(levels[:-1] != levels[1:], np.diff(times), np.inf)
        length[length >= fraction * usual[levels[:-1].astype(np.intp)]] = np.inf
        around = np.concatenate([[np.inf], length, [np.inf]])
        short = np.isfinite(length) & (length <= around[2:]) & (length < around[:-2])
        gone = np.flatnonzero(short)
        if len(gone) == 0:
            break
        gone = np.concatenate([gone, gone + 1])
        glitches.append(times[gone][levels[gone]])
        times, levels = np.delete(times, gone), np.delete(levels, gone)
    return times[levels], np.sort(np.concatenate(glitches))


def _usual_length(times: FloatArray, levels: NDArray[np.bool_], kind: bool) -> float:
    """Return the median length of the pulses (or gaps); 0 if there are too few to say."""
    starts = np.flatnonzero((levels[:-1] == kind) & (levels[1:] != kind))
    return float(np.median(times[starts + 1] - times[starts])) if len(starts) >= 3 else 0.0


def _drop_close(onsets: FloatArray, fraction: float) -> tuple[FloatArray, FloatArray]:
    """Keep one of each pair of onsets that are absurdly close."""
    if len(onsets) < 4:
        return onsets, np.empty(0)
    usual = float(np.median(np.diff(onsets)))
    kept = onsets.tolist()
    glitches: list[float] = []
    while len(kept) >= 4:
        train = np.asarray(kept)
        close = np.flatnonzero(np.diff(train) < fraction * usual)
        if len(close) == 0:
            break
        # One pair of a cluster at a time, clusters all at once.
        close = close[np.r_[True, np.diff(close) > 1]]
        gone = [_worse(train, int(k), usual) for k in close]
        glitches += train[gone].tolist()
        kept = np.delete(train, gone).tolist()
    return np.asarray(kept), np.sort(np.asarray(glitches))


def _worse(train: FloatArray, first: int, usual: float) -> int:
    """Return which of the onsets `first` and `first + 1` fits its neighbours' rhythm less well."""
    around = [k for k in (first - 1, first + 2) if 0 <= k < len(train)]

    def misfit(k: int) -> float:
        beats = np.abs(train[around] - train[k]) / usual
        return float(np.abs(beats - np.round(beats)).sum())

    return first if misfit(first + 1) < misfit(first) else first + 1
