"""Find where one clock jumps against the other: samples were lost, or a device was set anew.

Crystals bend by a few parts in a million, so from one matched pulse to the next both clocks
advance alike. Where they do not, a map would be wrong around the jump by as much as it is, and by
all of it on the side that has the fewer pulses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: How far clocks may part where there are no pulses, as a fraction of the time without.
MOST_BEND = 2e-5
#: An interval this many times longer than is usual is a pause.
LONG = 10


@dataclass(frozen=True)
class Jump:
    """A jump of one clock against the other.

    Attributes
    ----------
    after_s, before_s : float
        The pulses that it is between, seconds on the stream.
    step_s : float
        How much further the clock advanced than it should have, seconds.
    """

    after_s: float
    before_s: float
    step_s: float


def find_jump(x: FloatArray, y: FloatArray, tolerance_s: float) -> Jump | None:
    """Return the largest jump between neighbouring pulses, None if there is none.

    Parameters
    ----------
    x, y : ndarray of float64, shape (n,)
        Matched pulses on the stream and on the clock, seconds, ascending; n >= 2.
    tolerance_s : float
        Largest error of a pulse, seconds; of two it may be twice as much.

    Returns
    -------
    Jump or None
    """
    dx, dy = np.diff(x), np.diff(y)
    step, beyond = _steps(dx, dy, *_rates(dx, dy, tolerance_s), tolerance_s)
    k = int(np.argmax(beyond))
    if beyond[k] <= 0:
        return None
    return Jump(float(x[k]), float(x[k + 1]), float(step[k]))


def goes_on(x: FloatArray, y: FloatArray, dx: float, dy: float, tolerance_s: float) -> bool:
    """Return whether an interval is as long on both clocks, by the rate that pairs tell.

    Parameters
    ----------
    x, y : ndarray of float64, shape (n,)
        Matched pulses on the stream and on the clock, seconds, ascending; n >= 2.
    dx, dy : float
        The interval on the stream and on the clock, seconds.
    tolerance_s : float
        Largest error of a pulse, seconds.
    """
    rate = calm_rate(np.diff(x), np.diff(y), tolerance_s)
    return bool(_steps(np.array([dx]), np.array([dy]), *rate, tolerance_s)[1][0] <= 0)


def _steps(
    dx: FloatArray,
    dy: FloatArray,
    rate: FloatArray | float,
    rate_error: FloatArray | float,
    tolerance_s: float,
) -> tuple[FloatArray, FloatArray]:
    """Return how much further the clock advanced, and by how much that is more than may be."""
    step = dy - rate * dx
    return step, np.abs(step) - 2 * tolerance_s - (MOST_BEND + rate_error) * dx


def _rates(dx: FloatArray, dy: FloatArray, tolerance_s: float) -> tuple[FloatArray, FloatArray]:
    """Return the rate that all other intervals tell, and its error, for each interval.

    Short bursts tell the rate badly; the other pauses, where they agree with the bursts, tell it
    well.
    """
    rate, rate_error = calm_rate(dx, dy, tolerance_s)
    if not np.isfinite(rate_error):
        return np.full(len(dx), rate), np.full(len(dx), rate_error)
    used = _steps(dx, dy, rate, rate_error, tolerance_s)[1] <= 0
    short = dx <= LONG * np.median(dx)
    others_x = dx[used].sum() - np.where(used & ~short, dx, 0.0)
    others_y = dy[used].sum() - np.where(used & ~short, dy, 0.0)
    return others_y / others_x, rate_error * dx[used & short].sum() / others_x


def calm_rate(dx: FloatArray, dy: FloatArray, tolerance_s: float) -> tuple[float, float]:
    """Return the rate by the intervals that no jump and no pause is in, and its error.

    Of a stretch of pulses without a pause only the first and the last count, so that short ones
    with a long pause between them tell the rate badly.

    Parameters
    ----------
    dx, dy : ndarray of float64, shape (n,)
        Intervals on the stream and on the clock, seconds.
    tolerance_s : float
        Largest error of a pulse, seconds.

    Returns
    -------
    rate : float
        Clock seconds a stream second.
    rate_error : float
        Three standard errors of it; infinite if no interval is calm.
    """
    usual = float(np.median(dy / dx))
    calm = np.abs(dy - usual * dx) <= 2 * tolerance_s + 1e-3 * dx
    calm &= dx <= LONG * np.median(dx)
    if not calm.any():
        return usual, np.inf
    rate = float(dy[calm].sum() / dx[calm].sum())
    noise_s = float(np.sqrt(np.mean((dy[calm] - rate * dx[calm]) ** 2)))
    n_stretches = 1 + int((~calm).sum())
    return rate, 3.0 * noise_s * float(np.sqrt(n_stretches)) / float(dx[calm].sum())
