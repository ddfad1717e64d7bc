"""Spikes of many units as one labelled dataset.

The layout is flat: one ``spike`` dimension, a time and a unit label for each. Object arrays cannot
be saved, padding wastes memory, and counts per unit next to a flat vector silently hand units the
wrong spikes after ``sortby``. Twelve bytes a spike, sorted by unit and time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from labdata.errors import ObjectError
from labdata.objects._attrs import Sync, base_attrs
from labdata.objects._groups import order_by_unit
from labdata.whole import whole_numbers

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
    units = _labels(default_unit if unit is None else unit)
    _check_spikes(times, labels, units)
    named = {n: _with_attrs(n, v, len(times)) for n, v in (spike_vars or {}).items()}
    order = order_by_unit(labels, times)
    if order is not None:
        times, labels = times[order], labels[order]
        named = {n: (values[order], notes) for n, (values, notes) in named.items()}
    span = _span(times, t_start_s, t_stop_s)
    return wrap_spikes(
        times,
        labels,
        stream=stream,
        sync=sync,
        unit=units,
        unit_coords=unit_coords or {},
        spike_vars={n: xr.Variable("spike", *found) for n, found in named.items()},
        provenance=provenance,
        attrs=span | {"sampling_rate_hz": sampling_rate_hz} | dict(attrs or {}),
    )


def wrap_spikes(
    times_s: NDArray[np.float64],
    labels: NDArray[np.int32],
    *,
    stream: str,
    sync: Sync | None,
    unit: NDArray[np.int32],
    unit_coords: Mapping[str, Any],
    spike_vars: Mapping[str, xr.Variable],
    provenance: Mapping[str, Any] | str | None,
    attrs: Mapping[str, str | float | int | None],
) -> xr.Dataset:
    """Make a spikes dataset of arrays that are in order already; nothing is copied or looked at.

    Parameters
    ----------
    times_s, labels : ndarray, shape (n_spikes,)
        Seconds and unit of each spike, sorted by unit and time.
    stream, sync, unit, unit_coords, provenance
        See :func:`build_spikes`.
    spike_vars : mapping of str to xarray.Variable, shape (n_spikes,)
        Variables a spike; they may be read when they are used.
    attrs : mapping
        With ``t_start`` and ``t_stop``.

    Returns
    -------
    xarray.Dataset
        Kind ``spikes``.

    Warns
    -----
    UnsyncedWarning
        If `sync` is None.
    """
    coords: dict[str, Any] = {"unit": ("unit", unit, {"long_name": "unit label"})}
    for name, value in unit_coords.items():
        coords[name] = ("unit", *_with_attrs(name, value, len(unit)))
    data = {
        "spike_time": ("spike", times_s, {"units": "s"}),
        "spike_unit": ("spike", labels, {"long_name": "unit of the spike"}),
        **spike_vars,
    }
    return xr.Dataset(data, coords, base_attrs("spikes", stream, sync, provenance, attrs))


def _span(
    times: NDArray[np.float64], t_start_s: float | None, t_stop_s: float | None
) -> dict[str, float]:
    """Return the recording's span; where it is not given, from the first to the last spike."""
    first, last = (times.min(), times.max()) if len(times) else (0.0, 0.0)
    return {
        "t_start": float(first if t_start_s is None else t_start_s),
        "t_stop": float(last if t_stop_s is None else t_stop_s),
    }


def _flatten(
    spike_time_s: ArrayLike | Mapping[int, ArrayLike], spike_unit: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.int32]]:
    """Return the time and the unit label of each spike, and the labels of all units given."""
    if isinstance(spike_time_s, Mapping):
        if spike_unit is not None:
            raise ObjectError("Both a mapping of units and spike_unit were given; give one.")
        trains = [np.asarray(t, dtype=np.float64).reshape(-1) for t in spike_time_s.values()]
        units = _labels(list(spike_time_s))
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
    labels = _labels(labels)
    return times, labels, np.unique(labels)


def _labels(values: ArrayLike) -> NDArray[np.int32]:
    return whole_numbers(values, "labels of units", ObjectError, dtype="int32")


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
