"""What all sorters of a probe have in common: which probes, the look before, units, rows.

Each probe is sorted by itself, or that of several recordings together, as one concatenation that
is split again. What is inserted is there whole or not at all: of several recordings, all of them.
"""

from __future__ import annotations

import argparse
import os
import shutil
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...database.claims import utc_now
from ...errors import TaskError
from ..analysis import Analysis, TaskContext, package_versions
from ..preflight import Finding, MachineFacts
from .sorted_units import extract_units
from .sorting_checks import SorterNeeds, check_probes
from .sorting_rows import NewSorting, SortingFacts, insert_sortings
from .sorting_tables import choose_probes, find_parameter_set, known_parameter_set, open_probe


@dataclass(frozen=True)
class SorterResult:
    """What a sorter found.

    Attributes
    ----------
    sorting : spikeinterface.BaseSorting
        The spikes, in samples of what was sorted.
    numbers : dict
        Label of each unit in the sorting -> its number.
    version : str
        What sorted.
    facts : dict
        What else is to be kept of it, as JSON has it.
    """

    sorting: Any
    numbers: Mapping[Any, int]
    version: str
    facts: Mapping[str, Any] = field(default_factory=dict)


class ProbeSorting(Analysis):
    """Sort the spikes of each probe of a recording.

    The recorded parameters have ``sorter`` and ``sorter_parameters``, which are a set of
    SpikeSortingParams, and ``probe`` and ``n_jobs``, which are not.
    """

    @abstractmethod
    def needs(self, parameters: Mapping[str, Any]) -> SorterNeeds:
        """Return what the sorter asks of the machine.

        Parameters
        ----------
        parameters : mapping
            As :meth:`check` returned them.
        """

    @abstractmethod
    def sort(
        self,
        context: TaskContext,
        key: Mapping[str, Any],
        recording: Any,
        folder: Path,
    ) -> SorterResult:
        """Return the units of a probe.

        Parameters
        ----------
        context : TaskContext
            With the parameters.
        key : mapping
            Of EphysRecording.ProbeSetting.
        recording : spikeinterface.BaseRecording
            What to sort.
        folder : Path
            For files, not there yet; removed afterwards.
        """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the choice of a probe and the number of processes."""
        parser.add_argument("--probe", type=int, metavar="N", help="only this probe")
        parser.add_argument(
            "--n-jobs", type=_at_least_one, metavar="N", help="processes (default: one a core)"
        )

    def check(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return what all sorters have in common of the parameters, to be recorded.

        Parameters
        ----------
        parameters : mapping
            Parsed options.
        """
        return {"probe": parameters.get("probe"), "n_jobs": parameters.get("n_jobs")}

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
        """Yield what is found of GPU, memory, disk, files and clocks of probes not sorted yet.

        Parameters
        ----------
        lab : Lab
            The tables.
        key : mapping
            Of the recording.
        parameters : mapping
            As :meth:`check` returned them.
        machine : MachineFacts
            The computer.
        """
        needs = self.needs(parameters)
        yield Finding("sorter", "ok", needs.name)
        try:
            keys = choose_probes(lab, key, parameters.get("probe"))
        except TaskError as error:
            yield Finding("probes", "refused", error.message, error.hint or "")
            return
        number = known_parameter_set(lab, parameters["sorter"], parameters["sorter_parameters"])
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
        recording, channels = open_probe(context.lab, key)
        context.report(
            f"imec{key['probe_num']}: {context.parameters['sorter']} on "
            f"{recording.get_num_channels()} channels, {recording.get_total_duration():.0f} s"
        )
        folder = context.scratch / f"imec{key['probe_num']}"
        try:
            found = self.sort(context, key, recording, folder)
            n_units = len(found.sorting.unit_ids)
            context.report(f"imec{key['probe_num']}: {n_units} units; waveforms and metrics")
            n_jobs = count_jobs(context.parameters)
            probe = extract_units(recording, found.sorting, channels, n_jobs, found.numbers)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        facts = SortingFacts(
            algorithm_version=found.version,
            package_versions=package_versions(self.packages),
            sorted_at=utc_now(),
            additional_params=dict(found.facts) or None,
        )
        insert_sortings(context.lab, [NewSorting(key, probe)], facts, context.confirm)
        return len(probe.units)


def count_jobs(options: Mapping[str, Any]) -> int:
    """Return how many processes to use: as many as asked for, else one a core.

    Parameters
    ----------
    options : mapping
        ``n_jobs`` of the command line.
    """
    return options.get("n_jobs") or os.cpu_count() or 1


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes, 1 or more")
    return int(text)
