"""Two upload jobs with the same paths and other content: one wins whole, the other is told.

``put`` refuses the second folder, so that such jobs come about only where it cannot see the first:
another project's, to an ordinary account. The tests close its eyes.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import pytest
from faults import all_is_right

from labdata.errors import LabdataError
from labdata.preferences import load_preferences
from labdata.rules.base import RuleOutput
from labdata.rules.plain import PlainRule
from labdata.rules.putting import plan_put, put
from labdata.stores import LocalStore

PLACE = "JC1/20240305_100000/task"
NAMES = ("a.bin", "b.bin", "c.bin")

pytestmark = pytest.mark.usefixtures("own_lab_only")


@pytest.fixture
def two_jobs(lab_rig, monkeypatch):
    """Jobs of two rigs, each with an inbox of its own: number to inbox and content."""
    home, jobs = lab_rig.home, {}
    for rig in ("one", "two"):
        content = {name: os.urandom(400_000) for name in NAMES}
        inbox, local = home / f"inbox_{rig}", home / f"rig_{rig}"
        folder = local / PLACE
        folder.mkdir(parents=True)
        inbox.mkdir()
        for name, data in content.items():
            (folder / name).write_bytes(data)
        lab_rig.prefer(upload_path=str(inbox), local_paths=[str(local)])
        with monkeypatch.context() as blind:
            for module in ("putting", "planning"):
                blind.setattr(f"labdata.rules.{module}.check_new", lambda *_: None)
            jobs[put(plan_put(folder))] = (inbox, content)
    return jobs


def uploader(rig, job_id, inbox, folder):
    """Start a process that uploads one job, as the server of its rig does."""
    preferences = folder / f"labdata_{job_id}"
    preferences.mkdir()
    here = rig.home / "labdata"
    rig.prefer(
        upload_path=str(inbox),
        local_paths=[str(rig.home / "cache")],
        storage={
            name: {"protocol": "local", "path": str(here / "storage" / name)}
            for name in ("data", "analysis")
        },
    )
    text = (here / "user_preferences.json").read_text()
    (preferences / "user_preferences.json").write_text(text)
    return subprocess.Popen(
        [sys.executable, "-m", "labdata", "upload", str(job_id)],
        env=os.environ | {"LABDATA_PATH": str(preferences)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stored(rig):
    return {p.name: p.read_bytes() for p in (rig.store / PLACE).iterdir()}


def one_won(rig, jobs, winner, said):
    (loser,) = set(jobs) - {winner}
    assert rig.job(winner)["job_status"] == "COMPLETED"
    job = rig.job(loser)
    assert job["job_status"] == "FAILED"
    assert "upload job" in job["job_log"] and "labdata put" in job["job_log"], job["job_log"]
    assert "labdata put" in said
    assert stored(rig) == jobs[winner][1]
    for inbox, content in jobs.values():
        assert {p.name: p.read_bytes() for p in (inbox / PLACE).iterdir()} == content
    rows = rig.lab.File.fetch(as_dict=True)
    sums = {row["file_path"].rpartition("/")[2]: row["file_sha256"] for row in rows}
    expected = jobs[winner][1]
    assert sums == {name: hashlib.sha256(data).hexdigest() for name, data in expected.items()}
    all_is_right(rig, len(NAMES))


@pytest.mark.slow
def test_both_at_once_in_two_processes(lab_rig, two_jobs, outcomes):
    workers = {
        job_id: uploader(lab_rig, job_id, inbox, lab_rig.home)
        for job_id, (inbox, _) in two_jobs.items()
    }
    said = {job_id: worker.communicate(timeout=120) for job_id, worker in workers.items()}
    codes = {job_id: worker.returncode for job_id, worker in workers.items()}
    assert sorted(codes.values()) == [0, 1], said
    winner = min(codes, key=codes.get)
    one_won(lab_rig, two_jobs, winner, "".join(said[max(codes, key=codes.get)]))
    outcomes("upload", "two jobs of one path at once", 1, "one whole, one FAILED", "stays so")


class Reversed(PlainRule):
    """A rule that gives its files in another order."""

    def apply(self, context):
        return RuleOutput(tuple(reversed(context.files)))


@pytest.mark.parametrize("n_before", [0, 1, 2, 3])
def test_one_in_the_midst_of_the_other(lab_rig, two_jobs, monkeypatch, n_before, outcomes):
    """Whatever each has stored when the other begins, and in whichever order their rules go."""
    (first, (inbox_1, _)), (second, (inbox_2, _)) = two_jobs.items()
    monkeypatch.setattr(
        "labdata.rules.uploading.find_rule",
        lambda name: Reversed() if seen.get("other") else PlainRule(),
    )
    real, seen, told = LocalStore.put, {"n": 0}, []

    def other_job():
        seen["other"] = True
        lab_rig.prefer(upload_path=str(inbox_2), local_paths=[str(lab_rig.home / "cache")])
        try:
            lab_rig.upload(second)
        except LabdataError as error:
            told.append(str(error))

    def put_then_other(self, *args, **options):
        if not seen.get("other") and seen["n"] == n_before:
            other_job()
        info = real(self, *args, **options)
        seen["n"] += not seen.get("other")
        return info

    lab_rig.prefer(upload_path=str(inbox_1), local_paths=[str(lab_rig.home / "cache")])
    preferences = load_preferences()
    monkeypatch.setattr(LocalStore, "put", put_then_other)
    try:
        lab_rig.upload(first, preferences=preferences)
    except LabdataError as error:
        told.append(str(error))
    if n_before == 3:
        other_job()
    assert len(told) == 1, told
    winner = second if n_before == 0 else first
    one_won(lab_rig, two_jobs, winner, told[0])
    outcomes("upload", f"other job of the path after {n_before} files", 1, "one whole", "stays so")
