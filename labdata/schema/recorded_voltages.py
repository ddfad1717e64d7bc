"""Arrays of a recording that are read when they are looked at: voltages, and the time of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

if TYPE_CHECKING:
    from ..clocks import SampleMap, SegmentAxis
    from ..formats.bands import RecordedBand

#: Values read together, of all channels of the file: a second of a probe, 23 MB.
_BLOCK_VALUES = 385 * 30_000
#: Samples between two that are wanted over which it is not worth to read on: a second of a probe.
_LEAP_ROWS = 30_000
#: Samples whose numbers are held together.
_BLOCK_ROWS = 1 << 20


@dataclass(frozen=True, eq=False)
class OpenBand:
    """A band of a probe, with what opens it again in another process.

    Attributes
    ----------
    project : str or None
        Of the tables.
    key : dict
        Of EphysRecording.ProbeSetting.
    band : str
        ``"ap"`` or ``"lf"``.
    samples : RecordedBand
        The samples.
    """

    project: str | None
    key: dict[str, Any]
    band: str
    samples: RecordedBand

    def __reduce__(self) -> Any:
        return _open_again, (self.project, self.key, self.band)


class _LazyArray(BackendArray):
    """What xarray asks, as ranges of samples: slices with a step and numbers are cut of them."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._read
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> _LazyArray:
        return self  # nothing of it changes

    def _read(self, key: tuple[Any, ...]) -> Any:
        places = [np.arange(n)[k] for n, k in zip(self.shape[1:], key[1:], strict=True)]
        columns = [np.atleast_1d(p) for p in places]
        if isinstance(key[0], slice):
            found = self._range(range(self.shape[0])[key[0]], *columns)
        else:
            found = self._rows(np.atleast_1d(np.asarray(key[0], dtype=np.int64)), *columns)
        if np.ndim(key[0]) == 0 and not isinstance(key[0], slice):
            found = found[0]
        if places and np.ndim(places[0]) == 0:
            found = found[..., 0]
        return found

    def _range(self, wanted: range, *columns: NDArray[np.int64]) -> NDArray[Any]:
        """Fill a range a part at a time: the numbers of all its samples are never held."""
        found = np.empty((len(wanted), *map(len, columns)), self.dtype)
        for at in range(0, len(wanted), _BLOCK_ROWS):
            part = wanted[at : at + _BLOCK_ROWS]
            rows = np.arange(part.start, part.stop, part.step, dtype=np.int64)
            found[at : at + len(part)] = self._rows(rows, *columns)
        return found

    def _rows(self, rows: NDArray[np.int64], *columns: NDArray[np.int64]) -> NDArray[Any]:
        raise NotImplementedError


class Voltages(_LazyArray):
    """Microvolts of some samples and channels of a band, float32.

    Parameters
    ----------
    opened : OpenBand
        The band.
    start, stop : int
        Half-open range of samples.
    columns : ndarray of int64, shape (n_channels,)
        Columns of the file.
    """

    def __init__(
        self, opened: OpenBand, start: int, stop: int, columns: NDArray[np.int64]
    ) -> None:
        self.opened, self.start, self.columns = opened, start, columns
        self.dtype = np.dtype(np.float32)
        self.shape = (stop - start, len(columns))

    def _rows(self, rows: NDArray[np.int64], *columns: NDArray[np.int64]) -> NDArray[Any]:
        band, chosen = self.opened.samples, self.columns[columns[0]]
        found = np.empty((len(rows), len(chosen)), self.dtype)
        if found.size == 0:
            return found
        order = np.argsort(rows, kind="stable")
        ranked = rows[order] + self.start
        step = max(1, _BLOCK_VALUES // band.n_channels)
        leaps = np.flatnonzero(np.diff(ranked) > _LEAP_ROWS) + 1
        at = 0
        while at < len(ranked):  # a block of the file at a time, and none that is not wanted
            begin = int(ranked[at])
            end = int(np.searchsorted(ranked, begin + step))
            end = min(end, *leaps[np.searchsorted(leaps, at, "right") :][:1].tolist(), len(ranked))
            block = band.read_uv(begin, int(ranked[end - 1]) + 1, chosen)
            found[order[at:end]] = block[ranked[at:end] - begin]
            at = end
        return found


class SampleNumbers(_LazyArray):
    """Numbers of some samples, int64: sample 0 is the first that the file has.

    Parameters
    ----------
    start, stop : int
        Half-open range of samples.
    """

    def __init__(self, start: int, stop: int) -> None:
        self.start = start
        self.dtype = np.dtype(np.int64)
        self.shape = (stop - start,)

    def _rows(self, rows: NDArray[np.int64], *columns: NDArray[np.int64]) -> NDArray[Any]:
        return rows + self.start


class SegmentNumbers(_LazyArray):
    """Which segment each of some samples is of, int32.

    Parameters
    ----------
    axis : SegmentAxis
        Where the segments are.
    start, stop : int
        Half-open range of samples.
    """

    def __init__(self, axis: SegmentAxis, start: int, stop: int) -> None:
        self.axis, self.start = axis, start
        self.dtype = np.dtype(np.int32)
        self.shape = (stop - start,)

    def _rows(self, rows: NDArray[np.int64], *columns: NDArray[np.int64]) -> NDArray[Any]:
        return self.axis.segment_of(rows + self.start).astype(np.int32)


class SampleTimes(_LazyArray):
    """Seconds of some samples, float64.

    Parameters
    ----------
    sample_map : SampleMap
        From samples to seconds on the clock.
    start, stop : int
        Half-open range of samples.
    """

    def __init__(self, sample_map: SampleMap, start: int, stop: int) -> None:
        self.sample_map, self.start = sample_map, start
        self.dtype = np.dtype(np.float64)
        self.shape = (stop - start,)

    def _rows(self, rows: NDArray[np.int64], *columns: NDArray[np.int64]) -> NDArray[Any]:
        return self.sample_map.apply(rows + self.start)


def _open_again(project: str | None, key: dict[str, Any], band: str) -> OpenBand:
    """Open a band in another process, on its own connection."""
    from . import default_lab, load_project_schema

    lab = default_lab if default_lab.project == project else load_project_schema(project)
    return OpenBand(project, key, band, (lab.EphysRecording.ProbeSetting & key).open(band=band))
