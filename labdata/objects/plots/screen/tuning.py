"""How the rate of a unit depends on a feature, for a screen."""

from __future__ import annotations

from typing import Any

import xarray as xr

from labdata.objects.plots._style import CATEGORIES
from labdata.objects.plots.prepared import missing_response
from labdata.objects.plots.screen._figures import models, move_legend, new_figure, say_nothing
from labdata.objects.plots.tuning import feature_label, rate_label


def draw_tuning_curve(curve: xr.Dataset, labels: list[int]) -> Any:
    """Draw the rate of units against a feature, with its standard error where there is one.

    Parameters
    ----------
    curve : xarray.Dataset
        Kind ``tuning_curve``.
    labels : list of int
        Units, that are there.

    Returns
    -------
    bokeh.plotting.figure
    """
    feature = curve["feature"].values
    if nothing := missing_response(curve.sel(unit=labels)):
        plot = new_figure(feature_label(curve), rate_label(labels), attrs=curve.attrs)
        say_nothing(plot, nothing)
        plot.xaxis.ticker = []
        return plot
    words = feature.dtype.kind not in "iuf"
    x = [str(value) for value in feature] if words else feature
    options: dict[str, Any] = {"x_range": x} if words else {}
    plot = new_figure(feature_label(curve), rate_label(labels), attrs=curve.attrs, **options)
    for color, unit in zip(CATEGORIES, labels, strict=False):
        one = curve.sel(unit=unit)
        data: dict[str, Any] = {"x": x, "rate": one["rate"].values}
        said = [(feature_label(curve), "@x"), (f"unit {unit}", "@rate{0.00} Hz")]
        named = {"legend_label": f"unit {unit}"} if len(labels) > 1 else {}
        if "sem" in one:
            data |= {"low": data["rate"] - one["sem"], "high": data["rate"] + one["sem"]}
            said.append(("trials", "@n"))
            data["n"] = one["n_trials"].values
        line = plot.line("x", "rate", source=data, color=color, line_width=1.5, **named)
        source = line.data_source
        dots = plot.scatter("x", "rate", source=source, color=color, size=7, **named)
        if "sem" in one:
            plot.segment("x", "low", "x", "high", source=source, color=color, **named)
        plot.add_tools(models().HoverTool(renderers=[dots], tooltips=said))
    if len(labels) > 1:
        move_legend(plot, "")
    plot.y_range.start = 0
    return plot
