"""A synchronisation that could be inserted: lines of two streams with the same pulses."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ..errors import ClockError
from .synchrony import StreamKey, fit_stream

_STREAM = ("subject_name", "session_name", "dataset_name", "stream_name")
#: Two lines carry one train of pulses only if they have about as many edges.
_LEAST_SHARE = 0.8
_LEAST_EDGES = 6


def suggest_sync(lab: Any, stream: StreamKey) -> dict[str, Any] | None:
    """Return a row for StreamSync whose pulses match; nothing is inserted.

    Parameters
    ----------
    lab : Lab
        The tables.
    stream : StreamKey
        Subject, session, dataset and name of the stream.

    Returns
    -------
    dict or None
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
    best: tuple[tuple[float, ...], dict[str, Any]] | None = None
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
            how_good = _judge(lab, row)
            if how_good is not None and (best is None or how_good > best[0]):
                best = (how_good, row)
    return None if best is None else best[1]


def _judge(lab: Any, row: dict[str, Any]) -> tuple[float, ...] | None:
    """Return how well the pulses of a row match, the more the better; None if they do not."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of offsets that could be others: it is a suggestion
            report = fit_stream(lab, row).report
    except ClockError:
        return None
    return (report.n_matched, row["clock_stream"] == "nidq", -report.residual_max_s)
