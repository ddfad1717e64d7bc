"""Spike sorting with SpikeInterface: any installed sorter, every probe of a dataset.

The recording is read where it lies. The sorter's parameters are recorded whole, its defaults
included, so that a parameter set means the same numbers for ever. Units, waveforms, metrics and a
snippet of voltage go into the database in one transaction a probe: a sorting is there whole or not
at all.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

from ...database.claims import utc_now
from ...errors import TaskError
from ...schema.sorting import hash_parameters
from ...schema.unit_metrics import recording_data
from ..analysis import Analysis, TaskContext, package_versions
from ..preflight import Finding, MachineFacts
from .sorted_units import SortedProbe, extract_units, insert_sorting
from .sorter import count_jobs, sort_recording
from .sorter_parameters import DEFAULT_SORTER, complete_parameters, sorter_needs
from .sorting_checks import check_probes


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

    def preflight(
        self,
        lab: Any,
        key: Mapping[str, Any],
        parameters: Mapping[str, Any],
        machine: MachineFacts,
    ) -> Iterator[Finding]:
        """Check GPU, memory, disk, files and clocks for the probes that are not sorted yet."""
        sorter = parameters["sorter"]
        needs = sorter_needs(sorter, parameters["sorter_parameters"])
        yield Finding("sorter", "ok", needs.name)
        try:
            keys = choose_probes(lab, key, parameters.get("probe"))
        except TaskError as error:
            yield Finding("probes", "refused", error.message, error.hint or "")
            return
        number = known_parameter_set(lab, sorter, parameters["sorter_parameters"])
        done = lab.SpikeSorting & {"parameter_set_num": number}
        left = [one for one in keys if number is None or not done & one]
        if left:
            n_jobs = parameters.get("n_jobs") or machine.n_cores
            yield from check_probes(lab, left, needs, n_jobs, machine)
        else:
            yield Finding("probes", "ok", f"Sorted already (set {number}).")

    def compute(self, context: TaskContext) -> str:
        """Sort each probe that has not been sorted with these parameters."""
        lab, parameters = context.lab, context.parameters
        done = []
        for key in choose_probes(lab, context.key, parameters.get("probe")):
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
    for file in files:
        open_in_place(file)
    table = channel_table(lab, probe)
    paths = _in_order(lab, probe, [open_in_place(by_path[path]) for path in bands])
    return BandRecording(paths, table.coords_um, table.shank), table


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


def _in_order(lab: Any, probe: dict[str, Any], paths: list[Path]) -> list[str]:
    """Return the files of a probe's segments in the order in which they were recorded."""
    from ...schema.ephys_events import open_stored_band
    from ...schema.recorded_bands import order_segments

    if len(paths) > 1:
        bands = [open_stored_band(path) for path in paths]
        paths = [paths[bands.index(band)] for band in order_segments(lab, probe, bands)]
    return [str(path) for path in paths]


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
