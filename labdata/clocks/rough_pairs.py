"""Pairs of pulses by number or by the pattern of their intervals, before they are checked."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from labdata.clocks.alignment import Shift, Train, choose_shift
from labdata.clocks.numbering import Numbering
from labdata.clocks.patterns import TRIALS, find_places, grow
from labdata.clocks.pauses import count_alike
from labdata.errors import ClockError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Fewest pulses that can relate two clocks.
FEWEST_PULSES = 3
#: Largest difference of two nominal rates, as a fraction (a guessed 25 kHz for 30 kHz is 0.2).
MOST_RATE_ERROR = 0.3


@dataclass(frozen=True, eq=False)
class RoughPairs:
    """Pairs before they are checked, and how they were found.

    Attributes
    ----------
    i, j : ndarray of int64, shape (n_pairs,)
        Positions of partners among the pulses of the stream and of the clock, ascending.
    evidence : str
        As of :class:`PulseMatch`.
    ambiguous : bool
        Whether others explain the pulses about as well.
    other_offset_change_s : float
        How much later the clock's pulses are in those, seconds; NaN if there are none.
    numbered : tuple of Numbering or None
        Of the stream and of the clock; None of irregular trains.
    recounted : bool
        Whether pauses were counted alike (:mod:`labdata.clocks.pauses`).
    """

    i: IntArray
    j: IntArray
    evidence: str
    ambiguous: bool
    other_offset_change_s: float
    numbered: tuple[Numbering, Numbering] | None
    recounted: bool = False


def _same_period(stream_period: float, clock_period: float) -> None:
    ratio = clock_period / stream_period
    if abs(np.log(ratio)) > np.log1p(MOST_RATE_ERROR):
        raise ClockError(
            f"The pulses come every {stream_period:.6g} s on the stream and every "
            f"{clock_period:.6g} s on the clock (ratio {ratio:.4g}): not the same signal.",
            hint="If the ratio is near 2 or 0.5, one side logs both edges: pass its values. "
            "Otherwise check that both events are the same sync line.",
        )


def pair_numbers(
    stream: Train, clock: Train, offset_hint_s: float | None, tolerance_s: float
) -> RoughPairs:
    """Pair regular trains by number.

    Parameters
    ----------
    stream, clock : Train
        The two trains.
    offset_hint_s : float or None
        About where 0 s of the stream is on the clock.
    tolerance_s : float
        Largest error of a pulse, seconds.

    Returns
    -------
    RoughPairs

    Raises
    ------
    ClockError
        If their periods are not those of one generator.
    """
    _same_period(stream.numbering.period_s, clock.numbering.period_s)
    best = _pair_at(stream, clock, choose_shift(stream, clock, offset_hint_s=offset_hint_s))
    again = count_alike(stream, clock, _on_grid(best, stream, clock), tolerance_s)
    if again is not None:
        shift = choose_shift(stream, again, offset_hint_s=offset_hint_s)
        other = _pair_at(stream, again, shift)
        if len(other.i) >= len(best.i):
            return replace(other, recounted=True)
    return best


def _pair_at(stream: Train, clock: Train, choice: Shift) -> RoughPairs:
    """Pair what has the same number after a shift."""
    _, in_stream, in_clock = np.intersect1d(
        stream.numbering.number + choice.shift,
        clock.numbering.number,
        assume_unique=True,
        return_indices=True,
    )
    step = (choice.runner_up - choice.shift) * clock.numbering.period_s
    return RoughPairs(
        stream.numbering.index[in_stream],
        clock.numbering.index[in_clock],
        choice.evidence,
        choice.ambiguous,
        step if step else float("nan"),
        (stream.numbering, clock.numbering),
    )


def _on_grid(rough: RoughPairs, stream: Train, clock: Train) -> tuple[IntArray, IntArray]:
    """Return the pairs as positions among the pulses that have a number."""
    return (
        np.searchsorted(stream.numbering.index, rough.i),
        np.searchsorted(clock.numbering.index, rough.j),
    )


def pair_patterns(stream: FloatArray, clock: FloatArray, tolerance_s: float) -> RoughPairs:
    """Pair irregular trains by the fingerprints of their intervals.

    Parameters
    ----------
    stream, clock : ndarray of float64
        All pulses of either side, seconds, ascending.
    tolerance_s : float
        Largest error of a pulse, seconds.

    Returns
    -------
    RoughPairs

    Raises
    ------
    ClockError
        If they have no stretch in common.
    """
    places = find_places(stream, clock, tolerance_s=tolerance_s, most_rate_error=MOST_RATE_ERROR)
    found: list[tuple[IntArray, IntArray]] = []
    for place in places:
        i, j = int(place[0]), int(place[1])
        if any(np.any((a == i) & (b == j)) for a, b in found):
            continue
        found.append(grow(stream, clock, place, tolerance_s=tolerance_s))
        if len(found) == TRIALS:
            break
    found.sort(key=lambda pairs: -len(pairs[0]))
    if not found or len(found[0][0]) < FEWEST_PULSES:
        raise ClockError(
            f"The intervals of the stream's {len(stream)} pulses and of the clock's "
            f"{len(clock)} have no stretch in common.",
            hint="Check that both events are the same sync line, that both log the same edges "
            "(pass their values) and, for a guessed sampling rate, that the guess is close.",
        )
    best = found[0]
    rivals = [pairs for pairs in found[1:] if len(pairs[0]) >= 0.8 * len(best[0])]
    change = float("nan")
    if rivals:
        change = float(
            np.median(clock[rivals[0][1]] - stream[rivals[0][0]])
            - np.median(clock[best[1]] - stream[best[0]])
        )
    return RoughPairs(*best, "pattern", bool(rivals) and abs(change) > tolerance_s, change, None)
