"""Mean responses: one unit by condition, or all units as a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from labdata.errors import ObjectError
from labdata.objects._attrs import require_kind
from labdata.objects.plots._style import (
    CATEGORIES,
    axes_or_current,
    mark_event,
    note_clock,
    tidy_axes,
)

#: Units that are named one by one.
_MOST_LABELS = 25


def plot_psth(mean: xr.Dataset, unit: int | None = None, *, ax: Any = None) -> Any:
    """Draw the mean rate of one unit with its standard error, or of all units as a picture.

    Parameters
    ----------
    mean : xarray.Dataset
        Kind ``mean_psth`` (:func:`labdata.psth`).
    unit : int, optional
        Label; a line a condition. Without it each unit is a row of a picture.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default the current axes.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ObjectError
        If the unit is not there, or a picture of several conditions is asked for.
    MissingPackageError
        If matplotlib is not installed.

    Examples
    --------
    >>> mean = labdata.psth(spikes, stimuli, bin_s=0.1, window_s=(-0.2, 0.6))
    >>> labdata.plot_psth(mean, 3)  # doctest: +SKIP
    """
    require_kind(mean, "mean_psth")
    ax = axes_or_current(ax)
    if unit is None:
        _draw_picture(mean, ax)
    else:
        _draw_lines(mean, unit, ax)
    mark_event(ax, on_picture=unit is None)
    ax.set_xlabel("Time from event (s)")
    note_clock(ax, mean.attrs)
    return ax


def _draw_lines(mean: xr.Dataset, unit: int, ax: Any) -> None:
    if unit not in mean["unit"].values:
        raise ObjectError(
            f"Unit {unit} is not among the {mean.sizes['unit']} units of this dataset.",
            hint="mean.unit lists them; they are labels, not positions.",
        )
    one = mean.sel(unit=unit)
    time_s = one["time"].values
    several = "condition" in one.dims
    for k in range(one.sizes["condition"] if several else 1):
        mine = one.isel(condition=k) if several else one
        label = f"{mine['condition'].item()} (n = {int(mine['n_trials'])})" if several else None
        rate, sem = mine["rate"].values, mine["sem"].values
        color = CATEGORIES[k % len(CATEGORIES)]
        dashes = ("-", "--", ":")[k // len(CATEGORIES) % 3]
        ax.plot(time_s, rate, dashes, color=color, linewidth=1.2, label=label)
        ax.fill_between(time_s, rate - sem, rate + sem, color=color, alpha=0.25, linewidth=0)
    if several:
        title = one["condition"].attrs.get("long_name", "condition")
        ax.legend(title=title, fontsize=7, title_fontsize=7, frameon=False)
    ax.set_ylim(bottom=0)
    ax.set_ylabel(f"Rate of unit {unit} (Hz)")
    tidy_axes(ax)


def _draw_picture(mean: xr.Dataset, ax: Any) -> None:
    if "condition" in mean.dims:
        raise ObjectError(
            f"A picture of all units shows one condition; there are {mean.sizes['condition']}.",
            hint="Choose one with mean.sel(condition=...), or a unit.",
        )
    time_s = mean["time"].values
    half = float(mean.attrs["bin_s"]) / 2
    n = mean.sizes["unit"]
    extent = (time_s[0] - half, time_s[-1] + half, n - 0.5, -0.5)
    rate = mean["rate"].values
    image = ax.imshow(rate, extent=extent, aspect="auto", cmap="viridis", interpolation="none")
    if np.isfinite(rate).any():
        image.set_clim(0, float(np.nanpercentile(rate, 99)) or 1.0)
    ax.figure.colorbar(image, ax=ax, label="Rate (Hz)", extend="max")
    ax.set_ylabel("Unit" if n <= _MOST_LABELS else f"Unit ({n}, in the order of the dataset)")
    if n <= _MOST_LABELS:
        ax.set_yticks(np.arange(n), mean["unit"].values.astype(str))
