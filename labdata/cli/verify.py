"""Compare the stores with the database: whether every file is there, whole and unchanged.

Everything is compared by size; a part is read and compared by checksum, another part each day, so
that a daily run has read everything after --days days; what was found damaged is read in every
run until it is right. --repair says what can be put back from a verified copy (local paths, the
inbox, other stores); --repair --apply does it, and keeps what was damaged beside it as
FILE.damaged-DATE. The exit code is 1 if anything is wrong.

Examples:
  labdata verify
  labdata verify --everything --store data
  labdata verify --repair              what would be put back, and from where
  labdata verify --repair --apply
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from ..counted import count_of, show_size

if TYPE_CHECKING:
    from ..schema.repairing import Repair
    from ..schema.verify_plan import VerifyPlan
    from ..schema.verify_report import VerifyReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    from ..schema.verify_plan import DAYS
    from .selection import whole_number

    parser.add_argument("--store", nargs="+", metavar="STORE", help="only these stores")
    parser.add_argument(
        "--days",
        type=whole_number("days"),
        default=DAYS,
        metavar="N",
        help=f"daily runs in which everything is read (default {DAYS})",
    )
    parser.add_argument("--everything", action="store_true", help="read everything now")
    parser.add_argument("--repair", action="store_true", help="say what can be put back")
    parser.add_argument("--apply", action="store_true", help="with --repair: do it")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Compare, repair if told to, and say what was found; 1 if anything is wrong."""
    from ..schema.verify_plan import plan_verify
    from ..schema.verifying import verify_planned
    from . import UsageError
    from .output import show_progress, write_quietly
    from .selection import chosen_lab

    if options.apply and not options.repair:
        raise UsageError("--apply goes with --repair: `labdata verify --repair --apply`")
    lab = chosen_lab(options)
    plan = plan_verify(lab, stores=options.store, days=options.days, everything=options.everything)
    if not options.json:
        write_quietly(
            f"{count_of(plan.n_objects, 'file')}, {show_size(plan.size_bytes)}; "
            f"{len(plan.due)} of them to read, {show_size(plan.read_bytes)}{_known(plan)}."
        )
    with show_progress("verify", plan.read_bytes) as (progress, _):
        report = verify_planned(lab, plan, progress=progress)
    repairs = _repair(lab, report, options) if options.repair else ()
    if options.json:
        _print_json(report, repairs, with_repairs=options.repair)
    else:
        _print(report, repairs, options)
    mended = sum(repair.state in ("restored", "right") for repair in repairs)
    return int(len(report.findings) > mended)


def _known(plan: VerifyPlan) -> str:
    found = len(plan.damaged)
    return f"; {found} because an earlier run found damage" if found else ""


def _repair(lab: Any, report: VerifyReport, options: argparse.Namespace) -> tuple[Repair, ...]:
    from ..schema.repairing import plan_repair, repair_planned
    from .output import show_progress

    plan = plan_repair(lab, report)
    if not (options.apply and plan.n_planned):
        return plan.repairs
    with show_progress("repair", plan.size_bytes) as (progress, _):
        return repair_planned(lab, plan, progress=progress)


def _print(report: VerifyReport, repairs: tuple[Repair, ...], options: argparse.Namespace) -> None:
    from . import write
    from .output import print_rows

    rows = [
        {
            "storage": found.storage,
            "file_path": found.file_path or "(the whole store)",
            "what": found.say(),
            "copies": ", ".join(found.copies) or ("none found" if found.file_path else ""),
        }
        for found in report.findings
    ]
    if rows:
        columns = {"storage": "store", "file_path": "path", "what": "what", "copies": "copies"}
        print_rows(rows, columns)
    for repair in repairs:
        place = ": ".join(filter(None, (repair.finding.storage, repair.finding.file_path)))
        state = "" if repair.state == "no copy" else f"{repair.state}: "  # the message says it
        write(f"{place}: {state}{repair.message}")
    for line in report.notes():
        write(line)
    if any(found.file_path for found in report.findings) and not options.repair:
        write("`labdata verify --repair` says what can be put back from copies.")
    if any(repair.state == "planned" for repair in repairs):
        write("Nothing is put back yet: add --apply.")
    number = count_of(len(rows), "finding") if rows else "Nothing is wrong"
    write(f"{number}. {report.summary()}")


def _print_json(report: VerifyReport, repairs: tuple[Repair, ...], *, with_repairs: bool) -> None:
    from . import write

    names = ("days", "everything", "n_objects", "size_bytes", "n_read", "read_bytes")
    more = ("n_cold", "n_without_checksum", "n_right_again")
    content = {
        "ok": report.ok,
        "day": report.today.isoformat(),
        **{name: getattr(report, name) for name in (*names, *more)},
        "full_round_by": report.full_round_by.isoformat(),
        "orphans": vars(report.orphans),
        "findings": report.rows(),
    }
    if with_repairs:
        content["repairs"] = [repair.row() for repair in repairs]
    write(json.dumps(content, indent=2))
