"""Show how well the clocks of streams match, a line a synchronisation of StreamSync.

The reports are kept in StreamSyncReport; those that are missing, or whose pulses changed, are
computed first. Exit code 1 says that the pulses of one do not match within the tolerance.

`suggest` finds, for streams without a clock, the lines of others that carry the same pulses, and
writes out the rows of StreamSync; --insert inserts them. Where another offset may be the right one
the row is never inserted: do that by hand, when you know.

Examples:
  labdata sync -a JC1
  labdata sync -a JC1 -s 20260131_140500 --json
  labdata sync suggest -a JC1 -s 20260131_140500
  labdata sync suggest -a JC1 -s 20260131_140500 --insert
"""

from __future__ import annotations

import argparse
from typing import Any

_COLUMNS = {
    "session_name": "session",
    "dataset_name": "dataset",
    "chain": "clocks",
    "n_matched": "matched",
    "n_dropped": "lost",
    "n_spurious": "spurious",
    "residual_max_us": "error (us)",
    "drift_ppm": "drift (ppm)",
    "extrapolated_s": "extrapolated (s)",
    "problem": "problem",
}
_STREAM = ("subject_name", "session_name", "dataset_name", "stream_name")
_SUGGESTED = {
    "session_name": "session",
    "dataset_name": "dataset",
    "stream_name": "stream",
    "event_name": "line",
    "clock_dataset": "clock's dataset",
    "clock_stream": "clock",
    "clock_stream_event": "its line",
    "matched": "matched",
    "error_us": "error (us)",
    "doubt": "doubt, never inserted",
}
#: Columns of the report that a program gets, beside the key; the whole report too.
_ROUNDED = {"residual_max_us": 1, "drift_ppm": 3, "extrapolated_s": 1}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    from .selection import add_selection

    parser.add_argument(
        "action", nargs="?", choices=("report", "suggest"), default="report", metavar="suggest",
        help="find the common pulses of streams without a clock",
    )  # fmt: skip
    add_selection(parser, required=True)
    parser.add_argument("--insert", action="store_true", help="insert what is suggested")
    parser.add_argument("--json", action="store_true", help="print JSON, with the whole reports")


def run(options: argparse.Namespace) -> int:
    """Print the reports, or what could be synchronised."""
    from ..errors import QueryError
    from .selection import check_names, check_subjects, chosen_lab

    if options.insert and options.action != "suggest":
        raise QueryError(
            "--insert inserts what is suggested.",
            hint="Write `labdata sync suggest ... --insert`.",
        )
    lab = chosen_lab(options)
    check_subjects(lab, options.subject)
    check_names(lab, options)
    if options.action == "suggest":
        return _suggest(lab, options)
    return _report(lab, options)


def _suggest(lab: Any, options: argparse.Namespace) -> int:
    """Print rows for StreamSync, and insert them if that is wanted."""
    from ..schema.sync_lines import clock_key, stream_key
    from ..schema.sync_suggestion import suggest_missing
    from .output import print_rows
    from .selection import chosen_keys

    alone = _without_clock(lab, chosen_keys(options))
    found = suggest_missing(lab, alone)
    sure = [one.row for one in found if not one.doubt]
    if options.insert:
        lab.StreamSync.insert(sure)
    numbers = [(one.n_matched, round(one.residual_max_s * 1e6, 1), one.doubt) for one in found]
    names = ("matched", "error_us", "doubt")
    rows = [
        {**one.row, **dict(zip(names, values, strict=True))}
        for one, values in zip(found, numbers, strict=True)
    ]
    shown = {n: t for n, t in _SUGGESTED.items() if n != "doubt" or len(sure) < len(found)}
    empty = "No stream can be given a clock." if alone else "Every stream has a clock, or is one."
    print_rows(rows, shown, as_json=options.json, empty=empty)
    if not options.json:
        related = {key for one in found for key in (stream_key(one.row), clock_key(one.row))}
        _say_suggested(sure, options.insert, [key for key in alone if key not in related])
    return 0


def _say_suggested(
    sure: list[dict[str, Any]], inserted: bool, left: list[tuple[str, str, str, str]]
) -> None:
    from ..counted import count_of
    from . import write

    if left:
        write(f"No common pulses: {', '.join('/'.join(key) for key in left)}.")
    if inserted:
        write(f"Inserted: {count_of(len(sure), 'row')} of StreamSync.")
        return
    for row in sure:
        said = ", ".join(f"{name}={value!r}" for name, value in row.items())
        write(f"StreamSync.insert1(dict({said}))")


def _report(lab: Any, options: argparse.Namespace) -> int:
    from . import write
    from .output import print_rows
    from .selection import chosen_keys

    query = lab.StreamSync & chosen_keys(options)
    rows = [_reported(lab, key) for key in query.fetch("KEY")]
    if options.json:
        print_rows(rows, [], as_json=True)
    else:
        shown = [{**row, **_shown(row)} for row in rows]
        columns = {n: t for n, t in _COLUMNS.items() if n != "problem" or _failed(rows)}
        if len(options.subject) > 1:
            columns = {"subject_name": "subject", **columns}
        print_rows(
            shown, columns, empty="No stream is synchronised: StreamSync has no row of these."
        )
        alone = _without_clock(lab, chosen_keys(options))
        if alone:
            named = ", ".join("/".join(key) for key in alone)
            write(f"Without a clock: {named}. `labdata sync suggest` looks for one.")
    return int(bool(_failed(rows)))


def _reported(lab: Any, key: dict[str, Any]) -> dict[str, Any]:
    """Return the report of a synchronisation, or what stands in its way."""
    import warnings

    from ..errors import ClockError
    from ..objects import UnsyncedWarning
    from ..schema.sync_reports import current_report, report_of

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnsyncedWarning)  # said in the row
            row = current_report(lab, key)
    except ClockError as error:
        chain = f"{key['stream_name']} > {key['clock_stream']}"
        return {**key, "chain": chain, "problem": error.message}
    high = f"they match only with a tolerance of {row['tolerance_s'] * 1e3:.3g} ms"
    return {**row, "report": report_of(row).to_dict(), "problem": high if row["forced"] else ""}


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """Return numbers as people read them."""
    if "residual_max_s" not in row:
        return {}
    numbers = {**row, "residual_max_us": row["residual_max_s"] * 1e6}
    return {name: round(numbers[name], digits) for name, digits in _ROUNDED.items()}


def _failed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["problem"]]


def _without_clock(lab: Any, keys: list[dict[str, str]]) -> list[tuple[str, str, str, str]]:
    """Return the streams with events that are neither synchronised nor the clock of others."""
    parts = _STREAM
    rows = lab.StreamSync & [{k: v for k, v in key.items() if k != "dataset_name"} for key in keys]
    related = set()
    for row in rows.fetch("KEY"):
        related.add(tuple(row[name] for name in parts))
        related.add((*(row[n] for n in parts[:2]), row["clock_dataset"], row["clock_stream"]))
    found = {tuple(row[n] for n in parts) for row in (lab.DatasetEvents & keys).fetch("KEY")}
    return sorted(found - related)
