"""Spikes around events, and counts of them: vectorised, and exact at the edges.

A spike is in a trial if ``start <= spike_time - event_time < stop``: half-open, so that windows
that touch share no spike. Trials may overlap (a spike then has a row in each), come in any order,
and lack their event (NaN: no rows, the trial stays).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from labdata.errors import ObjectError
from labdata.given import one_number, two_ends
from labdata.objects._attrs import clock_attrs, require_kind, same_clock
from labdata.objects._binning import bin_edges, iter_counts
from labdata.objects._groups import group, positions, unit_labels
from labdata.objects._windows import spikes_around
from labdata.whole import whole_numbers

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Seconds before and after an event.
WINDOW_S = (-0.5, 1.5)


def align_spikes(
    spikes: xr.Dataset,
    event_times: ArrayLike | xr.DataArray | xr.Dataset,
    *,
    window_s: tuple[float, float] = WINDOW_S,
    allow_clock_mismatch: bool = False,
) -> xr.Dataset:
    """Return the spikes of every unit around every event.

    Parameters
    ----------
    spikes : xarray.Dataset
        Kind ``spikes``.
    event_times : array_like or xarray.DataArray, shape (n_trials,)
        Seconds on the same clock; NaN where the event did not happen. A DataArray such as
        ``trials["stim_time"]`` gives its labels, coordinates and clock; an events dataset of
        one line's onsets its ``event_time``. Plain arrays make trials 1, 2, ...
    window_s : tuple of float
        Start and stop around the event, seconds; the stop is not included.
    allow_clock_mismatch : bool
        Accept events whose clock has another name.

    Returns
    -------
    xarray.Dataset
        Kind ``aligned_spikes``: ``relative_time`` [s], ``spike_unit`` and ``spike_trial`` (labels)
        over ``spike``, sorted by unit, trial and time; all units and trials as coordinates, with
        ``event_time`` and ``window_observed`` (0 where the window leaves the recording or there
        was no event) a trial.

    Raises
    ------
    ObjectError
        If the clocks differ, the window is empty, a time is infinite or no number, or an events
        dataset has edges of several lines, or rises and falls.

    Examples
    --------
    >>> aligned = labdata.align_spikes(spikes, stimuli, window_s=(-0.2, 0.6))
    >>> aligned.sizes["trial"] == stimuli.size
    True
    """
    require_kind(spikes, "spikes")
    times, coords, event_attrs = _trials(event_times)
    same_clock(spikes.attrs, event_attrs, allow=allow_clock_mismatch)
    start, stop = two_ends(window_s, ObjectError, endless=False)
    groups, units = group(spikes), unit_labels(spikes)
    trial = np.asarray(coords["trial"][1])
    relative, of_unit, of_trial = spikes_around(groups, times, (start, stop), units, trial)
    observed = np.isfinite(times)
    if "t_start" in spikes.attrs and "t_stop" in spikes.attrs:
        inside = (times + start >= spikes.attrs["t_start"]) & (
            times + stop <= spikes.attrs["t_stop"]
        )
        observed = observed & inside
    seconds = {"units": "s"}
    coords["event_time"] = ("trial", times, clock_attrs({"clock": ""} | spikes.attrs))
    flag = {"flag_values": np.array([0, 1], dtype=np.int8), "flag_meanings": "partly wholly"}
    coords["window_observed"] = ("trial", observed.astype(np.int8), flag)
    coords |= {n: c.variable for n, c in spikes.coords.items() if c.dims == ("unit",)}
    attrs = {k: v for k, v in spikes.attrs.items() if k != "labdata_kind"}
    return xr.Dataset(
        {
            "relative_time": ("spike", relative, seconds),
            "spike_unit": ("spike", of_unit, {"long_name": "unit of the spike"}),
            "spike_trial": ("spike", of_trial, {"long_name": "trial of the spike"}),
        },
        coords,
        {
            "labdata_kind": "aligned_spikes",
            **attrs,
            "window_start_s": start,
            "window_stop_s": stop,
        },
    )


def count_spikes(
    spikes: xr.Dataset,
    event_times: ArrayLike | xr.DataArray | xr.Dataset | None = None,
    *,
    bin_s: float = 0.01,
    window_s: tuple[float, float] = WINDOW_S,
    allow_clock_mismatch: bool = False,
) -> xr.Dataset:
    """Count spikes in bins around events.

    Parameters
    ----------
    spikes : xarray.Dataset
        Kind ``aligned_spikes``; or ``spikes`` with `event_times`.
    event_times, window_s, allow_clock_mismatch
        See :func:`align_spikes`; only with spikes that are not aligned yet.
    bin_s : float
        Width of a bin, seconds; a whole number of bins must fill the window.

    Returns
    -------
    xarray.Dataset
        Kind ``psth``, dims unit, trial, time (bin centres, s): ``count`` (uint16, or uint32 where
        needed) and ``rate`` (float32, Hz), NaN for a trial whose event did not happen. A bin holds
        ``edge <= relative_time < next edge``.

    Raises
    ------
    ObjectError
        If bins do not fill the window, or as :func:`align_spikes`.

    Examples
    --------
    >>> psth = labdata.count_spikes(spikes, stimuli, bin_s=0.02, window_s=(-0.2, 0.6))
    >>> psth["rate"].dims, psth.sizes["time"]
    (('unit', 'trial', 'time'), 40)
    """
    if event_times is not None:
        spikes = align_spikes(
            spikes, event_times, window_s=window_s, allow_clock_mismatch=allow_clock_mismatch
        )
    require_kind(spikes, "aligned_spikes")
    start, stop = float(spikes.attrs["window_start_s"]), float(spikes.attrs["window_stop_s"])
    edges = bin_edges(start, stop, bin_s)
    count = _counts(spikes, edges)
    happened = np.isfinite(spikes["event_time"].values)
    rate = (count / np.float32(bin_s)).astype(np.float32)
    rate[:, ~happened, :] = np.nan
    dims = ("unit", "trial", "time")
    coords: dict[Any, Any] = {
        n: c.variable for n, c in spikes.coords.items() if c.dims in (("unit",), ("trial",))
    }
    coords["time"] = ("time", (edges[:-1] + edges[1:]) / 2, {"units": "s"})
    attrs = {**spikes.attrs, "labdata_kind": "psth", "bin_s": float(bin_s)}
    return xr.Dataset(
        {
            "count": (dims, count, {"units": "1", "long_name": "spikes in the bin"}),
            "rate": (dims, rate, {"units": "Hz"}),
        },
        coords,
        attrs,
    )


def aligned_lists(aligned: xr.Dataset, unit: int) -> list[FloatArray]:
    """Return one unit's spikes trial by trial, as a raster takes them.

    Parameters
    ----------
    aligned : xarray.Dataset
        Kind ``aligned_spikes``.
    unit : int
        Label.

    Returns
    -------
    list of ndarray of float64
        Relative times in seconds, one array a trial, in the order of ``aligned.trial``.
    """
    require_kind(aligned, "aligned_spikes")
    mine = aligned["spike_unit"].values == unit
    at = positions(aligned["spike_trial"].values[mine].astype(np.int32), aligned["trial"].values)
    order = np.argsort(at, kind="stable")
    times, at = aligned["relative_time"].values[mine][order], at[order]
    bounds = np.searchsorted(at, np.arange(aligned.sizes["trial"] + 1))
    return [times[a:b] for a, b in pairwise(bounds)]


def _trials(
    event_times: ArrayLike | xr.DataArray | xr.Dataset,
) -> tuple[FloatArray, dict[Any, Any], Mapping[str, Any]]:
    """Return times, trial coordinates and the attributes that may name a clock."""
    attrs: Mapping[str, Any] = {}
    if isinstance(event_times, xr.Dataset):
        require_kind(event_times, "events")
        _refuse_mixed(event_times)
        attrs, event_times = event_times.attrs, event_times["event_time"]
    given = np.asarray(getattr(event_times, "values", event_times))
    if given.ndim != 1:
        raise ObjectError(
            f"Event times have {given.ndim} dimensions; one time a trial is needed.",
            hint="Choose one event: trials['stim_time'].",
        )
    if given.size and given.dtype.kind not in "iuf":  # dates would become nanoseconds
        given = _as_numbers(given)
    times = np.asarray(given, dtype=np.float64, order="C")
    if np.isinf(times).any():
        raise ObjectError(
            f"Event {int(np.flatnonzero(np.isinf(times))[0])} has an infinite time.",
            hint="Use NaN for an event that did not happen.",
        )
    labels: NDArray[Any] = np.arange(1, len(times) + 1, dtype=np.int32)
    coords: dict[Any, Any] = {}
    if isinstance(event_times, xr.DataArray):
        attrs = {**attrs, **event_times.attrs}
        dim = event_times.dims[0]
        own = event_times.coords
        coords = {n: ("trial", c.values, c.attrs) for n, c in own.items() if c.dims == (dim,)}
        if dim == "trial" and "trial" in own:
            labels = _trial_labels(own["trial"].values)
        coords.pop(dim, None)
    coords["trial"] = ("trial", labels, {"long_name": "trial id"})
    return times, coords, attrs


def _refuse_mixed(events: xr.Dataset) -> None:
    """Refuse edges of several lines, or rises with falls: they are no trials of one kind."""
    lines = {
        "/".join(line)
        for line in zip(events["stream"].values, events["channel"].values, strict=True)
    }
    kinds = np.unique(events["event_value"].values)
    if len(lines) > 1 or len(kinds) > 1:
        raise ObjectError(
            f"These events are {'rises and falls' if len(kinds) > 1 else 'edges'} of "
            f"{', '.join(sorted(lines))}, not one event a trial.",
            hint="Choose the onsets of one line: labdata.onsets_of(events, 1, stream='nidq').",
        )


def _as_numbers(given: NDArray[Any]) -> FloatArray:
    """Return numbers of a column of objects, None as NaN; refuse texts, dates and masks."""
    if given.dtype.kind == "O":
        try:
            return np.array(
                [np.nan if t is None else one_number(t, "", ObjectError) for t in given]
            )
        except ObjectError:
            pass
    raise ObjectError(
        f"Event times are {given[0]!r} and so on, of type {given.dtype}, not seconds.",
        hint="Give seconds on the clock of the spikes, such as labdata.onsets_of(events, 1).",
    )


def _trial_labels(values: NDArray[Any]) -> NDArray[np.int32]:
    if values.dtype.kind not in "iu" or len(np.unique(values)) < len(values):
        raise ObjectError(
            f"Trial labels must be unique integers (they are {values.dtype}).",
            hint="Number the trials: trials.assign_coords(trial=range(1, n + 1)).",
        )
    return whole_numbers(values, "trial labels", ObjectError, dtype="int32")


def _counts(aligned: xr.Dataset, edges: FloatArray) -> NDArray[np.uint16] | NDArray[np.uint32]:
    """Count by unit, trial and bin."""
    shape = (aligned.sizes["unit"], aligned.sizes["trial"], len(edges) - 1)
    count: NDArray[np.uint16] | NDArray[np.uint32] = np.zeros(shape, dtype=np.uint16)
    for u, mine in enumerate(iter_counts(aligned, edges)):
        if mine.size and mine.max() > np.iinfo(count.dtype).max:
            count = count.astype(np.uint32)
        count[u] = mine
    return count
