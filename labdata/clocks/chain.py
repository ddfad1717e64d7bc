"""Clocks in a row: imec1 is related to imec0, imec0 to the NI-DAQ, the NI-DAQ to a behaviour box.

The maps are joined into one, from the first stream to the last clock. Between the pulses of both
maps it is what applying one after the other gives; a time is extrapolated if either map
extrapolates it; errors add up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from labdata.clocks.clock_map import ClockMap, FloatArray
from labdata.clocks.report import SyncReport, show_duration
from labdata.errors import ClockError
from labdata.markup import card, facts_table

#: Pulses of two maps this close are one knot of the joined map. Clocks bend by a few parts in a
#: million between pulses, so that what is passed over is nanoseconds.
SAME_PULSE_S = 1e-3


@dataclass(frozen=True, repr=False)
class ChainReport:
    """How well a stream was related to the last of several clocks.

    Attributes
    ----------
    links : tuple of SyncReport
        One a map, from the stream on.
    covered_s : tuple of float
        Part of the stream that no link extrapolates, seconds on the stream.
    """

    links: tuple[SyncReport, ...]
    covered_s: tuple[float, float]

    @property
    def stream(self) -> str:
        """Name of the first stream."""
        return self.links[0].stream

    @property
    def clock(self) -> str:
        """Name of the last clock."""
        return self.links[-1].clock

    @property
    def chain(self) -> str:
        """The streams and the clock, in order: ``imec1 > imec0 > nidq``."""
        return " > ".join([*(link.stream for link in self.links), self.clock])

    @property
    def residual_rms_s(self) -> float:
        """Root of the summed squares of the links' errors, seconds."""
        return math.hypot(*(link.residual_rms_s for link in self.links))

    @property
    def residual_max_s(self) -> float:
        """Sum of the links' largest errors, seconds."""
        return sum(link.residual_max_s for link in self.links)

    @property
    def drift_ppm(self) -> float:
        """Rate of the last clock against the stream, parts per million."""
        return (math.prod(1 + link.drift_ppm * 1e-6 for link in self.links) - 1) * 1e6

    @property
    def offset_s(self) -> float:
        """Time on the last clock at 0 s of the stream, by straight lines, seconds."""
        return reduce(
            lambda time_s, link: link.offset_s + time_s * (1 + link.drift_ppm * 1e-6),
            self.links,
            0.0,
        )

    @property
    def ambiguous_offset(self) -> bool:
        """Whether any link's offset is ambiguous."""
        return any(link.ambiguous_offset for link in self.links)

    @property
    def n_dropped(self) -> int:
        """Pulses dropped in any link."""
        return sum(link.n_dropped for link in self.links)

    @property
    def headline(self) -> str:
        """One line: the last clock, the largest error, what it went through, what was lost."""
        through = ", ".join(link.clock for link in self.links[:-1])
        parts = [self.clock, show_duration(self.residual_max_s), f"through {through}"]
        lost = [f"{link.stream}: {' · '.join(said)}" for link in self.links if (said := link.said)]
        return " · ".join(parts + lost)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on what a user of the times should know, of each link."""
        return tuple(
            f"{link.stream} on {link.clock}: {text}"
            for link in self.links
            for text in link.warnings
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as values that JSON can hold."""
        return {
            "chain": self.chain,
            "headline": self.headline,
            "warnings": list(self.warnings),
            "covered_s": list(self.covered_s),
            "links": [link.to_dict() for link in self.links],
        }

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> ChainReport:
        """Return the report that :meth:`to_dict` gave the values of.

        Parameters
        ----------
        facts : mapping
            As JSON gave them back.
        """
        start, stop = facts["covered_s"]
        return cls(tuple(SyncReport.from_dict(link) for link in facts["links"]), (start, stop))

    def to_attrs(self) -> dict[str, str | float | int]:
        """Return the attributes of an object whose times went through this chain.

        Returns
        -------
        dict
            As :meth:`SyncReport.to_attrs`, errors and losses added up, and ``sync_chain``.
        """
        links = [link.to_attrs() for link in self.links]
        counts = ("stream_sync_n_dropped", "stream_sync_n_spurious")
        flags = ("sync_ambiguous_offset", "sync_assumed_offset")
        attrs: dict[str, str | float | int] = {
            **links[0],
            "clock": self.clock,
            "sync_chain": self.chain,
            "sync_residual_rms_s": self.residual_rms_s,
            "sync_residual_max_s": self.residual_max_s,
            "sync_tolerance_s": sum(link.tolerance_s for link in self.links),
            "sync_drift_ppm": self.drift_ppm,
            "sync_offset_s": self.offset_s,
            "sync_offset_evidence": ", ".join(link.evidence for link in self.links),
            "sync_covered_start_s": self.covered_s[0],
            "sync_covered_stop_s": self.covered_s[1],
            "sync_headline": self.headline,
            "stream_sync_n_pulses": min(link.n_matched for link in self.links),
            **{name: sum(int(link[name]) for link in links) for name in counts},
            **{name: max(int(link[name]) for link in links) for name in flags},
        }
        attrs.pop("sync_note", None)
        return attrs | ({"sync_note": " ".join(self.warnings)} if self.warnings else {})

    def __str__(self) -> str:
        return "\n".join([f"{self.stream} on {self.headline}", *map(str, self.links)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        facts = {
            "chain": self.chain,
            "error": f"{show_duration(self.residual_rms_s)} rms, "
            f"{show_duration(self.residual_max_s)} at most",
            "drift": f"{self.drift_ppm:+.3f} ppm",
            "covered": f"{self.covered_s[0]:.3f} to {self.covered_s[1]:.3f} s of {self.stream}",
        }
        whole = card(facts_table(f"{self.stream} on {self.headline}", facts))
        return whole + "".join(link._repr_html_() for link in self.links)


def join_maps(*maps: ClockMap) -> ClockMap:
    """Return one map for several that lead from a stream to a last clock.

    Parameters
    ----------
    *maps : ClockMap
        In order; the clock of each is the stream of the next.

    Returns
    -------
    ClockMap
        With a :class:`ChainReport`, unless there is only one map.

    Raises
    ------
    ClockError
        If none are given, they do not follow each other, or no time is inside the pulses of all.
    """
    if not maps:
        raise ClockError("No clock maps are given to be joined.", hint="Give one or more.")
    joined = reduce(_join, maps)
    if len(maps) == 1:
        return joined
    links = tuple(link for one in maps for link in _links(one))
    return replace(joined, report=ChainReport(links, joined.covered_s))


def _links(clock_map: ClockMap) -> tuple[SyncReport, ...]:
    report = clock_map.report
    return report.links if isinstance(report, ChainReport) else (report,)


def _join(first: ClockMap, second: ClockMap) -> ClockMap:
    if first.clock != second.stream:
        raise ClockError(
            f"A map to {first.clock} cannot be followed by one from {second.stream}.",
            hint="Give the maps from the stream on, each to the stream of the next.",
        )
    back = replace(first.invert(), max_extrapolation_s=None)
    forth = replace(first, max_extrapolation_s=None)
    last = replace(second, max_extrapolation_s=None)
    knots = _merge(first.stream_knots_s, back.apply(second.stream_knots_s))
    own = back.apply(second.covered_s)
    covered = max(first.covered_s[0], float(own[0])), min(first.covered_s[1], float(own[1]))
    if covered[0] >= covered[1]:
        raise ClockError(
            f"The pulses of {first.stream} on {first.clock} and those of {second.stream} on "
            f"{second.clock} share no time.",
            hint="Were they recorded together? Relate the stream to the last clock itself.",
        )
    limits = [m.max_extrapolation_s for m in (first, second) if m.max_extrapolation_s is not None]
    return ClockMap(
        stream=first.stream,
        clock=second.clock,
        stream_knots_s=knots,
        clock_knots_s=last.apply(forth.apply(knots)),
        rate_before=first.rate_before * second.rate_before,
        rate_after=first.rate_after * second.rate_after,
        max_extrapolation_s=min(limits, default=None),
        report=first.report,
        inside_s=covered,
    )


def _merge(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the knots of both, those of the second left out that are at one of the first."""
    at = np.searchsorted(first, second)
    padded = np.concatenate([[-np.inf], first, [np.inf]])
    near = np.minimum(second - padded[at], padded[at + 1] - second) < SAME_PULSE_S
    return np.sort(np.concatenate([first, second[~near]]))
