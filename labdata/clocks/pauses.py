"""Let two numbered trains agree on how many periods each pause of the generator was.

A pause need not be a whole number of periods, and a short burst tells its period to some tens of
parts in a million only. Each train rounds a pause to periods by itself, so that one may count 6000
where the other counts 6001. Behind it every pulse would be paired with its neighbour, which looks
as if the clock had jumped by a period. And where it did jump by a period, pairing neighbours would
hide it.

Bursts tell: the first pulse of a burst is the first on both sides, and so is the last. Where lost
pulses hide that, the pause is taken to be as long on both clocks.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from labdata.clocks.alignment import Train
from labdata.clocks.jumps import LONG, MOST_BEND, calm_rate

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def count_alike(
    stream: Train, clock: Train, pairs: tuple[IntArray, IntArray], tolerance_s: float
) -> Train | None:
    """Return the clock's train, numbered so that its pauses have the stream's numbers of periods.

    Parameters
    ----------
    stream, clock : Train
        The two trains.
    pairs : tuple of ndarray of int64, shape (n_pairs,)
        Positions of pulses of the same number in each, ascending.
    tolerance_s : float
        Largest error of a pulse, seconds.

    Returns
    -------
    Train or None
        None if both count all pauses alike.
    """
    i, j = pairs
    if len(i) < 2:
        return None
    x, y = stream.times_s[i], clock.times_s[j]
    period_s = clock.numbering.period_s
    pauses = np.flatnonzero(np.minimum(np.diff(x), np.diff(y)) > LONG * period_s)
    if len(pauses) == 0:
        return None
    starts_i = np.array([_behind_pause(stream.times_s, i[k], i[k + 1]) for k in pauses])
    starts_j = np.array([_behind_pause(clock.times_s, j[k], j[k + 1]) for k in pauses])
    by_bursts = _ahead(stream, starts_i, i), _ahead(clock, starts_j, j)
    ahead = by_bursts[1] - by_bursts[0]  # of the first and the last pulse of each burst
    told = ahead[0] == ahead[1]
    by_time = _missed_periods(np.diff(x), np.diff(y), period_s, tolerance_s)[pauses]
    lag = _fill(np.where(told, ahead[0], 0), told, by_time)
    number = clock.numbering.number.copy()
    for start, more in zip(starts_j, np.diff(lag), strict=True):
        number[start:] -= more
    if not np.diff(lag).any() or not (np.diff(number) > 0).all():
        return None
    return replace(clock, numbering=replace(clock.numbering, number=number))


def _behind_pause(times_s: FloatArray, first: int, last: int) -> int:
    """Return the pulse with which a burst begins, of those between two of different bursts."""
    return int(first + 1 + np.argmax(np.diff(times_s[first : last + 1])))


def _ahead(train: Train, starts: IntArray, paired: IntArray) -> IntArray:
    """Return the numbers of the first and the last pulse of each burst, counted from a pair."""
    number = train.numbering.number - train.numbering.number[paired[0]]
    last = len(number) - 1
    return np.stack([number[np.r_[0, starts]], number[np.r_[starts - 1, last]]])


def _fill(lag: IntArray, told: NDArray[np.bool_], by_time: IntArray) -> IntArray:
    """Return by how many periods each burst is numbered later on the clock.

    Of a burst that does not tell it is what the pause before says. One burst between two that say
    otherwise, as the pauses do, has lost pulses at both ends.
    """
    timed = -np.r_[0, np.cumsum(by_time)]
    known = np.flatnonzero(told)
    for before, k, after in zip(known, known[1:], known[2:], strict=False):
        if lag[before] == lag[after] != lag[k] and timed[before] == timed[k] == timed[after]:
            lag[k] = lag[before]
    # of the bursts that tell, the last one before, or the first one of all
    nearest = np.maximum.accumulate(np.where(told, np.arange(len(lag)), -1))
    nearest[nearest < 0] = known[0] if len(known) else 0
    return np.asarray(lag[nearest] + timed - timed[nearest])


def _missed_periods(
    dx: FloatArray, dy: FloatArray, period_s: float, tolerance_s: float
) -> IntArray:
    """Return by how many periods more each interval is on the clock than it should be.

    From the shortest interval to the longest: each that is understood makes the rate better known,
    and so tells periods apart in longer ones.
    """
    rate, rate_error = calm_rate(dx, dy, tolerance_s)
    missed = np.zeros(len(dx), np.int64)
    suspect = np.abs(dy - rate * dx) > period_s / 4
    known_x, known_y = float(dx[~suspect].sum()), float(dy[~suspect].sum())
    if not np.isfinite(rate_error):
        return missed
    error_s = rate_error * known_x
    for k in np.flatnonzero(suspect)[np.argsort(dx[suspect], kind="stable")]:
        step = dy[k] - rate * dx[k]
        missed[k] = round(step / period_s)
        rest = abs(step - missed[k] * period_s)
        if rest <= 2 * tolerance_s + (MOST_BEND + rate_error) * dx[k]:
            known_x += float(dx[k])
            known_y += float(dy[k] - missed[k] * period_s)
            rate, rate_error = known_y / known_x, error_s / known_x
    return missed
