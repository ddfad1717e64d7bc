"""The waveform of a unit, measured on the voltages that were recorded.

As a sorting's own are: each spike of the band from 300 to 6000 Hz, less the median of all channels
at the same instant, and of the spikes the median. The band-pass is that of SpikeInterface, a
Butterworth filter of order 5 passed forwards and backwards.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from labdata.objects.snippets import cut_waveforms

BAND_HZ = (300.0, 6000.0)
_ORDER = 5
#: Samples before and after a snippet that the filter is given: three periods of its lower edge.
MARGIN_S = 3.0 / BAND_HZ[0]
#: Spikes that a waveform is the median of.
MAX_SPIKES = 300
#: Snippets that are held together.
_BLOCK_SPIKES = 32


def measure_waveform(
    recording: xr.Dataset,
    samples: ArrayLike,
    *,
    n_before: int,
    n_samples: int,
    max_spikes: int = MAX_SPIKES,
) -> tuple[NDArray[np.float32], int]:
    """Return the median waveform of spikes, cut from a recording, filtered and referenced.

    Parameters
    ----------
    recording : xarray.Dataset
        Kind ``recording``, of all channels of a probe: their median is taken off.
    samples : array_like of int, shape (n_spikes,)
        Samples of the spikes, as ``recording["sample_index"]`` counts them.
    n_before, n_samples : int
        Samples of the waveform before the spike, and in all.
    max_spikes : int, optional
        Of more, so many are taken, evenly over the train.

    Returns
    -------
    waveform : ndarray of float32, shape (n_samples, n_channels)
        Microvolts; NaN where no spike could be used.
    n_spikes : int
        How many spikes it is the median of. Spikes within 10 ms of an end of the recording or of
        a pause are not used, as the filter needs what is around them.
    """
    trains = np.asarray(samples, dtype=np.int64)
    at = np.linspace(0, len(trains) - 1, min(len(trains), max_spikes)).round().astype(np.int64)
    rate_hz = float(recording.attrs["sampling_rate_hz"])
    margin = int(np.ceil(MARGIN_S * rate_hz))
    first, last = -n_before - margin, n_samples - n_before + margin
    parts = [np.empty((0, n_samples, recording.sizes["channel"]), np.float32)]
    for start in range(0, len(at), _BLOCK_SPIKES):
        cut = cut_waveforms(
            recording,
            trains[at[start : start + _BLOCK_SPIKES]],
            window_ms=(first * 1e3 / rate_hz, last * 1e3 / rate_hz),
            partial="drop",
        )
        filtered = bandpass(cut["waveform"].values, rate_hz)[:, margin : margin + n_samples]
        parts.append(filtered - np.median(filtered, axis=2, keepdims=True))
    snippets = np.concatenate(parts)
    if not len(snippets):
        return np.full(snippets.shape[1:], np.nan, np.float32), 0
    return np.median(snippets, axis=0).astype(np.float32), len(snippets)


def bandpass(snippets: NDArray[np.float32], rate_hz: float) -> NDArray[np.float32]:
    """Return snippets in the band from 300 to 6000 Hz, with no shift in time.

    A filter that is passed forwards and backwards has the square of its gain and no phase, so it
    is applied as that gain on the spectrum. What is cut off at the ends rings into the snippet for
    about 10 ms.

    Parameters
    ----------
    snippets : ndarray, shape (n_spikes, n_samples, n_channels)
        Voltages.
    rate_hz : float
        Samples a second.

    Returns
    -------
    ndarray of float32, shape (n_spikes, n_samples, n_channels)

    References
    ----------
    Oppenheim & Schafer (2010) Discrete-Time Signal Processing, 7.1: the gain of a Butterworth
    filter, and the bilinear map that bends its frequencies.
    """
    n_samples = snippets.shape[1]
    level = snippets.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(snippets - level, axis=1)
    bent = np.tan(np.pi * np.fft.rfftfreq(n_samples)[1:])
    low, high = (np.tan(np.pi * min(edge / rate_hz, 0.499)) for edge in BAND_HZ)
    gain = np.zeros(spectrum.shape[1])
    gain[1:] = 1.0 / (1.0 + ((bent**2 - low * high) / (bent * (high - low))) ** (2 * _ORDER))
    return np.fft.irfft(spectrum * gain[:, None], n_samples, axis=1).astype(np.float32)
