"""``continuous.dat``: interleaved little-endian int16 frames, mapped and never copied.

A file whose size is not that of its sample numbers was cut in a copy, and is refused with both.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np

from labdata.errors import FormatError
from labdata.formats.bands import RecordedBand, Samples
from labdata.formats.byte_ranges import ByteRanges
from labdata.formats.openephys.stream import OpenEphysStream
from labdata.formats.raw_samples import RawSamples


def check_size(stream: OpenEphysStream) -> Path:
    """Check that the samples of a stream are present and whole.

    Parameters
    ----------
    stream : OpenEphysStream
        As :func:`~labdata.formats.openephys.find_recordings` has it.

    Returns
    -------
    Path
        The ``continuous.dat``.

    Raises
    ------
    FormatError
        When it is absent, or its size is not that of the sample numbers.
    """
    path = stream.bin_path
    if not path.is_file():
        raise FormatError(
            f"{path} does not exist.",
            hint="structure.oebin names the stream: copy its folder from the rig.",
        )
    _check_bytes(str(path), path.stat().st_size, stream)
    return path


def band_of_samples(stream: OpenEphysStream, samples: Samples) -> RecordedBand:
    """Return the band of samples that are at hand, as decompressed ones are.

    Parameters
    ----------
    stream : OpenEphysStream
        Their description.
    samples : Samples
        int16 (n_samples, n_channels).

    Returns
    -------
    RecordedBand
    """
    return RecordedBand(
        name=stream.name,
        meta=stream,
        samples=samples,
        uv_per_bit=stream.uv_per_bit,
        sampling_rate_hz=stream.sampling_rate_hz,
    )


def band_of_stream(stream: OpenEphysStream) -> RecordedBand:
    """Open the samples of a stream for reading.

    Parameters
    ----------
    stream : OpenEphysStream
        Its description.

    Returns
    -------
    RecordedBand
        With ``samples`` a read-only memory map, int16 (n_samples, n_channels).

    Raises
    ------
    FormatError
        As :func:`check_size`.
    """
    shape = (stream.n_samples, stream.n_channels)
    samples = np.memmap(check_size(stream), dtype="<i2", mode="r", shape=shape)
    return band_of_samples(stream, cast(Samples, samples))


def band_of_ranges(ranges: ByteRanges, stream: OpenEphysStream) -> RecordedBand:
    """Return the band of a ``continuous.dat`` that is read by ranges, wherever it is.

    Parameters
    ----------
    ranges : ByteRanges
        Of the ``continuous.dat``.
    stream : OpenEphysStream
        Its description.

    Returns
    -------
    RecordedBand
        Its samples are read when they are sliced.

    Raises
    ------
    FormatError
        When the sizes disagree.
    """
    _check_bytes(ranges.name, ranges.size_bytes, stream)
    return band_of_samples(stream, RawSamples(ranges, stream.n_channels))


def _check_bytes(name: str, size_bytes: int, stream: OpenEphysStream) -> None:
    frame = 2 * stream.n_channels
    if size_bytes != stream.n_samples * frame:
        raise FormatError(
            f"{name} has {size_bytes} bytes, {size_bytes / frame:.2f} frames of "
            f"{stream.n_channels} channels; its sample numbers are {stream.n_samples}.",
            hint="The copy was cut short or the recording has not ended: copy it again from the "
            "rig and compare sizes.",
        )
