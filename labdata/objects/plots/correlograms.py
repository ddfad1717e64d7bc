"""Correlograms of a few units, a square of small bar plots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from labdata.errors import MissingPackageError, ObjectError
from labdata.objects._attrs import require_kind
from labdata.objects.plots._style import CATEGORIES, QUIET, tidy_axes, wants_screen
from labdata.objects.plots.prepared import span_of_lags

#: Units a side; more are too small to read.
_MOST_UNITS = 10


def plot_correlograms(
    found: xr.Dataset,
    units: Sequence[int] | None = None,
    *,
    figure: Any = None,
    backend: str = "matplotlib",
) -> Any:
    """Draw the autocorrelograms of units on the diagonal and those of pairs above it.

    Parameters
    ----------
    found : xarray.Dataset
        Kind ``correlogram`` (:func:`labdata.correlogram`).
    units : sequence of int, optional
        Labels, ten at most; default all that the dataset has.
    figure : matplotlib.figure.Figure, optional
        Where to draw; default a new one.
    backend : {"matplotlib", "bokeh"}
        For paper, or for a screen.

    Returns
    -------
    matplotlib.figure.Figure or bokeh.layouts.GridPlot

    Raises
    ------
    ObjectError
        If there are more than ten units, or none, one is not there, or there is no such backend.
    MissingPackageError
        If it is not installed.

    Examples
    --------
    >>> found = labdata.correlogram(spikes, bin_s=0.5, window_s=1.0)
    >>> figure = labdata.plot_correlograms(found, [3, 8])  # doctest: +SKIP
    """
    require_kind(found, "correlogram")
    labels = [int(u) for u in (found["unit"].values if units is None else units)]
    _check(found, labels)
    if wants_screen(backend, figure):
        from labdata.objects.plots.screen import draw_correlograms

        return draw_correlograms(found, labels)
    n = len(labels)
    figure = figure or _new_figure(n)
    axes = figure.subplots(n, n, sharex=True, squeeze=False)
    name = "rate" if "rate" in found else "count"
    lag_ms = found["lag"].values * 1e3
    width_ms = float(found.attrs["bin_s"]) * 1e3
    for i, unit in enumerate(labels):
        for j, other in enumerate(labels):
            ax = axes[i, j]
            if j < i:
                ax.set_visible(False)
                continue
            height = found[name].sel(unit=unit, other_unit=other).values
            color = CATEGORIES[0] if i == j else QUIET
            ax.bar(lag_ms, height, width_ms, color=color)
            ax.axvline(0.0, color="black", linewidth=0.5)
            ax.set_xlim(*span_of_lags(found))
            ax.set_ylim(0, None if np.nan_to_num(height).any() else 1)
            ax.set_title(f"{unit}" if i == j else f"{unit} → {other}", fontsize=7)
            ax.tick_params(labelsize=6, labelbottom=i == j)
            tidy_axes(ax)
        axes[i, i].set_xlabel("Lag (ms)", fontsize=7)
        label = "Rate (Hz)" if name == "rate" else "Pairs of spikes"
        axes[i, i].set_ylabel(label, fontsize=7)
    return figure


def _check(found: xr.Dataset, labels: list[int]) -> None:
    if not 0 < len(labels) <= _MOST_UNITS:
        raise ObjectError(
            f"{len(labels)} units make {len(labels) ** 2} plots; up to {_MOST_UNITS} can be read.",
            hint="Choose some: plot_correlograms(found, [3, 8]).",
        )
    for dim in ("unit", "other_unit"):
        missing = np.setdiff1d(labels, found[dim].values)
        if len(missing):
            raise ObjectError(
                f"Unit {missing[0]} is not among the {dim}s of these correlograms.",
                hint="Count them for it: labdata.correlogram(spikes, units).",
            )


def _new_figure(n: int) -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as missing:
        raise MissingPackageError("matplotlib", "notebook") from missing
    side = 1.2 + 1.3 * n
    return plt.figure(figsize=(side, side), layout="constrained")
