"""Whether a folder's data were put before, under another name.

A folder copied to another animal or session by mistake is a recording that counts twice, and once
for the wrong animal. Equal small files are common (settings, empty logs), so only the largest file
of a folder is looked for. It is a note and no refusal: a copy may be meant.
"""

from __future__ import annotations

from typing import Any


def find_same_content(lab: Any, job_id: int) -> str | None:
    """Return where the largest file of an upload job was put before, in a sentence.

    Parameters
    ----------
    lab : Lab
        The tables; jobs of projects that the account does not see are not found.
    job_id : int
        A job that was just put.

    Returns
    -------
    str or None
        None if its content is new, or all of its files are empty.
    """
    jobs, files = lab.UploadJob.full_table_name, lab.UploadJob.AssignedFiles.full_table_name
    largest = lab.connection.query(
        f"SELECT src_path, src_sha256 FROM {files} WHERE job_id = %s AND src_size > 0 "
        "ORDER BY src_size DESC, src_path LIMIT 1",
        (job_id,),
    ).fetchone()
    if largest is None:
        return None
    path, sha256 = largest
    found = lab.connection.query(
        "SELECT a.src_path, j.job_id, j.subject_name, j.session_name, j.dataset_name "
        f"FROM {files} a JOIN {jobs} j USING (job_id) "
        "WHERE a.src_sha256 = %s AND j.job_id <> %s "
        "AND COALESCE(j.job_status, '') <> 'CANCELLED' ORDER BY j.job_id LIMIT 1",
        (sha256, job_id),
    ).fetchone()
    if found is None:
        return None
    other, other_job, *dataset = found
    return (
        f"{path} has the same content as {other}, which was put as upload job {other_job} of "
        f"{'/'.join(dataset)}. Is it the right animal and session?"
    )
