"""Model neurons have the sizes, intervals and tuning that they claim."""

from __future__ import annotations

import numpy as np
import pytest

from labdata.testing.neurons import N_PHASES, REFRACTORY_S, fire, make_population
from labdata.testing.probes import ProbeSpec, wire


@pytest.fixture(scope="module")
def contacts() -> np.ndarray:
    return wire(ProbeSpec(n_channels=96)).positions_um


def test_amplitudes_and_footprints(contacts: np.ndarray) -> None:
    neurons = make_population(np.random.default_rng(0), contacts, 12, 30000.0)
    mean = neurons.templates_uv.mean(axis=0)
    size = np.ptp(mean, axis=1)
    np.testing.assert_allclose(size.max(axis=1), neurons.amplitudes_uv, rtol=1e-4)
    assert neurons.amplitudes_uv.min() >= 80 and neurons.amplitudes_uv.max() <= 350
    for unit in range(12):
        best = size[unit].argmax()
        distance = np.linalg.norm(contacts - neurons.positions_um[unit, :2], axis=1)
        assert distance[best] == distance.min()
        assert size[unit][distance > 150].max(initial=0.0) < 0.05 * size[unit, best]
        assert mean[unit, :, best].argmin() == neurons.n_pre_samples
        assert np.abs(mean[unit, [0, -1]]).max() < 0.01 * size[unit, best]


def test_units_keep_apart(contacts: np.ndarray) -> None:
    neurons = make_population(np.random.default_rng(0), contacts, 10, 30000.0)
    gaps = np.linalg.norm(
        neurons.positions_um[:, None, :2] - neurons.positions_um[None, :, :2], axis=2
    )
    assert gaps[~np.eye(10, dtype=bool)].min() > 30.0


def test_phases_move_the_spike_by_fractions_of_a_sample(contacts: np.ndarray) -> None:
    """The centre of the trough, from a parabola through it, moves by 1/N_PHASES a phase."""
    neurons = make_population(np.random.default_rng(0), contacts, 4, 30000.0)
    for unit in range(4):
        best = np.ptp(neurons.templates_uv[0, unit], axis=0).argmax()
        wave = neurons.templates_uv[:, unit, :, best].astype(float)
        at = neurons.n_pre_samples
        left, middle, right = wave[:, at - 1], wave[:, at], wave[:, at + 1]
        centre = 0.5 * (left - right) / (left - 2 * middle + right)
        np.testing.assert_allclose(np.diff(centre), 1 / N_PHASES, atol=0.02)
        np.testing.assert_allclose(centre, (np.arange(N_PHASES) + 0.5) / N_PHASES - 0.5, atol=0.03)


def test_refractory_period_and_rate() -> None:
    none = np.zeros(0)
    times = fire(np.random.default_rng(0), 20.0, np.nan, 2000.0, none, none)
    assert np.diff(times).min() >= REFRACTORY_S
    assert times.min() >= 0 and times.max() <= 2000.0
    expected = 2000 * 20 / (1 + 20 * REFRACTORY_S)  # a Poisson process with dead time
    assert times.size == pytest.approx(expected, abs=4 * np.sqrt(expected))


def test_response_follows_the_tuning() -> None:
    """Counts in the window of 40 to 240 ms: 60 Hz at the preferred orientation, von Mises else."""
    rng = np.random.default_rng(5)
    onsets = 1.0 + np.arange(2000) * 0.75
    orientation = rng.integers(0, 8, 2000) * 22.5
    times = fire(rng, 1e-9, 45.0, 1600.0, onsets, orientation)
    counts = np.array([((times > t) & (times < t + 0.3)).sum() for t in onsets])
    outside = [((times > t - 0.3) & (times < t + 0.04)).sum() for t in onsets]
    assert sum(outside) == 0
    for degrees in (45.0, 67.5, 135.0):
        mean = counts[orientation == degrees].mean()
        rate_hz = 60 * np.exp(2 * (np.cos(2 * np.deg2rad(degrees - 45)) - 1))
        dead = 0.2 * rate_hz / (1 + rate_hz * REFRACTORY_S)
        assert mean == pytest.approx(dead, rel=0.1, abs=0.1)


def test_an_untuned_neuron_ignores_stimuli() -> None:
    onsets = 1.0 + np.arange(500) * 0.75
    times = fire(np.random.default_rng(0), 1e-9, np.nan, 400.0, onsets, np.zeros(500))
    assert times.size == 0
