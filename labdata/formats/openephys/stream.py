"""One stream of an Open Ephys recording, and the text that is kept with its compressed samples.

The GUI spreads what there is to know of a stream over ``structure.oebin``, ``settings.xml``,
``sample_numbers.npy`` and ``sync_messages.txt``. The text gathers it: the entry of the stream as
it stands in ``structure.oebin``, and beside it what came from the others.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdata.errors import FormatError
from labdata.formats.openephys.names import StreamName
from labdata.formats.openephys.structure import StreamEntry, parse_entry

_LAYOUT = "labdata-openephys-1"
#: Name of the file of samples.
DATA_NAME = "continuous.dat"


@dataclass(frozen=True)
class OpenEphysStream:
    """The description of one stream; see ``StreamDescription`` for what others have, too.

    Parameters
    ----------
    path : Path
        The recording's ``structure.oebin``.
    text : str
        All below, as JSON.
    entry : StreamEntry
        What ``structure.oebin`` says.
    stream_name, band : str
        As :mod:`~labdata.formats.openephys.names` has them.
    probe_num : int or None
        Number of the probe.
    n_samples : int
        Samples a channel.
    first_sample : int
        Sample number of the first since acquisition began.
    recorded : datetime or None
        When the recording began, in the rig's local time.
    software : str
        ``Open Ephys GUI`` and its version.
    """

    path: Path
    text: str
    entry: StreamEntry
    stream_name: str
    band: str
    probe_num: int | None
    n_samples: int
    first_sample: int
    recorded: datetime | None
    software: str

    @property
    def kind(self) -> str:
        """``openephys``: the reader that understands :attr:`text`."""
        return "openephys"

    @property
    def name(self) -> str:
        """Stream and band: ``imec0.ap``, ``imec0.lf``, ``nidq``."""
        return f"{self.stream_name}.{self.band}" if self.band in ("ap", "lf") else self.stream_name

    @property
    def bin_path(self) -> Path:
        """The stream's ``continuous.dat``."""
        return self.path.parent / "continuous" / self.entry.folder_name / DATA_NAME

    @property
    def sampling_rate_hz(self) -> float:
        """Nominal samples per second."""
        return self.entry.sampling_rate_hz

    @property
    def n_channels(self) -> int:
        """Columns, that of the sync line included."""
        return len(self.entry.channel_names)

    @property
    def duration_s(self) -> float:
        """Length of the recording on the stream's own clock, in seconds."""
        return self.n_samples / self.sampling_rate_hz

    @property
    def uv_per_bit(self) -> NDArray[np.float64]:
        """Microvolts a bit, float64 (n_channels,); NaN of the sync line."""
        return np.array(self.entry.uv_per_bit, np.float64)

    def channel_name(self, column: int) -> str:
        """Return the name of a column as the GUI has it, such as ``AI0`` or ``AP1``.

        Parameters
        ----------
        column : int
            Position in the file.
        """
        return self.entry.channel_names[column]

    def first_bit(self, column: int) -> int:
        """Return the number of the line in bit 0 of the sync column: 0.

        Parameters
        ----------
        column : int
            Position in the file.
        """
        del column
        return 0


def describe_stream(
    entry: StreamEntry,
    name: StreamName,
    path: Path,
    *,
    n_samples: int,
    first_sample: int,
    recorded: datetime | None,
    gui_version: str,
) -> OpenEphysStream:
    """Gather what is known of a stream.

    Parameters
    ----------
    entry : StreamEntry
        What ``structure.oebin`` says.
    name : StreamName
        What labdata calls it.
    path : Path
        The ``structure.oebin``.
    n_samples, first_sample : int
        Samples a channel, and the number of the first.
    recorded : datetime or None
        When the recording began, in the rig's local time.
    gui_version : str
        Of the GUI.

    Returns
    -------
    OpenEphysStream
    """
    text = json.dumps(
        {
            "layout": _LAYOUT,
            "gui_version": gui_version,
            "recorded": recorded.isoformat() if recorded else None,
            "stream_name": name.stream_name,
            "band": name.band,
            "probe_num": name.probe.probe_num if name.probe else None,
            "n_samples": n_samples,
            "first_sample": first_sample,
            "continuous": entry.entry,
        },
        indent=1,
    )
    return parse_stream(text, path)


def parse_stream(text: str, path: str | Path) -> OpenEphysStream:
    """Interpret the text that is kept with compressed samples.

    Parameters
    ----------
    text : str
        The text of an :class:`OpenEphysStream`.
    path : str or Path
        The ``structure.oebin``, or its name.

    Returns
    -------
    OpenEphysStream

    Raises
    ------
    FormatError
        When it is not such a text.
    """
    path = Path(path)
    try:
        content: dict[str, Any] = json.loads(text)
        when = content["recorded"]
        _check_layout(content["layout"], path)
        return OpenEphysStream(
            path=path,
            text=text,
            entry=parse_entry(content["continuous"], path),
            stream_name=str(content["stream_name"]),
            band=str(content["band"]),
            probe_num=content["probe_num"],
            n_samples=int(content["n_samples"]),
            first_sample=int(content["first_sample"]),
            recorded=datetime.fromisoformat(when) if when else None,
            software=f"Open Ephys GUI {content['gui_version']}",
        )
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(
            f"The description of a stream beside {path.name} is not one ({error}).",
            hint="The file is damaged, or of a newer labdata.",
        ) from error


def _check_layout(layout: Any, path: Path) -> None:
    if layout != _LAYOUT:
        raise FormatError(
            f"The description of a stream beside {path.name} has the layout {layout!r}.",
            hint="pip install --upgrade labdata-jupyter",
        )
