"""A whole lab from a laptop to a server, and backups: compared row by row and blob by blob."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lab_rows import dataset_of, insert_sorted_dataset, read_rows

from labdata.cli import main
from labdata.database.backups import choose_kept, list_backups, make_backup
from labdata.database.connection import connect
from labdata.database.lab_dump import dump_lab, read_contents
from labdata.database.lab_load import load_lab
from labdata.database.rename_log import read_renames
from labdata.errors import DatabaseError
from labdata.preferences import load_preferences
from labdata.rules.renaming import plan_rename
from labdata.schema import default_lab, load_project_schema
from labdata.schema.garbage import find_garbage
from labdata.schema.project_admin import archive_project, create_project
from labdata.testing import insert_dataset

pytestmark = pytest.mark.database

TIMES = np.cumsum(np.random.default_rng(0).integers(0, 5000, 20_000))


def fill_lab() -> None:
    """Rows of every kind of column, without a project and in one."""
    key = dataset_of(insert_sorted_dataset(default_lab, TIMES))
    default_lab.ComputeTask.insert1({**key, "task_name": "a", "task_parameters": {"x": [1, None]}})
    note = {"notetaker": "couto", "note_datetime": "2025-06-01 12:00:00.25"}
    default_lab.Note.insert1({**note, "notes": "naïve 'quotes' \\ and 日本"})
    default_lab.Note.Image.insert1({**note, "image_id": 1, "image": {"a": np.eye(2), "b": None}})
    vision = create_project(default_lab, "vision", description="V1", contact="couto")
    insert_dataset(vision, "JC1", dataset="theirs")
    insert_dataset(vision, "JC3")
    plan_rename(vision, {"subject_name": "JC3"}, "JC4", keep_files=True).apply()
    (Path(load_preferences().storage["data"].path) / "old.bin").write_bytes(b"1234")
    find_garbage(default_lab)
    archive_project(default_lab, "vision")


def hidden_rows() -> dict[str, list[tuple[Any, ...]]]:
    """Every row of labdata's own notes; the version is of the tables, and made with them."""
    base = connect()._preferences.name
    names = connect().query(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = %s "
        "AND table_name LIKE '~labdata%%' AND table_name <> '~labdata_version'",
        (base,),
    )
    return {
        name: sorted(connect().query(f"SELECT * FROM `{base}`.`{name}`").fetchall(), key=repr)
        for (name,) in names.fetchall()
    }


def all_rows() -> dict[str, list[tuple[Any, ...]]]:
    """Every row of both projects by the names that users know, JSON decoded."""
    found = {}
    for lab in (default_lab, load_project_schema("vision")):
        for name, rows in read_rows(lab).items():
            decoded = [
                tuple(
                    json.loads(v) if k in ("task_parameters", "parameters_dict") and v else v
                    for k, v in row.items()
                )
                for row in rows
            ]
            found[f"{lab.project}.{name}"] = sorted(decoded, key=repr)
    return found


@pytest.fixture(scope="module")
def dumped(make_embedded_lab, tmp_path_factory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("laptop")
    file = folder / "lab.sqlite"
    with make_embedded_lab(folder):
        fill_lab()
        dump_lab(connect(), file)
        notes = hidden_rows()
        assert {name: len(rows) for name, rows in notes.items()} == {
            "~labdata_rename": 1, "~labdata_garbage": 1, "~labdata_archived": 1,
        }  # fmt: skip
        return file, all_rows() | notes


@pytest.mark.server
def test_a_laptops_lab_grows_into_a_server(make_server_lab, tmp_path, dumped, capsys) -> None:
    file, original = dumped
    with make_server_lab(tmp_path):
        assert main(["db", "load", str(file), "--json"]) == 0
        (counts,) = json.loads(capsys.readouterr().out)
        assert all_rows() | hidden_rows() == original
        assert counts["compared"] == counts["inserted"] + counts["same"]
        assert counts["compared"] == sum(t.n_rows for t in read_contents(file)[0])
        train = default_lab.SpikeSorting.Unit.fetch1("spike_times")
        np.testing.assert_array_equal(train, TIMES)
        assert (default_lab.Project & "project_name='vision'").fetch1("project_contact") == "couto"
        again = load_lab(default_lab, file)
        assert (again["inserted"], all_rows() | hidden_rows()) == (0, original)
        vision = load_project_schema("vision")
        (rename,) = read_renames(connect(), "vision")
        assert (rename["old_name"], rename["new_name"]) == ("JC3", "JC4")
        with pytest.raises(DatabaseError, match=r"archived since .* by \w+@"):
            vision.Subject.delete(safemode=False)


def test_other_content_stops_a_load_before_it_begins(make_embedded_lab, tmp_path, dumped) -> None:
    file, _ = dumped
    with make_embedded_lab(tmp_path):
        insert_dataset(default_lab)
        default_lab.Subject.update1({"subject_name": "JC1", "subject_sex": "F"})
        before = all_rows()
        with pytest.raises(DatabaseError, match="other content"):
            load_lab(default_lab, file)
        assert all_rows() | {"None.Project": []} == before | {"None.Project": []}


def test_a_killed_load_is_repeated(make_embedded_lab, tmp_path, dumped, monkeypatch) -> None:
    from labdata.database import lab_load

    file, original = dumped
    with make_embedded_lab(tmp_path):
        real, n_calls = lab_load.insert_rows, []

        def stop(connection, table, rows):
            n_calls.append(table.name)
            if len(n_calls) == 6:
                raise KeyboardInterrupt
            real(connection, table, rows)

        with monkeypatch.context() as now:
            now.setattr(lab_load, "insert_rows", stop)
            with pytest.raises(KeyboardInterrupt):
                load_lab(default_lab, file)
        load_lab(default_lab, file)
        assert all_rows() | hidden_rows() == original


def test_jobs_stay_out_when_told_to(make_embedded_lab, tmp_path, dumped) -> None:
    file, _ = dumped
    with make_embedded_lab(tmp_path):
        load_lab(default_lab, file, without_jobs=True)
        assert len(default_lab.ComputeTask()) == 0
        assert len(default_lab.SpikeSorting.Unit()) == 1


def test_a_damaged_or_foreign_file_is_refused(embedded_lab, tmp_path, dumped, capsys) -> None:
    file, _ = dumped
    for content, word in ((b"no database", "no dump"), (b"", "no dump")):
        other = tmp_path / "other.sqlite"
        other.write_bytes(content)
        assert main(["db", "load", str(other)]) == 1
        assert word in capsys.readouterr().err
    assert main(["db", "load", str(tmp_path / "missing")]) == 1
    assert "no file" in capsys.readouterr().err
    assert main(["db", "dump", str(file)]) == 1
    assert "there already" in capsys.readouterr().err
    assert main(["db", "dump"]) == 2
    assert main(["db", "dump", str(tmp_path / "none" / "lab.sqlite")]) == 1
    assert "There is no folder" in capsys.readouterr().err
    damaged = tmp_path / "damaged.sqlite"
    damaged.write_bytes(file.read_bytes())
    with sqlite3.connect(damaged) as change:
        change.execute('DELETE FROM ".global.note__image"')
    with pytest.raises(DatabaseError, match="note__image is not as it was written"):
        load_lab(default_lab, damaged)


@pytest.mark.parametrize("damage", ["a bit of a blob", "the end", "pages"])
def test_a_damaged_dump_loads_nothing(embedded_lab, tmp_path, dumped, capsys, damage) -> None:
    content = bytearray(dumped[0].read_bytes())
    with sqlite3.connect(dumped[0]) as source:
        ((blob,),) = source.execute('SELECT spike_times FROM ".computed.spike_sorting__unit"')
    if damage == "a bit of a blob":
        content[content.index(blob[1000:1100])] ^= 1  # SQLite itself reads on without a word
    elif damage == "the end":
        del content[-5000:]
    else:
        content[4096:65536] = bytes(61440)
    file = tmp_path / "damaged.sqlite"
    file.write_bytes(content)
    assert main(["db", "load", str(file)]) == 1
    said = capsys.readouterr().err
    assert f"{file} is damaged" in said and "Copy it again" in said
    assert len(default_lab.Subject()) == 0 == len(default_lab.Project())


def test_a_dump_without_checksums_is_loaded(embedded_lab, tmp_path, dumped) -> None:
    older = tmp_path / "older.sqlite"
    older.write_bytes(dumped[0].read_bytes())
    with sqlite3.connect(older) as change:
        change.execute("DELETE FROM about WHERE name = 'sha256'")
    load_lab(default_lab, older)
    assert all_rows() | hidden_rows() == dumped[1]


def test_a_dump_of_another_version_is_refused(embedded_lab, tmp_path, dumped) -> None:
    other = tmp_path / "other.sqlite"
    other.write_bytes(dumped[0].read_bytes())
    with sqlite3.connect(other) as change:
        change.execute("UPDATE about SET value = '99' WHERE name = 'version'")
    with pytest.raises(DatabaseError, match="version 99, made by a newer"):
        load_lab(default_lab, other)


def test_a_dump_is_one_moment_of_the_database(embedded_lab, tmp_path, monkeypatch) -> None:
    """What is inserted while it is written is in none of its tables."""
    from labdata.database import lab_dump

    insert_dataset(default_lab)
    real = lab_dump._dump_table

    def slow(cursor, out, table, name, report):
        if table.name == "subject":
            insert_dataset(default_lab, "JC2")
        return real(cursor, out, table, name, report)

    monkeypatch.setattr(lab_dump, "_dump_table", slow)
    dump_lab(connect(), tmp_path / "d.sqlite")
    with sqlite3.connect(tmp_path / "d.sqlite") as read:
        for table in ("subject", "session", "dataset"):
            names = [row[0] for row in read.execute(f'SELECT subject_name FROM ".global.{table}"')]
            assert names == ["JC1"]
    assert len(default_lab.Subject()) == 2


def test_a_failed_dump_leaves_no_file(embedded_lab, tmp_path, monkeypatch) -> None:
    from labdata.database import lab_dump

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as now, pytest.raises(DatabaseError, match="no lab yet"):
        now.setattr(lab_dump, "list_places", lambda *_: [])
        dump_lab(connect(), tmp_path / "d.sqlite")
    insert_dataset(default_lab)
    monkeypatch.setattr(lab_dump, "_write_contents", full)
    with pytest.raises(DatabaseError, match="No space left"):
        dump_lab(connect(), tmp_path / "d.sqlite")
    assert list(tmp_path.glob("d.sqlite*")) == []

    def refuse(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(lab_dump.os, "open", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(DatabaseError, match="Read-only") as told:
        dump_lab(connect(), tmp_path / "d.sqlite")
    assert "may you write" in told.value.hint


# --- backups -------------------------------------------------------------------------------------


def test_backups_are_made_and_listed(embedded_lab, tmp_path, capsys) -> None:
    insert_dataset(default_lab)
    assert main(["db", "backup"]) == 0
    (found,) = list_backups(embedded_lab / "backups")
    assert str(found[0]) in capsys.readouterr().out
    assert found[0].stat().st_mode & 0o077 == 0
    assert {t.table for t in read_contents(found[0])[0] if t.n_rows} >= {"subject", "session"}


def test_old_backups_go_only_after_a_new_one(embedded_lab, monkeypatch) -> None:
    from labdata.database import lab_dump

    insert_dataset(default_lab)
    folder = embedded_lab / "backups"
    start = datetime(2026, 1, 31, 12)
    for day in range(10):
        make_backup(connect(), folder, now=start + timedelta(days=day))
    assert len(list_backups(folder)) == len(choose_kept(t for _, t in list_backups(folder)))
    before = list_backups(folder)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lab_dump, "_write_contents", full)
    with pytest.raises(DatabaseError):
        make_backup(connect(), folder, now=start + timedelta(days=40))
    assert list_backups(folder) == before


def test_the_rotation_keeps_days_weeks_and_months() -> None:
    days = [datetime(2026, 1, 1, 3) + timedelta(days=n) for n in range(365)]
    kept = sorted(choose_kept(days))
    assert kept[-7:] == days[-7:]
    assert {(d.year, d.month) for d in kept} == {(2026, m) for m in range(1, 13)}
    weeks = [d.isocalendar()[:2] for d in kept[-12:]]
    assert len(set(weeks[-11:])) >= 4
    assert len(kept) <= 7 + 4 + 12
    assert choose_kept([]) == set()
