"""Spike trains from stored rows to seconds on a clock, with no copy of them in between.

Each train is decoded and put on its clock while it is in the processor's cache, on all cores,
straight into the array or file that is wanted, while the next rows come. What is held at once is
that array and few rows.
"""

from __future__ import annotations

import itertools
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..clocks import sum_bits
from ..cores import count_cores
from ..database.codecs import decode_array, read_steps
from ..errors import FormatError, QueryError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..clocks import SampleMap

#: Threads at most: more gain nothing, as Python itself runs in one at a time.
_MOST_THREADS = 8
#: Batches of trains that wait for a thread, a thread; and bytes of one, stored.
_AHEAD, _BATCH_BYTES = 8, 256 << 10
_NOTHING = np.empty(0)


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
    trains: Iterable[bytes | NDArray[np.int64]],
    maps: Iterable[SampleMap],
    *,
    out: Iterable[NDArray[np.float64] | None] | None = None,
    sink: Callable[[int, list[NDArray[np.float64]], list[int]], None] | None = None,
    crc: Iterable[tuple[int, int]] | None = None,
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
    sink : callable, optional
        Called with the number of a train, the seconds of it and of the next few, and
        :func:`~labdata.clocks.sum_bits` of each, by several threads at once and in any order; they
        are not held then, and none are returned. Not with a window.
    crc : iterable of (int, int), optional
        The unit of each stored train, and what the server said that its CRC-32 is.
    window_s : (float, float), optional
        Keep what happened in ``[start, stop)`` on the clock.

    Returns
    -------
    PlacedTrains

    Raises
    ------
    FormatError
        If a train is damaged, or not of the length of its array.
    QueryError
        If a train is not what the server said.
    """

    def place(
        train: bytes | NDArray[np.int64],
        sample_map: SampleMap,
        filled: NDArray[np.float64] | None,
        wanted_crc: tuple[int, int] | None,
    ) -> _Placed:
        if wanted_crc is not None:
            _check_crc(train, *wanted_crc)
        if window_s is None:
            return _place_whole(train, sample_map, filled)
        samples = decode_array(train) if isinstance(train, bytes) else train
        outside = sample_map.count_extrapolated(samples)
        return _Placed(*_within(samples, sample_map, window_s), len(samples), outside)

    def place_some(number: int, some: list[tuple[Any, ...]]) -> list[_Placed]:
        placed = [place(*given) for given in some]
        if sink is None:
            return placed
        sink(number, [one.seconds for one in placed], [one.bits for one in placed])
        return [one._replace(seconds=_NOTHING) for one in placed]

    forever = itertools.repeat(None)
    placed: list[_Placed] = []
    waiting: deque[Any] = deque()
    threads = min(count_cores(), _MOST_THREADS)
    arrays, sums = out or forever, crc or forever
    given = zip(trains, maps, arrays, sums)  # noqa: B905  (maps, and what is not given, never end)
    with ThreadPoolExecutor(threads) as pool:
        for number, some in _in_batches(given):
            waiting.append(pool.submit(place_some, number, some))
            if len(waiting) > _AHEAD * threads:
                placed += waiting.popleft().result()
        for one in waiting:
            placed += one.result()
    numbers = np.array([one[1:4] for one in placed], dtype="int64").reshape(-1, 3)
    return PlacedTrains([one.seconds for one in placed], *numbers.T)


class _Placed(NamedTuple):
    """A train on its clock, or the part of it in a window: see :class:`PlacedTrains`."""

    seconds: NDArray[np.float64]
    first: int
    n_stored: int
    n_extrapolated: int
    bits: int = 0


def _in_batches(
    given: Iterable[tuple[Any, ...]],
) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
    """Yield trains with what belongs to them, some at a time: the first one's number, and they."""
    first, some, n_bytes = 0, [], 0
    for one in given:
        some.append(one)
        n_bytes += memoryview(one[0]).nbytes
        if n_bytes >= _BATCH_BYTES:
            yield first, some
            first, some, n_bytes = first + len(some), [], 0
    if some:
        yield first, some


def _check_crc(train: Any, unit: int, wanted: int) -> None:
    if zlib.crc32(train) != wanted:
        raise QueryError(
            f"The spikes of unit {unit} changed while they were read.",
            hint="Is it being sorted anew? Ask again when that has ended.",
        )


def _place_whole(
    train: bytes | NDArray[np.int64], sample_map: SampleMap, out: NDArray[np.float64] | None
) -> _Placed:
    """Place a train, into the array that is given or a new one."""
    planes = read_steps(train) if isinstance(train, bytes) else None
    if planes is not None:
        seconds = _room(len(planes[0]) if planes else 0, out)
        outside, bits = sample_map.place_steps(planes, seconds)
        return _Placed(seconds, 0, len(seconds), outside, bits)
    samples = decode_array(train) if isinstance(train, bytes) else train
    seconds = sample_map.apply(samples, out=_room(len(samples), out))
    outside = sample_map.count_extrapolated(samples)
    return _Placed(seconds, 0, len(seconds), outside, sum_bits(seconds))


def _room(n_spikes: int, out: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return an array for a train: a new one, or the one that was given."""
    if out is not None and len(out) != n_spikes:
        raise FormatError(
            f"A train has {n_spikes} spikes where it had {len(out)} a moment ago.",
            hint="Is it being sorted anew? Ask again when that has ended.",
        )
    return np.empty(n_spikes) if out is None else out


def _within(
    samples: NDArray[np.int64], sample_map: SampleMap, window_s: tuple[float, float]
) -> tuple[NDArray[np.float64], int]:
    """Return the times of a train inside a window, and which spike is the first of them."""
    low, high = sample_map.samples_around(window_s)
    begin, end = np.searchsorted(samples, (low, high))
    seconds = sample_map.apply(samples[begin:end])
    start, stop = np.searchsorted(seconds, window_s)  # a time at the start is in, at the stop not
    return seconds[start:stop], int(begin + start)


def cut_window(
    seconds: list[NDArray[np.float64]], window_s: tuple[float, float]
) -> tuple[list[NDArray[np.float64]], NDArray[np.int64]]:
    """Return the part of each train inside a window, and which spike is the first of it.

    Parameters
    ----------
    seconds : list of ndarray of float64
        Trains, ascending.
    window_s : (float, float)
        A time at the start is inside, one at the stop is not.
    """
    spans = [np.searchsorted(train, window_s) for train in seconds]
    cut = [train[a:b] for train, (a, b) in zip(seconds, spans, strict=True)]
    return cut, np.array([a for a, _ in spans], np.int64)
