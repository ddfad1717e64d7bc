"""An archived project is read as before; nothing is written to it, whichever way one tries."""

from __future__ import annotations

from typing import Any

import pytest

from labdata.cli import main
from labdata.database.datajoint_compat import dj
from labdata.errors import DatabaseError
from labdata.rules.putting import plan_put, put
from labdata.rules.upload_queue import retry_failed
from labdata.rules.uploading import upload_job
from labdata.schema.project_admin import archive_project, create_project, plan_share
from labdata.testing import insert_dataset, insert_streams, insert_unit

pytestmark = pytest.mark.database

REFUSED = r"'vision' is archived since \d{4}-\d\d-\d\d by \w+@.+: it is read only"
SESSION = "20240305_100000"


@pytest.fixture
def lab(rig: Any) -> Any:
    """The tables of a project with sorted data of JC1, before it is archived."""
    made = create_project(rig.lab, "vision")
    key = insert_dataset(made)
    insert_streams(made, key)
    insert_unit(made, key, spike_times=[30000, 60000, 90000])
    made.UnitCountCriteria.insert1({"unit_criteria_id": 1, "sua_criteria": "firing_rate > 0.1"})
    return made


def everything(lab: Any) -> dict[str, list[Any]]:
    """All rows of a project and of what all share."""
    found = {}
    for name, cls in lab.tables_and_parts().items():
        rows = lab.connection.query(f"SELECT * FROM {cls.full_table_name}").fetchall()
        found[name] = sorted(rows, key=repr)
    return found


def test_no_table_of_it_takes_a_write(rig: Any, lab: Any) -> None:
    archive_project(rig.lab, "vision")
    before = everything(lab)
    subject = lab.Subject.fetch1()
    file = {"file_path": "a", "storage": "data", "file_datetime": "2025-01-01", "file_size": 1}
    for write in (
        lambda: lab.Subject.insert1({**subject, "subject_name": "JC9"}),
        lambda: lab.Subject.insert([{**subject, "subject_name": "JC9"}]),
        lambda: lab.Subject.insert1(subject, skip_duplicates=True),
        lambda: lab.Subject.insert1(subject, replace=True),
        lambda: lab.Subject.update1({"subject_name": "JC1", "subject_sex": "M"}),
        lambda: lab.Subject.delete(safemode=False),
        lambda: (lab.Subject & {"subject_name": "JC1"}).delete(safemode=False),
        lambda: lab.SpikeSorting.Unit.delete_quick(),
        lambda: lab.Subject.delete_plan(),
        lambda: lab.UnitCount.populate(),
        lambda: lab.Note.drop(prompt=False),
        lambda: lab.File.insert1(file),
        lambda: lab.UploadJob.insert1({"job_status": "ON SERVER"}),
        # a parent that all projects share
        lambda: lab.LabMember.delete(safemode=False),
    ):
        with pytest.raises(DatabaseError, match=REFUSED) as refused:
            write()
        assert "labdata project reopen vision" in refused.value.hint
        assert everything(lab) == before


def test_it_is_read_and_others_are_written(rig: Any, lab: Any) -> None:
    other = create_project(rig.lab, "other")
    archive_project(rig.lab, "vision")
    assert len(lab.Subject()) == 1 and len(lab.SpikeSorting.Unit()) == 1
    assert main(["sessions", "-p", "vision"]) == 0
    assert main(["run", "--queue", "-p", "vision"]) == 0
    assert main(["upload", "--queue", "-p", "vision"]) == 0
    rig.add_subjects("JC5", lab=other)
    rig.add_subjects("JC5")
    (other.Subject & {"subject_name": "JC5"}).delete(safemode=False)
    other.LabMember.insert1({"user_name": "kim"})
    (other.LabMember & {"user_name": "kim"}).delete(safemode=False)
    with pytest.raises(DatabaseError, match=REFUSED):
        plan_share(other, lab, {"Subject": [("JC5",)]})
    assert plan_share(lab, other, {"Subject": [("JC1",)]}).apply() > 0


def test_every_command_that_writes_refuses_before_it_begins(
    rig: Any, lab: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    create_project(rig.lab, "other")
    folder = rig.folder(f"JC1/{SESSION}/behaviour", {"log.csv": b"1,2\n"})
    lab.ComputeTask.insert1({"task_name": "spikeinterface", "task_status": "WAITING"})
    task = str(lab.ComputeTask.fetch1("job_id"))
    archive_project(rig.lab, "vision")
    before = rig.state(), everything(lab)
    for line in (
        ["put", str(folder), "-r", "none", "-t", "task-behavior"],
        ["put", str(folder), "-r", "none", "-t", "task-behavior", "--dry-run"],
        ["upload"],
        ["upload", "--reset-failed"],
        ["run", "spikeinterface", "-a", "JC1"],
        ["run", "spikeinterface", "-a", "JC1", "--submit-only"],
        ["task", task],
        ["delete", "-a", "JC1"],
        ["delete", "-a", "JC1", "--apply"],
        ["rename", "-a", "JC1", "--to", "JC2"],
        ["rename", "-a", "JC1", "--to", "JC2", "--apply"],
        ["garbage", "--remove"],
        ["share", "--from", "other", "--to", "vision", "-a", "JC1"],
    ):
        if line[0] == "share":
            rig.add_subjects("JC1", lab=rig.project("other"))
        else:
            line = [*line, "-p", "vision"]
        capsys.readouterr()
        assert main(line) == 1, line
        said = capsys.readouterr().err
        assert said.count("is archived since") == 1, line
        assert "labdata project reopen vision" in said
        assert "Traceback" not in said
        if line[0] != "share":
            assert (rig.state(), everything(lab)) == before, line
    assert main(["garbage", "-p", "vision"]) == 0  # which only looks


def test_an_upload_that_waits_goes_on_when_the_project_is_open_again(rig: Any, lab: Any) -> None:
    folder = rig.folder(f"JC1/{SESSION}/behaviour", {"log.csv": b"1,2\n"})
    names = {"rule": "none", "dataset_type": "task-behavior"}
    number = rig.put(folder, lab=lab, **names)
    archive_project(rig.lab, "vision")
    before = rig.state()
    for attempt in (lambda: upload_job(number, lab=lab), lambda: retry_failed(lab, [number])):
        with pytest.raises(DatabaseError, match=REFUSED):
            attempt()
    assert rig.state() == before
    assert rig.job(number)["job_status"] == "ON SERVER"
    assert (rig.server / f"JC1/{SESSION}/behaviour/log.csv").read_bytes() == b"1,2\n"
    archive_project(rig.lab, "vision", reopen=True)
    assert upload_job(number, lab=lab).n_files == 1


def test_archived_while_it_uploads_the_job_fails_and_all_is_there(
    rig: Any, lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labdata.rules import uploading

    folder = rig.folder(f"JC1/{SESSION}/behaviour", {"log.csv": b"1,2\n"})
    number = rig.put(folder, lab=lab, rule="none", dataset_type="task-behavior")
    store = uploading._Upload._store

    def archive_meanwhile(self: Any, *args: Any) -> Any:
        rows = store(self, *args)
        archive_project(rig.lab, "vision")
        return rows

    monkeypatch.setattr(uploading._Upload, "_store", archive_meanwhile)
    with pytest.raises(DatabaseError, match=REFUSED):
        upload_job(number, lab=lab)
    monkeypatch.undo()
    job = rig.job(number)
    assert job["job_status"] == "FAILED" and "project reopen vision" in job["job_log"]
    assert not lab.Dataset & {"dataset_name": "behaviour"}
    assert (rig.server / f"JC1/{SESSION}/behaviour/log.csv").read_bytes() == b"1,2\n"
    archive_project(rig.lab, "vision", reopen=True)
    assert retry_failed(lab, [number]) == 1
    assert upload_job(number, lab=lab).n_files == 1


def test_plans_made_before_are_not_carried_out(rig: Any, lab: Any) -> None:
    from labdata.rules.renaming import plan_rename

    other = create_project(rig.lab, "other")
    rig.add_subjects("JC5", lab=other)
    folder = rig.folder(f"JC1/{SESSION}/behaviour", {"log.csv": b"1,2\n"})
    plan = plan_put(folder, rule="none", dataset_type="task-behavior", lab=lab)
    plans = [
        plan_rename(lab, {"subject_name": "JC1"}, "JC2").apply,
        lab.Subject.delete_plan({"subject_name": "JC1"}).apply,
        plan_share(other, lab, {"Subject": [("JC5",)]}).apply,
        lambda: put(plan, lab=lab),
    ]
    archive_project(rig.lab, "vision")
    before = rig.state(), everything(lab)
    for apply in plans:
        with pytest.raises(DatabaseError, match=REFUSED):
            apply()
    assert (rig.state(), everything(lab)) == before


def test_archived_by_its_end_date_nobody_is_named(rig: Any, lab: Any) -> None:
    lab.Project.update1({"project_name": "vision", "project_enddate": "2024-01-31"})
    with pytest.raises(DatabaseError, match="archived since 2024-01-31: it is read only"):
        lab.Subject.delete(safemode=False)
    lab.Project.update1({"project_name": "vision", "project_enddate": "2999-01-31"})
    (lab.Subject & {"subject_name": "JC1"}).delete(safemode=False)
    assert not lab.Subject()


def test_a_refusal_is_no_other_kind_of_error(rig: Any, lab: Any) -> None:
    archive_project(rig.lab, "vision")
    try:
        lab.Subject.insert1({"subject_name": "JC1"})
    except dj.errors.DataJointError:  # as code that takes a duplicate for success would
        pytest.fail("taken for DataJoint's error")
    except DatabaseError:
        pass
