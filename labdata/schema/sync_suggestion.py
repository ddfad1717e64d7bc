"""A synchronisation that could be inserted: lines of two streams with the same pulses."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ..clocks import SyncReport
from ..errors import ClockError
from .sync_lines import StreamKey, clock_key
from .synchrony import fit_stream

_STREAM = ("subject_name", "session_name", "dataset_name", "stream_name")
#: Two lines carry one train of pulses only if they have about as many edges.
_LEAST_SHARE = 0.8
_LEAST_EDGES = 6


@dataclass(frozen=True)
class Suggestion:
    """A synchronisation that could be inserted.

    Attributes
    ----------
    row : dict
        For StreamSync.
    n_matched : int
        Pulses that both lines have.
    residual_max_s : float
        Largest error of one, seconds.
    doubt : str
        Why another offset may be the right one; empty if none may.
    """

    row: dict[str, Any]
    n_matched: int
    residual_max_s: float
    doubt: str


def suggest_missing(lab: Any, streams: Iterable[StreamKey]) -> list[Suggestion]:
    """Return rows for StreamSync that put streams without a clock on one; nothing is inserted.

    Parameters
    ----------
    lab : Lab
        The tables.
    streams : iterable of StreamKey
        Streams that are neither synchronised nor the clock of others.

    Returns
    -------
    list of Suggestion
        One a stream for which there is one. A stream that is the clock of another suggested row
        stays a clock: no two are each other's. The NI-DAQ comes last, as it is the usual clock.
    """
    found: list[Suggestion] = []
    clocks: set[StreamKey] = set()
    for stream in sorted(streams, key=lambda stream: (stream[3] == "nidq", stream)):
        one = None if stream in clocks else suggest_sync(lab, stream)
        if one is not None:
            found.append(one)
            clocks.add(clock_key(one.row))
    return found


def suggest_sync(lab: Any, stream: StreamKey) -> Suggestion | None:
    """Return a row for StreamSync whose pulses match; nothing is inserted.

    Parameters
    ----------
    lab : Lab
        The tables.
    stream : StreamKey
        Subject, session, dataset and name of the stream.

    Returns
    -------
    Suggestion or None
        Of the pairs of lines of this stream and of another one of the session, the one with the
        most pulses matched; of equal ones that on the NI-DAQ, then that with the least residual.
        None if no pair matches within the tolerance.
    """
    own = dict(zip(_STREAM, stream, strict=True))
    session = {name: own[name] for name in _STREAM[:2]}
    rows = (lab.DatasetEvents.Digital & session).fetch(
        *_STREAM, "event_name", "event_timestamps", as_dict=True
    )
    counts = {
        tuple(str(row[name]) for name in (*_STREAM, "event_name")): np.size(
            row["event_timestamps"]
        )
        for row in rows
        if row["event_timestamps"] is not None
    }
    best: Suggestion | None = None
    for mine in [line for line in counts if line[:4] == stream]:
        for theirs in [line for line in counts if line[:4] != stream]:
            few, many = sorted((counts[mine], counts[theirs]))
            if few < max(_LEAST_EDGES, _LEAST_SHARE * many):
                continue
            row = own | {
                "event_name": mine[4],
                "clock_dataset": theirs[2],
                "clock_stream": theirs[3],
                "clock_stream_event": theirs[4],
            }
            one = _try(lab, row)
            if one is not None and (best is None or _merit(one) > _merit(best)):
                best = one
    return best


def _try(lab: Any, row: dict[str, Any]) -> Suggestion | None:
    """Return a row with how well its pulses match; None if they do not."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of offsets that could be others: it is told below
            report = cast(SyncReport, fit_stream(lab, row).report)
    except ClockError:
        return None
    doubt = str(report.warnings[0]) if report.ambiguous_offset else ""
    return Suggestion(row, report.n_matched, report.residual_max_s, doubt)


def _merit(one: Suggestion) -> tuple[float, ...]:
    return one.n_matched, one.row["clock_stream"] == "nidq", -one.residual_max_s
