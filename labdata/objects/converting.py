"""To and from the packages that others analyse with; nothing is lost without a word.

Seconds go to pynapple, sample numbers to SpikeInterface, tables to pandas. What a package cannot
hold is refused or said: pynapple joins intervals that overlap, and rounds times to nanoseconds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from labdata.errors import MissingPackageError, ObjectError
from labdata.objects._attrs import Sync, require_kind
from labdata.objects._groups import unit_labels
from labdata.objects.selecting import iter_units, tidy
from labdata.objects.spikes import build_spikes
from labdata.objects.trials import build_trials
from labdata.objects.voltage_converting import recording_to_spikeinterface
from labdata.whole import whole_numbers


def to_pynapple(ds: xr.Dataset) -> Any:
    """Return spikes as a ``TsGroup``, events as a ``Ts``, or trials as an ``IntervalSet``.

    Parameters
    ----------
    ds : xarray.Dataset
        Kind ``spikes``, whose coordinates a unit become metadata; ``events``, every edge of every
        line that is left in it; or ``trials`` with ``stop_time``, whose variables become metadata.

    Returns
    -------
    pynapple.TsGroup, pynapple.Ts or pynapple.IntervalSet
        Times in seconds on the clock of the dataset, rounded to nanoseconds by pynapple. The
        clock's name does not come along: pynapple has no place for it.

    Raises
    ------
    ObjectError
        If trials overlap, touch, are not in order or lack a start or stop, or spikes are outside
        ``t_start`` to ``t_stop``: pynapple would join or drop them.
    MissingPackageError
        If pynapple is not installed.

    Examples
    --------
    >>> group = labdata.to_pynapple(spikes)  # doctest: +SKIP
    >>> group[8].rate  # doctest: +SKIP
    """
    require_kind(ds, "spikes", "events", "trials")
    nap = _pynapple()
    if ds.attrs["labdata_kind"] == "trials":
        return _to_intervals(ds, nap)
    if ds.attrs["labdata_kind"] == "events":
        return nap.Ts(ds["event_time"].values, time_units="s")
    start, stop = ds.attrs["t_start"], ds.attrs["t_stop"]
    _refuse_outside(ds, start, stop)
    span = nap.IntervalSet(start, stop, time_units="s")
    # in the order that pynapple gives a group: metadata go by position
    times = sorted(iter_units(ds))
    trains = {u: nap.Ts(t, time_units="s", time_support=span) for u, t in times}
    notes = {str(n): c.values for n, c in ds.coords.items() if c.dims == ("unit",) and n != "unit"}
    order = np.argsort(unit_labels(ds))
    metadata = {_metadata_name(n): values[order] for n, values in notes.items()}
    return nap.TsGroup(trains, time_support=span, metadata=metadata)


def from_pynapple(found: Any, *, stream: str, sync: Sync | None = None) -> xr.Dataset:
    """Return a ``TsGroup`` as spikes, or an ``IntervalSet`` as trials.

    Parameters
    ----------
    found : pynapple.TsGroup or pynapple.IntervalSet
        Times in seconds; metadata become coordinates a unit, or variables a trial.
    stream : str
        Stream that they come from.
    sync : SyncReport or mapping, optional
        Which clock the times are on, such as ``{"clock": "nidq"}``; None: the stream's own, and
        the dataset says so loudly.

    Returns
    -------
    xarray.Dataset
        Kind ``spikes`` or ``trials``.

    Raises
    ------
    ObjectError
        If it is neither, or the group's time support has gaps, which spikes cannot tell.
    MissingPackageError
        If pynapple is not installed.

    Warns
    -----
    UnsyncedWarning
        If `sync` is None.

    Examples
    --------
    >>> group = labdata.to_pynapple(spikes)  # doctest: +SKIP
    >>> labdata.from_pynapple(group, stream="imec0", sync={"clock": "nidq"})  # doctest: +SKIP
    """
    nap = _pynapple()
    if isinstance(found, nap.IntervalSet):
        notes = {str(c): np.asarray(found[c]) for c in found.metadata_columns}
        trial = notes.pop("trial", None)
        return build_trials(
            found.start, found.end, stream=stream, sync=sync, trial=trial, variables=notes
        )
    if not isinstance(found, nap.TsGroup):
        raise ObjectError(
            f"A {type(found).__name__} is neither a TsGroup nor an IntervalSet.",
            hint="Of one unit make a group: pynapple.TsGroup({1: ts}).",
        )
    support = found.time_support
    if len(support) != 1:
        raise ObjectError(
            f"The time support has {len(support)} intervals; a recording has one.",
            hint="Convert group.restrict(group.time_support[[0]]) and the others one by one.",
        )
    kept = [c for c in found.metadata_columns if c != "rate"]  # pynapple's own
    notes = {str(c).removeprefix("unit_"): np.asarray(found[c]) for c in kept}
    return build_spikes(
        {int(u): found[u].index.values for u in found.keys()},  # noqa: SIM118 (no mapping)
        stream=stream,
        sync=sync,
        unit_coords=notes,
        t_start_s=float(support.start[0]),
        t_stop_s=float(support.end[0]),
    )


def to_spikeinterface(spikes: xr.Dataset) -> Any:
    """Return spikes as a SpikeInterface sorting of one segment, or voltages as a recording.

    Parameters
    ----------
    spikes : xarray.Dataset
        Kind ``spikes`` with ``sample_index`` and ``sampling_rate_hz``; coordinates a unit become
        properties. Or kind ``recording``: the window that it is, which is read into memory.

    Returns
    -------
    spikeinterface.core.NumpySorting or spikeinterface.core.NumpyRecording
        A sorting is on the probe's own samples, whatever clock the dataset's seconds are on; a
        recording has microvolts, its channels' places, and the seconds as its times.

    Raises
    ------
    ObjectError
        If sample numbers or the sampling rate are missing, or samples between others.
    MissingPackageError
        If SpikeInterface is not installed.

    Examples
    --------
    >>> sorting = labdata.to_spikeinterface(spikes)  # doctest: +SKIP
    """
    require_kind(spikes, "spikes", "recording")
    if spikes.attrs["labdata_kind"] == "recording":
        return recording_to_spikeinterface(spikes)
    missing = [] if "sample_index" in spikes else ["sample_index"]
    missing += [] if "sampling_rate_hz" in spikes.attrs else ["sampling_rate_hz"]
    if missing:
        raise ObjectError(
            f"The spikes have no {' and no '.join(missing)}.",
            hint="Seconds on another clock cannot be turned back into samples; ask "
            "labdata.spikes for them again.",
        )
    core = _spikeinterface()
    spikes = tidy(spikes)
    labels = unit_labels(spikes)
    samples = np.asarray(spikes["sample_index"].values, dtype=np.int64)
    order = np.argsort(samples, kind="stable")
    sorting = core.NumpySorting.from_samples_and_labels(
        [samples[order]],
        [np.asarray(spikes["spike_unit"].values)[order]],
        float(spikes.attrs["sampling_rate_hz"]),
        unit_ids=labels,
    )
    for name, coord in spikes.coords.items():
        if coord.dims == ("unit",) and name != "unit":
            sorting.set_property(str(name), coord.values)
    return sorting


def from_spikeinterface(sorting: Any, *, stream: str) -> xr.Dataset:
    """Return a SpikeInterface sorting as spikes on the stream's own clock.

    Parameters
    ----------
    sorting : spikeinterface.core.BaseSorting
        Of one segment; properties become coordinates a unit where they are one value each.
    stream : str
        Stream that was sorted, such as ``"imec0"``.

    Returns
    -------
    xarray.Dataset
        Kind ``spikes`` with ``sample_index``; times are sample numbers over the sampling rate, and
        the dataset says that they are not synchronised. Units whose ids are no integers are
        numbered from 0, and ``sorting_id`` keeps their ids.

    Raises
    ------
    ObjectError
        If there are several segments.

    Warns
    -----
    UnsyncedWarning
        Always.

    Examples
    --------
    >>> spikes = labdata.from_spikeinterface(sorting, stream="imec0")  # doctest: +SKIP
    """
    n_segments = sorting.get_num_segments()
    if n_segments != 1:
        raise ObjectError(
            f"The sorting has {n_segments} segments; a recording has one.",
            hint="Choose one: sorting.select_segments([0]).",
        )
    ids = np.asarray(sorting.get_unit_ids())
    whole = np.issubdtype(ids.dtype, np.integer)
    labels = np.arange(len(ids), dtype=np.int32)
    if whole:
        labels = whole_numbers(ids, "ids of units", ObjectError, dtype="int32")
    vector = sorting.to_spike_vector()
    samples = vector["sample_index"].astype(np.int64)
    rate_hz = float(sorting.get_sampling_frequency())
    notes = {
        str(k): np.asarray(sorting.get_property(k))
        for k in sorting.get_property_keys()
        if np.ndim(sorting.get_property(k)) == 1 and k != "unit"
    }
    return build_spikes(
        samples / rate_hz,
        labels[vector["unit_index"]],
        stream=stream,
        unit=labels,
        unit_coords=notes | ({} if whole else {"sorting_id": ids.astype(str)}),
        spike_vars={"sample_index": samples},
        sampling_rate_hz=rate_hz,
    )


def _refuse_outside(spikes: xr.Dataset, start: float, stop: float) -> None:
    times = spikes["spike_time"].values
    outside = (times < start) | (times > stop) | (start >= stop)
    if outside.any():
        raise ObjectError(
            f"{outside.sum()} spikes are not within the recording, from {start} to {stop} s: "
            "pynapple would drop them without a word.",
            hint="Cut them off with restrict_time, or correct the span: "
            "spikes.assign_attrs(t_start=..., t_stop=...).",
        )


def _to_intervals(trials: xr.Dataset, nap: Any) -> Any:
    if "stop_time" not in trials.coords:
        raise ObjectError(
            "The trials have no stop_time, which an interval needs.",
            hint="Give it to build_trials, or make intervals around an event yourself.",
        )
    start, stop = trials["start_time"].values, trials["stop_time"].values
    fits = (start < stop) & np.append(start[1:] > stop[:-1], True)  # NaN fits nothing
    if not fits.all():
        at = int(np.flatnonzero(~fits)[0])
        label = trials["trial"].values[at]
        raise ObjectError(
            f"Trial {label} ({start[at]} to {stop[at]} s) has no length, or reaches into the "
            "next: pynapple would join or drop trials without a word.",
            hint="Leave it out, or shorten it: trials.isel(trial=...).",
        )
    variables = {"trial": trials["trial"].values}
    variables |= {str(n): v.values for n, v in trials.data_vars.items() if v.dims == ("trial",)}
    return nap.IntervalSet(start, stop, time_units="s", metadata=variables)


def _metadata_name(name: str) -> str:
    """Return a name that pynapple does not use itself."""
    return f"unit_{name}" if name in ("rate", "index", "nap_class") else name


def _pynapple() -> Any:
    try:
        import pynapple
    except ImportError as missing:
        raise MissingPackageError("pynapple", "pynapple") from missing
    return pynapple


def _spikeinterface() -> Any:
    try:
        import spikeinterface.core
    except ImportError as missing:
        raise MissingPackageError("spikeinterface", "sorting") from missing
    return spikeinterface.core
