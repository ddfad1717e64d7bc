"""Choose the whole-period offset between two numbered regular trains.

A perfectly regular train looks the same after a shift by whole periods, so its offset can only
come from what is not regular or from outside the pulses. In order of strength:

1. ``"jitter"``: the generator's own timing jitter, when it exceeds the sampling, is seen by both
   streams and agrees only at the right shift.
2. ``"pattern"``: pulses that are missing in both streams (the generator paused), or a train that
   begins or ends inside both recordings (needs the spans).
3. ``"hint"``: an offset that the caller knows.
4. ``"spans"``: the recordings start and stop at about the same time.
5. ``"overlap"``: as many pulses as possible have a partner, and the clocks start at zero together.

Whenever a second shift explains the pulses about as well, the result says so and names it. A
pulse that is dropped at the very start or end of a train cannot be told from a recording that
started later or stopped earlier; it counts as outside, not as dropped, unless spans are given.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labdata.clocks.numbering import Numbering
from labdata.errors import ClockError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Span = tuple[float, float | None]

#: Periods (seconds, if shorter) by which the best shift must beat the next outside the pulses.
CLEAR_MARGIN = 0.45
#: Streams of a recording start within this of one another, seconds.
START_S = 0.5
#: Shifts that match fewer than this share of the best one's pulses are not considered.
WORTH_CONSIDERING = 0.8
#: A shift that agrees best with the recordings' spans is only left for one that explains this many
#: times more pulses than chance does.
CONTRADICTED = 2.0
#: Coincident drops, of those expected at one shift, that are left out of account.
RARE = 1e-3
#: Second differences of the jitter from which a difference by a factor of 0.3 is no accident.
ENOUGH_JITTER = 40
#: Generator jitter below this (s, in second differences) could be sampling error.
JITTER_FLOOR_S = 1.5e-4
#: Periods a train may span, bounding the memory of the correlation.
MOST_PERIODS = 2**24


@dataclass(frozen=True)
class Shift:
    """A chosen shift: pulse number on the clock = number on the stream + `shift`.

    Attributes
    ----------
    shift : int
        Whole periods.
    evidence : str
        What decided: jitter, pattern, hint, spans or overlap.
    ambiguous : bool
        Whether another shift explains the pulses about as well.
    runner_up : int
        The next best shift; equal to `shift` if there is no other.
    """

    shift: int
    evidence: str
    ambiguous: bool
    runner_up: int


@dataclass(frozen=True, eq=False)
class Train:
    """A numbered regular train and the span of its recording.

    Attributes
    ----------
    times_s : ndarray of float64, shape (n,)
        Onsets that have a number, seconds.
    numbering : Numbering
        Their numbers and period.
    span_s : tuple of float, optional
        Start and stop of the recording on this train's clock; the stop may be None.
    quantum_s : float
        Sample interval, seconds; 0 if unknown.
    """

    times_s: FloatArray
    numbering: Numbering
    span_s: Span | None
    quantum_s: float

    @property
    def presence(self) -> FloatArray:
        """1 for each period that has a pulse, shape (n_periods,)."""
        present = np.zeros(int(self.numbering.number[-1]) + 1)
        present[self.numbering.number] = 1
        return present

    @property
    def limits(self) -> tuple[int, int]:
        """First and last number whose pulse the recording would have caught."""
        last = int(self.numbering.number[-1])
        if self.span_s is None:
            return 0, last
        period, (start, stop) = self.numbering.period_s, self.span_s
        before = int((self.times_s[0] - start) / period - 0.1)
        after = 0 if stop is None else int((stop - self.times_s[-1]) / period - 0.1)
        return -max(before, 0), last + max(after, 0)


def choose_shift(stream: Train, clock: Train, *, offset_hint_s: float | None) -> Shift:
    """Choose the shift between two numbered trains.

    Parameters
    ----------
    stream, clock : Train
        The two trains.
    offset_hint_s : float, optional
        Known time on the clock at 0 s of the stream.

    Returns
    -------
    Shift

    Raises
    ------
    ClockError
        If a train spans too many periods to be correlated.
    """
    for train in (stream, clock):
        if train.numbering.number[-1] > MOST_PERIODS:
            raise ClockError(
                f"A pulse train spans {train.numbering.number[-1]} periods of "
                f"{train.numbering.period_s:.6g} s, more than {MOST_PERIODS}.",
                hint="Check for a stray time stamp far from the others, or match in parts.",
            )
    shifts, matched = _matched(stream, clock)
    by_jitter = _by_jitter(stream, clock)
    far, evidence = _distance(stream, clock, shifts, offset_hint_s)
    enough = matched >= WORTH_CONSIDERING * matched.max()
    if evidence != "overlap":  # what is known of the recordings is never left out of account
        enough[np.argmin(far)] = True
    shifts, matched, far = shifts[enough], matched[enough], far[enough]
    unmatched, ends = _unmatched(stream, clock, shifts, matched)
    chance = _chance(stream, clock, float(unmatched.min()))
    alone = unmatched + ends
    if evidence != "spans":
        far = far + 0.5 * ends
    cost = (alone if evidence == "spans" else unmatched) / chance + far
    offsets = _offsets(stream, clock, shifts)
    period = clock.numbering.period_s
    order = np.argsort(cost + 1e-3 * np.minimum(np.abs(offsets) / period, 100), kind="stable")
    best, other = int(order[0]), int(order[min(1, len(order) - 1)])
    if by_jitter is not None:
        rival = other if shifts[best] == by_jitter else best
        return Shift(by_jitter, "jitter", False, int(shifts[rival]))
    # A rival stands if neither the missing pulses nor what is known outside them rules it out.
    # What falls outside the overlap may have been lost or not recorded: it is counted both ways.
    close = (unmatched <= unmatched[best] + chance) | (alone <= alone[best] + chance)
    rivals = close & (far < far[best] + CLEAR_MARGIN)
    rivals[best] = False
    # Single pulses that both streams happen to lack at a wrong shift are not evidence enough
    # against what is known of the recordings' starts and stops.
    nearest = int(np.argmin(far))
    contradicted = far[nearest] < far[best] and (
        alone[nearest] <= alone[best] + CONTRADICTED * (chance + 2.0)
    )
    ambiguous = bool(rivals.any()) or bool(contradicted)
    if not np.delete(close, best).any() and len(order) > 1:
        evidence = "pattern"
    elif evidence == "overlap":
        # One pulse more at one end and one less at the other, with clocks that start together.
        near = (far <= far[best] + 1) & (np.abs(offsets) <= max(0.5 * period, START_S))
        near &= close
        near[best] = False
        ambiguous = ambiguous or bool(near.any()) or abs(float(offsets[best])) > period / 2
    if rivals.any():
        other = int(np.flatnonzero(rivals)[np.argmin(cost[rivals])])
    elif contradicted:
        other = nearest
    return Shift(int(shifts[best]), evidence, ambiguous, int(shifts[other]))


def _chance(stream: Train, clock: Train, least_unmatched: float) -> float:
    """Return by how many unmatched pulses two shifts may differ by chance.

    One, for a pulse dropped where a train begins or ends; another where drops are common; and two
    for each drop that the trains share by coincidence, as many as two standard deviations of the
    difference of two such counts, and one at least unless coincidences are very rare.
    """
    n = max(len(stream.times_s), len(clock.times_s))
    # A pause counts once, however long.
    gaps = [int((np.diff(t.numbering.number) > 1).sum()) for t in (stream, clock)]
    coincidences = gaps[0] * gaps[1] / n
    shared = 0.0
    if coincidences > RARE:
        shared = max(1.0, 2.0 * float(np.sqrt(2.0 * coincidences)))
    return 1.0 + float(least_unmatched > 0.01 * n) + 2.0 * shared


def _correlate(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return sum over k of a[k] b[k + shift] for shift = 1 - len(a) ... len(b) - 1."""
    size = 1 << (len(a) + len(b) - 1).bit_length()
    product = np.conj(np.fft.rfft(a, size)) * np.fft.rfft(b, size)
    return np.roll(np.fft.irfft(product, size), len(a) - 1)[: len(a) + len(b) - 1]


def _matched(stream: Train, clock: Train) -> tuple[IntArray, IntArray]:
    a, b = stream.presence, clock.presence
    matched = np.rint(_correlate(a, b)).astype(np.int64)
    return np.arange(1 - len(a), len(b)), matched


def _unmatched(
    stream: Train, clock: Train, shifts: IntArray, matched: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Return, a shift, the pulses that lack a partner inside and outside the overlap."""

    def inside(numbers: IntArray, limits: tuple[int, int], moved: IntArray) -> IntArray:
        first = np.searchsorted(numbers, limits[0] - moved, side="left")
        return np.asarray(np.searchsorted(numbers, limits[1] - moved, side="right") - first)

    of_stream = inside(stream.numbering.number, clock.limits, shifts)
    of_clock = inside(clock.numbering.number, stream.limits, -shifts)
    total = len(stream.times_s) + len(clock.times_s)
    within = of_stream + of_clock - 2 * matched
    return within.astype(np.float64), (total - 2 * matched - within).astype(np.float64)


def _offsets(stream: Train, clock: Train, shifts: IntArray) -> FloatArray:
    """Return the time on the clock at 0 s of the stream, a shift."""
    period = clock.numbering.period_s
    rate = period / stream.numbering.period_s
    return np.asarray(clock.times_s[0] + shifts * period - rate * stream.times_s[0])


def _distance(
    stream: Train, clock: Train, shifts: IntArray, offset_hint_s: float | None
) -> tuple[FloatArray, str]:
    """Return how far each shift is from what is known outside the pulses, and what that is."""
    period = clock.numbering.period_s
    rate = period / stream.numbering.period_s
    if offset_hint_s is not None:
        return 2 * np.abs(_offsets(stream, clock, shifts) - offset_hint_s) / period, "hint"
    if stream.span_s is None or clock.span_s is None:
        return np.zeros(len(shifts)), "overlap"
    (start, stop), (clock_start, clock_stop) = stream.span_s, clock.span_s
    started = clock.times_s[0] + shifts * period + rate * (start - stream.times_s[0])
    far = np.abs(started - clock_start)
    if stop is None or clock_stop is None:
        return far / max(period, 2 * START_S), "overlap"
    last = shifts + stream.numbering.number[-1] - clock.numbering.number[-1]
    stopped = clock.times_s[-1] + last * period + rate * (stop - stream.times_s[-1])
    return (far + np.abs(stopped - clock_stop)) / max(period, 2 * START_S), "spans"


def _by_jitter(stream: Train, clock: Train) -> int | None:
    """Return the shift at which the generator's jitter agrees, if it can be seen."""
    rate = clock.numbering.period_s / stream.numbering.period_s
    a, mask_a = _second_differences(stream)
    b, mask_b = _second_differences(clock)
    a = a * rate
    floor = max(JITTER_FLOOR_S, 4 * stream.quantum_s, 4 * clock.quantum_s)
    if min(mask_a.sum(), mask_b.sum()) < 8 or min(_rms(a, mask_a), _rms(b, mask_b)) < floor:
        return None
    a, b = _tame(a, mask_a), _tame(b, mask_b)
    count = np.rint(_correlate(mask_a, mask_b))
    usable = count >= max(8, 0.3 * count.max())
    total = _correlate(a * a, mask_b) + _correlate(mask_a, b * b) - 2 * _correlate(a, b)
    variance = np.where(usable, total / np.maximum(count, 1), np.inf)
    best = int(np.argmin(variance))
    clearly = 0.3 * min(float(count[best]) / ENOUGH_JITTER, 1.0)
    if usable.sum() < 2 or variance[best] >= clearly * np.delete(variance, best).min():
        return None
    return best - (len(a) - 1)


def _second_differences(train: Train) -> tuple[FloatArray, FloatArray]:
    """Return t[k-1] - 2 t[k] + t[k+1] by number, free of offset and rate, and where it exists."""
    number, times = train.numbering.number, train.times_s
    size = int(number[-1]) + 1
    values, mask = np.zeros(size), np.zeros(size)
    if len(times) < 3:
        return values, mask
    middle = np.flatnonzero((np.diff(number)[:-1] == 1) & (np.diff(number)[1:] == 1)) + 1
    values[number[middle]] = times[middle - 1] - 2 * times[middle] + times[middle + 1]
    mask[number[middle]] = 1
    return values, mask


def _tame(values: FloatArray, mask: FloatArray) -> FloatArray:
    """Limit outliers, so that one late edge does not decide the shift."""
    limit = 5 * float(np.median(np.abs(values[mask > 0])))
    return np.asarray(np.clip(values, -limit, limit))


def _rms(values: FloatArray, mask: FloatArray) -> float:
    return float(np.median(np.abs(values[mask > 0])) * 1.4826)
