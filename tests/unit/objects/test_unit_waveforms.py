"""Waveforms measured on a recording, against SciPy's filter and SpikeInterface's waveforms."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from labdata.objects import wrap_recording
from labdata.objects.unit_waveforms import bandpass, measure_waveform

RATE_HZ = 30_000.0


def make_recording(voltage, segment=None):
    n = len(voltage)
    coords = {"sample_index": xr.Variable("time", np.arange(n))}
    if segment is not None:
        coords["segment"] = xr.Variable("time", np.asarray(segment, "int32"))
    return wrap_recording(
        xr.Variable(("time", "channel"), np.asarray(voltage, "float32")),
        xr.Variable("time", np.arange(n) / RATE_HZ),
        stream="imec0",
        sync={"clock": "imec0"},
        channel=np.arange(voltage.shape[1], dtype="int32"),
        channel_coords={},
        sample_coords=coords,
        indexed=False,
        attrs={"sampling_rate_hz": RATE_HZ},
    )


@pytest.fixture(scope="module")
def voltage():
    """Noise with slow waves on an offset, as a raw recording has them, and spikes of one unit."""
    rng = np.random.default_rng(5)
    n = 90_000
    slow = 80 * np.sin(2 * np.pi * 7 * np.arange(n) / RATE_HZ)
    found = rng.normal(0, 8, (n, 6)) + slow[:, None] + np.linspace(-40, 900, 6)
    samples = np.sort(rng.choice(np.arange(600, n - 600, 97), 400, replace=False))
    shape = -90 * np.exp(-0.5 * ((np.arange(-30, 60)) / 4.0) ** 2)
    for sample in samples:
        found[sample - 30 : sample + 60, 2] += shape
        found[sample - 30 : sample + 60, 3] += 0.4 * shape
    return found, samples


@pytest.mark.parametrize("rate_hz", [30_000.0, 20_000.0])
def test_the_band_is_that_of_scipys_filter_passed_both_ways(rate_hz) -> None:
    signal = pytest.importorskip("scipy.signal", reason="needs scipy")
    noise = np.random.default_rng(0).normal(0, 20, (2, 6000, 3)).astype("float32") + 500
    sos = signal.butter(5, (300, 6000), "bandpass", fs=rate_hz, output="sos")
    wanted = signal.sosfiltfilt(sos, noise, axis=1)
    inside = slice(1000, 5000)  # the two treat what is beyond the ends differently
    np.testing.assert_allclose(bandpass(noise, rate_hz)[:, inside], wanted[:, inside], atol=1e-3)


def test_a_waveform_is_that_of_spikeinterface(voltage) -> None:
    si = pytest.importorskip("spikeinterface", reason="needs spikeinterface")
    import spikeinterface.preprocessing as spre

    values, samples = voltage
    raw = si.NumpyRecording([values.astype("float32")], RATE_HZ)
    filtered = spre.common_reference(spre.bandpass_filter(raw, 300.0, 6000.0, dtype="float32"))
    traces = filtered.get_traces()
    cut = np.stack([traces[s - 30 : s + 60] for s in samples])
    found, n_spikes = measure_waveform(
        make_recording(values), samples, n_before=30, n_samples=90, max_spikes=1000
    )
    assert (n_spikes, found.shape, found.dtype) == (400, (90, 6), np.float32)
    # the largest difference is that of filters which end at the ends of a snippet, 10 ms away
    np.testing.assert_allclose(found, np.median(cut, axis=0), atol=0.3)
    assert np.abs(found).max() > 60


def test_of_many_spikes_some_are_taken_over_the_whole_train(voltage) -> None:
    values, samples = voltage
    recording = make_recording(values)
    found, n_spikes = measure_waveform(recording, samples, n_before=20, n_samples=50, max_spikes=5)
    chosen = samples[[0, 100, 200, 299, 399]]
    same, _ = measure_waveform(recording, chosen, n_before=20, n_samples=50)
    assert n_spikes == 5
    np.testing.assert_array_equal(found, same)


def test_spikes_near_an_end_or_a_pause_are_not_used(voltage) -> None:
    values, _ = voltage
    segment = np.arange(len(values)) >= 45_000
    recording = make_recording(values, segment)
    near = [100, 44_900, 45_100, len(values) - 50]
    found, n_spikes = measure_waveform(recording, near, n_before=20, n_samples=50)
    assert n_spikes == 0 and np.isnan(found).all() and found.shape == (50, 6)
    _, n_spikes = measure_waveform(recording, [*near, 20_000], n_before=20, n_samples=50)
    assert n_spikes == 1
    _, n_spikes = measure_waveform(recording, [], n_before=20, n_samples=50)
    assert n_spikes == 0
