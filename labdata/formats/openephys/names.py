"""What labdata calls the streams of an Open Ephys recording.

=================================  ============================  =======
Stream of the GUI                  Name                          Band
=================================  ============================  =======
``ProbeA-AP``, ``ProbeA``          ``imec`` + number of probe    ``ap``
``ProbeA-LFP``                     ``imec`` + number of probe    ``lf``
of NI-DAQmx                        ``nidq``, ``nidq1``, ...
analog inputs of a OneBox          ``obx0``, ``obx1``, ...
any other                          its folder's name
=================================  ============================  =======

The number of a probe is its place among the enabled probes of ``settings.xml``, ordered by
processor, slot, port and dock: see :mod:`~labdata.formats.openephys.settings`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labdata.formats.openephys.settings import SettingsProbe, find_probe


@dataclass(frozen=True)
class StreamName:
    """The name of a stream.

    Parameters
    ----------
    stream_name : str
        ``imec0``, ``nidq``, ...
    band : str
        ``ap`` or ``lf`` of a probe, ``nidq``, ``obx`` or ``other``.
    probe : SettingsProbe or None
        The probe that it is of.
    """

    stream_name: str
    band: str
    probe: SettingsProbe | None


def name_streams(
    folders: Iterable[tuple[str, str]], probes: Sequence[SettingsProbe]
) -> dict[str, StreamName]:
    """Return the names of a recording's streams.

    Parameters
    ----------
    folders : iterable of (str, str)
        Folder of each stream, such as ``Neuropix-PXI-100.ProbeA-AP``, and its processor.
    probes : sequence of SettingsProbe
        Of the settings.

    Returns
    -------
    dict of str to StreamName
        By folder.
    """
    found: dict[str, StreamName] = {}
    n_nidq = n_obx = 0
    for folder, processor in sorted(dict.fromkeys(folders)):
        probe = _probe_of(folder, probes)
        if probe is not None:
            band = "lf" if folder.endswith("-LFP") else "ap"
            found[folder] = StreamName(f"imec{probe.probe_num}", band, probe)
        elif "NI-DAQ" in processor:
            found[folder] = StreamName(f"nidq{n_nidq or ''}", "nidq", None)
            n_nidq += 1
        elif "OneBox" in processor:
            found[folder] = StreamName(f"obx{n_obx}", "obx", None)
            n_obx += 1
        else:
            found[folder] = StreamName(folder, "other", None)
    return found


def _probe_of(folder: str, probes: Sequence[SettingsProbe]) -> SettingsProbe | None:
    """Return the probe of a folder ``<processor>-<number>.<stream>``."""
    source, _, gui_name = folder.partition(".")
    number = source.rpartition("-")[2]
    return find_probe(probes, int(number), gui_name) if number.isdigit() else None
