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
from .husbandry import Death, Watering, WaterRestriction, Weighing  # isort: skip
from .uploads import UploadJob  # isort: skip
from .events import DatasetEvents, StreamSync, StreamSyncReport  # isort: skip
from .ephys import (  # isort: skip
    EphysRecording,
    EphysRecordingNoiseStats,
    Probe,
    ProbeConfiguration,
)
from .procedures import (  # isort: skip
    ProbeExtraction,
    ProbeInsertion,
    Procedure,
    ProcedureType,
)
from .histology import (  # isort: skip
    Atlas,
    FixedBrain,
    FixedBrainTransform,
    FixedBrainTransformAnnotation,
    FixedBrainTransformParameters,
    ProbeBrainRegion,
)
from .sorting import (  # isort: skip
    SpikeSorting,
    SpikeSortingParams,
    UnitCount,
    UnitCountCriteria,
    UnitMetrics,
)
from .unit_curation import CuratedUnitCount, UnitCuration  # isort: skip
from .imaging import Miniscope, TwoPhoton, Widefield  # isort: skip
from .segmentation import (  # isort: skip
    CellSegmentation,
    CellSegmentationMetrics,
    CellSegmentationParams,
)
from .behaviour import DecisionTask  # isort: skip
from .video import (  # isort: skip
    DatasetVideo,
    PoseEstimation,
    PoseEstimationLabelSet,
    PoseEstimationModel,
)
from .tasks import ComputeTask  # isort: skip

__all__ = [
    "AnalysisFile",
    "Atlas",
    "CellSegmentation",
    "CellSegmentationMetrics",
    "CellSegmentationParams",
    "ComputeTask",
    "CuratedUnitCount",
    "Dataset",
    "DatasetEvents",
    "DatasetType",
    "DatasetVideo",
    "Death",
    "DecisionTask",
    "EphysRecording",
    "EphysRecordingNoiseStats",
    "File",
    "FixedBrain",
    "FixedBrainTransform",
    "FixedBrainTransformAnnotation",
    "FixedBrainTransformParameters",
    "Lab",
    "LabMember",
    "Miniscope",
    "Note",
    "Path",
    "PoseEstimation",
    "PoseEstimationLabelSet",
    "PoseEstimationModel",
    "Probe",
    "ProbeBrainRegion",
    "ProbeConfiguration",
    "ProbeExtraction",
    "ProbeInsertion",
    "Procedure",
    "ProcedureType",
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
    "StreamSyncReport",
    "Subject",
    "TwoPhoton",
    "UnitCount",
    "UnitCountCriteria",
    "UnitCuration",
    "UnitMetrics",
    "UploadJob",
    "WaterRestriction",
    "Watering",
    "Weighing",
    "Widefield",
    "default_lab",
    "dj",
    "load_project_schema",
    "np",
    "pd",
]

_labs: dict[str | None, Lab] = {}


def load_project_schema(project: str | None) -> Lab:
    """Return the tables of a project: ``lab = load_project_schema("P"); lab.Session``.

    They live beside the tables of any other project in this process.

    Parameters
    ----------
    project : str or None
        Name of the project; None for the data of no project. On the embedded database an unknown
        project is made when its tables are first used; on a server that is an error.

    Examples
    --------
    >>> lab = labdata.load_project_schema("vision")  # doctest: +SKIP
    >>> lab.Session & 'subject_name = "JC1"'  # doctest: +SKIP
    """
    if project not in _labs:
        _labs[project] = make_lab(project)
    return _labs[project]
