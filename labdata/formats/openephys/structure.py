"""``structure.oebin``: which streams a recording has, and what their channels are.

Bits are microvolts times ``bit_volts`` of electrodes, and volts times ``bit_volts`` of analog
inputs: files of GUI 1.0 say the unit, older ones leave it empty. A channel that carries the sync
line (``AP_SYNC``) is no voltage: it counts as a digital word.

Source of the fields: the binary-format page of open-ephys.github.io/gui-docs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labdata.errors import FormatError

_MICROVOLTS = {"uV": 1.0, "µV": 1.0, "mV": 1e3, "V": 1e6}
#: ``type`` of a channel in files of GUI 1.0.
_ANALOG_TYPES = (1, 2)


@dataclass(frozen=True)
class StreamEntry:
    """What a ``structure.oebin`` says of one stream.

    Parameters
    ----------
    folder_name : str
        Folder of the stream within ``continuous``, such as ``Neuropix-PXI-100.ProbeA-AP``.
    gui_name : str
        As the GUI calls the stream; empty before GUI 0.6.
    processor : str
        The source, such as ``Neuropix-PXI`` or ``NI-DAQmx``.
    processor_id : int
        Of the source.
    sampling_rate_hz : float
        Nominal rate.
    channel_names : tuple of str
        Of each column.
    uv_per_bit : tuple of float
        Microvolts a bit of each column; NaN of one that carries the sync line.
    entry : Mapping
        The whole entry, as it stands in the file.
    """

    folder_name: str
    gui_name: str
    processor: str
    processor_id: int
    sampling_rate_hz: float
    channel_names: tuple[str, ...]
    uv_per_bit: tuple[float, ...]
    entry: Mapping[str, Any]


@dataclass(frozen=True)
class TTLEntry:
    """A folder of edges.

    Parameters
    ----------
    folder_name : str
        Within ``events``, such as ``Neuropix-PXI-100.ProbeA-AP/TTL``.
    sampling_rate_hz : float
        Nominal rate of its stream.
    processor : str
        The source.
    """

    folder_name: str
    sampling_rate_hz: float
    processor: str

    @property
    def stream_folder(self) -> str:
        """Folder of the continuous stream on whose clock the edges are."""
        return self.folder_name.split("/")[0]


@dataclass(frozen=True)
class Structure:
    """What a ``structure.oebin`` says.

    Parameters
    ----------
    path : Path
        The file.
    gui_version : str
        Of the Open Ephys GUI.
    streams : tuple of StreamEntry
        In file order.
    lines : tuple of TTLEntry
        In file order.
    """

    path: Path
    gui_version: str
    streams: tuple[StreamEntry, ...]
    lines: tuple[TTLEntry, ...]


def parse_structure(text: str, path: str | Path) -> Structure:
    """Interpret the text of a ``structure.oebin``.

    Parameters
    ----------
    text : str
        The content.
    path : str or Path
        The file it came from.

    Returns
    -------
    Structure

    Raises
    ------
    FormatError
        When it is no JSON, or lacks a field; the first that lacks is named.
    """
    path = Path(path)
    try:
        content = json.loads(text)
        version = str(content["GUI version"])
        streams = tuple(parse_entry(entry, path) for entry in content["continuous"])
        lines = tuple(
            TTLEntry(
                folder_name=str(entry["folder_name"]).strip("/"),
                sampling_rate_hz=float(entry["sample_rate"]),
                processor=str(entry.get("source_processor", "")),
            )
            for entry in content.get("events", ())
            if "TTL" in str(entry["folder_name"])
        )
    except ValueError as error:
        raise FormatError(
            f"{path} is no JSON: {error}.",
            hint="It was cut or edited, or the GUI crashed while it was written; take the rig's "
            "original.",
        ) from error
    except KeyError as error:
        raise _lacks(path, error) from error
    return Structure(path, version, streams, lines)


def parse_entry(entry: Mapping[str, Any], path: Path) -> StreamEntry:
    """Interpret what is said of one stream.

    Parameters
    ----------
    entry : Mapping
        A member of ``continuous``.
    path : Path
        The file, for messages.

    Returns
    -------
    StreamEntry

    Raises
    ------
    FormatError
        When a field lacks, or a number makes no sense.
    """
    try:
        channels = entry["channels"]
        processor = str(entry["source_processor_name"])
        found = StreamEntry(
            folder_name=str(entry["folder_name"]).strip("/"),
            gui_name=str(entry.get("stream_name", "")),
            processor=processor,
            processor_id=int(entry["source_processor_id"]),
            sampling_rate_hz=float(entry["sample_rate"]),
            channel_names=tuple(str(channel["channel_name"]) for channel in channels),
            uv_per_bit=tuple(_microvolts(channel, processor, path) for channel in channels),
            entry=entry,
        )
    except KeyError as error:
        raise _lacks(path, error) from error
    if int(entry.get("num_channels", len(channels))) != len(channels) or not channels:
        raise FormatError(
            f"{path}: {found.folder_name} has num_channels={entry.get('num_channels')} and "
            f"describes {len(channels)}.",
            hint="The file was edited or is damaged; take the rig's original.",
        )
    if not 0 < found.sampling_rate_hz < float("inf"):
        raise FormatError(
            f"{path}: the sample_rate of {found.folder_name} is {found.sampling_rate_hz}.",
            hint="The file was edited or is damaged; take the rig's original.",
        )
    return found


def _microvolts(channel: Mapping[str, Any], processor: str, path: Path) -> float:
    name, unit = str(channel["channel_name"]), str(channel.get("units", ""))
    if "SYNC" in name.upper():
        return float("nan")
    bit = float(channel["bit_volts"])
    if not 0 < abs(bit) < float("inf"):
        raise FormatError(
            f"{path}: bit_volts of {name} is {bit:g}.",
            hint="The file was edited or is damaged; take the rig's original.",
        )
    if unit:
        if unit not in _MICROVOLTS:
            raise FormatError(
                f"{path}: {name} is in {unit!r}.", hint=f"Known: {', '.join(_MICROVOLTS)}."
            )
        return bit * _MICROVOLTS[unit]
    analog = (
        channel.get("type") in _ANALOG_TYPES
        or "ADC" in name
        or "AUX" in name
        or "NI-DAQ" in processor
    )
    return bit * _MICROVOLTS["V" if analog else "uV"]


def _lacks(path: Path, error: KeyError) -> FormatError:
    return FormatError(
        f"{path} lacks {error.args[0]!r}.",
        hint="It was edited, or is of a GUI that labdata does not know; take the rig's original.",
    )
