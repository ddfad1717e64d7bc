"""Find where two irregular pulse trains are the same.

The ratios of successive intervals do not depend on offset or rate, so a few of them in a row are
a fingerprint of a place in the train. Places whose fingerprints agree are grown outwards, each
step predicting the next pulses from those matched so far, which follows any drift of the clocks.
Random trains and barcodes are matched this way; regular ones have no fingerprint
(see :mod:`labdata.clocks.alignment`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Intervals that make a fingerprint.
CONTEXT = 5
#: Places of the stream that are looked up in the clock's train.
PROBES = 300
#: Places that are grown to a full match before the best is taken.
TRIALS = 6


def find_places(
    stream_s: FloatArray, clock_s: FloatArray, *, tolerance_s: float, most_rate_error: float
) -> NDArray[np.float64]:
    """Return pairs of pulses after which several intervals agree, best supported first.

    Parameters
    ----------
    stream_s, clock_s : ndarray of float64, shape (n,)
        Onsets in seconds on each clock.
    tolerance_s : float
        Largest timing error of a pulse.
    most_rate_error : float
        Largest difference of the two rates from one another, as a fraction.

    Returns
    -------
    ndarray of float64, shape (n_places, 3)
        Stream index, clock index and rate (clock seconds a stream second).
    """
    m = CONTEXT
    if min(len(stream_s), len(clock_s)) < m + 1:
        return np.empty((0, 3))
    d, e = np.maximum(np.diff(stream_s), 1e-9), np.maximum(np.diff(clock_s), 1e-9)
    x, y = np.diff(np.log(d)), np.diff(np.log(e))
    n, k = len(stream_s) - m, len(clock_s) - m
    probes = np.unique(np.linspace(0, n - 1, min(n, PROBES)).astype(np.int64))
    slack = 2 * tolerance_s * (1 / d[:-1] + 1 / d[1:])
    order = np.argsort(y[:k], kind="stable")
    low = np.searchsorted(y[:k][order], x[probes] - slack[probes])
    high = np.searchsorted(y[:k][order], x[probes] + slack[probes])
    i = np.repeat(probes, high - low)
    within = np.arange(len(i)) - np.repeat(np.cumsum(high - low) - (high - low), high - low)
    j = order[np.repeat(low, high - low) + within]
    for step in range(1, m - 1):
        agree = np.abs(x[i + step] - y[j + step]) <= slack[i + step]
        i, j = i[agree], j[agree]
    rate = (clock_s[j + m] - clock_s[j]) / (stream_s[i + m] - stream_s[i])
    sane = np.abs(np.log(np.maximum(rate, 1e-9))) <= np.log1p(most_rate_error)
    i, j, rate = i[sane], j[sane], rate[sane]
    return _by_support(stream_s, clock_s, i, j, rate, tolerance_s)


def grow(
    stream_s: FloatArray,
    clock_s: FloatArray,
    place: FloatArray,
    *,
    tolerance_s: float,
) -> tuple[IntArray, IntArray]:
    """Extend a place outwards to all the pulses that agree with it.

    Parameters
    ----------
    stream_s, clock_s : ndarray of float64, shape (n,)
        Onsets in seconds on each clock.
    place : ndarray of float64, shape (3,)
        Stream index, clock index and rate.
    tolerance_s : float
        Largest timing error of a pulse.

    Returns
    -------
    stream_index, clock_index : ndarray of int64, shape (n_pairs,)
    """
    i, j, rate = int(place[0]), int(place[1]), float(place[2])
    reach = stream_s[min(i + CONTEXT, len(stream_s) - 1)] - stream_s[i]
    pairs_i = np.arange(i, min(i + CONTEXT + 1, len(stream_s)))
    guess = clock_s[j] + rate * (stream_s[pairs_i] - stream_s[i])
    pairs_i, pairs_j = nearest_pairs(pairs_i, guess, clock_s, 2 * tolerance_s)
    low, high = stream_s[i] - reach / 2, stream_s[i] + 1.5 * reach
    while len(pairs_i) >= 2:
        part = np.arange(np.searchsorted(stream_s, low), np.searchsorted(stream_s, high, "right"))
        guess = predict(stream_s[pairs_i], clock_s[pairs_j], stream_s[part])
        pairs_i, pairs_j = nearest_pairs(part, guess, clock_s, 2 * tolerance_s)
        if low < stream_s[0] and high > stream_s[-1]:
            break
        width = high - low
        low, high = low - width / 4, high + width / 4
    return pairs_i, pairs_j


def predict(x: FloatArray, y: FloatArray, at: FloatArray, *, tail: int = 40) -> FloatArray:
    """Interpolate between pairs and continue straight outside them.

    Parameters
    ----------
    x, y : ndarray of float64, shape (n,)
        Matched times, n >= 2, ascending.
    at : ndarray of float64, shape (k,)
        Times on the stream.
    tail : int
        Pairs at each end that the outer slopes are fitted to.

    Returns
    -------
    ndarray of float64, shape (k,)
        Times on the clock.
    """
    result = np.interp(at, x, y)
    for outside, end, part in (
        (at < x[0], 0, slice(None, tail)),
        (at > x[-1], -1, slice(-tail, None)),
    ):
        u, v = x[part] - x[end], y[part] - y[end]
        centred = u - u.mean()
        slope = float(centred @ v / (centred @ centred))
        start = float(v.mean() - slope * u.mean()) + y[end]
        result[outside] = start + slope * (at[outside] - x[end])
    return result


def nearest_pairs(
    index: IntArray, guess_s: FloatArray, clock_s: FloatArray, tolerance_s: float
) -> tuple[IntArray, IntArray]:
    """Pair each guess with the nearest pulse of the clock; each pulse is used once.

    Parameters
    ----------
    index : ndarray of int64, shape (n,)
        Stream pulses.
    guess_s : ndarray of float64, shape (n,)
        Their expected times on the clock.
    clock_s : ndarray of float64, shape (n_clock,)
        Onsets on the clock.
    tolerance_s : float
        Largest distance of a pair.

    Returns
    -------
    stream_index, clock_index : ndarray of int64, shape (n_pairs,)
        Both strictly ascending.
    """
    right = np.clip(np.searchsorted(clock_s, guess_s), 1, max(len(clock_s) - 1, 1))
    left = right - 1
    right = np.minimum(right, len(clock_s) - 1)
    nearer = np.abs(clock_s[left] - guess_s) <= np.abs(clock_s[right] - guess_s)
    partner = np.where(nearer, left, right)
    error = np.abs(clock_s[partner] - guess_s)
    order = np.lexsort((error, partner))
    once = np.r_[True, np.diff(partner[order]) > 0] if len(order) else np.zeros(0, dtype=bool)
    chosen = np.sort(order[once & (error[order] <= tolerance_s)])
    chosen = chosen[np.r_[True, np.diff(partner[chosen]) > 0]] if len(chosen) else chosen
    return index[chosen].astype(np.int64), partner[chosen].astype(np.int64)


def _by_support(
    stream_s: FloatArray,
    clock_s: FloatArray,
    i: IntArray,
    j: IntArray,
    rate: FloatArray,
    tolerance_s: float,
) -> NDArray[np.float64]:
    """Order places by how many others lie on the same line, and keep distinct ones."""
    if len(i) > 4000:
        keep = np.linspace(0, len(i) - 1, 4000).astype(np.int64)
        i, j, rate = i[keep], j[keep], rate[keep]
    support = np.zeros(len(i), dtype=np.int64)
    for k in range(len(i)):
        apart = stream_s[i] - stream_s[i[k]]
        error = clock_s[j] - clock_s[j[k]] - rate[k] * apart
        support[k] = int((np.abs(error) <= 2e-3 * np.abs(apart) + 2 * tolerance_s).sum())
    order = np.argsort(-support, kind="stable")
    return np.column_stack([i[order], j[order], rate[order]]).astype(np.float64)
