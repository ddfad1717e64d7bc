"""Slices of the samples in a compressed band.

Zarr reads an absent chunk as zeros without a word. The list of chunks is therefore compared with
what the shape demands before the first sample is given out, and whatever goes wrong in the zip or
in decompression is an :class:`~labdata.errors.IntegrityError`.
"""

from __future__ import annotations

import zipfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from labdata.errors import FormatError, IntegrityError
from labdata.formats.byte_ranges import ByteRanges, FileRanges
from labdata.formats.zip_ranges import ZipRanges

#: Version of the layout, in the attribute ``layout`` of the group.
LAYOUT = "labdata-band-1"
#: Name of the array in the group.
ARRAY = "samples"
_BAD_ZIP = (zipfile.BadZipFile, RuntimeError, ValueError, KeyError, EOFError, TypeError, OSError)


class ZarrSamples:
    """The samples of a compressed band, decompressed as they are sliced.

    Parameters
    ----------
    source : Path or ByteRanges
        The ``.zarr.zip`` file, or ranges of it wherever it is.

    Raises
    ------
    FormatError
        When the file is absent or of another kind.
    IntegrityError
        When it is damaged or lacks a chunk.
    """

    def __init__(self, source: Path | ByteRanges) -> None:
        import zarr

        ranges = FileRanges(source) if isinstance(source, Path) else source
        self._name = ranges.name
        try:
            entries = ZipRanges(ranges)
            # here, as it brings Zarr along, which is heavy
            from labdata.formats.zip_store import ZipRangeStore

            group = zarr.open_group(ZipRangeStore(entries), mode="r")
            self.attributes: dict[str, Any] = group.attrs.asdict()
            self._array = group[ARRAY]
        except _BAD_ZIP as error:
            raise damaged(self._name, str(error)) from error
        if self.attributes.get("layout") != LAYOUT:
            raise FormatError(
                f"{self._name} is not a compressed band ({self.attributes.get('layout')!r}).",
                hint=f"Give a file that compress_band wrote (layout {LAYOUT!r}).",
            )
        expected = {f"{ARRAY}/{i}.0" for i in range(self._array.cdata_shape[0])}
        found = {n for n in entries if n.startswith(f"{ARRAY}/") and not n.endswith(".zarray")}
        if found != expected:
            raise damaged(self._name, f"it has {len(found & expected)} of {len(expected)} chunks")

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_samples, n_channels)."""
        return tuple(self._array.shape)

    def __getitem__(self, key: Any) -> NDArray[np.int16]:
        """Return ``[a:b]`` or ``[a:b, columns]``."""
        try:
            if isinstance(key, tuple):
                rows, columns = key
                return cast(NDArray[np.int16], self._array.oindex[rows, columns])
            return cast(NDArray[np.int16], self._array[key])
        except (zipfile.BadZipFile, RuntimeError, EOFError, OSError) as error:
            raise damaged(self._name, f"{key}: {error}") from error

    def blocks(self) -> Iterator[tuple[int, NDArray[np.int16]]]:
        """Yield (first sample, samples) of each chunk in order, decompressing two ahead."""
        step, n_samples = int(self._array.chunks[0]), self.shape[0]
        starts = iter(range(0, n_samples, step))
        waiting: deque[tuple[int, Future[NDArray[np.int16]]]] = deque()
        with ThreadPoolExecutor(2) as pool:
            for start in starts:
                waiting.append((start, pool.submit(self.__getitem__, slice(start, start + step))))
                if len(waiting) > 2:
                    first, block = waiting.popleft()
                    yield first, block.result()
            for first, block in waiting:
                yield first, block.result()


def damaged(path: str | Path, what: str) -> IntegrityError:
    """Return the error for a compressed file that is not what it should be.

    Parameters
    ----------
    path : str or Path
        The file.
    what : str
        What is wrong with it.
    """
    return IntegrityError(
        f"{path} is damaged: {what}.",
        hint="Do not delete the raw file. Compress it again, or take another copy of this one.",
    )
