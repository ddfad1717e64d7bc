"""Analyses: what they are, the tasks that record them, and how they are run."""

from .analysis import Analysis, TaskContext, analysis_names, find_analysis
from .preflight import Finding, MachineFacts, Preflight, run_preflight
from .sorting_import import ImportedSorting, ImportOptions, import_sorting
from .task import TaskResult, check_may_run, create_tasks, run_task

__all__ = [
    "Analysis",
    "Finding",
    "ImportOptions",
    "ImportedSorting",
    "MachineFacts",
    "Preflight",
    "TaskContext",
    "TaskResult",
    "analysis_names",
    "check_may_run",
    "create_tasks",
    "find_analysis",
    "import_sorting",
    "run_preflight",
    "run_task",
]
