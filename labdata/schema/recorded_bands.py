"""From a probe of a recording to its samples, wherever the file is and however it was kept.

A recording may lie on this computer, on a file server or in a bucket, raw (``.bin`` of SpikeGLX,
``continuous.dat`` of Open Ephys), as ``.zarr.zip`` or as ``.cbin``. What is opened reads only what
is sliced, so a second of it costs the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ..errors import QueryError
from ..formats import openephys, spikeglx
from ..formats.bands import RecordedBand
from ..formats.byte_ranges import ByteRanges
from ..formats.concatenation import concatenate_bands
from .files import get_files, open_ranges

#: How the samples of a band may be kept; the first that is there is opened.
_KINDS = (".zarr.zip", ".bin", ".cbin")
_OPENEPHYS = "/continuous.dat"
_DATASET = ("subject_name", "session_name", "dataset_name")


def open_probe_band(settings: Any, *, band: str = "ap", download: bool = False) -> RecordedBand:
    """Open the samples of one probe; see :meth:`EphysRecording.ProbeSetting.open`."""
    return concatenate_bands(open_probe_pieces(settings, band=band, download=download))


def open_probe_pieces(
    settings: Any, *, band: str = "ap", download: bool = False
) -> list[RecordedBand]:
    """Open the samples of one probe, a band a segment.

    Parameters
    ----------
    settings, band, download
        As of :meth:`EphysRecording.ProbeSetting.open`.

    Returns
    -------
    list of RecordedBand
        In the order in which they were recorded.

    Raises
    ------
    QueryError
        If there is no such band, or its files are not the segments that are known.
    """
    keys = settings.fetch("KEY", limit=2)
    if len(keys) != 1:
        raise QueryError(
            f"{'No probe is' if not keys else 'Several probes are'} chosen; a band is opened of "
            "one.",
            hint="Restrict by subject, session, dataset and probe_num.",
        )
    key, lab = keys[0], settings.lab
    files = {
        row["file_path"]: row
        for row in (lab.File & (lab.EphysRecording.ProbeFile & key).proj()).fetch(as_dict=True)
    }
    paths = find_band_files(files, band)
    if not paths:
        raise _no_band(files, band, key)
    if download:
        wanted = [(r["file_path"], r["storage"]) for path in paths for r in _with(files, path)]
        get_files(
            lab.File & [{"file_path": p, "storage": s} for p, s in wanted],
            download=True,
            verify=True,
        )
    if len(paths) > 1:
        stream = {name: key[name] for name in _DATASET} | {
            "stream_name": f"imec{key['probe_num']}"
        }
        n_segments = len(lab.EphysRecording.Segment & stream)
        if n_segments != len(paths):
            raise _other_segments(key, band, [PurePosixPath(p).name for p in paths], n_segments)
    bands = [open_file(files, path) for path in paths]
    return bands if len(bands) == 1 else order_segments(lab, key, bands)


def join_segments(lab: Any, key: dict[str, Any], bands: list[RecordedBand]) -> RecordedBand:
    """Return the segments of a stream as one band; see :func:`order_segments`."""
    return concatenate_bands(order_segments(lab, key, bands))


def order_segments(lab: Any, key: dict[str, Any], bands: list[RecordedBand]) -> list[RecordedBand]:
    """Return the segments of a stream in the order of their rows.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : dict
        subject_name, session_name, dataset_name.
    bands : list of RecordedBand
        Of all segments, in any order.

    Raises
    ------
    QueryError
        If they are not those of the rows of EphysRecording.Segment.
    """
    stream = {name: key[name] for name in _DATASET} | {"stream_name": bands[0].meta.stream_name}
    rows = (lab.EphysRecording.Segment & stream).fetch(as_dict=True, order_by="segment_num")
    (rate_hz,) = (lab.DatasetEvents & stream).fetch("sampling_rate") if len(rows) else (0.0,)
    # equal but for their date: two runs of one length that begin with one sample
    dated = sorted(bands, key=lambda band: (band.meta.recorded or datetime.min, band.meta.path))
    ordered = []
    for row in rows:
        for band in dated:
            if _is_segment(row, rate_hz, band):
                ordered.append(band)
                dated.remove(band)
                break
    if dated or len(ordered) != len(rows):
        names = [band.meta.bin_path.name for band in bands]
        raise _other_segments(key, bands[0].name, names, len(rows))
    return ordered


def _other_segments(
    key: dict[str, Any], band: str, names: list[str], n_segments: int
) -> QueryError:
    return QueryError(
        f"{key['dataset_name']} has {len(names)} files of the band {band!r}, which are not its "
        f"{n_segments} rows of EphysRecording.Segment: {', '.join(names)}.",
        hint="Fetch the one that is meant with `labdata get -f NAME`, and open it by "
        "labdata.formats.",
    )


def _is_segment(row: dict[str, Any], rate_hz: float, band: RecordedBand) -> bool:
    """Return whether a band, AP or the slower LF, begins and ends where a row of Segment does."""
    found_s = np.array([band.meta.first_sample, band.n_samples]) / band.sampling_rate_hz
    wanted_s = np.array([row["first_sample"], row["n_samples"]]) / rate_hz
    return bool((np.abs(found_s - wanted_s) <= 2 / band.sampling_rate_hz).all())


def open_file(files: dict[str, Any], path: str) -> RecordedBand:
    """Return one band, read by ranges where it is.

    Parameters
    ----------
    files : dict
        Path to row of File, of the band and of what describes it.
    path : str
        Of the samples, kept in any way.

    Raises
    ------
    QueryError
        If a file that describes it is not among them.
    """
    if path.endswith(".zarr.zip"):
        from ..formats.zarr_band import open_zarr_band

        return open_zarr_band(open_ranges(files[path]))
    if path.endswith(_OPENEPHYS):
        return openephys.band_of_ranges(open_ranges(files[path]), openephys_stream(files, path))
    return _open_with_meta(files, path)


def _open_with_meta(files: dict[str, Any], path: str) -> RecordedBand:
    meta_path = path.removesuffix(PurePosixPath(path).suffix) + ".meta"
    meta = spikeglx.parse_meta(read_text(files, meta_path), Path(PurePosixPath(meta_path).name))
    ranges = open_ranges(files[path])
    if path.endswith(".cbin"):
        from ..formats.cbin import band_of_cbin

        return band_of_cbin(ranges, read_text(files, path.removesuffix(".cbin") + ".ch"), meta)
    return spikeglx.band_of_ranges(ranges, meta)


def find_band_files(files: dict[str, Any], band: str) -> list[str]:
    """Return the files that hold the samples of a probe's band, one a segment, by name.

    Parameters
    ----------
    files : dict
        Path to row of File, of all files of a probe.
    band : str
        ``ap`` or ``lf``.
    """
    for kind in _KINDS:
        found = sorted(path for path in files if path.endswith(f".{band}{kind}"))
        if found:
            return found
    return [
        path
        for path in sorted(files)
        if path.endswith(_OPENEPHYS) and openephys_stream(files, path).band == band
    ]


def find_main_bands(files: Iterable[str]) -> list[str]:
    """Return the files of SpikeGLX that hold a device's samples; of a probe its AP band's.

    Parameters
    ----------
    files : iterable of str
        Paths of a dataset.
    """
    found: dict[str, str] = {}
    for kind in reversed(_KINDS):
        stems = {path.removesuffix(kind): path for path in files if path.endswith(kind)}
        found |= {s: path for s, path in stems.items() if spikeglx.is_stream(Path(f"{s}.bin"))}
    beside_ap = {stem.removesuffix(".ap") + ".lf" for stem in found if stem.endswith(".ap")}
    return sorted(path for stem, path in found.items() if stem not in beside_ap)


def _no_band(files: dict[str, Any], band: str, key: dict[str, Any]) -> QueryError:
    there = sorted({_stem(path).rpartition(".")[2] for path in files})
    return QueryError(
        f"Probe {key['probe_num']} of {key['dataset_name']} has no {band!r} band; its files are "
        f"of: {', '.join(there) or 'none'}.",
        hint="Write band='ap' or band='lf', as they were recorded.",
    )


def _with(files: dict[str, Any], path: str) -> list[Any]:
    """Return the rows of a band's file and of those that describe it."""
    if any(name.endswith("/structure.oebin") for name in files):
        beside = (".zarr.zip", _OPENEPHYS)
        return [row for name, row in files.items() if name == path or not name.endswith(beside)]
    return [row for name, row in files.items() if _stem(name) == _stem(path)]


def _stem(path: str) -> str:
    for suffix in (*_KINDS, ".meta", ".ch"):
        path = path.removesuffix(suffix)
    return path


def openephys_stream(files: dict[str, Any], path: str) -> openephys.OpenEphysStream:
    """Return what is said of a ``continuous.dat`` in the files beside it, read where they are.

    Parameters
    ----------
    files : dict
        Path to row of File, of all files of a dataset or probe.
    path : str
        One of them.

    Raises
    ------
    QueryError
        If a file that describes it is not among them.
    """
    place = PurePosixPath(path)
    settings = [name for name in files if name.startswith(f"{place.parents[4]}/settings")]
    numbers = str(place.with_name("sample_numbers.npy"))
    if numbers not in files:  # before GUI 0.6
        numbers = str(place.with_name("timestamps.npy"))
    head = _ranges(files, numbers)
    return openephys.stream_of_texts(
        read_text(files, f"{place.parents[2]}/structure.oebin"),
        read_text(files, settings[0] if settings else f"{place.parents[4]}/settings.xml"),
        Path(path),
        size_bytes=open_ranges(files[path]).size_bytes,
        first_sample=openephys.first_number(head.read(0, min(head.size_bytes, 1024))),
    )


def read_text(files: dict[str, Any], path: str) -> str:
    """Return the content of a file that describes others, read where it is.

    Parameters
    ----------
    files : dict
        Path to row of File.
    path : str
        One of them.

    Raises
    ------
    QueryError
        If it is not among them.
    """
    ranges = _ranges(files, path)
    return ranges.read(0, ranges.size_bytes).decode("utf-8", "surrogateescape")


def _ranges(files: dict[str, Any], path: str) -> ByteRanges:
    if path not in files:
        raise QueryError(
            f"{PurePosixPath(path).name} is not among the files of this probe.",
            hint="It belongs to the recording: put it, or look whether it was on the rig.",
        )
    found: ByteRanges = open_ranges(files[path])
    return found
