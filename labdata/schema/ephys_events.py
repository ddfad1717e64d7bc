"""Events of a recording's streams: from digital lines to rows, and from stored files to lines."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import QueryError
from ..formats import openephys, spikeglx
from ..formats.event_lines import DigitalLine
from ..formats.raw_bands import open_raw_band
from ..formats.stream_description import StreamDescription
from .files import open_in_place
from .recorded_bands import find_main_bands, open_file


def insert_stream(
    lab: Any,
    key: dict[str, Any],
    stream_name: str,
    lines: Iterable[DigitalLine],
    *,
    sampling_rate_hz: float,
    n_samples: int,
    first_sample: int | None = None,
) -> int:
    """Insert the digital lines of one stream; lines that are there already are left alone.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : dict
        subject_name, session_name, dataset_name.
    stream_name : str
        For instance ``imec0`` or ``nidq``.
    lines : iterable of DigitalLine
        Lines with their edges.
    sampling_rate_hz : float
        Nominal rate of the stream.
    n_samples : int
        Length of the stream.
    first_sample : int, optional
        Samples between the start of the run's acquisition and the stream's first sample, which
        places streams of one run against each other; None if it is not known.

    Returns
    -------
    int
        Number of lines added.
    """
    stream = {k: key[k] for k in ("subject_name", "session_name", "dataset_name")}
    stream["stream_name"] = stream_name
    lab.DatasetEvents.insert1(
        {
            **stream,
            "sampling_rate": sampling_rate_hz,
            "n_samples": n_samples,
            "first_sample": first_sample,
        },
        skip_duplicates=True,
    )
    present = set((lab.DatasetEvents.Digital & stream).fetch("event_name"))
    rows = [
        {
            **stream,
            "event_name": line.event_name,
            "event_timestamps": line.timestamps,
            "event_values": line.values,
            "event_samples": line.samples,
        }
        for line in lines
        if line.event_name not in present
    ]
    lab.DatasetEvents.Digital.insert(rows)
    return len(rows)


def add_events(recordings: Any) -> int:
    """Read the lines of recordings from their stored files; see :class:`EphysRecording`."""
    lab = recordings.lab
    added = 0
    for key in recordings.fetch("KEY"):
        files = (lab.File & (lab.Dataset.DataFiles & key).proj()).fetch(as_dict=True)
        if any(row["file_path"].endswith("/structure.oebin") for row in files):
            added += _add_openephys(lab, key, files)
            continue
        by_path = {row["file_path"]: row for row in files}
        bands = []
        for path in find_main_bands(by_path):
            open_in_place(by_path[path])  # all of it is read
            bands.append(open_file(by_path, path))
        _refuse_segments(key, [band.meta.stream_name for band in bands])
        starts = first_samples([band.meta for band in bands])
        for band in bands:
            added += insert_stream(
                lab,
                key,
                band.meta.stream_name,
                spikeglx.band_digital_events(band),
                sampling_rate_hz=band.sampling_rate_hz,
                n_samples=band.n_samples,
                first_sample=starts.get(band.meta.stream_name),
            )
    return added


def _add_openephys(lab: Any, key: dict[str, Any], files: list[dict[str, Any]]) -> int:
    """Add the edges of Open Ephys, which are in files of their own beside the samples."""
    samples = (".zarr.zip", "/continuous.dat")
    nodes = set()
    for row in files:
        if not row["file_path"].endswith(samples):
            path = open_in_place(row)
            if path.name == "structure.oebin":
                nodes.add(path.parents[2])
    recordings = [one for node in sorted(nodes) for one in openephys.find_recordings(node)]
    names = [s.stream_name for one in recordings for s in one.streams if s.band != "lf"]
    _refuse_segments(key, names)
    added = 0
    for recording in recordings:
        streams = [stream for stream in recording.streams if stream.band != "lf"]
        starts = first_samples(streams)
        for stream in streams:
            added += insert_stream(
                lab,
                key,
                stream.stream_name,
                recording.digital_lines(stream),
                sampling_rate_hz=stream.sampling_rate_hz,
                n_samples=stream.n_samples,
                first_sample=starts.get(stream.stream_name),
            )
    return added


def _refuse_segments(key: dict[str, Any], stream_names: list[str]) -> None:
    """Refuse streams in several segments: the rule places their events, these methods do not."""
    several = sorted({name for name in stream_names if stream_names.count(name) > 1})
    if several:
        raise QueryError(
            f"{'/'.join(map(str, key.values()))} has {', '.join(several)} in several segments.",
            hint="Their events are inserted at upload, on the axis of the segments.",
        )


def first_samples(streams: Iterable[StreamDescription]) -> dict[str, int]:
    """Return the first samples of a run's streams since its acquisition began, where known.

    Parameters
    ----------
    streams : iterable of StreamDescription
        The streams of one run, without LF bands.

    Returns
    -------
    dict of str to int
        By stream name. Empty if all state 0: that is what is written where it is not known, and
        streams of different devices do not begin at the same instant.
    """
    found = {meta.stream_name: meta.first_sample for meta in streams}
    return found if any(found.values()) else {}


def open_stored_band(path: Path) -> Any:
    """Open a raw or compressed band by what its name says.

    Parameters
    ----------
    path : Path
        A ``.bin`` (with its ``.meta`` beside it), a ``continuous.dat`` in its recording, or a
        ``.zarr.zip``.

    Returns
    -------
    RecordedBand
        Its samples are read when they are sliced.
    """
    if path.name.endswith(".zarr.zip"):
        from ..formats.zarr_band import open_zarr_band

        return open_zarr_band(path)
    return open_raw_band(path)
