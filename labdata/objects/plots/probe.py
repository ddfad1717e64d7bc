"""What was recorded where: channels and units of a probe, and one unit's waveform on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from labdata.errors import ObjectError
from labdata.objects._attrs import require_kind
from labdata.objects.plots._style import CATEGORIES, QUIET, axes_or_current, tidy_axes

#: Largest rate that has a colour of its own, Hz.
_MOST_HZ = 30.0


def plot_probe(units: xr.Dataset, channels: xr.Dataset | None = None, *, ax: Any = None) -> Any:
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

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ObjectError
        If the units have no positions.
    MissingPackageError
        If matplotlib is not installed.

    Examples
    --------
    >>> labdata.plot_probe(spikes)  # doctest: +SKIP
    """
    require_kind(units, "spikes")
    missing = [name for name in ("x", "depth") if name not in units.coords]
    if missing:
        raise ObjectError(
            f"The units have no {' and no '.join(missing)}.",
            hint="UnitMetrics.populate(key) computes positions; call labdata.spikes again then.",
        )
    ax = axes_or_current(ax)
    if channels is not None:
        require_kind(channels, "recording", "waveforms")
        _draw_channels(channels, ax)
    x, depth = units["x"].values, units["depth"].values
    drawn = np.isfinite(x) & np.isfinite(depth)
    size = np.full(len(x), 40.0)
    if "amplitude" in units.coords:
        size = np.nan_to_num(units["amplitude"].values, nan=0.0)
    # small ones last, so that no unit hides another
    order = np.flatnonzero(drawn)[np.argsort(-size[drawn], kind="stable")]
    style: dict[str, Any] = {"color": CATEGORIES[0]}
    if "firing_rate" in units.coords:
        rate = units["firing_rate"].values[order]
        style = {"c": rate, "cmap": "viridis", "vmin": 0.0, "vmax": _MOST_HZ}
    dots = ax.scatter(
        x[order], depth[order], size[order] / 2, alpha=0.8, edgecolor="white", lw=0.4, **style
    )
    if "firing_rate" in units.coords:
        ax.figure.colorbar(dots, ax=ax, label="Firing rate (Hz)", extend="max", shrink=0.6)
    _say(units, int((~drawn).sum()), ax)
    ax.set_xlabel("Distance from first shank edge (µm)")
    ax.set_ylabel("Distance from tip of shank (µm)")
    tidy_axes(ax)
    return ax


def plot_waveform(
    waveforms: xr.Dataset, unit: int, *, n_channels: int = 12, ax: Any = None
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

    Returns
    -------
    matplotlib.axes.Axes
        In um; a bar tells the height and the length of the traces.

    Raises
    ------
    ObjectError
        If the unit is not there.
    MissingPackageError
        If matplotlib is not installed.

    Examples
    --------
    >>> labdata.plot_waveform(labdata.waveforms(key), 3)  # doctest: +SKIP
    """
    require_kind(waveforms, "waveforms")
    if unit not in waveforms["unit"].values:
        raise ObjectError(
            f"Unit {unit} is not among the {waveforms.sizes['unit']} units with a waveform.",
            hint="waveforms.unit lists them; they are labels, not positions.",
        )
    ax = axes_or_current(ax)
    near = _around_peak(waveforms.sel(unit=unit), n_channels)
    x, depth = near["x"].values, near["depth"].values
    width, height = _spacing(x), _spacing(depth)
    traces, time_ms = near["waveform"].values, near["time_ms"].values
    tallest = float(np.nanmax(np.abs(traces))) or 1.0
    span_ms = float(np.ptp(time_ms)) or 1.0
    shift = (time_ms - time_ms.mean()) / span_ms * 0.85 * width
    for k in range(near.sizes["channel"]):
        peak = near["channel"].values[k] == near["peak_channel"].item()
        color = CATEGORIES[0] if peak else QUIET
        y = depth[k] + traces[:, k] / tallest * height
        ax.plot(x[k] + shift, y, color=color, linewidth=1.4 if peak else 0.9)
    bar_uv = _round_down(tallest / 2)
    left, low = x.min() - 0.5 * width, depth.min() - 1.4 * height
    ax.plot([left, left], [low, low + bar_uv / tallest * height], color="black", linewidth=1.5)
    ax.plot([left, left + 0.85 * width / span_ms], [low, low], color="black", linewidth=1.5)
    text = f" {bar_uv:g} µV, 1 ms"
    ax.annotate(text, (left, low), (3, 4), textcoords="offset points", fontsize=7)
    ax.set_title(f"Unit {unit}", loc="left", fontsize=9)
    ax.set_xlabel("Distance from first shank edge (µm)")
    ax.set_ylabel("Distance from tip of shank (µm)")
    tidy_axes(ax)
    return ax


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


def _say(units: xr.Dataset, n_without: int, ax: Any) -> None:
    """Write what the sizes mean, and what is not drawn."""
    said = ["size: amplitude"] if "amplitude" in units.coords else []
    said += [f"without a position, not drawn: {n_without}"] if n_without else []
    if said:
        ax.annotate(
            "\n".join(said),
            (1.0, 0.0),
            (0, 2),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=7,
            color=QUIET,
        )


def _around_peak(one: xr.Dataset, n_channels: int) -> xr.Dataset:
    """Return the channels of a unit that are nearest to its peak and on its shank."""
    peak = one.sel(channel=one["peak_channel"].item())
    known = np.isfinite(one["waveform"].values).any(axis=0)
    mine = np.flatnonzero(known & (one["shank"].values == peak["shank"].item()))
    far = np.hypot(one["x"].values - peak["x"].item(), one["depth"].values - peak["depth"].item())
    return one.isel(channel=mine[np.argsort(far[mine], kind="stable")[:n_channels]])


def _spacing(places: Any) -> float:
    """Return the smallest distance between two places; 30 um where there is one only."""
    steps = np.diff(np.unique(places))
    return float(steps.min()) if len(steps) else 30.0


def _round_down(value: float) -> float:
    """Return the largest of 1, 2 and 5 times a power of ten that is not above."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(max(m * power for m in (1, 2, 5) if m * power <= value))
