"""How many units each session gave, for a screen."""

from __future__ import annotations

from typing import Any

import numpy as np

from labdata.objects.plots._style import CATEGORIES
from labdata.objects.plots.counts import around_day
from labdata.objects.plots.screen._figures import models, move_legend, new_figure

_MARKERS = ("circle", "square", "diamond", "inverted_triangle", "triangle")


def draw_unit_counts(table: Any) -> Any:
    """Draw the number of single units of each session over days, a line a criterion.

    Parameters
    ----------
    table : pandas.DataFrame
        With ``session_datetime``, ``unit_criteria_id`` and ``sua``.

    Returns
    -------
    bokeh.plotting.figure
    """
    plot = new_figure("Session", "Single units", x_axis_type="datetime")
    several = table["unit_criteria_id"].nunique() > 1
    for k, (criterion, mine) in enumerate(table.groupby("unit_criteria_id")):
        total = mine.groupby("session_datetime")["sua"].sum().sort_index()
        color, marker = CATEGORIES[k % len(CATEGORIES)], _MARKERS[k % len(_MARKERS)]
        named = {"legend_label": str(criterion)} if several else {}
        data = {"x": np.asarray(total.index), "y": total.to_numpy()}
        line = plot.line("x", "y", source=data, color=color, line_width=1.5, **named)
        dots = plot.scatter(
            "x", "y", source=line.data_source, color=color, marker=marker, size=7, **named
        )
        said = [("session", "@x{%F %H:%M}"), ("single units", "@y")]
        dates = {"@x": "datetime"}
        plot.add_tools(models().HoverTool(renderers=[dots], tooltips=said, formatters=dates))
        if len(mine) > len(total):
            plot.scatter(
                mine["session_datetime"].to_numpy(), mine["sua"].to_numpy(),
                color=color, marker=marker, size=5, alpha=0.5, **named,
            )  # fmt: skip
    if several:
        move_legend(plot, "criterion")
    if table["session_datetime"].nunique() == 1:
        plot.x_range.start, plot.x_range.end = around_day(table)
    plot.y_range.start = 0
    return plot
