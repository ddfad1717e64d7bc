"""Spike sorting with SpikeInterface: any installed sorter, every probe of a dataset.

The recording is read where it lies. The sorter's parameters are recorded whole, its defaults
included, so that a parameter set means the same numbers for ever. Units, waveforms, metrics and a
snippet of voltage go into the database in one transaction a probe: a sorting is there whole or not
at all.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, ClassVar

from ...database.claims import utc_now
from ...errors import TaskError
from ...schema.sorting import hash_parameters
from ..analysis import Analysis, TaskContext, package_versions
from .sorted_units import SortedProbe, extract_units, insert_sorting
from .sorter import DEFAULT_SORTER, complete_parameters, count_jobs, sort_recording


class SpikeInterfaceAnalysis(Analysis):
    """Sort the spikes of each probe of a recording."""

    name: ClassVar[str] = "spikeinterface"
    summary: ClassVar[str] = "sort spikes with SpikeInterface (spykingcircus2 by default)"
    packages: ClassVar[tuple[str, ...]] = ("labdata-jupyter", "spikeinterface", "numpy", "numba")

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the sorter, its parameters and the probes."""
        parser.add_argument(
            "--sorter", default=DEFAULT_SORTER, help="any installed sorter (default: %(default)s)"
        )
        parser.add_argument(
            "--params",
            metavar="JSON",
            help="parameters of the sorter: a JSON object, or the path of a file that holds one",
        )
        parser.add_argument(
            "--param",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="one parameter, may be repeated; for instance "
            "detection.method_kwargs.detect_threshold=6 of spykingcircus2",
        )
        parser.add_argument("--probe", type=int, metavar="N", help="only this probe")
        parser.add_argument(
            "--n-jobs", type=_at_least_one, metavar="N", help="processes (default: one a core)"
        )

    def check(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Complete the sorter's parameters by its defaults, and refuse unknown ones."""
        sorter = parameters.get("sorter") or DEFAULT_SORTER
        return {
            "sorter": sorter,
            "sorter_parameters": complete_parameters(sorter, parameters),
            "probe": parameters.get("probe"),
            "n_jobs": parameters.get("n_jobs"),
        }

    def find_datasets(self, lab: Any, restriction: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the recordings of a restriction."""
        found: list[dict[str, Any]] = (lab.EphysRecording & dict(restriction)).fetch("KEY")
        return found

    def compute(self, context: TaskContext) -> str:
        """Sort each probe that has not been sorted with these parameters."""
        lab, parameters = context.lab, context.parameters
        probes = lab.EphysRecording.ProbeSetting & context.key
        if parameters.get("probe") is not None:
            probes = probes & {"probe_num": parameters["probe"]}
        keys = probes.fetch("KEY")
        if not keys:
            raise TaskError(f"There is no probe {parameters.get('probe')} in this recording.")
        done = []
        for key in keys:
            set_num = find_parameter_set(
                lab, parameters["sorter"], parameters["sorter_parameters"]
            )
            sorting_key = {**key, "parameter_set_num": set_num}
            if lab.SpikeSorting & sorting_key:
                done.append(f"imec{key['probe_num']}: sorted already (set {set_num})")
                continue
            n_units = self._sort_probe(context, sorting_key)
            done.append(f"imec{key['probe_num']}: {n_units} units (set {set_num})")
        return "; ".join(done)

    def _sort_probe(self, context: TaskContext, key: dict[str, Any]) -> int:
        sorter = context.parameters["sorter"]
        recording, channels = open_probe(context.lab, key)
        context.report(
            f"imec{key['probe_num']}: {sorter} on {recording.get_num_channels()} channels, "
            f"{recording.get_total_duration():.0f} s"
        )
        folder = context.scratch / f"imec{key['probe_num']}"
        try:
            n_jobs = count_jobs(context.parameters)
            sorting = sort_recording(
                recording, folder, sorter, context.parameters["sorter_parameters"], n_jobs
            )
            context.report(
                f"imec{key['probe_num']}: {len(sorting.unit_ids)} units; waveforms and metrics"
            )
            probe = extract_units(recording, sorting, channels, n_jobs)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        insert_sorting(
            context.lab,
            key,
            probe,
            algorithm_version=f"spikeinterface {version('spikeinterface')}",
            package_versions=package_versions(self.packages),
            sorted_at=utc_now(),
            confirm=context.confirm,
        )
        return len(probe.units)


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes, 1 or more")
    return int(text)


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
    from ...schema.files import open_in_place
    from ...schema.recorded_bands import find_band_files
    from .band_recording import BandRecording

    probe = {k: key[k] for k in ("subject_name", "session_name", "dataset_name", "probe_num")}
    files = (lab.File & (lab.EphysRecording.ProbeFile & probe).proj()).fetch(as_dict=True)
    by_path = {file["file_path"]: file for file in files}
    bands = find_band_files(by_path, "ap")
    if not bands:
        raise TaskError(
            f"Probe {probe['probe_num']} of {probe['dataset_name']} has no AP file.",
            hint="`labdata sessions -a SUBJECT --include-size` lists the files.",
        )
    if len(bands) > 1:  # until spikes are placed on the axis of their segments
        raise TaskError(
            f"Probe {probe['probe_num']} of {probe['dataset_name']} is in {len(bands)} segments, "
            "which are not sorted yet.",
            hint="ProbeSetting.open() gives their concatenation, to sort it elsewhere.",
        )
    for file in files:
        open_in_place(file)
    setting = (lab.EphysRecording.ProbeSetting * lab.ProbeConfiguration & probe).fetch1()
    table = SortedProbe(
        coords_um=setting["channel_coords"],
        shank=setting["channel_shank"],
        sampling_rate_hz=setting["sampling_rate"],
        n_samples=int(setting["n_samples"]),
    )
    path = str(open_in_place(by_path[bands[0]]))
    return BandRecording(path, table.coords_um, table.shank), table


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

    found = {"parameters_hash": hash_parameters(sorter, parameters)}
    for _ in range(20):
        rows = (lab.SpikeSortingParams & found).fetch("parameter_set_num")
        if len(rows):
            return int(rows[0])
        taken = lab.SpikeSortingParams.fetch("parameter_set_num")
        try:
            lab.SpikeSortingParams.insert1(
                {
                    **found,
                    "parameter_set_num": int(max(taken, default=0)) + 1,
                    "algorithm_name": sorter,
                    "parameters_dict": dict(parameters),
                }
            )
        except dj.errors.DuplicateError:
            continue  # another worker took the number, or made the same set
    raise TaskError("No number could be found for a parameter set.", hint="Try again.")
