"""Bring a raw folder to the server and register its upload.

The subject, session and dataset are read from the folder's path by the preference path_rules; what
the path does not say is given by -a, -s and -d. Every byte is hashed on the way, the rule checks
the files first, and nothing is registered before all is there. Nothing is ever deleted.

Examples:
  labdata put ~/data/JC1/20260131_140500/ephys_g0 -r ephys
  labdata put run_g0 -r ephys -a JC1 -s 20260131_140500 -d ephys_g0
  labdata put ~/data/JC1/20260131_140500/ephys_g0 --dry-run
"""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import Any


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
    from ..rules.putting import plan_put, put
    from . import write
    from .output import print_rows, show_progress
    from .selection import chosen_lab

    lab = chosen_lab(options)
    # all are checked before the first is copied, so that a wrong name among them changes nothing
    plans = [
        plan_put(
            folder,
            rule=options.rule,
            subject=options.subject,
            session=options.session,
            dataset=options.dataset,
            dataset_type=options.dataset_type,
            session_datetime=options.session_datetime,
            experimenter=options.experimenter,
            subject_is_right=options.subject_is_right,
            lab=lab,
        )
        for folder in options.folder
    ]
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
            if not options.dry_run:
                with show_progress(f"put {plan.folder.name}", plan.size_bytes) as (progress, _):
                    row["job"] = put(plan, lab=lab, progress=progress)
            rows.append(row)
    finally:
        # also when a later one fails: these are registered
        if rows:
            print_rows(rows, columns[1:] if options.dry_run else columns, as_json=options.json)
    if not (options.dry_run or options.json):
        write("Next, on the server: labdata upload")
