"""Digital events on the clock that StreamSync names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import QueryError
from .sync_lines import stream_key
from .synchrony import StreamClock, check_method, stream_clocks, warn_unsynced

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
    clock : StreamClock
        Its clock.
    """

    key: dict[str, Any]
    sampling_rate_hz: float | None
    clock: StreamClock

    @property
    def stream_name(self) -> str:
        """Name of the stream."""
        return str(self.key["stream_name"])


def streams_on_clocks(lab: Any, streams: Any) -> list[StreamOnClock]:
    """Return the streams of a query of DatasetEvents with their clocks.

    Parameters
    ----------
    lab : Lab
        The tables.
    streams : DatasetEvents
        The streams.
    """
    rows = streams.fetch(as_dict=True)
    clocks = stream_clocks(lab, map(stream_key, rows))
    names = lab.DatasetEvents.primary_key
    return [
        StreamOnClock({k: row[k] for k in names}, row["sampling_rate"], clocks[stream_key(row)])
        for row in rows
    ]


def fetch_synced(lines: Any, *, force: bool, method: str) -> list[dict[str, Any]]:
    """Return lines with synchronised times; see :meth:`DatasetEvents.Digital.fetch_synced`."""
    check_method(method)
    lab = lines.lab
    rows: list[dict[str, Any]] = lines.fetch(as_dict=True)
    for row in rows:
        check_columns(row)
    clocks = stream_clocks(lab, map(stream_key, rows), force=force)
    for row in rows:
        clock = clocks[stream_key(row)]
        row |= {"clock": clock.name, "clock_dataset": clock.dataset, "synced": clock.synced}
        row["n_extrapolated"] = 0
        if row["event_timestamps"] is not None:
            row["n_extrapolated"] = clock.count_extrapolated(row["event_timestamps"])
            row["event_timestamps"] = clock.apply(row["event_timestamps"])
    warn_unsynced(stream_key(row) for row in rows if not row["synced"])
    return rows


def check_columns(row: dict[str, Any]) -> None:
    """Raise if a line does not have one value and one sample for each of its times.

    Parameters
    ----------
    row : dict
        Of DatasetEvents.Digital.

    Raises
    ------
    QueryError
        With the line and both numbers.
    """
    n_times = np.size(row["event_timestamps"]) if row["event_timestamps"] is not None else 0
    for name in ("event_values", "event_samples"):
        if row[name] is not None and np.size(row[name]) != n_times:
            raise QueryError(
                f"Line {row['event_name']} of {'/'.join(stream_key(row))} has {n_times} "
                f"event_timestamps and {np.size(row[name])} {name}.",
                hint="Each edge has one of both: insert the line anew.",
            )


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
    key = lines.primary_key
    original = {}
    if overlay_original:
        for row in lines.fetch(*key, "event_timestamps", as_dict=True):
            original[tuple(row[k] for k in key)] = row["event_timestamps"]
    streams = list(dict.fromkeys(row["stream_name"] for row in rows))
    colours = dict(zip(streams, _COLOURS * len(streams), strict=False)) | (stream_colors or {})
    for index, row in enumerate(rows):
        rises = _rises(row["event_values"], row["event_timestamps"])
        if overlay_original:
            raw = _rises(row["event_values"], original[tuple(row[k] for k in key)])
            ax.vlines(raw, index - 0.4, index + 0.4, color="0.75", lw=lw)
        colour = colours[row["stream_name"]]
        ax.vlines(rises, index - 0.4, index + 0.4, color=colour, lw=lw)
    ax.set_yticks(range(len(rows)), _labels(rows))
    ax.set_xlabel(f"Time (s, clock {', '.join(sorted({row['clock'] for row in rows}))})")
    ax.set_ylim(max(len(rows), 1) - 0.5, -0.5)
    return ax


def _rises(values: Any, times: Any) -> Any:
    if times is None:
        return np.empty(0)
    return times if values is None else times[values == 1]


def _labels(rows: list[dict[str, Any]]) -> list[str]:
    """Name each line; by its dataset too where the lines are of several, as each has a nidq."""
    datasets = ["/".join(str(v) for v in stream_key(row)[:3]) for row in rows]
    several = len(set(datasets)) > 1
    return [
        (f"{dataset} " if several else "")
        + f"{row['stream_name']} {row['event_name']}"
        + ("" if row["synced"] else " (not synchronised)")
        for dataset, row in zip(datasets, rows, strict=True)
    ]
