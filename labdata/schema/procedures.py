"""Procedures on animals, and the probes that were put into them and taken out."""

from __future__ import annotations

from ..database.projects import Lookup, Manual, table
from .ephys import Probe  # noqa: F401  (named by foreign keys)
from .general import LabMember, Note, Subject  # noqa: F401
from .husbandry import Weighing  # noqa: F401


@table("data")
class ProcedureType(Lookup):
    """Kinds of procedures."""

    definition = """
    procedure_type : varchar(52)
    """
    initial_rows = (
        ("surgery",),
        ("chronic implant",),
        ("chronic explant",),
        ("injection",),
        ("window implant",),
        ("window replacement",),
        ("handling",),
        ("training",),
        ("craniotomy",),
        ("euthanasia",),
    )


@table("data")
class Procedure(Manual):
    """Procedures on animals."""

    definition = """
    -> Subject
    -> ProcedureType
    procedure_datetime : datetime(6)     # local time of the lab
    ---
    -> LabMember
    procedure_metadata=null : <blob>     # what else is to be kept, by name
    -> [nullable] Weighing
    -> [nullable] Note
    """


@table("data")
class ProbeInsertion(Manual):
    """Where a probe was put; coordinates from bregma, angles of the manipulator."""

    definition = """
    -> Procedure
    -> Probe
    ---
    insertion_ap : float64               # um, anterior positive
    insertion_ml : float64               # um, right positive
    insertion_depth : float64            # um along the probe
    insertion_el : float64               # degrees, elevation
    insertion_az : float64               # degrees, azimuth
    insertion_spin=0 : float64           # degrees
    """


@table("data")
class ProbeExtraction(Manual):
    """Probes that were taken out."""

    definition = """
    -> Procedure
    -> Probe
    ---
    extraction_successful : int8         # 1 the probe can be used again, 0 not
    """
