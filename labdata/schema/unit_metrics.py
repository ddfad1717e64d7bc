"""Quality and shape of units, from their spikes, amplitudes, positions and median waveform.

The numbers themselves are those of :mod:`.train_metrics` and :mod:`.waveform_metrics`. One that
cannot be computed is None, which the database stores as NULL and criteria treat as not met.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .train_metrics import (
    amplitude_cutoff,
    amplitude_drift,
    contamination_hill,
    contamination_llobet,
    count_violating_pairs,
    count_violations,
    drift_metrics,
    firing_range,
    presence_ratio,
)
from .waveform_metrics import waveform_shape

#: A channel belongs to a unit's span if its waveform is this share of the largest.
SPAN_SHARE = 0.2
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


def known_places(positions_um: NDArray[Any] | None) -> NDArray[Any] | None:
    """Return the places that are known; None if none is.

    Parameters
    ----------
    positions_um : ndarray of float, shape (n_spikes, 2) or None
        Place of each spike; NaN where it could not be computed.
    """
    if positions_um is None:
        return None
    known = np.asarray(positions_um)[np.isfinite(positions_um).all(axis=1)]
    return known if len(known) else None


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

    Amplitudes, places and channels that are NaN are left out, of the numbers that come of them.

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
    if unit.amplitudes_uv is not None:
        known = np.isfinite(unit.amplitudes_uv)
        if known.any():
            amplitudes_uv = unit.amplitudes_uv[known]
            metrics["spike_amplitude"] = float(np.median(amplitudes_uv))
            metrics["amplitude_cutoff"] = amplitude_cutoff(amplitudes_uv)
            metrics["amplitude_drift"] = amplitude_drift(seconds[known], amplitudes_uv, duration_s)
    positions_um = known_places(unit.positions_um)
    if positions_um is not None:
        known = np.isfinite(np.asarray(unit.positions_um)).all(axis=1)
        metrics |= drift_metrics(seconds[known], positions_um[:, 1], duration_s)
    if unit.waveform_uv is not None:
        metrics |= _shape_metrics(unit, recording, positions_um)
    return metrics


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


def _shape_metrics(
    unit: UnitData, recording: RecordingData, positions_um: NDArray[Any] | None
) -> dict[str, Any]:
    """Return what comes of a waveform; nothing of a flat one."""
    waveform = np.asarray(unit.waveform_uv, dtype="float64")
    known = np.isfinite(waveform).all(axis=0)
    waveform, channels = waveform[:, known], np.asarray(unit.waveform_channels)[known]
    height = np.ptp(waveform, axis=0) if len(waveform) else np.empty(0)
    if not height.any():
        return {}
    best = int(np.argmax(height))
    channel = int(channels[best])
    spanned = channels[height >= SPAN_SHARE * height[best]]
    same_shank = spanned[recording.shank[spanned] == recording.shank[channel]]
    weights = height[np.isin(channels, same_shank)]
    coords = recording.coords_um[same_shank]
    position = np.average(coords, axis=0, weights=weights)
    if positions_um is not None:
        position = place_of_spikes(positions_um)
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
        "snr": _snr(waveform[:, best], unit.noise_uv),
    }


def _snr(waveform_uv: FloatArray, noise_uv: float | None) -> float | None:
    if noise_uv is None or not noise_uv > 0:  # nor of NaN
        return None
    return float(np.abs(waveform_uv).max() / noise_uv)
