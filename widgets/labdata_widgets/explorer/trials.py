"""One unit around one event: its raster and its mean rate, with what was left out counted.

A trial whose window leaves the recording is drawn in the raster and kept out of the mean: the
missing part would otherwise count as silence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from labdata.objects import align_spikes, count_spikes

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AlignedUnit:
    """Spikes of one unit around one event.

    Attributes
    ----------
    relative_s : ndarray of float64, shape (n,)
        Time from the event, seconds.
    trial : ndarray of int32, shape (n,)
        Trial of each spike, from 1.
    n_trials, n_whole : int
        Trials, and those whose window lies wholly inside the recording.
    edge_s : ndarray of float64, shape (n_bins + 1,)
        Edges of the bins, seconds from the event.
    mean_hz, sem_hz : ndarray of float64, shape (n_bins,)
        Mean rate over the whole trials and its standard error (sample standard deviation divided
        by the root of the number of trials); NaN with no trial, and with one for the error.
    """

    relative_s: FloatArray
    trial: NDArray[np.int32]
    n_trials: int
    n_whole: int
    edge_s: FloatArray
    mean_hz: FloatArray
    sem_hz: FloatArray


def align_unit(
    one: xr.Dataset, onsets: xr.DataArray, *, window_s: tuple[float, float], bin_s: float
) -> AlignedUnit:
    """Return a unit's spikes around events, and their mean rate.

    Parameters
    ----------
    one : xarray.Dataset
        Kind ``spikes`` with a single unit.
    onsets : xarray.DataArray, shape (n_trials,)
        Event times, seconds, with their clock in the attributes.
    window_s : tuple of float
        Start and stop around the event, seconds.
    bin_s : float
        Width of a bin, seconds; a whole number of bins must fill the window.

    Returns
    -------
    AlignedUnit

    Raises
    ------
    ObjectError
        If the clocks differ, or bins do not fill the window.
    """
    aligned = align_spikes(one, onsets, window_s=window_s)
    psth = count_spikes(aligned, bin_s=bin_s)
    whole = psth["window_observed"].values == 1
    count = psth["count"].values[0][whole].astype(np.float64)
    n_bins = psth.sizes["time"]
    empty = np.full(n_bins, np.nan)
    n = len(count)
    return AlignedUnit(
        relative_s=aligned["relative_time"].values,
        trial=aligned["spike_trial"].values,
        n_trials=aligned.sizes["trial"],
        n_whole=n,
        edge_s=np.append(psth["time"].values - bin_s / 2, window_s[1]),
        mean_hz=count.mean(axis=0) / bin_s if n else empty,
        sem_hz=count.std(axis=0, ddof=1) / np.sqrt(n) / bin_s if n > 1 else empty,
    )
