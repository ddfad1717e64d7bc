"""Analyses: what they are, the tasks that record them, and how they are run."""

from .analysis import Analysis, TaskContext, analysis_names, find_analysis
from .task import TaskResult, check_may_run, create_tasks, run_task

__all__ = [
    "Analysis",
    "TaskContext",
    "TaskResult",
    "analysis_names",
    "check_may_run",
    "create_tasks",
    "find_analysis",
    "run_task",
]
