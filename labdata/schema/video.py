"""Videos of behaviour, and where the parts of the animal are in them."""

from __future__ import annotations

from ..database.projects import Manual, Part, table
from .general import AnalysisFile, Dataset, File, LabMember  # noqa: F401  (named by foreign keys)


@table("data")
class DatasetVideo(Manual):
    """Videos of a dataset."""

    definition = """
    -> Dataset
    video_name : varchar(56)
    ---
    frame_times=null : <array>           # float64 s, (frame,)
    frame_rate=null : float64            # Hz
    n_frames=null : int64
    """

    class File(Part):
        """Files of a video."""

        definition = """
        -> master
        -> File
        """

    class Frame(Part):
        """Frames that are kept for a look."""

        definition = """
        -> master
        frame_num : int64
        ---
        frame : <array>                  # (height, width) or (height, width, colour)
        """


@table("computed")
class PoseEstimationLabelSet(Manual):
    """Frames in which people marked the parts of an animal."""

    definition = """
    pose_label_set_num : int32
    ---
    description=null : varchar(512)
    -> [nullable] LabMember.proj(labeler='user_name')
    """

    class Frame(Part):
        """Frames to label."""

        definition = """
        -> master
        -> DatasetVideo
        frame_num : int64
        ---
        frame : <array>                  # (height, width) or (height, width, colour)
        """

    class Label(Part):
        """Marks in a frame."""

        definition = """
        -> master
        -> DatasetVideo
        frame_num : int64
        label_name : varchar(54)
        ---
        x : float64                      # pixels
        y : float64                      # pixels
        z=null : float64                 # depth, of several cameras
        """


@table("computed")
class PoseEstimationModel(Manual):
    """Trained models that find the parts of an animal."""

    definition = """
    model_num : int32
    ---
    algorithm_name : varchar(24)
    -> [nullable] AnalysisFile
    -> [nullable] PoseEstimationLabelSet
    parameters_dict=null : json
    training_datetime=null : datetime(6)  # UTC
    container_name=null : varchar(64)
    code_link=null : varchar(300)
    """


@table("computed")
class PoseEstimation(Manual):
    """Where a model found a part of the animal, frame by frame."""

    definition = """
    -> PoseEstimationModel
    -> DatasetVideo
    label_name : varchar(54)
    ---
    x : <array>                          # pixels, (frame,)
    y : <array>                          # pixels, (frame,)
    z=null : <array>                     # depth, (frame,), of several cameras
    likelihood=null : <array>            # (frame,), 0 to 1
    """
