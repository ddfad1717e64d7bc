"""Run an analysis on the datasets of a session; it makes a task for each and runs it here.

Examples:
  labdata run spikeinterface -a JC1 -s 20260131_140500
  labdata run spikeinterface -a JC1 -s 20260131_140500 -- --sorter tridesclous2
  labdata run spikeinterface -a JC1 --param detection.method_kwargs.detect_threshold=6
  labdata run spikeinterface -a JC1 --check     can it run here? nothing is begun
  labdata run spikeinterface -a JC1 -s 20260131_140500 20260201_101500 --multisession
  labdata run spikeinterface -h      the options of an analysis

Before anything is begun the machine and the data are looked at: GPU, memory, room for files, the
raw files, the clocks. What cannot succeed is refused, of what may fail you are warned.
"""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING, Any

from .selection import add_selection

if TYPE_CHECKING:
    from ..compute import Preflight


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("analysis", nargs="?", help="name of the analysis: spikeinterface, spks")
    add_selection(parser)
    parser.add_argument("--all", action="store_true", help="every dataset of the project")
    parser.add_argument("-t", "--target", default="local", choices=["local"], help="where to run")
    parser.add_argument(
        "--check",
        "--dry-run",
        action="store_true",
        help="say whether it could run here, and begin nothing",
    )
    parser.add_argument("--queue", action="store_true", help="list the tasks")
    parser.add_argument(
        "--submit-only", action="store_true", help="make the tasks, run them later"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def parse(parser: Any, arguments: list[str]) -> argparse.Namespace:
    """Parse a line whose options depend on the analysis; ``--`` may set its options apart.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Of this command.
    arguments : list of str
        The line.

    Returns
    -------
    argparse.Namespace
        The options, those of the analysis among them.
    """
    from ..compute import find_analysis

    names = [word for word in arguments[:1] if not word.startswith("-")]
    if names:
        analysis = find_analysis(names[0])
        group = parser.add_argument_group(f"options of {analysis.name}", analysis.summary)
        before = set(vars(parser.parse_args([names[0]])))
        analysis.add_arguments(group)
        words = [word for word in arguments if word != "--"]
        options: argparse.Namespace = parser.parse_args(words)
        options.parameters = {
            k: v for k, v in vars(options).items() if k not in before and k != "parameters"
        }
    else:
        options = parser.parse_args(arguments)
        options.parameters = {}
    options.line = shlex.join(["run", *arguments])
    return options


def run(options: argparse.Namespace) -> int:
    """Make the tasks and run them."""
    from ..compute import check_may_run, create_tasks, find_analysis, run_preflight
    from .output import print_rows
    from .selection import check_subjects, chosen_keys, chosen_lab
    from .task import run_tasks, task_rows

    lab = chosen_lab(options)
    if options.queue:
        print_rows(task_rows(lab, []), _QUEUE, as_json=options.json, empty="There are no tasks.")
        return 0
    _refuse_unclear(options)
    check_subjects(lab, options.subject)
    analysis = find_analysis(options.analysis)
    keys = chosen_keys(options)
    if options.check:
        looked = run_preflight(analysis, lab, keys, options.parameters)
        rows = [row for one in looked for row in one.rows()]
        print_rows(rows, _FINDINGS, as_json=options.json)
        return int(any(one.refused for one in looked))
    check_may_run(lab)  # before anything is looked at, which takes a while
    command = {"command": options.line, "target": options.target}
    if options.submit_only:  # it may run elsewhere
        numbers = create_tasks(analysis, lab, keys, options.parameters, **command)
        print_rows(task_rows(lab, numbers), _QUEUE, as_json=options.json)
        return 0
    analysis.check(options.parameters)  # a wrong option is an error, and no finding of a dataset
    looked = run_preflight(analysis, lab, keys, options.parameters)
    _tell(looked)
    passed = [key for one in looked if not one.refused for key in one.datasets]
    if not passed:
        return 1
    numbers = create_tasks(analysis, lab, passed, options.parameters, **command)
    failed = run_tasks(lab, numbers, as_json=options.json, checked=True)
    return max(failed, int(any(one.refused for one in looked)))


def _refuse_unclear(options: argparse.Namespace) -> None:
    from ..compute import analysis_names
    from . import UsageError

    if options.analysis is None:
        raise UsageError(
            f"Which analysis? There are: {', '.join(analysis_names())}. Its name comes first: "
            "labdata run NAME -a SUBJECT"
        )
    chosen = options.subject or options.session or options.dataset
    if not chosen and not options.all:
        raise UsageError("Which sessions? Choose with -a SUBJECT -s SESSION, or take --all.")
    if chosen and options.all:
        raise UsageError("--all takes every dataset, and -a, -s or -d choose: give one of them.")


def _tell(looked: list[Preflight]) -> None:
    """Say what is refused, as errors are, and quietly what may go wrong."""
    from . import write
    from .output import write_quietly

    for one in looked:
        dataset = "/".join(one.key.values())
        for found in one.findings:
            if found.state == "refused":
                write(f"labdata: {dataset}: {found.message}", error=True)
                write(f"  {found.hint}", error=True)
            elif found.state == "warning":
                write_quietly(f"{dataset}: {found.message} {found.hint}")


_FINDINGS = {
    "session_name": "session",
    "dataset_name": "dataset",
    "check": "check",
    "state": "state",
    "message": "found",
    "hint": "what to do",
}


_QUEUE = {
    "job_id": "task",
    "task_name": "analysis",
    "task_status": "status",
    "subject_name": "subject",
    "session_name": "session",
    "dataset_name": "dataset",
    "task_host": "host",
    "task_endtime": "ended (UTC)",
    "task_log": "log",
}
