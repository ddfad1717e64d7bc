"""Digital events: one row a transition, every channel and stream in one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from labdata.errors import ObjectError
from labdata.objects._attrs import Attrs, Sync, base_attrs, clock_attrs, require_kind


def build_events(
    event_time_s: ArrayLike,
    event_value: ArrayLike | None = None,
    *,
    stream: str,
    channel: str | int | ArrayLike,
    sample_index: ArrayLike | None = None,
    quality: ArrayLike | None = None,
    sync: Sync | None = None,
    t_start_s: float | None = None,
    t_stop_s: float | None = None,
    sampling_rate_hz: float | None = None,
    provenance: Mapping[str, Any] | str | None = None,
    clock_dataset: str | None = None,
) -> xr.Dataset:
    """Build an events dataset of one stream.

    Parameters
    ----------
    event_time_s : array_like, shape (n_events,)
        Seconds on the clock.
    event_value : array_like, shape (n_events,), optional
        1 for a rise, 0 for a fall; default all rises.
    stream : str
        Stream the events were recorded on.
    channel : str, int or array_like, shape (n_events,)
        Line of each event, kept as text (``"7"``).
    sample_index : array_like, shape (n_events,), optional
        Sample number on the stream; -1 where unknown.
    quality : array_like, shape (n_events,), optional
        Bit flags: 1 extrapolated time, 2 glitch, 4 estimated.
    sync : SyncReport or mapping, optional
        How the times came to their clock; None: they did not, and the dataset says so loudly.
    t_start_s, t_stop_s : float, optional
        Span of the recording on the clock, seconds.
    sampling_rate_hz : float, optional
        Nominal sampling rate of the stream.
    provenance : mapping or str, optional
        Stored as JSON.
    clock_dataset : str, optional
        Whose clock it is, as subject/session/dataset.

    Returns
    -------
    xarray.Dataset
        Kind ``events``, sorted by time.

    Raises
    ------
    ObjectError
        If lengths differ or a time is not finite.

    Warns
    -----
    UnsyncedWarning
        If `sync` is None.
    """
    times = np.asarray(event_time_s, dtype=np.float64)
    _check_finite(times, stream)
    more: dict[str, Any] = {
        "t_start": t_start_s,
        "t_stop": t_stop_s,
        "sampling_rate_hz": sampling_rate_hz,
        "clock_dataset": clock_dataset,
    }
    attrs = base_attrs("events", stream, sync, provenance, more)
    columns = _columns(len(times), event_value, sample_index, quality, channel)
    return _sorted_dataset(times, columns, stream, attrs)


def _check_finite(times: NDArray[np.float64], stream: str) -> None:
    if not np.isfinite(times).all():
        bad = int(np.flatnonzero(~np.isfinite(times))[0])
        raise ObjectError(
            f"Event {bad} of {stream} has the time {times[bad]}.",
            hint="An event that did not happen belongs in a trial table, not here.",
        )


def _columns(
    n: int,
    event_value: ArrayLike | None,
    sample_index: ArrayLike | None,
    quality: ArrayLike | None,
    channel: str | int | ArrayLike,
) -> dict[str, NDArray[Any]]:
    """Return what belongs to each of ``n`` events, defaults filled in."""
    line = np.asarray(channel).astype(str)
    columns = {
        "event_value": np.asarray(np.ones(n) if event_value is None else event_value),
        "sample_index": np.asarray(np.full(n, -1) if sample_index is None else sample_index),
        "quality": np.asarray(np.zeros(n) if quality is None else quality),
        "channel": np.broadcast_to(line, (n,)) if line.ndim == 0 else line,
    }
    for name, column in columns.items():
        if column.shape != (n,):
            raise ObjectError(f"{name} has shape {column.shape}; there are {n} event times.")
    return columns


def _sorted_dataset(
    times: NDArray[np.float64], columns: dict[str, NDArray[Any]], stream: str, attrs: Attrs
) -> xr.Dataset:
    """Put the columns in order of time, and say in their attributes what they mean."""
    order = np.argsort(times, kind="stable")
    columns = {name: column[order] for name, column in columns.items()}
    edge = {"flag_values": np.array([0, 1], dtype=np.int8), "flag_meanings": "fall rise"}
    flags = {
        "flag_masks": np.array([1, 2, 4], dtype=np.uint8),
        "flag_meanings": "extrapolated glitch estimated",
    }
    unknown = {"long_name": "sample number on the stream, -1 unknown"}
    return xr.Dataset(
        {
            "event_value": ("event", columns["event_value"].astype(np.int8), edge),
            "sample_index": ("event", columns["sample_index"].astype(np.int64), unknown),
            "quality": ("event", columns["quality"].astype(np.uint8), flags),
        },
        {
            "event_time": ("event", times[order], clock_attrs(attrs)),
            "stream": ("event", np.full(len(times), stream)),
            "channel": ("event", columns["channel"]),
        },
        attrs,
    )


def onsets_of(ds: xr.Dataset, channel: str | int, *, stream: str | None = None) -> xr.DataArray:
    """Return the rises of one channel.

    Parameters
    ----------
    ds : xarray.Dataset
        Kind ``events``.
    channel : str or int
        Line.
    stream : str, optional
        Needed where several streams have the line.

    Returns
    -------
    xarray.DataArray
        ``event_time`` over ``event``, seconds, with its clock in the attributes.

    Raises
    ------
    ObjectError
        If there is no such channel, or several streams have it.

    Examples
    --------
    >>> labdata.onsets_of(events, 1, stream="nidq").attrs["units"]
    's'
    """
    require_kind(ds, "events")
    chosen = ds["channel"].values == str(channel)
    if stream is not None:
        chosen &= ds["stream"].values == stream
    streams = sorted({str(s) for s in ds["stream"].values[chosen]})
    if len(streams) != 1:
        have = sorted(
            set(zip(ds["stream"].values.tolist(), ds["channel"].values.tolist(), strict=True))
        )
        raise ObjectError(
            f"Channel {channel} is on {len(streams)} streams: {', '.join(streams)}. Say stream=."
            if streams
            else f"There is no channel {channel}{f' of {stream}' if stream else ''}.",
            hint=f"There are: {', '.join(f'{s} {c}' for s, c in have)}.",
        )
    return ds["event_time"].isel(event=np.flatnonzero(chosen & (ds["event_value"].values == 1)))
