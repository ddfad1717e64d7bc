"""Images of counts, which take the place of points where there are too many to draw.

Colours run away from that of the page: a cell with one spike is quiet, a full one is not.
"""

from __future__ import annotations

from typing import Any

from bokeh.models import ColumnDataSource, LinearColorMapper
from bokeh.palettes import Cividis256

from labdata_widgets.explorer.marks import count_cells

#: Palette of each theme, from few spikes to many.
COUNTS = {"light": tuple(reversed(Cividis256)), "dark": tuple(Cividis256)}


def add_image(fig: Any) -> ColumnDataSource:
    """Add an empty image of counts to a figure, and return its source.

    Parameters
    ----------
    fig : bokeh.plotting.figure

    Returns
    -------
    bokeh.models.ColumnDataSource
        Its source.
    """
    source = ColumnDataSource(no_image())
    mapper = LinearColorMapper(palette=COUNTS["light"], nan_color="rgba(0, 0, 0, 0)", low=0)
    fig.image("image", "x", "y", "dw", "dh", source=source, color_mapper=mapper)
    return source


def no_image() -> dict[str, list[Any]]:
    """Return the data of an image that shows nothing."""
    return {n: [] for n in ("image", "x", "y", "dw", "dh")}


def counted(
    x: Any,
    y: Any,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    shape: tuple[int, int],
) -> dict[str, list[Any]]:
    """Return the data of an image of counts.

    Parameters
    ----------
    x, y : array_like, shape (n,)
        Points.
    x_range, y_range : tuple of float
        Extent of the image, in the units of `x` and `y`.
    shape : tuple of int
        Rows and columns of cells.
    """
    counts = count_cells(x, y, x_range=x_range, y_range=y_range, shape=shape)
    return {
        "image": [counts],
        "x": [x_range[0]],
        "y": [y_range[0]],
        "dw": [x_range[1] - x_range[0]],
        "dh": [y_range[1] - y_range[0]],
    }


def told(what: str, n: int, shape: tuple[int, int]) -> str:
    """Return what was aggregated, in words.

    Parameters
    ----------
    what : str
        Which plot.
    n : int
        Spikes in it.
    shape : tuple of int
        Rows and columns of cells.
    """
    return f"{n:,} spikes in the {what} plot are shown as counts, {shape[1]} × {shape[0]} cells."
