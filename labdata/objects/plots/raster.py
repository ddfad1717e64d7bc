"""A raster, the plot that everyone needs first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from labdata.objects.plots._style import MOST_MARKS, QUIET, axes_or_current, mark_event, tidy_axes

#: Columns of the picture that stands for too many ticks.
_COLUMNS = 500


def plot_raster(
    trials: Sequence[ArrayLike], *, markersize: float = 5, ax: Any = None, color: str = "black"
) -> Any:
    """Draw one row of ticks a trial.

    Above 50,000 spikes they are counted in 500 bins a trial instead, and the plot says so.

    Parameters
    ----------
    trials : sequence of array_like
        Spike times of each trial around its event, seconds
        (:func:`labdata.objects.aligned_lists`).
    markersize : float
        Height of a tick, points.
    ax : matplotlib.axes.Axes, optional
        Where to draw; default the current axes.
    color : str
        Colour of the ticks.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingPackageError
        If matplotlib is not installed.

    Examples
    --------
    >>> aligned = labdata.align_spikes(spikes, stimuli)
    >>> from labdata.objects import aligned_lists
    >>> labdata.plot_raster(aligned_lists(aligned, 3))  # doctest: +SKIP
    """
    ax = axes_or_current(ax)
    times = [np.asarray(t, dtype=np.float64).reshape(-1) for t in trials]
    x = np.concatenate(times) if times else np.empty(0)
    y = np.repeat(np.arange(len(times)), [len(t) for t in times])
    if len(x) > MOST_MARKS:
        _draw_counts(ax, x, y, len(times))
    else:
        ax.plot(x, y, "|", color=color, markersize=markersize)
    mark_event(ax)
    tidy_axes(ax)
    ax.set_ylim(-0.5, max(len(times), 1) - 0.5)
    ax.set_xlabel("Time from event (s)")
    ax.set_ylabel("Trial")
    return ax


def _draw_counts(ax: Any, x: Any, y: Any, n_trials: int) -> None:
    """Draw how many spikes there are in each of many bins of each trial."""
    rows = np.arange(n_trials + 1) - 0.5
    counts, edges, _ = np.histogram2d(x, y, [np.linspace(x.min(), x.max(), _COLUMNS + 1), rows])
    extent = (edges[0], edges[-1], -0.5, n_trials - 0.5)
    ax.imshow(counts.T, extent=extent, origin="lower", aspect="auto", cmap="Greys")
    said = f"{len(x):,} spikes, counted in bins of {(edges[1] - edges[0]) * 1e3:.3g} ms"
    ax.set_title(said, loc="left", fontsize=7, color=QUIET)
