"""Recordings that were compressed by mtscomp (``.cbin`` with its ``.ch``), read as they are.

labdata writes ``.zarr.zip``, which is smaller and much faster; but labs and public archives have
years of these, and they are not to be decompressed first. A ``.ch`` is JSON: where each chunk of
samples begins in the file, and how it was made: differences in time (and, seldom, over channels)
that overflow as int16 does, laid out channel by channel (``chunk_order`` F), then zlib.

Each chunk carries zlib's Adler-32, so a damaged one is found when it is read; the SHA-1 of all
samples that the ``.ch`` keeps is compared by :func:`verify_cbin`.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdata.errors import FormatError, IntegrityError
from labdata.formats.bands import RecordedBand
from labdata.formats.byte_ranges import ByteRanges, FileRanges
from labdata.formats.raw_samples import slice_rows
from labdata.formats.spikeglx.geometry import channel_uv_per_bit
from labdata.formats.spikeglx.meta import SpikeGLXMeta, read_meta
from labdata.progress import Progress, ignore_progress

_NEEDED = ("chunk_bounds", "chunk_offsets", "shape", "dtype")


class CbinSamples:
    """The samples of a ``.cbin``, decompressed as they are sliced.

    Parameters
    ----------
    ranges : ByteRanges
        Of the ``.cbin``.
    ch_text : str
        Content of the ``.ch``.

    Raises
    ------
    FormatError
        If the ``.ch`` is none, or says something that is not known here.
    IntegrityError
        If the file is longer or shorter than the ``.ch`` says.
    """

    def __init__(self, ranges: ByteRanges, ch_text: str) -> None:
        self._ranges = ranges
        about = _read_ch(ch_text, ranges.name)
        self.about = about
        self.shape = (int(about["shape"][0]), int(about["shape"][1]))
        self._bounds = np.asarray(about["chunk_bounds"], np.int64)
        self._offsets = np.asarray(about["chunk_offsets"], np.int64)
        if int(self._offsets[-1]) != ranges.size_bytes:
            raise IntegrityError(
                f"{ranges.name} has {ranges.size_bytes} bytes, its .ch file says "
                f"{int(self._offsets[-1])}.",
                hint="It was cut in a copy, or belongs to another .ch: take another copy.",
            )

    def __getitem__(self, key: Any) -> NDArray[np.int16]:
        """Return ``[a:b]`` or ``[a:b, columns]``."""
        return slice_rows(key, self.shape[0], self._read)

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""
        return len(self._bounds) - 1

    def chunk(self, number: int) -> NDArray[np.int16]:
        """Return all samples of a chunk.

        Parameters
        ----------
        number : int
            From 0.

        Raises
        ------
        IntegrityError
            If the chunk is damaged.
        """
        start, stop = int(self._offsets[number]), int(self._offsets[number + 1])
        return self._decode(number, self._ranges.read(start, stop - start))

    def _read(self, start: int, stop: int) -> NDArray[np.int16]:
        if start == stop:
            return np.empty((0, self.shape[1]), np.int16)
        first = int(np.searchsorted(self._bounds, start, "right")) - 1
        after = int(np.searchsorted(self._bounds, stop, "left"))
        begin = int(self._offsets[first])
        # neighbouring chunks are one range of the file
        data = self._ranges.read(begin, int(self._offsets[after]) - begin)
        numbers = range(first, after)
        pieces = [data[self._offsets[n] - begin : self._offsets[n + 1] - begin] for n in numbers]
        with ThreadPoolExecutor(2) as pool:
            chunks = list(pool.map(self._decode, numbers, pieces))
        offset = int(self._bounds[first])
        return np.concatenate(chunks)[start - offset : stop - offset]

    def _decode(self, number: int, data: bytes) -> NDArray[np.int16]:
        n_rows = int(self._bounds[number + 1] - self._bounds[number])
        try:
            values = np.frombuffer(zlib.decompress(data), "<i2")
            chunk = values.reshape(n_rows, self.shape[1], order=self.about["chunk_order"])
        except (zlib.error, ValueError) as error:
            raise IntegrityError(
                f"Chunk {number} of {self._ranges.name} is damaged: {error}.",
                hint="Take another copy of the file.",
            ) from error
        if self.about["do_spatial_diff"]:
            chunk = np.cumsum(chunk, axis=1, dtype=np.int16)
        if self.about["do_time_diff"]:
            chunk = np.cumsum(chunk, axis=0, dtype=np.int16)
        return chunk


def open_cbin_band(path: str | Path) -> RecordedBand:
    """Open a ``.cbin`` for reading.

    Parameters
    ----------
    path : str or Path
        The ``.cbin``; its ``.ch`` and ``.meta`` must be beside it.

    Returns
    -------
    RecordedBand
        ``samples[a:b]`` and ``samples[a:b, columns]`` read only the chunks they touch.

    Raises
    ------
    FormatError
        If one of the three files is absent, or they do not belong together.
    IntegrityError
        If the file is damaged.
    """
    path = Path(path)
    ch = path.with_suffix(".ch")
    if not ch.is_file():
        raise FormatError(
            f"{path.name} cannot be read without {ch.name}, which is not in {path.parent}.",
            hint="Copy the .ch file to beside the .cbin file.",
        )
    return band_of_cbin(
        FileRanges(path), ch.read_text("utf-8"), read_meta(path.with_suffix(".meta"))
    )


def band_of_cbin(ranges: ByteRanges, ch_text: str, meta: SpikeGLXMeta) -> RecordedBand:
    """Return the band of a ``.cbin`` that is read by ranges.

    Parameters
    ----------
    ranges : ByteRanges
        Of the ``.cbin``.
    ch_text : str
        Content of its ``.ch``.
    meta : SpikeGLXMeta
        Its description.

    Returns
    -------
    RecordedBand

    Raises
    ------
    FormatError
        If they do not belong together.
    IntegrityError
        If the file has another size than the ``.ch`` says.
    """
    samples = CbinSamples(ranges, ch_text)
    if samples.shape != (meta.n_samples, meta.n_saved_channels):
        raise FormatError(
            f"{ranges.name} holds {samples.shape[0]} samples of {samples.shape[1]} channels, its "
            f"meta file says {meta.n_samples} of {meta.n_saved_channels}.",
            hint="The files are of different recordings; take the three from one folder.",
        )
    return RecordedBand(
        name=meta.name,
        meta=meta,
        samples=samples,
        uv_per_bit=channel_uv_per_bit(meta),
        sampling_rate_hz=meta.sampling_rate_hz,
    )


def verify_cbin(samples: CbinSamples, progress: Progress = ignore_progress) -> str:
    """Decompress all and compare it with the SHA-1 that was kept when it was compressed.

    Parameters
    ----------
    samples : CbinSamples
        Of the file.
    progress : Progress, optional
        Told the bytes decompressed.

    Returns
    -------
    str
        SHA-1 of the uncompressed file, 40 hexadecimal digits.

    Raises
    ------
    IntegrityError
        If it is another, or a chunk is damaged.
    """
    digest = hashlib.sha1(usedforsecurity=False)
    for number in range(samples.n_chunks):
        block = np.ascontiguousarray(samples.chunk(number), "<i2")
        digest.update(block.data)
        progress(block.nbytes)
    expected = samples.about.get("sha1_uncompressed")
    if expected is not None and digest.hexdigest() != expected:
        raise IntegrityError(
            f"What the .cbin decompresses to has the SHA-1 {digest.hexdigest()}, its .ch file "
            f"says {expected}.",
            hint="Take another copy of the file.",
        )
    return digest.hexdigest()


def _read_ch(text: str, name: str) -> dict[str, Any]:
    try:
        about = json.loads(text)
    except json.JSONDecodeError as error:
        raise FormatError(f"The .ch file of {name} is not JSON: {error}.") from error
    missing = [key for key in _NEEDED if not isinstance(about, dict) or key not in about]
    if missing:
        raise FormatError(
            f"The .ch file of {name} lacks {', '.join(missing)}.", hint="Is it one of mtscomp?"
        )
    about = {"chunk_order": "F", "do_time_diff": True, "do_spatial_diff": False, **about}
    bounds, offsets = about["chunk_bounds"], about["chunk_offsets"]
    known = (
        about.get("algorithm", "zlib") == "zlib"
        and about["dtype"] in ("int16", "<i2")
        and about["chunk_order"] in ("C", "F")
    )
    if not known:
        raise FormatError(
            f"{name} was compressed in a way that is not known here (algorithm "
            f"{about.get('algorithm')!r}, dtype {about['dtype']!r}).",
            hint="Decompress it with mtscomp, and put the .bin.",
        )
    rising = all(a < b for x in (bounds, offsets) for a, b in pairwise(x))
    if not (rising and len(bounds) == len(offsets) > 1 and bounds[-1] == about["shape"][0]):
        raise FormatError(
            f"The chunks in the .ch file of {name} do not fit together.",
            hint="Take another copy of the .ch file.",
        )
    return about
