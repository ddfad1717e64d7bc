"""What stays behind in a migration: only what the user names, and what nothing here can hold."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence

from ..database.raw_tables import quote
from ..errors import QueryError
from .old_database import OldDatabase, Place
from .pairing import Finding, TablePair

Projects = Sequence[str | None]


def is_left(name: str, left: Collection[str]) -> bool:
    """Whether a table stays behind, by itself or with its master.

    Parameters
    ----------
    name : str
        As of :class:`TablePair`.
    left : collection of str
        What the user named.
    """
    return name in left or name.partition(".")[0] in left


def check_names(old: OldDatabase, pairs: Sequence[TablePair], left: Collection[str]) -> None:
    """Refuse names that are nothing in the old database.

    Parameters
    ----------
    old : OldDatabase
        The old database.
    pairs : sequence of TablePair
        Its tables that are also ours.
    left : collection of str
        What the user named.

    Raises
    ------
    QueryError
        With the nearest name.
    """
    known = {pair.name for pair in pairs}
    known |= {f"{p.name}.{c}" for p in pairs for c in old.columns[p.source.place]}
    known |= {".".join(place) for place in old.tables} | {table for _, table in old.tables}
    for name in sorted(set(left) - known):
        near = difflib.get_close_matches(name, known, n=1)
        raise QueryError(
            f"The old database has no table or column {name!r} to leave out.",
            hint=f"Did you mean {near[0]!r}?" if near else "Names as the plan writes them.",
        )


def find_unread(old: OldDatabase, projects: Projects) -> list[Finding]:
    """Return what may be there and is not seen: schemas of no project, projects without tables.

    Parameters
    ----------
    old : OldDatabase
        The old database.
    projects : sequence of str or None
        Projects that come along.
    """
    found = [
        Finding(
            project,
            f"project {project}",
            f"is listed, and has no tables that {old.address.user} can see",
            0,
            advice="Ask the server's administrator whether it has any",
            blocks=False,
        )
        for project in projects
        if not old.schemas_of(project)
    ]
    return found + [
        Finding(None, schema, "is of no project, and stays behind", 0, blocks=False)
        for schema in old.other_schemas
    ]


def find_unplaced(
    old: OldDatabase, projects: Projects, pairs: Sequence[TablePair], left: Collection[str]
) -> list[Finding]:
    """Return the old tables with rows that are none of ours.

    Parameters
    ----------
    old : OldDatabase
        The old database.
    projects : sequence of str or None
        Projects that come along.
    pairs : sequence of TablePair
        Tables that are ours.
    left : collection of str
        What the user named.
    """
    placed = {pair.source.place for pair in pairs}
    schemas = {s: p for p in projects for s in old.schemas_of(p)}
    schemas.setdefault(old.address.name, None)
    found = []
    for place, table in old.tables.items():
        if place in placed or place[0] not in schemas:
            continue
        if place[0] == old.address.name and None not in projects and _is_known(place[1], pairs):
            continue  # of the data without a project, which were not asked for
        n_rows = old.count(table)
        if n_rows:
            name, named = ".".join(place), {".".join(place), place[1]} & set(left)
            what = "left out, as told" if named else "the table has no place here"
            advice = f"Install its plugin, if it is of one; or --leave-out {name}"
            found.append(
                Finding(
                    schemas[place[0]],
                    name,
                    what,
                    n_rows,
                    advice="" if named else advice,
                    blocks=not named,
                )
            )
    return found


def find_orphans(
    old: OldDatabase,
    pairs: Sequence[TablePair],
    left: Collection[str],
    lacking: Collection[Place],
) -> list[Finding]:
    """Return the tables with rows that refer to rows that stay behind and are not here.

    Parameters
    ----------
    old : OldDatabase
        The old database.
    pairs : sequence of TablePair
        Tables that are ours.
    left : collection of str
        What the user named.
    lacking : collection of tuple
        Old tables that stay behind, of which some row is not here.
    """
    names = {pair.source.place: pair.name for pair in pairs}
    found = []
    for pair in pairs:
        if is_left(pair.name, left):
            continue
        for reference in pair.source.references:
            if reference.parent not in lacking:
                continue
            if any(f"{pair.name}.{column}" in left for column in reference.columns):
                continue  # a column that refers stays behind as well
            also = "AND" if pair.where else "WHERE"
            there = " AND ".join(f"{quote(c)} IS NOT NULL" for c in reference.columns)
            n_rows = old.count(pair.source, f"{pair.where} {also} {there}")
            if n_rows:
                what = f"refers to {names[reference.parent]}, which is left out"
                advice = f"--leave-out {pair.name}"
                found.append(Finding(pair.project, pair.name, what, n_rows, advice=advice))
    return found


def _is_known(table: str, pairs: Sequence[TablePair]) -> bool:
    return any(pair.source.name == table for pair in pairs)
