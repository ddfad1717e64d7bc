"""Spikes over time and depth."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from labdata.objects._attrs import require_kind
from labdata.objects.plots._style import axes_or_current, note_clock, time_label


def plot_drift_map(drift: xr.Dataset, *, ax: Any = None) -> Any:
    """Draw how many spikes there were at each depth over time.

    Parameters
    ----------
    drift : xarray.Dataset
        Kind ``drift_map`` (:func:`labdata.drift_map`).
    ax : matplotlib.axes.Axes, optional
        Where to draw; default the current axes.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingPackageError
        If matplotlib is not installed.

    Examples
    --------
    >>> labdata.plot_drift_map(labdata.drift_map(spikes))  # doctest: +SKIP
    """
    require_kind(drift, "drift_map")
    ax = axes_or_current(ax)
    count = drift["count"].values
    step_s, step_um = float(drift.attrs["time_bin_s"]), float(drift.attrs["depth_bin_um"])
    if count.size:
        time_s, depth_um = drift["time"].values, drift["depth"].values
        extent = (
            time_s[0] - step_s / 2,
            time_s[-1] + step_s / 2,
            depth_um[0] - step_um / 2,
            depth_um[-1] + step_um / 2,
        )
        # few bins hold most spikes: the darkest is what one bin in two hundred exceeds
        most = max(1.0, float(np.percentile(count, 99.5)))
        image = ax.imshow(
            count.T,
            extent=extent,
            origin="lower",
            aspect="auto",
            cmap="Greys",
            vmin=0,
            vmax=most,
            interpolation="none",
        )
        label = f"Spikes in {step_s:g} s and {step_um:g} µm"
        ax.figure.colorbar(image, ax=ax, label=label, extend="max")
    ax.set_xlabel(time_label(drift.attrs))
    ax.set_ylabel("Distance from tip of shank (µm)")
    note_clock(ax, drift.attrs)
    return ax
