"""Spike trains from stored rows to seconds on a clock, with no copy of them in between.

A sorting is tens of millions of spikes. Rows come undecoded, 1.7 bytes a spike; each train is then
decoded and put on its clock while it is in the processor's cache, on all cores, straight into the
array that is returned. What is held at once is that array and the rows.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..database.codecs import decode_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..clocks import SampleMap

#: Threads at most: more gain nothing, as Python itself runs in one at a time.
_MOST_THREADS = 8


@dataclass(frozen=True, eq=False)
class PlacedTrains:
    """Trains on their clocks.

    Attributes
    ----------
    seconds : list of ndarray of float64, shape (n_spikes,)
        One a train, ascending.
    first : ndarray of int64, shape (n_trains,)
        Which spike of its train is the first that is here; 0 without a window.
    n_stored, n_extrapolated : ndarray of int64, shape (n_trains,)
        Spikes of the whole train, and those of them outside the pulses of the map.
    """

    seconds: list[NDArray[np.float64]]
    first: NDArray[np.int64]
    n_stored: NDArray[np.int64]
    n_extrapolated: NDArray[np.int64]


def place_trains(
    trains: Sequence[bytes],
    maps: Sequence[SampleMap],
    *,
    out: Sequence[NDArray[np.float64]] | None = None,
    window_s: tuple[float, float] | None = None,
) -> PlacedTrains:
    """Decode trains and put each on its clock.

    Parameters
    ----------
    trains : sequence of bytes
        Of the column ``spike_times``, undecoded.
    maps : sequence of SampleMap
        One a train.
    out : sequence of ndarray of float64, optional
        One a train, of its length, which is filled; by default new arrays. Not with a window.
    window_s : (float, float), optional
        Keep what happened in ``[start, stop)`` on the clock.

    Returns
    -------
    PlacedTrains

    Raises
    ------
    FormatError
        If a train is damaged.
    """

    def place(index: int) -> tuple[NDArray[np.float64], int, int, int]:
        samples, sample_map = decode_array(trains[index]), maps[index]
        counts = len(samples), sample_map.count_extrapolated(samples)
        if window_s is None:
            filled = None if out is None else out[index]
            return sample_map.apply(samples, out=filled), 0, *counts
        return *_within(samples, sample_map, window_s), *counts

    threads = min(count_cores(), _MOST_THREADS)
    with ThreadPoolExecutor(threads) as pool:
        placed = list(pool.map(place, range(len(trains))))
    numbers = np.array([numbers for _, *numbers in placed], dtype="int64").reshape(-1, 3)
    return PlacedTrains([seconds for seconds, *_ in placed], *numbers.T)


def _within(
    samples: NDArray[np.int64], sample_map: SampleMap, window_s: tuple[float, float]
) -> tuple[NDArray[np.float64], int]:
    """Return the times of a train inside a window, and which spike is the first of them."""
    low, high = sample_map.samples_around(window_s)
    begin, end = np.searchsorted(samples, (low, high))
    seconds = sample_map.apply(samples[begin:end])
    start, stop = np.searchsorted(seconds, window_s)  # a time at the start is in, at the stop not
    return seconds[start:stop], int(begin + start)


def count_cores() -> int:
    """Return how many cores this process may use; a job of a scheduler may have few of many."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
