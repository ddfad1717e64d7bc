"""What is known of where a file came from, for the day when no copy of it is left."""

from __future__ import annotations

from typing import Any

from ..errors import LabdataError
from ..preferences import Preferences
from .files import find_local
from .stored_copies import StoredFile

#: Originals that are named one by one.
_MOST_NAMED = 3
_RESULT = (
    "NO COPY IS LEFT that this computer sees. It is a result: the analysis that wrote it can be "
    "run again."
)


def say_origin(lab: Any, file: StoredFile, preferences: Preferences) -> str:
    """Return what is known of a file of which there is no copy.

    Parameters
    ----------
    lab : Lab
        The tables.
    file : StoredFile
        The file.
    preferences : Preferences
        Their local paths are searched for the originals that it was made of.

    Returns
    -------
    str
        The upload job, its host, the experimenter, when, and the originals' paths.
    """
    if file.table == "AnalysisFile":
        return _RESULT
    said = "NO COPY IS LEFT that this computer sees."
    jobs = _jobs(lab, file)
    if not jobs:
        return f"{said} No upload job is known for it: look on the rig and in old backups."
    for number, host, ended, who, subject, session, dataset in jobs:
        by = f", experimenter {who}" if who else ""
        when = f" on {ended:%Y-%m-%d}" if ended else ""
        said += (
            f" Upload job {number} stored it{when} on {host or 'an unknown host'}, of "
            f"{subject}/{session}/{dataset}{by}. {_say_originals(lab, number, file, preferences)}"
        )
    return said.strip()


def _jobs(lab: Any, file: StoredFile) -> list[tuple[Any, ...]]:
    """Return the upload jobs that may have stored a file: of its name, else of its dataset."""
    job, files, data, session = (
        table.full_table_name
        for table in (
            lab.UploadJob,
            lab.UploadJob.AssignedFiles,
            lab.Dataset.DataFiles,
            lab.Session,
        )
    )
    names = ("subject_name", "session_name", "dataset_name")
    columns = (
        "j.job_id, j.job_host, j.job_endtime, COALESCE(j.experimenter, s.experimenter), "
        + ", ".join(f"j.{name}" for name in names)
    )
    joined = f"LEFT JOIN {session} s USING (subject_name, session_name)"
    by_path = f"SELECT {columns} FROM {job} j {joined} JOIN {files} a USING (job_id) "
    found = lab.connection.query(
        by_path + "WHERE a.src_path = %s AND j.job_status = 'COMPLETED' ORDER BY j.job_id",
        (file.file_path,),
    ).fetchall()
    if not found:
        found = lab.connection.query(
            f"SELECT DISTINCT {columns} FROM {job} j {joined} "
            f"JOIN {data} d USING ({', '.join(names)}) "
            "WHERE d.file_path = %s AND d.storage = %s AND j.job_status = 'COMPLETED' "
            "AND j.project_name <=> %s ORDER BY 1",
            (file.file_path, file.storage, lab.project),
        ).fetchall()
    return list(found)


def _say_originals(lab: Any, job_id: int, file: StoredFile, preferences: Preferences) -> str:
    """Return the originals in words: the file itself if it was one, then the largest."""
    rows = lab.connection.query(
        f"SELECT src_path, src_size FROM {lab.UploadJob.AssignedFiles.full_table_name} "
        "WHERE job_id = %s ORDER BY src_path = %s DESC, src_size DESC, src_path",
        (job_id, file.file_path),
    ).fetchall()
    if not rows:
        return "Its originals were not noted."
    named = []
    for path, size in rows[:_MOST_NAMED]:
        try:
            there = find_local(path, int(size), preferences.local_folders())
        except LabdataError:
            there = None
        named.append(f"{path} ({f'still at {there}' if there else 'not on this computer'})")
    more = f" and {len(rows) - _MOST_NAMED} more" if len(rows) > _MOST_NAMED else ""
    return f"Originals, on the rig: {', '.join(named)}{more}."
