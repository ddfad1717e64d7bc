"""Views through which members of a project see those rows of shared tables that are its own.

Raw files, files of results and upload jobs of all projects are in one table each, which other
tables' foreign keys name. A database grants rights by table, not by row, so an ordinary account
may not read those tables: it reads and writes a view of each that holds the rows of one project. A
view runs with the rights of the administrator who made it. The tables keep their names, and what
they are made of (columns, keys) stays visible, so that DataJoint sees one and the same lab through
every account.

A file is a project's if a table of the project refers to it; an upload job names its project.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .hidden_tables import RELEASED, RENAMES, hidden_table, plan_hidden_tables
from .raw_tables import Reference, quote, read_tables
from .statements import Statement

#: Tables of which a project's members see their own rows only, masters before their parts.
GUARDED = ("File", "AnalysisFile", "ProcessedFile", "UploadJob", "UploadJob.AssignedFiles")
#: Read by everyone; its rows of one project are written through a view by the project's admins.
MEMBERS = "Project.User"
#: Through this view an admin notes files that the project lets go.
LETTING_GO = "labdata_letting_go"


def view_name(table_name: str, project: str | None) -> str:
    """Return the name of a project's view of a shared table, in the shared schema.

    DataJoint passes over names that begin with ``~``; no project's name holds one.

    Parameters
    ----------
    table_name : str
        For instance ``upload_job__assigned_files``.
    project : str or None
        The project, up to 32 characters; 64 are a server's limit of the whole.
    """
    return f"~{table_name}~{project or ''}"


def find_views(
    connection: Any, base: str, project: str | None, present: Mapping[str, set[str]]
) -> bool:
    """Return whether this account is to use the project's views.

    Parameters
    ----------
    connection : LabConnection
        The account's connection.
    base : str
        The shared schema.
    project : str or None
        The project.
    present : mapping of str to set of str
        Names of the tables that the account sees, by schema.
    """
    from .datajoint_compat import dj

    if view_name("file", project) not in present.get(base, ()):
        return False
    try:
        connection.query(f"SELECT 1 FROM {quote(base)}.`file` LIMIT 0")
    except dj.errors.AccessError:
        return True
    return False


def make_views(lab: Any) -> list[Statement]:
    """Return the statements that make a project's views, or renew them.

    Parameters
    ----------
    lab : Lab
        Tables of the project.
    """
    tables = lab.tables_and_parts()
    job, assigned, processed, members = (
        tables[name].table_name
        for name in ("UploadJob", "UploadJob.AssignedFiles", "ProcessedFile", MEMBERS)
    )
    base, project = lab.File.database, lab.project
    jobs = f"{quote(base)}.{quote(job)}"
    of_job = f"SELECT 1 FROM {jobs} j WHERE j.job_id = r.job_id AND j.project_name <=> %s"
    of_source = (
        f"SELECT 1 FROM {quote(base)}.{quote(assigned)} a JOIN {jobs} j ON j.job_id = a.job_id "
        "WHERE a.src_path = r.file_path AND j.project_name <=> %s"
    )
    own = "r.project_name <=> %s"
    views = [
        *_views_of_files(lab),
        (processed, processed, f"EXISTS ({of_source})", (project,), False),
        (job, job, own, (project,), True),
        (assigned, assigned, f"EXISTS ({of_job})", (project,), True),
    ]
    if project:
        views.append((members, members, own, (project,), True))
    return [
        *plan_hidden_tables(lab.connection),
        *(
            Statement(
                f"CREATE OR REPLACE SQL SECURITY DEFINER VIEW "
                f"{quote(base)}.{quote(view_name(view, project))} AS "
                f"SELECT r.* FROM {quote(base)}.{quote(table)} r WHERE {where}"
                + " WITH CHECK OPTION"
                * checked,
                values,
            )
            for view, table, where, values, checked in views
        ),
    ]


def _views_of_files(lab: Any) -> list[tuple[str, str, str, tuple[str | None, ...], bool]]:
    """Return the views of files, and those of labdata's notes on renames and on files let go.

    A file that nothing refers to is no project's. So that the rows of files can be deleted with
    those that referred to them, an admin first notes that the project lets them go; the view for
    that takes files only that the project refers to.
    """
    names = (lab.File.table_name, lab.AnalysisFile.table_name)
    referred = {name: _referred(lab, name) for name in names}
    let_go = (
        f"EXISTS (SELECT 1 FROM {hidden_table(lab.connection, RELEASED)} l WHERE l.project = %s "
        "AND l.file_path = r.file_path AND l.storage = r.storage)"
    )
    noted, note = "r.project = %s", (lab.project or "",)
    of_project = f"{noted} AND ({' OR '.join(referred.values())})"
    return [
        *((name, name, f"{where} OR {let_go}", note, False) for name, where in referred.items()),
        (LETTING_GO, RELEASED, of_project, note, True),
        (RELEASED[1:], RELEASED, noted, note, True),
        (RENAMES[1:], RENAMES, noted, note, True),
    ]


def _referred(lab: Any, table_name: str) -> str:
    """Return the condition that a table of the project refers to a row of a shared table."""
    base = lab.File.database
    schemas = (lab.Subject.database, lab.ComputeTask.database, f"{lab.Subject.database}_user")
    found = [
        f"EXISTS (SELECT 1 FROM {table.sql} x WHERE {_joined(reference)})"
        for table in read_tables(lab.connection, schemas).values()
        for reference in table.references
        if reference.parent == (base, table_name)
    ]
    # nearly every raw file is one of a dataset's, which is then found at the first look
    found.sort(key=lambda condition: ("`dataset__data_files`" not in condition, condition))
    # a table's name may hold %, which is nothing that stands for a value
    return " OR ".join(found).replace("%", "%%") or "FALSE"


def _joined(reference: Reference) -> str:
    pairs: Sequence[tuple[str, str]] = list(
        zip(reference.columns, reference.parent_columns, strict=True)
    )
    return " AND ".join(f"x.{quote(own)} = r.{quote(parent)}" for own, parent in pairs)
