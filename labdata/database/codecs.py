"""Column types for arrays: compact, exact and quick to read.

``<array>`` keeps any numeric array, ``<spiketrain>`` an increasing train of sample numbers as
differences. Both are a short header and compressed values. A thousand spike trains are read more
than five times faster than DataJoint's own blobs and take half the space. DataJoint registers
codecs by name, once a process, so this module must never be reloaded.

Layout: ``LDA1``, one byte (0 plain, 1 differences, 2 differences as uint32, 3 planes of the bytes
of differences), one byte length of the dtype text, the dtype text (numpy's, with byte order), one
byte number of dimensions, each dimension as little-endian int64, then a Blosc block (zstd 5,
bit-shuffled), empty for an empty array. Of the last kind in its place one byte number of planes,
and those of :mod:`~labdata.step_planes`: of each its length in bytes as little-endian uint32 and a
Zstandard frame or, where that is not shorter, the plane itself. Spikes are closer than 2**32
samples, so that their trains are of this kind: 1.6 bytes a spike. The third kind is read, no
longer written.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import FormatError
from ..step_planes import MOST_PLANES, split_steps, sum_steps
from .datajoint_compat import dj

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAGIC = b"LDA1"
_PLAIN, _DIFFERENCES, _SHORT_DIFFERENCES, _PLANES = 0, 1, 2, 3
_KINDS = "biufc"
_DTYPE = re.compile(rf"[<|][{_KINDS}]\d{{1,2}}")
#: The most that one row can send to the server.
_MOST_BYTES = 1 << 30
#: Bytes that tell the length of a stored vector.
HEAD_BYTES = 32
#: Bytes of a Blosc block's own header; it states the length of the data and of the block.
_BLOSC_HEADER = 16
_LENGTH = struct.Struct("<I")


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
    stored = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    mode = _PLAIN
    if differences:
        mode, stored = _differences(stored)
    dtype = array.dtype.newbyteorder("<").str.encode()
    shape = struct.pack(f"<{array.ndim}q", *array.shape)
    header: bytes = _MAGIC + bytes([mode, len(dtype)]) + dtype + bytes([array.ndim]) + shape
    if array.size == 0:
        return header
    if mode == _PLANES:
        return header + _pack(split_steps(stored))
    return header + bytes(blosc.compress(stored.reshape(-1), b"zstd", 5, blosc.BITSHUFFLE))


def _differences(array: np.ndarray) -> tuple[int, np.ndarray]:
    """Return how differences are stored, and the differences."""
    steps = np.diff(array, prepend=array.dtype.type(0))
    if array.dtype == np.int64 and steps.size and steps.min() >= 0 and steps.max() < 1 << 32:
        return _PLANES, steps
    return _DIFFERENCES, steps


def decode_array(data: bytes, *, out: np.ndarray | None = None) -> np.ndarray:
    """Return the array that :func:`encode_array` wrote.

    Parameters
    ----------
    data : bytes
        The column's content.
    out : ndarray, optional
        Filled and returned; of the shape and type that is stored.

    Raises
    ------
    FormatError
        If the bytes are no such array, or it does not fit `out`.
    """
    with _damage_told(data):
        return _decode(data, out)


def read_steps(data: bytes) -> tuple[NDArray[np.uint8], ...] | None:
    """Return the differences that a stored train is made of, the first sample before them.

    Parameters
    ----------
    data : bytes
        The column's content.

    Returns
    -------
    tuple of ndarray of uint8, shape (n,), or None
        As :func:`~labdata.step_planes.split_steps` has them. None of an array that is stored in
        another way: then only :func:`decode_array` reads it.

    Raises
    ------
    FormatError
        If the bytes are no array.
    """
    with _damage_told(data):
        header = _read_header(data)
        return _unpack(data, header) if header.mode == _PLANES else None


@contextmanager
def _damage_told(data: bytes) -> Iterator[None]:
    try:
        yield
    except (IndexError, struct.error, TypeError, ValueError, RuntimeError, MemoryError) as error:
        raise FormatError(
            f"An array column holds {len(data)} bytes that are no array: {error}",
            hint="The row is damaged; restore it from a backup, or delete and compute it again.",
        ) from None


def _decode(data: bytes, out: np.ndarray | None) -> np.ndarray:
    header = _read_header(data)
    array = np.empty(header.shape, header.dtype) if out is None else out
    if (array.shape, array.dtype) != (header.shape, header.dtype):
        raise ValueError(f"{header.dtype} of shape {header.shape} is not what is expected")
    if array.size == 0:
        return array
    if header.mode == _PLANES:
        return sum_steps(_unpack(data, header), array)
    stored = memoryview(data)[header.start :]
    if header.mode == _SHORT_DIFFERENCES:
        steps = np.empty(header.shape, "<u4")
        _decompress(stored, steps)
        # of one type and not in place: so NumPy sums without Python's lock, on all cores at once
        return np.cumsum(steps.astype(array.dtype), out=array)
    _decompress(stored, array)
    return array if header.mode == _PLAIN else np.cumsum(array, out=array)


def _pack(planes: Sequence[NDArray[np.uint8]]) -> bytes:
    from numcodecs import zstd

    packed = [bytes([len(planes)])]
    for plane in planes:
        small, whole = bytes(zstd.compress(plane, 1)), plane.tobytes()
        stored = small if len(small) < len(whole) else whole
        packed += [_LENGTH.pack(len(stored)), stored]
    return b"".join(packed)


def _unpack(data: bytes, header: _Header) -> tuple[NDArray[np.uint8], ...]:
    """Return the planes that :func:`_pack` wrote; one that is stored as it is, is not copied."""
    from numcodecs import zstd

    (n_steps,), start, planes = header.shape, header.start + 1, []
    for _ in range(data[header.start] if n_steps else 0):
        (n_bytes,) = _LENGTH.unpack_from(data, start)
        start += _LENGTH.size
        if n_bytes == n_steps:
            plane = np.frombuffer(data, np.uint8, n_steps, start)
        else:
            plane = np.frombuffer(zstd.decompress(data[start : start + n_bytes]), np.uint8)
        if len(plane) != n_steps:
            raise ValueError(f"a plane has {len(plane)} bytes for {n_steps} steps")
        planes.append(plane)
        start += n_bytes
    if n_steps and (start != len(data) or not 1 <= len(planes) <= MOST_PLANES):
        raise ValueError(f"{len(planes)} planes end at byte {start}")
    return tuple(planes)


def count_values(heads: Sequence[bytes]) -> NDArray[np.int64]:
    """Return how many values stored arrays have, without decoding them.

    Parameters
    ----------
    heads : sequence of bytes
        The column's contents; of vectors the first :data:`HEAD_BYTES` will do.

    Returns
    -------
    ndarray of int64, shape (n_arrays,)

    Raises
    ------
    FormatError
        If one is no such array.
    """
    try:
        if heads and (alike := _count_alike(heads)) is not None:
            return alike
        counts = [math.prod(_read_header(head).shape) for head in heads]
    except (IndexError, struct.error, TypeError, ValueError) as error:
        raise FormatError(f"An array column holds no array: {error}") from None
    return np.array(counts, np.int64)


def _count_alike(heads: Sequence[bytes]) -> NDArray[np.int64] | None:
    """Count those that differ from the first in nothing but their length, as trains do."""
    header = _read_header(heads[0])
    at = header.start - 8
    if len(header.shape) != 1 or {len(head) for head in heads} != {HEAD_BYTES}:
        return None
    table = np.frombuffer(b"".join(heads), np.uint8).reshape(len(heads), HEAD_BYTES)
    if (table[:, :at] != table[0, :at]).any():
        return None
    counts = table[:, at : header.start].copy().view("<i8")[:, 0].astype(np.int64)
    most = _MOST_BYTES // header.dtype.itemsize
    return counts if ((counts > 0) & (counts <= most)).all() else None


class _Header(NamedTuple):
    """What a stored array says of itself, and where its block starts."""

    mode: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int


def _read_header(data: bytes) -> _Header:
    if data[:4] != _MAGIC:
        raise ValueError(f"they begin with {data[:4]!r}")
    mode, size = data[4], data[5]
    name = data[6 : 6 + size].decode()
    if not _DTYPE.fullmatch(name) or mode > _PLANES:
        raise ValueError(f"mode {mode} and type {name!r} are unknown")
    dtype = np.dtype(name)
    ndim = data[6 + size]
    if mode != _PLAIN and (ndim != 1 or dtype.kind not in "iu"):
        raise ValueError(f"differences of {ndim} dimensions of {dtype} are never stored")
    if mode in (_SHORT_DIFFERENCES, _PLANES) and dtype != np.int64:
        raise ValueError(f"short differences of {dtype} are never stored")
    start = 7 + size + 8 * ndim
    shape = struct.unpack(f"<{ndim}q", data[7 + size : start])
    n_bytes = math.prod(shape) * dtype.itemsize
    if n_bytes > _MOST_BYTES or min(shape, default=0) < 0:
        raise ValueError(f"the shape {shape} cannot be")
    if bool(n_bytes) != (len(data) > start):
        raise ValueError(f"the shape {shape} has {len(data) - start} bytes of data")
    return _Header(mode, dtype, shape, start)


def _decompress(block: memoryview, array: np.ndarray) -> None:
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
