"""Mean responses: one unit by condition, or all units as a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from labdata.objects._attrs import require_kind
from labdata.objects.plots._style import (
    CATEGORIES,
    MOST_LABELS,
    axes_or_current,
    mark_event,
    name_lines,
    note_clock,
    say_nothing,
    tidy_axes,
    wants_screen,
)
from labdata.objects.plots.prepared import (
    lines_of,
    missing_response,
    psth_picture,
    span_of_bins,
)


def plot_psth(
    mean: xr.Dataset, unit: int | None = None, *, ax: Any = None, backend: str = "matplotlib"
) -> Any:
    """Draw the mean rate of one unit with its standard error, or of all units as a picture.

    Parameters
    ----------
    mean : xarray.Dataset
        Kind ``mean_psth`` (:func:`labdata.psth`).
    unit : int, optional
        Label; a line a condition. Without it each unit is a row of a picture.
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
        If the unit is not there, a picture of several conditions is asked for, or there is no
        such backend.
    MissingPackageError
        If it is not installed.

    Examples
    --------
    >>> mean = labdata.psth(spikes, stimuli, bin_s=0.1, window_s=(-0.2, 0.6))
    >>> labdata.plot_psth(mean, 3)  # doctest: +SKIP
    """
    require_kind(mean, "mean_psth")
    if wants_screen(backend, ax):
        from labdata.objects.plots import screen

        return (
            screen.draw_psth_picture(mean) if unit is None else screen.draw_psth_lines(mean, unit)
        )
    ax = axes_or_current(ax)
    if unit is None:
        _draw_picture(mean, ax)
    else:
        _draw_lines(mean, unit, ax)
    shown = mean if unit is None else mean.sel(unit=unit)
    say_nothing(ax, nothing := missing_response(shown))
    mark_event(ax, on_picture=unit is None and not nothing)
    ax.set_xlabel("Time from event (s)")
    note_clock(ax, mean.attrs)
    return ax


def _draw_lines(mean: xr.Dataset, unit: int, ax: Any) -> None:
    lines, title = lines_of(mean, unit)
    for k, line in enumerate(lines):
        color = CATEGORIES[k % len(CATEGORIES)]
        dashes = ("-", "--", ":")[k // len(CATEGORIES) % 3]
        label = line.label or None
        ax.plot(line.time_s, line.rate_hz, dashes, color=color, linewidth=1.2, label=label)
        low, high = line.rate_hz - line.sem_hz, line.rate_hz + line.sem_hz
        ax.fill_between(line.time_s, low, high, color=color, alpha=0.25, linewidth=0)
    if title:
        name_lines(ax, title)
    ax.set_xlim(*span_of_bins(mean))
    ax.set_ylim(bottom=0)
    ax.set_ylabel(f"Rate of unit {unit} (Hz)")
    tidy_axes(ax)


def _draw_picture(mean: xr.Dataset, ax: Any) -> None:
    picture = psth_picture(mean)
    left, right, top, bottom = picture.extent  # the first unit is at the top
    ax.set_ylabel(picture.y_label)
    ax.set_xlim(left, right)
    if missing_response(mean):
        ax.set_yticks([])
        return
    image = ax.imshow(
        picture.values,
        extent=(left, right, bottom, top),
        aspect="auto",
        cmap="viridis",
        interpolation="none",
    )
    image.set_clim(0, picture.most)
    ax.figure.colorbar(image, ax=ax, label=picture.label, extend="max")
    if mean.sizes["unit"] <= MOST_LABELS:
        ax.set_yticks(np.arange(mean.sizes["unit"]), mean["unit"].values.astype(str))
