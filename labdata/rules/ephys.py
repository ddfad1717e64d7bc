"""The rule for extracellular recordings of SpikeGLX and Open Ephys.

AP and LF bands are compressed losslessly, one ``.zarr.zip`` each, and compared sample by sample
with their originals, which then go to ProcessedFile. Descriptions, NI-DAQ files and everything
else are stored as they are. The streams of Open Ephys are called as those of SpikeGLX are, see
:mod:`labdata.formats.openephys.names`. Every digital line of every stream becomes
DatasetEvents.Digital with both edges; which lines belong together is for StreamSync and its user
to say.
"""

from __future__ import annotations

import os
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from ..errors import IntegrityError, RuleError
from ..formats import openephys, spikeglx
from ..formats.probe_geometry import ProbeGeometry
from ..formats.raw_bands import compressed_names
from ..formats.stream_description import StreamDescription
from ..formats.zarr_band import compress_band, verify_band
from ..schema.ephys import hash_configuration
from ..schema.ephys_events import first_samples, insert_stream
from ..stores import hash_file
from .base import PutFile, RuleOutput, UploadContext, UploadRule
from .ephys_runs import EphysRun, find_runs
from .ephys_segments import SegmentedStream, check_alike, find_segments, main_streams

_COMPRESSED = ("ap", "lf")


class EphysRule(UploadRule):
    """Compress and describe a run of SpikeGLX or a recording of Open Ephys."""

    name: ClassVar[str] = "ephys"
    dataset_type: ClassVar[str | None] = "ephys"

    def recognises(self, files: tuple[Path, ...]) -> bool:
        """Return whether there are files of SpikeGLX or Open Ephys."""
        return any(spikeglx.is_stream(path) or openephys.is_openephys(path) for path in files)

    def said(self, folder: Path) -> dict[str, str]:
        """Return where the run was written, and the notes of its user."""
        return {where: text for run in find_runs(folder) for where, text in run.said().items()}

    def check(self, folder: Path, files: tuple[Path, ...]) -> None:
        """Refuse runs that are cut, incomplete, or cannot be one recording."""
        for run in find_runs(folder):
            run.check()
        check_alike(find_segments(folder))

    def check_dataset(self, lab: Any, key: dict[str, str]) -> None:
        """Refuse a dataset that has a recording already."""
        if lab.EphysRecording & key:
            raise RuleError(
                f"{'/'.join(key.values())} has a recording already.",
                hint="Put each run as a dataset of its own, with -d.",
            )

    def recorded(self, folder: Path) -> datetime | None:
        """Return when the run was started."""
        streams = [stream for run in find_runs(folder) for stream in run.streams]
        return min((stream.recorded for stream in streams if stream.recorded), default=None)

    def apply(self, context: UploadContext) -> RuleOutput:
        """Compress the bands of the run and read its events."""
        by_path = {file.path: file for file in context.files}
        streams = find_segments(_common_folder(context))
        stored = list(context.files)
        replaced: list[PutFile] = []
        probe_files: dict[int, list[str]] = defaultdict(list)
        # read first: what changes meanwhile is then seen when the band is hashed, or stored
        events = {s.first.name: s.digital_lines() for s in main_streams(streams)}
        for run, meta in [piece for stream in streams for piece in stream.pieces]:
            original = by_path[meta.bin_path]
            kept = original
            if meta.band in _COMPRESSED:
                kept = _compress(run, meta, original, context)
                stored[stored.index(original)] = kept
                replaced.append(original)
            if meta.probe_num is not None:
                beside = [by_path[path].file_path for path in run.description_files(meta)]
                probe_files[meta.probe_num] += [kept.file_path, *beside]
        facts = {"streams": streams, "events": events, "probe_files": dict(probe_files)}
        return RuleOutput(tuple(stored), tuple(replaced), facts)

    def insert(self, lab: Any, context: UploadContext, output: RuleOutput) -> None:
        """Insert the recording, its probes, their files, and the events of every stream."""
        streams: tuple[SegmentedStream, ...] = output.facts["streams"]
        key = context.key
        self.check_dataset(lab, key)
        described = main_streams(streams)
        probes = [stream for stream in described if stream.first.probe_num is not None]
        lab.EphysRecording.insert1(
            {
                **key,
                "n_probes": len(probes),
                "recording_duration": max((probe.duration_s for probe in probes), default=0.0),
                "recording_software": (probes or list(streams))[0].first.software[:56],
            }
        )
        files = {r["file_path"]: r for r in (lab.Dataset.DataFiles & key).fetch(as_dict=True)}
        for stream in probes:
            _insert_probe(lab, key, stream, output.facts["probe_files"], files)
        events = output.facts["events"]
        starts = first_samples([stream.first for stream in described])
        for stream in described:
            lab.EphysRecording.Segment.insert({**key, **row} for row in stream.rows())
            insert_stream(
                lab,
                key,
                stream.first.stream_name,
                events[stream.first.name],
                sampling_rate_hz=stream.first.sampling_rate_hz,
                n_samples=stream.axis.total_samples,
                first_sample=starts.get(stream.first.stream_name),
            )


def _insert_probe(
    lab: Any,
    key: dict[str, str],
    stream: SegmentedStream,
    probe_files: dict[int, list[str]],
    files: dict[str, Any],
) -> None:
    run, meta = stream.pieces[0]
    if meta.probe_num is None:
        return
    probe = {**key, "probe_num": meta.probe_num}
    lab.EphysRecording.ProbeSetting.insert1(
        {
            **probe,
            **insert_configuration(lab, run.probe(meta)),
            "sampling_rate": meta.sampling_rate_hz,
            "n_samples": stream.axis.total_samples,
        }
    )
    lab.EphysRecording.ProbeFile.insert(
        {**probe, "file_path": path, "storage": files[path]["storage"]}
        for path in dict.fromkeys(probe_files[meta.probe_num])
    )


def insert_configuration(lab: Any, probe: ProbeGeometry) -> dict[str, Any]:
    """Return the key of a probe's configuration, inserted if it is new.

    A configuration is the same when channels, shanks, coordinates and gain are; it is found by a
    hash of them, so that no two rows can be made of one.

    Parameters
    ----------
    lab : Lab
        The tables; a transaction is open.
    probe : ProbeGeometry
        What the recording says.
    """
    lab.Probe.insert1(
        {
            "probe_id": probe.probe_id,
            "probe_type": probe.part_number or probe.probe_type,
            "probe_n_shanks": probe.n_shanks,
            "probe_recording_channels": probe.n_channels,
        },
        skip_duplicates=True,
    )
    gain = float(probe.uv_per_bit["ap"][0])
    identity = hash_configuration(
        probe.channel_idx, probe.shank, probe.positions_um, probe.uv_per_bit["ap"]
    )
    found = {"probe_id": probe.probe_id, "configuration_hash": identity}
    if not lab.ProbeConfiguration & found:
        taken = (lab.ProbeConfiguration & {"probe_id": probe.probe_id}).fetch("configuration_id")
        lab.ProbeConfiguration.insert1(
            {
                **found,
                "configuration_id": int(max(taken, default=0)) + 1,
                "probe_n_channels": probe.n_channels,
                "probe_gain": gain,
                "channel_idx": probe.channel_idx,
                "channel_shank": probe.shank,
                "channel_coords": probe.positions_um,
            }
        )
    key: dict[str, Any] = (lab.ProbeConfiguration & found).fetch1("KEY")
    return key


def _common_folder(context: UploadContext) -> Path:
    folders = [file.path.parent for file in context.files]
    shared = folders[0]
    while not all(folder.is_relative_to(shared) for folder in folders):
        shared = shared.parent
    return shared


def _compress(
    run: EphysRun, meta: StreamDescription, original: PutFile, context: UploadContext
) -> PutFile:
    name = compressed_names(original.file_path)[meta.band]
    # several streams and recordings of Open Ephys have files of one name
    destination = context.staging / run.name / meta.name / Path(name).name
    report = compress_band(original.path, destination, progress=context.progress)
    if report.sha256 != original.sha256:
        raise IntegrityError(
            f"{original.path} changed after it was verified: its SHA-256 is {report.sha256[:12]}, "
            f"{(original.sha256 or 'none')[:12]} was put.",
            hint="Does another program write to the inbox? Restore the file, then "
            "`labdata upload --retry`.",
        )
    # hashed before it is compared: damage before is found now, damage after when it is stored
    stored = hash_file(destination)
    verify_band(original.path, destination)
    recorded = original.path.stat()  # the age of a file is that of its data
    os.utime(destination, ns=(recorded.st_atime_ns, recorded.st_mtime_ns))
    return PutFile(destination, name, stored.sha256)
