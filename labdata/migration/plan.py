"""A migration: planned by reading all of the old database, shown, and done when told to.

The plan decodes every row and compares it with what is here, so that whatever does not fit is
known before the first row is written. Nothing is dropped in silence: what has no place here stops
the migration until it is named in ``leave_out``. Copying can be killed and repeated; see
:mod:`labdata.migration.copying`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pymysql

from ..database.connection import connect
from ..database.datajoint_compat import dj
from ..database.projects import schema_names
from ..database.raw_tables import Key, quote
from ..database.schema_version import MOVING, opening_unfinished, read_version
from ..database.unfinished import filling_alone
from ..errors import DatabaseError, QueryError
from .copying import RowProgress, TableCopy
from .leaving_out import check_names, find_orphans, find_unplaced, find_unread, is_left
from .old_database import OldDatabase, Place
from .pairing import Finding, OurTable, TablePair, moved_to, our_tables, pair_table
from .recordings import Recordings, read_recordings
from .row_rules import UNKNOWN
from .stores_note import find_stores
from .unfinished import finish_migration, mark_unfinished

#: Keys of a finding that are kept as examples.
_EXAMPLES = 3
_JOBS = frozenset({"Project", "Project.User", "UploadJob", "UploadJob.AssignedFiles"})


@dataclass
class TablePlan:
    """What a migration does to one table.

    Attributes
    ----------
    pair : TablePair
    n_rows : int
        Old rows.
    n_bytes : int
        Of them, as they are read.
    n_new, n_initial, n_same, n_different, n_misfits : int
        Rows that are not here; that labdata put here itself and that give way; that are here with
        equal content; with other content; that cannot come.
    """

    pair: TablePair
    n_rows: int = 0
    n_bytes: int = 0
    n_new: int = 0
    n_initial: int = 0
    n_same: int = 0
    n_different: int = 0
    n_misfits: int = 0

    def row(self) -> dict[str, Any]:
        """Return it as a row of a table."""
        return {
            "project": self.pair.project,
            "table": self.pair.name,
            "rows": self.n_rows,
            "new": self.n_new + self.n_initial,
            "same": self.n_same,
            "different": self.n_different,
            "unfit": self.n_misfits,
            "size": self.n_bytes,
        }


@dataclass(frozen=True)
class MigrationResult:
    """What a migration did.

    Attributes
    ----------
    n_tables : int
        Tables with rows.
    n_inserted, n_same : int
        Rows that came, and that were here with equal content.
    n_blobs : int
        Blobs and JSON values read back and compared.
    n_bytes : int
        Read from the old database.
    """

    n_tables: int
    n_inserted: int
    n_same: int
    n_blobs: int
    n_bytes: int


@dataclass
class MigrationPlan:
    """What a migration will do; nothing is written before :meth:`apply`.

    Attributes
    ----------
    old : OldDatabase
        From where; it must be open.
    projects : tuple of str or None
        Projects that come along.
    new_projects : tuple of str or None
        Those that are made here.
    tables : list of TablePlan
        Parents first.
    findings : list of Finding
        What stands in the way, and what is done in its own way.
    """

    old: OldDatabase
    projects: tuple[str | None, ...]
    new_projects: tuple[str | None, ...]
    tables: list[TablePlan] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    _recordings: dict[str | None, Recordings] = field(default_factory=dict, repr=False)

    @property
    def blocking(self) -> list[Finding]:
        """The findings that stop the migration."""
        return [finding for finding in self.findings if finding.blocks]

    @property
    def n_rows(self) -> int:
        """Old rows that come along or are here."""
        return sum(table.n_rows for table in self.tables)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each table that has rows."""
        return [table.row() for table in self.tables if table.n_rows]

    def _repr_html_(self) -> str:
        from ..markup import card, rows_table

        heads = ["project", "table", "rows", "new", "same", "different", "unfit", "size"]
        cells = [list(row.values()) for row in self.rows()]
        words = [[f.where, f.what, f.n_rows, f.example, f.advice] for f in self.findings]
        found = rows_table("Findings", ["where", "what", "rows", "example", "to do"], words)
        return card(rows_table("Rows to migrate", heads, cells), found)

    def apply(self, *, progress: RowProgress | None = None) -> MigrationResult:
        """Copy what the plan says, and compare all of it.

        Parameters
        ----------
        progress : callable, optional
            Called with rows and bytes as they are done.

        Returns
        -------
        MigrationResult
            What came, and what was here.

        Raises
        ------
        DatabaseError
            If something stands in the way; then nothing was copied. Or if a row reads back
            differently or a server refuses; then its piece is undone, and the pieces before it
            stay.
        """
        self._refuse()
        with filling_alone(connect(), MOVING):
            return self._copy_all(progress)

    def _copy_all(self, progress: RowProgress | None) -> MigrationResult:
        # until all is here nobody is to take a part for the whole, whenever this ends
        mark_unfinished(self.projects)
        for project in self.new_projects:
            _lab_of(project).create()
        counts = {"inserted": 0, "same": 0, "blobs": 0, "bytes": 0}
        for table in self.tables:
            if not table.n_rows:
                continue
            pair = replace(table.pair, is_there=True)
            copy = TableCopy(self.old, connect(), pair, self._recordings[pair.project])
            for piece in copy.pieces():
                try:
                    standing = copy.copy(piece)
                except (dj.errors.DataJointError, pymysql.MySQLError) as error:
                    raise DatabaseError(
                        f"The database refused rows of {pair.name}: {error.args[-1]}",
                        hint="What came before stays. Repeat the command to go on.",
                    ) from error
                counts["inserted"] += len(standing.new) + len(standing.initial)
                counts["same"] += len(standing.same)
                counts["blobs"] += copy.count_blobs(piece)
                counts["bytes"] += piece.n_bytes
                if progress:
                    progress(piece.n_rows, piece.n_bytes)
        finish_migration(self.projects)
        n_tables = sum(bool(table.n_rows) for table in self.tables)
        return MigrationResult(n_tables, *counts.values())

    def _refuse(self) -> None:
        for finding in self.blocking:
            rest = len(self.blocking) - 1
            raise DatabaseError(
                f"{finding.where}: {finding.what} ({finding.n_rows} rows)."
                + (f" And {rest} more." if rest else ""),
                hint=f"Nothing was copied. {finding.advice or 'Settle it in the old lab.'}",
            )


def plan_migration(
    old: OldDatabase,
    *,
    project: str | None = None,
    leave_out: Collection[str] = (),
    progress: RowProgress | None = None,
) -> MigrationPlan:
    """Read an old database, and say what a migration would do.

    Parameters
    ----------
    old : OldDatabase
        Of :func:`~labdata.migration.old_database.open_old`.
    project : str, optional
        Only this project, and what all projects share; by default all.
    leave_out : collection of str, optional
        Tables and columns that stay behind: ``"Watering"``, ``"Subject.tattoo"``.
    progress : callable, optional
        Called with rows and bytes as they are read.

    Returns
    -------
    MigrationPlan
        What would be done, and what stands in the way.

    Raises
    ------
    DatabaseError
        If our own database is an old one, of another version, or does not answer.
    QueryError
        If there is no such project, or no such table to leave out.
    """
    projects = _choose(old, project)
    existing, template = _open_ours(projects)
    plan = MigrationPlan(old, projects, tuple(p for p in projects if p not in existing))
    left = set(leave_out)
    pairs = list(_pair_all(plan, existing, template, left, only=project))
    check_names(old, pairs, left)
    plan.findings += [
        *find_unread(old, projects),
        *find_unplaced(old, projects, pairs, left),
        *find_orphans(old, pairs, left, _lacking(plan, pairs, left)),
    ]
    for pair in pairs:
        if is_left(pair.name, left):
            n_rows = old.count(pair.source, pair.where)
            if n_rows:
                plan.findings.append(
                    Finding(pair.project, pair.name, "left out, as told", n_rows, blocks=False)
                )
            continue
        plan.tables.append(_read_table(plan, pair, progress))
    plan.findings += find_stores(plan.old, [table.pair for table in plan.tables])
    return plan


def _choose(old: OldDatabase, project: str | None) -> tuple[str | None, ...]:
    if project is None:
        return old.projects
    if project not in old.projects:
        names = ", ".join(p for p in old.projects if p) or "none"
        raise QueryError(f"The old database has no project {project!r}.", hint=f"It has: {names}.")
    return (project,)


def _lab_of(project: str | None) -> Any:
    from ..database.projects import make_lab
    from ..schema import default_lab, load_project_schema

    if project == default_lab.project:
        return default_lab
    return load_project_schema(project) if project else make_lab(project)


def _open_ours(projects: Sequence[str | None]) -> tuple[dict[str | None, Any], list[OurTable]]:
    """Return the tables of each project that is here, and those of the lab in use as a pattern."""
    from ..schema import default_lab

    connection = connect()
    base = connection._preferences.name
    existing: dict[str | None, Any] = {}
    with opening_unfinished():
        template = our_tables(default_lab)
        for project in projects:
            schema_names(base, project)  # whose error is about the name
            if project == default_lab.project:
                existing[project] = template
            elif read_version(connection, base, project) is not None:
                existing[project] = our_tables(_lab_of(project))
    return existing, template


def _pair_all(
    plan: MigrationPlan,
    existing: dict[str | None, Any],
    template: list[OurTable],
    left: set[str],
    *,
    only: str | None,
) -> Iterator[TablePair]:
    """Yield the tables on both sides, the shared ones first, and keep what is found."""
    base = connect()._preferences.name
    shared = [t for t in template if t.level == "global"]
    steps: list[tuple[str | None, OurTable, bool]] = [(None, t, True) for t in shared]
    for project in plan.projects:
        tables = existing.get(project) or moved_to(template, base, project)
        steps += [(project, t, project in existing) for t in tables if t.level != "global"]
        plan._recordings[project] = read_recordings(plan.old, project)
    plan._recordings.setdefault(None, Recordings())
    for project, table, is_there in steps:
        where = _of_project(plan.old, table.name, only)
        pair, findings = pair_table(plan.old, table, project, left, is_there=is_there, where=where)
        if pair is not None:
            if not is_left(pair.name, left):
                plan.findings += findings
            yield pair


def _of_project(old: OldDatabase, table: str, project: str | None) -> str:
    """Return the condition of the shared rows that belong to one project."""
    if project is None or table not in _JOBS:
        return ""
    literal = old.literal(project)
    if table == "UploadJob.AssignedFiles":
        jobs = f"{quote(old.address.name)}.upload_job"
        return f"WHERE job_id IN (SELECT job_id FROM {jobs} WHERE project_name = {literal})"
    return f"WHERE project_name = {literal}"


def _lacking(plan: MigrationPlan, pairs: list[TablePair], left: set[str]) -> set[Place]:
    """Return the tables that stay behind, of which some row is not here either."""
    found = set()
    for pair in pairs:
        if is_left(pair.name, left):
            copy = TableCopy(plan.old, connect(), pair, plan._recordings[pair.project])
            # to the end: a stream that is left half-way is the end of its connection
            if sum(len(p.misfits) + len(copy.compare(p).new) for p in copy.pieces()):
                found.add(pair.source.place)
    return found


def _read_table(plan: MigrationPlan, pair: TablePair, progress: RowProgress | None) -> TablePlan:
    """Read a table to its end, and count how its rows stand."""
    table = TablePlan(pair)
    copy = TableCopy(plan.old, connect(), pair, plan._recordings[pair.project])
    groups: dict[tuple[str, str, str, bool], list[Key]] = {}
    reasons: dict[tuple[str, str], str] = {}
    for piece in copy.pieces():
        standing = copy.compare(piece)
        table.n_rows += piece.n_rows
        table.n_bytes += piece.n_bytes
        table.n_new += len(standing.new)
        table.n_initial += len(standing.initial)
        table.n_same += len(standing.same)
        table.n_different += len(standing.different)
        table.n_misfits += len(piece.misfits)
        for key in standing.different:
            groups.setdefault(_different(pair.name), []).append(key)
        for key, column, reason in piece.misfits:
            kind = (f"{pair.name}.{column}", reason.rpartition(", ")[2])
            first = reasons.setdefault(kind, f"a value {reason}" if column else reason)
            words = (kind[0].rstrip("."), first, _for_misfit(pair, column), True)
            groups.setdefault(words, []).append(key)
        for key, word in piece.notes:
            groups.setdefault((pair.name, word, "", False), []).append(key)
        if progress:
            progress(piece.n_rows, piece.n_bytes)
    if table.n_rows and pair.name in UNKNOWN:
        plan.findings.append(
            Finding(pair.project, pair.name, UNKNOWN[pair.name], table.n_rows, blocks=False)
        )
    for (where, what, advice, blocks), keys in groups.items():
        example = ", ".join(map(show_key, keys[:_EXAMPLES]))
        example += f" and {len(keys) - _EXAMPLES} more" if len(keys) > _EXAMPLES else ""
        plan.findings.append(
            Finding(pair.project, where, what, len(keys), example, advice, blocks)
        )
    return table


def _different(name: str) -> tuple[str, str, str, bool]:
    if name in ("UploadJob", "ComputeTask"):
        what = "jobs of these numbers are here already, and are others"
        return name, what, f"--leave-out {name} leaves the history of the old ones there", True
    return (
        name,
        "rows are here already with other content",
        f"Rename or delete them on one side, or --leave-out {name}",
        True,
    )


def _for_misfit(pair: TablePair, column: str) -> str:
    optional = any(c.name == column and c.optional for c in pair.written)
    return f"Correct it in the old lab, or --leave-out {pair.name}" + f".{column}" * optional


def show_key(key: Key) -> str:
    """Return a primary key as people write it: ``JC1/20250601_100000/ephys_g0``.

    Parameters
    ----------
    key : tuple
        Its values.
    """
    return "/".join(str(value) for value in key)
