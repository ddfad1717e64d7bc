"""``settings.xml``: the signal chain of a recording, and the probes in it.

The GUI writes one a Record Node and experiment. Streams of a probe are called after it, with
``-AP`` and ``-LFP`` where it has two bands; streams and probes come in the same order.

Probes are numbered from 0 in the order of the settings: processor, slot, port, dock. All enabled
probes count, recorded or not, so ``imec1`` is the same probe whether or not the first was saved.

Source of the fields: the binary-format page of open-ephys.github.io/gui-docs, and files of GUI
0.6 and 1.0.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from labdata.errors import FormatError
from labdata.formats.probe_geometry import ProbeGeometry

_PROBE_TAG = "NP_PROBE"
#: What probeinterface raises where it does not know a probe.
_READER_FAULTS = (KeyError, ValueError, IndexError, AssertionError, TypeError, AttributeError)
#: Where the user told the GUI to write, and under which name.
_PLACES = ("path", "recordPath", "prependText", "mainText", "appendText")


@dataclass(frozen=True)
class SettingsProbe:
    """A probe of the signal chain.

    Parameters
    ----------
    probe_num : int
        Place among the enabled probes by processor, slot, port and dock, from 0.
    processor_id : int
        Of the processor that it belongs to.
    stream : str
        Name of its streams, without ``-AP`` or ``-LFP``.
    serial : str
        Serial number.
    part_number : str
        Manufacturer's part number, such as ``NP2013``.
    """

    probe_num: int
    processor_id: int
    stream: str
    serial: str
    part_number: str


@dataclass(frozen=True)
class OpenEphysSettings:
    """What labdata reads of a ``settings.xml``.

    Parameters
    ----------
    path : Path
        The file.
    text : str
        Its content.
    saved : datetime or None
        When it was saved, in the rig's local time: at the start of an experiment.
    places : tuple of str
        Folders and names that the user told the GUI to write to.
    probes : tuple of SettingsProbe
        The enabled probes, by number.
    """

    path: Path
    text: str
    saved: datetime | None
    places: tuple[str, ...]
    probes: tuple[SettingsProbe, ...]


def read_settings(path: str | Path) -> OpenEphysSettings:
    """Read a ``settings.xml``.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    OpenEphysSettings

    Raises
    ------
    FormatError
        When it is absent, no XML, or lacks what identifies a probe.
    """
    path = Path(path)
    if not path.is_file():
        raise FormatError(
            f"{path} does not exist.",
            hint="It says which probes were recorded: copy the whole Record Node from the rig.",
        )
    return parse_settings(path.read_text("utf-8"), path)


def parse_settings(text: str, path: str | Path) -> OpenEphysSettings:
    """Interpret the text of a ``settings.xml``.

    Parameters
    ----------
    text : str
        The content.
    path : str or Path
        The file it came from.

    Returns
    -------
    OpenEphysSettings

    Raises
    ------
    FormatError
        As :func:`read_settings`.
    """
    path = Path(path)
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise FormatError(
            f"{path} is no XML: {error}.", hint="It was cut or edited; take the rig's original."
        ) from error
    placed: list[tuple[tuple[int, ...], int, str, str, str]] = []
    for place, processor in enumerate(root.iter("PROCESSOR")):
        node = int(processor.get("nodeId") or processor.get("NodeId") or -1)
        for probe, stream in _probes_of(processor, path):
            where = (place, *(int(probe.get(key) or 0) for key in ("slot", "port", "dock")))
            placed.append((where, node, stream, *_identity(probe, path)))
    placed.sort(key=lambda one: one[0])
    probes = tuple(SettingsProbe(i, *one[1:]) for i, one in enumerate(placed))
    told = [element.get(key, "") for element in root.iter() for key in _PLACES]
    places = tuple(dict.fromkeys(filter(None, told)))
    return OpenEphysSettings(path, text, _when(root.findtext("INFO/DATE")), places, probes)


def find_probe(
    probes: Sequence[SettingsProbe], processor_id: int, stream_name: str
) -> SettingsProbe | None:
    """Return the probe that a stream is of; None if it is of no probe.

    Parameters
    ----------
    probes : sequence of SettingsProbe
        Of the settings.
    processor_id : int
        Of the processor that the stream comes from.
    stream_name : str
        As the GUI calls it, such as ``ProbeA-LFP``.
    """
    base = base_name(stream_name)
    for probe in probes:
        if (probe.processor_id, probe.stream) == (processor_id, base):
            return probe
    return None


def base_name(stream_name: str) -> str:
    """Return the name of a probe's streams without the band.

    Parameters
    ----------
    stream_name : str
        For instance ``ProbeA-AP``.
    """
    return stream_name.removesuffix("-AP").removesuffix("-LFP")


def read_probe(
    settings: OpenEphysSettings,
    probe: SettingsProbe,
    folder_name: str,
    uv_per_bit: dict[str, Any],
) -> ProbeGeometry:
    """Return where the contacts of a probe are.

    Parameters
    ----------
    settings : OpenEphysSettings
        Of the recording.
    probe : SettingsProbe
        One of its probes.
    folder_name : str
        Of its AP stream, such as ``Neuropix-PXI-100.ProbeA-AP``.
    uv_per_bit : dict of str to ndarray of float64, shape (n_channels,)
        Microvolts a bit of its recorded channels, a band.

    Returns
    -------
    ProbeGeometry
        One entry a recorded AP channel, in file order.

    Raises
    ------
    FormatError
        When the probe is not known to probeinterface, or its channels are not the recorded ones.
    """
    found = _with_probeinterface(settings, probe, folder_name)
    n_channels = len(uv_per_bit["ap"])
    if found.get_contact_count() != n_channels:
        raise FormatError(
            f"{settings.path} has {found.get_contact_count()} contacts of probe {probe.serial}, "
            f"{n_channels} channels of {folder_name} were recorded.",
            hint="Which of the contacts they are is not told: record all channels of the probe, "
            "or store the files with -r none.",
        )
    shanks = np.zeros(n_channels, np.int64)
    if found.shank_ids is not None:
        shanks = np.array([int(s) if str(s) else 0 for s in found.shank_ids], np.int64)
    return ProbeGeometry(
        probe_id=probe.serial,
        part_number=probe.part_number,
        probe_type=probe.part_number,
        n_shanks=max(_shank_count(probe.part_number), int(shanks.max(initial=0)) + 1),
        positions_um=np.asarray(found.contact_positions, np.float64),
        shank=shanks,
        channel_idx=np.arange(n_channels, dtype=np.int64),
        uv_per_bit=uv_per_bit,
    )


def _probes_of(
    processor: ElementTree.Element, path: Path
) -> list[tuple[ElementTree.Element, str]]:
    """Return the enabled probes of a processor, each with the name of its streams."""
    probes = [p for p in processor.iter(_PROBE_TAG) if p.get("isEnabled", "1") != "0"]
    if not probes:
        return []
    streams = [stream.get("name", "") for stream in processor.findall("STREAM")]
    names = list(dict.fromkeys(base_name(s) for s in streams if "ADC" not in s))
    if len(names) != len(probes):
        raise FormatError(
            f"{path} has {len(probes)} probes and {len(names)} names of their streams"
            f" ({', '.join(names) or 'none'}), so none can be told from another.",
            hint="GUI 0.6 and later write a STREAM a probe; store older files with -r none.",
        )
    return list(zip(probes, names, strict=True))


def _identity(probe: ElementTree.Element, path: Path) -> tuple[str, str]:
    serial, part = probe.get("probe_serial_number", ""), probe.get("probe_part_number", "")
    if not serial or not part:
        raise FormatError(
            f"{path} has a probe without {'serial' if not serial else 'part'} number.",
            hint="Add it from the probe's label: two probes must not share an identity.",
        )
    return serial, part


def _when(text: str | None) -> datetime | None:
    try:
        return datetime.strptime(text or "", "%d %b %Y %H:%M:%S")
    except ValueError:
        return None


def _with_probeinterface(
    settings: OpenEphysSettings, probe: SettingsProbe, folder_name: str
) -> Any:
    import probeinterface

    # its name before 0.4
    read = getattr(probeinterface, "read_openephys_neuropixels", probeinterface.read_openephys)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "settings.xml"
        copy.write_text(settings.text, "utf-8")
        try:
            found = read(copy, stream_name=folder_name, raise_error=False)
        except _READER_FAULTS as error:
            raise _unknown(settings, probe, f": {error}") from error
    if found is None:
        raise _unknown(settings, probe, "")
    if str(found.serial_number) != probe.serial:
        raise FormatError(
            f"{settings.path}: the names of several probes are part of {folder_name!r} "
            f"(probe {found.serial_number} was found for {probe.serial}).",
            hint="Give the probes names of which none is part of another, in a copy of the file.",
        )
    return found


def _unknown(settings: OpenEphysSettings, probe: SettingsProbe, why: str) -> FormatError:
    import probeinterface

    return FormatError(
        f"{settings.path}: the contacts of probe {probe.serial} ({probe.part_number}) are not "
        f"known to probeinterface {probeinterface.__version__}{why}.",
        hint="A newer probeinterface may know them (pip install -U probeinterface); plugins "
        "before Neuropix-PXI 0.3.3 did not write them.",
    )


def _shank_count(part_number: str) -> int:
    from probeinterface import neuropixels_tools

    build = getattr(neuropixels_tools, "build_neuropixels_probe", None)
    if build is None:
        return 1
    shank_ids = build(part_number).shank_ids
    return 1 if shank_ids is None else len({str(s) for s in shank_ids})
