"""What really happened in a synthetic recording, to compare results with.

Everything happens in true time, in seconds, with 0 at the nominal start of the session. Each
stream has a clock of its own: where it began and how fast it really ran. A file states only the
nominal rate, as an uncalibrated rig does, so seconds of different streams drift apart.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labdata.errors import FormatError

#: How long before true time 0 the run's acquisition began, s; files start later, as on a rig
#: where the acquisition runs before the recording is enabled.
ACQUISITION_LEAD_S = 7.0


@dataclass(frozen=True)
class ClockTruth:
    """The true clock of one stream.

    Parameters
    ----------
    stream_name : str
        ``imec0``, ``nidq``.
    nominal_rate_hz : float
        Rate that the stream's meta file states.
    true_rate_hz : float
        Samples per true second.
    start_s : float
        True time of sample 0.
    n_samples : int
        Length of the stream.
    """

    stream_name: str
    nominal_rate_hz: float
    true_rate_hz: float
    start_s: float
    n_samples: int

    def samples_at(self, true_s: ArrayLike) -> NDArray[np.float64]:
        """Return the (fractional) sample at true times.

        Parameters
        ----------
        true_s : array_like
            True times, seconds.
        """
        return (np.asarray(true_s, np.float64) - self.start_s) * self.true_rate_hz

    def seconds_at(self, true_s: ArrayLike) -> NDArray[np.float64]:
        """Return what the stream's own clock showed at true times: samples over nominal rate.

        Parameters
        ----------
        true_s : array_like
            True times, seconds.
        """
        return self.samples_at(true_s) / self.nominal_rate_hz

    def true_at(self, seconds: ArrayLike) -> NDArray[np.float64]:
        """Return the true times at which the stream's own clock showed these seconds.

        Parameters
        ----------
        seconds : array_like
            Samples over the nominal rate.
        """
        samples = np.asarray(seconds, np.float64) * self.nominal_rate_hz
        return self.start_s + samples / self.true_rate_hz

    def first_samples_from(self, true_s: ArrayLike) -> NDArray[np.int64]:
        """Return the first sample at or after each true time.

        Parameters
        ----------
        true_s : array_like
            True times, seconds.
        """
        return np.asarray(np.ceil(self.samples_at(true_s)), np.int64)

    @property
    def first_sample(self) -> int:
        """Samples between the start of the run's acquisition and sample 0: ``firstSample``."""
        return round((self.start_s + ACQUISITION_LEAD_S) * self.true_rate_hz)

    def map_to(self, other: ClockTruth) -> tuple[float, float]:
        """Return (slope, offset in s) such that other's seconds = slope * own seconds + offset.

        Parameters
        ----------
        other : ClockTruth
            The other clock.
        """
        own = self.nominal_rate_hz / self.true_rate_hz
        theirs = other.true_rate_hz / other.nominal_rate_hz
        return own * theirs, (self.start_s - other.start_s) * theirs


@dataclass(frozen=True, eq=False)
class ProbeTruth:
    """The neurons around one probe and what they did.

    Parameters
    ----------
    probe_num : int
        Number in the file's name.
    part_number, serial : str
        Which probe it is.
    clock : ClockTruth
        Clock of the AP band.
    uv_per_bit : float
        Microvolts a bit of the AP band.
    channels : ndarray of int64, shape (n_channels,)
        Saved acquisition channels.
    positions_um : ndarray of float64, shape (n_channels, 2)
        (x, depth) of each saved channel's contact.
    shank : ndarray of int64, shape (n_channels,)
        Shank of each saved channel's contact.
    spike_samples : ndarray of int64, shape (n_spikes,)
        Sample nearest to the trough of each spike, ascending.
    spike_units : ndarray of int32, shape (n_spikes,)
        Unit of each spike, from 0.
    spike_times_s : ndarray of float64, shape (n_spikes,)
        True time of the trough of each spike.
    unit_positions_um : ndarray of float64, shape (n_units, 2)
        (x, depth) of each neuron.
    unit_peak_channels : ndarray of int64, shape (n_units,)
        Column of the file with the largest spike.
    unit_amplitudes_uv : ndarray of float64, shape (n_units,)
        Peak to peak on that channel, in microvolts.
    unit_preferred_deg : ndarray of float64, shape (n_units,)
        Preferred orientation; NaN for neurons that ignore the stimulus.
    templates_uv : ndarray of float32, shape (n_units, n_template_samples, n_channels)
        Mean spike in microvolts; its trough is at ``n_pre_samples``.
    n_pre_samples : int
        Samples of a template before its trough.
    sync_rise_samples, sync_fall_samples : ndarray of int64
        Edges of bit 6 of the AP band's status word.
    """

    probe_num: int
    part_number: str
    serial: str
    clock: ClockTruth
    uv_per_bit: float
    channels: NDArray[np.int64]
    positions_um: NDArray[np.float64]
    shank: NDArray[np.int64]
    spike_samples: NDArray[np.int64]
    spike_units: NDArray[np.int32]
    spike_times_s: NDArray[np.float64]
    unit_positions_um: NDArray[np.float64]
    unit_peak_channels: NDArray[np.int64]
    unit_amplitudes_uv: NDArray[np.float64]
    unit_preferred_deg: NDArray[np.float64]
    templates_uv: NDArray[np.float32]
    n_pre_samples: int
    sync_rise_samples: NDArray[np.int64]
    sync_fall_samples: NDArray[np.int64]

    @property
    def n_units(self) -> int:
        """Number of neurons."""
        return int(self.unit_amplitudes_uv.size)

    def unit_samples(self, unit: int) -> NDArray[np.int64]:
        """Return the samples of one unit's spikes, int64 ascending.

        Parameters
        ----------
        unit : int
            Its number.
        """
        return np.asarray(self.spike_samples[self.spike_units == unit], np.int64)


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """A synthetic SpikeGLX run.

    Parameters
    ----------
    run_folder : str
        The ``<run>_g0`` folder that was written.
    run_name : str
        Name of the run.
    duration_s : float
        True length, in seconds.
    seed : int
        Seed of everything random in it.
    probes : tuple of ProbeTruth
        By number.
    nidq : ClockTruth
        Clock of the NI-DAQ.
    sync_on_s, sync_off_s : ndarray of float64, shape (n_pulses,)
        True edges of the sync line.
    dropped_sync : ndarray of int64
        Indices into ``sync_on_s`` of pulses that the NI-DAQ missed.
    spurious_sync_s : ndarray of float64
        True times of pulses that only the NI-DAQ has.
    stim_on_s, stim_off_s : ndarray of float64, shape (n_stimuli,)
        True edges of the stimulus line.
    stim : ndarray of int64, shape (n_stimuli,)
        Orientation number of each stimulus.
    stim_orientation_deg : ndarray of float64, shape (n_stimuli,)
        Orientation of each stimulus, in degrees.
    trial : ndarray of int64, shape (n_stimuli,)
        How often that orientation was shown before.
    camera_on_s : ndarray of float64
        True times of camera frames.
    sync_rise_samples, sync_fall_samples, stim_rise_samples, stim_fall_samples, \
camera_rise_samples, camera_fall_samples : ndarray of int64
        Edges of bits 7, 1 and 2 of the NI-DAQ's digital word.
    """

    run_folder: str
    run_name: str
    duration_s: float
    seed: int
    probes: tuple[ProbeTruth, ...]
    nidq: ClockTruth
    sync_on_s: NDArray[np.float64]
    sync_off_s: NDArray[np.float64]
    dropped_sync: NDArray[np.int64]
    spurious_sync_s: NDArray[np.float64]
    stim_on_s: NDArray[np.float64]
    stim_off_s: NDArray[np.float64]
    stim: NDArray[np.int64]
    stim_orientation_deg: NDArray[np.float64]
    trial: NDArray[np.int64]
    camera_on_s: NDArray[np.float64]
    sync_rise_samples: NDArray[np.int64]
    sync_fall_samples: NDArray[np.int64]
    stim_rise_samples: NDArray[np.int64]
    stim_fall_samples: NDArray[np.int64]
    camera_rise_samples: NDArray[np.int64]
    camera_fall_samples: NDArray[np.int64]

    def probe(self, probe_num: int) -> ProbeTruth:
        """Return the probe of a number.

        Parameters
        ----------
        probe_num : int
            As in the names of its files.

        Raises
        ------
        FormatError
            When the run has no such probe.
        """
        for probe in self.probes:
            if probe.probe_num == probe_num:
                return probe
        raise FormatError(
            f"{self.run_name} has no probe {probe_num}.",
            hint=f"It has {', '.join(str(p.probe_num) for p in self.probes)}.",
        )

    def save(self, path: str | Path) -> Path:
        """Write everything to one ``.npz`` file and return its path.

        Parameters
        ----------
        path : str or Path
            File to write; an old one is replaced.

        Returns
        -------
        Path
            The file.
        """
        path = Path(path)
        scalars: dict[str, Any] = {}
        arrays: dict[str, NDArray[Any]] = {}
        _flatten(self, "", scalars, arrays)
        with path.open("wb") as file:
            np.savez_compressed(file, __scalars__=np.array(json.dumps(scalars)), **arrays)  # type: ignore[arg-type]
        return path

    @classmethod
    def load(cls, path: str | Path) -> GroundTruth:
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        path : path
            The file.

        Returns
        -------
        GroundTruth
            Equal to the one saved.

        Raises
        ------
        FormatError
            When the file is not a saved ground truth.
        """
        with np.load(path, allow_pickle=False) as file:
            if "__scalars__" not in file:
                raise FormatError(
                    f"{path} is not a ground truth.", hint="Give a file that save() wrote."
                )
            scalars = json.loads(str(file["__scalars__"]))
            arrays = {key: file[key] for key in file.files}
        return cast(GroundTruth, _rebuild(cls, "", scalars, arrays))


def _flatten(
    record: Any, prefix: str, scalars: dict[str, Any], arrays: dict[str, NDArray[Any]]
) -> None:
    for field in dataclasses.fields(record):
        key, value = prefix + field.name, getattr(record, field.name)
        if dataclasses.is_dataclass(value):
            _flatten(value, f"{key}.", scalars, arrays)
        elif isinstance(value, tuple):
            scalars[key] = len(value)
            for i, item in enumerate(value):
                _flatten(item, f"{key}.{i}.", scalars, arrays)
        elif isinstance(value, np.ndarray):
            arrays[key] = value
        else:
            scalars[key] = value


def _rebuild(
    cls: type, prefix: str, scalars: dict[str, Any], arrays: dict[str, NDArray[Any]]
) -> Any:
    values: dict[str, Any] = {}
    for name, kind in get_type_hints(cls).items():
        key = prefix + name
        if dataclasses.is_dataclass(kind):
            values[name] = _rebuild(cast(type, kind), f"{key}.", scalars, arrays)
        elif get_origin(kind) is tuple:
            item = get_args(kind)[0]
            values[name] = tuple(
                _rebuild(item, f"{key}.{i}.", scalars, arrays) for i in range(scalars[key])
            )
        else:
            values[name] = arrays[key] if key in arrays else scalars[key]
    return cls(**values)
