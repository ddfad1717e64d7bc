"""The spikes of one sorting on their clock: from this computer, or read, placed and kept.

The first time, trains are decoded and written to a file as they are placed; the file is then
mapped. That is quicker than filling memory of one's own, and any later process starts there.
"""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..database.quick_rows import select_rows
from ..preferences import load_preferences
from .clock_inputs import digest_clocks
from .placed_trains import PlacedTrains, cut_window, place_trains
from .spike_times import PROBE, probe_maps
from .spike_trains import TrainHeads, read_trains
from .train_cache import LEAST_SPIKES, cache_file, keep_labels, new_file, read_cached

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..clocks import SampleMap
    from ..formats.train_file import TrainFile
    from .synchrony import StreamClock

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProbeClock:
    """What is to be said of the clock that a sorting's spikes are on.

    Attributes
    ----------
    name, dataset : str
        Stream whose clock it is, and its dataset as subject/session/dataset.
    synced : bool
        Whether the probe is synchronised, or is the clock itself.
    mapped : bool
        Whether times were taken from one clock to another.
    sync_attrs : dict or None
        As :meth:`StreamClock.sync_attrs`.
    sampling_rate_hz : float
        Nominal rate of the probe.
    recorded_s : tuple of float
        When the first sample was, and when the sample after the last; the two are equal where the
        number of samples is unknown.
    """

    name: str
    dataset: str
    synced: bool
    mapped: bool
    sync_attrs: dict[str, Any] | None
    sampling_rate_hz: float
    recorded_s: tuple[float, float]


@dataclass(frozen=True, eq=False)
class PlacedSpikes:
    """Spikes of chosen units of a sorting.

    Attributes
    ----------
    times_s : ndarray of float64, shape (n_spikes,)
        Seconds, sorted by unit and time.
    trains : PlacedTrains
        The same by unit, with what is known of each train.
    clock : ProbeClock
        The clock.
    make_labels : callable
        Returns the unit of each spike, ndarray of int32, shape (n_spikes,).
    """

    times_s: NDArray[np.float64]
    trains: PlacedTrains
    clock: ProbeClock
    make_labels: Callable[[], NDArray[np.int32]]


def place_sorting(
    lab: Any,
    sorting: Mapping[str, Any],
    heads: TrainHeads,
    *,
    window_s: tuple[float, float] | None = None,
    trains: Iterable[bytes | NDArray[np.int64]] | None = None,
    probe_map: Callable[[], tuple[StreamClock, SampleMap]] | None = None,
) -> PlacedSpikes:
    """Return the spikes of units of one sorting on their clock.

    Parameters
    ----------
    lab : Lab
        The tables.
    sorting : mapping
        Key of SpikeSorting.
    heads : TrainHeads
        The units that are wanted, as they are stored now.
    window_s : (float, float), optional
        Keep what happened in ``[start, stop)`` on the clock.
    trains : iterable of bytes or ndarray of int64, optional
        Trains in place of those that are stored, one for each of `heads`; they are not kept.
    probe_map : callable, optional
        Returns the clock of the probe and the map to it, by default those of the probe.

    Raises
    ------
    QueryError
        If the units are others by now.
    ClockError
        If the pulses cannot be matched within the tolerance.
    """
    file = None if trains is not None else _CacheFile.find(lab, sorting, heads)
    if file and (found := file.read(heads)):
        return _from_file(file, found, heads, window_s)
    stream_clock, sample_map = (probe_map or (lambda: _probe_map(lab, sorting)))()
    clock = _describe(lab, sorting, stream_clock, sample_map)
    keep = file and window_s is None and not _is_doubtful(stream_clock)
    if file and keep and len(lab.SpikeSorting.Unit & dict(sorting)) == len(heads.unit_ids):
        file.write(read_trains(lab, sorting, heads), heads, sample_map, clock)
        if found := file.read(heads):
            return _from_file(file, found, heads, None)
    if trains is None:
        trains = read_trains(lab, sorting, heads)
    return _in_memory(trains, heads, sample_map, clock, window_s)


@dataclass(frozen=True)
class _CacheFile:
    """Where the spikes of a sorting are kept, and the digest of the clock that they must be on."""

    path: Path
    clock_digest: str
    limit_gb: float

    @classmethod
    def find(cls, lab: Any, sorting: Mapping[str, Any], heads: TrainHeads) -> _CacheFile | None:
        """Return the file, there or not; None where these spikes are not kept."""
        preferences = load_preferences()
        path = cache_file(lab, sorting, preferences)
        if path is None or not (path.exists() or heads.n_spikes.sum() >= LEAST_SPIKES):
            return None
        return cls(path, digest_clocks(lab, sorting), preferences.spike_cache_gb)

    def read(self, heads: TrainHeads) -> TrainFile | None:
        """Return the file if it holds what the database does."""
        return read_cached(self.path, heads, self.clock_digest)

    def write(
        self,
        trains: Iterator[bytes],
        heads: TrainHeads,
        sample_map: SampleMap,
        clock: ProbeClock,
    ) -> None:
        """Place all trains of a sorting in the file, if there is room."""
        notes = {"clock_digest": self.clock_digest, "clock": asdict(clock)}
        notes |= {"n_bytes": heads.n_bytes.tolist(), "crc": heads.crc.tolist()}
        with new_file(self.path, heads.unit_ids, heads.n_spikes, self.limit_gb) as writer:
            if writer is not None:
                maps = itertools.repeat(sample_map)
                crc = zip(heads.unit_ids.tolist(), heads.crc.tolist(), strict=True)
                placed = place_trains(trains, maps, sink=writer.put, crc=crc)
                writer.finish(notes | {"n_extrapolated": placed.n_extrapolated.tolist()})


def _probe_map(lab: Any, sorting: Mapping[str, Any]) -> tuple[StreamClock, SampleMap]:
    ((clock, sample_map),) = probe_maps(lab, [sorting]).values()
    return clock, sample_map


def _is_doubtful(clock: StreamClock) -> bool:
    """Return whether the clock comes with a warning, which must come again the next time."""
    return clock.clock_map is not None and clock.clock_map.report.ambiguous_offset


def _describe(
    lab: Any, sorting: Mapping[str, Any], clock: StreamClock, sample_map: SampleMap
) -> ProbeClock:
    probe = {name: sorting[name] for name in PROBE}
    (setting,) = select_rows(lab.EphysRecording.ProbeSetting, ["n_samples"], [probe])
    n_samples = setting["n_samples"]
    start, stop = sample_map.apply(np.array([0, n_samples or 0])).tolist()
    return ProbeClock(
        clock.name,
        clock.dataset,
        clock.synced,
        clock.clock_map is not None,
        clock.sync_attrs(),
        sample_map.sampling_rate_hz,
        (start, stop if n_samples else start),
    )


def _from_file(
    file: _CacheFile, found: TrainFile, heads: TrainHeads, window_s: tuple[float, float] | None
) -> PlacedSpikes:
    clock = found.notes["clock"]
    clock = ProbeClock(**clock | {"recorded_s": tuple(clock["recorded_s"])})
    places = np.searchsorted(found.unit_ids, heads.unit_ids)
    spans = list(zip(found.offsets[places], found.offsets[places + 1], strict=True))
    seconds = [found.values[a:b] for a, b in spans]
    n_extrapolated = np.array(found.notes["n_extrapolated"], np.int64)[places]
    first = np.zeros(len(places), np.int64)
    if window_s is None and len(places) == len(found.unit_ids):
        trains = PlacedTrains(seconds, first, heads.n_spikes, n_extrapolated)
        labels = functools.partial(keep_labels, file.path, found, file.limit_gb)
        return PlacedSpikes(found.values, trains, clock, labels)
    if window_s is not None:
        seconds, first = cut_window(seconds, window_s)
    trains = PlacedTrains(seconds, first, heads.n_spikes, n_extrapolated)
    times = np.concatenate([np.empty(0), *seconds])
    return _unkept(times, heads, trains, clock)


def _unkept(
    times: NDArray[np.float64], heads: TrainHeads, trains: PlacedTrains, clock: ProbeClock
) -> PlacedSpikes:
    lengths = [len(part) for part in trains.seconds]
    labels = functools.partial(np.repeat, heads.unit_ids, lengths)
    return PlacedSpikes(times, trains, clock, labels)


def _in_memory(
    trains: Iterable[bytes | NDArray[np.int64]],
    heads: TrainHeads,
    sample_map: SampleMap,
    clock: ProbeClock,
    window_s: tuple[float, float] | None,
) -> PlacedSpikes:
    maps = itertools.repeat(sample_map)
    if window_s is not None:
        cut = place_trains(trains, maps, window_s=window_s)
        return _unkept(np.concatenate([np.empty(0), *cut.seconds]), heads, cut, clock)
    times = np.empty(int(heads.n_spikes.sum()))
    parts = np.split(times, np.cumsum(heads.n_spikes)[:-1])
    placed = place_trains(trains, maps, out=parts)
    return _unkept(times, heads, placed, clock)
