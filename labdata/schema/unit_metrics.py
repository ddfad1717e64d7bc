"""Quality and shape of units, from their spikes, amplitudes, positions and median waveform.

Each number has one function and one source. Where it cannot be computed it is None, which the
database stores as NULL and criteria treat as not met.

References
----------
Hill, Mehta & Kleinfeld (2011) J Neurosci 31:8699, quality metrics to accompany spike sorting.
Jia et al. (2019) J Neurophysiol 121:1831, features of waveforms on high-density probes.
Llobet, Wyngaard & Barbour (2022) bioRxiv 2022.02.08.479192, automatic post-processing.

SpikeInterface has the same numbers of the same spikes, but for what a test of both states.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

REFRACTORY_S = 1.5e-3
#: A channel belongs to a unit's span if its waveform is this share of the largest.
SPAN_SHARE = 0.2
#: Bins of the firing rate, s; SpikeInterface's.
RATE_BIN_S = 5.0
#: A bin's median depth counts from this many spikes on; of fewer it is mostly noise.
DRIFT_MIN_SPIKES = 20
#: Spikes at either end of a recording for its drift of amplitude.
AMPLITUDE_MIN_SPIKES = 10
#: How long after the peak its slope is measured, ms; SpikeInterface's.
RECOVERY_MS = 0.7
#: Metrics that mean nothing where waveform and amplitudes are not in uV.
IN_UV = frozenset(
    {"spike_amplitude", "trough_amplitude", "peak_amplitude", "trough_gradient", "peak_gradient"}
)
#: Metrics, but for the place, that a unit without a waveform does not have.
OF_WAVEFORM = frozenset(
    {
        "channel_index",
        "n_electrodes_spanned",
        "span_um",
        "snr",
        "spike_duration",
        "trough_time",
        "trough_amplitude",
        "fw3m",
        "trough_gradient",
        "peak_gradient",
        "peak_time",
        "peak_amplitude",
        "polarity",
    }
)

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class UnitData:
    """What the metrics of one unit are computed from.

    Attributes
    ----------
    samples : ndarray of int64, shape (n,)
        Spike samples, in order.
    amplitudes_uv : ndarray, shape (n,) or None
        Height of each spike, uV, positive.
    positions_um : ndarray, shape (n, 2) or None
        x and depth of each spike.
    waveform_uv : ndarray, shape (n_samples, n_channels) or None
        Median waveform.
    waveform_channels : ndarray of int64, shape (n_channels,)
        Rows of the probe's channel table that the waveform covers.
    noise_uv : float or None
        Standard deviation of the noise on the channel of the largest waveform.
    """

    samples: NDArray[np.int64]
    amplitudes_uv: NDArray[Any] | None
    positions_um: NDArray[Any] | None
    waveform_uv: NDArray[Any] | None
    waveform_channels: NDArray[Any]
    noise_uv: float | None = None


@dataclass(frozen=True)
class RecordingData:
    """The recording that the units are of.

    Attributes
    ----------
    sampling_rate_hz : float
        Nominal.
    n_samples : int
        Length.
    coords_um : ndarray, shape (n_channels, 2)
        Positions of the probe's channels.
    shank : ndarray, shape (n_channels,)
        Their shanks.
    """

    sampling_rate_hz: float
    n_samples: int
    coords_um: FloatArray
    shank: NDArray[Any]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.sampling_rate_hz


def place_of_spikes(positions_um: NDArray[Any]) -> FloatArray:
    """Return where a unit is, x and depth in um: the median of its spikes' places.

    Parameters
    ----------
    positions_um : ndarray of float, shape (n_spikes, 2)
        Place of each spike.
    """
    return np.asarray(np.median(positions_um, axis=0), np.float64)


def compute_unit_metrics(unit: UnitData, recording: RecordingData) -> dict[str, Any]:
    """Return the attributes of UnitMetrics for one unit.

    Parameters
    ----------
    unit : UnitData
        The unit.
    recording : RecordingData
        Its recording.
    """
    seconds = unit.samples / recording.sampling_rate_hz
    duration_s = recording.duration_s
    violations = count_violations(unit.samples, recording.sampling_rate_hz)
    pairs = count_violating_pairs(unit.samples, recording.sampling_rate_hz)
    metrics: dict[str, Any] = {
        "num_spikes": len(seconds),
        "firing_rate": len(seconds) / duration_s,
        "n_isi_violations": violations,
        "isi_contamination": contamination_llobet(len(seconds), pairs, duration_s),
        "isi_contamination_hill": contamination_hill(len(seconds), violations, duration_s),
        "presence_ratio": presence_ratio(seconds, duration_s),
        "firing_range": firing_range(seconds, duration_s),
    }
    if unit.amplitudes_uv is not None and len(unit.amplitudes_uv):
        metrics["spike_amplitude"] = float(np.median(unit.amplitudes_uv))
        metrics["amplitude_cutoff"] = amplitude_cutoff(unit.amplitudes_uv)
        metrics["amplitude_drift"] = amplitude_drift(seconds, unit.amplitudes_uv, duration_s)
    if unit.positions_um is not None and len(unit.positions_um):
        metrics |= drift_metrics(seconds, unit.positions_um[:, 1], duration_s)
    if unit.waveform_uv is not None and np.any(unit.waveform_uv):
        metrics |= _shape_metrics(unit, recording)
    return metrics


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
    # a spike at the last edge is of no whole bin
    bins = np.floor(seconds / RATE_BIN_S + 1e-9).astype("int64")
    rates = np.bincount(bins[bins < n_bins], minlength=n_bins) / RATE_BIN_S
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
    bins = np.minimum((seconds / duration_s * n_bins).astype(int), n_bins - 1)
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


def waveform_shape(waveform_uv: FloatArray, sampling_rate_hz: float) -> dict[str, Any]:
    """Return shape and times of a waveform's trough and the peak after it.

    Parameters
    ----------
    waveform_uv : ndarray, shape (n_samples,)
        One channel's waveform.
    sampling_rate_hz : float
        Its rate.

    Returns
    -------
    dict
        Times in ms from the first sample, amplitudes in uV, ``fw3m`` the full width at a third of
        the trough in ms, ``trough_gradient`` and ``peak_gradient`` in uV/ms.
    """
    to_ms = 1e3 / sampling_rate_hz
    trough = int(np.argmin(waveform_uv))
    peak = trough + int(np.argmax(waveform_uv[trough:]))
    deep = waveform_uv <= waveform_uv[trough] / 3.0
    left, right = trough, trough
    while left > 0 and deep[left - 1]:
        left -= 1
    while right < len(deep) - 1 and deep[right + 1]:
        right += 1
    return {
        "trough_time": trough * to_ms,
        "trough_amplitude": float(waveform_uv[trough]),
        "peak_time": peak * to_ms,
        "peak_amplitude": float(waveform_uv[peak]),
        "spike_duration": (peak - trough) * to_ms,
        "fw3m": (right - left + 1) * to_ms,
        "polarity": -1 if -waveform_uv[trough] >= waveform_uv.max() else 1,
        "trough_gradient": trough_gradient(waveform_uv, sampling_rate_hz),
        "peak_gradient": peak_gradient(waveform_uv, sampling_rate_hz),
    }


def trough_gradient(waveform_uv: FloatArray, sampling_rate_hz: float) -> float | None:
    """Return the slope of repolarisation: a line through trough to the return to baseline.

    Jia et al. 2019; fitted to the samples from the trough to the last below zero, as
    ``repolarization_slope`` of SpikeInterface is, in uV/s there.

    Parameters
    ----------
    waveform_uv : ndarray, shape (n_samples,)
        One channel's waveform.
    sampling_rate_hz : float
        Its rate.

    Returns
    -------
    float or None
        uV/ms; None if it does not return, or within three samples.
    """
    trough = int(np.argmin(waveform_uv))
    returned = np.flatnonzero(waveform_uv[trough:] >= 0)
    if trough == 0 or len(returned) == 0 or returned[0] < 3:
        return None
    return _slope(waveform_uv[trough : trough + int(returned[0])], sampling_rate_hz)


def peak_gradient(waveform_uv: FloatArray, sampling_rate_hz: float) -> float | None:
    """Return the slope of recovery: a line through the 0.7 ms from the peak after the trough.

    Jia et al. 2019; as ``recovery_slope`` of SpikeInterface, in uV/s there.

    Parameters
    ----------
    waveform_uv : ndarray, shape (n_samples,)
        One channel's waveform.
    sampling_rate_hz : float
        Its rate.

    Returns
    -------
    float or None
        uV/ms; None with fewer than three samples after the peak.
    """
    trough = int(np.argmin(waveform_uv))
    peak = trough + int(np.argmax(waveform_uv[trough:]))
    after = waveform_uv[peak : int(peak + RECOVERY_MS / 1e3 * sampling_rate_hz)]
    return _slope(after, sampling_rate_hz) if len(after) >= 3 else None


def _slope(values_uv: FloatArray, sampling_rate_hz: float) -> float:
    """Return the slope of the line of least squares, uV/ms."""
    times_ms = np.arange(len(values_uv)) * 1e3 / sampling_rate_hz
    centred = times_ms - times_ms.mean()
    return float(centred @ (values_uv - values_uv.mean()) / (centred @ centred))


def make_unit_metrics(table: Any, key: dict[str, Any]) -> None:
    """Compute and insert the metrics of one unit; see :class:`UnitMetrics`."""
    lab = table.lab
    unit = (lab.SpikeSorting.Unit & key).fetch1()
    wave = (lab.SpikeSorting.Waveforms & key).fetch(as_dict=True)
    recording = recording_data(lab, key)
    channels = np.arange(len(recording.coords_um))
    if wave and wave[0]["waveform_channels"] is not None:
        channels = wave[0]["waveform_channels"]
    data = UnitData(
        unit["spike_times"],
        unit["spike_amplitudes"],
        unit["spike_positions"],
        wave[0]["waveform_median"] if wave else None,
        channels,
        wave[0]["waveform_noise"] if wave else None,
    )
    table.insert1({**key, **compute_unit_metrics(data, recording)})


def recording_data(lab: Any, key: dict[str, Any]) -> RecordingData:
    """Return what metrics need to know of the recording of a unit or sorting.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : dict
        Of a probe, or of what was made of it.
    """
    setting = (lab.EphysRecording.ProbeSetting * lab.ProbeConfiguration & key).fetch1()
    n_samples = setting["n_samples"]
    if n_samples is None:  # of recordings from an older lab
        whole = (lab.EphysRecording & key).fetch1("recording_duration")
        n_samples = round(whole * setting["sampling_rate"])
    return RecordingData(
        setting["sampling_rate"],
        int(n_samples),
        setting["channel_coords"],
        setting["channel_shank"],
    )


def _shape_metrics(unit: UnitData, recording: RecordingData) -> dict[str, Any]:
    waveform = np.asarray(unit.waveform_uv, dtype="float64")
    height = np.ptp(waveform, axis=0)
    best = int(np.argmax(height))
    channels = np.asarray(unit.waveform_channels)
    channel = int(channels[best])
    spanned = channels[height >= SPAN_SHARE * height[best]]
    same_shank = spanned[recording.shank[spanned] == recording.shank[channel]]
    weights = height[np.isin(channels, same_shank)]
    coords = recording.coords_um[same_shank]
    position = np.average(coords, axis=0, weights=weights)
    if unit.positions_um is not None and len(unit.positions_um):
        position = place_of_spikes(unit.positions_um)
    distances = np.linalg.norm(coords - recording.coords_um[channel], axis=1)
    return {
        **waveform_shape(waveform[:, best], recording.sampling_rate_hz),
        "position": position,
        "depth": float(position[1]),
        "shank": int(recording.shank[channel]),
        "channel_index": channel,
        "n_electrodes_spanned": len(spanned),
        "span_um": float(distances.max()),
        "active_electrodes": spanned.astype("int64"),
        "snr": float(np.abs(waveform[:, best]).max() / unit.noise_uv) if unit.noise_uv else None,
    }


def _n_bins(duration_s: float) -> int:
    return max(10, round(duration_s / 60.0))


def _rates(seconds: FloatArray, duration_s: float) -> FloatArray:
    n_bins = _n_bins(duration_s)
    counts, _ = np.histogram(seconds, n_bins, range=(0.0, duration_s))
    return counts / (duration_s / n_bins)
