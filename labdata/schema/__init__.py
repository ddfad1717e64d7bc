"""The tables of the lab's database.

``from labdata.schema import *`` brings the tables of the project in use, and with them ``dj``,
``np``, ``pd`` and ``Path``, which notebooks of the user guide count on. Importing connects to
nothing: the tables reach for the database when they are first used.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from ..database import codecs as _codecs  # noqa: F401  (registers the column types)
from ..database.datajoint_compat import dj
from ..database.projects import Lab, default_lab, make_lab
from .general import (
    AnalysisFile,
    Dataset,
    DatasetType,
    File,
    LabMember,
    Note,
    ProcessedFile,
    Project,
    Session,
    Setup,
    SetupLocation,
    Species,
    Strain,
    Subject,
)

# families in the order in which their foreign keys need them
from .uploads import UploadJob  # isort: skip
from .events import DatasetEvents, StreamSync  # isort: skip
from .ephys import EphysRecording, Probe, ProbeConfiguration  # isort: skip
from .sorting import (  # isort: skip
    SpikeSorting,
    SpikeSortingParams,
    UnitCount,
    UnitCountCriteria,
    UnitMetrics,
)
from .tasks import ComputeTask  # isort: skip

__all__ = [
    "AnalysisFile",
    "ComputeTask",
    "Dataset",
    "DatasetEvents",
    "DatasetType",
    "EphysRecording",
    "File",
    "Lab",
    "LabMember",
    "Note",
    "Path",
    "Probe",
    "ProbeConfiguration",
    "ProcessedFile",
    "Project",
    "Session",
    "Setup",
    "SetupLocation",
    "Species",
    "SpikeSorting",
    "SpikeSortingParams",
    "Strain",
    "StreamSync",
    "Subject",
    "UnitCount",
    "UnitCountCriteria",
    "UnitMetrics",
    "UploadJob",
    "default_lab",
    "dj",
    "load_project_schema",
    "np",
    "pd",
]

_labs: dict[str, Lab] = {}


def load_project_schema(project: str) -> Lab:
    """Return the tables of a project: ``lab = load_project_schema("P"); lab.Session``.

    They live beside the tables of any other project in this process.

    Parameters
    ----------
    project : str
        Name of the project. On the embedded database an unknown project is made when its tables
        are first used; on a server that is an error.

    Examples
    --------
    >>> lab = labdata.load_project_schema("vision")  # doctest: +SKIP
    >>> lab.Session & 'subject_name = "JC1"'  # doctest: +SKIP
    """
    if project not in _labs:
        _labs[project] = make_lab(project)
    return _labs[project]
