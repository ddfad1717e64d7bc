"""How many files there are and how much room they take: by store, project, subject, kind or age.

The sums are the database's, by one statement a table, so a lab of a million files is summed in
seconds and no file is looked at. A file that datasets of two groups refer to is not counted in
both: it goes to a group of its own, ``(several)``, so that the rows add up to the total.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from ..counted import count_of, show_size
from ..database.datajoint_compat import dj
from ..database.own_roles import is_limited
from ..database.project_names import schema_names
from ..database.raw_tables import quote, read_tables
from ..errors import QueryError

By = Literal["store", "project", "subject", "type", "age"]

#: Group of the files that no row refers to, and of those that several groups refer to.
NOT_REFERRED, SEVERAL = "(not referred to)", "(several)"
#: Project of data without one, and group of what refers to a file and has no subject or kind.
NO_PROJECT, NONE = "(no project)", "(none)"
#: Groups by age: days since the last change of the original, from which on the next one begins.
AGES = {
    "in the future": -1,  # by a clock that was wrong; a day is no fault of it, but of the zone
    "under 1 month": 30,
    "1 to 6 months": 182,
    "6 to 12 months": 365,
    "1 to 2 years": 730,
    "2 to 5 years": 1826,
}
_OLDEST = "over 5 years"
_NAMES = ("subject_name", "session_name", "dataset_name")
#: Between the project and the group in what the server returns; no name holds it.
_TAB = "\t"


@dataclass(frozen=True)
class StorageSum:
    """Files of one group.

    Attributes
    ----------
    group : str
        Name of the store, project, subject, kind of data or age.
    project : str or None
        Of a subject or kind, where several projects are summed.
    n_raw, raw_bytes : int
        Rows of File, and their recorded sizes.
    n_results, result_bytes : int
        The same of AnalysisFile.
    """

    group: str
    project: str | None = None
    n_raw: int = 0
    raw_bytes: int = 0
    n_results: int = 0
    result_bytes: int = 0

    @property
    def n_files(self) -> int:
        """All files."""
        return self.n_raw + self.n_results

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return self.raw_bytes + self.result_bytes


@dataclass(frozen=True)
class StorageUse:
    """What takes the room.

    Attributes
    ----------
    by : str
        What the groups are.
    groups : tuple of StorageSum
        By bytes, the largest first.
    """

    by: str
    groups: tuple[StorageSum, ...]

    @property
    def total(self) -> StorageSum:
        """The sum of all groups, in which each file counts once."""
        names = ("n_raw", "raw_bytes", "n_results", "result_bytes")
        return StorageSum("total", None, *(sum(getattr(g, n) for g in self.groups) for n in names))

    def rows(self) -> list[dict[str, Any]]:
        """Return a row a group: its name, and files and bytes of raw data, results and both."""
        with_project = any(group.project is not None for group in self.groups)
        return [
            {
                **({"project": group.project} if with_project else {}),
                self.by: group.group,
                "raw_files": group.n_raw,
                "raw_bytes": group.raw_bytes,
                "result_files": group.n_results,
                "result_bytes": group.result_bytes,
                "files": group.n_files,
                "size_bytes": group.size_bytes,
            }
            for group in self.groups
        ]

    def summary(self) -> str:
        """Return the total in words."""
        total = self.total
        return (
            f"Total: {count_of(total.n_files, 'file')}, {show_size(total.size_bytes)}; raw data "
            f"{show_size(total.raw_bytes)}, results {show_size(total.result_bytes)}."
        )

    def _repr_html_(self) -> str:
        from ..markup import card, rows_table

        rows = self.rows()
        head = list(rows[0]) if rows else [self.by]
        return card(rows_table(self.summary(), head, [list(row.values()) for row in rows]))


def sum_storage(
    lab: Any,
    *,
    by: By = "store",
    subjects: Sequence[str] | None = None,
    projects: Sequence[str | None] | None = None,
    now: datetime | None = None,
) -> StorageUse:
    """Sum files and bytes by group.

    Parameters
    ----------
    lab : Lab
        The tables.
    by : str, optional
        ``"store"``, ``"project"``, ``"subject"``, ``"type"`` (kind of data) or ``"age"`` (since
        the last change of the original).
    subjects : sequence of str, optional
        Only files of datasets, and of results, of these.
    projects : sequence of (str or None), optional
        Only files of these; None is data without a project. By default all projects for an
        account that may see them, with the files that are in no dataset; else the lab's own.
    now : datetime, optional
        From when ages count; by default now.

    Returns
    -------
    StorageUse

    Raises
    ------
    QueryError
        If there is no such grouping.
    """
    if by not in get_args(By):
        raise QueryError(
            f"Files cannot be summed by {by!r}.", hint=f"Use one of {', '.join(get_args(By))}."
        )
    lab.activate()
    whole = projects is None and not is_limited(lab) and subjects is None
    if projects is None:
        projects = [lab.project] if is_limited(lab) else _all_projects(lab)
    sums: dict[tuple[str | None, str], list[int]] = {}
    for position, table in ((0, lab.File), (2, lab.AnalysisFile)):
        query, values = _query(lab, table, by, subjects, projects, whole, now or datetime.now(UTC))
        if query is None:
            continue
        for name, number, size in lab.connection.query(query, tuple(values)).fetchall():
            one = sums.setdefault(_split(by, name, len(projects) > 1), [0, 0, 0, 0])
            one[position] += int(number)
            one[position + 1] += int(size or 0)
    groups = [StorageSum(group, project, *one) for (project, group), one in sums.items()]
    groups.sort(key=lambda one: (-one.size_bytes, one.project or "", one.group))
    return StorageUse(by, tuple(groups))


def _all_projects(lab: Any) -> list[str | None]:
    names = lab.Project.fetch("project_name", order_by="project_name")
    return [None, *map(str, names)]


def _split(by: str, name: str | None, several: bool) -> tuple[str | None, str]:
    """Return project and group of what the server calls a group."""
    if name is None or name == SEVERAL or by not in ("subject", "type"):
        return None, NOT_REFERRED if name is None else name
    project, _, group = name.partition(_TAB)
    return project if several else None, group or NONE


def _query(
    lab: Any,
    table: Any,
    by: By,
    subjects: Sequence[str] | None,
    projects: Sequence[str | None],
    whole: bool,
    now: datetime,
) -> tuple[str | None, list[Any]]:
    """Return the statement that sums a table, and its values; None if nothing can be in it."""
    direct = by in ("store", "age") and whole
    own, values = _own_group(by, now, "f.file_datetime" if direct else "MIN(f.file_datetime)")
    files = table.full_table_name
    if direct:
        return f"SELECT {own} g, COUNT(*), SUM(file_size) FROM {files} f GROUP BY g", values
    found = list(_references(lab, table, by, subjects, projects))
    if not found:
        if not whole:
            return None, []
        return f"SELECT NULL, COUNT(*), SUM(file_size) FROM {files} HAVING COUNT(*)", []
    refers = " UNION ALL ".join(query for query, _ in found)
    group = own or f"CASE WHEN MIN(r.g) <> MAX(r.g) THEN '{SEVERAL}' ELSE MIN(r.g) END"
    query = (
        f"SELECT g, COUNT(*), SUM(s) FROM (SELECT MIN(f.file_size) s, {group} g FROM {files} f "
        f"{'LEFT ' if whole else ''}JOIN ({refers}) r "
        "ON r.p = f.file_path AND r.s = f.storage GROUP BY f.file_path, f.storage) x GROUP BY g"
    )
    return query, [*values, *(value for _, given in found for value in given)]


def _own_group(by: By, now: datetime, column: str) -> tuple[str, list[Any]]:
    """Return the group that a file's own row tells; empty if its datasets tell it."""
    if by == "store":
        return "f.storage", []
    if by != "age":
        return "", []
    cases, values = [], []
    for name, days in AGES.items():
        cases.append(f"WHEN {column} > %s THEN %s")
        values += [(now - timedelta(days=days)).replace(tzinfo=None), name]
    return f"CASE {' '.join(cases)} ELSE %s END", [*values, _OLDEST]


def _references(
    lab: Any, table: Any, by: By, subjects: Sequence[str] | None, projects: Sequence[str | None]
) -> Iterator[tuple[str, list[Any]]]:
    """Yield a statement for each table that refers to files: path ``p``, store ``s``, group ``g``.

    Raw files are a dataset's; results are of whatever refers to them, of plugins too.
    """
    base = lab.connection._preferences.name
    for project in projects:
        schema = schema_names(base, project)["data"]
        if table is lab.File:
            files = f"{quote(schema)}.{quote(lab.Dataset.DataFiles.table_name)}"
            holders = [(files, ("file_path", "storage"), set(_NAMES))]
            if not _is_there(lab, files):
                continue
        else:
            holders = list(_holders(lab, schema, base, table.table_name))
        for holder, (path, storage), columns in holders:
            if subjects is not None and "subject_name" not in columns:
                continue
            group, joined, values = _group_of(lab, by, project, schema, columns)
            where = f"x.{quote(path)} IS NOT NULL"
            if subjects is not None:
                marks = ", ".join(["%s"] * len(subjects))
                where += f" AND x.subject_name IN ({marks})" if subjects else " AND FALSE"
            yield (
                f"SELECT x.{quote(path)} p, x.{quote(storage)} s, {group} g FROM {holder} x "
                f"{joined} WHERE {where}",
                [*values, *(subjects or ())],
            )


def _group_of(
    lab: Any, by: By, project: str | None, schema: str, columns: set[str]
) -> tuple[str, str, list[Any]]:
    """Return the group that a row tells which refers to a file, what it is joined to, values."""
    name = project or NO_PROJECT
    if by == "subject":
        own = "x.subject_name" if "subject_name" in columns else "''"
        return f"CONCAT(%s, {own})", "", [f"{name}{_TAB}"]
    if by == "type":
        if not columns.issuperset(_NAMES):
            return "%s", "", [f"{name}{_TAB}"]
        dataset = f"{quote(schema)}.{quote(lab.Dataset.table_name)}"
        joined = f"JOIN {dataset} d USING ({', '.join(_NAMES)})"
        return "CONCAT(%s, COALESCE(d.dataset_type, ''))", joined, [f"{name}{_TAB}"]
    return ("%s", "", [name]) if by == "project" else ("NULL", "", [])


def _holders(
    lab: Any, schema: str, base: str, table_name: str
) -> Iterator[tuple[str, tuple[str, str], set[str]]]:
    """Yield the tables of a project that refer to files: quoted name, their two columns, all."""
    # without a project the tables of data are beside the shared ones
    schemas = (schema, f"{schema}_computed", f"{schema}_user")
    for table in read_tables(lab.connection, schemas).values():
        for reference in table.references:
            if reference.parent == (base, table_name):
                columns = dict(zip(reference.parent_columns, reference.columns, strict=True))
                pair = (columns["file_path"], columns["storage"])
                yield f"{quote(table.schema)}.{quote(table.name)}", pair, set(table.columns)


def _is_there(lab: Any, files: str) -> bool:
    try:
        lab.connection.query(f"SELECT 1 FROM {files} LIMIT 0")
    except dj.errors.DataJointError:  # no tables, or no right to look
        return False
    return True
