"""Several pieces of one stream, read as one array over their concatenation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdata.errors import FormatError
from labdata.formats.bands import RecordedBand
from labdata.formats.raw_samples import slice_rows


class ConcatenatedSamples:
    """Samples of pieces, one after another; only those that are sliced are read.

    Parameters
    ----------
    pieces : sequence of Samples
        int16 (n_samples, n_channels) each, of equally many channels.
    """

    def __init__(self, pieces: Sequence[Any]) -> None:
        self._pieces = tuple(pieces)
        self._starts = np.concatenate([[0], np.cumsum([p.shape[0] for p in pieces])]).tolist()
        self.shape = (int(self._starts[-1]), int(pieces[0].shape[1]))

    def __getitem__(self, key: Any) -> NDArray[np.int16]:
        """Return ``[a:b]`` or ``[a:b, columns]``."""
        return slice_rows(key, self.shape[0], self._read)

    def _read(self, start: int, stop: int) -> NDArray[np.int16]:
        blocks = [np.empty((0, self.shape[1]), np.int16)]
        for first, piece in zip(self._starts, self._pieces, strict=False):
            begin, end = max(start - first, 0), min(stop - first, piece.shape[0])
            if begin < end:
                blocks.append(np.asarray(piece[begin:end]))
        return blocks[1] if len(blocks) == 2 else np.concatenate(blocks)


def concatenate_bands(bands: Sequence[RecordedBand]) -> RecordedBand:
    """Return the pieces of one stream as one band.

    Parameters
    ----------
    bands : sequence of RecordedBand
        In the order in which they were recorded.

    Returns
    -------
    RecordedBand
        With the description of the first piece.

    Raises
    ------
    FormatError
        When there are none, or they differ in name, rate, channels or gains.
    """
    if not bands:
        raise FormatError("There are no pieces to read as one.")
    first = bands[0]
    for band in bands[1:]:
        if (band.name, band.sampling_rate_hz, band.n_channels) != (
            first.name,
            first.sampling_rate_hz,
            first.n_channels,
        ) or not np.array_equal(band.uv_per_bit, first.uv_per_bit, equal_nan=True):
            raise FormatError(
                f"{band!r} does not go on from {first!r}.",
                hint="Pieces of one stream have one name, rate, number of channels and gain.",
            )
    if len(bands) == 1:
        return first
    return replace(first, samples=ConcatenatedSamples([band.samples for band in bands]))
