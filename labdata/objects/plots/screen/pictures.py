"""Numbers as colours, for a screen: spikes over time and depth, rates of all units."""

from __future__ import annotations

from typing import Any

import xarray as xr

from labdata.objects.plots._style import MOST_LABELS, NO_SPIKES, time_label
from labdata.objects.plots.prepared import (
    drift_picture,
    missing_response,
    psth_picture,
    span_of_bins,
)
from labdata.objects.plots.screen._figures import (
    add_picture,
    dark_greys,
    mark_event,
    new_figure,
    say_nothing,
)


def draw_drift_map(drift: xr.Dataset) -> Any:
    """Draw how many spikes there were at each depth over time.

    Parameters
    ----------
    drift : xarray.Dataset
        Kind ``drift_map``.

    Returns
    -------
    bokeh.plotting.figure
    """
    plot = new_figure(
        time_label(drift.attrs), "Distance from tip of shank (µm)", attrs=drift.attrs
    )
    if drift["count"].size:
        picture = drift_picture(drift)
        add_picture(
            plot,
            picture.values,
            picture.extent,
            palette=dark_greys(),
            most=picture.most,
            label=picture.label,
        )
    else:
        say_nothing(plot, NO_SPIKES)
        plot.xaxis.ticker = []
    return plot


def draw_psth_picture(mean: xr.Dataset) -> Any:
    """Draw the mean rates of all units, a row each, the first at the top.

    Parameters
    ----------
    mean : xarray.Dataset
        Kind ``mean_psth`` of one condition.

    Returns
    -------
    bokeh.plotting.figure
    """
    picture = psth_picture(mean)
    n = mean.sizes["unit"]
    plot = new_figure("Time from event (s)", picture.y_label, attrs=mean.attrs)
    if nothing := missing_response(mean):
        say_nothing(plot, nothing, span_of_bins(mean))
        mark_event(plot)
        return plot
    add_picture(
        plot,
        picture.values,
        picture.extent,
        palette="Viridis256",
        most=picture.most,
        label=picture.label,
    )
    plot.y_range.flipped = True
    if n <= MOST_LABELS:
        plot.yaxis.ticker = list(range(n))
        plot.yaxis.major_label_overrides = {
            k: str(unit) for k, unit in enumerate(mean["unit"].values)
        }
    mark_event(plot, on_picture=True)
    return plot
