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


def only_run(folder: Path) -> EphysRun:
    """Return the one recording of a folder.

    Parameters
    ----------
    folder : Path
        The folder of a dataset.

    Raises
    ------
    RuleError
        If there is none, or several.
    FormatError
        If a file of it lacks, or contradicts another.
    """
    runs: list[EphysRun] = [*spikeglx.find_runs(folder), *openephys.find_recordings(folder)]
    if not runs:
        raise RuleError(
            f"There is no SpikeGLX run and no Open Ephys recording in {folder}.",
            hint="Give the folder that holds the <run>_g0_t0.*.bin and .meta files, or the Record "
            "Node, or say -r none to store any files as they are.",
        )
    if len(runs) != 1:
        names = ", ".join(run.name for run in runs)
        raise RuleError(
            f"{folder} holds {len(runs)} runs ({names}), where a dataset is one run.",
            hint="Put each run's folder as a dataset of its own, with -d.",
        )
    return runs[0]
