"""Sample numbers of a stream to seconds on a clock, without a search for each of them.

A sorting has tens of millions of spikes, each a sample number. Searching the pulses around every
one costs more than reading the spikes. But a pulse is at a sample, and pulses are never close: the
samples are cut into cells of a power of two that hold one pulse at most, and a table says where
the pulse of a cell is and which lines it has before and after it. Then a spike needs one look-up.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labdata import loops
from labdata.clocks.clock_map import ClockMap
from labdata.clocks.segments import SegmentAxis
from labdata.step_planes import sum_steps

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Cells of the table at most; where pulses are closer than this allows, each sample is searched.
_MOST_CELLS = 1 << 22
_NEVER = np.iinfo(np.int64).max
#: Samples by which a pulse's time, multiplied by the rate, may be off its sample.
_ROUNDING = 1e-3


@dataclass(frozen=True, eq=False)
class SampleMap:
    """Turns sample numbers of a stream into seconds on a clock.

    Made by :func:`tabulate`. What it returns differs from that of the clock map by rounding only,
    less than 1e-10 s in a day.

    Attributes
    ----------
    clock_map : ClockMap or None
        The map it stands for; None for the stream's own clock.
    sampling_rate_hz : float
        Nominal rate of the stream.
    axis : SegmentAxis or None
        Where the segments of the stream are in time; None of a stream in one piece.
    """

    clock_map: ClockMap | None
    sampling_rate_hz: float
    axis: SegmentAxis | None
    _cells: _Cells | None

    def apply(self, samples: IntArray, *, out: FloatArray | None = None) -> FloatArray:
        """Return the times of samples on the clock.

        Parameters
        ----------
        samples : ndarray of int64, shape (n,)
            Sample numbers of the stream, in any order; of one in several segments, on their
            concatenation.
        out : ndarray of float64, shape (n,), optional
            Filled and returned.

        Returns
        -------
        ndarray of float64, shape (n,)
            Seconds.

        Raises
        ------
        ClockError
            As :meth:`ClockMap.apply`.
        """
        if self._cells is not None:
            return self._cells.apply(samples, out)
        if self.clock_map is None and self.axis is None:
            return np.divide(samples, self.sampling_rate_hz, out=out)
        seconds = self._on_clock(self._own_seconds(samples))
        if out is None:
            return seconds
        out[...] = seconds
        return out

    def place_steps(self, planes: Sequence[NDArray[np.uint8]], out: FloatArray) -> tuple[int, int]:
        """Fill an array with the times of samples that are given by their differences.

        Parameters
        ----------
        planes : sequence of ndarray of uint8, shape (n,)
            The first sample, and from each to the next, as
            :func:`~labdata.step_planes.split_steps` has them.
        out : ndarray of float64, shape (n,)
            Filled with seconds.

        Returns
        -------
        n_outside : int
            How many of the samples lie outside the pulses of the map.
        bits : int
            :func:`sum_bits` of the seconds.

        Raises
        ------
        ClockError
            As :meth:`ClockMap.apply`.
        """
        if loops.compiled is not None and self._cells is not None:
            found: tuple[int, int] = loops.compiled.place_steps(
                tuple(planes), *self._cells, out, *self._inside
            )
            return found
        samples = sum_steps(planes)
        self.apply(samples, out=out)
        return self.count_extrapolated(samples), sum_bits(out)

    def _own_seconds(self, samples: IntArray) -> FloatArray:
        if self.axis is not None:
            return self.axis.to_seconds(samples)
        return np.asarray(samples / self.sampling_rate_hz, np.float64)

    def count_extrapolated(self, samples: IntArray) -> int:
        """Return how many samples lie outside the pulses of the map.

        Parameters
        ----------
        samples : ndarray of int64, shape (n,)
            Ascending.
        """
        if self.clock_map is None:
            return 0
        if self.axis is not None:
            return int(self.clock_map.extrapolated(self._own_seconds(samples)).sum())
        # whole numbers: searched by a float, the samples would all be made floats first
        first, last = self._inside
        begin, end = (
            np.searchsorted(samples, first, "left"),
            np.searchsorted(samples, last, "right"),
        )
        return len(samples) - int(end - begin)

    @functools.cached_property
    def _inside(self) -> tuple[int, int]:
        """Return the first and the last sample between pulses of the map."""
        assert self.clock_map is not None
        first, last = np.array(self.clock_map.covered_s) * self.sampling_rate_hz
        return int(np.ceil(first - _ROUNDING)), int(np.floor(last + _ROUNDING))

    def samples_around(self, window_s: tuple[float, float]) -> tuple[int, int]:
        """Return a range of samples that holds every sample inside a window.

        Parameters
        ----------
        window_s : (float, float)
            Start and stop on the clock.

        Returns
        -------
        start, stop : int
            At most four samples wider than the window.
        """
        own_s = np.asarray(window_s, dtype=np.float64)
        if self.clock_map is not None:
            own_s = self.clock_map.invert().apply(own_s)
        most = 1e18  # an open window's end is no integer
        low, high = np.clip(self._count_before(own_s), -most, most)
        return int(np.floor(low)) - 1, int(np.ceil(high)) + 2

    def _count_before(self, own_s: FloatArray) -> FloatArray:
        """Return how many samples were taken before some times, those of pauses included."""
        if self.axis is None:
            return own_s * self.sampling_rate_hz
        k = np.clip(np.searchsorted(self.axis.start_s, own_s, side="right") - 1, 0, None)
        within = (own_s - self.axis.start_s[k]) * self.sampling_rate_hz
        lasts = k == self.axis.n_segments - 1  # which goes on at its rate
        whole = np.where(lasts, within, np.minimum(within, self.axis.n_samples[k]))
        return np.asarray(self.axis.offset_samples[k] + whole, np.float64)

    def pauses_s(self) -> FloatArray:
        """Return where nothing was recorded between two segments.

        Returns
        -------
        ndarray of float64, shape (n_pauses, 2)
            Start and stop of each, seconds on the clock.
        """
        if self.axis is None:
            return np.empty((0, 2))
        own_s = np.column_stack([self.axis.end_s[:-1], self.axis.start_s[1:]])
        long = self.axis.pauses_s > 0.5 / self.sampling_rate_hz
        return self._on_clock(own_s[long].ravel()).reshape(-1, 2)

    def span_s(self, start: int, stop: int) -> tuple[float, float]:
        """Return the time from one sample to the end of the last before another.

        Parameters
        ----------
        start, stop : int
            Half-open range of samples, not empty.
        """
        own_s = self._own_seconds(np.array([start, stop - 1]))
        own_s[1] += 1 / self.sampling_rate_hz
        first, last = self._on_clock(own_s).tolist()
        return first, last

    def _on_clock(self, own_s: FloatArray) -> FloatArray:
        return own_s if self.clock_map is None else self.clock_map.apply(own_s)


#: Of a cell: the sample that the second line begins with, and slope and intercept of both lines.
_CELL = np.dtype([("knot", "<i8"), ("slope", "<f8", 2), ("intercept", "<f8", 2)])


class _Cells(NamedTuple):
    """The table: of each cell its knot, the line before it and the line from it on."""

    shift: int
    cells: NDArray[Any]

    def apply(self, samples: IntArray, out: FloatArray | None) -> FloatArray:
        cell = np.clip(samples >> self.shift, 0, len(self.cells) - 1)
        side = (samples >= self.cells["knot"][cell]).view(np.int8)
        seconds: FloatArray = np.multiply(self.cells["slope"][cell, side], samples, out=out)
        seconds += self.cells["intercept"][cell, side]
        return seconds


def sum_bits(seconds: FloatArray) -> int:
    """Return the sum of the bits of times, as whole numbers modulo 2**64.

    Parameters
    ----------
    seconds : ndarray of float64, shape (n,)
        The times, in any order.
    """
    return int(seconds.view(np.uint64).sum(dtype=np.uint64))


def tabulate(
    clock_map: ClockMap | None, sampling_rate_hz: float, axis: SegmentAxis | None = None
) -> SampleMap:
    """Return a clock map for the sample numbers of its stream.

    Parameters
    ----------
    clock_map : ClockMap or None
        From seconds on the stream to the clock; None where the stream's own clock is wanted.
    sampling_rate_hz : float
        Nominal rate of the stream.
    axis : SegmentAxis, optional
        Where the segments of the stream are in time. Of a stream in one piece seconds are sample
        number over nominal rate.

    Returns
    -------
    SampleMap
    """
    if axis is not None and axis.n_segments == 1 and axis.start_s[0] == 0.0:
        axis = None
    cells = None
    if clock_map is not None and clock_map.max_extrapolation_s is None and axis is None:
        cells = _cells(clock_map, sampling_rate_hz)
    return SampleMap(clock_map, sampling_rate_hz, axis, cells)


def _cells(clock_map: ClockMap, rate_hz: float) -> _Cells | None:
    x, y = clock_map.stream_knots_s * rate_hz, clock_map.clock_knots_s
    knot = np.ceil(x - _ROUNDING).astype(np.int64)  # the first sample at or after the pulse
    spacing = int(np.diff(knot).min())
    if spacing < 1 or knot[0] < 0:
        return None
    shift = spacing.bit_length() - 1
    n_cells = int(knot[-1] >> shift) + 2
    if n_cells > _MOST_CELLS:
        return None
    inner = np.diff(y) / np.diff(x)
    ends = np.array([clock_map.rate_before, clock_map.rate_after]) / rate_hz
    slope = np.concatenate([ends[:1], inner, ends[1:]])
    # the line of an interval passes through the pulse it begins with; of the first, it ends with
    through = np.concatenate([[0], np.arange(len(x))])
    intercept = y[through] - slope * x[through]
    cells = np.empty(n_cells, _CELL)
    cells["knot"] = _NEVER
    cells["knot"][knot >> shift] = knot
    before = np.searchsorted(knot, np.arange(n_cells, dtype=np.int64) << shift, "left")
    line = np.minimum(np.stack([before, before + 1], axis=1), len(slope) - 1)
    cells["slope"], cells["intercept"] = slope[line], intercept[line]
    return _Cells(shift, cells)
