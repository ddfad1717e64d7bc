"""Loading a dump, killed or refused: no half lab is open, and nothing is left of a refusal."""

from __future__ import annotations

import functools
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from fresh_connection import forget_connection
from lab_rows import dataset_of, insert_sorted_dataset, read_rows

from labdata.cli import main
from labdata.database.connection import connect
from labdata.database.lab_dump import dump_lab
from labdata.database.lab_load import load_lab
from labdata.database.locks import server_lock
from labdata.database.schema_version import CURRENT, LOADING, read_all_versions
from labdata.errors import DatabaseError
from labdata.preferences import load_preferences
from labdata.schema import default_lab, load_project_schema
from labdata.schema.project_admin import create_project
from labdata.testing import insert_dataset

pytestmark = pytest.mark.database

#: Where a load is killed: a line that the child runs first.
KILL = "import os, signal; die = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
POINTS = {
    "after the mark": "lab_load._make = die",
    "while a project is made": "from labdata.database import projects\n"
    "projects.Lab._fill_lookups = lambda lab: die() if lab.project == 'vision' else None",
    "after the schemas are made": "lab_load._insert_all = die",
    "between tables": "real, seen = lab_load.insert_rows, []\n"
    "def insert(connection, table, rows):\n"
    "    seen.append(table.name)\n"
    "    die() if len(seen) == 9 else real(connection, table, rows)\n"
    "lab_load.insert_rows = insert",
    "before the end": "lab_load.mark_whole = die",
}
REST = [where for where in POINTS if where != "between tables"]
slow = functools.partial(pytest.param, marks=pytest.mark.slow)  # ten seconds each


def rows() -> dict[str, list[str]]:
    """Every row of the data without a project and of vision."""
    found = {}
    for lab in (default_lab, load_project_schema("vision")):
        for name, content in read_rows(lab).items():
            found[f"{lab.project}.{name}"] = sorted(map(repr, content))
    return found


def schemas() -> set[str]:
    """The schemas of the lab."""
    base = load_preferences().database.name
    return {
        name
        for (name,) in connect().query("SHOW DATABASES").fetchall()
        if name == base or name.startswith(f"{base}_")
    }


def versions() -> dict[str | None, int]:
    """The recorded version of each project."""
    found = read_all_versions(connect(), load_preferences().database.name)
    return {project: version for project, (version, _) in found.items()}


@pytest.fixture(scope="module")
def dump(make_embedded_lab, tmp_path_factory) -> tuple[Path, dict[str, list[str]]]:
    folder = tmp_path_factory.mktemp("laptop")
    with make_embedded_lab(folder):
        dataset_of(insert_sorted_dataset(default_lab, [1, 2, 3]))
        vision = create_project(default_lab, "vision")
        insert_dataset(vision, "JC1")
        insert_dataset(vision, "JC3")
        dump_lab(connect(), folder / "lab.sqlite")
        return folder / "lab.sqlite", rows()


def load_killed(file: Path, where: str) -> None:
    code = (
        f"{KILL}from labdata.database import lab_load\n{POINTS[where]}\n"
        f"from labdata.cli import main\nmain(['db', 'load', {str(file)!r}])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


@pytest.mark.parametrize("where", ["between tables", *map(slow, REST)])
def test_a_killed_load_closes_what_it_fills_until_it_is_repeated(
    embedded_lab, dump, capsys, where
) -> None:
    file, original = dump
    load_killed(file, where)
    assert versions() == {None: LOADING, "vision": LOADING}
    for line in (["subjects"], ["subjects", "-p", "vision"], ["db", "dump", str(file) + "2"]):
        forget_connection()
        assert main(line) == 1
        said = capsys.readouterr().err
        assert "Rows of a dump are being loaded" in said and "not whole" in said
        assert "labdata db load FILE, with the same file" in said and "--give-up" in said
    with pytest.raises(DatabaseError, match="not whole"):
        len(load_project_schema("vision").Subject())
    assert main(["db", "status"]) == 0
    assert "a load has not ended" in capsys.readouterr().out
    assert main(["db", "load", str(file)]) == 0
    assert versions() == {None: CURRENT, "vision": CURRENT}
    assert rows() == original


@pytest.mark.parametrize(
    "where", ["after the mark", *map(slow, ("while a project is made", "between tables"))]
)
def test_a_killed_load_is_given_up(embedded_lab, dump, capsys, where) -> None:
    load_killed(dump[0], where)
    assert main(["db", "load", "--give-up"]) == 0
    assert "vision" in capsys.readouterr().out
    forget_connection()
    assert main(["subjects", "-p", "vision"]) == 0
    assert list(default_lab.Project.fetch("project_name")) == ["vision"]
    assert set(versions().values()) == {CURRENT}
    assert main(["db", "load", "--give-up"]) == 0
    assert "No dump is half loaded" in capsys.readouterr().out
    assert main(["db", "load", str(dump[0])]) == 0  # and may be loaded whole after all
    assert rows() == dump[1]


def test_the_mark_stays_if_a_row_came_out_differently(embedded_lab, dump, monkeypatch) -> None:
    from labdata.database import lab_load

    def differ(*_: object) -> int:
        raise DatabaseError("not as in the dump")

    with monkeypatch.context() as patch:
        patch.setattr(lab_load, "_compare_all", differ)
        with pytest.raises(DatabaseError, match="not as in the dump"):
            load_lab(default_lab, dump[0])
    with pytest.raises(DatabaseError, match="not whole"):  # in the same process, too
        len(default_lab.Subject())
    load_lab(default_lab, dump[0])
    assert rows() == dump[1]


def test_only_the_projects_that_are_filled_are_closed(embedded_lab, dump, tmp_path) -> None:
    own = create_project(default_lab, "own")
    insert_dataset(own, "OWN1")
    load_killed(dump[0], "between tables")
    assert versions() == {None: LOADING, "vision": LOADING, "own": CURRENT}
    forget_connection()
    assert list(load_project_schema("own").Subject.fetch("subject_name")) == ["OWN1"]
    assert main(["db", "load", str(dump[0])]) == 0
    before = versions()
    load_killed(dump[0], "after the mark")  # nothing was missing: nothing is closed
    assert versions() == before


def test_another_dump_does_not_open_what_one_left_half_filled(
    embedded_lab, dump, make_embedded_lab, tmp_path, capsys
) -> None:
    other = tmp_path / "other.sqlite"
    other.write_bytes(dump[0].read_bytes())
    with sqlite3.connect(other) as change:
        change.execute("UPDATE about SET value = '\"later\"' WHERE name = 'written'")
    load_killed(dump[0], "between tables")
    assert main(["db", "load", str(other)]) == 1
    assert "Another dump was being loaded" in capsys.readouterr().err
    assert versions() == {None: LOADING, "vision": LOADING}
    assert main(["migrate", "--give-up"]) == 0  # is about migrations only
    assert versions() == {None: LOADING, "vision": LOADING}


def test_of_two_loads_at_once_one_waits_its_turn(embedded_lab, dump, monkeypatch, capsys) -> None:
    from labdata.database import unfinished
    from labdata.database.connection import LabConnection

    monkeypatch.setattr(unfinished, "WAIT_S", 0)
    name = f"fill.{load_preferences().database.name}"
    refused, before = DatabaseError("no"), schemas()
    with (
        LabConnection(load_preferences().database).transaction as other,
        server_lock(other, name, timeout_s=0, refused=refused),
    ):
        assert main(["db", "load", str(dump[0])]) == 1
    assert "another loading of a dump, is at work" in capsys.readouterr().err
    assert schemas() == before


# --- refused -------------------------------------------------------------------------------------


def changed(file: Path, to: Path, *statements: str) -> Path:
    """A copy of a dump without checksums, changed."""
    to.write_bytes(file.read_bytes())
    with sqlite3.connect(to) as change:
        change.execute("DELETE FROM about WHERE name = 'sha256'")
        for statement in statements:
            change.execute(statement)
    return to


PLUGIN = (
    'CREATE TABLE "vision.user.lick" (subject_name PRIMARY KEY)',
    "INSERT INTO \"vision.user.lick\" VALUES ('JC1')",
    "INSERT INTO contents VALUES (9999, 'vision.user.lick', 'vision', 'user', 'lick', 1)",
)


@pytest.mark.parametrize(
    ("statements", "word"),
    [
        (PLUGIN, "no table 'lick' of user"),
        (["UPDATE about SET value = '99' WHERE name = 'version'"], "version 99"),
        (["UPDATE about SET value = '[null, \"a b\"]' WHERE name = 'projects'"], "cannot be the"),
    ],
)
def test_nothing_is_left_of_a_refusal(embedded_lab, dump, tmp_path, statements, word) -> None:
    file = changed(dump[0], tmp_path / "changed.sqlite", *statements)
    before = schemas()
    with pytest.raises(DatabaseError, match=word):
        load_lab(default_lab, file)
    assert schemas() == before


def test_a_project_of_another_case_is_refused_before(embedded_lab, dump) -> None:
    create_project(default_lab, "Vision")
    before, marks = schemas(), versions()
    with pytest.raises(DatabaseError, match="a project 'vision', and here is 'Vision'"):
        load_lab(default_lab, dump[0])
    assert (schemas(), versions()) == (before, marks)


def test_a_name_that_is_anothers_to_the_server_is_refused_before(embedded_lab, dump) -> None:
    insert_dataset(default_lab, "jc1")
    before, marks = schemas(), versions()
    with pytest.raises(DatabaseError, match=r"'jc1'.* and the dump .*'JC1'"):
        load_lab(default_lab, dump[0])
    assert (schemas(), versions()) == (before, marks)
    assert list(default_lab.Subject.fetch("subject_name")) == ["jc1"]


def test_what_was_made_goes_if_the_database_refuses_to_make_more(
    embedded_lab, dump, monkeypatch
) -> None:
    from labdata.database import lab_load

    create_project(default_lab, "own")
    before, marks = schemas(), versions()

    def refuse(*_: object) -> None:
        raise DatabaseError("no room for tables")

    monkeypatch.setattr(lab_load, "_tables_there", lambda load, n=[]: n.append(1) or (
        refuse() if len(n) == 2 else {}))  # fmt: skip
    with pytest.raises(DatabaseError, match="no room"):
        load_lab(default_lab, dump[0])
    assert (schemas(), versions()) == (before, marks)


# --- parts of dumps ------------------------------------------------------------------------------


def part_of_killed_dump(line: list[str], folder: Path) -> Path:
    """Run a dump in a process that is killed before its file is whole."""
    code = (
        f"{KILL}from labdata.database import lab_dump\nlab_dump._write_contents = die\n"
        f"from labdata.cli import main\nmain({line!r})"
    )
    before = set(folder.glob("*.part"))
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    (part,) = set(folder.glob("*.part")) - before
    return part


def test_a_killed_dumps_part_goes_with_the_next(embedded_lab, tmp_path) -> None:
    insert_dataset(default_lab)
    file = tmp_path / "d.sqlite"
    part = part_of_killed_dump(["db", "dump", str(file)], tmp_path)
    living = part.with_name(
        part.name.replace(part.name.split("@")[1].split("-")[0], str(os.getpid()))
    )
    living.write_bytes(b"of a living process")
    other = tmp_path / "e.sqlite.1.part"
    other.write_bytes(b"of another file")
    dump_lab(connect(), file)
    assert sorted(tmp_path.glob("*.sqlite*")) == sorted([file, living, other])
    assert living.read_bytes() == b"of a living process"


def test_a_killed_backups_part_goes_with_the_next_and_is_none(embedded_lab, capsys) -> None:
    from labdata.database.backups import list_backups

    insert_dataset(default_lab)
    folder = embedded_lab / "backups"
    part_of_killed_dump(["db", "backup"], folder)
    assert list_backups(folder) == []
    assert main(["db", "status"]) == 0
    assert "none: `labdata db backup`" in capsys.readouterr().out
    assert main(["db", "backup"]) == 0
    assert [path.suffix for path in folder.iterdir()] == [".sqlite"]


def test_two_dumps_of_a_file_at_once_do_not_harm_each_other(
    embedded_lab, tmp_path, monkeypatch
) -> None:
    from labdata.database import lab_dump
    from labdata.database.lab_dump import read_contents

    insert_dataset(default_lab)
    file, real = tmp_path / "d.sqlite", lab_dump._write_contents

    def another_meanwhile(*args: object) -> None:
        monkeypatch.setattr(lab_dump, "_write_contents", real)
        dump_lab(connect(), file)
        first.append(file.read_bytes())
        real(*args)

    first: list[bytes] = []
    monkeypatch.setattr(lab_dump, "_write_contents", another_meanwhile)
    with pytest.raises(DatabaseError, match="another process has written it meanwhile"):
        dump_lab(connect(), file)
    assert file.read_bytes() == first[0] and read_contents(file)
    assert list(tmp_path.glob("*.part")) == []
