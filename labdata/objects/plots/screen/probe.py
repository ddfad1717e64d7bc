"""Units, channels and waveforms on a probe, for a screen."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from labdata.objects._attrs import require_kind
from labdata.objects.plots._style import CATEGORIES, MOST_HZ, QUIET
from labdata.objects.plots.prepared_probe import UnitDots, WaveformTraces
from labdata.objects.plots.screen._figures import models, move_legend, new_figure, say_below

_X, _DEPTH = "Distance from first shank edge (µm)", "Distance from tip of shank (µm)"


def draw_probe(dots: UnitDots, channels: xr.Dataset | None) -> Any:
    """Draw the units of a probe where they are, and its channels below them.

    Parameters
    ----------
    dots : UnitDots
        The units.
    channels : xarray.Dataset or None
        Kind ``recording`` or ``waveforms``.

    Returns
    -------
    bokeh.plotting.figure
    """
    plot = new_figure(_X, _DEPTH, width=420, height=560)
    if channels is not None:
        require_kind(channels, "recording", "waveforms")
        _draw_channels(channels, plot)
    data: dict[str, Any] = {"x": dots.x_um, "depth": dots.depth_um, "unit": dots.unit}
    said = [("unit", "@unit"), ("depth", "@depth{0} µm")]
    data["size"] = np.full(len(dots.unit), 6.0)
    if dots.amplitude_uv is not None:
        data |= {"amplitude": dots.amplitude_uv, "size": np.sqrt(dots.amplitude_uv / 2) + 2}
        said.append(("amplitude", "@amplitude{0} µV"))
    color: Any = CATEGORIES[0]
    if dots.rate_hz is not None:
        data["rate"] = dots.rate_hz
        said.append(("rate", "@rate{0.0} Hz"))
        color = _color_by_rate(plot)
    style = {"size": "size", "fill_color": color, "fill_alpha": 0.8, "line_color": "white"}
    drawn = plot.scatter("x", "depth", source=data, line_width=0.5, **style)
    plot.add_tools(models().HoverTool(renderers=[drawn], tooltips=said))
    if dots.said:
        say_below(plot, dots.said.replace("\n", " · "))
    return plot


def _color_by_rate(plot: Any) -> Any:
    """Add the bar of firing rates; return the colour of a dot."""
    mapper = models().LinearColorMapper(palette="Viridis256", low=0.0, high=MOST_HZ)
    style = {"title_text_font_style": "normal", "width": 10, "bar_line_color": None}
    bar = models().ColorBar(color_mapper=mapper, title="Firing rate (Hz)", **style)
    plot.add_layout(bar, "right")
    return {"field": "rate", "transform": mapper}


def _draw_channels(channels: xr.Dataset, plot: Any) -> None:
    shank = channels["shank"].values
    shanks = np.unique(shank)
    for k, one in enumerate(shanks):
        mine = shank == one
        plot.scatter(
            channels["x"].values[mine],
            channels["depth"].values[mine],
            marker="square",
            size=4,
            color=CATEGORIES[k % len(CATEGORIES)],
            alpha=0.35,
            line_color=None,
            **({"legend_label": f"shank {one}"} if len(shanks) > 1 else {}),
        )
    if len(shanks) > 1:
        move_legend(plot, "")


def draw_waveform(traces: WaveformTraces, unit: int) -> Any:
    """Draw a unit's waveform on the channels around its peak, each where the channel is.

    Parameters
    ----------
    traces : WaveformTraces
        The waveform.
    unit : int
        Its label.

    Returns
    -------
    bokeh.plotting.figure
    """
    plot = new_figure(_X, _DEPTH, title=f"Unit {unit}", width=380, height=460)
    data = {
        "x": traces.x_um,
        "y": traces.y_um,
        "channel": traces.channels,
        "color": [CATEGORIES[0] if peak else QUIET for peak in traces.is_peak],
        "width": [2.0 if peak else 1.2 for peak in traces.is_peak],
    }
    drawn = plot.multi_line("x", "y", source=data, color="color", line_width="width")
    plot.add_tools(models().HoverTool(renderers=[drawn], tooltips=[("channel", "@channel")]))
    left, low, right, top = traces.bar_um
    plot.multi_line(
        [[left, left], [left, right]], [[low, top], [low, low]], color="black", line_width=2
    )
    text = models().Label(x=left, y=low, x_offset=6, y_offset=3, text=traces.bar_text)
    text.text_font_size = "10px"
    plot.add_layout(text)
    return plot
