"""Samples of a recording in several pieces, and the seconds at which they were taken.

A run may be written in pieces, one a gate or trigger, and the acquisition may be started again
within one dataset. Sorters see the pieces of a stream one after another, as if nothing lay between
them: samples count on that concatenation. Seconds are real time: a pause between two pieces is as
long as it was.

Within one run of the acquisition, an *epoch*, the device counts its samples from the start, so
the pauses are known to the sample. Another run is placed by the times at which the files were
made, which are whole seconds: events and spikes of one epoch are right against each other, those
of two epochs to a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labdata.errors import ClockError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Files are dated to the second: so much may one run seem to begin before the one before ended.
_DATE_S = 1.0


@dataclass(frozen=True, eq=False)
class SegmentAxis:
    """The pieces of one stream, on the concatenation and in time.

    Attributes
    ----------
    offset_samples : ndarray of int64, shape (n_segments,)
        First sample of each piece in the concatenation; the first is 0.
    n_samples : ndarray of int64, shape (n_segments,)
        Length of each piece.
    start_s : ndarray of float64, shape (n_segments,)
        Seconds of its first sample on the stream's own axis; the first is 0.
    epoch : ndarray of int16, shape (n_segments,)
        Run of the acquisition it belongs to, from 0.
    sampling_rate_hz : float
        Nominal rate of the stream.
    """

    offset_samples: IntArray
    n_samples: IntArray
    start_s: FloatArray
    epoch: NDArray[np.int16]
    sampling_rate_hz: float

    def __post_init__(self) -> None:
        lengths = {len(a) for a in (self.offset_samples, self.n_samples, self.start_s, self.epoch)}
        if len(lengths) != 1 or 0 in lengths:
            raise ClockError("A stream has at least one segment, and each has all four values.")
        if not self.sampling_rate_hz > 0:
            raise ClockError(f"A sampling rate of {self.sampling_rate_hz} Hz is not positive.")
        ends = np.concatenate([[0], np.cumsum(self.n_samples)])
        if (self.n_samples <= 0).any() or (self.offset_samples != ends[:-1]).any():
            raise ClockError(
                f"Segments of {self.n_samples.tolist()} samples do not begin at "
                f"{self.offset_samples.tolist()}.",
                hint="Each begins where the one before ends; give all segments of the stream, in "
                "order.",
            )
        overlaps = np.flatnonzero(self.pauses_s < -0.5 / self.sampling_rate_hz)
        if overlaps.size:
            k = int(overlaps[0])
            raise ClockError(
                f"Segment {k + 1} begins at {self.start_s[k + 1]:.6f} s, before segment {k} ends "
                f"({self.end_s[k]:.6f} s).",
                hint="Segments are given in the order in which they were recorded; are two of "
                "them copies of one?",
            )

    @property
    def n_segments(self) -> int:
        """Number of pieces."""
        return len(self.offset_samples)

    @property
    def total_samples(self) -> int:
        """Length of the concatenation."""
        return int(self.n_samples.sum())

    @property
    def end_s(self) -> FloatArray:
        """Seconds at the end of each piece, float64 (n_segments,)."""
        return self.start_s + self.n_samples / self.sampling_rate_hz

    @property
    def pauses_s(self) -> FloatArray:
        """Seconds between each piece and the next, float64 (n_segments - 1,)."""
        return self.start_s[1:] - self.end_s[:-1]

    def segment_of(self, samples: ArrayLike) -> IntArray:
        """Return the piece that each sample is in.

        Parameters
        ----------
        samples : array_like of int, any shape
            On the concatenation. Those before its beginning are of the first piece, those after
            its end of the last.

        Returns
        -------
        ndarray of int64, of the same shape
            From 0.
        """
        found = np.searchsorted(self.offset_samples, np.asarray(samples), side="right") - 1
        return np.clip(found, 0, None)

    def to_seconds(self, samples: ArrayLike) -> FloatArray:
        """Return when samples were taken.

        Parameters
        ----------
        samples : array_like of int or float, any shape
            On the concatenation, in any order.

        Returns
        -------
        ndarray of float64, of the same shape
            Seconds on the stream's own axis. Of a stream in one piece exactly
            ``samples / sampling_rate_hz``; samples outside the recording go on at that rate.
        """
        found = np.asarray(samples)
        if self.n_segments == 1 and self.start_s[0] == 0.0:
            return np.asarray(found / self.sampling_rate_hz, np.float64)
        k = self.segment_of(found)
        within_s = (found - self.offset_samples[k]) / self.sampling_rate_hz
        return np.asarray(self.start_s[k] + within_s, np.float64)

    def to_samples(self, seconds: ArrayLike) -> FloatArray:
        """Return which samples were taken at some times.

        Parameters
        ----------
        seconds : array_like of float, any shape
            On the stream's own axis.

        Returns
        -------
        ndarray of float64, of the same shape
            On the concatenation, with the fraction of a sample; NaN of a time in a pause, of which
            there is no sample. Times before the first and after the last go on at the rate.
        """
        times = np.asarray(seconds, np.float64)
        # a time that was made of a piece's first sample may be a rounding error before it
        eps_s = 0.25 / self.sampling_rate_hz
        k = np.clip(np.searchsorted(self.start_s, times + eps_s, side="right") - 1, 0, None)
        within = (times - self.start_s[k]) * self.sampling_rate_hz
        in_pause = (within > self.n_samples[k] - 0.5) & (k < self.n_segments - 1)
        return np.where(in_pause, np.nan, within + self.offset_samples[k])


def place_segments(
    n_samples: Sequence[int],
    first_samples: Sequence[int],
    runs: Sequence[str],
    created_s: Sequence[float],
    sampling_rate_hz: float,
) -> SegmentAxis:
    """Place the pieces of a stream in time.

    Parameters
    ----------
    n_samples : sequence of int
        Length of each piece, in the order in which they were recorded.
    first_samples : sequence of int
        Number of its first sample since the acquisition of its run began.
    runs : sequence of str
        Name of the run of each piece; a run's pieces follow one another.
    created_s : sequence of float
        When each file was made, in seconds on any one clock; only the first of each run counts.
    sampling_rate_hz : float
        Nominal rate of the stream.

    Returns
    -------
    SegmentAxis

    Raises
    ------
    ClockError
        If pieces overlap in time, as when a program did not write which sample was the first; or
        if the pieces of a run do not follow one another.
    """
    lengths = np.asarray(n_samples, np.int64)
    first = np.asarray(first_samples, np.int64)
    epoch = _epochs(runs)
    start_s = np.empty(len(lengths))
    for number in range(int(epoch[-1]) + 1 if len(epoch) else 0):
        mine = np.flatnonzero(epoch == number)
        begin_s = float(created_s[int(mine[0])]) - float(created_s[0])
        if number:
            before = int(mine[0]) - 1
            ended_s = float(start_s[before] + lengths[before] / sampling_rate_hz)
            if ended_s - _DATE_S <= begin_s < ended_s:
                begin_s = ended_s
        start_s[mine] = begin_s + (first[mine] - first[mine[0]]) / sampling_rate_hz
    offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
    return SegmentAxis(offsets[: len(lengths)], lengths, start_s, epoch, float(sampling_rate_hz))


def _epochs(runs: Sequence[str]) -> NDArray[np.int16]:
    numbers: dict[str, int] = {}
    found: list[int] = []
    for run in runs:
        number = numbers.setdefault(run, len(numbers))
        if found and number < found[-1]:
            raise ClockError(
                f"The segments of run {run!r} do not follow one another.",
                hint="Give the segments in the order in which they were recorded.",
            )
        found.append(number)
    return np.array(found, np.int16)
