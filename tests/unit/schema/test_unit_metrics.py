"""Metrics of units against brute force, planted truth and SpikeInterface."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labdata.schema.train_metrics import (
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
from labdata.schema.unit_metrics import RecordingData, UnitData, compute_unit_metrics
from labdata.schema.waveform_metrics import peak_gradient, trough_gradient, waveform_shape

RATE_HZ = 30000.0
SAMPLES = st.lists(st.integers(0, 3000), max_size=40).map(lambda v: np.sort(np.array(v, "int64")))


@given(SAMPLES)
def test_violations_by_brute_force(samples: np.ndarray) -> None:
    pairs = list(itertools.combinations(samples.tolist(), 2))
    assert count_violating_pairs(samples, RATE_HZ) == sum(b - a < 45 for a, b in pairs)
    neighbours = zip(samples[:-1].tolist(), samples[1:].tolist(), strict=True)
    assert count_violations(samples, RATE_HZ) == sum(b - a < 45 for a, b in neighbours)


def test_an_interval_of_exactly_the_period_is_none_wherever_it_lies() -> None:
    for start in (0, 1, 12345, 10**9 + 7):
        samples = start + 45 * np.arange(1000)
        assert count_violations(samples, RATE_HZ) == 0
        assert count_violating_pairs(samples, RATE_HZ) == 0
        assert count_violations(start + 44 * np.arange(1000), RATE_HZ) == 999


def test_a_rate_that_makes_no_whole_period() -> None:
    assert count_violations(np.array([0, 45, 91]), 30001.5) == 1  # 45 < 45.002 < 46


def poisson(rng: np.random.Generator, rate_hz: float, duration_s: float) -> np.ndarray:
    n = rng.poisson(rate_hz * duration_s)
    return np.sort(rng.integers(0, int(duration_s * RATE_HZ), n))


def refractory(rng: np.random.Generator, rate_hz: float, duration_s: float) -> np.ndarray:
    """Return a train whose intervals are all of 3 ms or more."""
    gaps = 0.003 + rng.exponential(1 / rate_hz - 0.003, int(2 * rate_hz * duration_s))
    times = np.cumsum(gaps)
    return np.rint(times[times < duration_s] * RATE_HZ).astype("int64")


@pytest.mark.parametrize("share", [0.0, 0.05, 0.2, 0.4])
def test_contamination_finds_the_planted_share(share: float) -> None:
    rng, duration_s, found, hill = np.random.default_rng(4), 1200.0, [], []
    for _ in range(5):
        own = refractory(rng, 20.0 * (1 - share), duration_s)
        foreign = poisson(rng, 20.0 * share, duration_s)
        train = np.sort(np.concatenate([own, foreign]))
        pairs = count_violating_pairs(train, RATE_HZ)
        found.append(contamination_llobet(train.size, pairs, duration_s))
        violations = count_violations(train, RATE_HZ)
        hill.append(contamination_hill(train.size, violations, duration_s))
    assert np.mean(found) == pytest.approx(share, abs=0.02)
    if share < 0.3:  # Hill counts pairs of foreign spikes once too little
        assert np.mean(hill) == pytest.approx(share, abs=0.04)


def test_contamination_at_its_limits() -> None:
    assert contamination_llobet(1, 0, 100.0) is None
    assert contamination_hill(0, 0, 100.0) is None
    assert contamination_llobet(100, 0, 100.0) == contamination_hill(100, 0, 100.0) == 0.0
    assert contamination_llobet(100, 90, 100.0) == 1.0
    assert contamination_hill(100, 90, 100.0) == 0.5


@given(st.integers(2, 10**6), st.integers(0, 10**5), st.floats(1.0, 1e5))
def test_hill_solves_its_equation(n: int, violations: int, duration_s: float) -> None:
    share = contamination_hill(n, violations, duration_s)
    assert share is not None and 0.0 <= share <= 0.5
    if share < 0.5:
        back = 2 * 1.5e-3 * n**2 * (1 - share) * share / duration_s
        assert back == pytest.approx(violations, rel=1e-6, abs=1e-6 * n)


@pytest.mark.sorting
def test_contamination_is_spikeinterfaces() -> None:
    metrics = pytest.importorskip("spikeinterface.metrics.quality.misc_metrics")
    rng, duration_s = np.random.default_rng(1), 300.0
    n_total = int(duration_s * RATE_HZ)
    for rate_hz in (2.0, 15.0, 60.0):
        train = poisson(rng, rate_hz, duration_s)[::2].astype("int64")
        pairs = count_violating_pairs(train, RATE_HZ)
        if metrics.HAVE_NUMBA:  # it counts the period itself too, and we do not
            assert pairs == metrics._compute_nb_violations_numba(train, 44)
        theirs = metrics._compute_rp_contamination_one_unit(pairs, train.size, n_total, 0, 45)
        ours = contamination_llobet(train.size, pairs, duration_s)
        assert ours == pytest.approx(theirs, rel=1e-9)
        _, _, count = metrics.isi_violations([train / RATE_HZ], duration_s, 0.0015 - 1e-7)
        assert count_violations(train, RATE_HZ) == count


@pytest.mark.parametrize("z,missing", [(-3.0, 0.00135), (-2.0, 0.02275), (-1.0, 0.15866)])
def test_amplitude_cutoff_finds_what_was_cut(z: float, missing: float) -> None:
    rng, found = np.random.default_rng(2), []
    for _ in range(20):
        amplitudes = rng.normal(100.0, 15.0, 20_000)
        found.append(amplitude_cutoff(amplitudes[amplitudes > 100.0 + 15.0 * z]))
    assert np.mean(found) == pytest.approx(missing, abs=0.03)


def test_amplitude_cutoff_at_its_limits() -> None:
    rng = np.random.default_rng(3)
    assert amplitude_cutoff(rng.normal(100, 10, 499)) is None
    decaying = 50.0 + rng.exponential(20.0, 5000)  # the peak is at the threshold
    assert amplitude_cutoff(decaying) == pytest.approx(0.5, abs=0.03)
    assert amplitude_cutoff(np.full(1000, 80.0)) is not None


@pytest.mark.sorting
def test_amplitude_cutoff_is_spikeinterfaces() -> None:
    metrics = pytest.importorskip("spikeinterface.metrics.quality.misc_metrics")
    amplitudes = np.random.default_rng(5).normal(100.0, 15.0, 500_000)
    kept = amplitudes[amplitudes > 85.0]
    # it smooths whole numbers into whole numbers, which matters little for many spikes
    theirs = metrics.amplitude_cutoff(kept, num_histogram_bins=100)
    assert amplitude_cutoff(kept) == pytest.approx(theirs, abs=0.005)


@pytest.mark.parametrize("duration_s,n_bins", [(10.0, 10), (600.0, 10), (1800.0, 30)])
def test_presence_by_brute_force(duration_s: float, n_bins: int) -> None:
    seconds = np.sort(np.random.default_rng(6).uniform(0, duration_s / 2, 25))
    edges = [duration_s * i / n_bins for i in range(n_bins + 1)]
    bins = list(itertools.pairwise(edges))
    counts = [sum(a <= s < b for s in seconds) for a, b in bins]
    assert presence_ratio(seconds, duration_s) == pytest.approx(
        sum(c > 0 for c in counts) / n_bins
    )


@pytest.mark.parametrize("duration_s", [10.0, 63.5, 600.0])
def test_firing_range_by_brute_force(duration_s: float) -> None:
    seconds = np.sort(np.random.default_rng(6).uniform(0, duration_s, 200))
    starts = np.arange(0, duration_s - 4.999, 5.0).tolist()  # whole bins only
    rates = [sum(a <= s < a + 5 for s in seconds) / 5 for a in starts]
    expected = np.percentile(rates, 95) - np.percentile(rates, 5)
    assert firing_range(seconds, duration_s) == pytest.approx(expected)
    assert firing_range(seconds[seconds < 4], 4.0) is None


def test_amplitude_drift_of_a_planted_fading() -> None:
    seconds = np.linspace(0, 100, 1001)[:-1]
    fading = 100.0 - 0.5 * seconds  # medians 95 in the first fifth, 55 in the last
    assert amplitude_drift(seconds, fading, 100.0) == pytest.approx(55 / 95, abs=1e-3)
    for factor in (2.0, 1e-3):  # of no matter
        assert amplitude_drift(seconds, factor * fading, 100.0) == pytest.approx(55 / 95, abs=1e-3)
    early = seconds < 70
    assert amplitude_drift(seconds[early], fading[early], 100.0) is None


def test_depth_of_a_few_spikes_is_no_drift() -> None:
    rng = np.random.default_rng(8)
    seconds = np.sort(rng.uniform(0, 600, 100))  # ten a bin
    found = drift_metrics(seconds, rng.normal(1000, 30, 100), 600.0)
    assert set(found.values()) == {None}
    # two thirds of the bins have enough; a stray spike in the others is left out
    steady = np.concatenate([np.linspace(0, 399, 400), [500.0]])
    depth = np.concatenate([np.full(400, 50.0), [900.0]])
    assert drift_metrics(steady, depth, 600.0)["depth_drift_range"] == 0.0


def test_gradients_of_planted_slopes() -> None:
    waveform = np.zeros(80)
    waveform[20:31] = np.linspace(-100, 0, 11)  # 10 uV a sample: 300 uV/ms at 30 kHz
    waveform[40:61] = np.linspace(40, 0, 21)
    assert trough_gradient(waveform, RATE_HZ) == pytest.approx(300.0)
    assert peak_gradient(waveform, RATE_HZ) == pytest.approx(-60.0)
    assert trough_gradient(waveform, 2 * RATE_HZ) == pytest.approx(600.0)
    assert trough_gradient(-np.ones(20), RATE_HZ) is None  # never returns
    assert peak_gradient(waveform[:42], RATE_HZ) is None


@pytest.mark.sorting
def test_gradients_are_spikeinterfaces() -> None:
    theirs = pytest.importorskip("spikeinterface.metrics.template.metrics")
    rng = np.random.default_rng(9)
    for _ in range(20):
        waveform = spike(20, 35) + rng.normal(0, 4, 60)
        trough = int(np.argmin(waveform))
        peak = trough + int(np.argmax(waveform[trough:]))
        places = {"trough_index": trough, "peak_after_index": peak}
        slope = theirs.get_repolarization_slope(waveform, RATE_HZ, places)
        assert trough_gradient(waveform, RATE_HZ) == pytest.approx(slope / 1e3)
        slope = theirs.get_recovery_slope(waveform, RATE_HZ, places, recovery_window_ms=0.7)
        assert peak_gradient(waveform, RATE_HZ) == pytest.approx(slope / 1e3)


def test_drift_of_a_planted_movement() -> None:
    seconds = np.linspace(0, 600, 6001)[:-1]
    depth = 1000.0 + 30.0 * (seconds // 60)
    found = drift_metrics(seconds, depth, 600.0)
    assert found["depth_drift_start_to_end"] == 270.0
    assert found["depth_drift_range"] == 270.0
    assert found["depth_drift_fluctuation"] == 75.0
    still = drift_metrics(seconds, np.full(6000, 5.0), 600.0)
    assert set(still.values()) == {0.0}


def spike(trough: int, peak: int) -> np.ndarray:
    waveform = np.zeros(60)
    waveform[trough - 3 : trough + 4] = [-10, -40, -80, -120, -80, -40, -10]
    waveform[peak] = 35.0
    return waveform


def test_shape_of_a_planted_waveform() -> None:
    shape = waveform_shape(spike(20, 35), RATE_HZ)
    assert shape["trough_time"] == pytest.approx(20 / 30)
    assert shape["peak_time"] == pytest.approx(35 / 30)
    assert shape["spike_duration"] == pytest.approx(15 / 30)
    assert (shape["trough_amplitude"], shape["peak_amplitude"]) == (-120.0, 35.0)
    assert shape["fw3m"] == pytest.approx(5 / 30)
    assert shape["polarity"] == -1
    assert waveform_shape(-spike(20, 35), RATE_HZ)["polarity"] == 1


COORDS = np.array([[0.0, 0.0], [0.0, 15.0], [0.0, 30.0], [250.0, 0.0], [0.0, 300.0]])
RECORDING = RecordingData(RATE_HZ, 3_000_000, COORDS, np.array([0, 0, 0, 1, 0]))


def unit(**changes: Any) -> UnitData:
    waveform = np.outer(spike(20, 35), [0.5, 1.0, 0.25, 0.3, 0.1])
    content: dict[str, Any] = dict(
        samples=np.arange(0, 3_000_000, 1000),
        amplitudes_uv=np.full(3000, 120.0),
        positions_um=None,
        waveform_uv=waveform,
        waveform_channels=np.arange(5),
        noise_uv=8.0,
    )
    return UnitData(**(content | changes))


def test_metrics_of_a_unit() -> None:
    found = compute_unit_metrics(unit(), RECORDING)
    assert found["num_spikes"] == 3000
    assert found["firing_rate"] == pytest.approx(30.0)
    assert found["n_isi_violations"] == 0
    assert found["presence_ratio"] == 1.0
    assert found["spike_amplitude"] == 120.0
    assert (found["channel_index"], found["shank"]) == (1, 0)
    assert found["active_electrodes"].tolist() == [0, 1, 2, 3]
    assert found["n_electrodes_spanned"] == 4
    assert found["span_um"] == 15.0
    assert found["snr"] == pytest.approx(120.0 / 8.0)
    weights = np.array([0.5, 1.0, 0.25])
    assert found["depth"] == pytest.approx((weights @ COORDS[:3, 1]) / weights.sum())
    assert found["position"][0] == 0.0, "the other shank does not pull the unit away"


def test_positions_of_spikes_go_before_the_waveform() -> None:
    positions = np.column_stack([np.full(3000, 4.0), np.full(3000, 21.0)]).astype("float32")
    found = compute_unit_metrics(unit(positions_um=positions), RECORDING)
    assert found["position"].tolist() == [4.0, 21.0]
    assert found["depth"] == 21.0


def test_a_waveform_on_some_channels_names_the_probes_channels() -> None:
    waveform = np.outer(spike(20, 35), [0.2, 1.0])
    found = compute_unit_metrics(
        unit(waveform_uv=waveform, waveform_channels=np.array([2, 4])), RECORDING
    )
    assert found["channel_index"] == 4
    assert found["active_electrodes"].tolist() == [2, 4]
    assert found["span_um"] == 270.0


@pytest.mark.parametrize(
    "changes,absent",
    [
        (dict(amplitudes_uv=None), {"spike_amplitude", "amplitude_cutoff"}),
        (dict(waveform_uv=None), {"snr", "depth", "trough_time"}),
        (dict(waveform_uv=np.zeros((60, 5))), {"snr", "depth", "trough_time"}),
        (dict(waveform_uv=np.zeros((0, 5))), {"snr", "depth"}),
        (dict(noise_uv=None), {"snr"}),
        (dict(noise_uv=0.0), {"snr"}),
        (dict(samples=np.zeros(0, "int64"), amplitudes_uv=np.zeros(0)), {"spike_amplitude"}),
    ],
)
def test_what_cannot_be_computed_is_missing_and_never_infinite(
    changes: dict[str, Any], absent: set[str]
) -> None:
    found = compute_unit_metrics(unit(**changes), RECORDING)
    assert {name for name in absent if found.get(name) is not None} == set()
    numbers = [v for v in found.values() if isinstance(v, float)]
    assert all(math.isfinite(v) for v in numbers)


TEN_MINUTES = RecordingData(
    RATE_HZ, int(600 * RATE_HZ), np.arange(8.0).reshape(4, 2), np.zeros(4, int)
)
SPIKE = np.zeros((40, 4))
SPIKE[10], SPIKE[16] = (-60, -30, -3, 0), (20, 8, 1, 0)


def metrics_of(samples: Any, amplitudes: Any = None, places: Any = None, wave: Any = None) -> Any:
    unit = UnitData(np.asarray(samples, "int64"), amplitudes, places, wave, np.arange(4), 5.0)
    return compute_unit_metrics(unit, TEN_MINUTES)


def test_values_that_are_nan_are_left_out() -> None:
    """As a sorter's that could not place a spike: the others' numbers are as without it."""
    rng = np.random.default_rng(2)
    samples = np.sort(rng.integers(0, TEN_MINUTES.n_samples, 3000))
    amplitudes, places = rng.normal(80, 9, 3000), rng.normal(50, 5, (3000, 2))
    plain = metrics_of(samples, amplitudes, places, SPIKE)
    holes = rng.random(3000) < 0.1
    with_holes = np.where(holes, np.nan, amplitudes), np.where(holes[:, None], np.nan, places)
    found = metrics_of(samples, *with_holes, SPIKE)
    fewer = metrics_of(samples[~holes], amplitudes[~holes], places[~holes], SPIKE)
    of_values = {name for name in plain if "amplitude" in name or "depth" in name}
    for name in of_values:
        assert found[name] == fewer[name], name
    assert found["num_spikes"] == 3000 and found["presence_ratio"] == plain["presence_ratio"]
    nothing = metrics_of(samples, np.full(3000, np.nan), np.full((3000, 2), np.nan), None)
    assert not [name for name in nothing if "amplitude" in name or "depth" in name]


def test_a_flat_waveform_has_no_shape_and_a_channel_of_nan_no_part() -> None:
    for flat in (np.zeros((40, 4)), np.ones((40, 4)), np.full((40, 4), np.nan), SPIKE[:1]):
        assert "trough_time" not in metrics_of([1, 9000], wave=flat)
    broken = SPIKE.copy()
    broken[3, 0] = np.nan
    found = metrics_of([1, 9000], wave=broken)
    assert (found["channel_index"], found["trough_amplitude"]) == (1, -30.0)
    assert found["active_electrodes"].tolist() == [1]


@pytest.mark.parametrize("n", [0, 1])
def test_a_unit_of_no_spike_or_one(n: int) -> None:
    found = metrics_of([5] * n, np.full(n, 80.0), np.full((n, 2), 3.0), SPIKE)
    assert (found["num_spikes"], found["n_isi_violations"]) == (n, 0)
    assert found["isi_contamination"] is found["isi_contamination_hill"] is None
    assert found["presence_ratio"] == n / 10 and found["firing_range"] == 0.0
    assert found.get("spike_amplitude") == (80.0 if n else None)
    assert found.get("depth_drift_range") is None and found["trough_amplitude"] == -60.0


def test_spikes_that_are_all_at_one_sample() -> None:
    found = metrics_of([777] * 1000, np.full(1000, 80.0), np.full((1000, 2), 3.0), SPIKE)
    assert (found["n_isi_violations"], found["isi_contamination"]) == (999, 1.0)
    assert (found["isi_contamination_hill"], found["presence_ratio"]) == (0.5, 0.1)
    assert (found["amplitude_cutoff"], found["spike_amplitude"]) == (0.0, 80.0)


def test_spikes_outside_the_recording_are_in_no_bin_of_its_rate() -> None:
    inside = np.arange(0, TEN_MINUTES.n_samples, 30_000)
    outside = np.concatenate([[-40_000_000, -5], inside, [TEN_MINUTES.n_samples + 7]])
    found, plain = metrics_of(outside, places=np.ones((len(outside), 2))), metrics_of(inside)
    for name in ("firing_range", "presence_ratio"):
        assert found[name] == plain[name]
    assert found["depth_drift_range"] == 0.0
