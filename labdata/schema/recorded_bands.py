"""From a probe of a recording to its samples, wherever the file is and however it was kept.

A recording may lie on this computer, on a file server or in a bucket, raw, as ``.zarr.zip`` or as
``.cbin``. What is opened reads only what is sliced, so a second of it costs the same everywhere.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import QueryError
from ..formats import spikeglx
from ..formats.bands import RecordedBand
from ..formats.byte_ranges import ByteRanges
from .files import get_files, open_ranges

#: How the samples of a band may be kept; the first that is there is opened.
_KINDS = (".zarr.zip", ".bin", ".cbin")


def open_probe_band(settings: Any, *, band: str = "ap", download: bool = False) -> RecordedBand:
    """Open the samples of one probe; see :meth:`EphysRecording.ProbeSetting.open`."""
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
    path = _find(files, band, key)
    if download:
        wanted = [(row["file_path"], row["storage"]) for row in _with(files, path)]
        get_files(
            lab.File & [{"file_path": p, "storage": s} for p, s in wanted],
            download=True,
            verify=True,
        )
    if path.endswith(".zarr.zip"):
        from ..formats.zarr_band import open_zarr_band

        return open_zarr_band(open_ranges(files[path]))
    return _open_with_meta(files, path)


def _open_with_meta(files: dict[str, Any], path: str) -> RecordedBand:
    meta_path = path.removesuffix(PurePosixPath(path).suffix) + ".meta"
    meta = spikeglx.parse_meta(_text(files, meta_path), Path(PurePosixPath(meta_path).name))
    ranges = open_ranges(files[path])
    if path.endswith(".cbin"):
        from ..formats.cbin import band_of_cbin

        return band_of_cbin(ranges, _text(files, path.removesuffix(".cbin") + ".ch"), meta)
    return spikeglx.band_of_ranges(ranges, meta)


def _find(files: dict[str, Any], band: str, key: dict[str, Any]) -> str:
    for kind in _KINDS:
        found = sorted(path for path in files if path.endswith(f".{band}{kind}"))
        if len(found) > 1:
            names = ", ".join(PurePosixPath(path).name for path in found)
            raise QueryError(
                f"Probe {key['probe_num']} of {key['dataset_name']} has {len(found)} files of the "
                f"band {band!r}: {names}.",
                hint="Fetch the one that is meant with `labdata get -f NAME`, and open it by "
                "labdata.formats.",
            )
        if found:
            return found[0]
    there = sorted({_stem(path).rpartition(".")[2] for path in files})
    raise QueryError(
        f"Probe {key['probe_num']} of {key['dataset_name']} has no {band!r} band; its files are "
        f"of: {', '.join(there) or 'none'}.",
        hint="Write band='ap' or band='lf', as they were recorded.",
    )


def _with(files: dict[str, Any], path: str) -> list[Any]:
    """Return the rows of a band's file and of those that describe it."""
    return [row for name, row in files.items() if _stem(name) == _stem(path)]


def _stem(path: str) -> str:
    for suffix in (*_KINDS, ".meta", ".ch"):
        path = path.removesuffix(suffix)
    return path


def _text(files: dict[str, Any], path: str) -> str:
    if path not in files:
        raise QueryError(
            f"{PurePosixPath(path).name} is not among the files of this probe.",
            hint="It belongs to the recording: put it, or look whether it was on the rig.",
        )
    ranges: ByteRanges = open_ranges(files[path])
    return ranges.read(0, ranges.size_bytes).decode("utf-8", "surrogateescape")
