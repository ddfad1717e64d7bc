"""Samples of an uncompressed recording that is read by ranges, as one that is far away is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdata.errors import FormatError
from labdata.formats.byte_ranges import ByteRanges


class RawSamples:
    """Interleaved little-endian int16 frames, read as they are sliced.

    Parameters
    ----------
    ranges : ByteRanges
        Of the binary file.
    n_channels : int
        Values a frame.

    Raises
    ------
    FormatError
        If the bytes are no whole number of frames.
    """

    def __init__(self, ranges: ByteRanges, n_channels: int) -> None:
        frame_bytes = 2 * n_channels
        if ranges.size_bytes % frame_bytes:
            raise FormatError(
                f"{ranges.name} has {ranges.size_bytes} bytes, which is "
                f"{ranges.size_bytes / frame_bytes:.2f} frames of {n_channels} channels.",
                hint="The file was cut, or its meta is of another file.",
            )
        self._ranges = ranges
        self.shape = (ranges.size_bytes // frame_bytes, n_channels)

    def __getitem__(self, key: Any) -> NDArray[np.int16]:
        """Return ``[a:b]`` or ``[a:b, columns]``."""
        return slice_rows(key, self.shape[0], self._read)

    def _read(self, start: int, stop: int) -> NDArray[np.int16]:
        frame_bytes = 2 * self.shape[1]
        data = self._ranges.read(start * frame_bytes, (stop - start) * frame_bytes)
        return np.frombuffer(data, "<i2").reshape(stop - start, self.shape[1])


def slice_rows(key: Any, n_rows: int, read: Any) -> NDArray[np.int16]:
    """Return what an array would for ``[a:b]`` or ``[a:b, columns]``, reading rows a to b only.

    Parameters
    ----------
    key : slice, or tuple of slice and columns
        As given to ``samples[...]``.
    n_rows : int
        Rows there are.
    read : callable
        Takes the first row and the one after the last, and returns (n, n_channels) int16.

    Returns
    -------
    ndarray of int16
        (n, n_channels) or (n, n_columns).

    Raises
    ------
    FormatError
        If the rows are not a slice.
    """
    rows, columns = key if isinstance(key, tuple) else (key, slice(None))
    if not isinstance(rows, slice):
        raise FormatError(
            f"Samples are read by ranges, not by {rows!r}.", hint="Write samples[start:stop]."
        )
    start, stop, step = rows.indices(n_rows)
    if step < 1:
        raise FormatError(
            f"Samples are read forwards, not in steps of {step}.",
            hint="Reverse what samples[start:stop] gives.",
        )
    found: NDArray[np.int16] = read(start, max(start, stop))[::step][:, columns]
    return found
