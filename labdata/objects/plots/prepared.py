"""What a plot shows, before it is drawn: the same for paper and screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from labdata.errors import ObjectError
from labdata.objects.plots._style import MOST_LABELS

#: Columns of the picture that stands for too many ticks.
_COLUMNS = 500

Extent = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Picture:
    """Numbers that are shown as colours.

    Attributes
    ----------
    values : ndarray, shape (n_rows, n_columns)
        The numbers.
    extent : tuple of float
        Left, right, bottom and top.
    most : float
        The number with the last colour.
    label, y_label : str
        Of the colours, and of the rows.
    """

    values: NDArray[Any]
    extent: Extent
    most: float
    label: str
    y_label: str = ""


@dataclass(frozen=True, eq=False)
class RateLine:
    """The mean response of one unit in one condition.

    Attributes
    ----------
    time_s, rate_hz, sem_hz : ndarray of float64, shape (n_bins,)
        Bin centres, mean rate and its standard error.
    label : str
        Of the condition, with its number of trials; empty if there are no conditions.
    """

    time_s: NDArray[np.float64]
    rate_hz: NDArray[np.float64]
    sem_hz: NDArray[np.float64]
    label: str


def count_raster(
    x: NDArray[np.float64], y: NDArray[np.int64], n_trials: int
) -> tuple[NDArray[np.float64], Extent, str]:
    """Return how many spikes there are in each of many bins of each trial.

    Parameters
    ----------
    x : ndarray of float64, shape (n_spikes,)
        Seconds from the event.
    y : ndarray of int64, shape (n_spikes,)
        Trial of each.
    n_trials : int
        Rows.

    Returns
    -------
    counts : ndarray of float64, shape (n_trials, n_bins)
    extent : tuple of float
    note : str
        What to say of it.
    """
    rows = np.arange(n_trials + 1) - 0.5
    counts, edges, _ = np.histogram2d(x, y, [np.linspace(x.min(), x.max(), _COLUMNS + 1), rows])
    note = f"{len(x):,} spikes, counted in bins of {(edges[1] - edges[0]) * 1e3:.3g} ms"
    return counts.T, (float(edges[0]), float(edges[-1]), -0.5, n_trials - 0.5), note


def drift_picture(drift: xr.Dataset) -> Picture:
    """Return how many spikes there were at each depth over time.

    Parameters
    ----------
    drift : xarray.Dataset
        Kind ``drift_map``, with bins.
    """
    count = drift["count"].values
    step_s, step_um = float(drift.attrs["time_bin_s"]), float(drift.attrs["depth_bin_um"])
    time_s, depth_um = drift["time"].values, drift["depth"].values
    extent = (
        float(time_s[0] - step_s / 2),
        float(time_s[-1] + step_s / 2),
        float(depth_um[0] - step_um / 2),
        float(depth_um[-1] + step_um / 2),
    )
    # few bins hold most spikes: the darkest is what one bin in two hundred exceeds
    most = max(1.0, float(np.percentile(count, 99.5)))
    return Picture(count.T, extent, most, f"Spikes in {step_s:g} s and {step_um:g} µm")


def psth_picture(mean: xr.Dataset) -> Picture:
    """Return the mean rates of all units, a row each.

    Parameters
    ----------
    mean : xarray.Dataset
        Kind ``mean_psth``.

    Raises
    ------
    ObjectError
        If there are several conditions.
    """
    if "condition" in mean.dims:
        raise ObjectError(
            f"A picture of all units shows one condition; there are {mean.sizes['condition']}.",
            hint="Choose one with mean.sel(condition=...), or a unit.",
        )
    n = mean.sizes["unit"]
    rate = mean["rate"].values
    most = float(np.nanpercentile(rate, 99)) if np.isfinite(rate).any() else 0.0
    rows = "Unit" if n <= MOST_LABELS else f"Unit ({n}, in the order of the dataset)"
    extent = (*span_of_bins(mean), -0.5, max(n, 1) - 0.5)
    return Picture(rate, extent, most or 1.0, "Rate (Hz)", rows)


def span_of_bins(mean: xr.Dataset) -> tuple[float, float]:
    """Return where the bins of a mean response begin and end, seconds from the event.

    Parameters
    ----------
    mean : xarray.Dataset
        Kind ``mean_psth``.
    """
    time_s, half = mean["time"].values, float(mean.attrs["bin_s"]) / 2
    return float(time_s[0] - half), float(time_s[-1] + half)


def missing_response(mean: xr.Dataset) -> str:
    """Return what a response has none of, so that nothing can be drawn; else nothing.

    Parameters
    ----------
    mean : xarray.Dataset
        Kind ``mean_psth`` or ``tuning_curve``, of the units that are to be drawn.
    """
    if not mean.sizes.get("unit", 1):
        return "no units"
    return "" if np.isfinite(mean["rate"].values).any() else "no trials"


def span_of_lags(found: xr.Dataset) -> tuple[float, float]:
    """Return where the lags of correlograms begin and end, ms.

    Parameters
    ----------
    found : xarray.Dataset
        Kind ``correlogram``.
    """
    lag_ms, half = found["lag"].values * 1e3, float(found.attrs["bin_s"]) * 1e3 / 2
    return float(lag_ms[0] - half), float(lag_ms[-1] + half)


def lines_of(mean: xr.Dataset, unit: int) -> tuple[list[RateLine], str]:
    """Return the mean responses of one unit, and what the conditions are called.

    Parameters
    ----------
    mean : xarray.Dataset
        Kind ``mean_psth``.
    unit : int
        Label.

    Raises
    ------
    ObjectError
        If the unit is not there.
    """
    if unit not in mean["unit"].values:
        raise ObjectError(
            f"Unit {unit} is not among the {mean.sizes['unit']} units of this dataset.",
            hint="mean.unit lists them; they are labels, not positions.",
        )
    one = mean.sel(unit=unit)
    if "condition" not in one.dims:
        return [RateLine(one["time"].values, one["rate"].values, one["sem"].values, "")], ""
    lines = []
    for k in range(one.sizes["condition"]):
        mine = one.isel(condition=k)
        label = f"{mine['condition'].item()} (n = {int(mine['n_trials'])})"
        lines.append(RateLine(one["time"].values, mine["rate"].values, mine["sem"].values, label))
    return lines, str(one["condition"].attrs.get("long_name", "condition"))
