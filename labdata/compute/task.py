"""A task: one run of an analysis on one dataset, from WAITING to COMPLETED or FAILED.

One claim wins, by a conditional UPDATE whose row count decides. While it works, a worker holds a
named lock of the database server, which the server drops when the worker dies; so a task whose
worker is gone is known at once and may be claimed again.
"""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..database.archived import refuse_archived
from ..database.claims import claim_row
from ..database.own_roles import check_role
from ..errors import TaskError
from ..preferences import load_preferences
from ..scratch import scratch_folder
from .analysis import Analysis, TaskContext, find_analysis, package_versions
from .preflight import raise_refused, read_machine

logger = logging.getLogger(__name__)

_CLAIMABLE = ("WAITING", "WORKING", "FAILED")


@dataclass(frozen=True)
class TaskResult:
    """How a task ended.

    Attributes
    ----------
    job_id : int
        Number of the task.
    summary : str
        What was done.
    """

    job_id: int
    summary: str


def create_tasks(
    analysis: Analysis,
    lab: Any,
    restriction: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    parameters: Mapping[str, Any],
    *,
    command: str = "",
    target: str = "local",
) -> list[int]:
    """Make a task for each dataset of a restriction, or find the one that is there.

    Parameters
    ----------
    analysis : Analysis
        What to run.
    lab : Lab
        The tables.
    restriction : mapping or sequence of mapping
        subject_name, session_name, dataset_name, as far as given.
    parameters : mapping
        Options of the analysis.
    command : str, optional
        The command line, for the record.
    target : str, optional
        Where it is to run.

    Returns
    -------
    list of int
        Task numbers. A task of the same analysis, dataset and parameters that has not ended is
        returned rather than made again.

    Raises
    ------
    TaskError
        If a restriction has no dataset to work on; no task is made then.
    """
    check_may_run(lab)
    recorded = analysis.check(parameters)
    wanted = [restriction] if isinstance(restriction, Mapping) else restriction
    plans = analysis.group(find_keys(analysis, lab, wanted), recorded)
    numbers = []
    for key, parameters in ((plan.key, plan.parameters) for plan in plans):
        same = _unfinished(lab, analysis.name, key, parameters)
        if same is not None:
            numbers.append(same)
            continue
        with lab.connection.transaction:
            lab.ComputeTask.insert1(
                {
                    **key,
                    "task_name": analysis.name,
                    "task_status": "WAITING",
                    "task_target": target,
                    "task_cmd": command[:4000] or None,
                    "task_parameters": parameters,
                }
            )
            numbers.append(int(lab.connection.query("SELECT LAST_INSERT_ID()").fetchone()[0]))
    return numbers


def check_may_run(lab: Any) -> None:
    """Raise if no results may be made in a project.

    Parameters
    ----------
    lab : Lab
        Its tables.

    Raises
    ------
    DatabaseError
        If the project is archived, or this account has not the role.
    """
    refuse_archived(lab)
    check_role(lab, "run analyses", ("analyst", "admin"))


def run_task(
    job_id: int,
    *,
    lab: Any = None,
    report: Callable[[str], None] = logger.info,
    checked: bool = False,
) -> TaskResult:
    """Claim a task and run it here.

    Parameters
    ----------
    job_id : int
        Number of the task.
    lab : Lab, optional
        Tables of another project.
    report : callable, optional
        Told a short sentence at each step.
    checked : bool, optional
        The caller has just made the preflight of this dataset on this computer.

    Returns
    -------
    TaskResult
        Number of the task, and what it made in a sentence.

    Raises
    ------
    TaskError
        If there is no such task, another worker has it, or it is done.
    LabdataError
        Why it failed; the task then says so too.
    """
    if lab is None:
        from ..schema import default_lab as lab
    check_may_run(lab)
    table = lab.ComputeTask
    host = socket.gethostname()
    with claim_row(table, "task", job_id, states=_CLAIMABLE, task_host=host) as claim:
        if claim is None:
            raise _not_claimed(lab, job_id)
        row = (table & {"job_id": job_id}).fetch1()
        analysis = find_analysis(row["task_name"])
        key = {k: row[k] for k in ("subject_name", "session_name", "dataset_name")}
        parameters = row["task_parameters"] or {}
        if isinstance(parameters, str):
            parameters = json.loads(parameters)

        def note(text: str) -> None:
            claim.notes.append(text)
            report(text)

        def confirm() -> None:
            if not claim.is_held():
                raise _taken_over(job_id)

        if not checked:
            _look_first(analysis, lab, key, parameters, note)
        with scratch_folder(claim, load_preferences()) as scratch:
            context = TaskContext(lab, key, parameters, note, scratch, confirm)
            summary = analysis.compute(context)
        versions = package_versions(analysis.packages)
        if not claim.finish("COMPLETED", summary, task_versions=versions):
            raise _taken_over(job_id)
        return TaskResult(job_id, summary)


def find_keys(
    analysis: Analysis, lab: Any, restrictions: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the datasets of restrictions, of which each must have one.

    Parameters
    ----------
    analysis : Analysis
        What is to work on them.
    lab : Lab
        The tables.
    restrictions : iterable of mapping
        subject_name, session_name, dataset_name, as far as given.

    Raises
    ------
    TaskError
        If a restriction has none.
    """
    return [key for one in restrictions for key in _datasets(analysis, lab, one)]


def _datasets(
    analysis: Analysis, lab: Any, restriction: Mapping[str, Any]
) -> list[dict[str, Any]]:
    datasets = analysis.find_datasets(lab, restriction)
    if not datasets:
        given = ", ".join(f"{k}={v}" for k, v in restriction.items()) or "nothing"
        raise TaskError(
            f"No dataset for {analysis.name} matches {given}.",
            hint="`labdata sessions -a SUBJECT` lists what there is.",
        )
    return datasets


def _look_first(
    analysis: Analysis,
    lab: Any,
    key: dict[str, Any],
    parameters: dict[str, Any],
    note: Callable[[str], None],
) -> None:
    """Raise if the analysis is sure to fail here, and note what may stand against it."""
    findings = list(analysis.preflight(lab, key, parameters, read_machine()))
    raise_refused(findings)
    for found in findings:
        if found.state == "warning":
            note(f"{found.check}: {found.message}")


def _unfinished(
    lab: Any, name: str, key: dict[str, Any], parameters: dict[str, Any]
) -> int | None:
    rows = (
        lab.ComputeTask
        & {"task_name": name, **key}
        & [{"task_status": s} for s in ("WAITING", "WORKING")]
    ).fetch("job_id", "task_parameters", as_dict=True)
    for row in rows:
        found = row["task_parameters"]
        if (json.loads(found) if isinstance(found, str) else found) == parameters:
            return int(row["job_id"])
    return None


def _taken_over(job_id: int) -> TaskError:
    return TaskError(
        f"Task {job_id} was taken over by another worker.",
        hint="`labdata run --queue` shows how it stands.",
    )


def _not_claimed(lab: Any, job_id: int) -> TaskError:
    states = (lab.ComputeTask & {"job_id": job_id}).fetch("task_status")
    if len(states) == 0:
        return TaskError(f"There is no task {job_id}.", hint="`labdata run` makes tasks.")
    alive = ", by a worker that is alive" if states[0] == "WORKING" else ""
    return TaskError(
        f"Task {job_id} is {states[0]}{alive}.", hint="Make another with `labdata run`, or wait."
    )
