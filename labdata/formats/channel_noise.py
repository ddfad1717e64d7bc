"""How large the samples of each channel are, from a bounded part of a recording.

The recording is divided into equal parts, and a snippet is taken somewhere in each: so slow drifts
are seen, and nothing that recurs with the same period is always, or never, met.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from labdata.errors import FormatError
from labdata.formats.bands import RecordedBand

N_SNIPPETS = 20
SNIPPET_S = 0.25
#: Channels that are sorted at once: 40 MB of 5 s at 30 kHz.
_BLOCK_CHANNELS = 32


@dataclass(frozen=True, eq=False)
class ChannelNoise:
    """Statistics of the voltage channels of a band, in bits.

    Parameters
    ----------
    median : ndarray of float64, shape (n_channels,)
        Of the samples that were read.
    mad : ndarray of float64, shape (n_channels,)
        Median distance from the median; times 1.4826 it is the standard deviation of normal noise.
    largest, smallest : ndarray of int16, shape (n_channels,)
        Of the samples that were read.
    peak_to_peak : ndarray of int32, shape (n_channels,)
        Largest less smallest.
    n_samples : int
        How many samples a channel were read.
    """

    median: NDArray[np.float64]
    mad: NDArray[np.float64]
    largest: NDArray[np.int16]
    smallest: NDArray[np.int16]
    peak_to_peak: NDArray[np.int32]
    n_samples: int


def measure_noise(
    band: RecordedBand,
    *,
    n_snippets: int = N_SNIPPETS,
    snippet_s: float = SNIPPET_S,
    seed: int = 0,
) -> ChannelNoise:
    """Measure the samples of each voltage channel of a band.

    Parameters
    ----------
    band : RecordedBand
        Raw or compressed, here or far away.
    n_snippets : int, optional
        Equal parts of the recording, of each of which one snippet is read.
    snippet_s : float, optional
        Length of a snippet in seconds. A recording that is no longer than all snippets together is
        read whole.
    seed : int, optional
        Of the place of each snippet in its part: the same seed reads the same samples.

    Returns
    -------
    ChannelNoise
        One entry a voltage channel, in file order; by default of 5 s, for which 115 MB are held of
        384 channels at 30 kHz, however long the recording is.

    Raises
    ------
    FormatError
        When the band has no samples, or a parameter makes no sense.
    """
    if not (n_snippets >= 1 and snippet_s > 0):
        raise FormatError(f"n_snippets={n_snippets} and snippet_s={snippet_s} must be positive.")
    if not band.n_samples:
        raise FormatError(f"{band.name} has no samples.", hint="Is it the right recording?")
    columns = band.signal_channels
    n_each = max(1, round(snippet_s * band.sampling_rate_hz))
    data = np.concatenate(
        [
            np.asarray(band.samples[start:stop])[:, columns]
            for start, stop in snippet_ranges(band.n_samples, n_snippets, n_each, seed)
        ]
    )
    median, mad = _medians(data)
    largest, smallest = data.max(axis=0), data.min(axis=0)
    return ChannelNoise(
        median=median,
        mad=mad,
        largest=largest,
        smallest=smallest,
        peak_to_peak=largest.astype(np.int32) - smallest,
        n_samples=len(data),
    )


def snippet_ranges(
    n_samples: int, n_snippets: int, n_each: int, seed: int
) -> list[tuple[int, int]]:
    """Return where snippets begin and end: one at random in each of equal parts.

    Parameters
    ----------
    n_samples : int
        Of the recording.
    n_snippets, n_each : int
        Number of snippets, and samples of each.
    seed : int
        Of the places.

    Returns
    -------
    list of (int, int)
        Half-open, ascending, not overlapping; the whole recording if it is shorter than them.
    """
    if n_samples <= n_snippets * n_each:
        return [(0, n_samples)]
    edges = np.linspace(0, n_samples, n_snippets + 1).astype(np.int64)
    places = np.random.default_rng(seed)
    starts = [
        int(places.integers(first, stop - n_each, endpoint=True))
        for first, stop in pairwise(edges.tolist())
    ]
    return [(start, start + n_each) for start in starts]


def _medians(data: NDArray[np.int16]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the median, and the median distance from it, of each column."""
    medians, mads = np.empty(data.shape[1]), np.empty(data.shape[1])
    for first in range(0, data.shape[1], _BLOCK_CHANNELS):
        block = slice(first, first + _BLOCK_CHANNELS)
        values = data[:, block].astype(np.float64)
        medians[block] = np.median(values, axis=0)
        mads[block] = np.median(np.abs(values - medians[block]), axis=0)
    return medians, mads
