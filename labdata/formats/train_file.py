"""One value for each spike of a sorting in a file that is mapped into memory, not read.

Layout, little-endian: the values of all spikes, sorted by unit and time, either the times as
float64 seconds or the labels of the units as int32; a JSON text with the units, their numbers of
spikes, the kind of value, a sum of each unit's values and what the writer noted; the text's length
as uint64, its CRC-32 as uint32, ``LDTRAIN3``.

The sum is that of the times' bits as whole numbers, modulo 2**64, which costs a tenth of a CRC.
What it would not see, values in another order, is seen by their order in time. A label is known.

A mapped file is opened in the time of a few pages, costs the memory of what is looked at, and is
shared by all processes of a computer. It gets its name when it is whole; what is mapped is never
changed, only replaced or removed.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import struct
import threading
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..clocks import sum_bits
from ..errors import FormatError

_MAGIC = b"LDTRAIN3"
_END = struct.Struct("<QI8s")
#: Kind of value -> its type.
_KINDS: dict[str, np.dtype[Any]] = {"time_s": np.dtype("<f8"), "label": np.dtype("<i4")}


@dataclass(frozen=True, eq=False)
class TrainFile:
    """The values of a file.

    Attributes
    ----------
    unit_ids : ndarray of int32, shape (n_units,)
        Labels, ascending.
    offsets : ndarray of int64, shape (n_units + 1,)
        Where the spikes of each begin.
    values : ndarray of float64 or int32, shape (n_spikes,)
        Times in seconds, or labels; mapped, changing them changes no file.
    notes : dict
        What the writer noted.
    """

    unit_ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    values: NDArray[Any]
    notes: dict[str, Any]


class TrainWriter:
    """Writes a file of times or labels, in any order and from several threads at once.

    Parameters
    ----------
    file : binary file
        New and writable.
    unit_ids : ndarray of int32, shape (n_units,)
        Labels, ascending.
    n_spikes : ndarray of int64, shape (n_units,)
        Of each.
    kind : {"time_s", "label"}, optional
        Of the values.

    Raises
    ------
    OSError
        If there is no room for them.
    """

    def __init__(
        self,
        file: BinaryIO,
        unit_ids: NDArray[np.int32],
        n_spikes: NDArray[np.int64],
        kind: str = "time_s",
    ) -> None:
        self._file, self._lock = file, threading.Lock()
        self._units, self._n_spikes = unit_ids, n_spikes
        self._kind, self._dtype = kind, _KINDS[kind]
        self._offsets = np.concatenate([[0], np.cumsum(n_spikes)]).astype(np.int64)
        self._sums = [0] * len(unit_ids)
        n_bytes = int(self._offsets[-1]) * self._dtype.itemsize
        self._put = np.zeros(len(unit_ids), bool)
        _reserve(file, n_bytes)

    def put(self, index: int, trains: Sequence[NDArray[Any]], sums: Sequence[int] = ()) -> None:
        """Write the values of units that follow each other.

        Parameters
        ----------
        index : int
            Which of the units is the first.
        trains : sequence of ndarray
            Values of each, as many as were announced; times ascend.
        sums : sequence of int
            :func:`~labdata.clocks.sum_bits` of each, of times.

        Raises
        ------
        ValueError
            If they are not as many.
        OSError
            If the disk is full, or fails.
        """
        found, announced = [len(train) for train in trains], self._n_spikes[index:][: len(trains)]
        if not np.array_equal(found, announced):
            raise ValueError(f"{found} spikes for {announced.tolist()}")
        self._sums[index : index + len(sums)] = sums
        self._put[index : index + len(trains)] = True
        pieces = [np.ascontiguousarray(train, self._dtype).data for train in trains]
        with self._lock:  # the system would let a second thread spin
            self._file.seek(int(self._offsets[index]) * self._dtype.itemsize)
            for piece in pieces:
                self._file.write(piece)

    def finish(self, notes: Mapping[str, Any]) -> None:
        """Write what is known of the trains; all have been put.

        Parameters
        ----------
        notes : mapping
            Of what JSON has.

        Raises
        ------
        ValueError
            If some have not: there would be zeros in their place.
        """
        if not self._put.all():
            raise ValueError(f"units {self._units[~self._put].tolist()} were not put")
        said = {
            "unit_ids": self._units.tolist(),
            "n_spikes": self._n_spikes.tolist(),
            "kind": self._kind,
            "sums": self._sums,
            "notes": dict(notes),
        }
        text = json.dumps(said).encode()
        end = _END.pack(len(text), zlib.crc32(text), _MAGIC)
        self._file.seek(int(self._offsets[-1]) * self._dtype.itemsize)
        self._file.write(text + end)
        self._file.flush()


def _reserve(file: BinaryIO, n_bytes: int) -> None:
    """Reserve room where the system can: a full disk is known at once, and writing is quicker."""
    if not n_bytes or not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(file.fileno(), 0, n_bytes)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # this file system cannot
            raise


def open_trains(path: Path) -> TrainFile:
    """Map a file of times or labels; the sums are not looked at.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    TrainFile

    Raises
    ------
    FormatError
        If it is no such file, or cut off.
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        said, n_bytes = _read_end(file, path)
        n_spikes, dtype = np.array(said["n_spikes"], np.int64), _KINDS[said["kind"]]
        offsets = np.concatenate([[0], np.cumsum(n_spikes)]).astype(np.int64)
        total = int(offsets[-1])
        if n_bytes != total * dtype.itemsize:
            raise FormatError(f"{path} has {n_bytes} bytes of values for {total} spikes.")
        unit_ids = np.array(said["unit_ids"], np.int32)
        if not total:
            return TrainFile(unit_ids, offsets, np.empty(0, dtype), said["notes"])
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    return TrainFile(unit_ids, offsets, np.frombuffer(mapped, dtype, total), said["notes"])


def check_trains(path: Path) -> None:
    """Read a whole file of times or labels and compare its sums, in little memory.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    FormatError
        If a unit's values are not those that were written.
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        said, _ = _read_end(file, path)
        dtype = _KINDS[said["kind"]]
        file.seek(0)
        for unit, count, total in zip(
            said["unit_ids"], said["n_spikes"], said["sums"], strict=True
        ):
            values = np.frombuffer(file.read(count * dtype.itemsize), dtype)
            if said["kind"] == "label":
                damaged = (values != unit).any()
            else:
                damaged = sum_bits(values) != total or (values[1:] < values[:-1]).any()
            if damaged or len(values) != count:
                raise FormatError(f"{path} is damaged at unit {unit}.")


def _read_end(file: BinaryIO, path: Path) -> tuple[dict[str, Any], int]:
    """Return the JSON of a file, and how many bytes come before it."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - _END.size, 0))
    end = file.read()
    if len(end) != _END.size or end[-len(_MAGIC) :] != _MAGIC:
        raise FormatError(f"{path} is no whole file of spikes.")
    length, crc, _ = _END.unpack(end)
    start = size - _END.size - length
    file.seek(max(start, 0))
    text = file.read(length)
    if start < 0 or zlib.crc32(text) != crc:
        raise FormatError(f"{path} is damaged at its end.")
    said: dict[str, Any] = json.loads(text)
    return said, start
