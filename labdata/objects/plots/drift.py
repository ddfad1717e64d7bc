"""Spikes over time and depth."""

from __future__ import annotations

from typing import Any

import xarray as xr

from labdata.objects._attrs import require_kind
from labdata.objects.plots._style import (
    NO_SPIKES,
    axes_or_current,
    note_clock,
    say_nothing,
    time_label,
    wants_screen,
)
from labdata.objects.plots.prepared import drift_picture


def plot_drift_map(drift: xr.Dataset, *, ax: Any = None, backend: str = "matplotlib") -> Any:
    """Draw how many spikes there were at each depth over time.

    Parameters
    ----------
    drift : xarray.Dataset
        Kind ``drift_map`` (:func:`labdata.drift_map`).
    ax : matplotlib.axes.Axes, optional
        Where to draw; default the current axes.
    backend : {"matplotlib", "bokeh"}
        For paper, or for a screen.

    Returns
    -------
    matplotlib.axes.Axes or bokeh.plotting.figure

    Raises
    ------
    ObjectError
        If there is no such backend.
    MissingPackageError
        If it is not installed.

    Examples
    --------
    >>> labdata.plot_drift_map(labdata.drift_map(spikes))  # doctest: +SKIP
    """
    require_kind(drift, "drift_map")
    if wants_screen(backend, ax):
        from labdata.objects.plots.screen import draw_drift_map

        return draw_drift_map(drift)
    ax = axes_or_current(ax)
    if drift["count"].size:
        picture = drift_picture(drift)
        image = ax.imshow(
            picture.values,
            extent=picture.extent,
            origin="lower",
            aspect="auto",
            cmap="Greys",
            vmin=0,
            vmax=picture.most,
            interpolation="none",
        )
        ax.figure.colorbar(image, ax=ax, label=picture.label, extend="max")
    else:
        say_nothing(ax, NO_SPIKES)
        ax.set(xticks=[], yticks=[])
    ax.set_xlabel(time_label(drift.attrs))
    ax.set_ylabel("Distance from tip of shank (µm)")
    note_clock(ax, drift.attrs)
    return ax
