"""Check that a dataset keeps the data model; every fault is named at once.

Kinds and what they hold (all times float64 seconds on ``attrs["clock"]``):

``spikes``
    dims unit, spike; coords ``unit`` int32 and any a unit; ``spike_time`` float64, ``spike_unit``
    int32 label over spike. Spikes of units that are gone are allowed; ``tidy`` removes them.
``events``
    dim event; coords ``event_time``, ``stream``, ``channel``; ``event_value`` int8,
    ``sample_index`` int64, ``quality`` uint8.
``trials``
    dim trial; coords ``trial`` int32, ``start_time``, any ``*_time`` (NaN: did not happen).
``aligned_spikes``
    dims spike, unit, trial; ``relative_time``, ``spike_unit``, ``spike_trial`` over spike.
``psth``
    dims unit, trial, time; ``count``, ``rate``.
``mean_psth``
    dims unit, time and, where trials are told apart, condition before time; ``rate``, ``sem``.
``correlogram``
    dims unit, other_unit, lag; ``count``, and ``rate`` and ``ratio`` where they were asked for.
``tuning_curve``
    dims unit, feature; ``rate``.
``drift_map``
    dims time, depth; ``count``.
``recording``
    dims time, channel; ``voltage`` float32.
``spike_waveforms``
    dims spike, sample, channel; ``waveform`` float32, ``spike_sample``, ``is_whole`` a spike.
``waveforms``
    dims unit, sample, channel; ``waveform`` float32, ``time_ms`` a sample.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from labdata.errors import ObjectError
from labdata.objects._attrs import SCHEMA
from labdata.objects._groups import positions

#: Kind -> name -> (dims, dtype).
LAYOUT: dict[str, dict[str, tuple[tuple[str, ...], str]]] = {
    "spikes": {
        "unit": (("unit",), "int32"),
        "spike_time": (("spike",), "float64"),
        "spike_unit": (("spike",), "int32"),
    },
    "events": {
        "event_time": (("event",), "float64"),
        "stream": (("event",), "text"),
        "channel": (("event",), "text"),
        "event_value": (("event",), "int8"),
        "sample_index": (("event",), "int64"),
        "quality": (("event",), "uint8"),
    },
    "trials": {"trial": (("trial",), "int32"), "start_time": (("trial",), "float64")},
    "aligned_spikes": {
        "unit": (("unit",), "int32"),
        "trial": (("trial",), "int32"),
        "event_time": (("trial",), "float64"),
        "relative_time": (("spike",), "float64"),
        "spike_unit": (("spike",), "int32"),
        "spike_trial": (("spike",), "int32"),
    },
    "psth": {
        "unit": (("unit",), "int32"),
        "trial": (("trial",), "int32"),
        "time": (("time",), "float64"),
        "count": (("unit", "trial", "time"), "unsigned"),
        "rate": (("unit", "trial", "time"), "float32"),
    },
    "mean_psth": {
        "unit": (("unit",), "int32"),
        "time": (("time",), "float64"),
        "rate": (("unit", "condition", "time"), "float64"),
        "sem": (("unit", "condition", "time"), "float64"),
    },
    "correlogram": {
        "unit": (("unit",), "int32"),
        "other_unit": (("other_unit",), "int32"),
        "lag": (("lag",), "float64"),
        "count": (("unit", "other_unit", "lag"), "unsigned"),
    },
    "tuning_curve": {
        "unit": (("unit",), "int32"),
        "rate": (("unit", "feature"), "float64"),
    },
    "drift_map": {
        "time": (("time",), "float64"),
        "depth": (("depth",), "float64"),
        "count": (("time", "depth"), "int64"),
    },
    "recording": {
        "time": (("time",), "float64"),
        "channel": (("channel",), "int32"),
        "voltage": (("time", "channel"), "float32"),
    },
    "spike_waveforms": {
        "spike_sample": (("spike",), "int64"),
        "spike_time": (("spike",), "float64"),
        "is_whole": (("spike",), "int8"),
        "channel": (("channel",), "int32"),
        "time_ms": (("sample",), "float64"),
        "waveform": (("spike", "sample", "channel"), "float32"),
    },
    "waveforms": {
        "unit": (("unit",), "int32"),
        "channel": (("channel",), "int32"),
        "time_ms": (("sample",), "float64"),
        "waveform": (("unit", "sample", "channel"), "float32"),
    },
}
#: Dims that a dataset may lack: trials that are not told apart have no condition.
_OPTIONAL = ("condition",)
_ATTRS = ("labdata_schema", "clock", "stream", "synced")
_IN_SECONDS = ("spike_time", "event_time", "relative_time", "start_time", "time", "lag")


def validate(ds: xr.Dataset, *, full: bool = True) -> None:
    """Raise if a dataset breaks the data model.

    Parameters
    ----------
    ds : xarray.Dataset
        Any labdata kind.
    full : bool
        Look at every value; False checks names, dims, dtypes and attributes only.

    Raises
    ------
    ObjectError
        With all the faults.

    Examples
    --------
    >>> labdata.validate(spikes)
    >>> labdata.validate(spikes.drop_vars("spike_unit"))
    Traceback (most recent call last):
        ...
    labdata.errors.ObjectError: ...
    """
    faults = find_faults(ds, full=full)
    if faults:
        raise ObjectError(
            f"The dataset breaks the data model in {len(faults)} way(s): " + " ".join(faults),
            hint="Build it with labdata.objects and select with its functions.",
        )


def find_faults(ds: xr.Dataset, *, full: bool = True) -> list[str]:
    """Return what breaks the data model, a sentence each.

    Parameters
    ----------
    ds : xarray.Dataset
    full : bool
        Look at every value as well.

    Returns
    -------
    list of str
    """
    kind = ds.attrs.get("labdata_kind")
    if kind not in LAYOUT:
        return [f"labdata_kind is {kind!r}; known are {', '.join(LAYOUT)}."]
    faults = _attr_faults(ds) + _layout_faults(ds, LAYOUT[kind])
    if faults or not full:
        return faults
    if "unit" in LAYOUT[kind]:
        units = ds["unit"].values
        if len(np.unique(units)) < len(units):
            faults.append("Unit labels repeat.")
    if kind == "spikes":
        faults += _spike_faults(ds)
    if kind == "events":
        times = ds["event_time"].values
        if not np.isfinite(times).all():
            faults.append("event_time is not finite everywhere.")
        if (np.diff(times) < 0).any():
            faults.append("event_time is not sorted.")
        if not np.isin(ds["event_value"].values, (0, 1)).all():
            faults.append("event_value holds other values than 0 and 1.")
    return faults


def count_orphans(ds: xr.Dataset) -> int:
    """Return how many spikes belong to units that the dataset no longer has.

    Parameters
    ----------
    ds : xarray.Dataset
        Kind ``spikes`` or ``aligned_spikes``.

    Returns
    -------
    int
    """
    return int((positions(ds["spike_unit"].values, ds["unit"].values) < 0).sum())


def _attr_faults(ds: xr.Dataset) -> list[str]:
    faults = [f"attribute {name} is missing." for name in _ATTRS if name not in ds.attrs]
    if ds.attrs.get("labdata_schema", SCHEMA) != SCHEMA:
        faults.append(
            f"labdata_schema is {ds.attrs['labdata_schema']}; this labdata knows {SCHEMA}."
        )
    if ds.attrs.get("synced") == 0 and ds.attrs.get("clock") != ds.attrs.get("stream"):
        faults.append("synced is 0 but clock is not the stream's own.")
    for name, value in ds.attrs.items():
        if isinstance(value, bool) or not isinstance(value, str | int | float | np.number):
            faults.append(f"attribute {name} is a {type(value).__name__}; use text or a number.")
    return faults


def _layout_faults(ds: xr.Dataset, layout: dict[str, tuple[tuple[str, ...], str]]) -> list[str]:
    faults = []
    for name, (dims, dtype) in layout.items():
        if name not in ds.variables:
            faults.append(f"{name} is missing.")
            continue
        array = ds[name]
        wanted = tuple(d for d in dims if d not in _OPTIONAL or d in ds.dims)
        if array.dims != wanted:
            faults.append(f"{name} has dims {array.dims}, not {wanted}.")
        if not _is(array.dtype, dtype):
            faults.append(f"{name} is {array.dtype}, not {dtype}.")
        if name in _IN_SECONDS and array.attrs.get("units") != "s":
            faults.append(f"{name} lacks its units attribute (s).")
    return faults


def _is(dtype: np.dtype[np.generic], wanted: str) -> bool:
    kinds = {"text": "UOT", "unsigned": "u"}
    return dtype.kind in kinds[wanted] if wanted in kinds else dtype == np.dtype(wanted)


def _spike_faults(ds: xr.Dataset) -> list[str]:
    times, faults = ds["spike_time"].values, []
    if not np.isfinite(times).all():
        faults.append("spike_time is not finite everywhere.")
    start, stop = ds.attrs.get("t_start"), ds.attrs.get("t_stop")
    if start is None or stop is None:
        return [*faults, "attributes t_start and t_stop are missing."]
    outside = int(((times < start) | (times > stop)).sum())
    if outside:
        faults.append(f"{outside} spikes lie outside t_start {start} to t_stop {stop} s.")
    return faults
