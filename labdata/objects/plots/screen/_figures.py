"""What all Bokeh plots share: figures, the line at the event, pictures, the note on the clock."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labdata.objects.plots._style import AMBER, QUIET, clock_note


def models() -> Any:
    """Return Bokeh's models, which have no types."""
    return importlib.import_module("bokeh.models")


def new_figure(
    x_label: str,
    y_label: str,
    *,
    attrs: Mapping[str, Any] | None = None,
    tooltips: Sequence[tuple[str, str]] | None = None,
    **options: Any,
) -> Any:
    """Return an empty figure of the usual size, without what frames nothing.

    Parameters
    ----------
    x_label, y_label : str
        Of the axes, with their units.
    attrs : mapping, optional
        Attributes of the object that is drawn: its clock is named above the figure.
    tooltips : sequence of (str, str), optional
        What is said of a mark that is pointed at.
    **options
        Of ``bokeh.plotting.figure``.

    Returns
    -------
    bokeh.plotting.figure
    """
    figure = importlib.import_module("bokeh.plotting").figure
    usual: dict[str, Any] = {
        "width": 520,
        "height": 320,
        "tools": "pan,wheel_zoom,box_zoom,reset,save",
    }
    if tooltips:
        usual["tooltips"] = list(tooltips)
    plot = figure(x_axis_label=x_label, y_axis_label=y_label, **usual | options)
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    plot.outline_line_color = None
    plot.grid.visible = False
    plot.axis.axis_label_text_font_style = "normal"
    if attrs is not None:
        unsynced = attrs.get("synced") == 0
        note = models().Title(text=clock_note(attrs), align="right", text_font_size="11px")
        note.text_color = AMBER if unsynced else QUIET
        note.text_font_style = "bold" if unsynced else "normal"
        plot.add_layout(note, "above")
    return plot


def mark_event(plot: Any, *, on_picture: bool = False) -> None:
    """Draw a thin line at time zero, where the event is.

    Parameters
    ----------
    plot : bokeh.plotting.figure
    on_picture : bool
        White and above what is drawn, else grey and below it.
    """
    color, level = ("white", "overlay") if on_picture else (QUIET, "underlay")
    plot.add_layout(
        models().Span(
            location=0.0, dimension="height", line_color=color, line_width=1, level=level
        )
    )


def add_picture(
    plot: Any, values: Any, extent: tuple[float, float, float, float], *, palette: str | list[str],
    most: float, label: str,
) -> None:  # fmt: skip
    """Draw numbers as colours, with their bar.

    Parameters
    ----------
    plot : bokeh.plotting.figure
    values : ndarray, shape (n_rows, n_columns)
        Rows from below to above.
    extent : tuple of float
        Left, right, bottom and top of the picture.
    palette : str or list of str
        Bokeh's name of it, or its colours, from low to high.
    most : float
        Number that has the last colour; what is above has it too.
    label : str
        Of the bar.
    """
    left, right, bottom, top = extent
    mapper = models().LinearColorMapper(palette=palette, low=0.0, high=most, nan_color="#DDDDDD")
    image = [np.ascontiguousarray(values, dtype=np.float32)]
    plot.image(image, left, bottom, right - left, top - bottom, color_mapper=mapper)
    plot.x_range.range_padding = plot.y_range.range_padding = 0
    style = {"title_text_font_style": "normal", "width": 10, "bar_line_color": None}
    plot.add_layout(models().ColorBar(color_mapper=mapper, title=label, **style), "right")


def dark_greys() -> list[str]:
    """Return greys from white to black: many is dark on white."""
    return list(reversed(importlib.import_module("bokeh.palettes").Greys256))


def say_nothing(plot: Any, text: str, x_span: tuple[float, float] = (0.0, 1.0)) -> None:
    """Say in a figure why nothing is drawn in it; Bokeh shows no axes where nothing spans them.

    Parameters
    ----------
    plot : bokeh.plotting.figure
    text : str
        What there is none of.
    x_span : tuple of float, optional
        Of the axis.
    """
    (plot.x_range.start, plot.x_range.end), middle = x_span, sum(x_span) / 2
    plot.y_range.start, plot.y_range.end = 0, 1
    plot.yaxis.ticker = []
    style = {"text_align": "center", "text_color": QUIET, "text_font_size": "12px"}
    plot.add_layout(models().Label(x=middle, y=0.5, text=text, **style))


def say_below(plot: Any, text: str) -> None:
    """Write a small note below a figure.

    Parameters
    ----------
    plot : bokeh.plotting.figure
    text : str
    """
    style = {"text_font_size": "10px", "text_font_style": "normal", "text_color": QUIET}
    note = models().Title(text=text, align="right", **style)
    plot.add_layout(note, "below")


def move_legend(plot: Any, title: str) -> None:
    """Put the legend beside the figure, where it hides nothing; a click on a name hides a line.

    Parameters
    ----------
    plot : bokeh.plotting.figure
    title : str
        Of the legend.
    """
    (legend,) = plot.legend
    legend.title, legend.title_text_font_style = title, "normal"
    legend.label_text_font_size = legend.title_text_font_size = "10px"
    legend.click_policy, legend.border_line_color = "hide", None
    plot.add_layout(legend, "right")
