"""The lab that the user guide's snippets speak of, filled in seconds.

Their literals are met: a subject called ``SUBJECT`` with a dataset ``DATANAME`` in a dozen sorted
sessions, parameter set 5, units on shank 2, the common pulses on line 6 of ``imec0`` and line 7 of
``nidq``, and an orientation log as long as the rises of line 1. Rows come straight from synthetic
neurons: no voltages are written and nothing is sorted, so that a notebook can have such a lab of
its own. For recordings to upload and sort there is :func:`~labdata.testing.write_lab`.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from labdata.errors import DatabaseError, LabdataError
from labdata.testing.guide_mice import MouseTruth, insert_mice, session_name
from labdata.testing.guide_recordings import (
    PARAMETER_SET,
    insert_events,
    insert_probe,
    insert_sorting,
)
from labdata.testing.guide_units import (
    FAULTS,
    SortedUnit,
    kinds_of,
    units_of_run,
    units_without_stimuli,
)
from labdata.testing.lab_folder import use_lab_folder
from labdata.testing.probes import ProbeSpec
from labdata.testing.run_plan import RunPlan, nidq_clock, plan_run
from labdata.testing.spikeglx_run import NIDQ_RATE_HZ, write_log
from labdata.testing.truth import GroundTruth

#: Place of the guide's session among the sorted ones: ``specific_sessions[10]``.
SELECTED = 10
N_SESSIONS, N_UNITS, DURATION_S = 13, 34, 2700.0
_FIRST_DAY = datetime(2025, 3, 3, 10, 0)
_OWNER = {
    "subject_dob": date(2024, 12, 2),
    "subject_sex": "F",
    "strain_name": "C57BL/6J",
    "user_name": "USERNAME",
}
_PEOPLE = (("couto", "Joao", "Couto"), ("USERNAME", "Ada", "Example"))


@dataclass(frozen=True, eq=False)
class GuideTruth:
    """What :func:`write_guide_lab` made up.

    Parameters
    ----------
    folder : Path
        The lab's folder.
    key : dict
        Key of the dataset that the guide selects: the eleventh sorted one.
    run : GroundTruth
        What happened in it. Single units have the spikes of its neurons as they are.
    units : dict of str to tuple of SortedUnit
        Units of each sorted session, by the session's name.
    mice : tuple of MouseTruth
        What each mouse with a decision task did.
    """

    folder: Path
    key: dict[str, str]
    run: GroundTruth
    units: dict[str, tuple[SortedUnit, ...]]
    mice: tuple[MouseTruth, ...]

    @property
    def log_path(self) -> Path:
        """The orientation log of the selected session: a row a stimulus, in order of time."""
        names = [self.key[k] for k in ("subject_name", "session_name", "dataset_name")]
        return self.folder.joinpath("rig", *names, f"{names[-1]}_orientation_log.csv")


def write_guide_lab(folder: str | Path, *, seed: int = 0) -> GuideTruth:
    """Make a lab in a folder, use it, and fill it with what the user guide's snippets expect.

    Parameters
    ----------
    folder : str or Path
        Made if absent; see :func:`~labdata.testing.use_lab_folder`.
    seed : int, optional
        Seed of everything random.

    Returns
    -------
    GuideTruth

    Raises
    ------
    DatabaseError
        If the tables of this process are those of another lab, or the lab has subjects already.
        Nothing is inserted then, and the process goes on using the lab that it used.

    Examples
    --------
    >>> from labdata.testing import write_guide_lab
    >>> truth = write_guide_lab("/tmp/guide")  # doctest: +SKIP
    >>> from labdata.schema import *  # doctest: +SKIP
    >>> Session & truth.key  # doctest: +SKIP
    """
    from labdata.schema import default_lab

    lab: Any = default_lab
    folder = _use_empty_lab(lab, folder)
    run = _plan(folder, seed)
    with lab.connection.transaction:
        _insert_people(lab)
        units = _insert_recordings(lab, run.truth, seed)
        key = _dataset_key(_start_of(SELECTED))
        truth = GuideTruth(
            folder, key, run.truth, units, insert_mice(lab, seed=seed, owner=_OWNER)
        )
        insert_events(lab, key, run.truth)
        truth.log_path.parent.mkdir(parents=True, exist_ok=True)
        write_log(truth.log_path, run.stimuli)
        _register_file(lab, key, truth.log_path, folder / "rig")
    return truth


def _plan(folder: Path, seed: int) -> RunPlan:
    """Work out what happens in the selected session."""
    return plan_run(
        folder / "rig",
        "ephys",
        [ProbeSpec(n_channels=384, n_units=N_UNITS, probe_num=0)],
        DURATION_S,
        seed,
        nidq_clock(NIDQ_RATE_HZ, -27.0, -0.731, DURATION_S),
        sync_jitter_s=0.0,
        drop=0,
        n_spurious=0,
        stim_period_s=5.0,
        stim_width_s=1.0,
    )


def _use_empty_lab(lab: Any, folder: str | Path) -> Path:
    """Use the lab in a folder, or raise and go on with the one that was used before."""
    before = _lab_variables()
    folder = use_lab_folder(folder)
    try:
        _check_empty(lab, folder)
    except LabdataError:
        for name in _lab_variables():
            del os.environ[name]
        os.environ.update(before)
        raise
    return folder


def _lab_variables() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k.startswith("LABDATA_")}


def _check_empty(lab: Any, folder: Path) -> None:
    """Refuse any lab but the embedded one of the folder, and one that somebody has used."""
    from labdata.database.connection import embedded_database

    here = lab.connection.embedded
    if here is None or here.folder != embedded_database().folder:
        where = lab.connection.conn_info["host"] if here is None else here.folder
        raise DatabaseError(
            f"The tables are those of another lab, at {where}, and the guide's rows are invented.",
            hint="Restart the kernel, and make the guide's lab in a new folder before any table "
            "is used.",
        )
    if n_subjects := len(lab.Subject()):
        raise DatabaseError(
            f"The lab in {folder} has {n_subjects} subjects already.",
            hint="Give a new folder: write_guide_lab(tempfile.mkdtemp()).",
        )


def _insert_people(lab: Any) -> None:
    lab.LabMember.insert(
        {"user_name": user, "first_name": first, "last_name": last}
        for user, first, last in _PEOPLE
    )
    lab.Subject.insert({"subject_name": name, **_OWNER} for name in ("SUBJECT", "SUBJECT_NAME"))
    for day, dataset, kind in ((0, "wheel_task", "task-training"), (1, "ephys_g0", "ephys")):
        start = _FIRST_DAY + timedelta(days=day, hours=4)
        _insert_dataset(lab, "SUBJECT_NAME", start, dataset, kind)


def _start_of(number: int) -> datetime:
    return _FIRST_DAY + timedelta(days=4 * number, minutes=7 * number)


def _dataset_key(start: datetime) -> dict[str, str]:
    return {
        "subject_name": "SUBJECT",
        "session_name": session_name(start),
        "dataset_name": "DATANAME",
    }


def _insert_dataset(lab: Any, subject: str, start: datetime, dataset: str, kind: str) -> None:
    key = {"subject_name": subject, "session_name": session_name(start)}
    lab.Session.insert1({**key, "session_datetime": start, "experimenter": "USERNAME"})
    lab.Dataset.insert1({**key, "dataset_name": dataset, "dataset_type": kind})


def _insert_recordings(lab: Any, run: GroundTruth, seed: int) -> dict[str, tuple[SortedUnit, ...]]:
    """Insert the sorted sessions; as on a real probe, not every unit is seen in each."""
    probe = run.probes[0]
    configuration = insert_probe(lab, probe)
    lab.SpikeSortingParams.insert1(
        {
            "parameter_set_num": PARAMETER_SET,
            "algorithm_name": "synthetic",
            "parameter_description": "Units made by labdata.testing, not sorted",
            "parameters_dict": {"seed": seed},
            "parameters_hash": hashlib.sha256(f"synthetic {seed}".encode()).hexdigest(),
        }
    )
    found = {}
    for number in range(N_SESSIONS):
        start = _start_of(number)
        if number == SELECTED:
            units = units_of_run(run, kinds_of(N_UNITS, FAULTS), seed)
            n_samples = probe.clock.n_samples
        else:
            kinds = kinds_of(N_UNITS - 5 * number % 9, FAULTS[:3])
            n_samples = 30000 * (800 + 60 * (7 * number % 11))
            units = units_without_stimuli(probe, kinds, n_samples, (seed, 12, number))
        _insert_dataset(lab, "SUBJECT", start, "DATANAME", "ephys")
        insert_sorting(lab, _dataset_key(start), probe, configuration, n_samples, units)
        found[session_name(start)] = tuple(units)
    return found


def _register_file(lab: Any, key: dict[str, str], path: Path, root: Path) -> None:
    """Put a file into the store and register it with its dataset, as an upload would."""
    from labdata.schema.files import open_store

    name = path.relative_to(root).as_posix()
    stored = open_store("data").put(path, name)
    changed = datetime.fromtimestamp(path.stat().st_mtime, UTC).replace(tzinfo=None)
    file = {"file_path": name, "storage": "data"}
    lab.File.insert1(
        {
            **file,
            "file_datetime": changed,
            "file_size": stored.size_bytes,
            "file_sha256": stored.sha256,
        }
    )
    lab.Dataset.DataFiles.insert1({**key, **file})
