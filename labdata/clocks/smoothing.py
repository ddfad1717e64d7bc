"""Local straight lines through matched pulses.

An edge is known to within a sample, so a line through two edges errs by up to a sample between
them. A straight line over many neighbouring pulses averages that error away while still following
a clock that drifts slowly. The number of neighbours is chosen from the data: the largest window
that explains the pulses as well as the best one does, or as well as their quantisation allows. A
fixed window would either follow the sampling grid or cut through a warming oscillator.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: Windows tried, in pulses; the whole train is always tried as well.
WINDOWS = (7, 15, 31, 61, 121, 241, 481)


def straight_line(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Return (intercept at x = 0, slope) of a robust straight line.

    The slope is the median over pairs of pulses half the train apart, so that a few wrong pairs
    do not matter.

    Parameters
    ----------
    x, y : ndarray of float64, shape (n,)
        Seconds on the stream and on the clock; n >= 2, x ascending.

    Returns
    -------
    tuple of float
    """
    half = len(x) // 2
    dx, dy = x[half:] - x[: len(x) - half], y[half:] - y[: len(y) - half]
    slope = float(np.median(dy / dx))
    return float(np.median(y - slope * x)), slope


def running_median(y: FloatArray, width: int) -> FloatArray:
    """Return the median of the `width` values around each value, ends repeated.

    Parameters
    ----------
    y : ndarray of float64, shape (n,)
    width : int
        Odd number of values; shortened to the length of `y`.

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    width = min(width, len(y) - 1 + len(y) % 2)
    middle = np.median(sliding_window_view(y, width), axis=1)
    half = width // 2
    return np.concatenate(
        [np.full(half, middle[0]), middle, np.full(len(y) - len(middle) - half, middle[-1])]
    )


def local_line(
    x: FloatArray, y: FloatArray, window: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Fit a least-squares line to the `window` points around each point.

    Near the ends the window stays full and is no longer centred.

    Parameters
    ----------
    x, y : ndarray of float64, shape (n,)
        Points, x ascending.
    window : int
        Number of points a line, at least 3, at most n.

    Returns
    -------
    fitted : ndarray of float64, shape (n,)
        Line at each point.
    slope : ndarray of float64, shape (n,)
        Slope of the line there.
    leverage : ndarray of float64, shape (n,)
        Weight of each point in its own fit (diagonal of the hat matrix of simple regression).
    """
    n = len(x)
    scale = max(float(x[-1] - x[0]), 1e-12)
    u = (x - x[n // 2]) / scale
    first = np.clip(np.arange(n) - window // 2, 0, n - window)

    def total(values: FloatArray) -> FloatArray:
        sums = np.concatenate([[0.0], np.cumsum(values)])
        return np.asarray(sums[first + window] - sums[first])

    mean_u, mean_y = total(u) / window, total(y) / window
    spread = np.maximum(total(u * u) - window * mean_u**2, 1e-300)
    slope = (total(u * y) - window * mean_u * mean_y) / spread
    fitted = mean_y + slope * (u - mean_u)
    leverage = np.minimum(1 / window + (u - mean_u) ** 2 / spread, 1 - 1e-9)
    return fitted, slope / scale, leverage


def smooth(x: FloatArray, y: FloatArray, *, quantum_s: float) -> tuple[FloatArray, int]:
    """Smooth the deviation of one clock from another, as far as the pulses allow.

    Parameters
    ----------
    x : ndarray of float64, shape (n,)
        Pulse times on the stream, seconds.
    y : ndarray of float64, shape (n,)
        Deviation from a straight line, seconds.
    quantum_s : float
        Root of the sum of squares of the two sample intervals, seconds; 0 if unknown.

    Returns
    -------
    smoothed : ndarray of float64, shape (n,)
    window : int
        Number of pulses a local line was fitted to.
    """
    n = len(x)
    windows = [w for w in WINDOWS if w < n] + [n]
    scores = []
    for window in windows:
        fitted, _, leverage = local_line(x, y, window)
        scores.append(_rms((y - fitted) / (1 - leverage)) if n > 3 else _rms(y - fitted))
    # A uniform error of one sample has a standard deviation of sample / sqrt(12).
    enough = max(1.02 * min(scores), 1.05 * quantum_s / np.sqrt(12))
    window = max(w for w, score in zip(windows, scores, strict=True) if score <= enough)
    fitted, _, _ = local_line(x, y, window)
    residual = y - fitted
    limit = 4 * 1.4826 * float(np.median(np.abs(residual)))
    calm = fitted + np.clip(residual, -limit, limit)
    return local_line(x, calm, window)[0], window


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))
