"""How the rate of a unit depends on a feature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from labdata.errors import ObjectError
from labdata.objects._attrs import require_kind
from labdata.objects.plots._style import (
    CATEGORIES,
    axes_or_current,
    name_lines,
    note_clock,
    say_nothing,
    tidy_axes,
    wants_screen,
)
from labdata.objects.plots.prepared import missing_response


def plot_tuning_curve(
    curve: xr.Dataset, units: int | Sequence[int], *, ax: Any = None, backend: str = "matplotlib"
) -> Any:
    """Draw the rate of units against a feature, with its standard error where there is one.

    Parameters
    ----------
    curve : xarray.Dataset
        Kind ``tuning_curve`` (:func:`labdata.tuning_curve`).
    units : int or sequence of int
        Labels, seven at most; a line a unit.
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
        If a unit is not there, there are more units than colours, or there is no such backend.
    MissingPackageError
        If it is not installed.

    Examples
    --------
    >>> curve = labdata.tuning_curve(spikes, [-1, 1, -1, 1], stimuli, window_s=(0.0, 0.5))
    >>> labdata.plot_tuning_curve(curve, 3)  # doctest: +SKIP
    """
    require_kind(curve, "tuning_curve")
    labels = [int(unit) for unit in np.atleast_1d(np.asarray(units))]
    _check(curve, labels)
    if wants_screen(backend, ax):
        from labdata.objects.plots.screen import draw_tuning_curve

        return draw_tuning_curve(curve, labels)
    ax = axes_or_current(ax)
    feature = curve["feature"].values
    for color, unit in zip(CATEGORIES, labels, strict=False):
        one = curve.sel(unit=unit)
        style = {"color": color, "marker": "o", "markersize": 4, "label": f"unit {unit}"}
        error = one["sem"].values if "sem" in one else None
        ax.errorbar(feature, one["rate"].values, error, linewidth=1.2, capsize=2, **style)
    if nothing := missing_response(curve.sel(unit=labels)):
        ax.set_xticks([])
        say_nothing(ax, nothing)
    elif len(labels) > 1:
        name_lines(ax)
    ax.set_ylim(bottom=0)
    ax.set_xlabel(feature_label(curve))
    ax.set_ylabel(rate_label(labels))
    note_clock(ax, curve.attrs)
    tidy_axes(ax)
    return ax


def feature_label(curve: xr.Dataset) -> str:
    """Return the label of the axis of a feature, with its unit.

    Parameters
    ----------
    curve : xarray.Dataset
        Kind ``tuning_curve``.
    """
    notes = curve["feature"].attrs
    name = str(notes.get("long_name", "feature"))
    unit = notes.get("units")
    return f"{name} ({unit})" if unit and unit != "1" else name


def rate_label(labels: list[int]) -> str:
    """Return the label of the axis of rates.

    Parameters
    ----------
    labels : list of int
        Units that are drawn.
    """
    return f"Rate of unit {labels[0]} (Hz)" if len(labels) == 1 else "Rate (Hz)"


def _check(curve: xr.Dataset, labels: list[int]) -> None:
    missing = np.setdiff1d(labels, curve["unit"].values)
    if len(missing):
        raise ObjectError(
            f"Unit {missing[0]} is not among the {curve.sizes['unit']} units of this dataset.",
            hint="curve.unit lists them; they are labels, not positions.",
        )
    if not 0 < len(labels) <= len(CATEGORIES):
        raise ObjectError(
            f"{len(labels)} units cannot be told apart by {len(CATEGORIES)} colours.",
            hint="Choose one to seven: plot_tuning_curve(curve, [3, 8]).",
        )
