"""Digital events on the clock that StreamSync names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..clocks import ClockMap
from .synchrony import StreamKey, check_method, clock_maps, warn_unsynced

_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")


@dataclass(frozen=True)
class StreamOnClock:
    """A stream of events and the clock its times can be put on.

    Attributes
    ----------
    key : dict
        Of DatasetEvents.
    sampling_rate_hz : float or None
        Nominal.
    clock : str
        Name of the clock: its own, if it is not synchronised.
    synced : bool
        Whether it is synchronised, or is the clock of others.
    clock_map : ClockMap or None
        The map to the clock; None for its own.
    """

    key: dict[str, Any]
    sampling_rate_hz: float | None
    clock: str
    synced: bool
    clock_map: ClockMap | None

    @property
    def stream_name(self) -> str:
        """Name of the stream."""
        return str(self.key["stream_name"])


def streams_on_clocks(lab: Any, streams: Any, *, force: bool = False) -> list[StreamOnClock]:
    """Return the streams of a query of DatasetEvents with their clocks.

    Parameters
    ----------
    lab : Lab
        The tables.
    streams : DatasetEvents
        The streams.
    force : bool, optional
        Accept residuals above tolerance.
    """
    rows = streams.fetch(as_dict=True)
    maps = clock_maps(lab, map(_stream, rows), force=force)
    clocks = _clock_streams(lab, rows)
    found = []
    for row in rows:
        clock_map = maps.get(_stream(row))
        found.append(
            StreamOnClock(
                key={k: row[k] for k in lab.DatasetEvents.primary_key},
                sampling_rate_hz=row["sampling_rate"],
                clock=clock_map.clock if clock_map else row["stream_name"],
                synced=clock_map is not None or _stream(row) in clocks,
                clock_map=clock_map,
            )
        )
    return found


def fetch_synced(lines: Any, *, force: bool, method: str) -> list[dict[str, Any]]:
    """Return lines with synchronised times; see :meth:`DatasetEvents.Digital.fetch_synced`."""
    check_method(method)
    lab = lines.lab
    rows: list[dict[str, Any]] = lines.fetch(as_dict=True)
    streams = lab.DatasetEvents & lines.proj()
    on_clock = {_stream(s.key): s for s in streams_on_clocks(lab, streams, force=force)}
    for row in rows:
        stream = on_clock[_stream(row)]
        row["clock"], row["synced"] = stream.clock, stream.synced
        if stream.clock_map and row["event_timestamps"] is not None:
            row["event_timestamps"] = stream.clock_map.apply(row["event_timestamps"])
    warn_unsynced(_stream(row) for row in rows if not row["synced"])
    return rows


def plot_synced(
    lines: Any,
    *,
    stream_colors: dict[str, str] | None,
    overlay_original: bool,
    lw: float,
    force: bool,
    ax: Any,
) -> Any:
    """Draw lines as ticks; see :meth:`DatasetEvents.Digital.plot_synced`."""
    import matplotlib.pyplot as plt

    ax = ax or plt.gca()
    rows = fetch_synced(lines, force=force, method="piecewise-linear")
    original = lines.fetch("event_timestamps") if overlay_original else []
    streams = list(dict.fromkeys(row["stream_name"] for row in rows))
    colours = dict(zip(streams, _COLOURS * len(streams), strict=False)) | (stream_colors or {})
    for index, row in enumerate(rows):
        rises = _rises(row["event_values"], row["event_timestamps"])
        if overlay_original:
            raw = _rises(row["event_values"], original[index])
            ax.vlines(raw, index - 0.4, index + 0.4, color="0.75", lw=lw)
        colour = colours[row["stream_name"]]
        ax.vlines(rises, index - 0.4, index + 0.4, color=colour, lw=lw)
    ax.set_yticks(range(len(rows)), [_label(row) for row in rows])
    ax.set_xlabel(f"Time (s, clock {', '.join(sorted({row['clock'] for row in rows}))})")
    ax.set_ylim(len(rows) - 0.5, -0.5)
    return ax


def _stream(row: dict[str, Any]) -> StreamKey:
    return row["subject_name"], row["session_name"], row["dataset_name"], row["stream_name"]


def _clock_streams(lab: Any, rows: list[dict[str, Any]]) -> set[StreamKey]:
    """Return the streams that others are synchronised to: their own clock is the clock."""
    sessions = [
        dict(zip(("subject_name", "session_name"), pair, strict=True))
        for pair in {(r["subject_name"], r["session_name"]) for r in rows}
    ]
    if not sessions:
        return set()
    return {
        (row["subject_name"], row["session_name"], row["clock_dataset"], row["clock_stream"])
        for row in (lab.StreamSync & sessions).fetch(as_dict=True)
    }


def _rises(values: Any, times: Any) -> Any:
    if times is None:
        return np.empty(0)
    return times if values is None else times[values == 1]


def _label(row: dict[str, Any]) -> str:
    mark = "" if row["synced"] else " (not synchronised)"
    return f"{row['stream_name']} {row['event_name']}{mark}"
