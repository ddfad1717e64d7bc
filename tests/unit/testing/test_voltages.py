"""Pieces of a stream fit together, and without noise hold the spikes and nothing else."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from labdata.testing import ProbeSpec, voltages
from labdata.testing.neurons import N_PHASES
from labdata.testing.run_plan import RunPlan, nidq_clock, number_probes, plan_run


@pytest.fixture(scope="module")
def plan() -> RunPlan:
    return plan_run(
        Path("x_g0"), "x", number_probes([ProbeSpec(n_channels=16, n_units=3)]), 4.0, 0,
        nidq_clock(30003.0003, -27.0, -0.7, 4.0), sync_jitter_s=0.0, drop=0, n_spurious=0,
        stim_period_s=0.75, stim_width_s=0.25,
    )  # fmt: skip


@pytest.fixture
def quiet(plan: RunPlan, monkeypatch: pytest.MonkeyPatch) -> voltages.ApFrames:
    for name in ("NOISE_UV", "SHARED_NOISE_UV", "AMPLITUDE_SPREAD"):
        monkeypatch.setattr(voltages, name, 0.0)
    (probe,) = plan.truth.probes
    return voltages.ApFrames(probe, plan.neurons[0], plan.sync, (0,), max_int=2048)


def test_only_spikes_without_noise(plan: RunPlan, quiet: voltages.ApFrames) -> None:
    """The sum of templates at the nearest of the phases, spike by spike in float64."""
    (probe,), (neurons,) = plan.truth.probes, plan.neurons
    n, length = 60000, neurons.templates_uv.shape[2]
    expected = np.zeros((n + 2 * length, 16))
    exact = probe.clock.samples_at(probe.spike_times_s)
    for sample, at, unit in zip(probe.spike_samples, exact, probe.spike_units, strict=True):
        if sample < n:
            phase = min(int((at - sample + 0.5) * N_PHASES), N_PHASES - 1)
            first = sample - neurons.n_pre_samples
            expected[first : first + length] += neurons.templates_uv[phase, unit]
    found_uv = quiet(0, n)[:, :-1] * probe.uv_per_bit
    # rounding to a bit, and contacts that a spike reaches with less than half a microvolt
    assert np.abs(found_uv - expected[:n]).max() < 0.5 * probe.uv_per_bit + 1.0


def test_pieces_fit_together(plan: RunPlan, quiet: voltages.ApFrames) -> None:
    """A spike over the border of two pieces is in both."""
    (probe,) = plan.truth.probes
    whole = quiet(0, 60000)
    near = probe.spike_samples[(probe.spike_samples > 1000) & (probe.spike_samples < 59000)]
    for spike in near[::20]:
        for cut in (spike - 20, spike, spike + 1, spike + 40):
            pieces = np.concatenate([quiet(spike - 500, cut), quiet(cut, spike + 500)])
            np.testing.assert_array_equal(pieces, whole[spike - 500 : spike + 500])


def test_loud_spikes_are_clipped(plan: RunPlan) -> None:
    (probe,) = plan.truth.probes
    frames = voltages.ApFrames(probe, plan.neurons[0], plan.sync, (0,), max_int=8)(0, 30000)
    assert frames[:, :-1].min() == -8 and frames[:, :-1].max() == 7


def test_pieces_come_in_order_whichever_is_ready_first() -> None:
    def make(start: int, stop: int) -> np.ndarray:
        time.sleep(0.01 * (start == 0))
        return np.arange(start, stop, dtype=np.int16)

    pieces = list(voltages.chunks(105, 10, make, threads=3))
    assert [len(piece) for piece in pieces] == [10] * 10 + [5]
    np.testing.assert_array_equal(np.concatenate(pieces), np.arange(105))
    assert list(voltages.chunks(0, 10, make, threads=2)) == []
