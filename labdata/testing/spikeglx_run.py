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
from typing import NamedTuple

from labdata.progress import Progress, ignore_progress
from labdata.testing import metas
from labdata.testing.neurons import Population
from labdata.testing.probes import ProbeSpec, Wiring
from labdata.testing.run_plan import LF_DIVISOR, RunPlan, nidq_clock, number_probes, plan_run
from labdata.testing.timeline import Stimuli
from labdata.testing.truth import ClockTruth, GroundTruth
from labdata.testing.voltages import ApFrames, Frames, LfFrames, NidqFrames, chunks

#: Rate of the simulated NI-DAQ, that of a common PXI clock divider.
NIDQ_RATE_HZ = 30003.0003


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
    session = _Session(run_name, number_probes(probes), duration_s, seed)
    nidq = _Nidq(nidq_ppm, nidq_start_s, nidq_rate_hz)
    pulses = _Pulses(
        sync_jitter_s, drop_sync_pulses, spurious_sync_pulses, stim_period_s, stim_width_s
    )
    plan = _plan(Path(folder), session, nidq, pulses)
    notes = f"synthetic, labdata.testing {_digest(session, nidq, pulses)}"
    _write(plan, session.probes, _Writing(created, notes, threads, progress))
    return plan.truth


class _Session(NamedTuple):
    run_name: str
    probes: list[ProbeSpec]
    duration_s: float
    seed: int


class _Nidq(NamedTuple):
    ppm: float
    start_s: float
    rate_hz: float


class _Pulses(NamedTuple):
    sync_jitter_s: float
    drop: int | Sequence[int]
    n_spurious: int
    stim_period_s: float
    stim_width_s: float


@dataclass(frozen=True)
class _Writing:
    """How files are written, whatever is in them."""

    created: str
    notes: str
    threads: int
    progress: Progress


def _plan(folder: Path, session: _Session, nidq: _Nidq, pulses: _Pulses) -> RunPlan:
    return plan_run(
        folder / f"{session.run_name}_g0",
        *session,
        nidq_clock(nidq.rate_hz, nidq.ppm, nidq.start_s, session.duration_s),
        **pulses._asdict(),
    )


def _digest(session: _Session, nidq: _Nidq, pulses: _Pulses) -> str:
    """Return what tells this run from others: the meta files carry it, so its text must stay."""
    options = (*session, *nidq, *pulses)
    return hashlib.sha256(repr(options).encode()).hexdigest()[:16]


def _write(plan: RunPlan, probes: list[ProbeSpec], writing: _Writing) -> None:
    truth = plan.truth
    run = Path(truth.run_folder)
    for spec, wiring, neurons in zip(probes, plan.wirings, plan.neurons, strict=True):
        _write_probe(plan, spec, wiring, neurons, writing)
    path = run / f"{run.name}_t0.nidq.bin"
    fields = metas.nidq_meta(path.name, truth.nidq, created=writing.created, notes=writing.notes)
    ni = NidqFrames(truth.nidq, plan.nidq_sync, plan.stimuli.line, plan.camera, (truth.seed, 4))
    _write_stream(path, fields, truth.nidq, ni, writing)
    write_log(run / f"{run.name}_orientation_log.csv", plan.stimuli)


def _write_probe(
    plan: RunPlan, spec: ProbeSpec, wiring: Wiring, neurons: Population, writing: _Writing
) -> None:
    """Write the AP band of a probe, and its LF band if it has one."""
    run = Path(plan.truth.run_folder)
    probe = plan.truth.probe(spec.probe_num or 0)
    stem = run / f"{run.name}_imec{probe.probe_num}" / f"{run.name}_t0.imec{probe.probe_num}"
    seed = (plan.truth.seed, 3, probe.probe_num)

    def write_band(band: str, clock: ClockTruth, make: Callable[[int, int], Frames]) -> None:
        path = stem.with_name(f"{stem.name}.{band}.bin")
        fields = metas.imec_meta(
            path.name,
            clock,
            spec.model,
            wiring,
            probe.serial,
            band=band,
            created=writing.created,
            notes=writing.notes,
        )
        _write_stream(path, fields, clock, make, writing)

    frames = ApFrames(probe, neurons, plan.sync, seed, max_int=spec.model.max_int)
    write_band("ap", probe.clock, frames)
    if spec.lf and spec.model.uv_per_bit_lf is not None:
        clock = _lf_clock(probe.clock)
        lf = LfFrames(clock, wiring.saved.size, spec.model.uv_per_bit_lf, plan.sync, seed)
        write_band("lf", clock, lf)


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
    writing: _Writing,
) -> None:
    """Write a ``.bin`` and then its ``.meta``, unless both are there and complete."""
    meta_path, size = path.with_suffix(".meta"), int(fields["fileSizeBytes"])
    if _is_complete(path, meta_path, fields):
        writing.progress(size)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    meta_path.unlink(missing_ok=True)
    digest = hashlib.sha1(usedforsecurity=False)
    step = max(1, round(clock.nominal_rate_hz))
    with path.open("wb") as file:
        for frames in chunks(clock.n_samples, step, make, threads=writing.threads):
            data = frames.tobytes()
            file.write(data)
            digest.update(data)
            writing.progress(len(data))
    meta_path.write_text(metas.meta_text(fields, digest.hexdigest()), "utf-8")


def _is_complete(path: Path, meta_path: Path, fields: dict[str, str]) -> bool:
    if not (path.is_file() and meta_path.is_file()):
        return False
    lines = set(meta_path.read_text("utf-8").splitlines())
    same = all(f"{key}={value}" in lines for key, value in fields.items())
    return same and path.stat().st_size == int(fields["fileSizeBytes"])


def write_log(path: Path, stimuli: Stimuli) -> None:
    """Write a row a stimulus in order of time, which is the order of the rises on bit 1.

    Parameters
    ----------
    path : Path
        File to write; it is left alone if it says the same already.
    stimuli : Stimuli
        What was shown.
    """
    rows = zip(stimuli.trial, stimuli.stim, stimuli.orientation_deg, strict=True)
    text = "trial,stim,orientation_deg\n" + "".join(f"{t},{s},{d:g}\n" for t, s, d in rows)
    if not path.is_file() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8", newline="")
