"""Synthetic recordings of which everything is known: spikes, clocks, events.

Used by the demo, the guide and the tests, and public, so that a plugin can be tested the same way.
No data files and no packages beyond labdata's own are needed.

>>> from labdata.testing import write_spikeglx_run
>>> truth = write_spikeglx_run("/tmp/example", duration_s=5.0)  # doctest: +SKIP
"""

from __future__ import annotations

from labdata.testing.bulk import insert_many
from labdata.testing.guide_lab import GuideTruth, write_guide_lab
from labdata.testing.guide_mice import MouseTruth
from labdata.testing.guide_units import SortedUnit
from labdata.testing.lab import LabTruth, SessionTruth, write_lab
from labdata.testing.lab_folder import use_lab_folder
from labdata.testing.openephys_run import OpenEphysTruth, write_openephys_recording
from labdata.testing.phy_folder import write_phy_folder
from labdata.testing.probes import PROBE_MODELS, ProbeModel, ProbeSpec
from labdata.testing.rows import insert_dataset, insert_streams, insert_unit
from labdata.testing.spikeglx_run import write_spikeglx_run
from labdata.testing.truth import ClockTruth, GroundTruth, ProbeTruth

__all__ = [
    "PROBE_MODELS",
    "ClockTruth",
    "GroundTruth",
    "GuideTruth",
    "LabTruth",
    "MouseTruth",
    "OpenEphysTruth",
    "ProbeModel",
    "ProbeSpec",
    "ProbeTruth",
    "SessionTruth",
    "SortedUnit",
    "insert_dataset",
    "insert_many",
    "insert_streams",
    "insert_unit",
    "use_lab_folder",
    "write_guide_lab",
    "write_lab",
    "write_openephys_recording",
    "write_phy_folder",
    "write_spikeglx_run",
]
