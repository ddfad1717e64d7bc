"""Quality of a unit from its spikes: refractory violations, presence, amplitudes, depths.

Each number has one function and one source. Where it cannot be computed it is None.

References
----------
Hill, Mehta & Kleinfeld (2011) J Neurosci 31:8699, quality metrics to accompany spike sorting.
Llobet, Wyngaard & Barbour (2022) bioRxiv 2022.02.08.479192, automatic post-processing.

SpikeInterface has the same numbers of the same spikes, but for what a test of both states.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

REFRACTORY_S = 1.5e-3

#: Bins of the firing rate, s; SpikeInterface's.
RATE_BIN_S = 5.0

#: A bin's median depth counts from this many spikes on; of fewer it is mostly noise.
DRIFT_MIN_SPIKES = 20

#: Spikes at either end of a recording for its drift of amplitude.
AMPLITUDE_MIN_SPIKES = 10


def count_violations(
    samples: NDArray[np.int64], sampling_rate_hz: float, *, refractory_s: float = REFRACTORY_S
) -> int:
    """Return how many intervals are shorter than the refractory period.

    Parameters
    ----------
    samples : ndarray of int64, shape (n,)
        Spike samples, in order. Not seconds: an interval of exactly the period would count or
        not by rounding.
    sampling_rate_hz : float
        Their rate.
    refractory_s : float, optional
        The period.
    """
    return int(np.count_nonzero(np.diff(samples) < _whole(refractory_s * sampling_rate_hz)))


def count_violating_pairs(
    samples: NDArray[np.int64], sampling_rate_hz: float, *, refractory_s: float = REFRACTORY_S
) -> int:
    """Return how many pairs of spikes, neighbours or not, are closer than the refractory period.

    Parameters
    ----------
    samples : ndarray of int64, shape (n,)
        Spike samples, in order.
    sampling_rate_hz : float
        Their rate.
    refractory_s : float, optional
        The period.
    """
    period = math.ceil(_whole(refractory_s * sampling_rate_hz))
    after = np.searchsorted(samples, np.asarray(samples) + period, side="left")
    return int(np.sum(after - np.arange(len(samples)) - 1))


def _whole(n_samples: float) -> float:
    """Round a period to whole samples where only floating point keeps it from being whole."""
    return round(n_samples) if abs(n_samples - round(n_samples)) < 1e-6 else n_samples


def contamination_llobet(
    n: int, pairs: int, duration_s: float, *, refractory_s: float = REFRACTORY_S
) -> float | None:
    """Return the estimated share of foreign spikes, by Llobet et al. 2022 (independent source).

    Parameters
    ----------
    n, pairs : int
        Spikes, and pairs of spikes within the refractory period.
    duration_s : float
        Length of the recording.
    refractory_s : float, optional
        Refractory period.

    Returns
    -------
    float or None
        1 where the violations are more than chance explains; None without two spikes.
    """
    if n < 2:
        return None
    inside = 1.0 - pairs * duration_s / (n**2 * refractory_s)
    return float(1.0 - np.sqrt(inside)) if inside >= 0 else 1.0


def contamination_hill(
    n: int, violations: int, duration_s: float, *, refractory_s: float = REFRACTORY_S
) -> float | None:
    """Return the share of foreign spikes by Hill et al. 2011: r = 2 tau N^2 (1 - F) F / T.

    Parameters
    ----------
    n, violations : int
        Spikes and refractory violations.
    duration_s : float
        Length of the recording.
    refractory_s : float, optional
        Refractory period.

    Returns
    -------
    float or None
        The smaller root F, at most 0.5 (where the equation has none); None without two spikes.
    """
    if n < 2:
        return None
    inside = 1.0 - 2.0 * violations * duration_s / (refractory_s * n**2)
    return float((1.0 - np.sqrt(inside)) / 2.0) if inside >= 0 else 0.5


def presence_ratio(seconds: FloatArray, duration_s: float) -> float:
    """Return the share of time bins with a spike: 60 s long, or a tenth of a shorter recording.

    Parameters
    ----------
    seconds : ndarray, shape (n,)
        Spike times.
    duration_s : float
        Length of the recording.
    """
    return float(np.mean(_rates(seconds, duration_s) > 0))


def firing_range(seconds: FloatArray, duration_s: float) -> float | None:
    """Return the spread of the firing rate over time, 5th to 95th percentile, Hz.

    The rate is that of whole bins of 5 s, as in SpikeInterface; in longer bins bursts and pauses
    of seconds average out.

    Parameters
    ----------
    seconds : ndarray, shape (n,)
        Spike times.
    duration_s : float
        Length of the recording.

    Returns
    -------
    float or None
        None of a recording shorter than a bin.
    """
    n_bins = int(duration_s / RATE_BIN_S + 1e-9)
    if n_bins == 0:
        return None
    # a spike at the last edge is of no whole bin, nor is one outside the recording
    bins = np.floor(seconds / RATE_BIN_S + 1e-9).astype("int64")
    rates = np.bincount(bins[(bins >= 0) & (bins < n_bins)], minlength=n_bins) / RATE_BIN_S
    low, high = np.percentile(rates, (5, 95))
    return float(high - low)


def amplitude_drift(
    seconds: FloatArray, amplitudes_uv: NDArray[Any], duration_s: float
) -> float | None:
    """Return the median amplitude in the last fifth of a recording over that in the first.

    1 is no drift. It is a ratio, so that the unit of the amplitudes does not matter. Own
    definition; SpikeInterface has the spread of amplitudes in bins instead, which does not say
    if a unit was fading.

    Parameters
    ----------
    seconds : ndarray, shape (n,)
        Spike times.
    amplitudes_uv : ndarray, shape (n,)
        Positive amplitudes.
    duration_s : float
        Length of the recording.

    Returns
    -------
    float or None
        None with fewer than ten spikes in either fifth.
    """
    first = amplitudes_uv[seconds < 0.2 * duration_s]
    last = amplitudes_uv[seconds >= 0.8 * duration_s]
    if min(len(first), len(last)) < AMPLITUDE_MIN_SPIKES or np.median(first) <= 0:
        return None
    return float(np.median(last) / np.median(first))


def amplitude_cutoff(amplitudes_uv: NDArray[Any], *, n_bins: int = 100) -> float | None:
    """Return the share of spikes missed below threshold, by symmetry of the amplitudes.

    Hill et al. 2011: the histogram, smoothed, is mirrored at its peak; what lies beyond the last
    bin that is as high as the lowest amplitude's has no counterpart, so as much is missing. The
    share is of all spikes, the missing ones included.

    Parameters
    ----------
    amplitudes_uv : ndarray, shape (n,)
        Positive amplitudes.
    n_bins : int, optional
        Bins of the histogram.

    Returns
    -------
    float or None
        At most 0.5; None with fewer than five spikes a bin, where the histogram says nothing.
    """
    if len(amplitudes_uv) < 5 * n_bins:
        return None
    counts, _ = np.histogram(amplitudes_uv, n_bins)
    x = np.arange(-12, 13)
    kernel = np.exp(-0.5 * (x / 3.0) ** 2)
    smooth = np.convolve(np.pad(counts, 12, mode="edge"), kernel / kernel.sum(), "valid")
    mirrored = int(np.flatnonzero(smooth >= smooth[0])[-1])
    missing = float(smooth[mirrored + 1 :].sum())
    return min(missing / (len(amplitudes_uv) + missing), 0.5)


def drift_metrics(
    seconds: FloatArray, depth_um: NDArray[Any], duration_s: float
) -> dict[str, float | None]:
    """Return how the depth of spikes moved, from its medians in bins of time, um.

    The bins are those of :func:`presence_ratio`; one with fewer than 20 spikes is left out.

    Parameters
    ----------
    seconds : ndarray, shape (n,)
        Spike times.
    depth_um : ndarray, shape (n,)
        Depth of each spike.
    duration_s : float
        Length of the recording.

    Returns
    -------
    dict
        ``depth_drift_range`` from the lowest median to the highest, ``depth_drift_fluctuation``
        the median absolute deviation of the medians, ``depth_drift_start_to_end`` the last less
        the first; None where fewer than half of the bins count.
    """
    n_bins = _n_bins(duration_s)
    bins = np.clip((seconds / duration_s * n_bins).astype(int), 0, n_bins - 1)
    counts = np.bincount(bins, minlength=n_bins)
    valid = np.flatnonzero(counts >= DRIFT_MIN_SPIKES)
    if len(valid) < n_bins / 2:
        names = ("depth_drift_range", "depth_drift_fluctuation", "depth_drift_start_to_end")
        return dict.fromkeys(names)
    medians = np.array([np.median(depth_um[bins == b]) for b in valid])
    return {
        "depth_drift_range": float(np.ptp(medians)),
        "depth_drift_fluctuation": float(np.median(np.abs(medians - np.median(medians)))),
        "depth_drift_start_to_end": float(medians[-1] - medians[0]),
    }


def _n_bins(duration_s: float) -> int:
    return max(10, round(duration_s / 60.0))


def _rates(seconds: FloatArray, duration_s: float) -> FloatArray:
    n_bins = _n_bins(duration_s)
    counts, _ = np.histogram(seconds, n_bins, range=(0.0, duration_s))
    return counts / (duration_s / n_bins)
