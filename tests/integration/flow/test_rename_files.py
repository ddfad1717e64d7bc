"""Files of renamed data: one verified object a row at every moment, killed wherever it is."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import signal
from pathlib import Path

import pytest

from labdata.cli import main
from labdata.database import key_change
from labdata.database.rename_log import read_renames
from labdata.errors import DatabaseError, IntegrityError, MissingObjectError, UploadError
from labdata.preferences import load_preferences
from labdata.rules import renaming
from labdata.rules.renaming import plan_rename
from labdata.schema.files import get_files
from labdata.schema.garbage import find_garbage, remove_garbage
from labdata.stores import LocalStore

_numbers = itertools.count()
#: Names of the dataset; each test has a session of its own, as garbage is what no lab of the
#: database server has, and the tests share one.
KEY = {"subject_name": "JC1", "session_name": "", "dataset_name": "ephys_g0"}
CASES = {
    "subject": (1, "JC11", "JC11/{session_name}/ephys_g0"),
    "session": (2, "20240306_{number}", "JC1/20240306_{number}/ephys_g0"),
    "dataset": (3, "ephys_g1", "JC1/{session_name}/ephys_g1"),
}


@pytest.fixture(autouse=True)
def session_name():
    number = next(_numbers)
    KEY["session_name"] = f"20240305_10{number // 60:02d}{number % 60:02d}"
    return KEY["session_name"]


@pytest.fixture
def folder_name(session_name):
    return f"JC1/{session_name}/ephys_g0"


def sha(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def files_of(folder):
    folder = Path(folder)
    return {p.relative_to(folder).as_posix(): sha(p) for p in folder.rglob("*") if p.is_file()}


def part(n):
    return dict(list(KEY.items())[:n])


def state(rig, lab=None):
    """Every row of tables with files, and every object."""
    lab = lab or rig.lab
    rows = {
        name: sorted(map(repr, table().fetch(as_dict=True)))
        for name, table in lab.tables_and_parts().items()
    }
    return rows, files_of(rig.store)


def check_whole(rig, lab=None):
    """Every File row has its object, with the content that was recorded."""
    for row in (lab or rig.lab).File.fetch(as_dict=True):
        assert sha(rig.store / row["file_path"]) == row["file_sha256"]


@pytest.fixture
def uploaded(lab_rig, small_run, folder_name):
    lab_rig.upload(lab_rig.put(lab_rig.record(small_run.run_folder, folder_name)))
    return lab_rig


@pytest.fixture
def plain(lab_rig, folder_name):
    """Two small files of a dataset."""
    files = {"a.csv": b"1,2\n", "b.bin": os.urandom(50_000)}
    lab_rig.upload(lab_rig.put(lab_rig.folder(folder_name, files), rule="none"))
    return lab_rig


@pytest.mark.parametrize("case", CASES)
def test_files_fetched_under_the_new_name_are_what_was_recorded(uploaded, case, capsys) -> None:
    n, to, folder = CASES[case]
    names = KEY | {"number": KEY["session_name"].rpartition("_")[2]}
    to, folder = to.format(**names), folder.format(**names)
    lab, old = uploaded.lab, f"JC1/{KEY['session_name']}/ephys_g0"
    rows, objects = lab.File.fetch(as_dict=True), files_of(uploaded.store)
    n_events = len(lab.DatasetEvents.Digital())
    plan = plan_rename(lab, part(n), to)
    assert (len(plan.moves), plan.stays) == (len(rows), ())
    assert plan.size_bytes == sum(row["file_size"] for row in rows)
    plan.apply()
    new = {**part(n), list(KEY)[n - 1]: to}
    expected = {r["file_path"].replace(old, folder): r["file_sha256"] for r in rows}
    found = lab.File.fetch(as_dict=True)
    assert {r["file_path"]: r["file_sha256"] for r in found} == expected
    drop = ("file_path",)
    assert sorted(repr({k: v for k, v in r.items() if k not in drop}) for r in found) == sorted(
        repr({k: v for k, v in r.items() if k not in drop}) for r in rows
    )
    assert set((lab.Dataset.DataFiles & new).fetch("file_path")) == set(expected)
    assert len(lab.EphysRecording.ProbeFile & new) == len(lab.EphysRecording.ProbeFile()) > 0
    assert len(lab.DatasetEvents.Digital & new) == n_events > 0
    # nothing was deleted, and what is left over is known as such
    assert objects.items() <= files_of(uploaded.store).items()
    assert {g.object_path for g in find_garbage(lab).objects} == set(objects)
    key = KEY | new
    line = ["get", "-a", key["subject_name"], "-s", key["session_name"]]
    assert main(line) == 0
    got = get_files(lab.File, verify=True)
    assert {sha(path) for path in got} == set(expected.values())
    # neither the old folder nor the corrected one is put twice
    if case == "subject":  # one of the old name, as there may well be
        uploaded.add_subjects("JC1")
    with pytest.raises(UploadError, match="put already"):
        uploaded.put(uploaded.rig / old)
    shutil.rmtree(uploaded.rig / folder)
    (uploaded.rig / old).rename(uploaded.rig / folder)
    for path in (uploaded.rig / folder).rglob("*"):
        if path.is_file() and not path.name.endswith(".ap.bin"):
            path.unlink()
    with pytest.raises(UploadError, match="in the database already"):
        uploaded.put(uploaded.rig / folder, rule="none", experimenter=None)


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def after(owner, name, n=1):
    real, calls = getattr(owner, name), []

    def wrapped(*args, **options):
        result = real(*args, **options)
        calls.append(name)
        if len(calls) == n:
            die()
        return result

    setattr(owner, name, wrapped)


STEPS = {
    "after the log began": lambda: after(renaming, "begin_rename"),
    "before the first object": lambda: setattr(LocalStore, "copy", die),
    "after the first object": lambda: after(LocalStore, "copy"),
    "after all objects": lambda: after(renaming.RenamePlan, "_copy_objects"),
    "after the files' rows": lambda: after(renaming, "change_keys"),
    "within the names' rows": lambda: after(key_change, "_apply", 2),
    "after the names' rows": lambda: after(renaming, "change_keys", 2),
    "before the commit": lambda: after(renaming, "finish_rename"),
    "after the commit": lambda: after(renaming.RenamePlan, "apply"),
}


@pytest.mark.parametrize("step", STEPS)
def test_killed_anywhere_it_is_whole_and_goes_on(plain, step, run_child) -> None:
    lab = plain.lab
    rows, objects = state(plain)
    renamed = [row.replace("JC1", "JC11") for row in rows["File"]]

    def work():
        STEPS[step]()
        plan_rename(lab, {"subject_name": "JC1"}, "JC11").apply()

    assert run_child(work) == -signal.SIGKILL
    committed = step == "after the commit"
    now, there = state(plain)
    assert (now == rows) is not committed
    assert objects.items() <= there.items()
    check_whole(plain)
    (entry,) = read_renames(lab.connection, None)
    assert (entry["ended"] is not None) is committed
    left = {g.object_path for g in find_garbage(lab).objects}
    assert left == there.keys() - {r["file_path"] for r in lab.File.fetch(as_dict=True)}
    if not committed:
        plan_rename(lab, {"subject_name": "JC1"}, "JC11").apply()
    done, there = state(plain)
    assert done["File"] == sorted(renamed)
    assert "'JC1'" not in repr(done["Dataset"]) and "'JC1'" not in repr(done["UploadJob"])
    check_whole(plain)
    assert {g.object_path for g in find_garbage(lab).objects} == set(objects)
    (entry,) = read_renames(lab.connection, None)
    assert entry["ended"] and (entry["old_name"], entry["new_name"]) == ("JC1", "JC11")
    assert entry["n_files"] == 2


@pytest.mark.parametrize("fault", ["damaged", "missing", "in the way"])
def test_an_object_that_cannot_be_copied_stops_it(plain, fault) -> None:
    target = plain.store / f"JC1/{KEY['session_name']}/ephys_g0/b.bin"
    if fault == "damaged":
        target.write_bytes(b"x" * 50_000)
    elif fault == "missing":
        target.unlink()
    else:
        target = plain.store / f"JC11/{KEY['session_name']}/ephys_g0/b.bin"
        target.parent.mkdir(parents=True)
        target.write_bytes(b"something else")
    rows, _ = state(plain)
    error = MissingObjectError if fault == "missing" else IntegrityError
    with pytest.raises(error):
        plan_rename(plain.lab, {"subject_name": "JC1"}, "JC11").apply()
    assert state(plain)[0] == rows
    assert (
        not (plain.store / f"JC11/{KEY['session_name']}/ephys_g0/b.bin").exists()
        or fault == "in the way"
    )


def test_a_file_that_another_project_uses_keeps_its_path(rig) -> None:
    from labdata.schema.project_admin import create_project, plan_share

    vision, attention = create_project(rig.lab, "vision"), create_project(rig.lab, "att")
    rig.add_subjects("JC1", lab=vision)
    folder = rig.folder(f"JC1/{KEY['session_name']}/ephys_g0", {"a.csv": b"1\n"})
    rig.upload(rig.put(folder, rule="none", lab=vision), lab=vision)
    vision.Dataset.update1({**KEY, "dataset_type": None})
    plan_share(vision, attention, {"Session": [("JC1", KEY["session_name"])]}).apply()
    others, files = state(rig, attention)
    plan = plan_rename(vision, {"subject_name": "JC1"}, "JC11")
    assert plan.moves == ()
    (stay,) = plan.stays
    assert stay.reason.endswith("_att uses it too")
    plan.apply()
    now, there = state(rig, attention)
    changed = {name for name in now if now[name] != others[name]}
    assert changed == {"UploadJob"} and there == files
    assert len(vision.Dataset.DataFiles & {"subject_name": "JC11"}) == 1
    assert [sha(p) for p in get_files(attention.File)] == [sha(folder / "a.csv")]


def test_a_reference_that_cannot_be_seen_stops_it(plain, monkeypatch) -> None:
    """The server's own checks hold for projects that the account may not look into."""
    lab = plain.lab
    base = lab.connection._preferences.name
    lab.connection.query(f"CREATE DATABASE `{base}_hidden`")
    charset = "CHARACTER SET utf8mb4"
    lab.connection.query(
        f"CREATE TABLE `{base}_hidden`.`use` (file_path varchar(400), storage varchar(32), "
        "PRIMARY KEY (file_path, storage), FOREIGN KEY (file_path, storage) REFERENCES "
        f"{lab.File.full_table_name} (file_path, storage) ON DELETE RESTRICT) {charset}"
    )
    path = f"JC1/{KEY['session_name']}/ephys_g0/a.csv"
    lab.connection.query(f"INSERT INTO `{base}_hidden`.`use` VALUES (%s, 'data')", (path,))
    (stay,) = plan_rename(lab, {"subject_name": "JC1"}, "JC11").stays
    assert stay.file_path == path and "_hidden" in stay.reason
    real = key_change.read_tables
    monkeypatch.setattr(
        key_change,
        "read_tables",
        lambda connection, schemas: real(connection, set(schemas) - {f"{base}_hidden"}),
    )
    rows, _ = state(plain)
    plan = plan_rename(lab, {"subject_name": "JC1"}, "JC11")
    assert len(plan.moves) == 2
    with pytest.raises(DatabaseError, match="cannot see") as caught:
        plan.apply()
    assert "--keep-files" in caught.value.hint
    assert state(plain)[0] == rows
    plan_rename(lab, {"subject_name": "JC1"}, "JC11", keep_files=True).apply()
    assert len(lab.Dataset & {"subject_name": "JC11"}) == 1
    check_whole(plain)


def test_files_elsewhere_and_names_of_another_case_keep_their_paths(plain) -> None:
    lab = plain.lab
    (plain.store / "old").mkdir()
    (plain.store / "old" / "JC1.bin").write_bytes(b"1")
    file = {"file_path": "old/JC1.bin", "storage": "data"}
    lab.File.insert1({**file, "file_datetime": "2024-01-01", "file_size": 1})
    lab.Dataset.DataFiles.insert1({**KEY, **file})
    plan = plan_rename(lab, {"subject_name": "JC1"}, "JC11")
    assert [stay.file_path for stay in plan.stays] == ["old/JC1.bin"]
    plan.apply()
    assert len(lab.Dataset.DataFiles & file & {"subject_name": "JC11"}) == 1
    plan = plan_rename(lab, {"subject_name": "JC11"}, "jc11")
    assert plan.moves == () and len(plan.stays) == 3
    plan.apply()
    assert (
        set(lab.Dataset.fetch("subject_name"))
        == {"jc11"}
        == set(lab.Subject.fetch("subject_name")) - {"JC2"}
    )
    check_old = {r["file_path"] for r in lab.File.fetch(as_dict=True)}
    assert all((plain.store / path).exists() for path in check_old)


def test_a_store_without_links_copies(plain, monkeypatch) -> None:
    def refuse(*_, **__):
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    old = files_of(plain.store)
    plan_rename(plain.lab, {"subject_name": "JC1"}, "JC11").apply()
    check_whole(plain)
    assert len(files_of(plain.store)) == 2 * len(old)
    assert load_preferences().storage["data"].protocol == "local"


def test_the_old_objects_go_after_their_days_and_the_files_stay(plain) -> None:
    lab = plain.lab
    base = lab.connection._preferences.name
    plan_rename(lab, {"subject_name": "JC1"}, "JC11").apply()
    assert remove_garbage(lab) == ()
    check_whole(plain)
    lab.connection.query(
        f"UPDATE `{base}`.`~labdata_garbage` SET first_seen = first_seen - INTERVAL 15 DAY"
    )
    removed = remove_garbage(lab)
    assert len(removed) == 2 and all(g.object_path.startswith("JC1/") for g in removed)
    check_whole(plain)
    assert set(files_of(plain.store)) == set(lab.File.fetch("file_path"))
