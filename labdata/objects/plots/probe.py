"""What was recorded where: channels and units of a probe, and one unit's waveform on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from labdata.objects._attrs import require_kind
from labdata.objects.plots._style import (
    CATEGORIES,
    MOST_HZ,
    QUIET,
    axes_or_current,
    tidy_axes,
    wants_screen,
)
from labdata.objects.plots.prepared_probe import place_units, trace_waveform


def plot_probe(
    units: xr.Dataset,
    channels: xr.Dataset | None = None,
    *,
    ax: Any = None,
    backend: str = "matplotlib",
) -> Any:
    """Draw the units of a probe where they are, and its channels below them.

    Parameters
    ----------
    units : xarray.Dataset
        Kind ``spikes`` with the coordinates ``x`` and ``depth`` (um); where it has them,
        ``amplitude`` (uV) is the size of a dot and ``firing_rate`` (Hz) its colour. Units without
        a position are not drawn, and the plot says how many.
    channels : xarray.Dataset, optional
        Kind ``recording`` or ``waveforms``, whose channels are drawn as squares, a colour a shank.
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
        If the units have no positions, or there is no such backend.
    MissingPackageError
        If it is not installed.

    Examples
    --------
    >>> labdata.plot_probe(spikes)  # doctest: +SKIP
    """
    dots = place_units(units)
    if wants_screen(backend, ax):
        from labdata.objects.plots.screen import draw_probe

        return draw_probe(dots, channels)
    ax = axes_or_current(ax)
    if channels is not None:
        require_kind(channels, "recording", "waveforms")
        _draw_channels(channels, ax)
    size = np.full(len(dots.unit), 20.0) if dots.amplitude_uv is None else dots.amplitude_uv / 2
    style: dict[str, Any] = {"color": CATEGORIES[0]}
    if dots.rate_hz is not None:
        style = {"c": dots.rate_hz, "cmap": "viridis", "vmin": 0.0, "vmax": MOST_HZ}
    shape = {"alpha": 0.8, "edgecolor": "white", "lw": 0.4}
    drawn = ax.scatter(dots.x_um, dots.depth_um, size, **shape, **style)
    if dots.rate_hz is not None:
        ax.figure.colorbar(drawn, ax=ax, label="Firing rate (Hz)", extend="max", shrink=0.6)
    if dots.said:
        _say(dots.said, ax)
    _name_axes(ax)
    return ax


def plot_waveform(
    waveforms: xr.Dataset,
    unit: int,
    *,
    n_channels: int = 12,
    ax: Any = None,
    backend: str = "matplotlib",
) -> Any:
    """Draw a unit's waveform on the channels around its peak, each where the channel is.

    Parameters
    ----------
    waveforms : xarray.Dataset
        Kind ``waveforms`` (:func:`labdata.waveforms`).
    unit : int
        Label.
    n_channels : int
        How many channels, those nearest to the peak of the unit's own shank.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default the current axes.
    backend : {"matplotlib", "bokeh"}
        For paper, or for a screen.

    Returns
    -------
    matplotlib.axes.Axes or bokeh.plotting.figure
        In um; a bar tells the height and the length of the traces.

    Raises
    ------
    ObjectError
        If the unit is not there, or there is no such backend.
    MissingPackageError
        If it is not installed.

    Examples
    --------
    >>> labdata.plot_waveform(labdata.waveforms(key), 3)  # doctest: +SKIP
    """
    traces = trace_waveform(waveforms, unit, n_channels)
    if wants_screen(backend, ax):
        from labdata.objects.plots.screen import draw_waveform

        return draw_waveform(traces, unit)
    ax = axes_or_current(ax)
    for x, y, peak in zip(traces.x_um, traces.y_um, traces.is_peak, strict=True):
        color = CATEGORIES[0] if peak else QUIET
        ax.plot(x, y, color=color, linewidth=1.4 if peak else 0.9)
    left, low, right, top = traces.bar_um
    ax.plot([left, left], [low, top], color="black", linewidth=1.5)
    ax.plot([left, right], [low, low], color="black", linewidth=1.5)
    text = f" {traces.bar_text}"
    ax.annotate(text, (left, low), (3, 4), textcoords="offset points", fontsize=7)
    ax.set_title(f"Unit {unit}", loc="left", fontsize=9)
    _name_axes(ax)
    return ax


def _name_axes(ax: Any) -> None:
    ax.set_xlabel("Distance from first shank edge (µm)")
    ax.set_ylabel("Distance from tip of shank (µm)")
    tidy_axes(ax)


def _draw_channels(channels: xr.Dataset, ax: Any) -> None:
    shank = channels["shank"].values
    for k, one in enumerate(np.unique(shank)):
        mine = shank == one
        ax.scatter(
            channels["x"].values[mine],
            channels["depth"].values[mine],
            6,
            color=CATEGORIES[k % len(CATEGORIES)],
            alpha=0.35,
            marker="s",
            linewidths=0,
            label=f"shank {one}",
        )
    if len(np.unique(shank)) > 1:
        ax.legend(
            fontsize=7, frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1.0),
            markerscale=2, handletextpad=0.2, columnspacing=0.8,
        )  # fmt: skip


def _say(said: str, ax: Any) -> None:
    """Write what the sizes mean, and what is not drawn."""
    ax.annotate(
        said,
        (1.0, 1.0),
        (0, 3),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=7,
        color=QUIET,
    )
