"""Edges of the digital lines and traces of the analog inputs.

Lines are named by their bit, counted over the acquired digital words, so that the name means the
same wire whether or not other words were saved: the second SY word of a quad base begins at 16,
and the SY word of a OneBox follows its digital words. Each line with at least one edge is
returned, every one of them: a second pulse train on the same stream is never dropped. A line that
is already high in the first sample has no rise there, because none was seen.

Files are read in pieces and only the pieces' changes are kept, so memory does not grow with the
length of a recording.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labdata.errors import FormatError
from labdata.formats.bands import RecordedBand
from labdata.formats.event_lines import AnalogChannel, DigitalLine
from labdata.formats.spikeglx.binary import open_band
from labdata.progress import Progress, ignore_progress

#: Bytes of a file that are looked at in one go.
_CHUNK_BYTES = 1 << 25


def read_digital_events(
    bin_path: str | Path, *, progress: Progress = ignore_progress
) -> list[DigitalLine]:
    """Read every digital line of a stream that changes.

    Parameters
    ----------
    bin_path : str or Path
        A SpikeGLX ``.bin`` file of any stream.
    progress : Progress, optional
        Told the bytes done.

    Returns
    -------
    list of DigitalLine
        By bit number; lines without an edge are left out.

    Raises
    ------
    FormatError
        When the file or its meta is absent, cut or inconsistent.
    """
    return band_digital_events(open_band(bin_path), progress=progress)


def band_digital_events(
    band: RecordedBand, *, progress: Progress = ignore_progress
) -> list[DigitalLine]:
    """Read every digital line that changes, of a band from any source.

    Parameters
    ----------
    band : RecordedBand
        Raw or compressed.
    progress : Progress, optional
        Told the bytes done.

    Returns
    -------
    list of DigitalLine
        By bit number; lines without an edge are left out.
    """
    columns = band.digital_channels
    frame = 2 * band.n_channels
    if not columns.size or not band.n_samples:
        progress(frame * band.n_samples)
        return []
    step = max(1, _CHUNK_BYTES // frame)
    previous = band.sync_words(0, 1)[0]
    rows: list[NDArray[np.int64]] = []
    words: list[NDArray[np.uint16]] = []
    first = previous
    for start in range(0, band.n_samples, step):
        stop = min(band.n_samples, start + step)
        block = band.sync_words(start, stop)
        changed = np.empty(len(block), bool)
        changed[0] = (block[0] != previous).any()
        np.any(block[1:] != block[:-1], axis=1, out=changed[1:])
        at = np.flatnonzero(changed)
        rows.append(at + start)
        words.append(block[at])
        previous = block[-1]
        progress(frame * (stop - start))
    return _lines(band, first, np.concatenate(rows), np.concatenate(words))


def read_analog_channels(
    bin_path: str | Path, *, progress: Progress = ignore_progress
) -> list[AnalogChannel]:
    """Read the analog inputs of an NI-DAQ or OneBox file.

    Parameters
    ----------
    bin_path : str or Path
        A ``.nidq.bin`` or ``.obx.bin`` file.
    progress : Progress, optional
        Told the bytes done.

    Returns
    -------
    list of AnalogChannel
        In file order; 4 bytes a sample a channel are held in memory.

    Raises
    ------
    FormatError
        When the stream is a probe, or the file is absent, cut or inconsistent.
    """
    band = open_band(bin_path)
    if band.meta.probe_num is not None:
        raise FormatError(
            f"{Path(bin_path).name} is of a probe and has no analog inputs.",
            hint="Give a .nidq.bin or .obx.bin file; voltages of contacts are read with read_uv.",
        )
    columns = band.signal_channels
    volts = np.empty((columns.size, band.n_samples), np.float32)
    step = max(1, _CHUNK_BYTES // (2 * band.n_channels))
    for start in range(0, band.n_samples, step):
        stop = min(band.n_samples, start + step)
        volts[:, start:stop] = band.read_uv(start, stop).T * np.float32(1e-6)
        progress(2 * band.n_channels * (stop - start))
    return [
        AnalogChannel(band.meta.channel_name(int(column)), volts[i], band.sampling_rate_hz)
        for i, column in enumerate(columns)
    ]


def _lines(
    band: RecordedBand,
    first: NDArray[np.uint16],
    rows: NDArray[np.int64],
    words: NDArray[np.uint16],
) -> list[DigitalLine]:
    """Split changes of words into edges of bits."""
    before = np.concatenate([first[None], words[:-1]])
    lines = []
    for word, column in enumerate(band.digital_channels.tolist()):
        first_bit = band.meta.first_bit(column)
        flips = before[:, word] ^ words[:, word]
        used = int(np.bitwise_or.reduce(flips, initial=0))
        for bit in range(16):
            if not used >> bit & 1:
                continue
            at = np.flatnonzero(flips >> bit & 1)
            samples = rows[at]
            lines.append(
                DigitalLine(
                    event_name=str(first_bit + bit),
                    samples=samples,
                    values=(words[at, word] >> bit & 1).astype(np.int8),
                    timestamps=samples / band.sampling_rate_hz,
                )
            )
    return sorted(lines, key=lambda line: int(line.event_name))
