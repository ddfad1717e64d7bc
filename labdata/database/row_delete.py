"""Delete rows with all that depends on them: planned first, shown, then done whole or not at all.

The plan names what DataJoint's own question before a delete leaves out: whose rows they are, and
which files nobody refers to afterwards. Rows of these files go too; their objects stay in the
stores until ``labdata garbage`` is told to remove them, so a delete that was a mistake loses no
recording.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..counted import count_of
from ..errors import DatabaseError, QueryError
from ..progress import Progress, ignore_progress
from .archived import refuse_archived
from .datajoint_compat import dj
from .hidden_tables import RELEASED, hidden_table, hidden_view, is_there
from .key_change import find_holders, holding, read_reachable
from .own_roles import check_role, is_limited, roles_that_may
from .project_views import LETTING_GO, view_name
from .projects import Lab, schema_names
from .raw_tables import Key, RawTable, fetch_rows, in_pieces, quote, raw_place, through_views
from .rights import ROLES
from .row_copy import table_names
from .row_owners import find_owners
from .row_selection import Place, Selection, find_dependents

_PIECE = 500
_FILE = ("file_path", "storage")
_NAMES = ("subject_name", "session_name", "dataset_name")
_UNCHANGED = "Nothing was deleted."


@dataclass(frozen=True)
class TableDelete:
    """What a delete does to one table.

    Attributes
    ----------
    name : str
        As users know it: ``SpikeSorting.Unit``.
    table : RawTable
        Where the rows are.
    keys : frozenset of tuple
        Primary keys of the rows.
    others : dict
        Rows that are of other people, by their user names.
    """

    name: str
    table: RawTable
    keys: frozenset[Key]
    others: dict[str, int]


@dataclass(frozen=True)
class DeletePlan:
    """What a delete will do; nothing is done before :meth:`apply`.

    Attributes
    ----------
    lab : Lab
        The tables.
    name : str
        The table to begin with.
    chosen : frozenset of tuple
        Primary keys of the rows to begin with.
    tables : tuple of TableDelete
        Tables with rows to delete, parents first.
    n_files : int
        Files that no row refers to afterwards; their rows are among the tables'.
    size_bytes : int
        Their bytes, which stay in the stores until ``labdata garbage --remove``.
    """

    lab: Lab
    name: str
    chosen: frozenset[Key]
    tables: tuple[TableDelete, ...]
    n_files: int
    size_bytes: int

    @property
    def n_rows(self) -> int:
        """Rows to delete."""
        return sum(len(table.keys) for table in self.tables)

    @property
    def others(self) -> dict[str, int]:
        """Rows of other people, by their user names."""
        total: Counter[str] = Counter()
        for table in self.tables:
            total.update(table.others)
        return dict(sorted(total.items()))

    def rows(self) -> list[dict[str, Any]]:
        """Return a row a table: ``table``, ``rows``, ``of_others``, ``whose``."""
        return [
            {
                "table": t.name,
                "rows": len(t.keys),
                "of_others": sum(t.others.values()),
                "whose": ", ".join(f"{who} {n}" for who, n in sorted(t.others.items())),
            }
            for t in self.tables
        ]

    def __repr__(self) -> str:
        return (
            f"DeletePlan({count_of(self.n_rows, 'row')} in {count_of(len(self.tables), 'table')}, "
            f"{sum(self.others.values())} of others, {count_of(self.n_files, 'file')})"
        )

    def _repr_html_(self) -> str:
        from ..markup import card, facts_table, rows_table

        heads = ["table", "rows", "of others", "whose"]
        cells = [list(row.values()) for row in self.rows()]
        facts = {"files": self.n_files, "bytes": self.size_bytes}
        return card(
            rows_table("Rows to delete", heads, cells),
            facts_table("No row refers to these files then; their objects stay stored", facts),
        )

    def _children_first(self) -> list[TableDelete]:
        """Return the tables in the order of deletion; originals are known by their uploads."""
        ordered = list(reversed(self.tables))
        return sorted(ordered, key=lambda one: one.name != "ProcessedFile")

    def apply(self, *, progress: Progress | None = None) -> int:
        """Delete the rows, in one transaction; no object of a store is touched.

        Parameters
        ----------
        progress : Progress, optional
            Called with the number of rows as they are deleted.

        Returns
        -------
        int
            Rows deleted.

        Raises
        ------
        DatabaseError
            If rows came or went since the plan, a job works on the data, or rows that the account
            cannot see depend on them; then nothing is deleted.
        """
        refuse_archived(self.lab)
        report = progress or ignore_progress
        connection = self.lab.connection
        planned = {table.table.place: table.keys for table in self.tables}
        with connection.transaction:
            found = _select(self.lab, _read_all(self.lab), self.name, self.chosen, lock=True)
            if {place: frozenset(keys) for place, keys in found.items()} != planned:
                raise DatabaseError(
                    "Rows were added, changed or deleted since the plan.",
                    hint=f"{_UNCHANGED} Plan again.",
                )
            try:
                with _letting_go(self.lab, found):
                    for table in self._children_first():
                        for keys in in_pieces(table.keys, _PIECE):
                            _delete(connection, table.table, keys)
                            report(len(keys))
            except dj.errors.DataJointError as error:
                raise DatabaseError(
                    f"The database refused: {error.args[0] if error.args else error}",
                    hint=f"{_UNCHANGED} Rows that you cannot see may depend on these: ask the "
                    "lab's administrator. If somebody works on them, repeat when they have ended.",
                ) from error
        return self.n_rows


@contextmanager
def _letting_go(lab: Lab, found: Selection) -> Iterator[None]:
    """Let an account delete rows of files that it sees only while its project refers to them."""
    files = {key for cls in (lab.File, lab.AnalysisFile) for key in found.get(raw_place(cls), ())}
    if not files or not is_limited(lab):
        yield
        return
    project, view = lab.project or "", view_name(LETTING_GO, lab.project)
    if not is_there(lab.connection, view):
        chosen = f" -p {project}" * bool(project)
        raise DatabaseError(
            "Your role was given by an older labdata, and does not reach the rows of files.",
            hint=f"{_UNCHANGED} The lab's administrator gives it once more: "
            f"`labdata account grant {lab.connection.conn_info['user']}{chosen} --role admin`",
        )
    going = hidden_table(lab.connection, view)
    for keys in in_pieces(files, _PIECE):
        marks = ", ".join(["(%s, %s, %s)"] * len(keys))
        values = tuple(value for key in keys for value in (project, *key))
        lab.connection.query(f"INSERT INTO {going} VALUES {marks}", values)
    yield
    gone = hidden_table(lab.connection, hidden_view(RELEASED, lab.project))
    lab.connection.query(f"DELETE FROM {gone} WHERE project = %s", (project,))


def plan_delete(lab: Lab, name: str, chosen: Collection[Key]) -> DeletePlan:
    """Plan to delete rows and all that depends on them.

    Parameters
    ----------
    lab : Lab
        The tables.
    name : str
        Table to begin with: ``"Session"``, ``"SpikeSorting.Unit"``.
    chosen : collection of tuple
        Primary keys of its rows.

    Returns
    -------
    DeletePlan
        Rows by table, files and bytes; its ``apply`` deletes them.

    Raises
    ------
    QueryError
        If no row is chosen.
    DatabaseError
        If an upload or task works on the data, or waits to.
    """
    refuse_archived(lab)
    if not chosen:
        raise QueryError("No row is selected to delete.", hint="Check the names and the table.")
    tables = _read_all(lab)
    names = table_names(lab)
    selected = _select(lab, tables, name, chosen)
    _check_roles(lab, selected)
    owners = find_owners(lab, tables, selected)
    deletes = tuple(
        TableDelete(
            names.get(place, ".".join(place)),
            tables[place],
            frozenset(keys),
            owners.get(place, {}),
        )
        for place, keys in selected.items()
    )
    n_files, size_bytes = _measure(lab, tables, selected)
    return DeletePlan(lab, name, frozenset(chosen), deletes, n_files, size_bytes)


def _check_roles(lab: Lab, selected: Selection) -> None:
    """Raise if this account may not delete from all tables that have rows to delete."""
    if not is_limited(lab):
        return
    own = {raw_place(cls): cls for cls in lab.tables_and_parts().values()}
    may = {
        place: roles_that_may(lab, own[place], "DELETE") if place in own else ["admin"]
        for place in selected
    }
    needed = [role for role in ROLES if all(role in roles for roles in may.values())]
    names = table_names(lab)
    # those that the fewest may delete from say why it takes what it takes
    decide = [names.get(place, place[1]) for place, roles in may.items() if roles == needed]
    rows = f"rows of {', '.join(sorted(decide))}" if decide else "these rows"
    check_role(lab, f"delete {rows}", needed)


def _read_all(lab: Lab) -> dict[Place, RawTable]:
    levels = schema_names(lab.connection._preferences.name, lab.project)
    tables = read_reachable(lab.connection, {*levels.values(), f"{levels['data']}_user"})
    return through_views(tables, lab)


def _select(
    lab: Lab,
    tables: Mapping[Place, RawTable],
    name: str,
    chosen: Collection[Key],
    *,
    lock: bool = False,
) -> Selection:
    """Return all rows to delete: what depends, finished uploads, and files left without a row."""
    start = tables[raw_place(lab.tables_and_parts()[name])]
    # as the server has them: its letters may be of another case than those given
    keys = set(fetch_rows(lab.connection, start, start.key, start.key, chosen))
    found = find_dependents(lab.connection, tables, {start.place: keys})
    _refuse_tasks(lab, tables, found, lock)
    found |= _uploads_of(lab, tables, found, lock)
    for root in (raw_place(lab.File), raw_place(lab.AnalysisFile)):
        if root not in found:
            found[root] = _files_left(lab.connection, tables, root, found)
    return {place: found[place] for place in tables if found.get(place)}


def _files_left(
    connection: Any, tables: Mapping[Place, RawTable], root: Place, found: Selection
) -> set[Key]:
    """Return the files that rows to delete refer to, and no other row does."""
    ways = find_holders(tables, root, _FILE)
    files: set[Key] = set()
    for place, held in ways.items():
        for columns in held if place != root and found.get(place) else ():
            table = tables[place]
            rows = fetch_rows(connection, table, columns, table.key, found[place])
            files |= {row for row in rows if None not in row}
    kept: set[Key] = set()
    for place, held in ways.items():
        for columns in held if place != root else ():
            table = tables[place]
            shown = (*columns, *table.key)
            for row in fetch_rows(connection, table, shown, columns, files):
                if row[len(columns) :] not in found.get(place, ()):
                    kept.add(row[: len(columns)])
    gone = tables[root].key
    stored = fetch_rows(connection, tables[root], gone, _FILE, files)
    folded = {_fold(key) for key in kept}
    return {key for key in stored if _fold(key) not in folded}


def _fold(key: Key) -> Key:
    return tuple(str(part).casefold() for part in key)


def _uploads_of(
    lab: Lab, tables: Mapping[Place, RawTable], found: Selection, lock: bool
) -> Selection:
    """Return the finished uploads of datasets, so that their folders may be put again."""
    connection, jobs = lab.connection, lab.UploadJob.full_table_name
    numbers: set[Key] = set()
    for n, table in enumerate((lab.Subject, lab.Session, lab.Dataset), start=1):
        for piece in in_pieces(found.get(raw_place(table), ()), _PIECE):
            where, values = holding([_NAMES[:n]], piece)
            query = (
                f"SELECT job_id, job_status, subject_name FROM {jobs} "
                f"WHERE project_name <=> %s AND ({where})"
            )
            query += " FOR UPDATE" * lock
            for number, status, subject in connection.query(query, (lab.project, *values)):
                if status in ("ON SERVER", "WAITING", "WORKING"):
                    raise DatabaseError(
                        f"Upload job {number} of {subject} is {status}.",
                        hint=f"{_UNCHANGED} `labdata upload {number}` finishes it; then delete.",
                    )
                if status == "COMPLETED" and n == len(_NAMES):
                    numbers.add((number,))
    files = raw_place(lab.UploadJob.AssignedFiles)
    assigned = set(fetch_rows(connection, tables[files], tables[files].key, ("job_id",), numbers))
    paths = {(key[tables[files].key.index("src_path")],) for key in assigned}
    place = raw_place(lab.ProcessedFile)
    processed = set(fetch_rows(connection, tables[place], ("file_path",), ("file_path",), paths))
    return {raw_place(lab.UploadJob): numbers, files: assigned, place: processed}


def _refuse_tasks(
    lab: Lab, tables: Mapping[Place, RawTable], found: Selection, lock: bool
) -> None:
    """Raise if a task works on rows to delete."""
    place = raw_place(lab.ComputeTask)
    for piece in in_pieces(found.get(place, ()), _PIECE):
        where, values = holding([("job_id",)], piece)
        query = f"SELECT job_id, task_status FROM {tables[place].sql} WHERE {where}"
        for number, status in lab.connection.query(query + " FOR UPDATE" * lock, values):
            if status == "WORKING":
                raise DatabaseError(
                    f"Task {number} works on these data.",
                    hint=f"{_UNCHANGED} Repeat when it has ended. If its worker died, "
                    f"`labdata task {number}` takes it over.",
                )


def _measure(lab: Lab, tables: Mapping[Place, RawTable], selected: Selection) -> tuple[int, int]:
    n_files, size_bytes = 0, 0
    for cls in (lab.File, lab.AnalysisFile):
        place = raw_place(cls)
        keys = selected.get(place, set())
        sizes = fetch_rows(lab.connection, tables[place], ("file_size",), tables[place].key, keys)
        n_files += len(keys)
        size_bytes += sum(int(size) for (size,) in sizes)
    return n_files, size_bytes


def _delete(connection: Any, table: RawTable, keys: list[Key]) -> None:
    columns = ", ".join(map(quote, table.key))
    one = f"({', '.join(['%s'] * len(table.key))})"
    query = f"DELETE FROM {table.sql} WHERE ({columns}) IN ({', '.join([one] * len(keys))})"
    cursor = connection.query(query, tuple(value for key in keys for value in key))
    if cursor.rowcount != len(keys):
        raise DatabaseError(
            f"{cursor.rowcount} of {len(keys)} rows of {table.name} could be deleted.",
            hint=f"{_UNCHANGED} Plan again.",
        )
