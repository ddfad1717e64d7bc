"""Streams on different clocks, related through the pulses they share. Needs only numpy.

>>> import numpy as np
>>> from labdata.clocks import fit_clock
>>> pulses = np.arange(0.5, 600.0)
>>> to_nidq = fit_clock(pulses, 0.25 + pulses * (1 + 20e-6), stream="imec0", clock="nidq")
>>> round(float(to_nidq.apply(100.0)), 6)
100.252
"""

from labdata.clocks.chain import ChainReport, join_maps
from labdata.clocks.clock_map import (
    ALGORITHM_VERSION,
    ClockMap,
    estimate_quantum,
    fit_clock,
    synchronise,
)
from labdata.clocks.edges import Onsets, remove_glitches, select_onsets
from labdata.clocks.matching import match_pulses
from labdata.clocks.pulse_match import PulseMatch
from labdata.clocks.report import SyncReport
from labdata.clocks.sample_map import SampleMap, sum_bits, tabulate
from labdata.clocks.segments import SegmentAxis, place_segments

__all__ = [
    "ALGORITHM_VERSION",
    "ChainReport",
    "ClockMap",
    "Onsets",
    "PulseMatch",
    "SampleMap",
    "SegmentAxis",
    "SyncReport",
    "estimate_quantum",
    "fit_clock",
    "join_maps",
    "match_pulses",
    "place_segments",
    "remove_glitches",
    "select_onsets",
    "sum_bits",
    "synchronise",
    "tabulate",
]
