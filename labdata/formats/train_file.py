"""The spike times of one sorting in a file that is mapped into memory, not read.

Layout, little-endian: the times of all spikes as float64 seconds, sorted by unit and time; the
unit label of each spike as int32; a JSON text with the units, their numbers of spikes, a sum of
each one's times and what the writer noted; the text's length as uint64, its CRC-32 as uint32,
``LDTRAIN2``.

The sum is that of the times' bits as whole numbers, modulo 2**64, which costs a tenth of a CRC.
What it would not see, values in another order, is seen by their order in time.

A mapped file is opened in the time of a few pages, costs the memory of what is looked at, and is
shared by all processes of a computer. It gets its name when it is whole; what is mapped is never
changed, only replaced or removed.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import threading
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError

_MAGIC = b"LDTRAIN2"
_END = struct.Struct("<QI8s")
_TIME: np.dtype[Any] = np.dtype("<f8")
_LABEL: np.dtype[Any] = np.dtype("<i4")


@dataclass(frozen=True, eq=False)
class TrainFile:
    """The trains of a file.

    Attributes
    ----------
    unit_ids : ndarray of int32, shape (n_units,)
        Labels, ascending.
    offsets : ndarray of int64, shape (n_units + 1,)
        Where the spikes of each begin.
    times_s : ndarray of float64, shape (n_spikes,)
        Mapped; changing it changes no file.
    labels : ndarray of int32, shape (n_spikes,)
        Unit of each spike, mapped as well.
    notes : dict
        What the writer noted.
    """

    unit_ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    times_s: NDArray[np.float64]
    labels: NDArray[np.int32]
    notes: dict[str, Any]


class TrainWriter:
    """Writes a file of trains, in any order and from several threads at once.

    Parameters
    ----------
    file : binary file
        New and writable.
    unit_ids : ndarray of int32, shape (n_units,)
        Labels, ascending.
    n_spikes : ndarray of int64, shape (n_units,)
        Of each.
    """

    def __init__(
        self, file: BinaryIO, unit_ids: NDArray[np.int32], n_spikes: NDArray[np.int64]
    ) -> None:
        self._file, self._lock = file, threading.Lock()
        self._units, self._n_spikes = unit_ids, n_spikes
        self._offsets = np.concatenate([[0], np.cumsum(n_spikes)]).astype(np.int64)
        self._sums = [0] * len(unit_ids)

    def put(self, index: int, times_s: NDArray[np.float64]) -> None:
        """Write the spikes of one unit.

        Parameters
        ----------
        index : int
            Which of the units.
        times_s : ndarray of float64
            Seconds, ascending, as many as were announced.

        Raises
        ------
        ValueError
            If they are not as many.
        OSError
            If the disk is full, or fails.
        """
        if len(times_s) != self._n_spikes[index]:
            raise ValueError(f"{len(times_s)} spikes for {self._n_spikes[index]}")
        times = np.ascontiguousarray(times_s, _TIME)
        labels = np.full(len(times), self._units[index], _LABEL)
        start = int(self._offsets[index])
        self._write(times, start * _TIME.itemsize)
        self._write(labels, int(self._offsets[-1]) * _TIME.itemsize + start * _LABEL.itemsize)
        self._sums[index] = _sum_bits(times)

    def finish(self, notes: Mapping[str, Any]) -> None:
        """Write what is known of the trains; all have been put.

        Parameters
        ----------
        notes : mapping
            Of what JSON has.
        """
        said = {
            "unit_ids": self._units.tolist(),
            "n_spikes": self._n_spikes.tolist(),
            "sums": self._sums,
            "notes": dict(notes),
        }
        text = json.dumps(said).encode()
        end = _END.pack(len(text), zlib.crc32(text), _MAGIC)
        self._file.seek(int(self._offsets[-1]) * (_TIME.itemsize + _LABEL.itemsize))
        self._file.write(text + end)
        self._file.flush()

    def _write(self, values: NDArray[Any], start: int) -> None:
        data = values.data.cast("B")
        if not hasattr(os, "pwrite"):  # Windows
            with self._lock:
                self._file.seek(start)
                self._file.write(data)
            return
        while data:
            n_written = os.pwrite(self._file.fileno(), data, start)
            data, start = data[n_written:], start + n_written


def open_trains(path: Path) -> TrainFile:
    """Map a file of trains; the sums of its spikes are not looked at.

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
        n_spikes = np.array(said["n_spikes"], np.int64)
        offsets = np.concatenate([[0], np.cumsum(n_spikes)]).astype(np.int64)
        total = int(offsets[-1])
        if n_bytes != total * (_TIME.itemsize + _LABEL.itemsize):
            raise FormatError(f"{path} has {n_bytes} bytes of spikes for {total} spikes.")
        unit_ids = np.array(said["unit_ids"], np.int32)
        if not total:
            return TrainFile(unit_ids, offsets, np.empty(0), np.empty(0, np.int32), said["notes"])
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    times = np.frombuffer(mapped, _TIME, total)
    labels = np.frombuffer(mapped, _LABEL, total, total * _TIME.itemsize)
    return TrainFile(unit_ids, offsets, times, labels, said["notes"])


def check_trains(path: Path) -> None:
    """Read a whole file of trains and compare its sums, in little memory.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    FormatError
        If a unit's spikes are not those that were written.
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        said, _ = _read_end(file, path)
        file.seek(0)
        units = list(zip(said["unit_ids"], said["n_spikes"], said["sums"], strict=True))
        for unit, count, total in units:
            times = np.frombuffer(file.read(count * _TIME.itemsize), _TIME)
            if _sum_bits(times) != total or (times[1:] < times[:-1]).any():
                raise FormatError(f"{path} is damaged at unit {unit}.")
        for unit, count, _ in units:
            if (np.frombuffer(file.read(count * _LABEL.itemsize), _LABEL) != unit).any():
                raise FormatError(f"{path} is damaged at unit {unit}.")


def _sum_bits(times: NDArray[np.float64]) -> int:
    return int(times.view("<u8").sum(dtype=np.uint64))


def _read_end(file: BinaryIO, path: Path) -> tuple[dict[str, Any], int]:
    """Return the JSON of a file, and how many bytes come before it."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - _END.size, 0))
    end = file.read()
    if len(end) != _END.size or end[-len(_MAGIC) :] != _MAGIC:
        raise FormatError(f"{path} is no whole file of trains.")
    length, crc, _ = _END.unpack(end)
    start = size - _END.size - length
    file.seek(max(start, 0))
    text = file.read(length)
    if start < 0 or zlib.crc32(text) != crc:
        raise FormatError(f"{path} is damaged at its end.")
    said: dict[str, Any] = json.loads(text)
    return said, start
