"""What a synchronisation did, in numbers that a scientist can check and a file can keep."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from labdata.markup import badge, card, facts_table

#: What decided an offset, in words.
_EVIDENCE = {
    "jitter": "the jitter of the pulses",
    "pattern": "the pattern of the pulses",
    "hint": "the start of each recording",
    "spans": "the spans of the recordings",
    "overlap": "the overlap of the pulses",
}
#: Numbers that are None where there is none; of others None in JSON is NaN.
_MAY_BE_NONE = ("alternative_offset_s", "ends_apart_s")
#: Times listed in text; `to_dict` has all of them.
_LISTED = 5


@dataclass(frozen=True)
class SyncReport:
    """How well a stream was related to a clock.

    Counts describe the whole stream. "Dropped by" a side means that the other side saw the pulse.

    Attributes
    ----------
    stream, clock : str
        Names of the stream and of the clock.
    n_stream, n_clock, n_matched : int
        Pulses on each side after glitches were removed, and pairs.
    dropped_in_stream_s, dropped_in_clock_s : tuple of float
        Pulses that one side dropped inside the overlap, in seconds **on the clock**.
    dropped_in_stream_index, dropped_in_clock_index : tuple of int
        Position of the dropped pulse in the train of the side that has it.
    spurious_in_stream_s, spurious_in_clock_s : tuple of float
        Pulses that fit nothing, in seconds on their own clock.
    glitches_in_stream_s, glitches_in_clock_s : tuple of float
        Glitches removed before matching, in seconds on their own clock.
    n_outside_stream, n_outside_clock : int
        Pulses before or after the overlap.
    n_contested : int
        Those of the stream at times at which the clock's train went on, so that they should match.
    residual_rms_s, residual_max_s : float
        Error of the matched pulses against the smoothed map, seconds.
    tolerance_s : float
        Largest error allowed, seconds.
    drift_ppm : float
        Rate of the clock against the stream, parts per million.
    offset_s : float
        Time on the clock at 0 s of the stream, by a straight line, seconds.
    period_s : float
        Median interval of the matched pulses on the clock, seconds.
    largest_gap_s : float
        Longest interval between matched pulses on the clock, seconds.
    periodic : bool
        Whether the pulses are regular.
    evidence : str
        What decided the offset (:class:`labdata.clocks.PulseMatch`).
    ambiguous_offset : bool
        Whether another offset explains the pulses about as well.
    alternative_offset_s : float or None
        That other offset, seconds.
    covered_s : tuple of float
        First and last matched pulse on the stream, seconds; times outside are extrapolated.
    extrapolated_spans_s : tuple of tuple of float
        Parts of the stream's recording outside `covered_s`, where its span is known.
    ends_apart_s : float or None
        How much later the clock's recording ends than the stream's, seconds on the clock; None
        where a span is not known.
    """

    stream: str
    clock: str
    n_stream: int
    n_clock: int
    n_matched: int
    dropped_in_stream_s: tuple[float, ...]
    dropped_in_clock_s: tuple[float, ...]
    dropped_in_stream_index: tuple[int, ...]
    dropped_in_clock_index: tuple[int, ...]
    spurious_in_stream_s: tuple[float, ...]
    spurious_in_clock_s: tuple[float, ...]
    glitches_in_stream_s: tuple[float, ...]
    glitches_in_clock_s: tuple[float, ...]
    n_outside_stream: int
    n_outside_clock: int
    n_contested: int
    residual_rms_s: float
    residual_max_s: float
    tolerance_s: float
    drift_ppm: float
    offset_s: float
    period_s: float
    largest_gap_s: float
    periodic: bool
    evidence: str
    ambiguous_offset: bool
    alternative_offset_s: float | None
    covered_s: tuple[float, float]
    extrapolated_spans_s: tuple[tuple[float, float], ...]
    ends_apart_s: float | None

    @property
    def n_dropped(self) -> int:
        """Pulses dropped on either side."""
        return len(self.dropped_in_stream_s) + len(self.dropped_in_clock_s)

    @property
    def n_spurious(self) -> int:
        """Spurious pulses and glitches on either side."""
        return sum(
            map(
                len,
                (
                    self.spurious_in_stream_s,
                    self.spurious_in_clock_s,
                    self.glitches_in_stream_s,
                    self.glitches_in_clock_s,
                ),
            )
        )

    @property
    def headline(self) -> str:
        """One line: clock, largest error, what was lost, for example ``nidq · 12 µs``."""
        return " · ".join([self.clock, show_duration(self.residual_max_s), *self.said])

    @property
    def said(self) -> tuple[str, ...]:
        """What was lost, added or assumed, a few words each; empty if nothing was."""
        parts = []
        if self.n_dropped:
            parts.append(f"{_count(self.n_dropped, 'pulse')} lost")
        if self.n_spurious:
            parts.append(f"{_count(self.n_spurious, 'spurious pulse')}")
        if self.ambiguous_offset:
            parts.append("offset ambiguous")
        elif self.assumed_offset:
            parts.append("offset assumed")
        return tuple(parts)

    @property
    def assumed_offset(self) -> bool:
        """Whether the offset rests on both recordings having started and stopped together.

        Regular pulses cannot tell whole periods apart; jitter, a pattern or a known start can.
        """
        return self.periodic and self.evidence in ("spans", "overlap")

    @property
    def may_lack_periods(self) -> bool:
        """Whether one of two recordings of one start ends early, and regular pulses hide why.

        Samples that were lost for whole periods leave a regular train as it was.
        """
        apart_s = abs(self.ends_apart_s or 0.0)
        return self.periodic and self.evidence == "hint" and apart_s > self.period_s / 2

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on what a user of the times should know; empty if all is well."""
        found = []
        if self.ambiguous_offset:
            other = self.alternative_offset_s
            found.append(
                f"The offset of {self.offset_s:.6f} s is ambiguous"
                + ("" if other is None else f": {other:.6f} s explains the pulses about as well")
                + ". Give the spans of both recordings or the offset to decide."
            )
        elif self.assumed_offset:
            found.append(
                f"Regular pulses cannot tell whole periods of {self.period_s:.3g} s apart: the "
                f"offset of {self.offset_s:.6f} s takes both recordings to have started and "
                "stopped within half a period of each other."
            )
        elif self.may_lack_periods:
            found.append(
                f"{self.stream} ends {abs(self.ends_apart_s or 0.0):.3f} s "
                f"{'before' if (self.ends_apart_s or 0.0) > 0 else 'after'} {self.clock} though "
                "their starts are known: of regular pulses it cannot be told whether one lost "
                f"samples of whole periods of {self.period_s:.3g} s."
            )
        for name, times in (
            (f"{self.stream} dropped", self.dropped_in_stream_s),
            (f"{self.clock} dropped", self.dropped_in_clock_s),
        ):
            if times:
                found.append(
                    f"{name} {_count(len(times), 'pulse')}: {_listed(times)} on the clock."
                )
        if self.n_spurious:
            found.append(f"{_count(self.n_spurious, 'spurious pulse')} left out.")
        return (*found, *self._untold())

    def _untold(self) -> list[str]:
        """Return sentences on the times of which the pulses tell little."""
        found = []
        if self.n_contested:
            found.append(
                f"{_count(self.n_contested, 'pulse')} of {self.stream} before the first or after "
                f"the last common one fit none of {self.clock}: times there are extrapolated."
            )
        if self.largest_gap_s > 10 * self.period_s:
            found.append(f"No pulse for {self.largest_gap_s:.1f} s at the longest.")
        for start, stop in self.extrapolated_spans_s:
            if stop - start > 10 * self.period_s:
                found.append(f"Extrapolated from {start:.3f} to {stop:.3f} s of {self.stream}.")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return everything as values that JSON can hold."""
        facts = {name: _plain(value) for name, value in asdict(self).items()}
        return facts | {"headline": self.headline, "warnings": list(self.warnings)}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> SyncReport:
        """Return the report that :meth:`to_dict` gave the values of.

        Parameters
        ----------
        facts : mapping
            As JSON gave them back.
        """
        values = {field.name: _nested(facts[field.name]) for field in fields(cls)}
        missing = {n: math.nan for n, v in values.items() if v is None and n not in _MAY_BE_NONE}
        return cls(**(values | missing))

    def to_attrs(self) -> dict[str, str | float | int]:
        """Return the attributes of an object whose times went through this map.

        Returns
        -------
        dict
            Only str, int and float, so that netCDF and Zarr hold it. Counts describe the whole
            stream, not what is left after a selection, and start with ``stream_``.
        """
        attrs: dict[str, str | float | int] = {
            "clock": self.clock,
            "stream": self.stream,
            "synced": 1,
            "sync_method": "pulses, smoothed piecewise linear",
            "sync_residual_rms_s": self.residual_rms_s,
            "sync_residual_max_s": self.residual_max_s,
            "sync_tolerance_s": self.tolerance_s,
            "sync_drift_ppm": self.drift_ppm,
            "sync_offset_s": self.offset_s,
            "sync_offset_evidence": self.evidence,
            "sync_ambiguous_offset": int(self.ambiguous_offset),
            "sync_assumed_offset": int(self.assumed_offset),
            "sync_covered_start_s": self.covered_s[0],
            "sync_covered_stop_s": self.covered_s[1],
            "sync_headline": self.headline,
            "stream_sync_n_pulses": self.n_matched,
            "stream_sync_n_dropped": self.n_dropped,
            "stream_sync_n_spurious": self.n_spurious,
        }
        if self.warnings:
            attrs["sync_note"] = " ".join(self.warnings)
        return attrs

    def __str__(self) -> str:
        lines = [f"{self.stream} on {self.headline}"]
        lines += [f"  {name:<18} {value}" for name, value in self._facts().items()]
        return "\n".join(lines + [f"  ! {text}" for text in self.warnings])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        flags = "".join(
            badge(word, " ".join(self.warnings))
            for word, shown in (
                ("offset ambiguous", self.ambiguous_offset),
                ("offset assumed", self.assumed_offset and not self.ambiguous_offset),
                (f"{_count(self.n_dropped, 'pulse')} lost", self.n_dropped > 0),
            )
            if shown
        )
        return card(facts_table(f"{self.stream} on {self.headline}", self._facts()), flags)

    def _facts(self) -> dict[str, str]:
        return {
            "pulses matched": f"{self.n_matched} of {self.n_stream} on {self.stream}, "
            f"{self.n_clock} on {self.clock}",
            "error": f"{show_duration(self.residual_rms_s)} rms, "
            f"{show_duration(self.residual_max_s)} at most "
            f"(allowed {show_duration(self.tolerance_s)})",
            "drift": f"{self.drift_ppm:+.3f} ppm",
            "offset": f"{self.offset_s:.6f} s, by {_EVIDENCE.get(self.evidence, self.evidence)}",
            "period": f"{self.period_s:.6g} s" + ("" if self.periodic else " (irregular)"),
            "covered": f"{self.covered_s[0]:.3f} to {self.covered_s[1]:.3f} s of {self.stream}",
        }


def show_duration(seconds: float) -> str:
    """Return a short time as people write it.

    Parameters
    ----------
    seconds : float
        Seconds, positive.

    Examples
    --------
    >>> show_duration(12e-6)
    '12 µs'
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" + ("" if n == 1 else "s")


def _listed(times: tuple[float, ...]) -> str:
    text = ", ".join(f"{t:.3f}" for t in times[:_LISTED])
    return f"at {text}{' ...' if len(times) > _LISTED else ''} s"


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and value != value:
        return None
    return value


def _nested(value: Any) -> Any:
    return tuple(_nested(v) for v in value) if isinstance(value, list) else value
