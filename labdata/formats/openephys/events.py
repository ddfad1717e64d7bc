"""Edges of the digital lines of an Open Ephys stream.

``states.npy`` has a number an edge: that of the line, from 1, negative for a fall; beside it is
the sample number, on the clock of the stream. Lines are named by their bit, from 0, as those of
SpikeGLX are. Before GUI 0.6 the files were called ``channel_states.npy`` and ``timestamps.npy``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labdata.errors import FormatError
from labdata.formats.event_lines import DigitalLine
from labdata.formats.openephys.sample_numbers import load_numbers, numbers_path


def read_ttl(folder: Path, *, first_sample: int, sampling_rate_hz: float) -> list[DigitalLine]:
    """Read the edges of every line of a stream.

    Parameters
    ----------
    folder : Path
        The ``TTL`` folder.
    first_sample : int
        Number of the stream's first sample, which samples are counted from: those of edges before
        it are negative.
    sampling_rate_hz : float
        Nominal rate of the stream.

    Returns
    -------
    list of DigitalLine
        By bit; lines without an edge are left out.

    Raises
    ------
    FormatError
        When a file is absent, cut, or contradicts another.
    """
    path = folder / "states.npy"
    if not path.is_file():
        path = folder / "channel_states.npy"
    states = np.asarray(load_numbers(path), np.int64)
    numbers = np.asarray(load_numbers(numbers_path(folder)), np.int64)
    if states.shape != numbers.shape:
        raise FormatError(
            f"{path} has {states.size} edges, {numbers_path(folder).name} {numbers.size}.",
            hint="The copy was cut short: copy the folder again from the rig.",
        )
    if (states == 0).any():
        raise FormatError(
            f"{path} has an edge of line 0, and lines count from 1.",
            hint="Is it of a GUI that labdata does not know? Store the files with -r none.",
        )
    samples = numbers - first_sample
    return [
        _line(int(line), states, samples, sampling_rate_hz) for line in np.unique(np.abs(states))
    ]


def _line(
    line: int, states: NDArray[np.int64], samples: NDArray[np.int64], rate_hz: float
) -> DigitalLine:
    at = np.flatnonzero(np.abs(states) == line)
    at = at[np.argsort(samples[at], kind="stable")]
    return DigitalLine(
        event_name=str(line - 1),
        samples=samples[at],
        values=(states[at] > 0).astype(np.int8),
        timestamps=samples[at] / rate_hz,
    )
