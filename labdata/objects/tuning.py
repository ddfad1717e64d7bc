"""How the rate of each unit depends on what was shown, or on what is measured all the time."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from labdata.errors import ObjectError
from labdata.objects._attrs import require_kind, same_clock
from labdata.objects._binning import bin_edges, iter_counts
from labdata.objects._conditions import PartlyObserved, sort_trials
from labdata.objects._groups import group
from labdata.objects.aligned import align_spikes

FloatArray = NDArray[np.float64]


def tuning_curve(
    spikes: xr.Dataset,
    feature: str | ArrayLike | xr.DataArray,
    event_times: ArrayLike | xr.DataArray | xr.Dataset | None = None,
    *,
    window_s: tuple[float, float] = (0.0, 0.5),
    bins: int | ArrayLike | None = None,
    max_gap_s: float | None = None,
    partly_observed: PartlyObserved = "leave_out",
    allow_clock_mismatch: bool = False,
) -> xr.Dataset:
    """Return the rate of every unit against a feature of the trials or a sampled variable.

    Parameters
    ----------
    spikes : xarray.Dataset
        Kind ``spikes``, or ``aligned_spikes``, whose window is then used.
    feature : str, array_like or xarray.DataArray
        Of trials: as `by` of :func:`psth`. Of a sampled variable: a DataArray of one dimension
        ``time`` whose coordinate is in seconds, ascending, on the clock of the spikes; a sample
        holds until the next.
    event_times : array_like or xarray.DataArray, shape (n_trials,), optional
        Seconds; the feature is one of these trials. Without it, and with spikes that are not
        aligned, the feature is a sampled variable.
    window_s : tuple of float
        Around the event, seconds; spikes in it are counted.
    bins : int or array_like, optional
        How many equal bins, or their edges; a bin holds ``edge <= value < next edge``, the last
        one its end too. Trials: default each value is one of its own. Sampled: default 20.
    max_gap_s : float, optional
        Of a sampled variable: a sample holds for this long at most; what comes later was not
        observed. The last sample holds for the median distance of samples, or this if shorter.
    partly_observed, allow_clock_mismatch
        See :func:`psth`.

    Returns
    -------
    xarray.Dataset
        Kind ``tuning_curve``: ``rate`` (Hz, float64) over unit and feature (values or centres of
        bins). Of trials, with ``sem`` and the coordinate ``n_trials``; of a sampled variable, with
        the coordinate ``occupancy`` (s) and ``count``. NaN where there was no trial or no time.

    Raises
    ------
    ObjectError
        If the feature fits neither the trials nor the clock, or the bins are not ascending.

    Examples
    --------
    >>> side = [-1, 1, -1, 1]
    >>> curve = labdata.tuning_curve(spikes, side, stimuli, window_s=(0.0, 0.5))
    >>> curve["feature"].values.tolist(), curve["rate"].sel(unit=3).values.tolist()
    ([-1, 1], [1.0, 1.0])
    """
    if event_times is not None:
        spikes = align_spikes(
            spikes, event_times, window_s=window_s, allow_clock_mismatch=allow_clock_mismatch
        )
    require_kind(spikes, "spikes", "aligned_spikes")
    if spikes.attrs["labdata_kind"] == "aligned_spikes":
        return _of_trials(spikes, feature, bins, partly_observed)
    if not (isinstance(feature, xr.DataArray) and feature.dims == ("time",)):
        raise ObjectError(
            "The feature is no DataArray over time, and there are no event times.",
            hint="Pass event_times for a feature of trials; or "
            'xarray.DataArray(values, {"time": seconds}, "time").',
        )
    same_clock(
        spikes.attrs, {**feature.attrs, **feature["time"].attrs}, allow=allow_clock_mismatch
    )
    return _of_samples(spikes, feature, 20 if bins is None else bins, max_gap_s)


def _of_trials(
    aligned: xr.Dataset, feature: Any, bins: int | ArrayLike | None, policy: PartlyObserved
) -> xr.Dataset:
    start, stop = (float(aligned.attrs[f"window_{end}_s"]) for end in ("start", "stop"))
    conditions = sort_trials(aligned, feature, policy)
    values, edges = conditions.values, None
    if bins is not None:
        edges = _edges(values, bins)
        conditions = conditions.binned(edges)
        values = (edges[:-1] + edges[1:]) / 2
    rate = np.empty((aligned.sizes["unit"], len(values)))
    sem = np.empty_like(rate)
    width_s = stop - start
    for u, count in enumerate(iter_counts(aligned, bin_edges(start, stop, width_s))):
        mean, error = conditions.mean_and_sem(count / width_s)
        rate[u], sem[u] = mean[:, 0], error[:, 0]
    found = _dataset(aligned, {"rate": rate, "sem": sem}, values, str(conditions.name), edges)
    found["sem"].attrs["long_name"] = "standard error of the mean over trials"
    n_trials = ("feature", conditions.n_trials, {"units": "1"})
    return found.assign_coords(n_trials=n_trials).assign_attrs(conditions.attrs)


def _of_samples(
    spikes: xr.Dataset, feature: xr.DataArray, bins: int | ArrayLike, max_gap_s: float | None
) -> xr.Dataset:
    time_s = np.asarray(feature["time"].values, dtype=np.float64)
    value = np.asarray(feature.values, dtype=np.float64)
    until_s = _held_until(time_s, max_gap_s)
    start, stop = spikes.attrs["t_start"], spikes.attrs["t_stop"]
    held_s = np.clip(np.minimum(until_s, stop) - np.maximum(time_s, start), 0.0, None)
    edges = _edges(value[np.isfinite(value)], bins)
    bin_of = _bin_of(value, edges)
    n = len(edges) - 1
    occupancy = np.bincount(bin_of[bin_of >= 0], held_s[bin_of >= 0], minlength=n)
    groups = group(spikes)
    count = np.empty((spikes.sizes["unit"], n), dtype=np.int64)
    for u, (a, b) in enumerate(zip(groups.start, groups.stop, strict=True)):
        mine = groups.time_s[a:b]
        sample = np.searchsorted(time_s, mine, side="right") - 1
        seen = (sample >= 0) & (mine < until_s[sample]) & (bin_of[sample] >= 0)
        seen &= (mine >= start) & (mine <= stop)  # as the time that was spent there
        count[u] = np.bincount(bin_of[sample[seen]], minlength=n)
    rate = np.divide(count, occupancy, out=np.full(count.shape, np.nan), where=occupancy > 0)
    name = str(feature.name or "feature")
    centres = (edges[:-1] + edges[1:]) / 2
    found = _dataset(spikes, {"rate": rate}, centres, name, edges)
    found["feature"].attrs |= {k: v for k, v in feature.attrs.items() if k == "units"}
    found["count"] = (("unit", "feature"), count, {"units": "1"})
    notes = {"units": "s", "long_name": "time spent at these values"}
    return found.assign_coords(occupancy=("feature", occupancy, notes))


def _held_until(time_s: FloatArray, max_gap_s: float | None) -> FloatArray:
    """Return until when each sample holds."""
    if len(time_s) < 2 or not np.isfinite(time_s).all() or (np.diff(time_s) <= 0).any():
        raise ObjectError(
            f"The {len(time_s)} times of the samples are not ascending, or fewer than two.",
            hint="Sort them with sortby('time'), and leave out what has no time.",
        )
    step = np.diff(time_s)
    held = np.append(step, np.median(step))
    return time_s + (held if max_gap_s is None else np.minimum(held, max_gap_s))


def _edges(values: NDArray[Any], bins: int | ArrayLike) -> FloatArray:
    edges = np.asarray(bins)
    if edges.dtype.kind not in "iuf":
        raise ObjectError(
            f"bins is {bins!r}: neither a number of bins nor their edges.",
            hint="Write them as bins=8 or bins=[0, 45, 90].",
        )
    edges = edges.astype(np.float64)
    if edges.ndim == 0:
        if len(values) == 0 or edges < 1:
            raise ObjectError(
                f"{len(values)} values cannot be put in {int(edges)} bins.",
                hint="Give the edges of the bins, or at least one bin and one value.",
            )
        edges = np.histogram_bin_edges(values.astype(np.float64), int(edges))
    if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise ObjectError("The edges of the bins are not ascending.", hint="Sort them.")
    return edges


def _bin_of(values: NDArray[Any], edges: FloatArray) -> NDArray[np.int64]:
    """Return the bin of each value, -1 outside; the last bin has its end too."""
    at = np.searchsorted(edges, values, side="right") - 1
    at[values == edges[-1]] = len(edges) - 2
    outside = ~((values >= edges[0]) & (values <= edges[-1]))
    return np.where(outside, -1, at).astype(np.int64)


def _dataset(
    source: xr.Dataset,
    columns: dict[str, FloatArray],
    values: NDArray[Any],
    name: str,
    edges: FloatArray | None,
) -> xr.Dataset:
    coords: dict[Any, Any] = {
        n: c.variable for n, c in source.coords.items() if c.dims == ("unit",)
    }
    coords["feature"] = ("feature", values, {"long_name": name})
    if edges is not None:
        coords["feature_start"] = ("feature", edges[:-1])
        coords["feature_stop"] = ("feature", edges[1:])
    attrs = {**source.attrs, "labdata_kind": "tuning_curve"}
    data = {n: (("unit", "feature"), v, {"units": "Hz"}) for n, v in columns.items()}
    return xr.Dataset(data, coords, attrs)
