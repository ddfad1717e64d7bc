"""What a sorting asks of the tables: probes, their recordings, the number of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import TaskError
from ...schema.sorting import hash_parameters
from ...schema.unit_metrics import recording_data
from .sorted_units import SortedProbe


def choose_probes(lab: Any, key: Mapping[str, Any], probe: int | None) -> list[dict[str, Any]]:
    """Return the probes of a recording, or the one that is asked for.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : mapping
        Of the recording.
    probe : int or None
        Number of a probe.

    Raises
    ------
    TaskError
        If there is none.
    """
    probes = lab.EphysRecording.ProbeSetting & dict(key)
    numbered = probes if probe is None else probes & {"probe_num": probe}
    keys: list[dict[str, Any]] = numbered.fetch("KEY", order_by="probe_num")
    if not keys:
        there = ", ".join(str(number) for number in probes.fetch("probe_num")) or "none"
        said = "no probe" if probe is None else f"no probe {probe}"
        raise TaskError(f"There is {said} in this recording.", hint=f"Its probes: {there}.")
    return keys


def open_probe(lab: Any, key: Mapping[str, Any]) -> tuple[Any, SortedProbe]:
    """Return a probe's AP band as a SpikeInterface recording, and its channel table.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : mapping
        Of EphysRecording.ProbeSetting.

    Raises
    ------
    TaskError
        If the probe has no AP file.
    """
    from .band_recording import BandRecording

    table = channel_table(lab, key)
    paths = [str(path) for path in band_paths(lab, key)]
    return BandRecording(paths, table.coords_um, table.shank), table


def band_paths(lab: Any, key: Mapping[str, Any]) -> list[Path]:
    """Return the files of a probe's AP band, in the order in which they were recorded.

    They and what describes them are fetched if need be.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : mapping
        Of EphysRecording.ProbeSetting.

    Raises
    ------
    TaskError
        If the probe has no AP file.
    """
    from ...schema.files import open_in_place
    from ...schema.recorded_bands import find_band_files

    probe = {k: key[k] for k in ("subject_name", "session_name", "dataset_name", "probe_num")}
    files = (lab.File & (lab.EphysRecording.ProbeFile & probe).proj()).fetch(as_dict=True)
    by_path = {file["file_path"]: file for file in files}
    bands = find_band_files(by_path, "ap")
    if not bands:
        raise TaskError(
            f"Probe {probe['probe_num']} of {probe['dataset_name']} has no AP file.",
            hint="`labdata sessions -a SUBJECT --include-size` lists the files.",
        )
    for file in files:
        open_in_place(file)
    return _in_order(lab, probe, [open_in_place(by_path[path]) for path in bands])


def channel_table(lab: Any, key: Mapping[str, Any]) -> SortedProbe:
    """Return the channels of a probe, and the rate and length of its recording; no units.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : mapping
        Of EphysRecording.ProbeSetting.
    """
    data = recording_data(lab, dict(key))
    return SortedProbe(data.coords_um, data.shank, data.sampling_rate_hz, data.n_samples)


def _in_order(lab: Any, probe: dict[str, Any], paths: list[Path]) -> list[Path]:
    """Return the files of a probe's segments in the order in which they were recorded."""
    from ...schema.ephys_events import open_stored_band
    from ...schema.recorded_bands import order_segments

    if len(paths) > 1:
        bands = [open_stored_band(path) for path in paths]
        paths = [paths[bands.index(band)] for band in order_segments(lab, probe, bands)]
    return paths


def known_parameter_set(lab: Any, sorter: str, parameters: Mapping[str, Any]) -> int | None:
    """Return the number of a parameter set; None if it is new.

    Parameters
    ----------
    lab : Lab
        The tables.
    sorter : str
        Its name.
    parameters : mapping
        All of its parameters.
    """
    found = {"parameters_hash": hash_parameters(sorter, parameters)}
    rows = (lab.SpikeSortingParams & found).fetch("parameter_set_num")
    return int(rows[0]) if len(rows) else None


def find_parameter_set(lab: Any, sorter: str, parameters: Mapping[str, Any]) -> int:
    """Return the number of a parameter set, inserted if it is new.

    Parameters
    ----------
    lab : Lab
        The tables.
    sorter : str
        Its name.
    parameters : mapping
        All of its parameters.

    Raises
    ------
    TaskError
        If other workers took every number that was tried.
    """
    import datajoint as dj

    for _ in range(20):
        known = known_parameter_set(lab, sorter, parameters)
        if known is not None:
            return known
        taken = lab.SpikeSortingParams.fetch("parameter_set_num")
        try:
            lab.SpikeSortingParams.insert1(
                {
                    "parameters_hash": hash_parameters(sorter, parameters),
                    "parameter_set_num": int(max(taken, default=0)) + 1,
                    "algorithm_name": sorter,
                    "parameters_dict": dict(parameters),
                }
            )
        except dj.errors.DuplicateError:
            continue  # another worker took the number, or made the same set
    raise TaskError("No number could be found for a parameter set.", hint="Try again.")
