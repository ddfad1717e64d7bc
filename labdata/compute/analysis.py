"""What an analysis is, and how analyses are found.

An analysis says which datasets it works on, which options it takes, and computes one dataset. It
inserts its results itself, in one transaction; the task around it (:mod:`labdata.compute.task`)
claims, logs and records. Analyses are found by the entry point ``labdata.analyses``; nothing from
the database or a preference file is ever turned into code.
"""

from __future__ import annotations

import argparse
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar

from ..errors import TaskError
from ..registry import Registry
from .preflight import Finding, MachineFacts

_ANALYSES = Registry(
    "analysis",
    "labdata.analyses",
    {
        "spikeinterface": "labdata.compute.analyses.sorting:SpikeInterfaceAnalysis",
        "spks": "labdata.compute.analyses.spks:SpksAnalysis",
    },
    TaskError,
    "ANALYSES",
)


def own_analyses() -> list[str]:
    """Return the names of the analyses that are labdata's own, which no plugin replaces."""
    return list(_ANALYSES.built_in)


@dataclass(frozen=True)
class TaskContext:
    """What an analysis is given.

    Attributes
    ----------
    lab : Lab
        The tables.
    key : dict
        subject_name, session_name, dataset_name.
    parameters : dict
        Options as the analysis' own parser made them.
    report : callable
        Told a short sentence at each step.
    scratch : Path
        An empty folder of this task's own, removed when it ends.
    confirm : callable
        To be called inside the transaction that inserts the results: raises TaskError if another
        worker has taken the task over, as happens when the connection to the database broke.
    """

    lab: Any
    key: dict[str, Any]
    parameters: Mapping[str, Any]
    report: Callable[[str], None]
    scratch: Path
    confirm: Callable[[], None]


@dataclass(frozen=True)
class TaskPlan:
    """A task that is to be made.

    Attributes
    ----------
    key : dict
        Of the dataset that it is listed under.
    parameters : dict
        Of this task.
    datasets : tuple of dict
        All that it works on, `key` among them.
    """

    key: dict[str, Any]
    parameters: dict[str, Any]
    datasets: tuple[dict[str, Any], ...]


class Analysis(ABC):
    """One kind of computation on a dataset.

    Attributes
    ----------
    name : str
        As given to ``labdata run``.
    summary : str
        One line for the help.
    packages : tuple of str
        Distributions whose versions are recorded with each task.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ("labdata-jupyter", "numpy")

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:  # noqa: B027
        """Add this analysis' options to a parser.

        Parameters
        ----------
        parser : argparse.ArgumentParser
            The parser of ``labdata run <name>``.
        """

    def check(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters to record, or refuse them before a task is made.

        Parameters
        ----------
        parameters : mapping
            Parsed options.

        Raises
        ------
        LabdataError
            If an option is wrong or a package is missing.
        """
        return dict(parameters)

    def group(
        self, datasets: Sequence[dict[str, Any]], parameters: Mapping[str, Any]
    ) -> list[TaskPlan]:
        """Return the tasks for some datasets: one each, unless an analysis takes several at once.

        Parameters
        ----------
        datasets : sequence of dict
            Of :meth:`find_datasets`.
        parameters : mapping
            As :meth:`check` returned them.
        """
        return [TaskPlan(key, dict(parameters), (key,)) for key in datasets]

    @abstractmethod
    def find_datasets(self, lab: Any, restriction: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the keys of the datasets that this analysis can work on.

        Parameters
        ----------
        lab : Lab
            The tables.
        restriction : mapping
            subject_name, session_name, dataset_name, as far as given.
        """

    def preflight(
        self,
        lab: Any,
        key: Mapping[str, Any],
        parameters: Mapping[str, Any],
        machine: MachineFacts,
    ) -> Iterable[Finding]:
        """Return what stands against computing one dataset here, and what is well; change nothing.

        Parameters
        ----------
        lab : Lab
            The tables.
        key : mapping
            subject_name, session_name, dataset_name.
        parameters : mapping
            As :meth:`check` returned them.
        machine : MachineFacts
            The computer.
        """
        return ()

    @abstractmethod
    def compute(self, context: TaskContext) -> str:
        """Compute one dataset and insert the results in one transaction.

        Parameters
        ----------
        context : TaskContext
            What to work on.

        Returns
        -------
        str
            What was done, in a sentence.
        """


def package_versions(names: Iterable[str]) -> dict[str, str]:
    """Return the exact versions of distributions, for the record of a result.

    Parameters
    ----------
    names : iterable of str
        Names of distributions.

    Returns
    -------
    dict of str to str
        ``"not installed"`` for one that is not.
    """
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def analysis_names() -> list[str]:
    """Return the names of all analyses, built in and installed."""
    return _ANALYSES.names()


def find_analysis(name: str) -> Analysis:
    """Return the analysis of a name.

    Parameters
    ----------
    name : str
        As given to ``labdata run``.

    Raises
    ------
    TaskError
        If there is none; the message names those there are.
    """
    analysis: Analysis = _ANALYSES.make(name)
    return analysis
