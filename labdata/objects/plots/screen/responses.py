"""Rasters and mean rates of one unit, for a screen."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from labdata.objects.plots._style import CATEGORIES, MOST_MARKS, NO_SPIKES
from labdata.objects.plots.prepared import (
    count_raster,
    lines_of,
    missing_response,
    span_of_bins,
)
from labdata.objects.plots.screen._figures import (
    add_picture,
    dark_greys,
    mark_event,
    move_legend,
    new_figure,
    say_below,
    say_nothing,
)


def draw_raster(
    x: NDArray[np.float64], y: NDArray[np.int64], n_trials: int, *, size: float, color: str
) -> Any:
    """Draw one row of ticks a trial, or what is counted of too many.

    Parameters
    ----------
    x : ndarray of float64, shape (n_spikes,)
        Seconds from the event.
    y : ndarray of int64, shape (n_spikes,)
        Trial of each.
    n_trials : int
        Rows.
    size : float
        Height of a tick, pixels.
    color : str
        Of the ticks.

    Returns
    -------
    bokeh.plotting.figure
    """
    few = len(x) <= MOST_MARKS
    said = [("trial", "@y"), ("time", "@x{0.0000} s")] if few else None
    plot = new_figure("Time from event (s)", "Trial", tooltips=said, output_backend="webgl")
    plot.y_range.start, plot.y_range.end = -0.5, max(n_trials, 1) - 0.5
    if not len(x):
        say_nothing(plot, NO_SPIKES, (-1.0, 1.0))
        plot.xaxis.ticker = [0]
    elif few:
        plot.scatter(x, y, marker="dash", angle=np.pi / 2, size=size, color=color)
    else:
        counts, extent, note = count_raster(x, y, n_trials)
        most = float(counts.max())
        add_picture(plot, counts, extent, palette=dark_greys(), most=most, label="Spikes")
        say_below(plot, note)
    mark_event(plot)
    return plot


def draw_psth_lines(mean: xr.Dataset, unit: int) -> Any:
    """Draw the mean rate of one unit with its standard error, a line a condition.

    Parameters
    ----------
    mean : xarray.Dataset
        Kind ``mean_psth``.
    unit : int
        Label, of a unit that is there.

    Returns
    -------
    bokeh.plotting.figure
    """
    said = [("time", "@x{0.000} s"), ("rate", "@rate{0.0} Hz")]
    plot = new_figure(
        "Time from event (s)", f"Rate of unit {unit} (Hz)", attrs=mean.attrs, tooltips=said
    )
    plot.y_range.start = 0
    lines, title = lines_of(mean, unit)
    for k, line in enumerate(lines):
        data = {"x": line.time_s, "rate": line.rate_hz}
        data |= {"low": line.rate_hz - line.sem_hz, "high": line.rate_hz + line.sem_hz}
        style: dict[str, Any] = {"color": CATEGORIES[k % len(CATEGORIES)]}
        named = {"legend_label": line.label} if line.label else {}
        dash = ("solid", "dashed", "dotted")[k // len(CATEGORIES) % 3]
        drawn = plot.line("x", "rate", source=data, line_width=2, line_dash=dash, **style, **named)
        plot.varea("x", "low", "high", source=drawn.data_source, alpha=0.25, **style, **named)
    if title:
        move_legend(plot, title)
    if nothing := missing_response(mean.sel(unit=unit)):
        say_nothing(plot, nothing, span_of_bins(mean))
    mark_event(plot)
    return plot
