"""Bring a raw folder to the server and register its upload.

The subject, session and dataset are read from the folder's path by the preference path_rules; what
the path does not say is given by -a, -s and -d, or asked for at a terminal. Every byte is hashed
on the way, the rule checks the files first, and nothing is registered before all is there. Nothing
is ever deleted.

Examples:
  labdata put ~/data/JC1/20260131_140500/ephys_g0 -r ephys
  labdata put run_g0 -r ephys -a JC1 -s 20260131_140500 -d ephys_g0
  labdata put ~/data/JC1/20260131_140500/ephys_g0 --dry-run
"""

from __future__ import annotations

import argparse
import shlex
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from ..counted import count_of

if TYPE_CHECKING:
    from ..rules.planning import PutPlan
    from ..rules.subject_guard import OtherSubjectError

_NAMES = (
    *("rule", "subject", "session", "dataset", "dataset_type"),
    *("session_datetime", "experimenter", "subject_is_right"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("folder", nargs="+", help="folder of raw data, inside a local path")
    parser.add_argument("-r", "--rule", help="upload rule (ephys, none; default by the files)")
    parser.add_argument("-a", "--subject", help="subject_name, if the path does not say it")
    parser.add_argument("-s", "--session", help="session_name, if the path does not say it")
    parser.add_argument("-d", "--dataset", help="dataset_name, if the path does not say it")
    parser.add_argument("-t", "--dataset-type", help="DatasetType, if the name does not hint it")
    parser.add_argument(
        "--session-datetime",
        type=_iso_time,
        metavar="ISO",
        help="start of a new session, if its name does not say it",
    )
    parser.add_argument("-u", "--experimenter", help="lab member of a new session")
    parser.add_argument(
        "--subject-is-right",
        action="store_true",
        help="put it even if the path or the files name another subject",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _iso_time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no ISO time; write it as 2026-01-31T14:05:00"
        ) from None


def run(options: argparse.Namespace) -> None:
    """Put the folders."""
    from ..rules.put_notes import find_notes
    from ..rules.putting import put
    from . import write
    from .output import print_rows, show_progress
    from .selection import chosen_lab

    lab = chosen_lab(options)
    # all are checked before the first is copied, so that a wrong name among them changes nothing
    plans = [_plan(folder, options, lab) for folder in options.folder]
    rows: list[dict[str, Any]] = []
    columns = ["job", "subject_name", "session_name", "dataset_name", "rule", "rule_by"]
    columns += ["files", "size"]
    try:
        for plan in plans:
            row = {k: plan.job[k] for k in ("subject_name", "session_name", "dataset_name")}
            row |= {
                "rule": plan.rule.name,
                "rule_by": plan.why_rule,
                "files": len(plan.files),
                "size": plan.size_bytes,
            }
            _say_notes(plan)
            if not options.dry_run:
                with show_progress(f"put {plan.folder.name}", plan.size_bytes) as (progress, _):
                    row["job"] = put(plan, lab=lab, progress=progress)
            rows.append(row)
            if not options.dry_run:
                for note in find_notes(lab, row["job"]):
                    write(f"labdata: {note}", error=True)
    finally:
        # also when a later one fails: these are registered
        if rows:
            print_rows(rows, columns[1:] if options.dry_run else columns, as_json=options.json)
    if not (options.dry_run or options.json):
        write("Next, on the server: labdata upload")


def _say_notes(plan: PutPlan) -> None:
    from . import write

    for note in plan.notes:
        write(f"labdata: {note}", error=True)
    empty = [path.relative_to(plan.folder).as_posix() for path in plan.empty_folders]
    if empty:
        number = count_of(len(empty), "empty folder")
        named = ", ".join(empty[:3]) + ", …" * (len(empty) > 3)
        write(f"labdata: {number} in {plan.folder} not put: {named}", error=True)


def _plan(folder: str, options: argparse.Namespace, lab: Any) -> PutPlan:
    """Plan one folder; at a terminal, ask for what is missing."""
    from ..rules.putting import plan_put
    from ..rules.subject_guard import OtherSubjectError
    from .asking import can_ask

    given = {name: getattr(options, name) for name in _NAMES}
    if options.json or not can_ask():
        return plan_put(folder, **given, lab=lab)
    given |= _answer(folder, given, lab)
    try:
        return plan_put(folder, **given, lab=lab)
    except OtherSubjectError as error:
        _confirm_subject(error)
        return plan_put(folder, **given | {"subject_is_right": True}, lab=lab)


def _confirm_subject(error: OtherSubjectError) -> None:
    """Have a person type the name of the animal; raise the error again if it is another."""
    from .asking import ask

    typed = ask(
        f"{error.message}\nIf it was {error.subject}, type its name; Enter stops:",
        str,
        proposed="",
    )
    if typed != error.subject:
        raise error


def _answer(folder: str, given: dict[str, Any], lab: Any) -> dict[str, Any]:
    """Ask for the names that nothing says, and say how to give them next time."""
    from ..rules.questions import check_answer, next_question
    from .asking import ask
    from .output import write_quietly

    answers: dict[str, Any] = {}
    while (question := next_question(folder, given | answers, lab=lab)) is not None:
        answers[question.argument] = ask(
            question.text,
            partial(check_answer, question, lab=lab),
            proposed=question.proposed,
            known=question.known,
        )
    if answers:
        flags = {"subject": "-a", "session": "-s", "dataset": "-d"}
        words = ["labdata", "put", folder]
        for name, value in answers.items():
            text = value.isoformat() if isinstance(value, datetime) else value
            words += [flags.get(name, "--session-datetime"), text]
        write_quietly(f"The same without questions: {shlex.join(words)}")
    return answers
