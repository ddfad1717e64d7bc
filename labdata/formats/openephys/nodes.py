"""What one Record Node wrote of a recording, and the descriptions of its streams."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from labdata.errors import FormatError
from labdata.formats.openephys.names import StreamName, name_streams
from labdata.formats.openephys.sample_numbers import SampleNumbers, read_sample_numbers
from labdata.formats.openephys.settings import OpenEphysSettings, parse_settings, read_settings
from labdata.formats.openephys.stream import OpenEphysStream, describe_stream
from labdata.formats.openephys.structure import Structure, parse_structure

_FOLDER = re.compile(r"(experiment|recording)(\d+)")
_MESSAGES_MS = re.compile(r"Software Time \(milliseconds.*?\): *(\d+)")


@dataclass(frozen=True)
class OpenEphysNode:
    """The part of a recording that one Record Node wrote.

    Parameters
    ----------
    structure : Structure
        Its ``structure.oebin``.
    settings : OpenEphysSettings
        Of its experiment.
    names : dict of str to StreamName
        Of each folder of a stream.
    """

    structure: Structure
    settings: OpenEphysSettings
    names: dict[str, StreamName]

    @property
    def folder(self) -> Path:
        """The recording's folder."""
        return self.structure.path.parent


def place_of(path: Path) -> tuple[int, int]:
    """Return the experiment and recording of a ``structure.oebin``.

    Parameters
    ----------
    path : Path
        The file, in its place.

    Raises
    ------
    FormatError
        When its folders are not called as the GUI does.
    """
    found = {m[1]: int(m[2]) for p in path.parts[-3:-1] if (m := _FOLDER.fullmatch(p))}
    if len(found) != 2:
        raise FormatError(
            f"{path} is not in a folder experimentN/recordingN.",
            hint="Give the folders the names back that the GUI gave them.",
        )
    return found["experiment"], found["recording"]


def open_node(path: Path) -> OpenEphysNode:
    """Read what describes the streams of a ``structure.oebin``.

    Parameters
    ----------
    path : Path
        The file, in its place.

    Returns
    -------
    OpenEphysNode

    Raises
    ------
    FormatError
        When it, or the settings, cannot be read.
    """
    structure = parse_structure(path.read_text("utf-8"), path)
    experiment, _ = place_of(path)
    node_folder = path.parents[2]
    own = node_folder / f"settings_{experiment}.xml"
    use_own = experiment > 1 and own.is_file()
    settings = read_settings(own if use_own else node_folder / "settings.xml")
    return _node(structure, settings)


def node_streams(node: OpenEphysNode) -> tuple[list[OpenEphysStream], list[SampleNumbers]]:
    """Return the streams of a node, and the numbers of the samples of each.

    Parameters
    ----------
    node : OpenEphysNode
        The node.

    Returns
    -------
    streams : list of OpenEphysStream
        In the order of ``structure.oebin``.
    numbers : list of SampleNumbers
        Of each.

    Raises
    ------
    FormatError
        When sample numbers are absent or cut.
    """
    recorded = _recorded(node)
    streams, numbers = [], []
    for entry in node.structure.streams:
        counted = read_sample_numbers(node.folder / "continuous" / entry.folder_name)
        numbers.append(counted)
        streams.append(
            describe_stream(
                entry,
                node.names[entry.folder_name],
                node.structure.path,
                n_samples=counted.n_samples,
                first_sample=counted.first,
                recorded=recorded,
                gui_version=node.structure.gui_version,
            )
        )
    return streams, numbers


def stream_of_texts(
    structure_text: str,
    settings_text: str,
    path: Path,
    *,
    size_bytes: int,
    first_sample: int,
) -> OpenEphysStream:
    """Return the description of a ``continuous.dat`` whose surroundings were read elsewhere.

    Parameters
    ----------
    structure_text, settings_text : str
        Of its ``structure.oebin`` and ``settings.xml``.
    path : Path
        Of the ``continuous.dat`` in its recording; it need not be there.
    size_bytes : int
        Size of it.
    first_sample : int
        Number of its first sample.

    Returns
    -------
    OpenEphysStream
        When it was recorded is told only as far as the settings do.

    Raises
    ------
    FormatError
        When a text cannot be read, or does not know the stream.
    """
    structure = parse_structure(structure_text, path.parents[2] / "structure.oebin")
    node = _node(structure, parse_settings(settings_text, path.parents[4] / "settings.xml"))
    for entry in structure.streams:
        if entry.folder_name == path.parent.name:
            return describe_stream(
                entry,
                node.names[entry.folder_name],
                structure.path,
                n_samples=size_bytes // (2 * len(entry.channel_names)),
                first_sample=first_sample,
                recorded=node.settings.saved,
                gui_version=structure.gui_version,
            )
    raise FormatError(
        f"{structure.path} does not know {path.parent.name}.",
        hint="It is of another recording: copy the whole recording from the rig.",
    )


def _node(structure: Structure, settings: OpenEphysSettings) -> OpenEphysNode:
    folders = [(stream.folder_name, stream.processor) for stream in structure.streams]
    return OpenEphysNode(structure, settings, name_streams(folders, settings.probes))


def _recorded(node: OpenEphysNode) -> datetime | None:
    """Return when a recording began, in the rig's time.

    The settings are saved in the rig's time when the experiment begins; how much later the
    recording began is told by the times, in UTC, of it and of the first one.
    """
    saved = node.settings.saved
    own = _unix_s(node.folder)
    first = _unix_s(node.folder.with_name("recording1"))
    if saved is None or own is None or first is None:
        return saved
    return saved + timedelta(seconds=round(own - first))


def _unix_s(folder: Path) -> float | None:
    path = folder / "sync_messages.txt"
    found = _MESSAGES_MS.search(path.read_text("utf-8", "replace")) if path.is_file() else None
    return int(found[1]) / 1000 if found else None
