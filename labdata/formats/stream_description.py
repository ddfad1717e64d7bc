"""What is said of a stream of samples beside the samples themselves, whichever program wrote it.

SpikeGLX writes a ``.meta`` a stream; Open Ephys tells of all streams of a recording in one file.
Both are read into this, so that a band can be opened, compressed, stored and described without
a question about where it came from.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Protocol


class StreamDescription(Protocol):
    """One stream of equally spaced samples; the members are as in ``SpikeGLXMeta``."""

    @property
    def kind(self) -> str:
        """Which reader understands :attr:`text`: ``spikeglx`` or ``openephys``."""
        ...

    @property
    def path(self) -> Path:
        """The file that describes the stream."""
        ...

    @property
    def bin_path(self) -> Path:
        """The file that holds its samples."""
        ...

    @property
    def text(self) -> str:
        """All that is known of the stream; it is kept with compressed samples."""
        ...

    @property
    def name(self) -> str:
        """Stream and band: ``imec0.ap``, ``imec0.lf``, ``nidq``."""
        ...

    @property
    def stream_name(self) -> str:
        """Device: ``imec0``, ``nidq``, ``obx0``."""
        ...

    @property
    def band(self) -> str:
        """``ap`` or ``lf`` of a probe, else the kind of device."""
        ...

    @property
    def probe_num(self) -> int | None:
        """Number of the probe; None of other devices."""
        ...

    @property
    def sampling_rate_hz(self) -> float:
        """Samples per second on the stream's own clock."""
        ...

    @property
    def n_samples(self) -> int:
        """Samples a channel."""
        ...

    @property
    def n_channels(self) -> int:
        """Columns, digital words included."""
        ...

    @property
    def duration_s(self) -> float:
        """Length on the stream's own clock, in seconds."""
        ...

    @property
    def first_sample(self) -> int:
        """Number of the first sample since acquisition began."""
        ...

    @property
    def recorded(self) -> datetime | None:
        """When the recording began, in the rig's local time, if it is known."""
        ...

    @property
    def software(self) -> str:
        """Name and version of the acquisition program."""
        ...

    def channel_name(self, column: int) -> str:
        """Return the name of a column, such as ``XA0``.

        Parameters
        ----------
        column : int
            Position among the saved channels.
        """
        ...

    def first_bit(self, column: int) -> int:
        """Return the number of the line in bit 0 of a column that holds digital words.

        Parameters
        ----------
        column : int
            Position among the saved channels.
        """
        ...
