"""Voltages with their channels and times, and the waveforms of units: how each is laid out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from labdata.objects._attrs import Sync, base_attrs, clock_attrs

_CHANNEL = {"long_name": "row of the probe's configuration"}


def wrap_recording(
    voltage: xr.Variable,
    time: xr.Variable,
    *,
    stream: str,
    sync: Sync | None,
    channel: NDArray[np.int32],
    channel_coords: Mapping[str, Any],
    indexed: bool,
    sample_coords: Mapping[str, xr.Variable] | None = None,
    provenance: Mapping[str, Any] | str | None = None,
    attrs: Mapping[str, str | float | int | None] | None = None,
) -> xr.Dataset:
    """Make a recording dataset of variables that may be read when they are used.

    Parameters
    ----------
    voltage : xarray.Variable, shape (n_samples, n_channels)
        Dims time and channel, microvolts.
    time : xarray.Variable, shape (n_samples,)
        Seconds on the clock.
    stream : str
        Stream the voltages were recorded on.
    sync : SyncReport or mapping, optional
        How the times came to their clock; None: they did not, and the dataset says so loudly.
    channel : ndarray of int32, shape (n_channels,)
        Labels: rows of the probe's configuration.
    channel_coords : mapping of str to (ndarray, attrs)
        Coordinates a channel, shape (n_channels,).
    indexed : bool
        Hold the times in memory, so that ``sel(time=...)`` works.
    sample_coords : mapping of str to xarray.Variable, optional
        Coordinates a sample, shape (n_samples,), such as ``sample_index``.
    provenance : mapping or str, optional
        Stored as JSON.
    attrs : mapping, optional
        Further attributes.

    Returns
    -------
    xarray.Dataset
        Kind ``recording``: ``voltage`` (uV) over time and channel.

    Warns
    -----
    UnsyncedWarning
        If `sync` is None.
    """
    notes = base_attrs("recording", stream, sync, provenance, dict(attrs or {}))
    time.attrs = clock_attrs(notes)
    voltage.attrs = {"units": "uV"}
    times = xr.Coordinates({"time": time}, indexes=None if indexed else {})
    found = xr.Dataset({"voltage": voltage}, times, notes)
    coords: dict[str, Any] = {"channel": ("channel", channel, dict(_CHANNEL))}
    coords |= {name: ("channel", *value) for name, value in channel_coords.items()}
    return found.assign_coords(coords | dict(sample_coords or {}))


def build_waveforms(
    waveforms_uv: Mapping[int, tuple[NDArray[Any], NDArray[np.integer[Any]]]],
    *,
    sampling_rate_hz: float,
    n_before: int | None,
    stream: str,
    channel: NDArray[np.int32],
    channel_coords: Mapping[str, Any],
    unit_coords: Mapping[str, Any],
    provenance: Mapping[str, Any] | str | None = None,
    attrs: Mapping[str, str | float | int] | None = None,
) -> xr.Dataset:
    """Build a dataset of one waveform a unit, each perhaps of some channels only.

    Parameters
    ----------
    waveforms_uv : mapping of int to (ndarray, ndarray)
        By unit label: microvolts, shape (n_samples, n_of_unit), and the labels of its channels,
        shape (n_of_unit,).
    sampling_rate_hz : float
        Samples a second.
    n_before : int, optional
        Samples before the spike; None where it is not known, times then begin at 0.
    stream : str
        Stream the voltages were recorded on.
    channel : ndarray of int32, shape (n_channels,)
        Labels of all channels.
    channel_coords, unit_coords : mapping of str to (ndarray, attrs)
        Coordinates a channel and a unit.
    provenance : mapping or str, optional
        Stored as JSON.
    attrs : mapping, optional
        Further attributes.

    Returns
    -------
    xarray.Dataset
        Kind ``waveforms``: ``waveform`` (uV, float32) over unit, sample and channel, NaN where a
        unit has no such channel; ``time_ms`` a sample, from the spike; ``peak_channel`` a unit,
        where the waveform is tallest from trough to peak.
    """
    units = np.array(list(waveforms_uv), dtype=np.int32)
    n_samples = max((len(w) for w, _ in waveforms_uv.values()), default=0)
    data = np.full((len(units), n_samples, len(channel)), np.nan, dtype=np.float32)
    place = {label: at for at, label in enumerate(channel.tolist())}
    peak = np.full(len(units), -1, dtype=np.int32)
    for u, (waveform, own) in enumerate(waveforms_uv.values()):
        data[u, : len(waveform), [place[c] for c in own.tolist()]] = np.transpose(waveform)
        if waveform.size:
            peak[u] = own[np.argmax(np.ptp(waveform, axis=0))]
    time_ms = (np.arange(n_samples) - (n_before or 0)) / sampling_rate_hz * 1e3
    origin = "the first sample" if n_before is None else "the spike"
    # a waveform is at no time: whatever clock the spikes are on, its own milliseconds hold
    notes = base_attrs("waveforms", stream, {"clock": stream}, provenance, dict(attrs or {}))
    return xr.Dataset(
        {"waveform": (("unit", "sample", "channel"), data, {"units": "uV"})},
        {
            "unit": ("unit", units, {"long_name": "unit label"}),
            "channel": ("channel", channel, dict(_CHANNEL)),
            "time_ms": ("sample", time_ms, {"units": "ms", "long_name": f"time from {origin}"}),
            "peak_channel": ("unit", peak, {"long_name": "channel of the tallest waveform"}),
            **{name: ("channel", *value) for name, value in channel_coords.items()},
            **{f"unit_{name}": ("unit", *value) for name, value in unit_coords.items()},
        },
        notes | {"sampling_rate_hz": sampling_rate_hz},
    )
