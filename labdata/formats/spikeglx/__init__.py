"""SpikeGLX recordings: meta files, probe geometry, samples, events, and the files of a run."""

from __future__ import annotations

from labdata.formats.event_lines import AnalogChannel, DigitalLine
from labdata.formats.probe_geometry import ProbeGeometry
from labdata.formats.spikeglx.binary import (
    band_of_ranges,
    band_of_samples,
    check_size,
    open_band,
)
from labdata.formats.spikeglx.events import (
    band_digital_events,
    read_analog_channels,
    read_digital_events,
)
from labdata.formats.spikeglx.geometry import channel_uv_per_bit, read_probe
from labdata.formats.spikeglx.meta import SpikeGLXMeta, parse_meta, read_meta
from labdata.formats.spikeglx.runs import SpikeGLXRun, find_runs, is_stream

__all__ = [
    "AnalogChannel",
    "DigitalLine",
    "ProbeGeometry",
    "SpikeGLXMeta",
    "SpikeGLXRun",
    "band_digital_events",
    "band_of_ranges",
    "band_of_samples",
    "channel_uv_per_bit",
    "check_size",
    "find_runs",
    "is_stream",
    "open_band",
    "parse_meta",
    "read_analog_channels",
    "read_digital_events",
    "read_meta",
    "read_probe",
]
