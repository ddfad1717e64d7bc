"""Which files of a folder make up an Open Ephys recording.

The GUI makes a folder a Record Node, in it one an experiment (acquisition started) and in that one
a recording (record pressed). Streams that several nodes recorded at once are one recording.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from labdata.errors import FormatError
from labdata.formats.event_lines import DigitalLine
from labdata.formats.openephys.binary import check_size
from labdata.formats.openephys.events import read_ttl
from labdata.formats.openephys.nodes import OpenEphysNode, node_streams, open_node, place_of
from labdata.formats.openephys.sample_numbers import SampleNumbers
from labdata.formats.openephys.settings import read_probe
from labdata.formats.openephys.stream import DATA_NAME, OpenEphysStream
from labdata.formats.openephys.structure import TTLEntry
from labdata.formats.probe_geometry import ProbeGeometry

STRUCTURE_NAME = "structure.oebin"
#: Edges this long after the last sample mean that samples were cut, not that they came late.
_LATE_S = 2.0


@dataclass(frozen=True)
class OpenEphysRecording:
    """One recording: all that was saved between two presses of a button.

    Parameters
    ----------
    experiment, recording : int
        Numbers in the names of its folders.
    nodes : tuple of OpenEphysNode
        The Record Nodes that wrote it.
    streams : tuple of OpenEphysStream
        One a ``continuous.dat``, by name: ``imec0.ap``, ``imec0.lf``, ``nidq``, ...
    numbers : dict of str to SampleNumbers
        Of each stream, by name.
    """

    experiment: int
    recording: int
    nodes: tuple[OpenEphysNode, ...]
    streams: tuple[OpenEphysStream, ...]
    numbers: dict[str, SampleNumbers]

    @property
    def name(self) -> str:
        """Experiment and recording as the GUI numbers them."""
        return f"experiment{self.experiment}/recording{self.recording}"

    @property
    def epoch_name(self) -> str:
        """The experiment: its recordings number their samples from one start."""
        return f"experiment{self.experiment}"

    def said(self) -> dict[str, str]:
        """Return what its user wrote: messages, and where to record, by where it was found."""
        found = {}
        for node in self.nodes:
            if node.settings.places:
                found[f"A folder in {node.settings.path.name}"] = "\n".join(node.settings.places)
            path = node.folder / "events" / "MessageCenter" / "text.npy"
            if path.is_file():
                texts = np.unique(np.load(path, allow_pickle=False))
                joined = b"\n".join(t for t in texts.tolist() if isinstance(t, bytes))
                found[f"A message in {path.name}"] = joined.decode("utf-8", "replace")
        return found

    def check(self) -> None:
        """Raise if samples of a stream are absent, cut or lost.

        Raises
        ------
        FormatError
            With the file and both numbers.
        """
        names = {stream.name for stream in self.streams}
        for stream in self.streams:
            if stream.band == "lf" and f"{stream.stream_name}.ap" not in names:
                raise FormatError(
                    f"{self.name} has {stream.name} without the AP band of that probe.",
                    hint="Which contacts it is of is told by the AP band: record it as well, or "
                    "store the files with -r none.",
                )
            check_size(stream)
            numbers = self.numbers[stream.name]
            if gaps := numbers.gaps():
                at, n_lost = gaps[0]
                raise FormatError(
                    f"{numbers.path}: {n_lost} samples were lost before sample {at}, "
                    f"{len(gaps)} gaps in all.",
                    hint="Times after a gap would be wrong. Store the files with -r none.",
                )
            self._check_end(stream)

    def digital_lines(self, stream: OpenEphysStream) -> list[DigitalLine]:
        """Return the edges of every line of a stream.

        Parameters
        ----------
        stream : OpenEphysStream
            One of this recording's.

        Returns
        -------
        list of DigitalLine
            By bit.
        """
        return [
            line
            for folder, _ in self._ttl_of(stream)
            for line in read_ttl(
                folder,
                first_sample=stream.first_sample,
                sampling_rate_hz=stream.sampling_rate_hz,
            )
        ]

    def probe(self, stream: OpenEphysStream) -> ProbeGeometry:
        """Return where the contacts of a probe are.

        Parameters
        ----------
        stream : OpenEphysStream
            The AP band of one of this recording's probes.

        Raises
        ------
        FormatError
            When it is not of a probe, or the probe is not known.
        """
        node = self._node_of(stream)
        probe = node.names[stream.entry.folder_name].probe
        if probe is None or stream.band != "ap":
            raise FormatError(
                f"{stream.name} of {self.name} is no AP band of a probe.",
                hint="Contacts are those of imecN.ap.",
            )
        gains = {
            other.band: other.uv_per_bit[np.isfinite(other.uv_per_bit)]
            for other in self.streams
            if other.probe_num == stream.probe_num
        }
        return read_probe(node.settings, probe, stream.entry.folder_name, gains)

    def description_files(self, stream: OpenEphysStream) -> tuple[Path, ...]:
        """Return the files that are needed beside the samples of a stream, to open it.

        Parameters
        ----------
        stream : OpenEphysStream
            One of this recording's.
        """
        settings = self._node_of(stream).settings.path
        return (stream.path, settings, self.numbers[stream.name].path)

    def _node_of(self, stream: OpenEphysStream) -> OpenEphysNode:
        return next(node for node in self.nodes if node.structure.path == stream.path)

    def _ttl_of(self, stream: OpenEphysStream) -> list[tuple[Path, TTLEntry]]:
        """Return the folders of edges of a stream that are there; old files have one a word."""
        structure = self._node_of(stream).structure
        entries = [e for e in structure.lines if e.stream_folder == stream.entry.folder_name]
        folders = [(structure.path.parent / "events" / e.folder_name, e) for e in entries]
        for folder, _ in folders:
            if not folder.is_dir():
                raise FormatError(
                    f"{folder} does not exist.",
                    hint="structure.oebin names it: copy the whole recording from the rig.",
                )
        return folders

    def _check_end(self, stream: OpenEphysStream) -> None:
        last = max(
            (int(line.samples[-1]) for line in self.digital_lines(stream) if line.samples.size),
            default=0,
        )
        late_s = (last - stream.n_samples) / stream.sampling_rate_hz
        if late_s > _LATE_S:
            raise FormatError(
                f"The edges of {stream.name} go on for {late_s:.1f} s after its last sample.",
                hint=f"{stream.bin_path} and its numbers were cut: copy them again from the rig.",
            )


def find_recordings(folder: str | Path) -> list[OpenEphysRecording]:
    """Find every Open Ephys recording below a folder.

    Parameters
    ----------
    folder : str or Path
        Any folder above or at a recording's own.

    Returns
    -------
    list of OpenEphysRecording
        By experiment and recording; empty when there are none.

    Raises
    ------
    FormatError
        When a file lacks or cannot be read, or two nodes recorded the same stream.
    """
    groups: dict[tuple[int, int], list[Path]] = defaultdict(list)
    paths = sorted(Path(folder).rglob(STRUCTURE_NAME))
    _refuse_orphans(Path(folder), {path.parent for path in paths})
    for path in paths:
        groups[place_of(path)].append(path)
    return [_read(*place, groups[place]) for place in sorted(groups)]


def is_openephys(path: Path) -> bool:
    """Return whether a file is one that only an Open Ephys recording has, by its name.

    Parameters
    ----------
    path : Path
        The file.
    """
    return path.name in (STRUCTURE_NAME, DATA_NAME)


def stream_of_path(path: str | Path) -> OpenEphysStream:
    """Return the description of a ``continuous.dat``.

    Parameters
    ----------
    path : str or Path
        The file, in its place in a recording.

    Raises
    ------
    FormatError
        When what describes it is absent or does not know it.
    """
    path = Path(path)
    structure = path.parents[2] / STRUCTURE_NAME if len(path.parents) > 2 else path
    if not structure.is_file():
        raise FormatError(
            f"{path} is not in a recording of Open Ephys: there is no {structure}.",
            hint="Copy the whole recording; its samples cannot be read without structure.oebin.",
        )
    for stream in node_streams(open_node(structure))[0]:
        if stream.bin_path == path:
            return stream
    raise FormatError(
        f"{structure} does not know {path.parent.name}.",
        hint="It is of another recording: copy the whole recording from the rig.",
    )


def _read(experiment: int, recording: int, paths: Sequence[Path]) -> OpenEphysRecording:
    nodes = tuple(open_node(path) for path in paths)
    streams: dict[str, OpenEphysStream] = {}
    numbers: dict[str, SampleNumbers] = {}
    for node in nodes:
        for stream, counted in zip(*node_streams(node), strict=True):
            if stream.name in streams:
                raise FormatError(
                    f"{stream.bin_path} and {streams[stream.name].bin_path} are both "
                    f"{stream.name} of experiment{experiment}/recording{recording}.",
                    hint="Keep the files of one Record Node a stream in the folder.",
                )
            streams[stream.name], numbers[stream.name] = stream, counted
    ordered = tuple(streams[name] for name in sorted(streams))
    return OpenEphysRecording(experiment, recording, nodes, ordered, numbers)


def _refuse_orphans(folder: Path, recordings: set[Path]) -> None:
    """Refuse samples of which nothing is said."""
    for path in sorted(folder.rglob(DATA_NAME)):
        if len(path.parents) < 3 or path.parents[2] not in recordings:
            raise FormatError(
                f"{path} has no {STRUCTURE_NAME} in its recording.",
                hint="It is written when the recording ends: wait for that, or copy it from the "
                "rig.",
            )
