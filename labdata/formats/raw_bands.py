"""Bands of any acquisition program: opened raw, or made of samples and the text kept with them."""

from __future__ import annotations

from pathlib import Path

from labdata.errors import FormatError
from labdata.formats import openephys, spikeglx
from labdata.formats.bands import RecordedBand, Samples

#: Endings of raw files of samples.
RAW_SUFFIXES = (".bin", ".dat")


def open_raw_band(path: str | Path) -> RecordedBand:
    """Open an uncompressed band for reading.

    Parameters
    ----------
    path : str or Path
        A ``.bin`` of SpikeGLX with its ``.meta`` beside it, or a ``continuous.dat`` in a recording
        of Open Ephys.

    Returns
    -------
    RecordedBand
        With ``samples`` a read-only memory map, int16 (n_samples, n_channels).

    Raises
    ------
    FormatError
        When a file is absent, or the sizes disagree.
    """
    path = Path(path)
    return openephys.open_band(path) if path.suffix == ".dat" else spikeglx.open_band(path)


def band_of_text(kind: str, text: str, path: Path, samples: Samples) -> RecordedBand:
    """Return the band of samples that were kept with their description.

    Parameters
    ----------
    kind : str
        Of the description: ``spikeglx`` or ``openephys``.
    text : str
        The description.
    path : Path
        What the file of the description is, or was, called.
    samples : Samples
        int16 (n_samples, n_channels).

    Raises
    ------
    FormatError
        When the kind is not known, or the text is not what it should be.
    """
    if kind == "spikeglx":
        return spikeglx.band_of_samples(spikeglx.parse_meta(text, path), samples)
    if kind == "openephys":
        return openephys.band_of_samples(openephys.parse_stream(text, path), samples)
    raise FormatError(
        f"{path.name} describes samples in the way {kind!r}, which this labdata does not know.",
        hint="pip install --upgrade labdata-jupyter",
    )


def raw_stem(path: str) -> str:
    """Return a path without the ending of a raw file, for the name of what stands for it.

    Parameters
    ----------
    path : str
        For instance ``run_g0_t0.imec0.ap.bin`` or ``.../continuous.dat``.
    """
    for suffix in RAW_SUFFIXES:
        if path.endswith(suffix):
            return path.removesuffix(suffix)
    return path
