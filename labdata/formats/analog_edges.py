"""Edges of an analog input that has two levels, such as a photodiode on a screen.

A rise is the first sample at or above ``high``, a fall the first at or below ``low``; between the
two the level stays as it is, so that noise on a slow edge makes one edge and not twenty. What is
shorter than the shortest pulse is taken out *and handed back*.

Traces are looked at in pieces, so memory does not grow with the length of a recording.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labdata.errors import FormatError
from labdata.formats.bands import RecordedBand
from labdata.formats.event_lines import DigitalLine

_CHUNK_BYTES = 1 << 25
#: Of two levels each has this many samples, and they are this many times their spreads apart: the
#: halves of plain noise are 1.5 times apart, of a sine 1.8.
_FEWEST, _APART = 10, 4.0


@dataclass(frozen=True, eq=False)
class AnalogEdges:
    """The edges of an analog input.

    Parameters
    ----------
    samples : ndarray of int64, shape (n,)
        First sample of each new level, ascending.
    values : ndarray of int8, shape (n,)
        1 for a rise, 0 for a fall; they take turns.
    glitches : ndarray of int64, shape (n_glitches,)
        First sample of each stretch that was too short to be a pulse, or a gap between two.
    sampling_rate_hz : float
        Nominal rate of the stream.
    high_v, low_v : float
        The thresholds.
    """

    samples: NDArray[np.int64]
    values: NDArray[np.int8]
    glitches: NDArray[np.int64]
    sampling_rate_hz: float
    high_v: float
    low_v: float

    def __repr__(self) -> str:
        return (
            f"<{len(self.samples)} edges at {self.low_v:.4g} and {self.high_v:.4g} V, "
            f"{len(self.glitches)} glitches taken out>"
        )

    def as_line(self, event_name: str) -> DigitalLine:
        """Return the edges as those of a digital line.

        Parameters
        ----------
        event_name : str
            Name of the input, such as ``XA0``.
        """
        seconds = self.samples / self.sampling_rate_hz
        return DigitalLine(event_name, self.samples, self.values, seconds)


def find_analog_edges(
    volts: ArrayLike | Iterable[ArrayLike],
    sampling_rate_hz: float,
    high: float,
    low: float,
    *,
    min_width_s: float = 0.0,
) -> AnalogEdges:
    """Find where a trace goes from one level to the other.

    Parameters
    ----------
    volts : array_like, shape (n_samples,), or iterable of array_like
        The trace in volts, or pieces of it in order.
    sampling_rate_hz : float
        Samples per second.
    high, low : float
        Thresholds in volts: at ``high`` the input rises, at ``low`` it falls. The level that it
        begins with is no edge.
    min_width_s : float, optional
        Stretches of a level that are shorter are glitches, in seconds. Of an edge that bounces the
        last crossing is kept.

    Returns
    -------
    AnalogEdges

    Raises
    ------
    FormatError
        When ``low`` is not below ``high``, or a rate or width makes no sense.
    """
    if not low < high:
        raise FormatError(
            f"The thresholds low={low:g} V and high={high:g} V are not in this order.",
            hint="The input rises at high and falls at low; noise is as large as what is between.",
        )
    if not (sampling_rate_hz > 0 and min_width_s >= 0):
        raise FormatError(f"A rate of {sampling_rate_hz} Hz with a width of {min_width_s} s.")
    rows, levels = _crossings(_pieces(volts), high, low)
    kept, glitches = _without_short(rows, min_width_s * sampling_rate_hz)
    return AnalogEdges(
        samples=rows[kept],
        values=levels[kept],
        glitches=rows[glitches],
        sampling_rate_hz=float(sampling_rate_hz),
        high_v=float(high),
        low_v=float(low),
    )


def find_thresholds(
    levels_v: NDArray[np.float64], counts: NDArray[np.int64], *, step_v: float = 0.0
) -> tuple[float, float]:
    """Return thresholds at two thirds and one third between the two levels of an input.

    Parameters
    ----------
    levels_v : ndarray of float64, shape (n,)
        Voltages, ascending.
    counts : ndarray of int64, shape (n,)
        How often each was seen.
    step_v : float, optional
        Voltage of one bit: a trace that only flickers between two bits has no levels.

    Returns
    -------
    high_v, low_v : float
        For :func:`find_analog_edges`.

    Raises
    ------
    FormatError
        When the trace has no two levels.
    """
    seen = counts > 0
    levels_v, counts = levels_v[seen], counts[seen]
    if not len(levels_v):
        raise FormatError("The trace has no samples.", hint="Is it the right channel?")
    split = _split(levels_v, counts)
    parts = [(levels_v[:split], counts[:split]), (levels_v[split:], counts[split:])]
    if min(part.sum() for _, part in parts) < _FEWEST:
        raise _no_levels(levels_v, "of one of them there are only a few samples")
    (low, low_spread), (high, high_spread) = (_centre(*part) for part in parts)
    spread = max(low_spread, step_v) + max(high_spread, step_v)
    if high - low < _APART * spread:
        raise _no_levels(
            levels_v, f"its halves are at {low:.4g} and {high:.4g} V and blur over {spread:.3g} V"
        )
    return low + (high - low) * 2 / 3, low + (high - low) / 3


def find_band_edges(
    band: RecordedBand,
    column: int,
    *,
    high_v: float | None = None,
    low_v: float | None = None,
    min_width_s: float = 0.0,
) -> AnalogEdges:
    """Find the edges of one channel of a band, read in pieces.

    Parameters
    ----------
    band : RecordedBand
        Raw or compressed, here or far away.
    column : int
        The channel.
    high_v, low_v : float, optional
        Thresholds in volts; by default found from all samples, for which they are read twice.
    min_width_s : float, optional
        As in :func:`find_analog_edges`.

    Returns
    -------
    AnalogEdges

    Raises
    ------
    FormatError
        When one threshold is given without the other, or the trace has no two levels.
    """
    if (high_v is None) != (low_v is None):
        raise FormatError(
            "One threshold was given without the other.", hint="Give high_v and low_v, or neither."
        )
    if high_v is None or low_v is None:
        high_v, low_v = _thresholds_of(band, column)
    return find_analog_edges(
        _traces(band, column), band.sampling_rate_hz, high_v, low_v, min_width_s=min_width_s
    )


def _ranges(band: RecordedBand) -> Iterator[tuple[int, int]]:
    step = max(1, _CHUNK_BYTES // (2 * band.n_channels))
    for start in range(0, band.n_samples, step):
        yield start, min(band.n_samples, start + step)


def _traces(band: RecordedBand, column: int) -> Iterator[NDArray[np.float64]]:
    for start, stop in _ranges(band):
        yield band.read_uv(start, stop, [column])[:, 0].astype(np.float64) * 1e-6


def _thresholds_of(band: RecordedBand, column: int) -> tuple[float, float]:
    """Return thresholds from how often each of the 65536 values of a sample is seen."""
    counts = np.zeros(65536, np.int64)
    for start, stop in _ranges(band):
        bits = np.asarray(band.samples[start:stop])[:, column].astype(np.int64)
        counts += np.bincount(bits + 32768, minlength=65536)
    step_v = float(band.uv_per_bit[column]) * 1e-6
    levels_v = np.arange(-32768, 32768, dtype=np.float64) * step_v
    if step_v < 0:
        levels_v, counts = levels_v[::-1], counts[::-1]
    return find_thresholds(levels_v, counts, step_v=abs(step_v))


def _pieces(volts: ArrayLike | Iterable[ArrayLike]) -> Iterator[NDArray[np.float64]]:
    if isinstance(volts, Iterator):
        yield from (np.asarray(piece, np.float64) for piece in volts)
        return
    whole = np.asarray(volts, np.float64)
    if whole.ndim != 1:
        raise FormatError(
            f"The trace has {whole.ndim} dimensions.", hint="Give one channel: band[:, column]."
        )
    yield whole


def _crossings(
    pieces: Iterable[NDArray[np.float64]], high: float, low: float
) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Return the first sample of each new level, and the level."""
    rows, levels = [np.empty(0, np.int64)], [np.empty(0, np.int8)]
    level, start = -1, 0
    for volts in pieces:
        said = np.full(len(volts), -1, np.int8)  # -1: it stays as it was
        said[volts >= high] = 1
        said[volts <= low] = 0
        at = np.flatnonzero(said >= 0)
        before = np.concatenate([np.array([level], np.int8), said[at]])
        changed = np.diff(before) != 0
        if level < 0 and at.size:
            changed[0] = False  # the level that it begins with
        rows.append(at[changed] + start)
        levels.append(said[at[changed]])
        level, start = int(before[-1]), start + len(volts)
    return np.concatenate(rows), np.concatenate(levels)


def _without_short(
    rows: NDArray[np.int64], min_samples: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the edges to keep, and those that begin a stretch that is too short."""
    kept: list[int] = []
    glitches = []
    for number, row in enumerate(rows.tolist()):
        if kept and row - rows[kept[-1]] < min_samples:
            glitches.append(kept.pop())
        else:
            kept.append(number)
    return np.array(kept, np.int64), np.sort(np.array(glitches, np.int64))


def _split(levels_v: NDArray[np.float64], counts: NDArray[np.int64]) -> int:
    """Return where the upper half begins: halfway between the means of the two."""
    middle = (levels_v[0] + levels_v[-1]) / 2
    for _ in range(100):
        split = int(np.searchsorted(levels_v, middle))
        if not 0 < split < len(levels_v):
            break
        means = [
            np.average(levels_v[part], weights=counts[part])
            for part in (slice(None, split), slice(split, None))
        ]
        if middle == sum(means) / 2:
            break
        middle = sum(means) / 2
    return split


def _centre(levels_v: NDArray[np.float64], counts: NDArray[np.int64]) -> tuple[float, float]:
    """Return the median and the spread (that of normal noise) of counted values."""
    centre = _counted_median(levels_v, counts)
    away = np.abs(levels_v - centre)
    order = np.argsort(away)
    return centre, 1.4826 * _counted_median(away[order], counts[order])


def _counted_median(values: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    reached = np.cumsum(counts)
    return float(values[np.searchsorted(reached, reached[-1] / 2)])


def _no_levels(levels_v: NDArray[np.float64], why: str) -> FormatError:
    return FormatError(
        f"The trace, from {levels_v[0]:.4g} to {levels_v[-1]:.4g} V, has no two levels: {why}.",
        hint="Is it the right channel, and was the sensor on? If so, give both thresholds.",
    )
