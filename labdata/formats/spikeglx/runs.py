"""Which files of a folder make up a run.

SpikeGLX names its files ``<run>_g<gate>_t<trigger>.<stream>``. One gate and trigger of one run is
one recording, whichever folders its probes were written to. Probes are known by the number in
their file's name, so a run that holds only ``imec1`` holds probe 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from labdata.errors import FormatError
from labdata.formats.event_lines import DigitalLine
from labdata.formats.probe_geometry import ProbeGeometry
from labdata.formats.spikeglx.binary import check_size
from labdata.formats.spikeglx.events import read_digital_events
from labdata.formats.spikeglx.geometry import read_probe
from labdata.formats.spikeglx.meta import SpikeGLXMeta, read_meta

_NAME = re.compile(
    r"(?P<run>.+)_g(?P<gate>\d+)_t(?P<trigger>\d+|cat)"
    r"\.(?:imec\d*\.(?:ap|lf)|nidq|obx\d*(?:\.obx)?)\.(?:bin|meta)"
)
_STREAM = re.compile(r"\.(?:imec\d*\.(?:ap|lf)|nidq|obx\d*(?:\.obx)?)\.(?:bin|meta)$")


@dataclass(frozen=True)
class SpikeGLXRun:
    """The files of one gate and trigger of a run.

    Parameters
    ----------
    run_name : str
        Name given at the rig.
    gate : int
        Number after ``_g``.
    trigger : str
        Number after ``_t``, or ``cat`` for files joined by CatGT.
    streams : tuple of SpikeGLXMeta
        One a binary file, ordered by name: ``imec0.ap``, ``imec0.lf``, ``nidq``, ...
    """

    run_name: str
    gate: int
    trigger: str
    streams: tuple[SpikeGLXMeta, ...]

    @property
    def name(self) -> str:
        """Run, gate and trigger as SpikeGLX writes them."""
        return f"{self.run_name}_g{self.gate}_t{self.trigger}"

    @property
    def epoch_name(self) -> str:
        """The run: all its gates and triggers number their samples from one start."""
        return self.run_name

    @property
    def probe_nums(self) -> tuple[int, ...]:
        """Numbers of the probes, ascending."""
        return tuple(sorted({m.probe_num for m in self.streams if m.probe_num is not None}))

    @property
    def files(self) -> tuple[Path, ...]:
        """Every ``.bin`` and ``.meta`` file of the run."""
        return tuple(p for m in self.streams for p in (m.bin_path, m.path))

    def said(self) -> dict[str, str]:
        """Return where SpikeGLX wrote the run, and its user's notes, by where it was found."""
        return {
            f"{field} in {meta.path.name}": meta.fields[field]
            for meta in self.streams
            for field in ("fileName", "userNotes")
            if meta.fields.get(field)
        }

    def check(self) -> None:
        """Raise FormatError if the samples of a stream are absent or cut."""
        for meta in self.streams:
            check_size(meta)

    def digital_lines(self, meta: SpikeGLXMeta) -> list[DigitalLine]:
        """Return the edges of every line of a stream.

        Parameters
        ----------
        meta : SpikeGLXMeta
            One of :attr:`streams`.
        """
        return read_digital_events(meta.bin_path)

    def probe(self, meta: SpikeGLXMeta) -> ProbeGeometry:
        """Return where the contacts of a probe are.

        Parameters
        ----------
        meta : SpikeGLXMeta
            A band of it, of :attr:`streams`.
        """
        return read_probe(meta)

    def description_files(self, meta: SpikeGLXMeta) -> tuple[Path, ...]:
        """Return the files that are needed beside the samples of a stream, to open it.

        Parameters
        ----------
        meta : SpikeGLXMeta
            One of :attr:`streams`.
        """
        return (meta.path,)

    def stream(self, name: str) -> SpikeGLXMeta:
        """Return the description of one stream, such as ``imec0.ap`` or ``nidq``.

        Parameters
        ----------
        name : str
            The stream with its band.

        Raises
        ------
        FormatError
            When the run has no such stream.
        """
        for meta in self.streams:
            if meta.name == name:
                return meta
        raise FormatError(
            f"{self.name} has no stream {name!r}.",
            hint=f"It has {', '.join(m.name for m in self.streams)}.",
        )


def find_runs(folder: str | Path) -> list[SpikeGLXRun]:
    """Find every run below a folder.

    Parameters
    ----------
    folder : str or Path
        Any folder above or at the run's own.

    Returns
    -------
    list of SpikeGLXRun
        By run name, gate and trigger; empty when there are no SpikeGLX files.

    Raises
    ------
    FormatError
        When a ``.bin`` has no ``.meta`` or the reverse, when a meta cannot be read, or when two
        files claim the same stream of the same run.
    """
    groups: dict[tuple[str, int, str], dict[str, SpikeGLXMeta]] = {}
    for meta_path in _paired_metas(Path(folder)):
        match = _NAME.fullmatch(meta_path.name)
        if match is None:  # refused by _paired_metas
            continue
        key = (match["run"], int(match["gate"]), match["trigger"])
        meta = read_meta(meta_path)
        streams = groups.setdefault(key, {})
        if meta.name in streams:
            raise FormatError(
                f"{meta_path} and {streams[meta.name].path} are both {meta.name} of the same run.",
                hint="Keep one copy of the run in the folder.",
            )
        streams[meta.name] = meta
    return [
        SpikeGLXRun(*key, streams=tuple(groups[key][name] for name in sorted(groups[key])))
        for key in sorted(groups)
    ]


def is_stream(path: Path) -> bool:
    """Return whether a file is one of a SpikeGLX run, by its name.

    Parameters
    ----------
    path : Path
        The file.
    """
    return _STREAM.search(path.name) is not None


def _paired_metas(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FormatError(f"{folder} is not a folder.", hint="Give the folder of the run.")
    names = sorted(p for p in folder.rglob("*") if _STREAM.search(p.name) and p.is_file())
    for path in names:
        if _NAME.fullmatch(path.name) is None:
            raise FormatError(
                f"{path} is a SpikeGLX file whose name has no gate and trigger.",
                hint="Names look like <run>_g0_t0.imec0.ap.bin; give it its original name back.",
            )
    present = set(names)
    for path in names:
        other = path.with_suffix(".bin" if path.suffix == ".meta" else ".meta")
        if other not in present:
            raise FormatError(
                f"{path} has no {other.name} beside it.",
                hint="A recording is a .bin and a .meta file together: copy both from the rig; "
                "if it is still running, wait for its end.",
            )
    return [p for p in names if p.suffix == ".meta"]
