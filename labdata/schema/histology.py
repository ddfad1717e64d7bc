"""Atlases, whole brains, and where the sites of probes lie in the brain."""

from __future__ import annotations

from ..database.projects import Computed, Imported, Manual, Part, table
from .ephys import ProbeConfiguration  # noqa: F401  (named by foreign keys)
from .general import AnalysisFile, Dataset, File  # noqa: F401
from .procedures import ProbeInsertion  # noqa: F401


@table("data")
class Atlas(Manual):
    """Brain atlases."""

    definition = """
    atlas_id : varchar(32)
    ---
    atlas_description=null : varchar(256)
    atlas_url=null : varchar(256)
    atlas_citation=null : varchar(256)
    """

    class Region(Part):
        """Regions of an atlas, a tree."""

        definition = """
        -> master
        region_acronym : varchar(32)
        ---
        region_name : varchar(256)
        region_id : int64                # of the atlas' ontology
        region_atlas_id : int64
        region_level : int32
        region_graph_depth=null : int32
        region_graph_order=null : int32
        structure_id_path : varchar(255)  # region_id from the root down, between /
        color_hex=null : char(8)
        """


@table("computed")
class ProbeBrainRegion(Manual):
    """Which part of a probe lies in a region."""

    definition = """
    -> ProbeInsertion
    -> ProbeConfiguration
    -> Atlas.Region
    ---
    min_depth=null : float64             # um from the tip
    max_depth=null : float64             # um from the tip
    shanks=null : <array>                # numbers of the shanks in the region
    electrodes=null : <array>            # saved channels
    """


@table("data")
class FixedBrain(Imported):
    """Images of whole fixed brains."""

    definition = """
    -> Dataset
    ---
    -> [nullable] File
    num_channels=null : int16
    width=null : int32                   # pixels
    height=null : int32                  # pixels
    um_per_pixel=null : <array>          # um, x, y and z
    hardware=null : varchar(56)
    """

    class Channel(Part):
        """Colours of an image."""

        definition = """
        -> master
        channel_index : int16
        ---
        channel_wavelength=null : float64  # nm
        channel_description=null : varchar(64)
        """


@table("computed")
class FixedBrainTransformParameters(Manual):
    """How a whole brain is brought into the frame of an atlas."""

    definition = """
    -> FixedBrain
    transform_id=0 : int16
    ---
    downsample=null : json               # factor of each axis
    rotate=null : json                   # degrees about each axis
    crop=null : json                     # first and last pixel of each axis
    transpose=null : json                # order of the axes
    cast=null : varchar(8)               # type of the pixels
    """


@table("computed")
class FixedBrainTransform(Computed):
    """Whole brains in the frame of an atlas."""

    definition = """
    -> FixedBrain
    -> FixedBrainTransformParameters
    ---
    -> AnalysisFile
    um_per_pixel=null : <array>          # um, of each axis
    shape=null : <array>                 # pixels, of each axis
    hemisphere=null : varchar(5)
    """


@table("computed")
class FixedBrainTransformAnnotation(Manual):
    """Points and lines that were marked in a whole brain."""

    definition = """
    -> FixedBrainTransform
    annotation_id : int32
    ---
    annotation_name : varchar(36)
    annotation_type : varchar(36)
    xyz : <array>                        # float64 (n, 3), pixels of the transformed brain
    """
