"""Correlograms of a few units, for a screen."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import xarray as xr

from labdata.objects.plots._style import CATEGORIES, QUIET
from labdata.objects.plots.prepared import span_of_lags
from labdata.objects.plots.screen._figures import models, new_figure


def draw_correlograms(found: xr.Dataset, labels: list[int]) -> Any:
    """Draw the autocorrelograms of units on the diagonal and those of pairs above it.

    Parameters
    ----------
    found : xarray.Dataset
        Kind ``correlogram``.
    labels : list of int
        Units, that are there.

    Returns
    -------
    bokeh.layouts.GridPlot
        Of figures that move together.
    """
    gridplot = importlib.import_module("bokeh.layouts").gridplot
    name = "rate" if "rate" in found else "count"
    of_y = "Rate (Hz)" if name == "rate" else "Pairs of spikes"
    lag_ms = found["lag"].values * 1e3
    width_ms = float(found.attrs["bin_s"]) * 1e3
    rows: list[list[Any]] = []
    shared: dict[str, Any] = {}
    for i, unit in enumerate(labels):
        rows.append([None] * i)
        for j, other in enumerate(labels[i:], start=i):
            diagonal = i == j
            plot = new_figure(
                "Lag (ms)" if diagonal else "",
                of_y if diagonal else "",
                title=f"{unit}" if diagonal else f"{unit} → {other}",
                tooltips=[("lag", "@x{0.0} ms"), (of_y, "@top{0.00}")],
                width=170,
                height=150,
                **shared,
            )
            shared = {"x_range": plot.x_range}
            height = found[name].sel(unit=unit, other_unit=other).values
            color = CATEGORIES[0] if diagonal else QUIET
            plot.vbar(x=lag_ms, top=height, width=width_ms, color=color)
            plot.add_layout(models().Span(location=0.0, dimension="height", line_width=1))
            plot.x_range.start, plot.x_range.end = span_of_lags(found)
            plot.y_range.start = 0
            if not np.nan_to_num(height).any():
                plot.y_range.end = 1
            plot.axis.axis_label_text_font_size = plot.title.text_font_size = "10px"
            plot.axis.major_label_text_font_size = "9px"
            rows[-1].append(plot)
    return gridplot(rows, merge_tools=True, toolbar_location="right")
