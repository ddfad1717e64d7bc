"""Bands kept losslessly in one compressed file that is cheap to read by ranges.

A ``.zarr.zip`` is a Zarr v2 group in an uncompressed zip, so that any Zarr reader opens it and
one database row stands for it. Each chunk holds a fraction of a second of all channels, stored
channel by channel, as differences in time, bit-shuffled and compressed with Zstandard: 2.2 times
smaller than the raw file on real data, at hundreds of megabytes a second a core.

Nothing is lost: the text of the ``.meta`` is kept verbatim, with the SHA-256 of both files, so
that :func:`restore_bin` can prove that it gave the originals back. The same input makes the same
file to the last bit, whatever the threads, so that a repeated upload is recognised as equal.

Zarr reads an absent chunk as zeros without a word. The list of chunks is therefore checked when
a file is opened, and every chunk has the zip's CRC-32.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from labdata.errors import FormatError
from labdata.formats.bands import RecordedBand
from labdata.formats.byte_ranges import ByteRanges
from labdata.formats.raw_bands import SUFFIX, band_of_text, open_raw_band
from labdata.formats.zarr_samples import ARRAY, LAYOUT, ZarrSamples, damaged
from labdata.progress import Progress, ignore_progress

#: Of a chunk, this much is bit-shuffled together. Blosc's own choice gave files a tenth larger on
#: real data and half as large again on low noise, at a lower speed.
_BLOCK_BYTES = 2 * 1024 * 1024
#: Zip entries carry this date, so that equal content is an equal file.
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class CompressionReport:
    """What compressing a band did.

    Parameters
    ----------
    path : Path
        The compressed file.
    raw_bytes, stored_bytes : int
        Size before and after.
    sha256 : str
        Of the raw binary file.
    """

    path: Path
    raw_bytes: int
    stored_bytes: int
    sha256: str

    @property
    def ratio(self) -> float:
        """How many times smaller the stored file is."""
        return self.raw_bytes / self.stored_bytes


def compress_band(
    source: str | Path | RecordedBand,
    destination: str | Path,
    *,
    chunk_s: float = 0.5,
    threads: int = 2,
    overwrite: bool = False,
    progress: Progress = ignore_progress,
) -> CompressionReport:
    """Write a raw band to one compressed file.

    Parameters
    ----------
    source : str, Path or RecordedBand
        A ``.bin`` file with its ``.meta`` beside it, a ``continuous.dat`` of Open Ephys, or an
        opened band.
    destination : str or Path
        File to write, ending in ``.zarr.zip``; it appears only when it is whole.
    chunk_s : float, optional
        Length of a chunk in seconds: what has to be read to see a single sample.
    threads : int, optional
        Chunks compressed at once; three times that many are held in memory.
    overwrite : bool, optional
        Replace an existing file.
    progress : Progress, optional
        Told the raw bytes done.

    Returns
    -------
    CompressionReport

    Raises
    ------
    FormatError
        When the source is not whole, the destination exists, or a parameter makes no sense.
    """
    band = source if isinstance(source, RecordedBand) else open_raw_band(source)
    destination = Path(destination)
    _check_destination(destination, overwrite)
    if not (chunk_s > 0 and threads >= 1):
        raise FormatError(f"chunk_s={chunk_s} and threads={threads} must be positive.")
    chunk_samples = max(1, min(band.n_samples, round(chunk_s * band.sampling_rate_hz)))
    partial = destination.with_name(destination.name + ".partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        with partial.open("wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                digest = _write_group(archive, band, chunk_samples, threads, progress)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(destination)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return CompressionReport(
        path=destination,
        raw_bytes=2 * band.n_samples * band.n_channels,
        stored_bytes=destination.stat().st_size,
        sha256=digest,
    )


def open_zarr_band(source: str | Path | ByteRanges) -> RecordedBand:
    """Open a compressed band for reading.

    Parameters
    ----------
    source : str, Path or ByteRanges
        A file that :func:`compress_band` wrote, or ranges of one that is elsewhere.

    Returns
    -------
    RecordedBand
        ``samples[a:b]`` and ``samples[a:b, columns]`` read only the chunks they touch.

    Raises
    ------
    FormatError
        When the file is absent or of another kind.
    IntegrityError
        When it is damaged.
    """
    source = Path(source) if isinstance(source, str) else source
    samples = ZarrSamples(source)
    path = source if isinstance(source, Path) else Path(source.name)
    band = _described(path, samples)
    if samples.shape != (band.meta.n_samples, band.meta.n_channels):
        raise damaged(path, f"it holds {samples.shape}, its meta says {band.meta.n_samples}")
    return band


def verify_band(
    raw_bin: str | Path, zip_path: str | Path, progress: Progress = ignore_progress
) -> None:
    """Decompress a band and compare every sample, and the meta, with the originals.

    Parameters
    ----------
    raw_bin : str or Path
        The raw file, with what describes it beside it.
    zip_path : str or Path
        The compressed file.
    progress : Progress, optional
        Told the raw bytes compared.

    Raises
    ------
    IntegrityError
        At the first difference, with its sample and channel, or when the file is damaged.
    FormatError
        When the raw file is not whole.
    """
    raw, stored = open_raw_band(raw_bin), open_zarr_band(zip_path)
    if stored.samples.shape != raw.samples.shape:
        raise damaged(zip_path, f"it holds {stored.samples.shape}, not {raw.samples.shape}")
    if stored.meta.text != raw.meta.text:
        raise damaged(zip_path, f"its meta text is not that of {raw.meta.path.name}")
    samples = cast(ZarrSamples, stored.samples)
    digest = hashlib.sha256()
    for start, block in samples.blocks():
        original = np.asarray(raw.samples[start : start + len(block)])
        if not np.array_equal(block, original):
            sample, channel = np.argwhere(block != original)[0].tolist()
            raise damaged(
                zip_path,
                f"sample {start + sample} of channel {channel} is {block[sample, channel]}, "
                f"{Path(raw_bin).name} has {original[sample, channel]}",
            )
        digest.update(np.ascontiguousarray(original).data)
        progress(block.nbytes)
    if digest.hexdigest() != samples.attributes["bin_sha256"]:
        raise damaged(zip_path, "the SHA-256 recorded in it is not that of the raw file")


def restore_bin(
    zip_path: str | Path, out_dir: str | Path, *, progress: Progress = ignore_progress
) -> Path:
    """Write the original ``.bin`` and ``.meta`` files back; of Open Ephys ``continuous.dat`` only.

    What describes a stream of Open Ephys tells of others too, and is stored as it is.

    Parameters
    ----------
    zip_path : str or Path
        The compressed file.
    out_dir : str or Path
        Folder for the two files; made if absent.
    progress : Progress, optional
        Told the raw bytes written.

    Returns
    -------
    Path
        The file of samples, identical to the original by its SHA-256.

    Raises
    ------
    FormatError
        When one of the files exists already.
    IntegrityError
        When the compressed file is damaged; nothing is left under the final names.
    """
    band = open_zarr_band(zip_path)
    samples = cast(ZarrSamples, band.samples)
    meta_path = Path(out_dir) / Path(str(samples.attributes["meta_name"])).name
    bin_path = Path(out_dir) / band.meta.bin_path.name
    text = _encode(band.meta.text) if band.meta.kind == "spikeglx" else b""
    same_meta = not (text and meta_path.exists()) or meta_path.read_bytes() == text
    if bin_path.exists() or not same_meta:
        raise FormatError(
            f"{bin_path if bin_path.exists() else meta_path} exists already.",
            hint="Restore into an empty folder; nothing is replaced.",
        )
    meta_path.parent.mkdir(parents=True, exist_ok=True)
    partial = bin_path.with_name(bin_path.name + ".partial")
    digest = hashlib.sha256()
    try:
        with partial.open("wb") as file:
            for _, block in samples.blocks():
                data = np.ascontiguousarray(block, "<i2")
                file.write(data.data)
                digest.update(data.data)
                progress(block.nbytes)
            file.flush()
            os.fsync(file.fileno())
        if digest.hexdigest() != samples.attributes["bin_sha256"]:
            raise damaged(zip_path, "what it restores to has another SHA-256 than the original")
        if text:
            meta_path.write_bytes(text)
        partial.replace(bin_path)
    finally:
        partial.unlink(missing_ok=True)
    return bin_path


def _check_destination(destination: Path, overwrite: bool) -> None:
    if not destination.name.endswith(SUFFIX):
        raise FormatError(
            f"{destination.name} does not end in {SUFFIX}.",
            hint=f"Name it after the raw file, such as run_g0_t0.imec0.ap{SUFFIX}.",
        )
    if destination.exists() and not overwrite:
        raise FormatError(
            f"{destination} exists already.",
            hint="Pass overwrite=True to replace it, or choose another name.",
        )


def _write_group(
    archive: zipfile.ZipFile,
    band: RecordedBand,
    chunk_samples: int,
    threads: int,
    progress: Progress,
) -> str:
    """Write chunks as they are compressed, then the descriptions; return the raw SHA-256."""
    from numcodecs import Blosc, Delta

    delta = Delta(dtype="<i2")
    blosc = Blosc(cname="zstd", clevel=3, shuffle=Blosc.BITSHUFFLE, blocksize=_BLOCK_BYTES)
    shape = (chunk_samples, band.n_channels)

    def encode(block: NDArray[np.int16]) -> bytes:
        ordered = np.zeros(shape, "<i2", order="F")
        ordered[: len(block)] = block
        return bytes(blosc.encode(delta.encode(ordered)))

    digest = hashlib.sha256()
    waiting: deque[tuple[int, int, Future[bytes]]] = deque()

    def store_oldest() -> None:
        number, n_bytes, encoded = waiting.popleft()
        _store(archive, f"{ARRAY}/{number}.0", encoded.result())
        progress(n_bytes)

    with ThreadPoolExecutor(threads) as pool:
        for number, start in enumerate(range(0, band.n_samples, chunk_samples)):
            stop = min(start + chunk_samples, band.n_samples)
            block = np.ascontiguousarray(band.samples[start:stop], "<i2")
            waiting.append((number, block.nbytes, pool.submit(encode, block)))
            digest.update(block.data)
            if len(waiting) >= 2 * threads:
                store_oldest()
        while waiting:
            store_oldest()
    chunk = {"chunks": shape, "filters": [delta.get_config()], "compressor": blosc.get_config()}
    _describe(archive, band, chunk, digest.hexdigest())
    return digest.hexdigest()


def _describe(
    archive: zipfile.ZipFile, band: RecordedBand, encoding: dict[str, Any], bin_sha256: str
) -> None:
    """Write the Zarr descriptions, with the meta text and both checksums."""
    array = {
        "zarr_format": 2,
        "shape": [band.n_samples, band.n_channels],
        "dtype": "<i2",
        "order": "F",
        "fill_value": 0,
        **encoding,
    }
    meta = _encode(band.meta.text)
    attributes = {
        "layout": LAYOUT,
        "name": band.name,
        "sampling_rate_hz": band.sampling_rate_hz,
        "meta_name": band.meta.path.name,
        "meta_text": band.meta.text,
        "meta_sha256": hashlib.sha256(meta).hexdigest(),
        "bin_sha256": bin_sha256,
    }
    if band.meta.kind != "spikeglx":  # which files without this are
        attributes["meta_kind"] = band.meta.kind
    _store(archive, f"{ARRAY}/.zarray", json.dumps(array, indent=1).encode())
    _store(archive, ".zattrs", json.dumps(attributes, indent=1).encode())
    _store(archive, ".zgroup", json.dumps({"zarr_format": 2}).encode())


def _store(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, _EPOCH), data)


def _described(path: Path, samples: ZarrSamples) -> RecordedBand:
    attributes = samples.attributes
    missing = {"meta_name", "meta_text", "meta_sha256", "bin_sha256"} - attributes.keys()
    if missing:
        raise damaged(path, f"it lacks {', '.join(sorted(missing))}")
    text = str(attributes["meta_text"])
    if hashlib.sha256(_encode(text)).hexdigest() != attributes["meta_sha256"]:
        raise damaged(path, "its meta text has another SHA-256 than was recorded")
    meta_path = path.with_name(Path(str(attributes["meta_name"])).name)
    return band_of_text(str(attributes.get("meta_kind", "spikeglx")), text, meta_path, samples)


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
