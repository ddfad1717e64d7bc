"""The ``.bin`` file: interleaved little-endian int16 frames, mapped and never copied.

A file whose size differs from what its meta recorded was cut in a copy or belongs to another
meta. It is refused with both numbers, because every sample after the cut, and the duration, would
be wrong.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np

from labdata.errors import FormatError
from labdata.formats.bands import RecordedBand, Samples
from labdata.formats.byte_ranges import ByteRanges
from labdata.formats.raw_samples import RawSamples
from labdata.formats.spikeglx.geometry import channel_uv_per_bit
from labdata.formats.spikeglx.meta import SpikeGLXMeta, read_meta


def check_size(meta: SpikeGLXMeta) -> Path:
    """Check that the binary file of a meta is present and whole.

    Parameters
    ----------
    meta : SpikeGLXMeta
        Description read from beside the binary file.

    Returns
    -------
    Path
        The ``.bin`` file.

    Raises
    ------
    FormatError
        When it is absent or its size differs from ``fileSizeBytes``.
    """
    path = meta.bin_path
    if not path.is_file():
        raise FormatError(
            f"{meta.path.name} describes {path.name}, which is not in {path.parent}.",
            hint="Copy the .bin file from the rig to beside its .meta file.",
        )
    size, frame = path.stat().st_size, 2 * meta.n_saved_channels
    if size != meta.file_size_bytes:
        raise FormatError(
            f"{path} has {size} bytes, its meta file says {meta.file_size_bytes} "
            f"({size / frame:.2f} of {meta.file_size_bytes / frame:.2f} frames).",
            hint="The copy was cut short or the recording has not ended: copy it again from the "
            "rig and compare sizes.",
        )
    if size % frame:
        raise FormatError(
            f"{path} has {size} bytes, which is {size / frame:.2f} frames of {frame} bytes "
            f"({meta.n_saved_channels} channels).",
            hint="The file is damaged or its meta is of another file; take the rig's original.",
        )
    return path


def open_band(path: str | Path) -> RecordedBand:
    """Open a SpikeGLX binary file for reading.

    Parameters
    ----------
    path : str or Path
        The ``.bin`` file; its ``.meta`` must be beside it.

    Returns
    -------
    RecordedBand
        With ``samples`` a read-only memory map, int16 (n_samples, n_channels).

    Raises
    ------
    FormatError
        When either file is absent, or the sizes disagree.
    """
    path = Path(path)
    if path.suffix not in (".bin", ".meta"):
        raise FormatError(
            f"{path.name} is not a SpikeGLX .bin file.",
            hint="A compressed band (.zarr.zip) is opened with labdata.formats.zarr_band.",
        )
    meta = read_meta(path.with_suffix(".meta"))
    samples = np.memmap(
        check_size(meta), dtype="<i2", mode="r", shape=(meta.n_samples, meta.n_saved_channels)
    )
    return band_of_samples(meta, cast(Samples, samples))


def band_of_ranges(ranges: ByteRanges, meta: SpikeGLXMeta) -> RecordedBand:
    """Return the band of a ``.bin`` that is read by ranges, wherever it is.

    Parameters
    ----------
    ranges : ByteRanges
        Of the ``.bin``.
    meta : SpikeGLXMeta
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
    samples = RawSamples(ranges, meta.n_saved_channels)
    if ranges.size_bytes != meta.file_size_bytes:
        raise FormatError(
            f"{ranges.name} has {ranges.size_bytes} bytes, its meta file says "
            f"{meta.file_size_bytes}.",
            hint="One of the two belongs to another recording, or the file was cut.",
        )
    return band_of_samples(meta, samples)


def band_of_samples(meta: SpikeGLXMeta, samples: Samples) -> RecordedBand:
    """Return the band of samples that are at hand, as decompressed ones are.

    Parameters
    ----------
    meta : SpikeGLXMeta
        Their description.
    samples : Samples
        int16 (n_samples, n_channels).

    Returns
    -------
    RecordedBand
        With the gains that the meta states.
    """
    return RecordedBand(
        name=meta.name,
        meta=meta,
        samples=samples,
        uv_per_bit=channel_uv_per_bit(meta),
        sampling_rate_hz=meta.sampling_rate_hz,
    )
