"""Functional imaging: two-photon, widefield and miniscope recordings."""

from __future__ import annotations

from ..database.projects import Imported, Part, table
from .general import Dataset, File  # noqa: F401  (named by foreign keys)
from .histology import Atlas  # noqa: F401


@table("data")
class TwoPhoton(Imported):
    """Two-photon recordings; the stack has the axes frame, plane, channel, height, width."""

    definition = """
    -> Dataset
    ---
    n_planes : int16
    n_channels : int16
    n_frames : int64                     # of each plane
    width : int32                        # pixels
    height : int32                       # pixels
    frame_rate : float64                 # Hz, of each plane
    -> File
    magnification=null : float64         # times
    objective_angle=null : float64       # degrees
    objective=null : varchar(32)
    um_per_pixel=null : <array>          # um, x and y
    scanning_mode=null : varchar(32)
    pmt_gain=null : <array>              # (channel,), as the microscope states it
    imaging_software : varchar(32)
    -> [nullable] Atlas.Region
    """

    class Plane(Part):
        """Planes of a recording."""

        definition = """
        -> master
        plane_num : int16
        ---
        plane_depth=null : float64       # um below the surface
        """


@table("data")
class Widefield(Imported):
    """Widefield recordings; the stack has the axes frame, channel, height, width."""

    definition = """
    -> Dataset
    ---
    n_channels : int16
    n_frames : int64                     # of each channel
    width : int32                        # pixels
    height : int32                       # pixels
    frame_rate : float64                 # Hz, of each channel
    -> [nullable] File
    magnification=null : float64         # times
    objective_angle=null : float64       # degrees
    objective=null : varchar(32)
    um_per_pixel=null : <array>          # um, x and y
    imaging_software : varchar(32)
    """

    class Projection(Part):
        """The recording in one image."""

        definition = """
        -> master
        proj_name : enum('mean', 'std', 'var', 'max')
        ---
        proj : <array>                   # (channel, height, width)
        """


@table("data")
class Miniscope(Imported):
    """Miniscope recordings; the stack has the axes frame, height, width."""

    definition = """
    -> Dataset
    ---
    n_channels : int16
    n_frames : int64
    width : int32                        # pixels
    height : int32                       # pixels
    frame_rate : float64                 # Hz
    -> File
    device=null : varchar(32)
    power=null : <array>                 # of the light sources, percent
    lens_tuning : int32                  # of the electrowetting lens
    sensor_gain=null : int32
    um_per_pixel=null : <array>          # um, x and y
    -> [nullable] Atlas.Region
    """
