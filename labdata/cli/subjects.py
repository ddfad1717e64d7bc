"""List the subjects, with how many sessions each has and when the last one was.

Examples:
  labdata subjects
  labdata subjects -u couto          of one lab member
  labdata subjects -f jc             whose name has "jc" in it, in either case
"""

from __future__ import annotations

import argparse
from typing import Any

_EMPTY = (
    "There are no subjects yet. Add one in Python: from labdata.schema import Subject; "
    "help(Subject) shows what it takes."
)
COLUMNS = ("subject_name", "user_name", "subject_sex", "subject_dob", "strain_name")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("-u", "--user", metavar="USER_NAME", help="of this lab member")
    parser.add_argument("-f", "--filter-name", metavar="TEXT", help="part of the subject's name")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> None:
    """Print the subjects."""
    from .output import print_rows
    from .selection import chosen_lab

    rows = find_subjects(chosen_lab(options), user=options.user, part=options.filter_name)
    columns = (*COLUMNS, "sessions", "last_session")
    chosen = options.user or options.filter_name
    empty = "There are no such subjects." if chosen else _EMPTY
    print_rows(rows, columns, as_json=options.json, empty=empty)


def find_subjects(lab: Any, *, user: str | None, part: str | None) -> list[dict[str, Any]]:
    """Return subjects with the number and date of their sessions, by one query.

    Parameters
    ----------
    lab : Lab
        The tables.
    user : str or None
        Lab member.
    part : str or None
        Part of the name, in either case.
    """
    conditions, values = ["1"], []
    if user:
        conditions.append("s.user_name = %s")
        values.append(user)
    if part:
        conditions.append("LOCATE(LOWER(%s), LOWER(s.subject_name)) > 0")
        values.append(part)
    shown = ", ".join(f"s.{c}" for c in COLUMNS)
    cursor = lab.connection.query(
        f"SELECT {shown}, COUNT(n.session_name) AS sessions, "
        "MAX(n.session_datetime) AS last_session "
        f"FROM {lab.Subject.full_table_name} s "
        f"LEFT JOIN {lab.Session.full_table_name} n USING (subject_name) "
        f"WHERE {' AND '.join(conditions)} GROUP BY {shown} ORDER BY s.user_name, s.subject_name",
        tuple(values),
        as_dict=True,
    )
    return list(cursor.fetchall())
