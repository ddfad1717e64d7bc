"""The relation of a stream to a clock: straight between smoothed pulses, by rate outside them.

Why so. Interpolating through raw edges passes their sampling error on to every time between two
pulses. A cubic spline through them overshoots with jitter and runs away outside: seconds, a minute
after the last pulse. Clamping outside puts everything after the last pulse on one instant. Here
knots are smoothed (:mod:`labdata.clocks.smoothing`), never by more than a sample, and beyond the
last pulse time goes on at the rate fitted to the pulses before it, flagged as extrapolated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labdata.clocks.alignment import Span
from labdata.clocks.edges import as_times, remove_glitches
from labdata.clocks.matching import LEAST_MATCHED, TOLERANCE_S, match_pulses
from labdata.clocks.pulse_match import PulseMatch
from labdata.clocks.report import SyncReport
from labdata.clocks.smoothing import smooth, straight_line
from labdata.errors import ClockError

if TYPE_CHECKING:
    from labdata.clocks.chain import ChainReport

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Of what turns pulses into maps; raised with each change by which a number comes out differently,
#: so that stored reports of before are computed anew.
ALGORITHM_VERSION = 3
#: Pulses at each end that the rate outside is fitted to (more where smoothing used more).
RATE_PULSES = 121


@dataclass(frozen=True, eq=False)
class ClockMap:
    """Turns times on a stream into times on a clock.

    Attributes
    ----------
    stream, clock : str
        Names of the two.
    stream_knots_s, clock_knots_s : ndarray of float64, shape (n_knots,)
        Matched pulses on the stream and their smoothed times on the clock, strictly ascending.
    rate_before, rate_after : float
        Clock seconds a stream second before the first and after the last knot.
    max_extrapolation_s : float or None
        Times further outside the pulses than this are refused.
    report : SyncReport or ChainReport
        How the map was made and how good it is.
    inside_s : tuple of float or None
        First and last time on the stream that is not extrapolated; None: the first and last knot.
    """

    stream: str
    clock: str
    stream_knots_s: FloatArray
    clock_knots_s: FloatArray
    rate_before: float
    rate_after: float
    max_extrapolation_s: float | None
    report: SyncReport | ChainReport
    inside_s: tuple[float, float] | None = None

    @property
    def covered_s(self) -> tuple[float, float]:
        """First and last time on the stream between pulses, seconds; beyond is extrapolated."""
        if self.inside_s is not None:
            return self.inside_s
        return float(self.stream_knots_s[0]), float(self.stream_knots_s[-1])

    def apply(self, times_s: ArrayLike) -> FloatArray:
        """Return times on the clock.

        Parameters
        ----------
        times_s : array_like
            Seconds on the stream, any shape and order; NaN stays NaN.

        Returns
        -------
        ndarray of float64, same shape
            Seconds on the clock.

        Raises
        ------
        ClockError
            If a time is further outside the pulses than `max_extrapolation_s`.
        """
        return self.apply_with_flags(times_s)[0]

    def apply_with_flags(self, times_s: ArrayLike) -> tuple[FloatArray, BoolArray]:
        """Return times on the clock and which of them are extrapolated.

        Parameters
        ----------
        times_s : array_like
            Seconds on the stream, any shape and order; NaN stays NaN and is not flagged.

        Returns
        -------
        clock_s : ndarray of float64, same shape
        extrapolated : ndarray of bool, same shape

        Raises
        ------
        ClockError
            If a time is further outside the pulses than `max_extrapolation_s`.
        """
        times = np.asarray(times_s, dtype=np.float64)
        first, last = self.stream_knots_s[0], self.stream_knots_s[-1]
        result = np.asarray(np.interp(times, self.stream_knots_s, self.clock_knots_s))
        before, after = times < first, times > last
        result = np.where(
            before, self.clock_knots_s[0] + self.rate_before * (times - first), result
        )
        result = np.where(after, self.clock_knots_s[-1] + self.rate_after * (times - last), result)
        outside = self.extrapolated(times)
        self._refuse_far(times, outside)
        return result, outside

    def extrapolated(self, times_s: ArrayLike) -> BoolArray:
        """Return which times lie outside the matched pulses.

        Parameters
        ----------
        times_s : array_like
            Seconds on the stream.

        Returns
        -------
        ndarray of bool, same shape
        """
        times = np.asarray(times_s, dtype=np.float64)
        first, last = self.covered_s
        return np.asarray((times < first) | (times > last))

    def invert(self) -> ClockMap:
        """Return the map from the clock to the stream; its report stays that of this map."""
        return ClockMap(
            stream=self.clock,
            clock=self.stream,
            stream_knots_s=self.clock_knots_s,
            clock_knots_s=self.stream_knots_s,
            rate_before=1 / self.rate_before,
            rate_after=1 / self.rate_after,
            max_extrapolation_s=self.max_extrapolation_s,
            report=self.report,
            inside_s=None if self.inside_s is None else tuple(self.apply(self.inside_s).tolist()),
        )

    def __repr__(self) -> str:
        return f"ClockMap({self.stream} -> {self.report.headline})"

    def _repr_html_(self) -> str:
        return self.report._repr_html_()

    def _refuse_far(self, times: FloatArray, outside: BoolArray) -> None:
        if self.max_extrapolation_s is None or not outside.any():
            return
        first, last = self.covered_s
        beyond = np.maximum(first - times[outside], times[outside] - last)
        if beyond.max() > self.max_extrapolation_s:
            raise ClockError(
                f"A time of {self.stream} lies {beyond.max():.3f} s outside its sync pulses; at "
                f"most {self.max_extrapolation_s:.3f} s may be extrapolated.",
                hint=f"Pulses cover {first:.3f} to {last:.3f} s; restrict the times to that.",
            )


def fit_clock(
    stream_s: ArrayLike,
    clock_s: ArrayLike,
    *,
    stream: str = "stream",
    clock: str = "clock",
    tolerance_s: float = TOLERANCE_S,
    offset_hint_s: float | None = None,
    stream_span_s: Span | None = None,
    clock_span_s: Span | None = None,
    stream_quantum_s: float = 0.0,
    clock_quantum_s: float = 0.0,
    least_matched: float = LEAST_MATCHED,
    max_extrapolation_s: float | None = None,
) -> ClockMap:
    """Match two pulse trains and fit the map from the stream to the clock.

    Parameters
    ----------
    stream_s, clock_s : array_like, shape (n_stream,), (n_clock,)
        Onsets in seconds, each on its own clock, ascending.
    stream, clock : str
        Names, for the report.
    tolerance_s : float
        Largest error of a pulse, seconds; pulses further off are not used.
    offset_hint_s, stream_span_s, clock_span_s
        See :func:`labdata.clocks.match_pulses`.
    stream_quantum_s, clock_quantum_s : float
        Sample intervals in seconds; 0 estimates them from the times.
    least_matched : float
        Share of the pulses inside the overlap that must match.
    max_extrapolation_s : float, optional
        Refuse times further outside the pulses than this, seconds.

    Returns
    -------
    ClockMap

    Raises
    ------
    ClockError
        If there are fewer than 3 pulses, too few of them match within the tolerance, or the
        fitted times do not ascend.
    """
    x, y = as_times(stream_s, "stream's pulses"), as_times(clock_s, "clock's pulses")
    stream_quantum_s = stream_quantum_s or estimate_quantum(x)
    clock_quantum_s = clock_quantum_s or estimate_quantum(y)
    match = match_pulses(
        x,
        y,
        tolerance_s=tolerance_s,
        offset_hint_s=offset_hint_s,
        stream_span_s=stream_span_s,
        clock_span_s=clock_span_s,
        stream_quantum_s=stream_quantum_s,
        clock_quantum_s=clock_quantum_s,
    )
    if match.matched_fraction < least_matched:
        raise ClockError(
            f"Only {match.n_matched} pulses ({100 * match.matched_fraction:.0f} %) of {stream} "
            f"and {clock} agree within {tolerance_s:.3g} s; {100 * least_matched:.0f} % must.",
            hint="Check that both events are the same sync line; a jittery one needs a larger "
            "tolerance_s.",
        )
    knots, raw = x[match.stream_index], y[match.clock_index]
    quantum = float(np.hypot(stream_quantum_s, clock_quantum_s))
    smoothed, rates = _fit_knots(knots, raw, quantum, tolerance_s)
    report = _report(x, y, match, smoothed, (stream, clock), tolerance_s, stream_span_s)
    fitted = ClockMap(stream, clock, knots, smoothed, *rates, max_extrapolation_s, report)
    apart_s = _ends_apart(replace(fitted, max_extrapolation_s=None), stream_span_s, clock_span_s)
    return replace(fitted, report=replace(report, ends_apart_s=apart_s))


def synchronise(
    stream_s: ArrayLike,
    stream_values: ArrayLike | None,
    clock_s: ArrayLike,
    clock_values: ArrayLike | None,
    *,
    stream: str = "stream",
    clock: str = "clock",
    tolerance_s: float = TOLERANCE_S,
    offset_hint_s: float | None = None,
    stream_span_s: Span | None = None,
    clock_span_s: Span | None = None,
    stream_quantum_s: float = 0.0,
    clock_quantum_s: float = 0.0,
    least_matched: float = LEAST_MATCHED,
    max_extrapolation_s: float | None = None,
) -> ClockMap:
    """Relate a stream to a clock from the logged edges of their common sync line.

    Selects onsets, takes out glitches, matches and fits.

    Parameters
    ----------
    stream_s, clock_s : array_like, shape (n_edges,)
        Logged edges in seconds, each on its own clock, ascending.
    stream_values, clock_values : array_like or None
        Level after each edge (nonzero a rise, 0 a fall); None if only onsets were logged.
    stream, clock, tolerance_s, offset_hint_s, stream_span_s, clock_span_s, stream_quantum_s, \
clock_quantum_s, least_matched, max_extrapolation_s
        See :func:`fit_clock`.

    Returns
    -------
    ClockMap
        Its report counts the glitches as well.

    Raises
    ------
    ClockError
        As :func:`fit_clock` and :func:`labdata.clocks.remove_glitches`.
    """
    mine = remove_glitches(stream_s, stream_values)
    theirs = remove_glitches(clock_s, clock_values)
    fitted = fit_clock(
        mine.onsets_s,
        theirs.onsets_s,
        stream=stream,
        clock=clock,
        tolerance_s=tolerance_s,
        offset_hint_s=offset_hint_s,
        stream_span_s=stream_span_s,
        clock_span_s=clock_span_s,
        stream_quantum_s=stream_quantum_s,
        clock_quantum_s=clock_quantum_s,
        least_matched=least_matched,
        max_extrapolation_s=max_extrapolation_s,
    )
    report = replace(
        cast(SyncReport, fitted.report),  # of one map
        glitches_in_stream_s=_tuple(mine.glitches_s),
        glitches_in_clock_s=_tuple(theirs.glitches_s),
    )
    return replace(fitted, report=report)


def estimate_quantum(times_s: FloatArray) -> float:
    """Estimate the sample interval that times were rounded to.

    Parameters
    ----------
    times_s : ndarray of float64, shape (n,)
        Seconds.

    Returns
    -------
    float
        Greatest common divisor of the differences between intervals, in seconds; 0 if they have
        none above 1 µs (times that were not rounded) or do not differ by less than 2 ms.
    """
    steps = np.diff(np.sort(np.diff(times_s)))
    steps = steps[(steps > 1e-7) & (steps < 2e-3)]
    quantum = float(steps.min()) if len(steps) else 0.0
    while quantum > 1e-6:
        rest = np.abs(steps - quantum * np.round(steps / quantum))
        if rest.max() < 0.02 * quantum:
            return quantum
        quantum = float(rest[rest >= 0.02 * quantum].min())
    return 0.0


def _fit_knots(
    x: FloatArray, y: FloatArray, quantum_s: float, tolerance_s: float
) -> tuple[FloatArray, tuple[float, float]]:
    """Smooth the matched pulses and fit the rates outside them."""
    level, slope = straight_line(x, y)
    line = level + slope * x
    smoothed, window = smooth(x, y - line, quantum_s=quantum_s)
    # Never further from an edge than it can be wrong: a sample, or its jitter.
    error = y - line - smoothed
    most = max(quantum_s, 4 * float(np.sqrt(np.mean(error**2))))
    most = min(most, tolerance_s)
    knots = line + np.clip(smoothed, y - line - most, y - line + most)
    if not (np.diff(knots) > 0).all():
        raise ClockError(
            "The fitted clock does not advance at every pulse "
            f"(smallest step {np.diff(knots).min():.3g} s).",
            hint="Pulses closer than their jitter cannot relate clocks; remove glitches first.",
        )
    n = min(len(x), max(window, RATE_PULSES))
    return knots, (_rate(x[:n], y[:n]), _rate(x[-n:], y[-n:]))


def _rate(x: FloatArray, y: FloatArray) -> float:
    """Least-squares slope of the pulses, outliers limited."""
    level, slope = straight_line(x, y)
    error = y - level - slope * x
    limit = 4 * 1.4826 * float(np.median(np.abs(error))) + 1e-12
    calm = np.clip(error, -limit, limit)
    u = x - x.mean()
    return slope + float(u @ calm / (u @ u))


def _ends_apart(
    fitted: ClockMap, stream_span_s: Span | None, clock_span_s: Span | None
) -> float | None:
    """Return how much later the clock's recording ends than the stream's, None if unknown."""
    stops = [None if span is None else span[1] for span in (stream_span_s, clock_span_s)]
    if stops[0] is None or stops[1] is None:
        return None
    return float(stops[1] - fitted.apply(stops[0]))


def _report(
    x: FloatArray,
    y: FloatArray,
    match: PulseMatch,
    smoothed: FloatArray,
    names: tuple[str, str],
    tolerance_s: float,
    span: Span | None,
) -> SyncReport:
    knots = x[match.stream_index]
    error = y[match.clock_index] - smoothed
    first, last = float(knots[0]), float(knots[-1])
    spans = []
    if span is not None and span[0] < first:
        spans.append((float(span[0]), first))
    if span is not None and span[1] is not None and span[1] > last:
        spans.append((last, float(span[1])))
    other = match.alternative_offset_s
    return SyncReport(
        stream=names[0],
        clock=names[1],
        n_stream=len(x),
        n_clock=len(y),
        n_matched=match.n_matched,
        dropped_in_stream_s=_tuple(y[match.missing_in_stream]),
        dropped_in_clock_s=_tuple(np.interp(x[match.missing_in_clock], knots, smoothed)),
        dropped_in_stream_index=tuple(match.missing_in_stream.tolist()),
        dropped_in_clock_index=tuple(match.missing_in_clock.tolist()),
        spurious_in_stream_s=_tuple(x[match.spurious_in_stream]),
        spurious_in_clock_s=_tuple(y[match.spurious_in_clock]),
        glitches_in_stream_s=(),
        glitches_in_clock_s=(),
        n_outside_stream=len(match.outside_stream),
        n_outside_clock=len(match.outside_clock),
        n_contested=match.n_contested,
        residual_rms_s=float(np.sqrt(np.mean(error**2))),
        residual_max_s=float(np.abs(error).max()),
        tolerance_s=tolerance_s,
        drift_ppm=(match.rate - 1) * 1e6,
        offset_s=match.offset_s,
        period_s=float(np.median(np.diff(smoothed))),
        largest_gap_s=float(np.diff(smoothed).max()),
        periodic=match.periodic,
        evidence=match.evidence,
        ambiguous_offset=match.ambiguous_offset,
        alternative_offset_s=None if np.isnan(other) else other,
        covered_s=(first, last),
        extrapolated_spans_s=tuple(spans),
        ends_apart_s=None,
    )


def _tuple(times: FloatArray) -> tuple[float, ...]:
    return tuple(times.tolist())
