"""The demo's steps, each of which looks at what is there and does only what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ..counted import count_of
from ..testing import LabTruth, write_lab
from . import write
from .output import show_progress, show_steps

#: The line of the 1 Hz sync wave on probes and on the NI-DAQ, and the line of the stimuli.
SYNC_IMEC, SYNC_NIDQ, STIMULUS = "6", "7", "1"
CRITERIA = (
    "isi_contamination < 0.1 & amplitude_cutoff < 0.1 & spike_duration > 0.1 "
    "& spike_amplitude > 50 & presence_ratio > 0.6"
)


@dataclass(frozen=True)
class DemoLab:
    """A finished demo.

    Attributes
    ----------
    folder : Path
        Where it all is.
    truth : LabTruth
        What happened in the recordings.
    lab : Lab
        The tables.
    """

    folder: Path
    truth: LabTruth
    lab: Any

    @property
    def main_key(self) -> dict[str, str]:
        """Key of the dataset that was sorted."""
        main = self.truth.main
        return {
            "subject_name": main.subject_name,
            "session_name": main.session_name,
            "dataset_name": main.dataset_name,
        }


def build_lab(folder: Path, *, seconds: float) -> DemoLab:
    """Do every step that has not been done.

    Parameters
    ----------
    folder : Path
        The demo's folder.
    seconds : float
        Length of the recording that is sorted.

    Returns
    -------
    DemoLab
        What the steps made.
    """
    write(f"labdata demo in {folder}\n")
    with show_progress("write recordings") as (progress, _):
        truth = write_lab(folder / "rig", main_duration_s=seconds, progress=progress)
    sessions = count_of(len(truth.sessions), "session")
    _done("recordings", f"{sessions} of {count_of(len(truth.subjects), 'subject')}")
    with _step("database"):
        from ..schema import default_lab

        _insert_people(default_lab, truth)
    demo = DemoLab(folder, truth, default_lab)
    _put(demo)
    _upload(demo)
    _sort(demo)
    _synchronise(demo)
    _count(demo)
    return demo


def _done(name: str, text: str) -> None:
    write(f"  {name:<12} {text}")


@contextmanager
def _step(name: str) -> Iterator[None]:
    with show_steps(name):
        yield


def _insert_people(lab: Any, truth: LabTruth) -> None:
    lab.LabMember.insert1({"user_name": "demo", "first_name": "Demo"}, skip_duplicates=True)
    lab.Subject.insert(
        [
            {
                "subject_name": name,
                "subject_dob": date(2023, 11, 20),
                "subject_sex": "F" if index % 2 else "M",
                "strain_name": "C57BL/6J",
                "user_name": "demo",
            }
            for index, name in enumerate(truth.subjects)
        ],
        skip_duplicates=True,
    )
    _done("database", lab.connection.get_user())


def _put(demo: DemoLab) -> None:
    from ..rules.putting import plan_put, put

    lab, n_put = demo.lab, 0
    for session in demo.truth.sessions:
        key = {"subject_name": session.subject_name, "session_name": session.session_name}
        if lab.UploadJob & key & {"dataset_name": session.dataset_name}:
            continue
        plan = plan_put(session.path, rule="ephys", experimenter="demo", lab=lab)
        with show_progress(f"put {session.session_name}", plan.size_bytes) as (progress, _):
            put(plan, lab=lab, progress=progress)
        n_put += 1
    total = len(demo.truth.sessions)
    _done(
        "put", count_of(total, "dataset") + ("" if n_put == total else f", {total - n_put} before")
    )


def _upload(demo: DemoLab) -> None:
    from ..errors import UploadError
    from ..rules.upload_queue import claimable_jobs, retry_failed
    from ..rules.upload_worker import upload_jobs
    from .upload import report_outcomes, show_upload

    lab = demo.lab
    retry_failed(lab, [int(n) for n in (lab.UploadJob & 'job_status="FAILED"').fetch("job_id")])
    jobs = claimable_jobs(lab)
    _, failed = report_outcomes(upload_jobs(lab, jobs, show=show_upload))
    if failed:
        raise UploadError(
            f"Upload job {failed[0]} of the demo failed.",
            hint=f"`labdata demo` tries again; {demo.folder} can be removed to start anew.",
        )
    _done("upload", f"{len(lab.File())} files in {demo.folder / 'labdata' / 'storage' / 'data'}")


def _sort(demo: DemoLab) -> None:
    from ..compute import create_tasks, find_analysis, run_task

    lab, key = demo.lab, demo.main_key
    if not lab.SpikeSorting & key:
        analysis = find_analysis("spikeinterface")
        (number,) = create_tasks(analysis, lab, key, {}, command="demo")
        with show_steps("sort") as step:
            run_task(number, lab=lab, report=step)
    sorting = (lab.SpikeSorting * lab.SpikeSortingParams & key).fetch1()
    _done("sort", f"{sorting['algorithm_name']}: {sorting['n_sorted_units']} units")


def _synchronise(demo: DemoLab) -> None:
    lab = demo.lab
    rows = [
        {
            **{k: stream[k] for k in ("subject_name", "session_name", "dataset_name")},
            "stream_name": stream["stream_name"],
            "event_name": SYNC_IMEC,
            "clock_dataset": stream["dataset_name"],
            "clock_stream": "nidq",
            "clock_stream_event": SYNC_NIDQ,
        }
        for stream in (lab.DatasetEvents & 'stream_name LIKE "imec%"').fetch(as_dict=True)
    ]
    lab.StreamSync.insert(rows)
    _done("synchronise", f"{len(rows)} probes to the NI-DAQ's clock")


def _count(demo: DemoLab) -> None:
    lab = demo.lab
    lab.UnitCountCriteria.insert1(
        {
            "unit_criteria_id": 1,
            "sua_criteria": CRITERIA,
            "mua_criteria": "spike_duration > 0.01 & n_electrodes_spanned < 20",
        },
        skip_duplicates=True,
    )
    lab.UnitCount.populate(demo.main_key)
    sua, mua = (lab.UnitCount & demo.main_key).fetch1("sua", "mua")
    unknown = len(lab.UnitMetrics & demo.main_key & "amplitude_cutoff IS NULL")
    why = f" ({unknown} with too few spikes to judge what was missed)" if unknown else ""
    _done("count", f"{sua} single units, {mua} multi units{why}")
