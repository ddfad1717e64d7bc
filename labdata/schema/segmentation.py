"""Cells found in imaging: parameters, regions of interest (ROIs), traces and metrics."""

from __future__ import annotations

from ..database.projects import Computed, Imported, Manual, Part, table
from .general import AnalysisFile, Dataset  # noqa: F401  (named by foreign keys)


@table("computed")
class CellSegmentationParams(Manual):
    """Parameter sets of programs that find cells."""

    definition = """
    parameter_set_num : int32
    ---
    algorithm_name : varchar(64)
    parameter_description=null : varchar(256)
    parameters_dict : json
    code_link=null : varchar(300)
    parameters_hash=null : char(64)      # identity of algorithm and parameters
    unique index (parameters_hash)
    """


@table("computed")
class CellSegmentation(Imported):
    """Cells found in one recording with one parameter set."""

    definition = """
    -> Dataset
    -> CellSegmentationParams
    ---
    algorithm_version : varchar(56)
    n_rois : int32
    crop_region=null : <array>           # pixels: first and last of y, then of x
    segmentation_datetime=null : datetime(6)  # UTC
    package_versions=null : json
    -> [nullable] AnalysisFile
    container_version=null : varchar(512)
    """

    class Plane(Part):
        """Planes that were segmented."""

        definition = """
        -> master
        plane_num : int16
        ---
        plane_n_rois : int32
        dims=null : <array>              # pixels: height, width
        """

    class MotionCorrection(Part):
        """How a plane moved."""

        definition = """
        -> master.Plane
        ---
        motion_block_size=0 : int32      # pixels; 0: the whole frame moves
        displacement : <array>           # pixels, (frame, block, y and x)
        """

    class Projection(Part):
        """A plane in one image."""

        definition = """
        -> master.Plane
        proj_name : varchar(16)          # mean, max, correlation, ...
        ---
        proj_im : <array>                # (height, width)
        """

    class ROI(Part):
        """Regions of interest."""

        definition = """
        -> master.Plane
        roi_num : int32
        ---
        roi_pixels : <array>             # int64 (n,), flat index into (height, width)
        roi_pixels_values=null : <array>  # weight of each pixel
        neuropil_pixels=null : <array>   # int64, flat index into (height, width)
        """

    class RawTraces(Part):
        """Fluorescence of each ROI and its surround."""

        definition = """
        -> master.ROI
        ---
        f_trace : <array>                # (frame,), arbitrary units
        f_neuropil=null : <array>        # (frame,), arbitrary units
        """

    class Traces(Part):
        """Relative fluorescence of each ROI."""

        definition = """
        -> master.ROI
        ---
        dff : <array>                    # (frame,), fraction of the baseline
        neuropil_coeff=null : float64    # of the surround that was taken away
        """

    class Deconvolved(Part):
        """Estimated activity of each ROI."""

        definition = """
        -> master.ROI
        ---
        deconv : <array>                 # (frame,), arbitrary units
        """

    class Selection(Part):
        """Whether an ROI is a cell."""

        definition = """
        -> master.ROI
        selection_method='auto' : varchar(32)  # auto, or who judged
        ---
        selection : int16                # 1 cell, 0 not
        likelihood=null : float64        # of being a cell, 0 to 1
        """

    class LinkedDatasets(Part):
        """Other recordings that were segmented together with this one."""

        definition = """
        -> master
        linked_session_id : int32
        ---
        -> Dataset.proj(linked_session_name='session_name', linked_dataset_session='dataset_name')
        """


@table("computed")
class CellSegmentationMetrics(Computed):
    """Shape and quality of ROIs; null where a number could not be computed."""

    definition = """
    -> CellSegmentation.ROI
    ---
    x_pos=null : float64                 # pixels
    y_pos=null : float64                 # pixels
    npix=null : int32
    diameter=null : float64              # pixels, of the circle of equal area
    roi_skewness=null : float64          # of the pixels' weights
    compactness=null : float64           # mean distance of pixels over a disk's, 1 or more
    aspect_ratio=null : float64          # longer over shorter axis, 1 or more
    snr=null : float64                   # 90th percentile of dF/F over noise_level
    noise_level=null : float64           # of dF/F from frame to frame, fraction of the baseline
    std=null : float64                   # of dF/F, fraction of the baseline
    trace_skewness=null : float64        # of dF/F
    max_dff=null : float64               # fraction of the baseline
    activity_fraction=null : float64     # fraction of frames above twice noise_level
    event_rate=null : float64            # Hz
    neuropil_coeff=null : float64        # of the surround that was taken off
    correlation_neuropil=null : float64  # of ROI and surround, -1 to 1
    """
