"""Free this computer of files that the store holds: rigs, inboxes and caches.

A file is removed only if the store, asked just now, has its object with the content that was
recorded, and the local copy still has it too. Originals of compressed recordings go when the
compressed file says that it was made of them. Everything else stays, and the report says why;
nothing in a store is ever removed.

Examples:
  labdata clean --dry-run
  labdata clean -a JC1 --older-than 30
  labdata clean -f ephys --only-processed
  labdata clean --free 500            as much as frees 500 GiB, oldest first
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..counted import count_of, show_size
from .selection import add_selection

if TYPE_CHECKING:
    from ..rules.cleaning import LocalFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_selection(parser)
    parser.add_argument(
        "-f", "--files", nargs="+", default=[], metavar="TEXT", help="paths that contain one"
    )
    parser.add_argument(
        "--older-than", type=float, default=0.0, metavar="DAYS", help="last written to before"
    )
    parser.add_argument("--free", type=float, metavar="GIB", help="stop when so much was freed")
    parser.add_argument(
        "--only-processed", action="store_true", help="only originals of compressed recordings"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="believe the checksum that a store keeps beside an object, without reading it",
    )
    parser.add_argument(
        "--mounted",
        action="store_true",
        help="also on network mounts of which you know that they do not show the bucket",
    )
    parser.add_argument("--dry-run", action="store_true", help="do all but the removing")
    parser.add_argument("--list", action="store_true", help="show each file, not the sums")
    parser.add_argument("--json", action="store_true", help="print JSON, a row a file")


def run(options: argparse.Namespace) -> None:
    """Remove what may go, and report."""
    from ..errors import QueryError
    from ..preferences import load_preferences
    from ..rules.cleaning import clean, cleaned_folders, plan_clean
    from ..stores.durable import remove_stale_partials
    from .output import print_rows, show_progress
    from .selection import check_names, check_subjects, chosen_keys, chosen_lab

    for name, value in (("--older-than", options.older_than), ("--free", options.free)):
        if value is not None and not value >= 0:
            fault = "negative" if value < 0 else "no number"
            raise QueryError(f"{name} {value:g} is {fault}.", hint="Give 0 or more.")
    if not all(text.strip() for text in options.files):
        raise QueryError(
            "-f '' is part of every path, so it would choose all files.",
            hint="Give part of the paths, or leave -f out to clean everything.",
        )
    lab = chosen_lab(options)
    if options.subject:
        check_subjects(lab, options.subject)
        check_names(lab, options)
    elif options.session or options.dataset:
        raise QueryError("-s and -d need the subject.", hint="Name it with -a.")
    planned = plan_clean(
        lab=lab,
        keys=chosen_keys(options) if options.subject else (),
        names=options.files,
        older_than_days=options.older_than,
        only_processed=options.only_processed,
        mounted=options.mounted,
    )
    free_bytes = None if options.free is None else round(options.free * 1024**3)
    with show_progress("clean", sum(one.size_bytes for one in planned)) as (progress, _):
        done = clean(
            planned,
            dry_run=options.dry_run,
            quick=options.quick,
            free_bytes=free_bytes,
            progress=progress,
        )
    if not options.dry_run:
        for folder in cleaned_folders(load_preferences()):
            remove_stale_partials(folder)
    verb = "would be removed" if options.dry_run else "removed"
    if options.json or options.list:
        rows = [_row(one, verb) for one in done]
        print_rows(rows, ("path", "size", "what"), as_json=options.json, empty="No files.")
    else:
        print_rows(_sums(done, verb), ("files", "size", "what"), empty="No files.")
    if not options.json:
        _say_freed(done, options.dry_run)


def _row(one: LocalFile, verb: str) -> dict[str, Any]:
    return {
        "path": str(one.path),
        "file_path": one.file_path,
        "size": one.size_bytes,
        "removed": not one.kept and verb == "removed",
        "what": f"kept: {one.kept}" if one.kept else verb,
    }


def _sums(done: list[LocalFile], verb: str) -> list[dict[str, Any]]:
    sums: dict[str, list[int]] = {}
    for one in done:
        what = f"kept: {one.kept}" if one.kept else verb
        entry = sums.setdefault(what, [0, 0])
        entry[0] += 1
        entry[1] += one.size_bytes
    ordered = sorted(sums.items(), key=lambda item: (item[0].startswith("kept"), -item[1][1]))
    return [{"files": n, "size": size, "what": what} for what, (n, size) in ordered]


def _say_freed(done: list[LocalFile], dry_run: bool) -> None:
    from .output import write_quietly

    gone = [one for one in done if not one.kept]
    if not gone:
        write_quietly("Nothing can be removed." if done else "Nothing is there to be removed.")
        return
    freed = show_size(sum(one.size_bytes for one in gone))
    would = "would be" if dry_run else "is"
    write_quietly(f"{freed} in {count_of(len(gone), 'file')} {would} free; the store holds them.")
