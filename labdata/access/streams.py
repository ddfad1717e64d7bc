"""The digital events of one dataset, and the one clock that its streams are on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..errors import ObjectError, QueryError, warn_user
from ..given import two_ends
from ..keys import lab_of, one_row
from ._parts import DATASET, as_json, joined, on_clock, repeated

if TYPE_CHECKING:
    import xarray as xr

    from ..schema.synced_events import StreamOnClock
    from ..schema.synchrony import StreamClock


def events(
    key: Any,
    *,
    stream: str | None = None,
    window_s: tuple[float, float] | None = None,
    lab: Any = None,
) -> xr.Dataset:
    """Return the digital events of one dataset, every line of every stream, on one clock.

    Parameters
    ----------
    key : dict or query
        What selects one dataset.
    stream : str, optional
        Only this stream, for instance ``"nidq"``.
    window_s : (float, float), optional
        Only events in ``[start, stop)``, seconds on the clock.
    lab : Lab, optional
        Tables of another project.

    Returns
    -------
    xarray.Dataset
        Kind ``events``: one row an edge, sorted by time, with coordinates ``stream`` and
        ``channel``. Streams that are not synchronised to the clock are left out; the attribute
        ``streams_left_out`` and a warning name them.

    Raises
    ------
    QueryError
        If the key selects no dataset or several, or no stream is synchronised to another and
        ``stream`` does not choose one.
    ObjectError
        If the window is empty, or no two numbers.

    Examples
    --------
    >>> key = {"subject_name": "JC1", "session_name": "20240305_100000"}
    >>> events = labdata.events(key)  # doctest: +SKIP
    >>> stimuli = labdata.onsets_of(events, 1, stream="nidq")  # doctest: +SKIP
    """
    from ..objects import concat_events, restrict_time
    from ..schema.synced_events import streams_on_clocks

    if window_s is not None:
        window_s = two_ends(window_s, ObjectError, example="(10.0, 20.0)")
    lab = lab_of(key, lab)
    dataset = one_row(lab.Dataset & lab.DatasetEvents.proj(), key, "dataset", ("dataset_name",))
    dataset_key = {k: dataset[k] for k in DATASET}
    query = lab.DatasetEvents & dataset_key & ({"stream_name": stream} if stream else {})
    found = streams_on_clocks(lab, query)
    if not found:
        raise QueryError(
            f"{'/'.join(dataset_key.values())} has no stream {stream or 'with events'}.",
            hint="`labdata.schema.DatasetEvents & key` lists the streams.",
        )
    clock = _one_clock(found)
    merged = concat_events([_stream_events(lab, s) for s in found if s.clock.key == clock.key])
    left_out = sorted(s.stream_name for s in found if s.clock.key != clock.key)
    if left_out:
        merged.attrs["streams_left_out"] = ",".join(left_out)
        warn_user(
            f"Left out, as they are not synchronised to {clock.name}: {', '.join(left_out)}. "
            "Insert their common pulses into StreamSync."
        )
    if lab.project:
        merged.attrs["project"] = lab.project
    merged.attrs["provenance"] = as_json({"key": dataset_key, "labdata": __version__})
    return merged if window_s is None else restrict_time(merged, *window_s)


def _one_clock(streams: Sequence[StreamOnClock]) -> StreamClock:
    """Return the one clock that the synchronised streams of a dataset are on."""
    synced = [s for s in streams if s.clock.synced] or list(streams)
    clocks = {s.clock.key: s.clock for s in synced}
    if len(clocks) == 1:
        return synced[0].clock
    dataset = "/".join(str(streams[0].key[k]) for k in DATASET)
    here = streams[0].key["dataset_name"]
    names = sorted(c.name if c.key[2] == here else f"{c.key[2]}/{c.name}" for c in clocks.values())
    raise QueryError(
        f"The streams of {dataset} are on {len(clocks)} clocks: {', '.join(names)}.",
        hint="Insert their common pulses into StreamSync, or choose one with stream=.",
    )


def _stream_events(lab: Any, stream: StreamOnClock) -> xr.Dataset:
    """Build the events of one stream."""
    from ..objects import build_events
    from ..schema.synced_events import check_columns

    rows = (lab.DatasetEvents.Digital & stream.key).fetch(as_dict=True)
    for row in rows:
        check_columns(row)
    rows = [row for row in rows if row["event_timestamps"] is not None]
    times = [row["event_timestamps"] for row in rows]
    names = np.array([row["event_name"] for row in rows], dtype=str)
    own = joined(times, "float64")
    seconds, outside = on_clock(own, stream.clock)
    return build_events(
        seconds,
        joined(_edge_values(stream, rows), "int8"),
        stream=stream.stream_name,
        channel=repeated(names, times),
        sample_index=joined(_given(rows, "event_samples", -1), "int64"),
        quality=np.zeros(len(own), "uint8") if outside is None else outside.astype("uint8"),
        sync=stream.clock.sync_attrs(),
        sampling_rate_hz=stream.sampling_rate_hz,
        clock_dataset=stream.clock.dataset,
    )


def _edge_values(stream: StreamOnClock, rows: list[dict[str, Any]]) -> list[Any]:
    """Return the values of each line, or refuse those that are no edges and would be changed."""
    values = _given(rows, "event_values", 1)
    for row, found in zip(rows, values, strict=True):
        if not np.array_equal(np.asarray(found).astype("int8"), found):
            raise QueryError(
                f"Line {row['event_name']} of {stream.stream_name} has values that are no edges "
                f"of a digital line: {np.min(found)} to {np.max(found)}.",
                hint="They are whole in the table: (DatasetEvents.Digital & key)"
                '.fetch1("event_values")',
            )
    return values


def _given(rows: list[dict[str, Any]], column: str, default: int) -> list[Any]:
    """Return a column of each line, the default for each of its events where it has none."""
    return [
        np.full(len(row["event_timestamps"]), default) if row[column] is None else row[column]
        for row in rows
    ]
