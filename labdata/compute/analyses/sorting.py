"""Spike sorting with SpikeInterface: any installed sorter, every probe of a dataset.

The recording is read where it lies. The sorter's parameters are recorded whole, its defaults
included, so that a parameter set means the same numbers for ever. Units, waveforms, metrics and a
snippet of voltage go into the database in one transaction a probe: a sorting is there whole or not
at all.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

from ..analysis import TaskContext
from .probe_sorting import ProbeSorting, SorterResult, count_jobs
from .sorter import sort_recording
from .sorter_needs import SorterNeeds
from .sorter_parameters import (
    DEFAULT_SORTER,
    complete_parameters,
    sorter_needs,
    sorter_packages,
)


class SpikeInterfaceAnalysis(ProbeSorting):
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
        super().add_arguments(parser)

    def check(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Complete the sorter's parameters by its defaults, and refuse unknown ones."""
        sorter = parameters.get("sorter") or DEFAULT_SORTER
        return {
            "sorter": sorter,
            "sorter_parameters": complete_parameters(sorter, parameters),
            **super().check(parameters),
        }

    def needs(self, parameters: Mapping[str, Any]) -> SorterNeeds:
        """Return what SpikeInterface tells of the sorter."""
        return sorter_needs(parameters["sorter"], parameters["sorter_parameters"])

    def sort(
        self,
        context: TaskContext,
        keys: Sequence[Mapping[str, Any]],
        recording: Any,
        folder: Path,
    ) -> SorterResult:
        """Run the sorter; its units are counted in its order, those without spikes left out."""
        options = context.parameters
        sorting = sort_recording(
            recording, folder, options["sorter"], options["sorter_parameters"], count_jobs(options)
        )
        counted = enumerate(sorting.remove_empty_units().unit_ids)
        return SorterResult(
            sorting,
            {label: number for number, label in counted},
            f"spikeinterface {version('spikeinterface')}",
            packages=sorter_packages(options["sorter"]),
        )
