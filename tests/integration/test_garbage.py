"""Garbage is what no file refers to: noted first, removed much later, and never in doubt."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from labdata.cli import main
from labdata.database.locks import worker_lock
from labdata.errors import DatabaseError, StoreAwayError, StoreError
from labdata.preferences import load_preferences, write_preferences
from labdata.rules.renaming import rename_lock
from labdata.schema import default_lab, garbage
from labdata.schema.garbage import find_garbage, remove_garbage
from labdata.schema.project_admin import create_project
from labdata.schema.verifying import verify_stores
from labdata.stores import local
from labdata.stores.paths import leaving_name
from labdata.testing import insert_dataset

pytestmark = pytest.mark.database


class Stores:
    """Stores with objects, of which the database knows some."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lab = folder, default_lab

    def put(self, path: str, content: bytes = b"x", *, store: str = "data", known: Any = None):
        target = self.folder / "stores" / store / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        if known is not None:
            row = {"file_path": path, "storage": store, "file_size": len(content)}
            known.insert1({**row, "file_datetime": "2025-06-01"})
        return target

    def objects(self) -> set[str]:
        root = self.folder / "stores"
        return {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}

    def age(self, days: float, where: str = "1") -> None:
        base = self.lab.connection._preferences.name
        self.lab.connection.query(
            f"UPDATE `{base}`.`~labdata_garbage` SET first_seen = first_seen - INTERVAL "
            f"{int(days * 86400)} SECOND WHERE {where}"
        )

    def found(self) -> set[str]:
        return {f"{one.storage}/{one.object_path}" for one in find_garbage(self.lab).objects}


@pytest.fixture
def alone(monkeypatch) -> None:
    """The server's other labs are those of other tests: they have files of the same paths."""
    real = garbage._tables_like

    def own(connection, names):
        base = connection._preferences.name
        return [row for row in real(connection, names) if row[0] in (base, f"{base}x")]

    monkeypatch.setattr(garbage, "_tables_like", own)


@pytest.fixture
def stores(embedded_lab, tmp_path, alone) -> Stores:
    made = Stores(tmp_path)
    made.put("JC1/a.bin", b"abc", known=made.lab.File)
    made.put("JC1/model.bin", store="analysis", known=made.lab.AnalysisFile)
    made.put("JC1/left.bin", b"1234567")
    made.put("JC2/left.bin", store="analysis")
    return made


def test_only_what_no_file_refers_to(stores) -> None:
    report = find_garbage(stores.lab)
    assert {(g.storage, g.object_path) for g in report.objects} == {
        ("data", "JC1/left.bin"),
        ("analysis", "JC2/left.bin"),
    }
    assert (report.n_objects, report.size_bytes) == (4, 8)
    assert len(stores.objects()) == 4


def test_nothing_goes_before_its_days_are_over(stores) -> None:
    everything = stores.objects()
    assert remove_garbage(stores.lab) == ()  # it was never listed before
    stores.age(13.9)
    assert remove_garbage(stores.lab) == ()
    assert stores.objects() == everything
    stores.age(0.2, "object_path = 'JC1/left.bin'")
    (removed,) = remove_garbage(stores.lab)
    assert (removed.object_path, removed.size_bytes) == ("JC1/left.bin", 7)
    assert stores.objects() == everything - {"data/JC1/left.bin"}
    for days in (0.99, 0, -1, float("nan")):
        with pytest.raises(DatabaseError, match="too few"):
            remove_garbage(stores.lab, grace_days=days)


def test_what_was_used_or_changed_meanwhile_begins_anew(stores) -> None:
    find_garbage(stores.lab)
    stores.age(100)
    key = {"file_path": "JC1/left.bin", "storage": "data"}
    stores.lab.File.insert1({**key, "file_size": 7, "file_datetime": "2025-06-01"})
    stores.put("JC2/left.bin", b"other", store="analysis")
    assert stores.found() == {"analysis/JC2/left.bin"}
    (stores.lab.File & key).delete(prompt=False)
    assert len(stores.found()) == 2
    assert remove_garbage(stores.lab) == ()
    stores.age(15)
    assert len(remove_garbage(stores.lab)) == 2


@pytest.mark.parametrize("moment", ["registered", "changed", "put"])
def test_what_happens_between_looking_and_removing(stores, monkeypatch, moment) -> None:
    find_garbage(stores.lab)
    stores.age(15)
    real = garbage._nobody_registers

    def late(lab):
        key = {"file_path": "JC1/left.bin", "storage": "data"}
        if moment == "registered":
            lab.File.insert1({**key, "file_size": 7, "file_datetime": "2025-06-01"})
        elif moment == "changed":
            stores.put("JC1/left.bin", b"another")
        else:
            add_job(lab, "JC1/raw.bin", "WAITING")
        return real(lab)

    monkeypatch.setattr(garbage, "_nobody_registers", late)
    removed = {one.object_path for one in remove_garbage(stores.lab)}
    assert removed == {"JC2/left.bin"}
    assert "data/JC1/left.bin" in stores.objects()


def add_job(lab: Any, path: str, status: str, **sums: str | None) -> None:
    """Add a job of one file, or of several in a folder with their checksums."""
    lab.UploadJob.insert1({"job_status": status})
    number = max(lab.UploadJob.fetch("job_id"))
    source = {"job_id": number, "src_datetime": "2025-06-01", "src_size": 1}
    files = {f"{path}/{name}.bin": sha256 for name, sha256 in sums.items()} or {path: None}
    lab.UploadJob.AssignedFiles.insert(
        {**source, "src_path": file, "src_sha256": sha256} for file, sha256 in files.items()
    )


def test_the_folder_of_an_unfinished_upload_is_in_use(stores) -> None:
    stores.put("JC1/s/ephys/ap.zarr.zip")
    stores.put("JC1/s/ephys2/ap.zarr.zip")
    find_garbage(stores.lab)
    stores.age(15)
    add_job(stores.lab, "jc1/s/ephys/ap.bin", "FAILED")
    state = {g.object_path: g.in_use for g in find_garbage(stores.lab).objects}
    assert state["JC1/s/ephys/ap.zarr.zip"].endswith("is FAILED")
    assert state["JC1/s/ephys2/ap.zarr.zip"] == state["JC1/left.bin"] == ""
    remove_garbage(stores.lab)
    assert "data/JC1/s/ephys/ap.zarr.zip" in stores.objects()
    assert "data/JC1/s/ephys2/ap.zarr.zip" not in stores.objects()


@pytest.mark.parametrize("registered", [True, False])
def test_what_a_killed_clean_renamed_through_a_mount_is_kept(stores, registered) -> None:
    """It may be the only copy of a file of the database; of another name it is garbage."""
    aside = leaving_name("JC1/s/task/a.bin")
    stores.put(aside)
    if registered:
        key = {"file_path": "JC1/s/task/a.bin", "storage": "data"}
        stores.lab.File.insert1({**key, "file_size": 7, "file_datetime": "2025-06-01"})
    (found,) = [one for one in find_garbage(stores.lab).objects if one.object_path == aside]
    assert ("interrupted `labdata clean` renamed JC1/s/task/a.bin" in found.in_use) is registered
    stores.age(15)
    remove_garbage(stores.lab)
    assert (f"data/{aside}" in stores.objects()) is registered


def test_registered_while_it_is_removed_it_is_kept(stores, monkeypatch) -> None:
    aside = leaving_name("JC1/s/task/a.bin")
    stores.put(aside)
    find_garbage(stores.lab)
    stores.age(15)
    real = garbage._nobody_registers

    def late(lab):
        key = {"file_path": "JC1/s/task/a.bin", "storage": "data"}
        lab.File.insert1({**key, "file_size": 7, "file_datetime": "2025-06-01"})
        return real(lab)

    monkeypatch.setattr(garbage, "_nobody_registers", late)
    remove_garbage(stores.lab)
    assert f"data/{aside}" in stores.objects()


def test_a_cancelled_upload_needs_nothing(stores) -> None:
    stores.put("JC1/s/ephys/ap.zarr.zip")
    add_job(stores.lab, "JC1/s/ephys/ap.bin", "CANCELLED")
    find_garbage(stores.lab)
    stores.age(15)
    assert "JC1/s/ephys/ap.zarr.zip" in {g.object_path for g in remove_garbage(stores.lab)}


def test_what_is_in_the_way_of_an_upload_is_not_in_use(stores) -> None:
    """It has the path of one of the upload's files, and other content: it was there before."""
    content = {"size.bin": b"12", "same.bin": b"s", "other.bin": b"o", "unknown.bin": b"u"}
    for name, data in content.items():
        stores.put(f"JC1/s/task/{name}", data)
    ours = hashlib.sha256(b"s").hexdigest()
    files = {"size": ours, "same": ours, "other": ours, "unknown": None}
    add_job(stores.lab, "JC1/s/task", "FAILED", **files)
    find_garbage(stores.lab)
    stores.age(15)
    assert {g.object_path for g in remove_garbage(stores.lab)} >= {
        "JC1/s/task/size.bin",
        "JC1/s/task/other.bin",
    }
    assert {"data/JC1/s/task/same.bin", "data/JC1/s/task/unknown.bin"} <= stores.objects()


def test_what_an_upload_may_have_stored_and_the_disk_does_not_give_back_is_kept(
    stores, monkeypatch
) -> None:
    """One object that cannot be read hides neither the garbage nor what verify finds."""
    stores.put("JC1/s/task/same.bin", b"s")
    add_job(stores.lab, "JC1/s/task", "FAILED", same=hashlib.sha256(b"s").hexdigest())
    real = local.hash_file

    def fail(path: Path, **options: Any) -> Any:
        if Path(path).name == "same.bin":
            raise StoreError(f"Could not read {path}: Input/output error.")
        return real(path, **options)

    monkeypatch.setattr(local, "hash_file", fail)
    state = {g.object_path: g.in_use for g in find_garbage(stores.lab).objects}
    assert state["JC1/s/task/same.bin"].endswith("is FAILED")
    assert state["JC1/left.bin"] == ""
    report = verify_stores(stores.lab)
    assert (report.orphans.n_objects, report.orphans.unknown) == (2, "")
    stores.age(15)
    assert len(remove_garbage(stores.lab)) == 2
    assert "data/JC1/s/task/same.bin" in stores.objects()


def test_a_server_that_goes_away_meanwhile_leaves_the_garbage_uncounted(
    stores, monkeypatch
) -> None:
    stores.put("JC1/s/task/same.bin", b"s")
    add_job(stores.lab, "JC1/s/task", "FAILED", same=hashlib.sha256(b"s").hexdigest())

    def away(*args: Any, **options: Any) -> Any:
        raise StoreAwayError("The file server does not answer.")

    monkeypatch.setattr(local, "hash_file", away)
    report = verify_stores(stores.lab)
    assert "does not answer" in report.orphans.unknown
    assert report.n_objects == 2, "all was compared by size"
    with pytest.raises(StoreAwayError):
        find_garbage(stores.lab)


def test_a_name_that_no_object_has_is_left_to_people(stores, capsys) -> None:
    """As macOS makes them, or a computer that does not write UTF-8: no store gives them out."""
    folder = os.fsencode(stores.folder / "stores" / "data" / "JC1")
    for name in (b"Icon\r", b"Maus_\xe4.csv", b"back\\slash.csv"):
        Path(os.fsdecode(os.path.join(folder, name))).write_bytes(b"x")  # noqa: PTH118
    everything = stores.objects()
    state = {g.object_path: g.in_use for g in find_garbage(stores.lab).objects}
    assert len(state) == 5 and state["JC1/left.bin"] == ""
    assert "remove it by hand" in state["JC1/Icon\r"]
    stores.age(15)
    assert {g.object_path for g in remove_garbage(stores.lab)} == {"JC1/left.bin", "JC2/left.bin"}
    assert stores.objects() == everything - {"data/JC1/left.bin", "analysis/JC2/left.bin"}
    for words in (["garbage"], ["garbage", "--json"]):
        assert main(words) == 0
        assert "Icon" in capsys.readouterr().out


def test_in_doubt_it_is_kept(stores) -> None:
    """Files of other labs of the server, stores of unknown names, letters of another case."""
    stores.put("other/lab.bin")
    stores.put("unknown/store.bin")
    stores.put("JC1/CASE.bin")
    assert len(stores.found()) == 5
    base = stores.lab.connection._preferences.name
    query = stores.lab.connection.query
    query(f"CREATE DATABASE `{base}x`")
    query(f"CREATE TABLE `{base}x`.`file` LIKE `{base}`.`file`")
    query(
        f"INSERT INTO `{base}x`.`file` (file_path, storage, file_datetime, file_size) "
        "VALUES ('other/lab.bin', 'theirs', '2025-06-01', 1)"
    )
    row = {"file_datetime": "2025-06-01", "file_size": 1}
    stores.lab.File.insert1({"file_path": "unknown/store.bin", "storage": "nas", **row})
    stores.lab.File.insert1({"file_path": "jc1/case.bin", "storage": "data", **row})
    assert stores.found() == {"data/JC1/left.bin", "analysis/JC2/left.bin"}


def test_a_store_inside_another_and_one_of_two_names(stores, embedded_lab) -> None:
    content = json.loads((embedded_lab / "user_preferences.json").read_text())
    data = content["storage"]["data"]
    content["storage"] |= {"inner": {**data, "folder": "JC1"}, "twin": dict(data)}
    write_preferences(content, embedded_lab / "user_preferences.json")
    assert set(load_preferences().storage) == {"data", "analysis", "inner", "twin"}
    found = stores.found()
    assert not {one for one in found if one.endswith("a.bin")}
    row = {"file_datetime": "2025-06-01", "file_size": 1}
    stores.lab.File.insert1({"file_path": "left.bin", "storage": "inner", **row})
    assert stores.found() == {"analysis/JC2/left.bin"}


def test_a_folder_that_is_mounted_twice_is_one_store(stores, embedded_lab, tmp_path) -> None:
    """What a store refers to through one mount is no garbage of another's, through the other."""
    second = tmp_path / "second" / "mount"
    second.mkdir(parents=True)
    data = load_preferences().storage["data"]
    bind = ["mount", "--bind", str(data.path), str(second)]
    if subprocess.run(bind, capture_output=True, check=False).returncode:
        pytest.skip("a folder can be mounted twice by root on Linux only")
    try:
        content = json.loads((embedded_lab / "user_preferences.json").read_text())
        content["storage"]["again"] = {**content["storage"]["data"], "path": str(second)}
        content["storage"]["part"] = {**content["storage"]["again"], "folder": "JC1"}
        write_preferences(content, embedded_lab / "user_preferences.json")
        row = {"file_datetime": "2025-06-01", "file_size": 1}
        assert "data/JC1/left.bin" in stores.found()
        stores.lab.File.insert1({"file_path": "left.bin", "storage": "part", **row})
        assert stores.found() == {"analysis/JC2/left.bin"}
    finally:
        subprocess.run(["umount", "-l", str(second)], check=True)


def test_who_sees_only_some_files_is_refused(stores) -> None:
    base = stores.lab.connection._preferences.name
    query = stores.lab.connection.query
    query(f"RENAME TABLE `{base}`.`analysis_file` TO `{base}`.`all_files`")
    query(f"CREATE VIEW `{base}`.`analysis_file` AS SELECT * FROM `{base}`.`all_files` LIMIT 0")
    with pytest.raises(DatabaseError, match="is a view"):
        find_garbage(stores.lab)
    query(f"DROP VIEW `{base}`.`analysis_file`")
    with pytest.raises(DatabaseError, match="does not see"):
        find_garbage(stores.lab)


def test_while_somebody_renames_or_a_store_is_away_nothing_is_removed(stores, tmp_path) -> None:
    import threading

    find_garbage(stores.lab)
    stores.age(15)
    everything = stores.objects()
    connection = stores.lab.connection
    held, done = threading.Event(), threading.Event()

    def rename() -> None:
        with worker_lock(connection, rename_lock(connection)):
            held.set()
            done.wait(30)

    worker = threading.Thread(target=rename)
    worker.start()
    held.wait(30)
    try:
        with pytest.raises(DatabaseError, match="renaming"):
            remove_garbage(stores.lab)
    finally:
        done.set()
        worker.join()
    (tmp_path / "stores" / "analysis").rename(tmp_path / "away")
    with pytest.raises(StoreError, match="not there"):
        remove_garbage(stores.lab)
    (tmp_path / "away").rename(tmp_path / "stores" / "analysis")
    assert stores.objects() == everything


def test_from_delete_to_garbage_by_commands(stores, capsys) -> None:
    key = insert_dataset(stores.lab)
    file = {"file_path": "JC1/a.bin", "storage": "data"}
    stores.lab.Dataset.DataFiles.insert1({**key, **file})
    everything = stores.objects()
    assert main(["delete", "-a", "JC1", "--apply"]) == 0
    assert "labdata garbage" in capsys.readouterr().err
    assert stores.objects() == everything
    assert main(["garbage"]) == 0
    shown = capsys.readouterr()
    assert "JC1/a.bin" in shown.out and "3 of 4 objects" in shown.err
    assert main(["garbage", "--remove"]) == 0
    assert "Nothing has been garbage for 14 days" in capsys.readouterr().out
    assert main(["garbage", "--remove", "--grace-days", "0"]) == 1
    assert stores.objects() == everything
    stores.age(2)
    assert main(["garbage", "--remove", "--grace-days", "1", "--json"]) == 0
    removed = json.loads(capsys.readouterr().out)
    assert {one["object_path"] for one in removed} == {"JC1/a.bin", "JC1/left.bin", "JC2/left.bin"}
    assert stores.objects() == {"analysis/JC1/model.bin"}


@pytest.mark.server
def test_on_a_server_with_projects(server_lab, tmp_path, alone) -> None:
    stores = Stores(tmp_path)
    create_project(default_lab, "vision")
    stores.put("JC1/a.bin", known=default_lab.File)
    stores.put("JC1/left.bin")
    assert stores.found() == {"data/JC1/left.bin"}
    stores.age(15)
    assert [one.object_path for one in remove_garbage(default_lab)] == ["JC1/left.bin"]
    assert stores.objects() == {"data/JC1/a.bin"}
