"""How the tissue moved along a probe, by SpikeInterface's estimators, shank by shank.

Which estimator, and all of its settings, is a preset of SpikeInterface. Those of DREDge need
PyTorch; ``kilosort_like`` (the registration of Kilosort 2.5) and ``nonrigid_accurate`` do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import TaskError
from ..preflight import Finding
from .sorted_units import quiet_third_party

#: Presets that run in any environment first, as they are listed to the user.
PRESETS = (
    *("kilosort_like", "nonrigid_accurate", "rigid_fast", "nonrigid_fast_and_accurate"),
    *("dredge", "dredge_fast", "medicine"),
)
#: Method of a preset -> the package that it imports, and how to get it.
_PACKAGES = {"dredge_ap": ("torch", "torch"), "medicine": ("medicine", "medicine-neuro")}
#: SpikeInterface's sorters correct motion on probes of more than 32 channels that are no wider
#: (its ``check_probe_for_drift_correction``): those of one shank.
_WIDEST_UM = 60.0
#: A shank with fewer channels has too few depths to follow anything.
_LEAST_CHANNELS = 8


@dataclass(frozen=True)
class ShankMotion:
    """The motion of one shank.

    Attributes
    ----------
    method : str
        The preset.
    shank : int
        Which shank.
    displacement_um : ndarray of float64, shape (n_times, n_depths)
        Towards larger depths is positive; only differences in time have a meaning.
    times_s : ndarray of float64, shape (n_times,)
        Samples over the sampling rate, of what was given.
    depths_um : ndarray of float64, shape (n_depths,)
        One of a rigid estimate.
    """

    method: str
    shank: int
    displacement_um: NDArray[np.float64]
    times_s: NDArray[np.float64]
    depths_um: NDArray[np.float64]


def estimate_motion(
    recording: Any, shanks: NDArray[Any], preset: str, n_jobs: int = 1
) -> tuple[ShankMotion, ...]:
    """Return the motion of each shank that has enough channels.

    Parameters
    ----------
    recording : spikeinterface.BaseRecording
        The raw recording.
    shanks : ndarray of int, shape (n_channels,)
        Shank of each channel.
    preset : str
        Of SpikeInterface.
    n_jobs : int, optional
        Processes.

    Raises
    ------
    TaskError
        If the estimator fails, as for want of PyTorch or of spikes.
    """
    import spikeinterface.preprocessing as spre

    filtered = spre.common_reference(
        spre.bandpass_filter(recording, freq_min=300.0, freq_max=6000.0, dtype="float32")
    )
    found = []
    for shank in np.unique(shanks):
        mine = np.flatnonzero(shanks == shank)
        if len(mine) < _LEAST_CHANNELS:
            continue
        part = filtered.select_channels(filtered.channel_ids[mine])
        try:
            with quiet_third_party():
                motion = spre.compute_motion(
                    part,
                    preset=preset,
                    estimate_motion_kwargs=mend_preset(preset),
                    n_jobs=n_jobs,
                    chunk_duration="1s",
                    progress_bar=False,
                )
        except (RuntimeError, ValueError, IndexError) as error:
            raise TaskError(
                f"The motion of shank {shank} cannot be estimated by {preset}: {error}",
                hint="Choose another estimator, as kilosort_like, or leave --motion out.",
            ) from error
        found.append(
            ShankMotion(
                preset,
                int(shank),
                np.asarray(motion.displacement[0], "float64"),
                np.asarray(motion.temporal_bins_s[0], "float64"),
                np.asarray(motion.spatial_bins_um, "float64"),
            )
        )
    if not found:
        raise TaskError(
            f"No shank has {_LEAST_CHANNELS} channels: there is no motion to be seen.",
            hint="Leave --motion out.",
        )
    return tuple(found)


def mend_preset(preset: str) -> dict[str, Any]:
    """Return what must be given beside a preset of SpikeInterface, so that it runs.

    DREDge's of version 0.105 ask for ``batching_mode="offline"``, which its estimator calls
    ``"full"``.

    Parameters
    ----------
    preset : str
        Of SpikeInterface.
    """
    from spikeinterface.preprocessing import get_motion_parameters_preset

    given = get_motion_parameters_preset(preset)["estimate_motion_kwargs"]
    return {"batching_mode": "full"} if given.get("batching_mode") == "offline" else {}


def check_estimator(preset: str) -> Finding:
    """Return whether what a preset imports is installed.

    Parameters
    ----------
    preset : str
        Of SpikeInterface.
    """
    method, package, pip = _imports(preset)
    if not package:
        return Finding("motion", "ok", f"{preset} ({method})")
    return Finding(
        "motion",
        "refused",
        f"The estimator {preset} needs {package}, which is not installed.",
        f"pip install {pip}, or choose another, as kilosort_like.",
    )


def check_correction(sorter: str, parameters: Mapping[str, Any], places: Any) -> Finding | None:
    """Return what a sorter needs to correct motion itself; None if it has it, or corrects none.

    Parameters
    ----------
    sorter : str
        Its name in SpikeInterface.
    parameters : mapping
        All of its parameters.
    places : sequence of ndarray, shape (n_channels, 2)
        x and depth (um) of the channels of each probe that is sorted.
    """
    own = parameters.get("motion_correction")
    name = "motion_correction.preset" if own else "motion_correction_preset"
    preset = own.get("preset") if isinstance(own, Mapping) else parameters.get(name)
    if not preset or not parameters.get("apply_motion_correction"):
        return None
    if not any(len(xy) > 32 and np.ptp(xy[:, 0]) <= _WIDEST_UM for xy in places):
        return None
    _, package, pip = _imports(str(preset))
    if not package:
        return None
    return Finding(
        "motion",
        "refused",
        f"{sorter} corrects motion by {preset}, which needs {package}; it is not installed.",
        f"pip install {pip}, or take another estimator: --param {name}=kilosort_like; or correct "
        "none: --param apply_motion_correction=false.",
    )


def _imports(preset: str) -> tuple[str, str, str]:
    """Return the method of a preset, and the package that it lacks with its name for pip."""
    from spikeinterface.preprocessing import get_motion_parameters_preset

    method = str(get_motion_parameters_preset(preset)["estimate_motion_kwargs"].get("method"))
    package, pip = _PACKAGES.get(method, ("", ""))
    return (method, "", "") if not package or find_spec(package) else (method, package, pip)


def motion_rows(
    lab: Any, key: Mapping[str, Any], motions: Sequence[ShankMotion], sampling_rate_hz: float
) -> list[dict[str, Any]]:
    """Return the rows of SpikeSorting.Motion, their times on the probe's own clock.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : mapping
        Of SpikeSorting.
    motions : sequence of ShankMotion
        Of its probe.
    sampling_rate_hz : float
        Of the recording; where that is in segments, their pauses are put between the times.
    """
    from ...schema.segments import fetch_axes
    from ...schema.spike_times import probe_stream

    stream = probe_stream(dict(key))
    axis = fetch_axes(lab, {stream: sampling_rate_hz}).get(stream)
    taken = (lab.SpikeSorting.Motion & key).fetch("motion_num")
    first = int(max(taken, default=-1)) + 1
    rows = []
    for number, motion in enumerate(motions, first):
        times_s = motion.times_s
        if axis is not None:
            samples = np.rint(times_s * sampling_rate_hz).astype("int64")
            times_s = np.asarray(axis.to_seconds(samples), "float64")
        rows.append(
            {
                **key,
                "motion_num": number,
                "motion_method": motion.method,
                "shank": motion.shank,
                "displacement": motion.displacement_um,
                "displacement_times": times_s,
                "displacement_depths": motion.depths_um,
            }
        )
    return rows
