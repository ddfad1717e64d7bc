"""An Open Ephys recording of which every sample and edge is known.

Probes of noise, an NI-DAQ with a photodiode, and the pulses that all of them see. It is small: it
is for readers and upload, not for sorting.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdata.testing.probes import ProbeSpec, Wiring, wire

_AP_HZ, _LF_HZ, _NIDQ_HZ = 30_000.0, 2_500.0, 30_000.0
_UV_PER_BIT = 0.195
#: Volts a bit of the NI-DAQ: 10 V over 16 bits.
VOLTS_PER_BIT = 20.0 / 65536
#: Processors of the signal chain, and the node that records them.
_NEUROPIX, _NIDQ, _NODE = 100, 103, 104


@dataclass(frozen=True, eq=False)
class OpenEphysTruth:
    """What :func:`write_openephys_recording` wrote.

    Parameters
    ----------
    folder : Path
        The Record Node.
    recording : Path
        The folder of the recording.
    serials : tuple of str
        Of the probes, by number.
    wirings : tuple of Wiring
        Contacts of the probes, by number.
    samples : dict of str to ndarray of int16, shape (n_samples, n_channels)
        By the folder of the stream.
    first_samples : dict of str to int
        Number of each stream's first sample.
    edges : dict of str to dict of int to (ndarray of int64, ndarray of int8)
        Sample from the stream's first, and value, of each bit of each stream.
    """

    folder: Path
    recording: Path
    serials: tuple[str, ...]
    wirings: tuple[Wiring, ...]
    samples: dict[str, NDArray[np.int16]] = field(default_factory=dict)
    first_samples: dict[str, int] = field(default_factory=dict)
    edges: dict[str, dict[int, tuple[NDArray[np.int64], NDArray[np.int8]]]] = field(
        default_factory=dict
    )


def write_openephys_recording(
    folder: str | Path,
    *,
    probes: Sequence[ProbeSpec] = (ProbeSpec(n_channels=16),),
    duration_s: float = 2.0,
    experiment: int = 1,
    recording: int = 1,
    start_s: float = 12.5,
    acquired: datetime = datetime(2024, 3, 5, 10),
    nidq: bool = True,
    seed: int = 0,
    message: str = "",
) -> OpenEphysTruth:
    """Write ``<folder>/Record Node 104/experimentN/recordingM``.

    Every stream has pulses of 0.25 s at 2 Hz on line 1 (bit 0), seen at its own rate; line 3
    (bit 2) of the NI-DAQ has a pulse of 10 ms in each of them. ``AI0`` of the NI-DAQ is at 0.2 V,
    and at 3 V in each pulse of line 1; ``AI1`` is noise.

    Parameters
    ----------
    folder : str or Path
        Where to put the Record Node; made if absent.
    probes : sequence of ProbeSpec, optional
        The probes, of which part number, channels and shanks are used.
    duration_s : float, optional
        Length of the recording, in seconds.
    experiment, recording : int, optional
        Numbers in the names of the folders.
    start_s : float, optional
        When it began after the start of acquisition, in seconds.
    acquired : datetime, optional
        When the acquisition of the experiment began.
    nidq : bool, optional
        Write the NI-DAQ.
    seed : int, optional
        Of the noise.
    message : str, optional
        What its user typed while it ran.

    Returns
    -------
    OpenEphysTruth
    """
    node = Path(folder) / f"Record Node {_NODE}"
    place = node / f"experiment{experiment}" / f"recording{recording}"
    wirings = tuple(wire(spec) for spec in probes)
    serials = tuple(f"2300000000{i}" for i in range(len(probes)))
    truth = OpenEphysTruth(node, place, serials, wirings)
    noise = np.random.default_rng(seed)
    written = _Writer(truth, duration_s, start_s, noise)
    for number, spec in enumerate(probes):
        letter = chr(ord("A") + number)
        if spec.model.lf_gain is None:
            written.probe(f"Probe{letter}", _AP_HZ, spec.n_channels, "CH")
        else:
            written.probe(f"Probe{letter}-AP", _AP_HZ, spec.n_channels, "AP")
            written.probe(f"Probe{letter}-LFP", _LF_HZ, spec.n_channels, "LFP")
    if nidq:
        written.nidq()
    if message:
        written.message(message)
    structure = {"GUI version": "0.6.7", **written.structure, "spikes": []}
    (place / "structure.oebin").write_text(json.dumps(structure, indent=2), "utf-8")
    began = acquired.replace(tzinfo=UTC) + timedelta(seconds=start_s)
    messages = f"Software Time (milliseconds since midnight Jan 1st 1970 UTC): {_ms(began)}\n"
    (place / "sync_messages.txt").write_text(messages, "utf-8")
    name = "settings.xml" if experiment == 1 else f"settings_{experiment}.xml"
    (node / name).write_text(_settings(probes, wirings, serials, acquired), "utf-8")
    return truth


@dataclass
class _Writer:
    """Writes streams one after another, and gathers what ``structure.oebin`` says of them."""

    truth: OpenEphysTruth
    duration_s: float
    start_s: float
    noise: np.random.Generator
    structure: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {"continuous": [], "events": []}
    )

    def probe(self, name: str, rate_hz: float, n_channels: int, prefix: str) -> None:
        """Write one band of a probe; its last column is the sync line."""
        n_samples = round(self.duration_s * rate_hz)
        data = self.noise.normal(0, 40, (n_samples, n_channels + 1)).astype("<i2")
        on = self._pulses(n_samples, rate_hz)
        data[:, -1] = on
        names = [f"{prefix}{i + 1}" for i in range(n_channels)]
        channels = [_channel(name, _UV_PER_BIT) for name in names]
        channels.append(_channel(f"{prefix}_SYNC", 1.0))
        folder = f"Neuropix-PXI-{_NEUROPIX}.{name}"
        self._stream(folder, ("Neuropix-PXI", _NEUROPIX, name), rate_hz, channels, data)
        self._edges(folder, rate_hz, {0: on})

    def nidq(self) -> None:
        """Write the NI-DAQ with two analog inputs."""
        n_samples = round(self.duration_s * _NIDQ_HZ)
        on = self._pulses(n_samples, _NIDQ_HZ)
        volts = np.stack([0.2 + 2.8 * on, np.zeros(n_samples)], axis=1)
        volts += self.noise.normal(0, 0.02, volts.shape)
        data = np.round(volts / VOLTS_PER_BIT).astype("<i2")
        folder = f"NI-DAQmx-{_NIDQ}.PXIe-6341"
        channels = [_channel(f"AI{i}", VOLTS_PER_BIT) for i in range(2)]
        self._stream(folder, ("NI-DAQmx", _NIDQ, "PXIe-6341"), _NIDQ_HZ, channels, data)
        within_s = (np.arange(n_samples) / _NIDQ_HZ) % 0.5
        short = ((within_s > 0.2) & (within_s < 0.21)).astype(np.int8)
        self._edges(folder, _NIDQ_HZ, {0: on, 2: short})

    def message(self, text: str) -> None:
        """Write a message of the user."""
        folder = self.truth.recording / "events" / "MessageCenter"
        folder.mkdir(parents=True)
        np.save(folder / "text.npy", np.array([text.encode()]))
        np.save(folder / "sample_numbers.npy", np.array([1], np.int64))

    def _pulses(self, n_samples: int, rate_hz: float) -> NDArray[np.int8]:
        within_s = (np.arange(n_samples) / rate_hz + 0.37) % 0.5
        return (within_s < 0.25).astype(np.int8)

    def _stream(
        self,
        folder: str,
        source: tuple[str, int, str],
        rate_hz: float,
        channels: list[dict[str, Any]],
        data: NDArray[np.int16],
    ) -> None:
        first = round(self.start_s * rate_hz)
        place = self.truth.recording / "continuous" / folder
        place.mkdir(parents=True)
        data.tofile(place / "continuous.dat")
        numbers = np.arange(first, first + len(data), dtype=np.int64)
        np.save(place / "sample_numbers.npy", numbers)
        np.save(place / "timestamps.npy", numbers / rate_hz)
        self.truth.samples[folder], self.truth.first_samples[folder] = data, first
        processor, number, name = source
        self.structure["continuous"].append(
            {
                "folder_name": f"{folder}/",
                "sample_rate": rate_hz,
                "source_processor_name": processor,
                "source_processor_id": number,
                "stream_name": name,
                "recorded_processor": "Record Node",
                "recorded_processor_id": _NODE,
                "num_channels": len(channels),
                "channels": channels,
            }
        )

    def _edges(self, folder: str, rate_hz: float, lines: dict[int, NDArray[np.int8]]) -> None:
        found = {}
        for bit, levels in lines.items():
            at = np.flatnonzero(np.diff(levels)) + 1
            found[bit] = (at, levels[at])
        self.truth.edges[folder] = found
        samples = np.concatenate([at for at, _ in found.values()])
        states = np.concatenate(
            [np.where(values > 0, 1, -1) * (bit + 1) for bit, (_, values) in found.items()]
        )
        order = np.argsort(samples, kind="stable")
        place = self.truth.recording / "events" / folder / "TTL"
        place.mkdir(parents=True)
        numbers = samples[order] + self.truth.first_samples[folder]
        np.save(place / "states.npy", states[order].astype(np.int16))
        np.save(place / "sample_numbers.npy", numbers)
        np.save(place / "timestamps.npy", numbers / rate_hz)
        words = np.cumsum([2 ** (abs(s) - 1) * np.sign(s) for s in states[order].tolist()])
        np.save(place / "full_words.npy", (words - words.min(initial=0)).astype(np.uint64))
        processor = folder.rpartition("-")[0]
        self.structure["events"].append(
            {
                "folder_name": f"{folder}/TTL/",
                "channel_name": "Sync",
                "sample_rate": rate_hz,
                "type": "int16",
                "source_processor": processor,
                "stream_name": folder.partition(".")[2],
                "initial_state": 0,
            }
        )


def _channel(name: str, bit_volts: float) -> dict[str, Any]:
    return {
        "channel_name": name,
        "description": "",
        "identifier": "",
        "history": "",
        "bit_volts": bit_volts,
        "units": "",
    }


def _ms(when: datetime) -> int:
    return round(when.timestamp() * 1000)


def _settings(
    probes: Sequence[ProbeSpec],
    wirings: Sequence[Wiring],
    serials: Sequence[str],
    acquired: datetime,
) -> str:
    streams, entries = [], []
    for number, (spec, wiring) in enumerate(zip(probes, wirings, strict=True)):
        letter = chr(ord("A") + number)
        bands = [""] if spec.model.lf_gain is None else ["-AP", "-LFP"]
        streams += [f'<STREAM name="Probe{letter}{band}"/>' for band in bands]
        entries.append(_probe_entry(spec, wiring, serials[number], number))
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<SETTINGS>
  <INFO><VERSION>0.6.7</VERSION><DATE>{acquired:%d %b %Y %H:%M:%S}</DATE></INFO>
  <SIGNALCHAIN>
    <PROCESSOR name="Neuropix-PXI" libraryVersion="0.6.0" nodeId="{_NEUROPIX}">
      {"".join(streams)}
      <EDITOR>{"".join(entries)}</EDITOR>
    </PROCESSOR>
    <PROCESSOR name="NI-DAQmx" nodeId="{_NIDQ}"/>
    <PROCESSOR name="Record Node" nodeId="{_NODE}"/>
  </SIGNALCHAIN>
  <CONTROLPANEL recordPath="D:\\data" recordEngine="BINARY"/>
</SETTINGS>
"""


def _probe_entry(spec: ProbeSpec, wiring: Wiring, serial: str, number: int) -> str:
    """Return what the settings say of a probe; its channels are numbered as they are saved."""
    keys = [f"CH{i}" for i in range(spec.n_channels)]
    channels = [f"0:{shank}" if spec.model.n_shanks > 1 else "0" for shank in wiring.shank]
    tables = {
        "CHANNELS": channels,
        "ELECTRODE_XPOS": [f"{x:g}" for x in wiring.positions_um[:, 0] + 11],
        "ELECTRODE_YPOS": [f"{y:g}" for y in wiring.positions_um[:, 1]],
    }
    content = ""
    for tag, values in tables.items():
        pairs = " ".join(f'{key}="{value}"' for key, value in zip(keys, values, strict=True))
        content += f"<{tag} {pairs}/>"
    return (
        f'<NP_PROBE slot="2" port="{number + 1}" dock="1" probe_serial_number="{serial}" '
        f'probe_part_number="{spec.part_number}">{content}</NP_PROBE>'
    )
