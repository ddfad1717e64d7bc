"""Spike trains from stored rows to seconds on a clock, with no copy of them in between.

A sorting is tens of millions of spikes. Rows come undecoded, 1.7 bytes a spike, and a few at a
time; each train is then decoded and put on its clock while it is in the processor's cache, on all
cores, straight into the array that is returned. What is held at once is that array and few rows.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..database.codecs import HEAD_BYTES, count_values, decode_array
from ..database.datajoint_compat import fetch_rows
from ..errors import FormatError, QueryError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..clocks import SampleMap

#: Threads at most: more gain nothing, as Python itself runs in one at a time.
_MOST_THREADS = 8
#: Trains that wait for a thread, a thread.
_AHEAD = 8
#: Stored trains that are fetched at once, bytes.
_PIECE_BYTES = 8 << 20


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


@dataclass(frozen=True, eq=False)
class TrainHeads:
    """What is known of the trains of a sorting before they are read.

    Attributes
    ----------
    unit_ids : ndarray of int32, shape (n_units,)
        Ascending.
    n_spikes, n_bytes : ndarray of int64, shape (n_units,)
        Spikes of each, and the bytes that are stored of it.
    """

    unit_ids: NDArray[np.int32]
    n_spikes: NDArray[np.int64]
    n_bytes: NDArray[np.int64]

    def take(self, chosen: NDArray[np.int64]) -> TrainHeads:
        """Return those of some units.

        Parameters
        ----------
        chosen : ndarray of int64
            Their positions, ascending.
        """
        return TrainHeads(self.unit_ids[chosen], self.n_spikes[chosen], self.n_bytes[chosen])


def read_heads(units: Any) -> TrainHeads:
    """Return how long the trains of units of one sorting are, without reading them.

    Parameters
    ----------
    units : SpikeSorting.Unit
        Units of one sorting.
    """
    start = f"LEFT(spike_times, {HEAD_BYTES})"
    rows = fetch_rows(units.proj(start=start, n_bytes="LENGTH(spike_times)"))
    return TrainHeads(
        np.array([row["unit_id"] for row in rows], dtype="int32"),
        np.array([count_values(row["start"]) for row in rows], dtype="int64"),
        np.array([row["n_bytes"] for row in rows], dtype="int64"),
    )


def read_trains(units: Any, heads: TrainHeads) -> Iterator[bytes]:
    """Yield the stored trains of units of one sorting, fetched a few megabytes at a time.

    Parameters
    ----------
    units : SpikeSorting.Unit
        Units of one sorting, among them these.
    heads : TrainHeads
        Of the units that are wanted.

    Raises
    ------
    QueryError
        If the units are others by now.
    """
    for wanted in cut_pieces(heads.unit_ids, heads.n_bytes):
        chosen = units & [{"unit_id": int(unit)} for unit in wanted]
        rows = fetch_rows(chosen, ["unit_id", "spike_times"], undecoded=["spike_times"])
        check_same([row["unit_id"] for row in rows], wanted.tolist())
        yield from (row.pop("spike_times") for row in rows)


def cut_pieces(items: Any, n_bytes: NDArray[np.int64]) -> list[Any]:
    """Return items that are fetched one after the other in pieces of a few megabytes.

    Parameters
    ----------
    items : ndarray or range, of length n
        What is fetched.
    n_bytes : ndarray of int64, shape (n,)
        Of each.
    """
    piece = np.cumsum(n_bytes) // _PIECE_BYTES
    ends = [*(np.flatnonzero(np.diff(piece)) + 1).tolist(), len(items)]
    return [items[a:b] for a, b in zip([0, *ends], ends, strict=False) if a < b]


def check_same(found: list[Any], wanted: list[Any]) -> None:
    """Raise if rows that come in pieces are not those that were there at first.

    Parameters
    ----------
    found, wanted : list
        Their keys.

    Raises
    ------
    QueryError
        If they differ.
    """
    if found != wanted:
        raise QueryError(
            f"The units changed while they were read: of {len(wanted)} that were there, "
            f"{sum(one in wanted for one in found)} are left.",
            hint="Is it being sorted anew? Ask again when that has ended.",
        )


def place_trains(
    trains: Iterable[bytes | NDArray[np.int64]],
    maps: Iterable[SampleMap],
    *,
    out: Iterable[NDArray[np.float64] | None] | None = None,
    window_s: tuple[float, float] | None = None,
) -> PlacedTrains:
    """Decode trains and put each on its clock; the next are fetched meanwhile.

    Parameters
    ----------
    trains : iterable of bytes or ndarray of int64
        Of the column ``spike_times``, undecoded; or samples.
    maps : iterable of SampleMap
        One a train.
    out : iterable of ndarray of float64, optional
        One a train, of its length, which is filled; by default new arrays. Not with a window.
    window_s : (float, float), optional
        Keep what happened in ``[start, stop)`` on the clock.

    Returns
    -------
    PlacedTrains

    Raises
    ------
    FormatError
        If a train is damaged, or not of the length of its array.
    """

    def place(
        train: bytes | NDArray[np.int64],
        sample_map: SampleMap,
        filled: NDArray[np.float64] | None,
    ) -> tuple[NDArray[np.float64], int, int, int]:
        samples = decode_array(train) if isinstance(train, bytes) else train
        counts = len(samples), sample_map.count_extrapolated(samples)
        if window_s is not None:
            return *_within(samples, sample_map, window_s), *counts
        if filled is not None and len(filled) != len(samples):
            raise FormatError(
                f"A train has {len(samples)} spikes where it had {len(filled)} a moment ago.",
                hint="Is it being sorted anew? Ask again when that has ended.",
            )
        return sample_map.apply(samples, out=filled), 0, *counts

    threads = min(count_cores(), _MOST_THREADS)
    filled = itertools.repeat(None) if out is None else out
    waiting: deque[Any] = deque()
    placed = []
    with ThreadPoolExecutor(threads) as pool:
        for train, sample_map, target in zip(trains, maps, filled, strict=False):
            waiting.append(pool.submit(place, train, sample_map, target))
            if len(waiting) > _AHEAD * threads:
                placed.append(waiting.popleft().result())
        placed += [one.result() for one in waiting]
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
