"""Find each unit's spikes by label, in whatever order the user left the dataset.

A spike carries the label of its unit. Sorting units, selecting some or sorting spikes by time can
therefore never give a unit another's spikes; it can only leave spikes in another order (they are
regrouped here, on a copy) or spikes of units that are gone (orphans, ignored).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from labdata import loops
from labdata.errors import ObjectError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Groups:
    """Spike times by unit.

    Attributes
    ----------
    time_s : ndarray of float64, shape (n_spikes,)
        Ascending within a unit.
    order : ndarray of int64, shape (n_spikes,), or None
        Position in the dataset of each entry of `time_s`; None if in place.
    start, stop : ndarray of int64, shape (n_units,)
        Slice of `time_s` that belongs to each unit of the dataset, in the dataset's unit order.
    """

    time_s: FloatArray
    order: IntArray | None
    start: IntArray
    stop: IntArray


def unit_labels(ds: xr.Dataset) -> NDArray[np.int32]:
    """Return the unit labels of a dataset, which must be unique.

    Parameters
    ----------
    ds : xarray.Dataset
        Kind ``spikes`` or one made from it.

    Raises
    ------
    ObjectError
        If a unit occurs twice.
    """
    labels = np.asarray(ds["unit"].values, dtype=np.int32)
    values, counts = np.unique(labels, return_counts=True)
    if (counts > 1).any():
        raise ObjectError(
            f"Unit {values[counts > 1][0]} occurs {counts.max()} times in the dataset.",
            hint="Join recordings with concat_spikes, which gives each unit its own label.",
        )
    return labels


def is_grouped(label: NDArray[np.int32], time_s: FloatArray) -> bool:
    """Return whether spikes are sorted by unit label and by time within a unit.

    Parameters
    ----------
    label, time_s : ndarray, shape (n_spikes,)
        Unit and time of each spike.
    """
    if loops.compiled is not None:
        whole = np.ascontiguousarray(label, np.int32), np.ascontiguousarray(time_s, np.float64)
        return bool(loops.compiled.is_grouped(*whole))
    if (label[1:] < label[:-1]).any():
        return False
    back = np.flatnonzero(time_s[1:] < time_s[:-1])  # only where another unit begins
    return bool((label[back + 1] != label[back]).all())


def order_by_unit(label: NDArray[np.int32], time_s: FloatArray) -> IntArray | None:
    """Return what sorts spikes by unit label and by time within a unit, None if they are sorted.

    Parameters
    ----------
    label, time_s : ndarray, shape (n_spikes,)
        Unit and time of each spike.
    """
    return None if is_grouped(label, time_s) else np.lexsort((time_s, label))


def group(ds: xr.Dataset) -> Groups:
    """Return the spikes of a spikes dataset by unit.

    Parameters
    ----------
    ds : xarray.Dataset
        With ``spike_time`` and ``spike_unit`` over ``spike``, and a ``unit`` coordinate.

    Returns
    -------
    Groups
    """
    labels = unit_labels(ds)
    time_s = np.ascontiguousarray(ds["spike_time"].values, dtype=np.float64)
    # One dtype for both sides: searchsorted converts the long side otherwise, a second a call.
    of_spike = np.asarray(ds["spike_unit"].values, dtype=np.int32)
    order = order_by_unit(of_spike, time_s)
    if order is not None:
        time_s, of_spike = time_s[order], of_spike[order]
    start = np.searchsorted(of_spike, labels, side="left")
    stop = np.searchsorted(of_spike, labels, side="right")
    return Groups(time_s, order, start, stop)


def positions(labels: NDArray[np.int32], known: NDArray[np.int32]) -> IntArray:
    """Return where each label is in `known`, -1 where it is not.

    Parameters
    ----------
    labels : ndarray of int32, shape (n,)
    known : ndarray of int32, shape (k,)
        Unique.

    Returns
    -------
    ndarray of int64, shape (n,)
    """
    if len(known) == 0:
        return np.full(len(labels), -1, dtype=np.int64)
    order = np.argsort(known, kind="stable")
    ranked = known[order]
    at = np.minimum(np.searchsorted(ranked, labels), len(known) - 1)
    return np.where(ranked[at] == labels, order[at], -1)
