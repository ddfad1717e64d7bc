"""Analyses: what they are, the tasks that record them, and how they are run."""

from .analysis import Analysis, TaskContext, analysis_names, find_analysis
from .phy_import import ImportedSorting, ImportOptions, import_phy
from .task import TaskResult, check_may_run, create_tasks, run_task

__all__ = [
    "Analysis",
    "ImportOptions",
    "ImportedSorting",
    "TaskContext",
    "TaskResult",
    "analysis_names",
    "check_may_run",
    "create_tasks",
    "find_analysis",
    "import_phy",
    "run_task",
]
