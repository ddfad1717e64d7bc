"""Spikes of many units as one labelled dataset, and the functions that select from it.

The layout is flat: one ``spike`` dimension, a time and a unit label for each. Object arrays cannot
be saved, padding wastes memory, and counts per unit next to a flat vector silently hand units the
wrong spikes after ``sortby``. Twelve bytes a spike, sorted by unit and time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from labdata.errors import ObjectError
from labdata.objects._attrs import Sync, base_attrs, plain, require_kind, whose_clock
from labdata.objects._groups import group, is_grouped, positions, unit_labels
from labdata.objects.expression import evaluate

#: Units of the coordinates and variables that labdata itself uses.
KNOWN_UNITS = {
    "depth": "um",
    "x": "um",
    "amplitude": "uV",
    "spike_amplitude": "uV",
    "spike_depth": "um",
    "spike_x": "um",
    "firing_rate": "Hz",
    "spike_duration": "ms",
}


def build_spikes(
    spike_time_s: ArrayLike | Mapping[int, ArrayLike],
    spike_unit: ArrayLike | None = None,
    *,
    stream: str,
    sync: Sync | None = None,
    unit: ArrayLike | None = None,
    unit_coords: Mapping[str, Any] | None = None,
    spike_vars: Mapping[str, Any] | None = None,
    t_start_s: float | None = None,
    t_stop_s: float | None = None,
    sampling_rate_hz: float | None = None,
    provenance: Mapping[str, Any] | str | None = None,
    attrs: Mapping[str, str | float | int] | None = None,
) -> xr.Dataset:
    """Build a spikes dataset.

    Parameters
    ----------
    spike_time_s : array_like, shape (n_spikes,), or mapping of int to array_like
        Seconds; or the times of each unit, by unit label.
    spike_unit : array_like, shape (n_spikes,), optional
        Unit label of each spike; left out with a mapping.
    stream : str
        Stream the spikes were recorded on, such as ``"imec0"``.
    sync : SyncReport or mapping, optional
        How the times came to their clock. None: they did not, and the dataset says so loudly.
    unit : array_like, shape (n_units,), optional
        All unit labels, silent units included; default: those with spikes (or the mapping's).
    unit_coords : mapping of str to array_like or (array_like, attrs), optional
        Coordinates a unit, shape (n_units,), in the order of `unit`.
    spike_vars : mapping of str to array_like or (array_like, attrs), optional
        Variables a spike, shape (n_spikes,), in the order of the spikes as given.
    t_start_s, t_stop_s : float, optional
        Span of the recording on the clock, seconds; default first and last spike.
    sampling_rate_hz : float, optional
        Nominal sampling rate.
    provenance : mapping or str, optional
        Key, parameter set, versions; stored as JSON.
    attrs : mapping, optional
        Further attributes, str or numbers.

    Returns
    -------
    xarray.Dataset
        Kind ``spikes``: dims unit, spike; see :func:`labdata.objects.validate`.

    Raises
    ------
    ObjectError
        If lengths differ, a time is not finite, a label is not in `unit`, or units repeat.

    Warns
    -----
    UnsyncedWarning
        If `sync` is None.
    """
    times, labels, default_unit = _flatten(spike_time_s, spike_unit)
    units = np.asarray(default_unit if unit is None else unit, dtype=np.int32)
    _check_spikes(times, labels, units)
    order = None if is_grouped(labels, times) else np.lexsort((times, labels))
    if order is not None:
        times, labels = times[order], labels[order]
    seconds = {"units": "s"}
    data: dict[str, Any] = {
        "spike_time": ("spike", times, seconds),
        "spike_unit": ("spike", labels, {"long_name": "unit of the spike"}),
    }
    for name, value in (spike_vars or {}).items():
        values, notes = _with_attrs(name, value, len(times))
        data[name] = ("spike", values if order is None else values[order], notes)
    coords: dict[str, Any] = {"unit": ("unit", units, {"long_name": "unit label"})}
    for name, value in (unit_coords or {}).items():
        coords[name] = ("unit", *_with_attrs(name, value, len(units)))
    first, last = (times.min(), times.max()) if len(times) else (0.0, 0.0)
    more = {
        "t_start": float(first if t_start_s is None else t_start_s),
        "t_stop": float(last if t_stop_s is None else t_stop_s),
        "sampling_rate_hz": sampling_rate_hz,
        **(attrs or {}),
    }
    return xr.Dataset(data, coords, base_attrs("spikes", stream, sync, provenance, more))


def spikes_of(ds: xr.Dataset, unit: int) -> NDArray[np.float64]:
    """Return the times of one unit.

    Parameters
    ----------
    ds : xarray.Dataset
        Kind ``spikes``.
    unit : int
        Label.

    Returns
    -------
    ndarray of float64, shape (n_spikes_of_unit,)
        Seconds, ascending; a view where the dataset is sorted.

    Raises
    ------
    ObjectError
        If the unit is not in the dataset.

    Examples
    --------
    >>> labdata.spikes_of(spikes, 8)
    array([1.5, 2.5, 3.5])
    """
    require_kind(ds, "spikes")
    found = np.flatnonzero(unit_labels(ds) == unit)
    if len(found) == 0:
        raise ObjectError(
            f"Unit {unit} is not among the {ds.sizes['unit']} units of this dataset.",
            hint="ds.unit lists them; they are labels, not positions.",
        )
    groups = group(ds)
    return groups.time_s[groups.start[found[0]] : groups.stop[found[0]]]


def iter_units(ds: xr.Dataset) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield each unit's label and spike times, in the order of ``ds.unit``.

    Parameters
    ----------
    ds : xarray.Dataset
        Kind ``spikes``.

    Yields
    ------
    unit : int
    times_s : ndarray of float64, shape (n_spikes_of_unit,)
        Seconds, ascending; a view where the dataset is sorted.

    Examples
    --------
    >>> {unit: len(times_s) for unit, times_s in labdata.iter_units(spikes)}
    {3: 2, 8: 3}
    """
    require_kind(ds, "spikes")
    groups = group(ds)
    for label, start, stop in zip(unit_labels(ds), groups.start, groups.stop, strict=True):
        yield int(label), groups.time_s[start:stop]


def select_units(ds: xr.Dataset, where: str | ArrayLike | xr.DataArray) -> xr.Dataset:
    """Keep some units and their spikes.

    Parameters
    ----------
    ds : xarray.Dataset
        Kind ``spikes``.
    where : str, or array_like of bool, shape (n_units,), or of int
        An expression of the unit coordinates such as ``"shank == 2 & firing_rate > 0.5"``, a mask
        in the order of ``ds.unit``, or unit labels.

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    ObjectError
        If the expression names no coordinate, the mask has another length, or a label is unknown.

    Examples
    --------
    >>> labdata.select_units(spikes, "depth > 300").unit.values.tolist()
    [8]
    >>> labdata.select_units(spikes, [3]).unit.values.tolist()
    [3]
    """
    require_kind(ds, "spikes")
    labels = unit_labels(ds)
    if isinstance(where, str):
        known = {str(n): c.values for n, c in ds.coords.items() if c.dims == ("unit",)}
        chosen = np.asarray(evaluate(where, known))
    else:
        chosen = np.asarray(where)
    if chosen.dtype == np.bool_:
        if chosen.shape != labels.shape:
            raise ObjectError(
                f"The mask has shape {chosen.shape}; there are {len(labels)} units.",
                hint="A mask needs one value a unit, in the order of ds.unit.",
            )
        at = np.flatnonzero(chosen)
    else:
        at = positions(chosen.astype(np.int32).reshape(-1), labels)
        if (at < 0).any():
            raise ObjectError(
                f"Unit {chosen.reshape(-1)[at < 0][0]} is not in this dataset.",
                hint="ds.unit lists the labels.",
            )
    return tidy(ds.isel(unit=at))


def tidy(ds: xr.Dataset) -> xr.Dataset:
    """Remove spikes of units that are gone, and sort the rest by unit and time.

    Parameters
    ----------
    ds : xarray.Dataset
        Kind ``spikes``.

    Returns
    -------
    xarray.Dataset
    """
    require_kind(ds, "spikes")
    labels = np.asarray(ds["spike_unit"].values, dtype=np.int32)
    times = np.asarray(ds["spike_time"].values)
    keep = positions(labels, unit_labels(ds)) >= 0
    if keep.all() and is_grouped(labels, times):
        return ds
    at = np.flatnonzero(keep)
    if not is_grouped(labels[at], times[at]):
        at = at[np.lexsort((times[at], labels[at]))]
    return ds.isel(spike=at)


def restrict_time(ds: xr.Dataset, t_start_s: float, t_stop_s: float) -> xr.Dataset:
    """Keep what happened in ``[t_start_s, t_stop_s)``, and say so in ``t_start`` and ``t_stop``.

    Parameters
    ----------
    ds : xarray.Dataset
        Kind ``spikes`` or ``events``.
    t_start_s, t_stop_s : float
        Seconds on the dataset's clock.

    Returns
    -------
    xarray.Dataset
        All units stay, silent ones included.

    Raises
    ------
    ObjectError
        If the window is empty or backwards.

    Examples
    --------
    >>> early = labdata.restrict_time(spikes, 0.0, 10.0)
    >>> bool((early["spike_time"] < 10.0).all())
    True
    """
    require_kind(ds, "spikes", "events")
    if not t_start_s < t_stop_s:
        raise ObjectError(
            f"The window from {t_start_s} to {t_stop_s} s is empty.",
            hint="Give the earlier time first.",
        )
    dim, name = (
        ("spike", "spike_time")
        if ds.attrs["labdata_kind"] == "spikes"
        else (
            "event",
            "event_time",
        )
    )
    times = ds[name].values
    kept = ds.isel({dim: np.flatnonzero((times >= t_start_s) & (times < t_stop_s))})
    start = max(float(t_start_s), float(ds.attrs.get("t_start", t_start_s)))
    stop = min(float(t_stop_s), float(ds.attrs.get("t_stop", t_stop_s)))
    return kept.assign_attrs(t_start=start, t_stop=max(start, stop))


def concat_spikes(datasets: Sequence[xr.Dataset]) -> xr.Dataset:
    """Join the units of several streams, giving each a label of its own.

    Parameters
    ----------
    datasets : sequence of xarray.Dataset
        Kind ``spikes``, on one clock.

    Returns
    -------
    xarray.Dataset
        Units 0, 1, ...; coordinates ``stream`` and ``stream_unit`` keep where each came from.
        Variables and coordinates that not all datasets have are left out.

    Raises
    ------
    ObjectError
        If there is none, or their clocks differ.

    Examples
    --------
    >>> both = labdata.concat_spikes([spikes, spikes])
    >>> both.unit.values.tolist(), both.stream_unit.values.tolist()
    ([0, 1, 2, 3], [3, 8, 3, 8])
    """
    if not datasets:
        raise ObjectError("There is no dataset to join.", hint="Pass at least one.")
    clocks = sorted({whose_clock(ds.attrs) for ds in datasets})
    if len(clocks) > 1:
        raise ObjectError(
            f"The datasets are on different clocks: {', '.join(clocks)}.",
            hint="Synchronise all of them to one clock first.",
        )
    parts, base = [], 0
    for ds in map(tidy, datasets):
        labels = unit_labels(ds)
        new = base + np.arange(len(labels), dtype=np.int32)
        of_spike = new[positions(ds["spike_unit"].values, labels)]
        stream = np.full(len(labels), str(ds.attrs["stream"]))
        part = ds.assign_coords(
            unit=("unit", new, ds["unit"].attrs),
            stream=("unit", stream),
            stream_unit=("unit", labels),
        )
        parts.append(part.assign(spike_unit=("spike", of_spike, ds["spike_unit"].attrs)))
        base += len(labels)
    shared = set.intersection(*({str(n) for n in p.variables} for p in parts))
    parts = [p.drop_vars([n for n in p.variables if n not in shared]) for p in parts]
    names = {d: [n for n in parts[0].variables if parts[0][n].dims == (d,)] for d in parts[0].dims}
    by_unit = xr.concat([p[names["unit"]] for p in parts], dim="unit")
    flat = [p[names["spike"]].drop_vars("unit", errors="ignore") for p in parts]
    joined = xr.merge([xr.concat(flat, dim="spike"), by_unit], combine_attrs="override")
    joined.attrs = _joined_attrs(parts)
    return tidy(joined)


def _joined_attrs(parts: list[xr.Dataset]) -> dict[str, Any]:
    """Attributes that agree stay; spans and sync counts cover all streams."""
    first = parts[0].attrs
    attrs = {k: v for k, v in first.items() if all(p.attrs.get(k) == v for p in parts)}
    attrs["stream"] = ",".join(str(p.attrs["stream"]) for p in parts)
    attrs["synced"] = min(int(p.attrs.get("synced", 0)) for p in parts)
    attrs["t_start"] = min(float(p.attrs["t_start"]) for p in parts)
    attrs["t_stop"] = max(float(p.attrs["t_stop"]) for p in parts)
    for name in ("sync_residual_max_s", "sync_ambiguous_offset"):
        if any(name in p.attrs for p in parts):
            attrs[name] = max(plain(p.attrs.get(name, 0)) for p in parts)
    for name in ("stream_sync_n_dropped", "stream_sync_n_spurious", "n_extrapolated"):
        if any(name in p.attrs for p in parts):
            attrs[name] = sum(int(p.attrs.get(name, 0)) for p in parts)
    notes = [
        f"{p.attrs['stream']}: {p.attrs['sync_note']}" for p in parts if "sync_note" in p.attrs
    ]
    return attrs | ({"sync_note": " ".join(notes)} if notes else {})


def _flatten(
    spike_time_s: ArrayLike | Mapping[int, ArrayLike], spike_unit: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.int32]]:
    if isinstance(spike_time_s, Mapping):
        if spike_unit is not None:
            raise ObjectError("Both a mapping of units and spike_unit were given; give one.")
        trains = [np.asarray(t, dtype=np.float64).reshape(-1) for t in spike_time_s.values()]
        units = np.array(list(spike_time_s), dtype=np.int32)
        times = np.concatenate(trains) if trains else np.empty(0)
        return times, np.repeat(units, [len(t) for t in trains]).astype(np.int32), units
    if spike_unit is None:
        raise ObjectError("Flat spike times need spike_unit, the unit label of each spike.")
    times = np.asarray(spike_time_s, dtype=np.float64)
    labels = np.asarray(spike_unit)
    if len(labels) and not np.issubdtype(labels.dtype, np.integer):
        raise ObjectError(
            f"Unit labels are integers, not {labels.dtype}.", hint="Use the sorter's unit ids."
        )
    if len(labels) and np.abs(labels.astype(np.float64)).max() > np.iinfo(np.int32).max:
        raise ObjectError(f"Unit label {labels.max()} does not fit 32 bits.")
    labels = labels.astype(np.int32)
    return times, labels, np.unique(labels)


def _check_spikes(
    times: NDArray[np.float64], labels: NDArray[np.int32], units: NDArray[np.int32]
) -> None:
    if times.ndim != 1 or times.shape != labels.shape:
        raise ObjectError(
            f"Spike times have shape {times.shape} and unit labels {labels.shape}.",
            hint="Both are vectors with one entry a spike.",
        )
    if not np.isfinite(times).all():
        bad = int(np.flatnonzero(~np.isfinite(times))[0])
        raise ObjectError(f"Spike {bad} of unit {labels[bad]} has the time {times[bad]}.")
    if len(np.unique(units)) < len(units):
        raise ObjectError(
            f"Unit labels repeat: {len(units)} given, {len(np.unique(units))} differ."
        )
    lost = np.setdiff1d(labels, units)
    if len(lost):
        raise ObjectError(
            f"Spikes belong to unit {lost[0]}, which is not among the units given.",
            hint="List every unit that has spikes in `unit`.",
        )


def _with_attrs(name: str, value: Any, n: int) -> tuple[NDArray[Any], dict[str, Any]]:
    """Return values and attributes, with the known unit of measurement filled in."""
    values, notes = value if isinstance(value, tuple) and len(value) == 2 else (value, {})
    if isinstance(values, tuple):
        values = list(values)
    array = np.asarray(values)
    if array.shape != (n,):
        raise ObjectError(
            f"{name} has shape {array.shape}; {n} values are needed.",
            hint="One value a unit (unit_coords) or a spike (spike_vars).",
        )
    known = {"units": KNOWN_UNITS[name]} if name in KNOWN_UNITS else {}
    return array, known | dict(notes)
