"""A SpikeGLX run of which everything is known.

What happens is worked out first, in true time; the files are then sampled from it through each
stream's clock. A second call with the same arguments finds the files complete and leaves them
alone, byte for byte, so that demos and tests may share a folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from labdata.errors import FormatError
from labdata.progress import Progress, ignore_progress
from labdata.testing import metas, timeline
from labdata.testing.neurons import Population, fire, make_population
from labdata.testing.probes import ProbeSpec, Wiring, wire
from labdata.testing.truth import ClockTruth, GroundTruth, ProbeTruth
from labdata.testing.voltages import ApFrames, Frames, LfFrames, NidqFrames, chunks

IMEC_RATE_HZ = 30000.0
#: Ratio of the AP to the LF rate.
LF_DIVISOR = 12
#: Rate of the simulated NI-DAQ, that of a common PXI clock divider.
NIDQ_RATE_HZ = 30003.0003
#: The NI-DAQ runs on this long after the probes stop.
NIDQ_TAIL_S = 0.4


@dataclass(frozen=True, eq=False)
class _Plan:
    """Everything that happens, before any file is written."""

    truth: GroundTruth
    wirings: tuple[Wiring, ...]
    neurons: tuple[Population, ...]
    sync: timeline.Line
    nidq_sync: timeline.Line
    stimuli: timeline.Stimuli
    camera: timeline.Line


def write_spikeglx_run(
    folder: str | Path,
    *,
    run_name: str = "run",
    probes: Sequence[ProbeSpec] | None = None,
    duration_s: float = 20.0,
    n_channels: int = 64,
    n_units: int = 10,
    seed: int = 0,
    imec_ppm: float = 18.0,
    nidq_ppm: float = -27.0,
    nidq_start_s: float = -0.731,
    nidq_rate_hz: float = NIDQ_RATE_HZ,
    sync_jitter_s: float = 0.0,
    drop_sync_pulses: int | Sequence[int] = 0,
    spurious_sync_pulses: int = 0,
    stim_period_s: float = 0.75,
    stim_width_s: float = 0.25,
    created: str = "2024-03-05T10:00:00",
    threads: int = 2,
    progress: Progress = ignore_progress,
) -> GroundTruth:
    """Write ``<folder>/<run_name>_g0`` with a probe or more and an NI-DAQ.

    Lines: sync on bit 6 of each probe's status word and bit 7 of the NI-DAQ; stimulus on bit 1,
    camera frames (30 Hz) on bit 2, and a photodiode that sees the stimulus on XA0.
    Beside them, ``<run_name>_g0_orientation_log.csv`` has a row a stimulus, in order of time.

    Parameters
    ----------
    folder : str or Path
        Where to put the run's folder; made if absent.
    run_name : str, optional
        Name of the run.
    probes : sequence of ProbeSpec, optional
        The probes; by default one NP2013 of ``n_channels`` and ``n_units`` with ``imec_ppm``.
    duration_s : float, optional
        True length of the session, in seconds.
    n_channels, n_units, imec_ppm : optional
        Of the one probe that is used when ``probes`` is not given.
    seed : int, optional
        Seed of everything random.
    nidq_ppm : float, optional
        How much faster than nominal the NI-DAQ's clock runs, in parts per million.
    nidq_start_s : float, optional
        True time of the NI-DAQ's first sample; negative when it starts first.
    nidq_rate_hz : float, optional
        Nominal rate of the NI-DAQ.
    sync_jitter_s : float, optional
        Displacement of sync pulses: 0 is SpikeGLX's own 1 Hz square wave, which cannot tell
        offsets of whole seconds apart; a larger value gives intervals that can.
    drop_sync_pulses : int or sequence of int, optional
        Sync pulses that the NI-DAQ misses: how many, or which.
    spurious_sync_pulses : int, optional
        Short sync pulses that only the NI-DAQ has.
    stim_period_s, stim_width_s : float, optional
        Mean interval and length of the stimuli.
    created : str, optional
        ISO date that the meta files state.
    threads : int, optional
        Threads that make samples; the files do not depend on it.
    progress : Progress, optional
        Told the bytes written.

    Returns
    -------
    GroundTruth

    Raises
    ------
    FormatError
        When the arguments do not fit together.
    """
    if probes is None:
        probes = [ProbeSpec(n_channels=n_channels, n_units=n_units, ppm=imec_ppm)]
    numbered = _number(probes)
    plan = _plan(
        Path(folder) / f"{run_name}_g0",
        run_name,
        numbered,
        duration_s,
        seed,
        _nidq_clock(nidq_rate_hz, nidq_ppm, nidq_start_s, duration_s),
        sync_jitter_s=sync_jitter_s,
        drop=drop_sync_pulses,
        n_spurious=spurious_sync_pulses,
        stim_period_s=stim_period_s,
        stim_width_s=stim_width_s,
    )
    options = (
        run_name,
        numbered,
        duration_s,
        seed,
        nidq_ppm,
        nidq_start_s,
        nidq_rate_hz,
        sync_jitter_s,
        drop_sync_pulses,
        spurious_sync_pulses,
        stim_period_s,
        stim_width_s,
    )
    digest = hashlib.sha256(repr(options).encode()).hexdigest()[:16]
    _write(plan, numbered, created, f"synthetic, labdata.testing {digest}", threads, progress)
    return plan.truth


def _number(probes: Sequence[ProbeSpec]) -> list[ProbeSpec]:
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


def _nidq_clock(rate_hz: float, ppm: float, start_s: float, duration_s: float) -> ClockTruth:
    true_hz = rate_hz * (1 + ppm * 1e-6)
    n = int((duration_s + NIDQ_TAIL_S - start_s) * true_hz)
    return ClockTruth("nidq", rate_hz, true_hz, start_s, n)


def _plan(
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
) -> _Plan:
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
    return _Plan(truth, wirings, tuple(neurons), sync, nidq_sync, stimuli, camera)


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


def _write(
    plan: _Plan,
    probes: list[ProbeSpec],
    created: str,
    notes: str,
    threads: int,
    progress: Progress,
) -> None:
    truth = plan.truth
    run = Path(truth.run_folder)
    for spec, wiring, neurons in zip(probes, plan.wirings, plan.neurons, strict=True):
        probe = truth.probe(spec.probe_num or 0)
        stem = run / f"{run.name}_imec{probe.probe_num}" / f"{run.name}_t0.imec{probe.probe_num}"
        seed = (truth.seed, 3, probe.probe_num)
        path = stem.with_name(f"{stem.name}.ap.bin")
        fields = metas.imec_meta(
            path.name,
            probe.clock,
            spec.model,
            wiring,
            probe.serial,
            band="ap",
            created=created,
            notes=notes,
        )
        frames = ApFrames(probe, neurons, plan.sync, seed, max_int=spec.model.max_int)
        _write_stream(path, fields, probe.clock, frames, threads, progress)
        if spec.lf and spec.model.uv_per_bit_lf is not None:
            path = stem.with_name(f"{stem.name}.lf.bin")
            clock = _lf_clock(probe.clock)
            fields = metas.imec_meta(
                path.name,
                clock,
                spec.model,
                wiring,
                probe.serial,
                band="lf",
                created=created,
                notes=notes,
            )
            lf = LfFrames(clock, wiring.saved.size, spec.model.uv_per_bit_lf, plan.sync, seed)
            _write_stream(path, fields, clock, lf, threads, progress)
    path = run / f"{run.name}_t0.nidq.bin"
    fields = metas.nidq_meta(path.name, truth.nidq, created=created, notes=notes)
    ni = NidqFrames(truth.nidq, plan.nidq_sync, plan.stimuli.line, plan.camera, (truth.seed, 4))
    _write_stream(path, fields, truth.nidq, ni, threads, progress)
    _write_log(run / f"{run.name}_orientation_log.csv", plan.stimuli)


def _lf_clock(ap: ClockTruth) -> ClockTruth:
    return replace(
        ap,
        nominal_rate_hz=ap.nominal_rate_hz / LF_DIVISOR,
        true_rate_hz=ap.true_rate_hz / LF_DIVISOR,
        n_samples=ap.n_samples // LF_DIVISOR,
    )


def _write_stream(
    path: Path,
    fields: dict[str, str],
    clock: ClockTruth,
    make: Callable[[int, int], Frames],
    threads: int,
    progress: Progress,
) -> None:
    """Write a ``.bin`` and then its ``.meta``, unless both are there and complete."""
    meta_path, size = path.with_suffix(".meta"), int(fields["fileSizeBytes"])
    if _is_complete(path, meta_path, fields):
        progress(size)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    meta_path.unlink(missing_ok=True)
    digest = hashlib.sha1(usedforsecurity=False)
    step = max(1, round(clock.nominal_rate_hz))
    with path.open("wb") as file:
        for frames in chunks(clock.n_samples, step, make, threads=threads):
            data = frames.tobytes()
            file.write(data)
            digest.update(data)
            progress(len(data))
    meta_path.write_text(metas.meta_text(fields, digest.hexdigest()), "utf-8")


def _is_complete(path: Path, meta_path: Path, fields: dict[str, str]) -> bool:
    if not (path.is_file() and meta_path.is_file()):
        return False
    lines = set(meta_path.read_text("utf-8").splitlines())
    same = all(f"{key}={value}" in lines for key, value in fields.items())
    return same and path.stat().st_size == int(fields["fileSizeBytes"])


def _write_log(path: Path, stimuli: timeline.Stimuli) -> None:
    """Write a row a stimulus in order of time, which is the order of the rises on bit 1."""
    rows = zip(stimuli.trial, stimuli.stim, stimuli.orientation_deg, strict=True)
    text = "trial,stim,orientation_deg\n" + "".join(f"{t},{s},{d:g}\n" for t, s, d in rows)
    if not path.is_file() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8", newline="")
