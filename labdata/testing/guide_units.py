"""Sorted units of the guide's lab: spikes that nobody had to sort, and what each unit deserves.

Most are good single units. The others each have one fault that a quality metric exists for, so
that criteria can be tested against what was planted: other neurons' spikes, spikes lost below
threshold, half a recording without any, too small, an artefact seen on the whole probe, and a
unit whose waveform could not be made out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labdata.testing.neurons import fire
from labdata.testing.truth import GroundTruth, ProbeTruth

Kind = Literal["single", "contaminated", "truncated", "absent", "small", "artefact", "unlocated"]

#: Faults in the order in which a session's last units have them.
FAULTS: tuple[Kind, ...] = (
    "contaminated",
    "small",
    "artefact",
    "truncated",
    "absent",
    "unlocated",
)
#: What the guide's criteria should say: 1 single unit, 0 multi unit, -1 neither.
VERDICTS: dict[Kind, int] = {
    "single": 1,
    "contaminated": 0,
    "truncated": 0,
    "absent": 0,
    "small": 0,
    "artefact": -1,
    "unlocated": -1,
}
#: Median amplitude of a unit that is too small, uV; the guide asks for more than 50.
SMALL_UV = 40.0
#: Spread of a unit's amplitudes, as a share of its median.
AMPLITUDE_SPREAD = 0.12
#: Spread of the estimated positions, (x, depth), um.
POSITION_SPREAD_UM = (3.0, 6.0)
NOISE_UV = 10.0
#: A waveform is kept on this many channels around its largest.
N_WAVEFORM_CHANNELS = 32


@dataclass(frozen=True, eq=False)
class SortedUnit:
    """One unit as a sorter would store it.

    Parameters
    ----------
    unit_id : int
        Its number in the sorting.
    kind : str
        ``single``, or its fault.
    spike_times : ndarray of int64, shape (n,)
        Samples of the probe's clock, ascending.
    spike_positions : ndarray of float32, shape (n, 2)
        (x, depth), um.
    spike_amplitudes : ndarray of float32, shape (n,)
        In uV.
    waveform_uv : ndarray of float32, shape (n_samples, n_channels) or None
        Median waveform.
    waveform_channels : ndarray of int64, shape (n_channels,)
        Rows of the probe's channel table that the waveform covers.
    """

    unit_id: int
    kind: Kind
    spike_times: NDArray[np.int64]
    spike_positions: NDArray[np.float32]
    spike_amplitudes: NDArray[np.float32]
    waveform_uv: NDArray[np.float32] | None
    waveform_channels: NDArray[np.int64]

    @property
    def verdict(self) -> int:
        """1 single unit, 0 multi unit, -1 neither, by the guide's criteria."""
        return VERDICTS[self.kind]


def kinds_of(n_units: int, faults: Sequence[Kind]) -> tuple[Kind, ...]:
    """Return the kind of each unit: single, and the faults last.

    Parameters
    ----------
    n_units : int
        Units of the sorting.
    faults : sequence of str
        Faults to plant.
    """
    single: Kind = "single"
    return (*(single for _ in range(n_units - len(faults))), *faults)


def units_of_run(run: GroundTruth, kinds: Sequence[Kind], seed: int) -> list[SortedUnit]:
    """Return the neurons of a run's first probe as sorted units.

    Parameters
    ----------
    run : GroundTruth
        What happened.
    kinds : sequence of str
        Kind of each of its neurons; single units have the neuron's spikes as they are.
    seed : int
        Of what is random beside the run.
    """
    probe = run.probes[0]
    order = np.argsort(probe.spike_units, kind="stable")
    ends = np.cumsum(np.bincount(probe.spike_units, minlength=len(kinds)))
    trains = np.split(probe.spike_samples[order], ends[:-1])
    rng = np.random.default_rng((seed, 11))
    return [
        _make_unit(rng, probe, number, kind, np.sort(train), probe.clock.n_samples)
        for number, (kind, train) in enumerate(zip(kinds, trains, strict=True))
    ]


def units_without_stimuli(
    probe: ProbeTruth, kinds: Sequence[Kind], n_samples: int, seed: tuple[int, ...]
) -> list[SortedUnit]:
    """Return units around a probe in a recording where nothing is shown.

    Parameters
    ----------
    probe : ProbeTruth
        The probe and its neurons; the first as many are recorded as there are kinds.
    kinds : sequence of str
        Kind of each unit.
    n_samples : int
        Length of the recording.
    seed : tuple of int
        Of everything random.
    """
    rng = np.random.default_rng(seed)
    nothing = np.zeros(0)
    duration_s = n_samples / probe.clock.nominal_rate_hz
    found = []
    for number, kind in enumerate(kinds):
        times_s = fire(rng, rng.uniform(1.0, 1.8), np.nan, duration_s, nothing, nothing)
        samples = np.floor(times_s * probe.clock.nominal_rate_hz).astype(np.int64)
        found.append(_make_unit(rng, probe, number, kind, samples, n_samples))
    return found


def _make_unit(
    rng: np.random.Generator,
    probe: ProbeTruth,
    number: int,
    kind: Kind,
    samples: NDArray[np.int64],
    n_samples: int,
) -> SortedUnit:
    if kind == "contaminated":  # most spikes are others', which keep no refractory period
        others = rng.integers(0, n_samples, 3 * samples.size)
        samples = np.sort(np.concatenate([samples, others]))
    if kind == "absent":
        samples = samples[samples < n_samples // 2]
    waveform, channels = _waveform(probe, number, kind)
    median_uv = float(probe.unit_amplitudes_uv[number])
    if kind in ("small", "artefact"):
        waveform = waveform * np.float32(SMALL_UV / median_uv)
        median_uv = SMALL_UV
    spread = rng.normal(0.0, AMPLITUDE_SPREAD, samples.size)
    if kind == "truncated":
        spread = np.abs(spread)
    places = probe.unit_positions_um[number] + rng.normal(
        0.0, POSITION_SPREAD_UM, (samples.size, 2)
    )
    return SortedUnit(
        unit_id=number,
        kind=kind,
        spike_times=samples,
        spike_positions=places.astype(np.float32),
        spike_amplitudes=(median_uv * (1.0 + spread)).astype(np.float32),
        waveform_uv=None if kind == "unlocated" else waveform,
        waveform_channels=channels,
    )


def _waveform(
    probe: ProbeTruth, number: int, kind: Kind
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return a waveform and its channels: the nearest ones, or all of them for an artefact."""
    template: Any = probe.templates_uv[number]
    best = int(probe.unit_peak_channels[number])
    if kind == "artefact":
        everywhere = np.arange(len(probe.channels), dtype=np.int64)
        return np.repeat(template[:, [best]], everywhere.size, axis=1), everywhere
    distance_um = np.linalg.norm(probe.positions_um - probe.positions_um[best], axis=1)
    near = np.sort(np.argsort(distance_um, kind="stable")[:N_WAVEFORM_CHANNELS])
    return template[:, near], near.astype(np.int64)
