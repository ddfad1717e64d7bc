"""What all sorters of a probe have in common: which probes, the look before, units, rows.

Each probe is sorted by itself, or that of several recordings together, as one concatenation that
is split again. What is inserted is there whole or not at all: of several recordings, all of them.
"""

from __future__ import annotations

import argparse
import shutil
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...cores import count_cores
from ...counted import count_of
from ...database.claims import utc_now
from ...errors import TaskError
from ..analysis import Analysis, TaskContext, TaskPlan, package_versions
from ..preflight import Finding, MachineFacts
from .motion import (
    PRESETS,
    ShankMotion,
    check_correction,
    check_estimator,
    estimate_motion,
    motion_rows,
)
from .multisession import cut_sorting, join_recordings
from .sorted_units import SortedProbe, extract_units
from .sorter_needs import SorterNeeds
from .sorting_checks import check_probes
from .sorting_groups import all_there, probe_groups, set_content
from .sorting_rows import NewSorting, SortingFacts, insert_sortings
from .sorting_tables import channel_table, find_parameter_set, known_parameter_set, open_probe


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
    packages : tuple of str
        Distributions whose versions are kept with it, beside those of the analysis.
    """

    sorting: Any
    numbers: Mapping[Any, int]
    version: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    packages: tuple[str, ...] = ()


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
        keys: Sequence[Mapping[str, Any]],
        recording: Any,
        folder: Path,
    ) -> SorterResult:
        """Return the units of a probe.

        Parameters
        ----------
        context : TaskContext
            With the parameters.
        keys : sequence of mapping
            Of EphysRecording.ProbeSetting; several are sorted together.
        recording : spikeinterface.BaseRecording
            What to sort: those of the keys one after another.
        folder : Path
            For files, not there yet; removed afterwards.
        """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the choice of a probe and the number of processes."""
        parser.add_argument("--probe", type=int, metavar="N", help="only this probe")
        parser.add_argument(
            "--n-jobs", type=_at_least_one, metavar="N", help="processes (default: one a core)"
        )
        parser.add_argument(
            "--motion",
            choices=PRESETS,
            metavar="ESTIMATOR",
            help=f"estimate the motion of the tissue, too: {', '.join(PRESETS)}",
        )
        parser.add_argument(
            "--multisession",
            action="store_true",
            help="sort all chosen datasets together, so that their units have the same numbers",
        )

    def check(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return what all sorters have in common of the parameters, to be recorded.

        Parameters
        ----------
        parameters : mapping
            Parsed options.
        """
        names = ("probe", "n_jobs", "motion", "multisession")
        return {name: parameters.get(name) for name in names}

    def find_datasets(self, lab: Any, restriction: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the recordings of a restriction."""
        found: list[dict[str, Any]] = (lab.EphysRecording & dict(restriction)).fetch("KEY")
        return found

    def group(
        self, datasets: Sequence[dict[str, Any]], parameters: Mapping[str, Any]
    ) -> list[TaskPlan]:
        """Return one task of all datasets for ``--multisession``, else one each.

        Raises
        ------
        TaskError
            If there is one dataset only, or they are of several subjects.
        """
        if not parameters.get("multisession"):
            return super().group(datasets, parameters)
        together = sorted(datasets, key=lambda key: (key["session_name"], key["dataset_name"]))
        subjects = sorted({key["subject_name"] for key in together})
        if len(subjects) != 1 or len(together) < 2:
            said = f"of {', '.join(subjects)}" if len(subjects) > 1 else "of one dataset"
            raise TaskError(
                f"--multisession sorts several datasets of a subject together; these are {said}.",
                hint="Choose with -a SUBJECT -s SESSION SESSION ...",
            )
        first, *others = together
        recorded = {**parameters, "together": others}
        return [TaskPlan(first, recorded, tuple(together))]

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
        if parameters.get("motion"):
            yield check_estimator(parameters["motion"])
        try:
            groups = probe_groups(lab, key, parameters)
        except TaskError as error:
            yield Finding("probes", "refused", error.message, error.hint or "")
            return
        number = known_parameter_set(lab, parameters["sorter"], set_content(parameters))
        done = lab.SpikeSorting & {"parameter_set_num": number}
        left = [group for group in groups if number is None or not done & group]
        if left:
            n_jobs = parameters.get("n_jobs") or machine.n_cores
            yield from self._check_correction(lab, left, parameters)
            yield from check_probes(lab, left, needs, n_jobs, machine)
        else:
            yield Finding("probes", "ok", f"Sorted already (set {number}).")

    def _check_correction(
        self, lab: Any, groups: Sequence[Any], parameters: Mapping[str, Any]
    ) -> Iterator[Finding]:
        places = [channel_table(lab, key).coords_um for keys in groups for key in keys]
        content = parameters.get("sorter_parameters") or {}
        found = check_correction(parameters["sorter"], content, places)
        if found:
            yield found

    def compute(self, context: TaskContext) -> str:
        """Sort each probe that has not been sorted with these parameters."""
        lab, parameters = context.lab, context.parameters
        done = []
        for group in probe_groups(lab, context.key, parameters):
            set_num = known_parameter_set(lab, parameters["sorter"], set_content(parameters))
            keys = [{**key, "parameter_set_num": set_num} for key in group]
            said = f"imec{keys[0]['probe_num']}: "
            if set_num is not None and all_there(lab, keys):
                said += f"sorted already (set {set_num})"
                n_added = self._add_motion(context, keys)
                said += f", motion of {count_of(n_added, 'shank')} added" if n_added else ""
            else:
                set_num, n_units = self._sort_together(context, group)
                said += f"{count_of(n_units, 'unit')} (set {set_num})"
                said += f" in {len(keys)} datasets" if len(keys) > 1 else ""
            done.append(said)
        return "; ".join(done)

    def _sort_together(self, context: TaskContext, keys: list[dict[str, Any]]) -> tuple[int, int]:
        """Sort probes of several recordings as one; return number of the set, and of units."""
        opened = [open_probe(context.lab, key) for key in keys]
        recording = join_recordings([one for one, _ in opened], keys)
        said = f"imec{keys[0]['probe_num']}: "
        context.report(
            f"{said}{context.parameters['sorter']} on {recording.get_num_channels()} channels, "
            f"{recording.get_total_duration():.0f} s"
        )
        folder = context.scratch / f"imec{keys[0]['probe_num']}"
        try:
            # first what takes less and may fail, too
            pairs = list(zip(keys, opened, strict=True))
            motions = [self._estimate(context, key, *one) for key, one in pairs]
            found = self.sort(context, keys, recording, folder)
            n_units = len(found.sorting.unit_ids)
            context.report(f"{said}{n_units} units; waveforms and metrics")
            probes = []
            starts = np.cumsum([0, *(one.get_num_samples() for one, _ in opened)])
            for place, (_, (own, channels)) in enumerate(pairs):
                spikes = cut_sorting(found.sorting, starts[place], starts[place + 1])
                n_jobs = count_jobs(context.parameters)
                probes.append(extract_units(own, spikes, channels, n_jobs, found.numbers))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        facts = SortingFacts(
            algorithm_version=found.version,
            package_versions=package_versions((*self.packages, *found.packages)),
            sorted_at=utc_now(),
            additional_params=dict(found.facts) or None,
        )
        # last, so that a run that fails leaves no set of parameters that sorted nothing
        lab, parameters = context.lab, context.parameters
        set_num = find_parameter_set(lab, parameters["sorter"], set_content(parameters))
        new = []
        for key, probe, moved in zip(keys, probes, motions, strict=True):
            others = tuple(other for other in keys if other is not key)
            full = {**key, "parameter_set_num": set_num}
            rows = tuple(motion_rows(lab, full, moved, probe.sampling_rate_hz))
            new.append(NewSorting(full, probe, others, rows))
        insert_sortings(lab, new, facts, context.confirm)
        return set_num, len({unit.unit_id for one in new for unit in one.probe.units})

    def _estimate(
        self, context: TaskContext, key: dict[str, Any], recording: Any, probe: SortedProbe
    ) -> Sequence[ShankMotion]:
        """Return the motion that is asked for, a shank each; none where none is."""
        preset = context.parameters.get("motion")
        if not preset:
            return ()
        context.report(f"imec{key['probe_num']}: motion by {preset}")
        n_jobs = count_jobs(context.parameters)
        return estimate_motion(recording, np.asarray(probe.shank), preset, n_jobs)

    def _add_motion(self, context: TaskContext, keys: list[dict[str, Any]]) -> int:
        """Add the motion that is asked for to sortings that are there; how many shanks."""
        lab, wanted = context.lab, {"motion_method": context.parameters.get("motion")}
        rows: list[dict[str, Any]] = []
        for key in keys:
            if wanted["motion_method"] and not lab.SpikeSorting.Motion & key & wanted:
                recording, channels = open_probe(lab, key)
                motions = self._estimate(context, key, recording, channels)
                rows.extend(motion_rows(lab, key, motions, channels.sampling_rate_hz))
        if rows:
            with lab.connection.transaction:
                context.confirm()
                lab.SpikeSorting.Motion.insert(rows)
        return len(rows)


def count_jobs(options: Mapping[str, Any]) -> int:
    """Return how many processes to use: as many as asked for, else one a core.

    Parameters
    ----------
    options : mapping
        ``n_jobs`` of the command line.
    """
    return options.get("n_jobs") or count_cores()


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes, 1 or more")
    return int(text)
