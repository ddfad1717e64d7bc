"""A small lab: two subjects, several sessions, in the folders that labdata expects.

One session is long enough to sort; the others are short and there for queries, clocks and
several probes. The sync line is the plain 1 Hz wave of most rigs; which whole second is meant is
known from the first samples that the metas state, as in recordings of one acquisition.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from labdata.progress import Progress, ignore_progress
from labdata.testing.probes import ProbeSpec
from labdata.testing.spikeglx_run import write_spikeglx_run
from labdata.testing.truth import GroundTruth

SUBJECTS = ("JC1", "JC2")
DATASET = "ephys_g0"
_RUN = "ephys"


@dataclass(frozen=True, eq=False)
class SessionTruth:
    """One session of the lab.

    Parameters
    ----------
    subject_name, session_name, dataset_name : str
        The dataset's key; the session's name is its date, ``YYYYmmdd_HHMMSS``.
    path : Path
        Folder of the dataset.
    run : GroundTruth
        What happened in it.
    """

    subject_name: str
    session_name: str
    dataset_name: str
    path: Path
    run: GroundTruth

    @property
    def log_path(self) -> Path:
        """The stimulus log: a row a stimulus, in order of time."""
        return self.path / f"{self.dataset_name}_orientation_log.csv"


@dataclass(frozen=True, eq=False)
class LabTruth:
    """What :func:`write_lab` wrote.

    Parameters
    ----------
    folder : Path
        Folder of the subjects.
    sessions : tuple of SessionTruth
        By subject and date.
    """

    folder: Path
    sessions: tuple[SessionTruth, ...]

    @property
    def subjects(self) -> tuple[str, ...]:
        """Names of the subjects."""
        return tuple(sorted({session.subject_name for session in self.sessions}))

    @property
    def main(self) -> SessionTruth:
        """The session that is long enough to sort."""
        return max(self.sessions, key=lambda session: session.run.duration_s)


def write_lab(
    folder: str | Path,
    *,
    seed: int = 0,
    main_duration_s: float = 60.0,
    short_duration_s: float = 6.0,
    threads: int = 2,
    progress: Progress = ignore_progress,
) -> LabTruth:
    """Write ``{subject}/{YYYYmmdd_HHMMSS}/ephys_g0`` for two subjects.

    The main session has a four-shank probe of 64 channels. Of the short ones, one has two probes,
    a Neuropixels 1.0 with its LF band among them, and one has lost and spurious sync pulses.

    Parameters
    ----------
    folder : str or Path
        Where to put the subjects; made if absent.
    seed : int, optional
        Seed of everything random.
    main_duration_s, short_duration_s : float, optional
        Length of the main and of the short sessions, in seconds.
    threads : int, optional
        Threads that make samples; the files do not depend on it.
    progress : Progress, optional
        Told the bytes written.

    Returns
    -------
    LabTruth
        Files that were complete already are left as they are.
    """
    folder = Path(folder)
    four_shank = ProbeSpec(n_channels=64, n_units=10, ppm=18.0)
    small = ProbeSpec(n_channels=32, n_units=6, ppm=12.0)
    np1 = ProbeSpec("NP1000", n_channels=32, n_units=6, ppm=-9.0, start_s=0.05, probe_num=1)
    sessions = (
        (SUBJECTS[0], "20240305_100000", (four_shank,), main_duration_s, 0),
        (SUBJECTS[0], "20240306_101500", (small, np1), short_duration_s, 0),
        (SUBJECTS[1], "20240305_140000", (small,), short_duration_s, 0),
        (SUBJECTS[1], "20240307_143000", (small,), 2 * short_duration_s, 1),
    )
    return LabTruth(
        folder=folder,
        sessions=tuple(
            _session(
                folder,
                subject,
                name,
                specs,
                duration_s,
                seed=seed + 1000 * i,
                damaged=damaged,
                threads=threads,
                progress=progress,
            )
            for i, (subject, name, specs, duration_s, damaged) in enumerate(sessions)
        ),
    )


def _session(
    folder: Path,
    subject: str,
    name: str,
    specs: tuple[ProbeSpec, ...],
    duration_s: float,
    *,
    seed: int,
    damaged: int,
    threads: int,
    progress: Progress,
) -> SessionTruth:
    run = write_spikeglx_run(
        folder / subject / name,
        run_name=_RUN,
        probes=specs,
        duration_s=duration_s,
        seed=seed,
        drop_sync_pulses=damaged,
        spurious_sync_pulses=damaged,
        created=datetime.strptime(name, "%Y%m%d_%H%M%S").isoformat(),
        threads=threads,
        progress=progress,
    )
    return SessionTruth(subject, name, DATASET, Path(run.run_folder), run)
