"""A raster, the plot that everyone needs first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from labdata.errors import MissingPackageError


def plot_raster(
    trials: Sequence[ArrayLike], *, markersize: float = 5, ax: Any = None, color: str = "black"
) -> Any:
    """Draw one row of ticks a trial.

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
    if ax is None:
        try:
            import matplotlib.pyplot as plt
        except ImportError as missing:
            raise MissingPackageError("matplotlib", "notebook") from missing
        ax = plt.gca()
    times = [np.asarray(t, dtype=np.float64).reshape(-1) for t in trials]
    x = np.concatenate(times) if times else np.empty(0)
    y = np.repeat(np.arange(len(times)), [len(t) for t in times])
    ax.plot(x, y, "|", color=color, markersize=markersize)
    ax.set_ylim(-0.5, max(len(times), 1) - 0.5)
    ax.set_xlabel("Time from event (s)")
    ax.set_ylabel("Trial")
    return ax
