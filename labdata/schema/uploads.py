"""Folders on their way from a rig to the store."""

from __future__ import annotations

from ..database.projects import Manual, Part, table
from .general import Project  # noqa: F401  (named by a foreign key)


@table("global")
class UploadJob(Manual):
    """A folder that was put and waits for, is in, or has had its upload."""

    definition = """
    job_id : serial
    ---
    job_waiting=1 : int8                 # 1 until a worker has claimed it
    job_status=null : varchar(52)        # ON SERVER, WAITING, WORKING, COMPLETED, FAILED
    job_host=null : varchar(128)         # host that uploads
    job_rule=null : varchar(52)
    job_log=null : varchar(4000)
    job_starttime=null : datetime(6)     # UTC
    job_endtime=null : datetime(6)       # UTC
    subject_name=null : varchar(64)
    session_name=null : varchar(64)
    dataset_name=null : varchar(128)
    dataset_type=null : varchar(32)
    session_datetime=null : datetime(6)  # start of the session, where it is new
    experimenter=null : varchar(32)
    setup_name=null : varchar(54)
    upload_storage=null : varchar(32)
    job_claim=null : char(32)            # of the worker that has it
    -> [nullable] Project
    """

    class AssignedFiles(Part):
        """Files of a job, as they were when they were put."""

        definition = """
        -> master
        src_path : varchar(400)          # relative to the inbox
        ---
        src_datetime : datetime(6)       # UTC
        src_size : int64                 # bytes
        src_md5=null : char(32)
        src_sha256=null : char(64)
        """
