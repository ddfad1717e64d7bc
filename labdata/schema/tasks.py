"""Analyses that are to be run, run, or have run."""

from __future__ import annotations

from ..database.projects import Manual, Part, table
from .general import Dataset, File  # noqa: F401  (named by foreign keys)


@table("computed")
class ComputeTask(Manual):
    """One run of an analysis on one dataset."""

    definition = """
    job_id : serial
    ---
    task_waiting=1 : int8                # 1 until a worker has claimed it
    task_name=null : varchar(52)         # the analysis
    task_status=null : varchar(52)       # WAITING, WORKING, COMPLETED, FAILED, CANCELLED
    task_target=null : varchar(52)       # where it runs
    task_host=null : varchar(128)
    task_cmd=null : varchar(4000)        # the command line that made it
    task_parameters=null : json
    task_log=null : varchar(4000)
    task_starttime=null : datetime(6)    # UTC
    task_endtime=null : datetime(6)      # UTC
    task_versions=null : json            # packages that ran
    task_claim=null : char(32)           # of the worker that has it
    -> [nullable] Dataset
    """

    class AssignedFiles(Part):
        """Files that a task reads."""

        definition = """
        -> master
        -> File
        """

    def _repr_html_(self) -> str:
        from .representations import describe_tasks

        if not self.restriction:
            return super()._repr_html_()
        return self._headed(describe_tasks(self))
