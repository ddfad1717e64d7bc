"""Units with one fault each, against what the fault is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labdata.testing.guide_mice import easy_share
from labdata.testing.guide_units import (
    FAULTS,
    VERDICTS,
    SortedUnit,
    kinds_of,
    units_of_run,
    units_without_stimuli,
)
from labdata.testing.probes import ProbeSpec
from labdata.testing.run_plan import nidq_clock, plan_run
from labdata.testing.truth import GroundTruth

DURATION_S = 300.0
KINDS = kinds_of(8, FAULTS)


@pytest.fixture(scope="module")
def run() -> GroundTruth:
    return plan_run(
        Path("none"),
        "ephys",
        [ProbeSpec(n_channels=64, n_units=8, probe_num=0)],
        DURATION_S,
        3,
        nidq_clock(30000.0, 0.0, 0.0, DURATION_S),
        sync_jitter_s=0.0,
        drop=0,
        n_spurious=0,
        stim_period_s=5.0,
        stim_width_s=1.0,
    ).truth


@pytest.fixture(scope="module")
def units(run: GroundTruth) -> dict[str, SortedUnit]:
    made = units_of_run(run, KINDS, seed=3)
    assert [unit.unit_id for unit in made] == list(range(8))
    return {unit.kind: unit for unit in made}


def train(run: GroundTruth, unit: SortedUnit) -> np.ndarray:
    probe = run.probes[0]
    return np.sort(probe.spike_samples[probe.spike_units == unit.unit_id])


def test_faults_come_last_and_each_has_a_verdict() -> None:
    assert list(KINDS) == ["single", "single", *FAULTS]
    assert set(VERDICTS) == set(KINDS)


def test_columns_fit_together(units: dict[str, SortedUnit]) -> None:
    for unit in units.values():
        n = len(unit.spike_times)
        assert unit.spike_positions.shape == (n, 2)
        assert unit.spike_amplitudes.shape == (n,)
        assert unit.spike_times.dtype == np.int64
        assert (np.diff(unit.spike_times) >= 0).all()
        if unit.waveform_uv is not None:
            assert unit.waveform_uv.shape[1] == len(unit.waveform_channels)


def test_single_units_are_the_runs_neurons(run: GroundTruth, units: dict[str, SortedUnit]) -> None:
    unit = units["single"]
    assert np.array_equal(unit.spike_times, train(run, unit))
    probe = run.probes[0]
    place = probe.unit_positions_um[unit.unit_id]
    assert np.abs(np.median(unit.spike_positions, axis=0) - place).max() < 1.0
    amplitude_uv = probe.unit_amplitudes_uv[unit.unit_id]
    assert np.median(unit.spike_amplitudes) == pytest.approx(amplitude_uv, rel=0.03)
    assert np.ptp(unit.waveform_uv, axis=0).max() == pytest.approx(amplitude_uv, rel=1e-4)


def test_each_fault_is_there(run: GroundTruth, units: dict[str, SortedUnit]) -> None:
    dirty = units["contaminated"]
    assert np.isin(train(run, dirty), dirty.spike_times).all()
    assert len(dirty.spike_times) == 4 * len(train(run, dirty))
    assert (np.diff(dirty.spike_times) < 0.0015 * 30000).any()
    half = run.probes[0].clock.n_samples // 2
    whole = train(run, units["absent"])
    assert np.array_equal(units["absent"].spike_times, whole[whole < half])
    assert np.median(units["small"].spike_amplitudes) == pytest.approx(40.0, rel=0.03)
    cut = units["truncated"]
    assert cut.spike_amplitudes.min() >= run.probes[0].unit_amplitudes_uv[cut.unit_id] * 0.999
    assert units["unlocated"].waveform_uv is None
    waveform = units["artefact"].waveform_uv
    assert waveform is not None
    assert waveform.shape[1] == 64
    assert (waveform == waveform[:, :1]).all()


def test_units_without_stimuli_stay_in_the_recording(run: GroundTruth) -> None:
    n_samples = 30000 * 100
    made = units_without_stimuli(run.probes[0], kinds_of(4, ()), n_samples, (1, 2))
    again = units_without_stimuli(run.probes[0], kinds_of(4, ()), n_samples, (1, 2))
    for unit, same in zip(made, again, strict=True):
        assert unit.spike_times[0] >= 0
        assert unit.spike_times[-1] < n_samples
        assert 50 < len(unit.spike_times) < 250  # 1.0 to 1.8 a second
        assert np.array_equal(unit.spike_times, same.spike_times)


@pytest.mark.parametrize(("session", "share"), [(0, 0.5), (5, 0.7875), (1000, 0.95)])
def test_the_rule_of_learning_by_hand(session: int, share: float) -> None:
    assert easy_share(session, 5.0, 80) == share
