"""Events of analog inputs: from the stored file of a device to rows of DatasetEvents.Digital."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import QueryError
from ..formats import openephys, spikeglx
from ..formats.analog_edges import AnalogEdges, find_band_edges
from ..formats.bands import RecordedBand
from .ephys_events import insert_stream
from .files import open_ranges
from .recorded_bands import join_segments, openephys_stream, read_text
from .segments import fetch_axes

_DATASET = ("subject_name", "session_name", "dataset_name")


def add_analog_events(
    recordings: Any, channel: str, *, stream_name: str | None, **options: Any
) -> list[AnalogEdges]:
    """Find and insert the edges of an input; see :meth:`EphysRecording.add_analog_events`."""
    lab = recordings.lab
    found = []
    for key in recordings.fetch("KEY"):
        band, column = _find_input(lab, key, channel, stream_name)
        row = {**key, "stream_name": band.meta.stream_name, "event_name": channel}
        if lab.DatasetEvents.Digital & row:
            raise QueryError(
                f"{'/'.join(map(str, key.values()))} has events of {channel} already.",
                hint="To find them anew delete them first: (DatasetEvents.Digital & key & "
                f"\"event_name = '{channel}'\").delete()",
            )
        edges = find_band_edges(band, column, **options)
        line = edges.as_line(channel)
        subject, session, dataset = (str(key[part]) for part in _DATASET)
        stream = (subject, session, dataset, band.meta.stream_name)
        if axes := fetch_axes(lab, {stream: band.sampling_rate_hz}):
            line = replace(line, timestamps=axes[stream].to_seconds(line.samples))
        insert_stream(
            lab,
            key,
            band.meta.stream_name,
            [line],
            sampling_rate_hz=band.sampling_rate_hz,
            n_samples=band.n_samples,
        )
        found.append(edges)
    return found


def _find_input(
    lab: Any, key: dict[str, Any], channel: str, stream_name: str | None
) -> tuple[RecordedBand, int]:
    """Return the band and column of an input, of whichever device has one of that name."""
    matches, names = [], []
    pieces: dict[str, list[RecordedBand]] = {}
    for piece in _device_bands(lab, key):
        if stream_name in (None, piece.meta.stream_name):
            pieces.setdefault(piece.meta.stream_name, []).append(piece)
    for bands in pieces.values():
        band = bands[0] if len(bands) == 1 else join_segments(lab, key, bands)
        for column in band.signal_channels.tolist():
            name = band.meta.channel_name(column)
            names.append(f"{name} of {band.meta.stream_name}")
            if name == channel:
                matches.append((band, column))
    dataset = "/".join(map(str, key.values()))
    if not matches:
        raise QueryError(
            f"{dataset} has no analog input {channel!r}.",
            hint=f"It has {', '.join(names) or 'none'}.",
        )
    if len(matches) > 1:
        streams = " and ".join(band.meta.stream_name for band, _ in matches)
        raise QueryError(
            f"{dataset} has {channel} of {streams}.", hint="Say which with stream_name."
        )
    return matches[0]


def _device_bands(lab: Any, key: dict[str, Any]) -> Iterator[RecordedBand]:
    """Yield the bands of a recording that are of no probe, to be read where they are."""
    rows = (lab.File & (lab.Dataset.DataFiles & key).proj()).fetch(as_dict=True)
    files = {row["file_path"]: row for row in rows}
    for path in sorted(files):
        name = PurePosixPath(path).name
        if name.endswith(".bin") and spikeglx.is_stream(Path(name)) and ".imec" not in name:
            meta_name = path.removesuffix(".bin") + ".meta"
            meta = spikeglx.parse_meta(read_text(files, meta_name), Path(meta_name))
            yield spikeglx.band_of_ranges(open_ranges(files[path]), meta)
        elif name == "continuous.dat":
            stream = openephys_stream(files, path)
            if stream.probe_num is None:
                yield openephys.band_of_ranges(open_ranges(files[path]), stream)
