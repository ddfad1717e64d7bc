"""Bands of any acquisition program: opened raw, or made of samples and the text kept with them."""

from __future__ import annotations

from pathlib import Path

from labdata.errors import FormatError
from labdata.formats import openephys, spikeglx
from labdata.formats.bands import RecordedBand, Samples

#: Ending of a compressed band.
SUFFIX = ".zarr.zip"


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


def compressed_names(path: str) -> dict[str, str]:
    """Return what a compressed band is called, by the band that a raw file may be of.

    Parameters
    ----------
    path : str
        For instance ``run_g0_t0.imec0.ap.bin`` or ``.../continuous.dat``, whose name does not say
        which band it is.

    Returns
    -------
    dict of str to str
        For ``ap`` and ``lf``.
    """
    if path.endswith(".dat"):
        return {band: f"{path.removesuffix('.dat')}.{band}{SUFFIX}" for band in ("ap", "lf")}
    return dict.fromkeys(("ap", "lf"), path.removesuffix(".bin") + SUFFIX)
