"""Trials: one row a trial, times of what happened in it, NaN where it did not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from labdata.errors import ObjectError
from labdata.objects._attrs import Sync, base_attrs, clock_attrs
from labdata.whole import whole_numbers


def build_trials(
    start_time_s: ArrayLike,
    stop_time_s: ArrayLike | None = None,
    *,
    stream: str,
    sync: Sync | None = None,
    trial: ArrayLike | None = None,
    times_s: Mapping[str, ArrayLike] | None = None,
    variables: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | str | None = None,
    attrs: Mapping[str, str | float | int] | None = None,
) -> xr.Dataset:
    """Build a trials dataset.

    Parameters
    ----------
    start_time_s, stop_time_s : array_like, shape (n_trials,)
        Seconds on the clock; NaN where unknown.
    stream : str
        Stream or log that the trials come from.
    sync : SyncReport or mapping, optional
        How the times came to their clock; None: they did not, and the dataset says so loudly.
    trial : array_like of int, shape (n_trials,), optional
        Ids as in the log; default 1, 2, ...
    times_s : mapping of str to array_like, optional
        Event times a trial, such as ``stim_time``, in seconds; NaN where it did not happen.
    variables : mapping of str to array_like or (array_like, attrs), optional
        Outcome, stimulus and so on, shape (n_trials,).
    provenance : mapping or str, optional
        Stored as JSON.
    attrs : mapping, optional
        Further attributes, such as ``trialset_description`` and ``task``.

    Returns
    -------
    xarray.Dataset
        Kind ``trials``.

    Raises
    ------
    ObjectError
        If lengths differ, a time name does not end in ``_time``, or ids repeat.

    Warns
    -----
    UnsyncedWarning
        If `sync` is None.
    """
    start = np.asarray(start_time_s, dtype=np.float64)
    n = len(start)
    numbers = np.arange(1, n + 1) if trial is None else trial
    ids = whole_numbers(numbers, "trial ids", ObjectError, dtype="int32")
    if len(np.unique(ids)) < len(ids):
        raise ObjectError(f"Trial ids repeat: {n} trials, {len(np.unique(ids))} ids.")
    notes = base_attrs("trials", stream, sync, provenance, dict(attrs or {}))
    columns = {"start_time": start}
    if stop_time_s is not None:
        columns["stop_time"] = np.asarray(stop_time_s, dtype=np.float64)
    for name, times in (times_s or {}).items():
        if not name.endswith("_time"):
            raise ObjectError(f"{name!r} is a time; call it {name + '_time'!r}.")
        columns[name] = np.asarray(times, dtype=np.float64)
    seconds = clock_attrs(notes)
    coords: dict[str, Any] = {"trial": ("trial", ids, {"long_name": "trial id"})}
    coords |= {name: ("trial", column, seconds) for name, column in columns.items()}
    data: dict[str, Any] = {}
    for name, value in (variables or {}).items():
        values, own = value if isinstance(value, tuple) and len(value) == 2 else (value, {})
        data[name] = ("trial", np.asarray(values), dict(own))
    for name, column in (coords | data).items():
        if column[1].shape != (n,):
            raise ObjectError(f"{name} has shape {column[1].shape}; there are {n} trials.")
    return xr.Dataset(data, coords, notes)
