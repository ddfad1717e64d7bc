"""Show how well the clocks of streams match, a line a synchronisation of StreamSync.

The reports are kept in StreamSyncReport; those that are missing, or whose pulses changed, are
computed first. Exit code 1 says that the pulses of one do not match within the tolerance.

Examples:
  labdata sync -a JC1
  labdata sync -a JC1 -s 20260131_140500 --json
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
#: Columns of the report that a program gets, beside the key; the whole report too.
_ROUNDED = {"residual_max_us": 1, "drift_ppm": 3, "extrapolated_s": 1}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    from .selection import add_selection

    add_selection(parser, required=True)
    parser.add_argument("--json", action="store_true", help="print JSON, with the whole reports")


def run(options: argparse.Namespace) -> int:
    """Print the reports."""
    from . import write
    from .output import print_rows
    from .selection import check_names, check_subjects, chosen_keys, chosen_lab

    lab = chosen_lab(options)
    check_subjects(lab, options.subject)
    check_names(lab, options)
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
            write(f"Without a clock: {', '.join(alone)}.")
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


def _without_clock(lab: Any, keys: list[dict[str, str]]) -> list[str]:
    """Return the streams with events that are neither synchronised nor the clock of others."""
    parts = ("subject_name", "session_name", "dataset_name", "stream_name")
    rows = lab.StreamSync & [{k: v for k, v in key.items() if k != "dataset_name"} for key in keys]
    related = set()
    for row in rows.fetch("KEY"):
        related.add(tuple(row[name] for name in parts))
        related.add((*(row[n] for n in parts[:2]), row["clock_dataset"], row["clock_stream"]))
    found = {tuple(row[n] for n in parts) for row in (lab.DatasetEvents & keys).fetch("KEY")}
    return sorted("/".join(map(str, key)) for key in found - related)
