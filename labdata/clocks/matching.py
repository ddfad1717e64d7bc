"""Pair the pulses of two streams by the pattern of their intervals, never by index.

Pairing the n-th pulse of one stream with the n-th of the other puts everything after one missed
pulse off by a whole period. Here a regular train is numbered in whole periods and the numbers are
aligned; an irregular one is matched by its fingerprints. Then every pair is checked against a
smooth relation of the two clocks, and what has no partner is named.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labdata.clocks.alignment import Span, Train
from labdata.clocks.checked_pairs import check_pairs, find_holes
from labdata.clocks.edges import as_times
from labdata.clocks.jumps import Jump, find_jump, goes_on
from labdata.clocks.numbering import number_pulses
from labdata.clocks.patterns import predict
from labdata.clocks.pulse_match import PulseMatch, describe_match
from labdata.clocks.rough_pairs import FEWEST_PULSES, RoughPairs, pair_numbers, pair_patterns
from labdata.errors import ClockError

FloatArray = NDArray[np.float64]

#: Largest error of a pulse against the relation of the clocks, seconds.
TOLERANCE_S = 1e-3
#: Share of the pulses inside the overlap that must match.
LEAST_MATCHED = 0.7


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
) -> tuple[PulseMatch, RoughPairs]:
    """Match two trains, which may be parts of longer ones."""
    _enough(stream, "stream")
    _enough(clock, "clock")
    mine, theirs = number_pulses(stream), number_pulses(clock)
    if mine is None or theirs is None:
        return _match_patterns(stream, clock, tolerance_s)
    a = Train(stream[mine.index], mine, spans[0], quanta[0])
    b = Train(clock[theirs.index], theirs, spans[1], quanta[1])
    rough = pair_numbers(a, b, offset_hint_s, tolerance_s)
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
        return describe_match(stream, clock, rough.i, rough.j, rough, tolerance_s), rough


def _match_patterns(
    stream: FloatArray, clock: FloatArray, tolerance_s: float
) -> tuple[PulseMatch, RoughPairs]:
    rough = pair_patterns(stream, clock, tolerance_s)
    return _checked(stream, clock, rough, tolerance_s), rough


def _checked(
    stream: FloatArray, clock: FloatArray, rough: RoughPairs, tolerance_s: float
) -> PulseMatch:
    pairs = check_pairs(stream, clock, rough, tolerance_s)
    return describe_match(stream, clock, *pairs, rough, tolerance_s)


def _refuse_jump(
    stream: FloatArray, clock: FloatArray, found: PulseMatch, rough: RoughPairs, tolerance_s: float
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
    stream: FloatArray, clock: FloatArray, rough: RoughPairs, tolerance_s: float
) -> Jump | None:
    """Return a jump by a period or more over a pause, which shows before pairs are checked.

    A burst behind it is put back to where most of its pulses fit.
    """
    if rough.numbered is None or not rough.recounted:
        return None
    jump = find_jump(stream[rough.i], clock[rough.j], tolerance_s)
    return jump if jump and abs(jump.step_s) > rough.numbered[1].period_s / 2 else None


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
    holes = find_holes(len(stream), len(clock), i, j)
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
