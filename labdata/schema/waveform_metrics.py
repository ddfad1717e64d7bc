"""Shape of a unit's waveform on one channel: trough, peak, width, slopes.

References
----------
Jia et al. (2019) J Neurophysiol 121:1831, features of waveforms on high-density probes.

SpikeInterface has the same numbers of the same waveform, but for what a test of both states.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: How long after the peak its slope is measured, ms; SpikeInterface's.
RECOVERY_MS = 0.7


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
