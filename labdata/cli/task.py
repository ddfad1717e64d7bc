"""Run tasks by their numbers.

Examples:
  labdata task 12
  labdata run --queue                lists the tasks
"""

from __future__ import annotations

import argparse
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    from .selection import number_of

    parser.add_argument(
        "job", nargs="+", type=number_of("task", "labdata run --queue"), help="number of the task"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Run the tasks."""
    from ..compute import check_may_run
    from .selection import chosen_lab

    lab = chosen_lab(options)
    check_may_run(lab)  # once, and not for each task
    return run_tasks(lab, options.job, as_json=options.json)


def run_tasks(
    lab: Any, numbers: list[int], *, as_json: bool = False, checked: bool = False
) -> int:
    """Run tasks one after another; one that fails is said and does not stop the others.

    Parameters
    ----------
    lab : Lab
        The tables.
    numbers : list of int
        The tasks.
    as_json : bool, optional
        Print JSON.
    checked : bool, optional
        The preflight of all of them was just made here.

    Returns
    -------
    int
        Exit code: 1 if any failed.
    """
    from ..compute import run_task
    from ..errors import LabdataError
    from . import write
    from .output import print_rows, show_steps

    rows, failed = [], False
    for number in numbers:
        try:
            with show_steps(f"task {number}") as step:
                result = run_task(number, lab=lab, report=step, checked=checked)
        except LabdataError as error:
            failed = True
            write(f"labdata: task {number} failed: {error.message}", error=True)
            if error.hint:
                write(f"  {error.hint}", error=True)
            continue
        rows.append({"task": number, "status": "COMPLETED", "result": result.summary})
    if rows:
        print_rows(rows, ("task", "status", "result"), as_json=as_json)
    return int(failed)


def task_rows(lab: Any, numbers: list[int]) -> list[dict[str, Any]]:
    """Return tasks, newest first.

    Parameters
    ----------
    lab : Lab
        The tables.
    numbers : list of int
        Their numbers; all by default.
    """
    query = lab.ComputeTask & ([{"job_id": n} for n in numbers] if numbers else "1")
    rows: list[dict[str, Any]] = query.fetch(as_dict=True, order_by="job_id DESC")
    return rows
