"""Which pulse of a stream is which of the clock, and what became of those without a partner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labdata.clocks.patterns import predict
from labdata.clocks.rough_pairs import RoughPairs
from labdata.clocks.smoothing import straight_line

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PulseMatch:
    """Which pulse of a stream is which pulse of the clock, and which have no partner.

    Indices count the pulses of the trains that were given, from 0.

    Attributes
    ----------
    stream_index, clock_index : ndarray of int64, shape (n_matched,)
        Partners, both ascending.
    missing_in_stream : ndarray of int64
        Clock pulses inside the overlap that the stream lacks: dropped by the stream.
    missing_in_clock : ndarray of int64
        Stream pulses inside the overlap that the clock lacks: dropped by the clock.
    spurious_in_stream, spurious_in_clock : ndarray of int64
        Pulses that fit no whole period, or came at a time that the other side contradicts. For an
        irregular train a spurious pulse of one side cannot be told from a dropped one of the
        other and counts as dropped.
    outside_stream, outside_clock : ndarray of int64
        Pulses before or after the overlap, where the other stream did not record or lost pulses
        at its very start or end, which cannot be told apart.
    n_contested : int
        Pulses of the stream outside the overlap at times at which the clock's train went on.
    periodic : bool
        Whether the trains are regular.
    period_s : float
        Median period on the clock in seconds; NaN if irregular.
    offset_s : float
        Time on the clock at 0 s of the stream, seconds, by a straight line.
    rate : float
        Clock seconds a stream second.
    evidence : str
        What decided the offset: pattern, jitter, hint, spans or overlap
        (:mod:`labdata.clocks.alignment`).
    ambiguous_offset : bool
        Whether another offset explains the pulses about as well.
    alternative_offset_s : float
        The next best offset in seconds; NaN if there is none.
    """

    stream_index: IntArray
    clock_index: IntArray
    missing_in_stream: IntArray
    missing_in_clock: IntArray
    spurious_in_stream: IntArray
    spurious_in_clock: IntArray
    outside_stream: IntArray
    outside_clock: IntArray
    n_contested: int
    periodic: bool
    period_s: float
    offset_s: float
    rate: float
    evidence: str
    ambiguous_offset: bool
    alternative_offset_s: float

    @property
    def n_matched(self) -> int:
        """Number of pairs."""
        return len(self.stream_index)

    @property
    def matched_fraction(self) -> float:
        """Share of the pulses inside the overlap that have a partner, the lower of both sides."""
        alone_stream = len(self.missing_in_clock) + len(self.spurious_in_stream)
        alone_clock = len(self.missing_in_stream) + len(self.spurious_in_clock)
        return self.n_matched / max(self.n_matched + max(alone_stream, alone_clock), 1)


def describe_match(
    stream: FloatArray,
    clock: FloatArray,
    i: IntArray,
    j: IntArray,
    rough: RoughPairs,
    tolerance_s: float,
) -> PulseMatch:
    """Return pairs as they are told, with the pulses that have none by what became of them.

    Parameters
    ----------
    stream, clock : ndarray of float64
        All pulses of either side, seconds, ascending.
    i, j : ndarray of int64, shape (n_pairs,)
        Positions of partners in each, ascending.
    rough : RoughPairs
        How they were found.
    tolerance_s : float
        Largest error of a pulse, seconds.

    Returns
    -------
    PulseMatch
    """
    alone_stream = np.setdiff1d(np.arange(len(stream)), i, assume_unique=True)
    alone_clock = np.setdiff1d(np.arange(len(clock)), j, assume_unique=True)
    in_stream = (alone_stream > i[0]) & (alone_stream < i[-1])
    in_clock = (alone_clock > j[0]) & (alone_clock < j[-1])
    on_clock = predict(stream[i], clock[j], stream[alone_stream[~in_stream]])
    contested = (on_clock >= clock[0] - tolerance_s) & (on_clock <= clock[-1] + tolerance_s)
    numbered = rough.numbered
    grid_stream = np.arange(len(stream)) if numbered is None else numbered[0].index
    grid_clock = np.arange(len(clock)) if numbered is None else numbered[1].index
    # A pulse that had a partner by number and lost it came at the wrong time: not a dropped one.
    late_stream, late_clock = np.isin(alone_stream, rough.i), np.isin(alone_clock, rough.j)
    lost_clock = in_stream & np.isin(alone_stream, grid_stream) & ~late_stream
    lost_stream = in_clock & np.isin(alone_clock, grid_clock) & ~late_clock
    level, slope = straight_line(stream[i], clock[j])
    return PulseMatch(
        stream_index=i,
        clock_index=j,
        missing_in_stream=alone_clock[lost_stream],
        missing_in_clock=alone_stream[lost_clock],
        spurious_in_stream=alone_stream[in_stream & ~lost_clock],
        spurious_in_clock=alone_clock[in_clock & ~lost_stream],
        outside_stream=alone_stream[~in_stream],
        outside_clock=alone_clock[~in_clock],
        periodic=numbered is not None,
        period_s=float("nan") if numbered is None else numbered[1].period_s,
        n_contested=int(contested.sum()),
        offset_s=level,
        rate=slope,
        evidence=rough.evidence,
        ambiguous_offset=rough.ambiguous,
        alternative_offset_s=level + rough.other_offset_change_s,
    )
