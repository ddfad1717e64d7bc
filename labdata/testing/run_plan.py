"""What happens in a synthetic run, worked out in true time before any file is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from labdata.errors import FormatError
from labdata.testing import timeline
from labdata.testing.neurons import Population, fire, make_population
from labdata.testing.probes import ProbeSpec, Wiring, wire
from labdata.testing.truth import ClockTruth, GroundTruth, ProbeTruth

IMEC_RATE_HZ = 30000.0
#: Ratio of the AP to the LF rate.
LF_DIVISOR = 12
#: The NI-DAQ runs on this long after the probes stop.
NIDQ_TAIL_S = 0.4


@dataclass(frozen=True, eq=False)
class RunPlan:
    """Everything that happens, before any file is written."""

    truth: GroundTruth
    wirings: tuple[Wiring, ...]
    neurons: tuple[Population, ...]
    sync: timeline.Line
    nidq_sync: timeline.Line
    stimuli: timeline.Stimuli
    camera: timeline.Line


def number_probes(probes: Sequence[ProbeSpec]) -> list[ProbeSpec]:
    """Give each probe without a number its place in the list; numbers must differ.

    Parameters
    ----------
    probes : sequence of ProbeSpec
        As the caller gave them.

    Returns
    -------
    list of ProbeSpec
        The same probes, each with a number.

    Raises
    ------
    FormatError
        If two probes have the same number.
    """
    numbered = [
        replace(spec, probe_num=i if spec.probe_num is None else spec.probe_num)
        for i, spec in enumerate(probes)
    ]
    numbers = [spec.probe_num for spec in numbered]
    if len(set(numbers)) != len(numbers):
        raise FormatError(
            f"Probe numbers {numbers} are not distinct.", hint="Give each probe its own number."
        )
    return numbered


def nidq_clock(rate_hz: float, ppm: float, start_s: float, duration_s: float) -> ClockTruth:
    """Return the clock of an NI-DAQ that outlasts the probes a little.

    Parameters
    ----------
    rate_hz : float
        Nominal rate.
    ppm : float
        How much faster it runs, parts per million.
    start_s : float
        True time of its first sample.
    duration_s : float
        Length of the session.
    """
    true_hz = rate_hz * (1 + ppm * 1e-6)
    n = int((duration_s + NIDQ_TAIL_S - start_s) * true_hz)
    return ClockTruth("nidq", rate_hz, true_hz, start_s, n)


def plan_run(
    run_folder: Path,
    run_name: str,
    probes: list[ProbeSpec],
    duration_s: float,
    seed: int,
    nidq: ClockTruth,
    *,
    sync_jitter_s: float,
    drop: int | Sequence[int],
    n_spurious: int,
    stim_period_s: float,
    stim_width_s: float,
) -> RunPlan:
    """Work out everything that happens; see :func:`write_spikeglx_run` for the arguments."""
    rng = np.random.default_rng((seed, 1))
    begin_s = min([nidq.start_s, *(spec.start_s for spec in probes)])
    sync = timeline.sync_line(rng, begin_s, duration_s + NIDQ_TAIL_S, jitter_s=sync_jitter_s)
    nidq_sync, dropped, spurious = timeline.damage(rng, sync, drop, n_spurious)
    stimuli = timeline.stimuli(rng, duration_s, period_s=stim_period_s, width_s=stim_width_s)
    camera = timeline.camera_line(duration_s)
    wirings = tuple(wire(spec) for spec in probes)
    neurons, truths = [], []
    for spec, wiring in zip(probes, wirings, strict=True):
        source = np.random.default_rng((seed, 2, spec.probe_num or 0))
        population = make_population(source, wiring.positions_um, spec.n_units, IMEC_RATE_HZ)
        neurons.append(population)
        truths.append(_probe_truth(source, spec, wiring, population, duration_s, stimuli, sync))
    sync_edges, stim_edges, camera_edges = (
        line.edges(nidq) for line in (nidq_sync, stimuli.line, camera)
    )
    truth = GroundTruth(
        run_folder=str(run_folder),
        run_name=run_name,
        duration_s=duration_s,
        seed=seed,
        probes=tuple(sorted(truths, key=lambda p: p.probe_num)),
        nidq=nidq,
        sync_on_s=sync.on_s,
        sync_off_s=sync.off_s,
        dropped_sync=dropped,
        spurious_sync_s=spurious,
        stim_on_s=stimuli.line.on_s,
        stim_off_s=stimuli.line.off_s,
        stim=stimuli.stim,
        stim_orientation_deg=stimuli.orientation_deg,
        trial=stimuli.trial,
        camera_on_s=camera.on_s,
        sync_rise_samples=sync_edges[0],
        sync_fall_samples=sync_edges[1],
        stim_rise_samples=stim_edges[0],
        stim_fall_samples=stim_edges[1],
        camera_rise_samples=camera_edges[0],
        camera_fall_samples=camera_edges[1],
    )
    return RunPlan(truth, wirings, tuple(neurons), sync, nidq_sync, stimuli, camera)


def _probe_truth(
    rng: np.random.Generator,
    spec: ProbeSpec,
    wiring: Wiring,
    neurons: Population,
    duration_s: float,
    stimuli: timeline.Stimuli,
    sync: timeline.Line,
) -> ProbeTruth:
    rate_hz = IMEC_RATE_HZ * (1 + spec.ppm * 1e-6)
    number = spec.probe_num or 0
    n_samples = int((duration_s - spec.start_s) * rate_hz) // LF_DIVISOR * LF_DIVISOR
    clock = ClockTruth(f"imec{number}", IMEC_RATE_HZ, rate_hz, spec.start_s, n_samples)
    trains = [
        fire(rng, base, preferred, duration_s, stimuli.line.on_s, stimuli.orientation_deg)
        for base, preferred in zip(neurons.base_rates_hz, neurons.preferred_deg, strict=True)
    ]
    times = np.concatenate([*trains, np.zeros(0)])
    units = np.repeat(np.arange(spec.n_units), [train.size for train in trains]).astype(np.int32)
    samples = np.rint(clock.samples_at(times)).astype(np.int64)
    whole = (samples >= neurons.n_pre_samples) & (
        samples < n_samples - neurons.templates_uv.shape[2] + neurons.n_pre_samples
    )
    order = np.flatnonzero(whole)[np.lexsort((units[whole], times[whole]))]
    mean = neurons.templates_uv.mean(axis=0)
    rise, fall = sync.edges(clock)
    return ProbeTruth(
        probe_num=number,
        part_number=spec.part_number,
        serial=f"{22000000000 + 1000 * sum(spec.part_number.encode()) + number}",
        clock=clock,
        uv_per_bit=spec.model.uv_per_bit_ap,
        channels=wiring.saved,
        positions_um=wiring.positions_um,
        shank=wiring.shank,
        spike_samples=samples[order],
        spike_units=units[order],
        spike_times_s=times[order],
        unit_positions_um=neurons.positions_um[:, :2],
        unit_peak_channels=np.ptp(mean, axis=1).argmax(axis=1).astype(np.int64),
        unit_amplitudes_uv=np.ptp(mean, axis=1).max(axis=1).astype(np.float64),
        unit_preferred_deg=neurons.preferred_deg,
        templates_uv=mean.astype(np.float32),
        n_pre_samples=neurons.n_pre_samples,
        sync_rise_samples=rise,
        sync_fall_samples=fall,
    )
