"""A raster, the plot that everyone needs first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labdata.errors import ObjectError
from labdata.objects.plots._style import (
    MOST_MARKS,
    NO_SPIKES,
    QUIET,
    axes_or_current,
    mark_event,
    say_nothing,
    tidy_axes,
    wants_screen,
)
from labdata.objects.plots.prepared import count_raster


def plot_raster(
    trials: Sequence[ArrayLike],
    *,
    markersize: float = 5,
    ax: Any = None,
    color: str = "black",
    backend: str = "matplotlib",
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
    backend : {"matplotlib", "bokeh"}
        For paper, or for a screen.

    Returns
    -------
    matplotlib.axes.Axes or bokeh.plotting.figure

    Raises
    ------
    ObjectError
        If there is no such backend, or these are no times of trials.
    MissingPackageError
        If it is not installed.

    Examples
    --------
    >>> aligned = labdata.align_spikes(spikes, stimuli)
    >>> from labdata.objects import aligned_lists
    >>> labdata.plot_raster(aligned_lists(aligned, 3))  # doctest: +SKIP
    """
    times = _times_of_trials(trials)
    x = np.concatenate(times) if times else np.empty(0)
    y = np.repeat(np.arange(len(times)), [len(t) for t in times])
    if wants_screen(backend, ax):
        from labdata.objects.plots.screen import draw_raster

        return draw_raster(x, y, len(times), size=markersize, color=color)
    ax = axes_or_current(ax)
    if len(x) > MOST_MARKS:
        _draw_counts(ax, x, y, len(times))
    else:
        ax.plot(x, y, "|", color=color, markersize=markersize)
    if not len(x):
        ax.set_xlim(-1, 1)  # of no spike no window is known
        ax.set_xticks([0])
        say_nothing(ax, NO_SPIKES)
    mark_event(ax)
    tidy_axes(ax)
    ax.set_ylim(-0.5, max(len(times), 1) - 0.5)
    ax.set_xlabel("Time from event (s)")
    ax.set_ylabel("Trial")
    return ax


def _times_of_trials(trials: Any) -> list[NDArray[np.float64]]:
    found = []
    for number, times in enumerate(trials):
        try:
            found.append(np.asarray(times, dtype=np.float64).reshape(-1))
        except (TypeError, ValueError):
            kind = (
                trials.attrs.get("labdata_kind", "a dataset")
                if hasattr(trials, "attrs")
                else repr(times)[:60]
            )
            raise ObjectError(
                f"A raster takes the spike times of each trial; trial {number} of what was given "
                f"({kind}) is no list of seconds.",
                hint="aligned_lists(align_spikes(spikes, events), unit) has those of a unit.",
            ) from None
    return found


def _draw_counts(ax: Any, x: Any, y: Any, n_trials: int) -> None:
    """Draw how many spikes there are in each of many bins of each trial."""
    counts, extent, note = count_raster(x, y, n_trials)
    ax.imshow(counts, extent=extent, origin="lower", aspect="auto", cmap="Greys")
    ax.set_title(note, loc="left", fontsize=7, color=QUIET)
