"""Open Ephys recordings in its binary format: settings, probes, samples and events."""

from __future__ import annotations

from pathlib import Path

from labdata.formats.bands import RecordedBand
from labdata.formats.openephys.binary import (
    band_of_ranges,
    band_of_samples,
    band_of_stream,
    check_size,
)
from labdata.formats.openephys.events import read_ttl
from labdata.formats.openephys.nodes import stream_of_texts
from labdata.formats.openephys.recordings import (
    OpenEphysRecording,
    find_recordings,
    is_openephys,
    stream_of_path,
)
from labdata.formats.openephys.sample_numbers import first_number
from labdata.formats.openephys.settings import OpenEphysSettings, read_settings
from labdata.formats.openephys.stream import OpenEphysStream, parse_stream
from labdata.formats.openephys.structure import Structure, parse_structure

__all__ = [
    "OpenEphysRecording",
    "OpenEphysSettings",
    "OpenEphysStream",
    "Structure",
    "band_of_ranges",
    "band_of_samples",
    "band_of_stream",
    "check_size",
    "find_recordings",
    "first_number",
    "is_openephys",
    "open_band",
    "parse_stream",
    "parse_structure",
    "read_settings",
    "read_ttl",
    "stream_of_path",
    "stream_of_texts",
]


def open_band(path: str | Path) -> RecordedBand:
    """Open a ``continuous.dat`` for reading.

    Parameters
    ----------
    path : str or Path
        The file, in its place in a recording.

    Returns
    -------
    RecordedBand
        With ``samples`` a read-only memory map, int16 (n_samples, n_channels).

    Raises
    ------
    FormatError
        When what describes it is absent, or the sizes disagree.
    """
    return band_of_stream(stream_of_path(path))
