"""Streams, and the digital lines by which two of them are synchronised, from their rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..database.quick_rows import select_rows
from ..errors import ClockError
from .segments import fetch_axes

DATASET = ("subject_name", "session_name", "dataset_name")
#: What is read of a line, and of its stream.
_LINE = ("event_timestamps", "event_values")
_STREAM = (*DATASET, "stream_name", "sampling_rate", "n_samples", "first_sample")
#: (subject_name, session_name, dataset_name, stream_name)
StreamKey = tuple[str, str, str, str]


def stream_key(row: dict[str, Any]) -> StreamKey:
    """Return the stream that a row belongs to.

    Parameters
    ----------
    row : dict
        With the key of DatasetEvents.
    """
    return row["subject_name"], row["session_name"], row["dataset_name"], row["stream_name"]


def clock_key(row: dict[str, Any]) -> StreamKey:
    """Return the stream whose clock a row of StreamSync leads to.

    Parameters
    ----------
    row : dict
        Of StreamSync.
    """
    return row["subject_name"], row["session_name"], row["clock_dataset"], row["clock_stream"]


def line_keys(row: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the keys of the two lines that a row of StreamSync relates.

    Parameters
    ----------
    row : dict
        Of StreamSync.

    Returns
    -------
    stream, clock : dict
        Keys of DatasetEvents.Digital.
    """
    mine = {k: row[k] for k in (*DATASET, "stream_name", "event_name")}
    clock = mine | {
        "dataset_name": row["clock_dataset"],
        "stream_name": row["clock_stream"],
        "event_name": row["clock_stream_event"],
    }
    return mine, clock


@dataclass(frozen=True)
class SyncLine:
    """A digital line, and what its stream says of itself: all that a synchronisation is made of.

    Attributes
    ----------
    times_s : ndarray of float64, shape (n_edges,)
        Seconds of the edges on the stream's own clock.
    values : ndarray of int8, shape (n_edges,) or None
        1 rise, 0 fall; None: all are rises.
    span_s : (float, float) or None
        Of the recording, where it is known.
    quantum_s : float
        Duration of a sample, 0 where it is not known.
    start_s : float or None
        When the recording began, since the acquisition did, where it is known.
    """

    times_s: Any
    values: Any
    span_s: tuple[float, float] | None
    quantum_s: float
    start_s: float | None

    @classmethod
    def read(cls, lab: Any, key: dict[str, Any]) -> SyncLine:
        """Return a line of the tables.

        Parameters
        ----------
        lab : Lab
            The tables.
        key : dict
            Of DatasetEvents.Digital.

        Raises
        ------
        ClockError
            If it has no events, or its stream was recorded in several runs.
        """
        rows = select_rows(lab.DatasetEvents.Digital, _LINE, [key])
        row = rows[0] if rows else dict.fromkeys(_LINE)
        if row["event_timestamps"] is None:
            raise ClockError(
                f"Line {key['event_name']} of {key['stream_name']} has no events.",
                hint="Choose the line that carries the common pulses.",
            )
        of_stream = {name: key[name] for name in (*DATASET, "stream_name")}
        (stream,) = select_rows(lab.DatasetEvents, _STREAM, [of_stream])
        rate, n_samples = stream["sampling_rate"], stream["n_samples"]
        known = bool(rate and n_samples)
        started = stream["first_sample"]
        end_s = n_samples / rate if known else 0.0
        if known and (axes := fetch_axes(lab, {stream_key(stream): rate})):
            axis = axes[stream_key(stream)]
            _require_one_epoch(key, int(axis.epoch.max()) + 1)
            end_s = float(axis.end_s[-1])
        return cls(
            row["event_timestamps"],
            row["event_values"],
            (0.0, end_s) if known else None,
            1.0 / rate if known else 0.0,
            started / rate if known and started is not None else None,
        )


def _require_one_epoch(key: dict[str, Any], n_epochs: int) -> None:
    """Refuse streams of several runs: their files' dates place them, to a second only."""
    if n_epochs > 1:
        raise ClockError(
            f"Stream {key['stream_name']} of {'/'.join(str(key[k]) for k in DATASET)} was "
            f"recorded in {n_epochs} runs of the acquisition, between which pulses do not go on.",
            hint="Runs that are to be synchronised are put as datasets of their own, with -d.",
        )
