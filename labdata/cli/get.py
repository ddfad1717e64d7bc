"""Fetch the files of sessions to this computer, into the first local path.

What is on a local path already is not fetched again. How much will come, and how long that takes,
is said first. Files of S3 stores are asked for, unless allow_s3_download is set or --yes is given.
Everything is compared with the checksums that were recorded; an interrupted get is repeated and
goes on with what is missing. Files in cold storage are asked back with --restore; that takes
hours, and the same command fetches them when they have come.

Examples:
  labdata get -a JC1 -s 20260131_140500
  labdata get -a JC1 -s 20260131_140500 -d ephys_g0 --dry-run
  labdata get -a JC1 JC2 -t task-training --files '*.csv' --yes
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..counted import count_of, show_duration, show_size
from .selection import add_selection, whole_number

if TYPE_CHECKING:
    from ..schema.cold_storage import ColdFiles
    from ..schema.fetching import FetchPlan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_selection(parser, required=True)
    parser.add_argument("-t", "--dataset-type", nargs="+", metavar="TYPE", help="kinds of data")
    parser.add_argument(
        "-f", "--files", nargs="+", metavar="PATTERN", help="file names, such as '*.csv'"
    )
    parser.add_argument("-y", "--yes", action="store_true", help="fetch from S3 without asking")
    parser.add_argument(
        "--restore",
        nargs="?",
        type=whole_number("days"),
        const=7,
        metavar="DAYS",
        help="ask files back from cold storage, for 7 days if not given",
    )
    parser.add_argument("--wait", action="store_true", help="with --restore: wait for them")
    parser.add_argument("--dry-run", action="store_true", help="only list the files")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Fetch the files."""
    from ..errors import QueryError
    from ..schema.fetching import fetch_planned, plan_fetch
    from . import write
    from .output import print_rows, show_progress, write_quietly
    from .selection import check_names, check_subjects, chosen_lab

    if options.wait and options.restore is None:
        raise QueryError("--wait is for files in cold storage.", hint="Say --restore --wait.")
    lab = chosen_lab(options)
    check_subjects(lab, options.subject)
    check_names(lab, options)
    rows = _chosen_rows(lab, options)
    if not rows:
        raise QueryError(
            "No files match.", hint="`labdata sessions -a SUBJECT --include-size` lists them."
        )
    plan = plan_fetch(rows)
    listed = [
        {**_shown(row), "local_path": str(path or "")}
        for row, path in zip(plan.rows, plan.found, strict=True)
    ]
    if not options.json:
        write_quietly(_say_plan(plan))
    n_asleep = 0
    if not options.dry_run:
        if not _may_fetch(plan, options):
            write("Nothing was fetched.")
            return 1
        if options.restore is not None:
            cold = _ask_back(plan, options)
            n_asleep, plan = len(cold.rows), plan.without(cold.rows)
        total = sum(row["file_size"] for row in plan.rows)
        with show_progress(f"get {count_of(len(plan.rows), 'file')}", total) as (progress, _):
            paths = fetch_planned(plan, download=True, verify=True, progress=progress)
        listed = [
            {**_shown(row), "local_path": str(path)}
            for row, path in zip(plan.rows, paths, strict=True)
        ]
    columns = ("file_path", "storage", "size", "local_path")
    print_rows(listed, columns, as_json=options.json)
    if n_asleep:
        write_quietly(
            f"{count_of(n_asleep, 'file')} will come later: repeat this command, or add --wait."
        )
    return int(bool(n_asleep))


def _chosen_rows(lab: Any, options: argparse.Namespace) -> list[dict[str, Any]]:
    from fnmatch import fnmatchcase
    from pathlib import PurePosixPath

    from .selection import chosen_keys

    datasets = lab.Dataset & chosen_keys(options)
    if options.dataset_type:
        _check_types(lab, options.dataset_type)
        datasets = datasets & [{"dataset_type": kind} for kind in options.dataset_type]
    query = lab.File & (lab.Dataset.DataFiles & datasets.proj()).proj()
    rows: list[dict[str, Any]] = query.fetch(as_dict=True)
    if not options.files:
        return rows
    return [
        row
        for row in rows
        for name in [PurePosixPath(row["file_path"]).name]
        if any(fnmatchcase(name, pattern) for pattern in options.files)
    ]


def _check_types(lab: Any, given: list[str]) -> None:
    from ..errors import QueryError
    from ..nearest import nearest

    known = [str(kind) for kind in lab.DatasetType.fetch("dataset_type")]
    for kind in given:
        if kind not in known:
            near = nearest(kind, known)
            raise QueryError(
                f"There is no dataset type {kind!r}.",
                hint=f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(known)}.",
            )


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    kept = {name: row[name] for name in ("file_path", "storage", "file_size")}
    return {**kept, "size": row["file_size"]}


def _say_plan(plan: FetchPlan) -> str:
    n_here = len(plan.rows) - len(plan.missing)
    here = f"{count_of(n_here, 'file')} here already" if n_here else ""
    if not plan.missing:
        return f"{here}; nothing is to be fetched."
    stores = ", ".join(sorted({row["storage"] for row in plan.missing}))
    took = plan.expected_s
    time = f", about {show_duration(took)}" if took is not None else ""
    coming = (
        f"{count_of(len(plan.missing), 'file')} with {show_size(plan.size_bytes)} to fetch from "
        f"{stores} to {plan.folder}{time}"
    )
    return f"{here}; {coming}." if here else f"{coming}."


def _may_fetch(plan: FetchPlan, options: argparse.Namespace) -> bool:
    """Ask before anything comes from S3, unless the preferences or the user said yes."""
    from ..errors import StoreError
    from .asking import can_ask, confirm

    if not plan.distant_bytes or options.yes or plan.preferences.allow_s3_download:
        return True
    if not can_ask():
        raise StoreError(
            f"{show_size(plan.distant_bytes)} would come from S3, and allow_s3_download is false.",
            hint="Say --yes, or set allow_s3_download to true in the preference file.",
        )
    return confirm(f"Fetch {show_size(plan.distant_bytes)} from S3?")


def _ask_back(plan: FetchPlan, options: argparse.Namespace) -> ColdFiles:
    """Ask back what is in cold storage, wait if told to, and return what cannot be read yet."""
    from ..schema.cold_storage import request_cold, wait_for_cold
    from .output import show_count, write_quietly

    cold = request_cold(plan, days=options.restore)
    if cold.rows:
        write_quietly(
            f"{count_of(len(cold.rows), 'file')} with {show_size(cold.size_bytes)} in cold "
            f"storage: asked back for {count_of(options.restore, 'day')}; that takes hours."
        )
    if cold.rows and options.wait:
        left = len(cold.rows)
        with show_count("wait for cold storage", left) as advance:

            def report(now: ColdFiles) -> None:
                nonlocal left
                advance(left - len(now.rows))
                left = len(now.rows)

            cold = wait_for_cold(plan, cold, days=options.restore, report=report)
    if cold.until is not None:
        write_quietly(f"From cold storage: readable until {cold.until:%Y-%m-%d %H:%M} UTC.")
    return cold
