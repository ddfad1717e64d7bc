"""Pair the pulses of two streams by the pattern of their intervals, never by index.

Pairing the n-th pulse of one stream with the n-th of the other puts everything after one missed
pulse off by a whole period. Here a regular train is numbered in whole periods and the numbers are
aligned; an irregular one is matched by its fingerprints. Then every pair is checked against a
smooth relation of the two clocks, and what has no partner is named.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labdata.clocks.alignment import Shift, Span, Train, choose_shift
from labdata.clocks.edges import as_times
from labdata.clocks.jumps import Jump, find_jump, goes_on
from labdata.clocks.numbering import Numbering, number_pulses
from labdata.clocks.patterns import TRIALS, find_places, grow, nearest_pairs, predict
from labdata.clocks.pauses import count_alike
from labdata.clocks.smoothing import local_line, running_median, straight_line
from labdata.errors import ClockError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Largest error of a pulse against the relation of the clocks, seconds.
TOLERANCE_S = 1e-3
#: Share of the pulses inside the overlap that must match.
LEAST_MATCHED = 0.7
#: Fewest pulses that can relate two clocks.
FEWEST_PULSES = 3
#: A pair this many times further off than is usual is none, from so many pairs on and not below
#: this error in seconds, which is that of sampling.
STRANGE, FEWEST_TO_JUDGE, STRANGE_S = 8.0, 20, 8e-5
#: Largest difference of two nominal rates, as a fraction (a guessed 25 kHz for 30 kHz is 0.2).
MOST_RATE_ERROR = 0.3


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


@dataclass(frozen=True, eq=False)
class _Rough:
    """Pairs before they are checked, and how they were found."""

    i: IntArray
    j: IntArray
    evidence: str
    ambiguous: bool
    other_offset_change_s: float
    numbered: tuple[Numbering, Numbering] | None
    recounted: bool = False


def match_pulses(
    stream_s: ArrayLike,
    clock_s: ArrayLike,
    *,
    tolerance_s: float = TOLERANCE_S,
    offset_hint_s: float | None = None,
    stream_span_s: Span | None = None,
    clock_span_s: Span | None = None,
    stream_quantum_s: float = 0.0,
    clock_quantum_s: float = 0.0,
) -> PulseMatch:
    """Match the pulses of a stream with those of the clock.

    Parameters
    ----------
    stream_s, clock_s : array_like, shape (n_stream,), (n_clock,)
        Onsets in seconds, each on its own clock, ascending.
    tolerance_s : float
        Largest error of a pulse against the smooth relation of the two clocks, seconds.
    offset_hint_s : float, optional
        Time on the clock at 0 s of the stream, if known to within a quarter of a period. Only
        regular trains need it.
    stream_span_s, clock_span_s : tuple of float, optional
        Start and stop of each recording on its own clock, seconds, usually ``(0, duration)``; the
        stop may be None. Recordings are taken to start and stop together to within about half a
        period (or half a second), which decides between offsets that differ by whole periods.
    stream_quantum_s, clock_quantum_s : float
        Sample intervals in seconds, 0 if unknown.

    Returns
    -------
    PulseMatch

    Raises
    ------
    ClockError
        If either train has fewer than 3 pulses, the trains have nothing in common, or one clock
        jumps against the other.
    """
    stream, clock = as_times(stream_s, "stream's pulses"), as_times(clock_s, "clock's pulses")
    spans, quanta = (stream_span_s, clock_span_s), (stream_quantum_s, clock_quantum_s)
    found, rough = _match(stream, clock, tolerance_s, offset_hint_s, spans, quanta)
    _refuse_jump(stream, clock, found, rough, tolerance_s)
    return found


def _match(
    stream: FloatArray,
    clock: FloatArray,
    tolerance_s: float,
    offset_hint_s: float | None = None,
    spans: tuple[Span | None, Span | None] = (None, None),
    quanta: tuple[float, float] = (0.0, 0.0),
) -> tuple[PulseMatch, _Rough]:
    """Match two trains, which may be parts of longer ones."""
    _enough(stream, "stream")
    _enough(clock, "clock")
    mine, theirs = number_pulses(stream), number_pulses(clock)
    if mine is None or theirs is None:
        return _match_patterns(stream, clock, tolerance_s)
    a = Train(stream[mine.index], mine, spans[0], quanta[0])
    b = Train(clock[theirs.index], theirs, spans[1], quanta[1])
    _same_period(mine.period_s, theirs.period_s)
    rough = _pair_numbers(a, b, offset_hint_s, tolerance_s)
    try:
        return _checked(stream, clock, rough, tolerance_s), rough
    except ClockError as fault:
        # A short irregular train can pass for a regular one, and a jump leaves no smooth relation.
        jumped = _jump_by_number(stream, clock, rough, tolerance_s) is not None
        try:
            other, by_pattern = _match_patterns(stream, clock, tolerance_s)
        except ClockError:
            if not jumped:
                raise fault from None
        else:
            if not jumped or other.n_matched >= len(rough.i):
                return other, by_pattern
        return _describe(stream, clock, rough.i, rough.j, rough, tolerance_s), rough


def _match_patterns(
    stream: FloatArray, clock: FloatArray, tolerance_s: float
) -> tuple[PulseMatch, _Rough]:
    rough = _pair_patterns(stream, clock, tolerance_s)
    return _checked(stream, clock, rough, tolerance_s), rough


def _checked(
    stream: FloatArray, clock: FloatArray, rough: _Rough, tolerance_s: float
) -> PulseMatch:
    pairs = _check(stream, clock, rough, tolerance_s)
    return _describe(stream, clock, *pairs, rough, tolerance_s)


def _refuse_jump(
    stream: FloatArray, clock: FloatArray, found: PulseMatch, rough: _Rough, tolerance_s: float
) -> None:
    """Refuse clocks of which one jumped: no map through a jump is right on both sides of it."""
    jump = find_jump(*_with_holes(stream, clock, found, tolerance_s), tolerance_s)
    if jump is None:
        jump = _jump_by_number(stream, clock, rough, tolerance_s)
    if jump is not None:
        raise ClockError(
            f"The clock jumps by {jump.step_s:+.6g} s against the stream, between "
            f"{jump.after_s:.3f} and {jump.before_s:.3f} s of the stream.",
            hint="Samples were lost there, or a device was set anew: times on its two sides are "
            "not of one clock.",
        )


def _jump_by_number(
    stream: FloatArray, clock: FloatArray, rough: _Rough, tolerance_s: float
) -> Jump | None:
    """Return a jump by a period or more over a pause, which shows before pairs are checked.

    A burst behind it is put back to where most of its pulses fit.
    """
    if rough.numbered is None or not rough.recounted:
        return None
    jump = find_jump(stream[rough.i], clock[rough.j], tolerance_s)
    return jump if jump and abs(jump.step_s) > rough.numbered[1].period_s / 2 else None


def _find_holes(n_stream: int, n_clock: int, i: IntArray, j: IntArray) -> NDArray[np.bool_]:
    """Return before which pairs (and after the last) several pulses of both sides have none."""
    alone = (np.diff(np.r_[-1, i, n_stream]), np.diff(np.r_[-1, j, n_clock]))
    return np.asarray(np.minimum(*alone) > FEWEST_PULSES)


def _with_holes(
    stream: FloatArray, clock: FloatArray, found: PulseMatch, tolerance_s: float
) -> tuple[FloatArray, FloatArray]:
    """Return the times of all pairs, and of those that agree among themselves between them.

    Pulses of both sides between two pairs, before the first or after the last, may be those behind
    a jump: they then agree with each other, at another offset. Between two pairs they have to go
    on from one of them; pulses that came late for a while are no jump.
    """
    i, j = found.stream_index, found.clock_index
    x, y = [stream[i]], [clock[j]]
    edges_i, edges_j = np.r_[-1, i, len(stream)], np.r_[-1, j, len(clock)]
    holes = _find_holes(len(stream), len(clock), i, j)
    told = find_jump(stream[i], clock[j], tolerance_s) is not None
    if told or found.matched_fraction < LEAST_MATCHED:  # pulses that jitter agree by accident
        holes[1:-1] = False
    for k in np.flatnonzero(holes):
        mine = stream[edges_i[k] + 1 : edges_i[k + 1]]
        theirs = clock[edges_j[k] + 1 : edges_j[k + 1]]
        expected_s = predict(stream[i], clock[j], mine[:1])
        if 0 < k < len(i):
            expected_s = clock[j[k - 1]] + found.rate * (mine[0] - stream[i[k - 1]])
        own, other = mine - mine[0], theirs - expected_s
        try:
            more, _ = _match(own, other, tolerance_s, 0.0)
        except ClockError:  # noise, or the ends of two trains that have no more in common
            continue
        if max(found.matched_fraction, more.matched_fraction) < LEAST_MATCHED:
            continue
        u, v = mine[more.stream_index], theirs[more.clock_index]
        if 0 < k < len(i):
            u, v = _with_holes(own, other, more, tolerance_s)
            u, v = u + mine[0], v + expected_s
            ends = (
                (u[0] - stream[i[k - 1]], v[0] - clock[j[k - 1]]),
                (stream[i[k]] - u[-1], clock[j[k]] - v[-1]),
            )
            if not any(goes_on(stream[i], clock[j], dx, dy, tolerance_s) for dx, dy in ends):
                continue
        x.append(u)
        y.append(v)
    return np.sort(np.concatenate(x)), np.sort(np.concatenate(y))


def _enough(times: FloatArray, name: str) -> None:
    if len(times) < FEWEST_PULSES:
        raise ClockError(
            f"The {name} has {len(times)} sync pulses; at least {FEWEST_PULSES} are needed.",
            hint="Check that the event is the sync line of this stream and that it was connected.",
        )


def _same_period(stream_period: float, clock_period: float) -> None:
    ratio = clock_period / stream_period
    if abs(np.log(ratio)) > np.log1p(MOST_RATE_ERROR):
        raise ClockError(
            f"The pulses come every {stream_period:.6g} s on the stream and every "
            f"{clock_period:.6g} s on the clock (ratio {ratio:.4g}): not the same signal.",
            hint="If the ratio is near 2 or 0.5, one side logs both edges: pass its values. "
            "Otherwise check that both events are the same sync line.",
        )


def _pair_numbers(
    stream: Train, clock: Train, offset_hint_s: float | None, tolerance_s: float
) -> _Rough:
    """Pair regular trains by number."""
    best = _pair_at(stream, clock, choose_shift(stream, clock, offset_hint_s=offset_hint_s))
    again = count_alike(stream, clock, _on_grid(best, stream, clock), tolerance_s)
    if again is not None:
        shift = choose_shift(stream, again, offset_hint_s=offset_hint_s)
        other = _pair_at(stream, again, shift)
        if len(other.i) >= len(best.i):
            return replace(other, recounted=True)
    return best


def _pair_at(stream: Train, clock: Train, choice: Shift) -> _Rough:
    """Pair what has the same number after a shift."""
    _, in_stream, in_clock = np.intersect1d(
        stream.numbering.number + choice.shift,
        clock.numbering.number,
        assume_unique=True,
        return_indices=True,
    )
    step = (choice.runner_up - choice.shift) * clock.numbering.period_s
    return _Rough(
        stream.numbering.index[in_stream],
        clock.numbering.index[in_clock],
        choice.evidence,
        choice.ambiguous,
        step if step else float("nan"),
        (stream.numbering, clock.numbering),
    )


def _on_grid(rough: _Rough, stream: Train, clock: Train) -> tuple[IntArray, IntArray]:
    """Return the pairs as positions among the pulses that have a number."""
    return (
        np.searchsorted(stream.numbering.index, rough.i),
        np.searchsorted(clock.numbering.index, rough.j),
    )


def _pair_patterns(stream: FloatArray, clock: FloatArray, tolerance_s: float) -> _Rough:
    """Pair irregular trains by the fingerprints of their intervals."""
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
    return _Rough(*best, "pattern", bool(rivals) and abs(change) > tolerance_s, change, None)


def _check(
    stream: FloatArray, clock: FloatArray, rough: _Rough, tolerance_s: float
) -> tuple[IntArray, IntArray]:
    """Keep the pairs that a smooth relation of the clocks explains; look for lost partners."""
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
    hole = _find_holes(n_stream, n_clock, i, j)
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


def _typical_error(stream: FloatArray, clock: FloatArray, rough: _Rough) -> float:
    if len(rough.i) < 2:
        return float("nan")
    x, y = stream[rough.i], clock[rough.j]
    level, slope = straight_line(x, y)
    error = y - level - slope * x
    return float(np.median(np.abs(error - running_median(error, 11))))


def _describe(
    stream: FloatArray,
    clock: FloatArray,
    i: IntArray,
    j: IntArray,
    rough: _Rough,
    tolerance_s: float,
) -> PulseMatch:
    """Sort the pulses without a partner by what became of them."""
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
