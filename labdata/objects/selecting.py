"""Take from a dataset one unit, some units, or a window of time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from labdata.errors import ObjectError
from labdata.given import two_ends
from labdata.objects._attrs import require_kind
from labdata.objects._groups import group, is_grouped, order_by_unit, positions, unit_labels
from labdata.objects.expression import evaluate
from labdata.whole import whole_numbers


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
        in the order of ``ds.unit`` (a DataArray over ``unit`` is matched by its labels), or unit
        labels.

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
        chosen = np.asarray(_by_label(where, labels))
    if chosen.dtype == np.bool_:
        if chosen.shape != labels.shape:
            raise ObjectError(
                f"The mask has shape {chosen.shape}; there are {len(labels)} units.",
                hint="A mask needs one value a unit, in the order of ds.unit.",
            )
        at = np.flatnonzero(chosen)
    else:
        wanted = whole_numbers(chosen, "labels of units", ObjectError, dtype="int32")
        at = positions(wanted, labels)
        if (at < 0).any():
            raise ObjectError(
                f"Unit {wanted[at < 0][0]} is not in this dataset.",
                hint="ds.unit lists the labels.",
            )
    return tidy(ds.isel(unit=at))


def _by_label(
    where: ArrayLike | xr.DataArray, labels: NDArray[np.int32]
) -> ArrayLike | xr.DataArray:
    """Return a mask that knows its units in the order of the dataset's; others as they are."""
    if not isinstance(where, xr.DataArray) or where.dtype != np.bool_:
        return where
    if where.dims != ("unit",) or "unit" not in where.indexes:
        return where
    missing = np.setdiff1d(labels, where["unit"].values)
    if len(missing):
        raise ObjectError(
            f"The mask does not have unit {missing[0]}.", hint="Make it of this dataset's units."
        )
    return where.sel(unit=labels)


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
    order = order_by_unit(labels[at], times[at])
    return ds.isel(spike=at if order is None else at[order])


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
    t_start_s, t_stop_s = two_ends((t_start_s, t_stop_s), ObjectError)
    dim = "spike" if ds.attrs["labdata_kind"] == "spikes" else "event"
    times = ds[f"{dim}_time"].values
    kept = ds.isel({dim: np.flatnonzero((times >= t_start_s) & (times < t_stop_s))})
    start = max(float(t_start_s), float(ds.attrs.get("t_start", t_start_s)))
    stop = min(float(t_stop_s), float(ds.attrs.get("t_stop", t_stop_s)))
    return kept.assign_attrs(t_start=start, t_stop=max(start, stop))
