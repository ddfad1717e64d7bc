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
    rate, rate_error = _rate(dx, dy, tolerance_s)
    step = dy - rate * dx
    beyond = np.abs(step) - 2 * tolerance_s - (MOST_BEND + rate_error) * dx
    k = int(np.argmax(beyond))
    if beyond[k] <= 0:
        return None
    return Jump(float(x[k]), float(x[k + 1]), float(step[k]))


def _rate(dx: FloatArray, dy: FloatArray, tolerance_s: float) -> tuple[float, float]:
    """Return clock seconds a stream second, by the intervals that no jump and no pause is in.

    And three times its error: of a stretch of pulses without a pause only the first and the last
    count, so that short ones with a long pause between them tell it badly.
    """
    usual = float(np.median(dy / dx))
    calm = np.abs(dy - usual * dx) <= 2 * tolerance_s + 1e-3 * dx
    calm &= dx <= 10 * np.median(dx)
    if not calm.any():
        return usual, np.inf
    rate = float(dy[calm].sum() / dx[calm].sum())
    noise_s = float(np.sqrt(np.mean((dy[calm] - rate * dx[calm]) ** 2)))
    n_stretches = 1 + int((~calm).sum())
    return rate, 3.0 * noise_s * float(np.sqrt(n_stretches)) / float(dx[calm].sum())
