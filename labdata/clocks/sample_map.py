"""Sample numbers of a stream to seconds on a clock, without a search for each of them.

A sorting has tens of millions of spikes, each a sample number. Searching the pulses around every
one costs more than reading the spikes. But a pulse is at a sample, and pulses are never close: the
samples are cut into cells of a power of two that hold one pulse at most, and a table says which
interval a cell begins in and where its pulse is. Then a spike needs two look-ups and a line.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labdata.clocks.clock_map import ClockMap

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
    """

    clock_map: ClockMap | None
    sampling_rate_hz: float
    _cells: _Cells | None

    def apply(self, samples: IntArray, *, out: FloatArray | None = None) -> FloatArray:
        """Return the times of samples on the clock.

        Parameters
        ----------
        samples : ndarray of int64, shape (n,)
            Sample numbers of the stream, in any order.
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
        if self.clock_map is None:
            return np.divide(samples, self.sampling_rate_hz, out=out)
        if self._cells is None:
            seconds = self.clock_map.apply(samples / self.sampling_rate_hz)
            if out is None:
                return seconds
            out[...] = seconds
            return out
        return self._cells.apply(samples, out)

    def count_extrapolated(self, samples: IntArray) -> int:
        """Return how many samples lie outside the pulses of the map.

        Parameters
        ----------
        samples : ndarray of int64, shape (n,)
            Ascending.
        """
        if self.clock_map is None:
            return 0
        first, last = np.array(self.clock_map.covered_s) * self.sampling_rate_hz
        # whole numbers: searched by a float, the samples would all be made floats first
        begin = np.searchsorted(samples, int(np.ceil(first - _ROUNDING)), "left")
        end = np.searchsorted(samples, int(np.floor(last + _ROUNDING)), "right")
        return len(samples) - int(end - begin)

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
        low, high = np.clip(own_s * self.sampling_rate_hz, -most, most)
        return int(np.floor(low)) - 1, int(np.ceil(high)) + 2


@dataclass(frozen=True, eq=False)
class _Cells:
    """The table: cell to interval and pulse, interval to line."""

    shift: int
    interval: IntArray
    knot: IntArray
    slope: FloatArray
    intercept: FloatArray

    def apply(self, samples: IntArray, out: FloatArray | None) -> FloatArray:
        cell = samples >> self.shift
        interval = self.interval.take(cell, mode="clip")
        interval += samples >= self.knot.take(cell, mode="clip")
        seconds = np.multiply(self.slope.take(interval), samples, out=out)
        seconds += self.intercept.take(interval)
        return seconds


def tabulate(clock_map: ClockMap | None, sampling_rate_hz: float) -> SampleMap:
    """Return a clock map for the sample numbers of its stream.

    Parameters
    ----------
    clock_map : ClockMap or None
        From seconds on the stream, sample number over nominal rate, to the clock; None where the
        stream's own clock is wanted.
    sampling_rate_hz : float
        Nominal rate of the stream.

    Returns
    -------
    SampleMap
    """
    cells = None
    if clock_map is not None and clock_map.max_extrapolation_s is None:
        cells = _cells(clock_map, sampling_rate_hz)
    return SampleMap(clock_map, sampling_rate_hz, cells)


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
    in_cell = np.full(n_cells, _NEVER)
    in_cell[knot >> shift] = knot
    starts = np.arange(n_cells, dtype=np.int64) << shift
    return _Cells(shift, np.searchsorted(knot, starts, "left"), in_cell, slope, intercept)
