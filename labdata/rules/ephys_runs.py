"""What the ephys rule asks of a recording, whichever program made it, and how it is found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from ..errors import RuleError
from ..formats import openephys, spikeglx
from ..formats.event_lines import DigitalLine
from ..formats.probe_geometry import ProbeGeometry
from ..formats.stream_description import StreamDescription


class EphysRun(Protocol):
    """One gate and trigger of SpikeGLX, or one recording of Open Ephys."""

    @property
    def name(self) -> str:
        """As the acquisition program calls it."""
        ...

    @property
    def epoch_name(self) -> str:
        """Of the run of the acquisition, from whose start samples are numbered."""
        ...

    @property
    def streams(self) -> Sequence[StreamDescription]:
        """One a file of samples, by name."""
        ...

    def said(self) -> dict[str, str]:
        """Return what the program and its user wrote, by where it was found."""
        ...

    def check(self) -> None:
        """Raise FormatError if samples are absent or cut."""
        ...

    def digital_lines(self, stream: Any, /) -> list[DigitalLine]:
        """Return the edges of every line of a stream.

        Parameters
        ----------
        stream : StreamDescription
            One of :attr:`streams`.
        """
        ...

    def probe(self, stream: Any, /) -> ProbeGeometry:
        """Return where the contacts of a probe are.

        Parameters
        ----------
        stream : StreamDescription
            Its AP band, of :attr:`streams`.
        """
        ...

    def description_files(self, stream: Any, /) -> tuple[Path, ...]:
        """Return the files that are needed beside the samples of a stream, to open it.

        Parameters
        ----------
        stream : StreamDescription
            One of :attr:`streams`.
        """
        ...


def find_runs(folder: Path) -> list[EphysRun]:
    """Return the runs of SpikeGLX and the recordings of Open Ephys in a folder.

    Parameters
    ----------
    folder : Path
        The folder of a dataset.

    Raises
    ------
    RuleError
        If there are none, or both kinds.
    FormatError
        If a file of one lacks, or contradicts another.
    """
    of_spikeglx: list[EphysRun] = [*spikeglx.find_runs(folder)]
    of_openephys: list[EphysRun] = [*openephys.find_recordings(folder)]
    if of_spikeglx and of_openephys:
        raise RuleError(
            f"{folder} holds {of_spikeglx[0].name} of SpikeGLX and {of_openephys[0].name} of Open "
            "Ephys.",
            hint="Put each as a dataset of its own, with -d.",
        )
    if not of_spikeglx and not of_openephys:
        raise RuleError(
            f"There is no SpikeGLX run and no Open Ephys recording in {folder}.",
            hint="Give the folder that holds the <run>_g0_t0.*.bin and .meta files, or the Record "
            "Node, or say -r none to store any files as they are.",
        )
    return of_spikeglx or of_openephys
