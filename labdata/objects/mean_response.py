"""The mean response of each unit to an event: rate, its error, and how many trials it rests on."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from labdata.objects._attrs import require_kind
from labdata.objects._binning import bin_edges, iter_counts
from labdata.objects._conditions import PartlyObserved, sort_trials
from labdata.objects.aligned import WINDOW_S, align_spikes


def psth(
    spikes: xr.Dataset,
    event_times: ArrayLike | xr.DataArray | xr.Dataset | None = None,
    *,
    by: str | ArrayLike | xr.DataArray | None = None,
    bin_s: float = 0.01,
    window_s: tuple[float, float] = WINDOW_S,
    partly_observed: PartlyObserved = "leave_out",
    allow_clock_mismatch: bool = False,
) -> xr.Dataset:
    """Return the mean rate of every unit around an event, over all trials or by condition.

    Parameters
    ----------
    spikes : xarray.Dataset
        Kind ``aligned_spikes``; or ``spikes`` with `event_times`.
    event_times, window_s, allow_clock_mismatch
        See :func:`align_spikes`; only with spikes that are not aligned yet.
    by : str, array_like or xarray.DataArray, shape (n_trials,), optional
        What tells trials apart: the name of a coordinate of the trials, or a value a trial. A
        DataArray over ``trial`` such as ``trials["stim_intensity"]`` is matched by its labels.
        Trials whose value is NaN are left out.
    bin_s : float
        Width of a bin, seconds; a whole number of bins must fill the window.
    partly_observed : {"leave_out", "keep", "raise"}
        What to do with trials whose window leaves the recording: bins outside it would be counted
        as silence. Trials whose event did not happen are always left out.

    Returns
    -------
    xarray.Dataset
        Kind ``mean_psth``: ``rate`` and ``sem`` (Hz, float64) over unit and time (bin centres, s),
        or over unit, condition and time. ``n_trials``, a coordinate, says how many trials each
        mean is of; ``rate`` is NaN where there is none, ``sem`` where there are fewer than two.
        The attributes ``trials_without_event``, ``trials_partly_observed`` and
        ``trials_without_condition`` say how many of the trials given could not be used as they
        are.

    Raises
    ------
    ObjectError
        If bins do not fill the window, `by` does not fit the trials, or as :func:`align_spikes`.

    Examples
    --------
    >>> mean = labdata.psth(spikes, stimuli, bin_s=0.1, window_s=(-0.2, 0.6))
    >>> mean["rate"].sel(unit=3).values.round(1).tolist()
    [0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    >>> int(mean["n_trials"])
    4
    """
    if event_times is not None:
        spikes = align_spikes(
            spikes, event_times, window_s=window_s, allow_clock_mismatch=allow_clock_mismatch
        )
    require_kind(spikes, "aligned_spikes")
    edges = bin_edges(
        float(spikes.attrs["window_start_s"]), float(spikes.attrs["window_stop_s"]), bin_s
    )
    conditions = sort_trials(spikes, by, partly_observed)
    shape = (spikes.sizes["unit"], len(conditions.values), len(edges) - 1)
    rate, sem = np.empty(shape), np.empty(shape)
    for u, count in enumerate(iter_counts(spikes, edges)):
        rate[u], sem[u] = conditions.mean_and_sem(count / bin_s)
    coords: dict[Any, Any] = {
        n: c.variable for n, c in spikes.coords.items() if c.dims == ("unit",)
    }
    coords["time"] = ("time", (edges[:-1] + edges[1:]) / 2, {"units": "s"})
    coords["n_trials"] = ("condition", conditions.n_trials, {"units": "1"})
    dims = ("unit", "condition", "time")
    sem_attrs = {"units": "Hz", "long_name": "standard error of the mean over trials"}
    attrs = {**spikes.attrs, "labdata_kind": "mean_psth", "bin_s": float(bin_s)}
    found = xr.Dataset(
        {"rate": (dims, rate, {"units": "Hz"}), "sem": (dims, sem, sem_attrs)},
        coords,
        attrs | conditions.attrs,
    )
    if conditions.name is None:
        return found.isel(condition=0)
    notes = _attrs_of(spikes, by)
    return found.assign_coords(
        condition=("condition", conditions.values, {"long_name": conditions.name} | notes)
    )


def _attrs_of(aligned: xr.Dataset, by: Any) -> dict[str, Any]:
    """Return what is known of the values that tell trials apart, such as their units."""
    source = aligned[by] if isinstance(by, str) else by
    return {k: v for k, v in getattr(source, "attrs", {}).items() if k != "long_name"}
