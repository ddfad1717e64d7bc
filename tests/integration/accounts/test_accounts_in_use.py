"""The commands and tables of labdata, used through an ordinary account of each role."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

import labdata
from labdata.cli import main
from labdata.database.claims import claim_row
from labdata.database.own_roles import own_roles
from labdata.errors import LabdataError
from labdata.schema import default_lab, load_project_schema
from labdata.schema.sync_reports import may_keep

pytestmark = [pytest.mark.database, pytest.mark.server]

OURS, THEIRS = "a_b", "axb"
ROLES = ("reader", "experimenter", "analyst", "admin")


@pytest.fixture(params=ROLES)
def member(request: pytest.FixtureRequest, accounts: Any) -> Any:
    """Each role in turn, with its project in use."""
    with accounts.used_by(request.param, OURS):
        yield accounts


def read_json(capsys: pytest.CaptureFixture[str], *line: str) -> Any:
    assert main([*line, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_lists_show_the_project(member: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert [row["subject_name"] for row in read_json(capsys, "subjects")] == ["a_b1"]
    (row,) = read_json(capsys, "sessions", "--include-size")
    assert (row["subject_name"], row["dataset_name"]) == ("a_b1", "ephys_g0")
    assert 8 in row.values()  # bytes of its file, read through the view
    assert len(read_json(capsys, "upload", "--queue")) == 1
    projects = {row["project_name"]: row for row in read_json(capsys, "project", "list")}
    assert (projects[OURS]["subjects"], projects[THEIRS]["subjects"]) == (1, None)


@pytest.mark.filterwarnings("ignore:NOT SYNCHRONISED")
def test_objects_and_queries_are_whole(member: Any) -> None:
    spikes = labdata.spikes(member.keys[OURS])
    assert list(spikes.sample_index.values) == [30000, 60000, 90000]
    lab = default_lab
    assert list(lab.File.fetch("file_path")) == [f"{OURS}/raw.bin"]
    assert lab.File.primary_key == ["file_path", "storage"]
    joined = lab.File * lab.Dataset.DataFiles * lab.Session
    assert list(joined.fetch("file_size")) == [8]
    assert len(lab.File & (lab.Dataset.DataFiles & member.keys[OURS])) == 1
    assert len(lab.UploadJob * lab.UploadJob.AssignedFiles) == 1
    assert f"`{member.base}`.`file`" in lab.Dataset.DataFiles.parents()
    waveforms = lab.AnalysisFile.proj(waveforms_file="file_path", waveforms_storage="storage")
    assert list((lab.SpikeSorting * waveforms).fetch("waveforms_file")) == [f"{OURS}/raw.bin"]
    assert lab.Subject.describe() and "a_b1" in repr(lab.Subject())


def test_another_project_cannot_be_opened(member: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["subjects", "-p", THEIRS]) == 1
    said = capsys.readouterr()
    assert "axb1" not in said.out + said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("role", ROLES)
def test_a_lab_without_projects_is_used_alike(
    accounts: Any, role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with accounts.used_by(f"plain_{role}"):
        assert [row["subject_name"] for row in read_json(capsys, "subjects")] == ["none1"]
        rows = {
            row["dataset_name"]: row for row in read_json(capsys, "sessions", "--include-size")
        }
        assert rows["ephys_g0"]["subject_name"] == "none1" and 8 in rows["ephys_g0"].values()
        lab = default_lab
        for table, path in [
            (lab.File, "none/raw.bin"),
            (lab.AnalysisFile, "none/raw.bin"),
            (lab.ProcessedFile, "none/raw.ap.bin"),
            (lab.UploadJob.AssignedFiles.proj(file_path="src_path"), "none/raw.ap.bin"),
        ]:
            seen = set(table.fetch("file_path"))
            assert path in seen and not [p for p in seen if not p.startswith("none")]
        if role in ("experimenter", "admin"):
            folder, _ = put_folder(accounts, f"plain_{role}", "none1")
            line = ["put", str(folder), "-r", "none", "--dataset-type", "task-behavior"]
            assert main(line) == 0 and main(["upload"]) == 0
            assert f"none1/20250601_100000/plain_{role}/log.csv" in lab.File.fetch("file_path")


def test_an_account_sees_no_statement_that_makes_tables(
    accounts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labdata.database.connection import LabConnection

    seen: list[str] = []
    run = LabConnection._execute_query

    def watch(self: Any, cursor: Any, query: str, *rest: Any) -> None:
        seen.append(query.split()[0].upper())
        run(self, cursor, query, *rest)

    monkeypatch.setattr(LabConnection, "_execute_query", watch)
    with accounts.used_by("reader", OURS):
        len(default_lab.File())
    assert seen and not {"CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "GRANT"} & set(seen)


def put_folder(accounts: Any, dataset: str, subject: str = f"{OURS}1") -> tuple[Path, bytes]:
    """Make a raw folder of a subject."""
    content = dataset.encode() * 1000
    folder = accounts.folder / "data" / subject / "20250601_100000" / dataset
    folder.mkdir(parents=True)
    (folder / "log.csv").write_bytes(content)
    return folder, content


@pytest.mark.parametrize("role", ["experimenter", "admin"])
def test_put_upload_and_get(accounts: Any, role: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder, content = put_folder(accounts, f"behaviour_{role}")
    with accounts.used_by(role, OURS):
        assert main(["put", str(folder), "-r", "none", "--dataset-type", "task-behavior"]) == 0
        assert main(["upload"]) == 0, capsys.readouterr().err
        (folder / "log.csv").unlink()
        line = ["get", "-a", f"{OURS}1", "-s", "20250601_100000", "-d", folder.name]
        assert main(line) == 0
        row = (default_lab.File & f'file_path LIKE "%{folder.name}/log.csv"').fetch1()
        assert row["file_sha256"] == hashlib.sha256(content).hexdigest()
        assert (folder / "log.csv").read_bytes() == content
        assert main(["put", str(folder), "-r", "none"]) == 1  # put already
        assert "put already" in capsys.readouterr().err
    for name, project, n in (("reader", OURS, 1), ("outsider", THEIRS, 0)):
        with accounts.used_by(name, project):
            assert len(default_lab.File & f'file_path LIKE "%{folder.name}%"') == n
            assert len(default_lab.UploadJob & {"dataset_name": folder.name}) == n


@pytest.mark.parametrize("role", ["reader", "analyst"])
def test_who_may_not_put_changes_nothing(
    accounts: Any, role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, content = put_folder(accounts, f"refused_{role}")
    with accounts.used_by(role, OURS):
        assert main(["put", str(folder), "-r", "none", "--dataset-type", "task-behavior"]) == 1
        assert "to put folders takes experimenter or admin" in capsys.readouterr().err
        assert not default_lab.UploadJob & {"dataset_name": folder.name}
    assert (folder / "log.csv").read_bytes() == content


@pytest.mark.parametrize("role", ["analyst", "admin"])
def test_results_are_claimed_and_made(accounts: Any, role: str) -> None:
    with accounts.used_by(role, OURS):
        lab = default_lab
        lab.ComputeTask.insert1({"task_name": role, "task_status": "WAITING"})
        number = int((lab.ComputeTask & {"task_name": role}).fetch1("job_id"))
        with claim_row(lab.ComputeTask, "task", number, states=("WAITING",)) as claim:
            assert claim and claim.is_held()
            path = f"{OURS}/{role}.npy"
            with lab.connection.transaction:
                row = lab.AnalysisFile.fetch(as_dict=True, limit=1)[0]
                lab.AnalysisFile.insert1({**row, "file_path": path})
                lab.SpikeSorting.update1(
                    {
                        **lab.SpikeSorting.fetch1("KEY"),
                        "features_file": path,
                        "features_storage": "analysis",
                    }
                )
                assert claim.finish("COMPLETED")
        assert path in lab.AnalysisFile.fetch("file_path")
        (lab.ComputeTask & {"job_id": number}).delete(safemode=False)


def test_a_member_of_two_projects_sees_each_in_its_place(accounts: Any) -> None:
    accounts.make("both", "-p", OURS, "--role", "reader")
    with accounts.used_by("chief"):
        assert main(["account", "grant", "both", "-p", THEIRS, "--role", "reader"]) == 0
    with accounts.used_by("both", OURS):
        theirs = load_project_schema(THEIRS)
        assert list(default_lab.Subject.fetch("subject_name")) == ["a_b1"]
        assert list(theirs.Subject.fetch("subject_name")) == ["axb1"]
        assert list(theirs.File.fetch("file_path")) == [f"{THEIRS}/raw.bin"]
        assert f"{THEIRS}/raw.bin" not in default_lab.File.fetch("file_path")


def test_a_project_can_be_named_in_each_command(
    accounts: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with accounts.used_by("reader"):
        assert [row["subject_name"] for row in read_json(capsys, "subjects", "-p", OURS)] == [
            "a_b1"
        ]
        assert main(["subjects"]) == 1
        assert "-p PROJECT" in capsys.readouterr().err
        assert main(["subjects", "-p", "nowhere"]) == 1
        assert "no project 'nowhere'" in capsys.readouterr().err


def test_the_labs_own_account_sees_every_projects_rows(accounts: Any) -> None:
    with accounts.used_by("chief", OURS):
        assert default_lab.File.full_table_name == f"`{accounts.base}`.`file`"
        assert {f"{OURS}/raw.bin", f"{THEIRS}/raw.bin"} <= set(default_lab.File.fetch("file_path"))


@pytest.mark.parametrize("role", ["analyst", "admin"])
def test_computed_tables_are_populated(accounts: Any, role: str) -> None:
    with accounts.used_by(role, OURS):
        lab = default_lab
        lab.UnitCountCriteria.insert1(
            {"unit_criteria_id": 1, "sua_criteria": "firing_rate > 0.1"}, skip_duplicates=True
        )
        lab.UnitMetrics.populate()
        lab.UnitCount.populate()
        assert [int(n) for n in lab.UnitCount.fetch1("all", "sua")] == [1, 1]
        for table in (lab.UnitCount, lab.UnitMetrics):
            table.delete(safemode=False)
            assert not len(table())


def test_reports_of_synchronisations_are_kept_by_who_may_make_results(member: Any) -> None:
    may = own_roles(default_lab)[-1] in ("analyst", "admin")
    assert may_keep(default_lab) == may
    key = (default_lab.SpikeSorting & member.keys[OURS]).fetch1("KEY")
    with pytest.raises(LabdataError, match="0 synchronisations"):
        (default_lab.StreamSyncReport & key).report()


@pytest.mark.filterwarnings("ignore:NOT SYNCHRONISED")
@pytest.mark.parametrize("role", ["analyst", "admin"])
def test_a_curation_is_of_its_account_and_its_project(
    accounts: Any, role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line, label = ["-a", f"{OURS}1", "--json"], f"secret-{role}"
    with accounts.used_by(role, OURS):
        assert main(["curate", "label", "0", "--label", label, *line]) == 0
        row = json.loads(capsys.readouterr().out)[-1]
        assert (row["curated_by"], row["label"]) == (role, label)
        default_lab.CuratedUnitCount.populate()
    with accounts.used_by("analyst", OURS):
        with pytest.raises(LabdataError, match="to delete from UnitCuration takes admin"):
            default_lab.UnitCuration().delete(safemode=False)
        said = "to delete from SpikeSorting with its rows in UnitCuration takes admin"
        with pytest.raises(LabdataError, match=said):
            default_lab.SpikeSorting().delete(safemode=False)
        assert len(default_lab.SpikeSorting()) == len(default_lab.UnitCuration()) == 1
    with accounts.used_by("reader", OURS):
        log = read_json(capsys, "curate", "log", "-a", f"{OURS}1")
        assert log[-1] == row
        found = labdata.spikes(accounts.keys[OURS], curated=True)
        assert found["curation_label"].values.tolist() == [label]
        assert found.attrs["curation_by"] == role
    with accounts.used_by("outsider", THEIRS):
        assert main(["curate", "log", *line]) == 1
        assert main(["curate", "label", "0", "--label", "x", *line, "-p", OURS]) == 1
        said = capsys.readouterr()
        assert label not in said.out + said.err and "Traceback" not in said.err
        assert len(default_lab.UnitCuration()) == 0
        with pytest.raises(LabdataError):
            load_project_schema(OURS).UnitCuration.fetch()
        assert main(["curate", "label", "0", "--label", "x", "-a", f"{THEIRS}1"]) == 1  # a reader
        assert "takes analyst or admin" in capsys.readouterr().err
    with accounts.used_by("chief"):
        assert len(load_project_schema(THEIRS).UnitCuration()) == 0
        (load_project_schema(OURS).UnitCuration()).delete(safemode=False)


def test_no_entry_of_a_log_can_be_signed_for_another(
    accounts: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two analysts: the name can be anybody's, the account is the one that wrote it."""
    line = ["-a", f"{OURS}1"]
    accounts.make("kim", "-p", OURS, "--role", "analyst")
    with accounts.used_by("analyst", OURS):
        assert main(["curate", "label", "0", "--label", "MUA", *line]) == 0
        own = default_lab.UnitCuration.fetch1()
        assert own["account"] == "analyst@%"
        forged = {**own, "entry_num": 1, "curated_by": "kim", "label": "noise"}
        for column in ("account", "entry_datetime"):
            del forged[column]
            other = {**forged, column: own[column]}
            with pytest.raises(LabdataError, match=f"{column} of UnitCuration cannot be given"):
                default_lab.UnitCuration.insert1(other)
        default_lab.UnitCuration.insert1(forged)
        columns = ", ".join(f"`{name}`" for name in default_lab.UnitCuration.heading.names)
    log = f"`{accounts.base}_a_b_computed`.unit_curation"
    copy = f"INSERT INTO {log} ({columns}) SELECT {columns} FROM {log} AS old"
    assert accounts.sql("analyst", copy) == 1143  # not for some of the columns
    with accounts.used_by("kim", OURS):
        assert main(["curate", "undo", *line]) == 0
        assert "Undid entry 1, the label of 0 by kim (account analyst)." in capsys.readouterr().out
        rows = read_json(capsys, "curate", "log", *line)
        assert [row["who"] for row in rows] == ["analyst", "kim (account analyst)", "kim"]
        assert labdata.spikes(accounts.keys[OURS], curated=True).attrs["curation_by"] == "kim"
    with accounts.admin() as connection, connection.cursor() as cursor:
        cursor.execute(f"UPDATE {log} SET account = NULL WHERE entry_num = 0")  # of version 5
        connection.commit()
    with accounts.used_by("reader", OURS):
        assert main(["curate", "log", *line]) == 0
        said = capsys.readouterr().out
        assert "analyst (not verified)" in said and "kim (account analyst)" in said
    with accounts.used_by("chief"):
        load_project_schema(OURS).UnitCuration().delete(safemode=False)


def test_a_path_that_another_project_has_fails_before_anything_is_changed(
    accounts: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, content = put_folder(accounts, "twice")
    line = ["put", str(folder), "-r", "none", "--dataset-type", "task-behavior"]
    with accounts.used_by("experimenter", OURS):
        assert main(line) == 0
        assert main(["upload"]) == 0
        before = (default_lab.File & 'file_path LIKE "%twice%"').fetch(as_dict=True)
    accounts.make("neighbour", "-p", THEIRS, "--role", "experimenter")
    with accounts.used_by("neighbour", THEIRS):
        lab = default_lab
        subject = lab.Subject.fetch1()
        lab.Subject.insert1({**subject, "subject_name": f"{OURS}1"})
        assert main(line) == 0  # the other project's job is not seen
        assert main(["upload"]) == 1
        said = capsys.readouterr().err
        assert "Traceback" not in said and "maybe as another project's" in said
        job = (lab.UploadJob & {"dataset_name": "twice"}).fetch1()
        assert job["job_status"] == "FAILED" and "another project" in job["job_log"]
        assert not lab.Dataset & {"dataset_name": "twice"}
    with accounts.used_by("experimenter", OURS):
        assert (default_lab.File & 'file_path LIKE "%twice%"').fetch(as_dict=True) == before
    assert (folder / "log.csv").read_bytes() == content


def test_doctor_has_nothing_against_an_account(
    member: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["doctor"])
    said = capsys.readouterr()
    assert "refused" not in said.out + said.err and "denied" not in said.out + said.err
    assert "Traceback" not in said.err


def test_an_analyst_deletes_a_sorting_that_nobody_has_curated(accounts: Any) -> None:
    with accounts.used_by("analyst", OURS):
        (own,) = default_lab.SpikeSorting.fetch(as_dict=True)
        params = default_lab.SpikeSortingParams.fetch(as_dict=True)[0]
        params |= {"parameter_set_num": 77, "parameters_hash": "7" * 64}
        default_lab.SpikeSortingParams.insert1(params)
        other = {**own, "parameter_set_num": 77, "waveforms_file": None, "waveforms_storage": None}
        default_lab.SpikeSorting.insert1(other)
        unit = default_lab.SpikeSorting.Unit.fetch(as_dict=True)[0]
        default_lab.SpikeSorting.Unit.insert1({**unit, "parameter_set_num": 77})
        (default_lab.SpikeSorting & "parameter_set_num = 77").delete(safemode=False)
        assert default_lab.SpikeSorting.fetch("parameter_set_num").tolist() == [
            own["parameter_set_num"]
        ]
        (default_lab.SpikeSortingParams & "parameter_set_num = 77").delete(safemode=False)


def test_a_curated_sorting_is_not_deleted_by_an_analyst(
    accounts: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Told in one sentence, whichever way it is tried, and every row is still there."""
    line = ["-a", f"{OURS}1"]
    with accounts.used_by("analyst", OURS):
        lab = default_lab
        assert main(["curate", "label", "0", "--label", "SUA", *line]) == 0
        capsys.readouterr()

        def count() -> list[int]:
            names = ("SpikeSorting", "SpikeSorting.Unit", "UnitCuration", "UnitMetrics")
            return [len(lab.tables_and_parts()[name]()) for name in names]

        lab.UnitMetrics.populate()
        before = count()
        ways = [
            lambda: lab.SpikeSorting().delete(safemode=False),
            lambda: lab.SpikeSorting.Unit().delete(safemode=False, part_integrity="cascade"),
            lambda: lab.SpikeSortingParams().delete(safemode=False),
            lambda: lab.SpikeSorting.delete_plan(),
        ]
        for way in ways:
            with pytest.raises(LabdataError, match="UnitCuration takes admin") as caught:
                way()
            assert "Nothing was changed." in str(caught.value) and count() == before
        for more in (["--table", "SpikeSorting"], ["--table", "SpikeSorting", "--apply"]):
            assert main(["delete", *line, *more]) == 1
            said = capsys.readouterr().err
            assert "to delete rows of AnalysisFile, UnitCuration takes admin" in said
            assert len(said.strip().splitlines()) == 3, (
                "place, one sentence, and who gives the role"
            )
        assert count() == before
    with accounts.used_by("admin", OURS):
        plan = default_lab.SpikeSorting.delete_plan()  # what it takes, an admin may
        assert "UnitCuration" in [row["table"] for row in plan.rows()]
    with accounts.used_by("chief"):
        load_project_schema(OURS).UnitCuration().delete(safemode=False)
