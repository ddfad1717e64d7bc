"""What each role may do by the commands: all of it, or one clear error and nothing is done."""

from __future__ import annotations

import json
from typing import Any

import pymysql
import pytest

from labdata.cli import main
from labdata.database.datajoint_compat import dj
from labdata.errors import DatabaseError, LabdataError
from labdata.schema import default_lab, load_project_schema
from labdata.testing import insert_dataset

pytestmark = [pytest.mark.database, pytest.mark.server]

OURS, THEIRS = "a_b", "axb"
ROLES = ("reader", "experimenter", "analyst", "admin")
SUBJECT = f"{OURS}1"
NOBODY: tuple[str, ...] = ()

#: What is typed, and the roles that are told to be needed.
REFUSED = [
    (["put", "{folder}", "-r", "none", "-t", "task-behavior"], ("experimenter", "admin")),
    (["upload"], ("experimenter", "admin")),
    (["upload", "--reset-failed"], ("experimenter", "admin")),
    (["run", "spikeinterface", "-a", SUBJECT], ("analyst", "admin")),
    (["task", "1"], ("analyst", "admin")),
    (["curate", "label", "0", "--label", "SUA", "-a", SUBJECT], ("analyst", "admin")),
    (["rename", "-a", SUBJECT, "--to", "new", "--keep-files", "--apply"], ("admin",)),
    (["delete", "-a", SUBJECT, "--apply"], ("admin",)),
    (["delete", "-a", SUBJECT], ("admin",)),
    (["garbage"], NOBODY),
    (["garbage", "--remove"], NOBODY),
    (["db", "load", "{folder}/log.csv"], NOBODY),
    (["project", "create", "mine"], NOBODY),
    (["project", "archive", OURS], NOBODY),
    (["project", "reopen", OURS], NOBODY),
]


def rows_of_all(accounts: Any) -> dict[str, list[Any]]:
    """Every row of the whole lab, as the administrator sees it."""
    with accounts.admin() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE "
            "table_type = 'BASE TABLE' AND (table_schema = %s OR table_schema LIKE %s)",
            (accounts.base, f"{accounts.base}\\_%"),
        )
        found = {}
        for schema, table in cursor.fetchall():
            cursor.execute(f"SELECT * FROM `{schema}`.`{table}`")
            found[f"{schema}.{table}"] = sorted(cursor.fetchall(), key=repr)
        return found


@pytest.mark.parametrize(
    ("role", "line", "needed"),
    [(role, *row) for row in REFUSED for role in ROLES if role not in row[1]],
    ids=[f"{' '.join(r[0][:2])} {role}" for r in REFUSED for role in ROLES if role not in r[1]],
)
def test_who_may_not_is_told_the_role_and_nothing_is_done(
    accounts: Any, role: str, line: list[str], needed: tuple[str, ...], capsys: Any
) -> None:
    folder = accounts.folder / "data" / SUBJECT / "20250601_100000" / "refused"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log.csv").write_bytes(b"1")
    before = rows_of_all(accounts)
    with accounts.used_by(role, OURS):
        assert main([part.format(folder=folder) for part in line]) == 1
    said = capsys.readouterr().err
    assert f"{role} has the role {role} in project 'a_b'" in said
    takes = " or ".join(needed) or "the lab's administrator"
    assert f"takes {takes}" in said
    if needed:
        assert f"labdata account grant {role} -p a_b --role {needed[0]}" in said
    assert "Traceback" not in said and "denied" not in said
    assert rows_of_all(accounts) == before
    assert not list((accounts.folder / "inbox").rglob("refused"))


@pytest.mark.parametrize("role", ROLES)
def test_a_table_that_one_may_not_write_says_so(accounts: Any, role: str) -> None:
    with accounts.used_by(role, OURS):
        for table, write in (
            ("Subject", lambda t: t.insert1({**t.fetch1(), "subject_name": role})),
            ("Subject", lambda t: t.update1({**t.fetch1("KEY"), "subject_sex": "M"})),
            ("SpikeSorting.Unit", lambda t: t.delete_quick()),
        ):
            cls = default_lab.tables_and_parts()[table]
            may = {"admin", "experimenter"} if table == "Subject" else {"admin", "analyst"}
            connection = default_lab.connection
            connection.start_transaction()
            try:
                if role in may:
                    write(cls())
                    continue
                with pytest.raises(LabdataError) as refused:
                    write(cls())
            finally:
                connection.cancel_transaction()
            assert isinstance(refused.value, dj.errors.AccessError)
            assert f"{role} has the role {role}" in refused.value.message
            assert table in refused.value.message
            assert f"takes {sorted(may)[1]} or admin" in refused.value.message


def test_a_dump_by_a_member_is_refused(accounts: Any, tmp_path: Any, capsys: Any) -> None:
    with accounts.used_by("admin", OURS):
        assert main(["db", "dump", str(tmp_path / "x.sqlite")]) == 1
    assert "lab's administrator" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def extra(accounts: Any) -> Any:
    """A subject in the project with a file of its own and one of JC1's session, to work on."""
    with accounts.used_by("chief"):
        lab = load_project_schema(OURS)
        key = insert_dataset(lab, "extra")
        when = "2025-06-01"
        for path in ("extra/own.bin", "extra/shared.bin"):
            file = {"file_path": path, "storage": "data"}
            lab.File.insert1({**file, "file_datetime": when, "file_size": 8})
            lab.Dataset.DataFiles.insert1({**key, **file})
        other = lab.Dataset & {"subject_name": SUBJECT}
        lab.Dataset.DataFiles.insert1(
            {**other.fetch("KEY")[0], "file_path": "extra/shared.bin", "storage": "data"}
        )
        lab.UploadJob.insert1({**key, "job_status": "COMPLETED", "project_name": OURS})
        job = int(max(lab.UploadJob.fetch("job_id")))
        source = {"src_path": "extra/own.raw", "src_datetime": when, "src_size": 8}
        lab.UploadJob.AssignedFiles.insert1({"job_id": job, **source})
        lab.ProcessedFile.insert1(
            {"file_path": "extra/own.raw", "file_datetime": when, "file_size": 8}
        )
    yield key
    with accounts.used_by("chief"):
        lab = load_project_schema(OURS)
        for name in ("extra", "other"):
            if lab.Subject & {"subject_name": name}:
                lab.Subject.delete_plan({"subject_name": name}).apply()
        (lab.Dataset.DataFiles & {"file_path": "extra/shared.bin"}).delete_quick()
        for table in (lab.File, lab.ProcessedFile):
            (table & 'file_path LIKE "extra/%"').delete_quick()


def test_an_admin_deletes_with_the_rows_of_files(accounts: Any, extra: Any, capsys: Any) -> None:
    before = rows_of_all(accounts)
    with accounts.used_by("admin", OURS):
        assert main(["delete", "-a", "extra"]) == 0
        assert rows_of_all(accounts) == before
        assert main(["delete", "-a", "extra", "--apply"]) == 0, capsys.readouterr().err
        assert not default_lab.Subject & {"subject_name": "extra"}
        assert list((default_lab.File & 'file_path LIKE "extra%"').fetch("file_path")) == [
            "extra/shared.bin"
        ]
    after = rows_of_all(accounts)
    changed = {name for name in after if after[name] != before[name]}
    ours = f"{accounts.base}_{OURS}."
    shared = {f"{accounts.base}.{name}" for name in ("file", "processed_file", "upload_job")}
    shared |= {f"{accounts.base}.upload_job__assigned_files"}
    assert {name for name in changed if not name.startswith(ours)} == shared
    assert all(set(after[name]) < set(before[name]) for name in changed)  # rows went, none came
    assert not [row for rows in after.values() for row in rows if "extra/own" in repr(row)]


def test_a_refused_delete_of_an_admin_leaves_all(accounts: Any, extra: Any) -> None:
    with accounts.used_by("admin", OURS):
        plan = default_lab.Subject.delete_plan({"subject_name": "extra"})
        before = rows_of_all(accounts)
        real = plan._children_first

        def stop() -> Any:
            yield from real()[:-1]
            raise DatabaseError("stop")

        object.__setattr__(plan, "_children_first", stop)
        with pytest.raises(DatabaseError, match="stop"):
            plan.apply()
    assert rows_of_all(accounts) == before


def test_an_admin_lets_no_file_of_others_go(accounts: Any) -> None:
    check_option_failed = 1369
    going = f"`{accounts.base}`.`~labdata_letting_go~{OURS}`"
    for path, storage in ((f"{THEIRS}/raw.bin", "data"), ("no such file", "data")):
        statement = f"INSERT INTO {going} VALUES ('{OURS}', '{path}', '{storage}')"
        assert accounts.sql("admin", statement) == check_option_failed
    statement = f"INSERT INTO {going} VALUES ('{THEIRS}', '{OURS}/raw.bin', 'data')"
    assert accounts.sql("admin", statement) == check_option_failed
    allowed = f"INSERT INTO {going} VALUES ('{OURS}', '{OURS}/raw.bin', 'data')"
    assert accounts.sql("admin", allowed) is None
    for role in ("reader", "experimenter", "analyst"):
        assert accounts.sql(role, allowed) == 1142
    with accounts.connect("admin") as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT file_path FROM `{accounts.base}`.`~file~{OURS}`")
        assert (f"{THEIRS}/raw.bin",) not in cursor.fetchall()
        with pytest.raises(pymysql.MySQLError):  # rows still refer to it
            cursor.execute(
                f"DELETE FROM `{accounts.base}`.`~file~{OURS}` WHERE file_path = '{OURS}/raw.bin'"
            )


def test_an_admin_renames_rows_and_all_members_read_the_log(
    accounts: Any, extra: Any, capsys: Any
) -> None:
    line = ["rename", "-a", "extra", "--to", "other", "--apply"]
    before = rows_of_all(accounts)
    with accounts.used_by("admin", OURS):
        if main(line) == 1:  # the paths of its files begin with its name
            assert "lab's administrator" in capsys.readouterr().err
            assert rows_of_all(accounts) == before
            assert main([*line, "--keep-files"]) == 0, capsys.readouterr().err
        assert default_lab.Session & {"subject_name": "other"}
        assert not default_lab.Session & {"subject_name": "extra"}
        assert "extra/own.bin" in default_lab.File.fetch("file_path")
    for role in ROLES:
        with accounts.used_by(role, OURS):
            capsys.readouterr()
            assert main(["rename", "--log"]) == 0
            said = capsys.readouterr().out
            assert "subject extra" in said and "admin@" in said
    with accounts.used_by("outsider", THEIRS):
        assert main(["rename", "--log"]) == 0
        assert "Nothing was renamed" in capsys.readouterr().out
    theirs = f"SELECT * FROM `{accounts.base}`.`~labdata_rename~{THEIRS}`"
    for query in (theirs, f"SELECT * FROM `{accounts.base}`.`~labdata_rename`"):
        assert accounts.sql("admin", query) == 1142
    fake = f"INSERT INTO `{accounts.base}`.`~labdata_rename~{OURS}` (project) VALUES ('x')"
    assert accounts.sql("reader", fake) == 1142


def test_sharing_takes_an_admin_of_the_target(accounts: Any, extra: Any, capsys: Any) -> None:
    accounts.make("giver", "-p", OURS, "--role", "reader")
    line = ["share", "--from", OURS, "--to", THEIRS, "-a", "extra", "--apply"]
    with accounts.used_by("giver", OURS):
        assert main(line) == 1
        assert "your account has no role in it" in capsys.readouterr().err
    for role, code in (("experimenter", 1), ("admin", 0)):
        with accounts.used_by("chief"):
            assert main(["account", "grant", "giver", "-p", THEIRS, "--role", role]) == 0
        with accounts.used_by("giver", OURS):
            assert main(line) == code, capsys.readouterr().err
            assert code == 0 or "to share into it takes admin" in capsys.readouterr().err
    with accounts.used_by("outsider", THEIRS):
        assert default_lab.Subject & {"subject_name": "extra"}
        assert "extra/own.bin" in default_lab.File.fetch("file_path")
    with accounts.used_by("chief"):
        load_project_schema(THEIRS).Subject.delete_plan({"subject_name": "extra"}).apply()


def test_who_archived_it_is_told_to_members(accounts: Any, capsys: Any) -> None:
    with accounts.used_by("chief"):
        assert main(["project", "archive", OURS]) == 0
    try:
        for role in ROLES:
            with (
                accounts.used_by(role, OURS),
                pytest.raises(DatabaseError, match=r"archived since .* by chief@"),
            ):
                default_lab.Subject.insert1({"subject_name": "x"})
    finally:
        with accounts.used_by("chief"):
            assert main(["project", "reopen", OURS]) == 0


@pytest.mark.parametrize("role", ["analyst", "admin"])
def test_who_makes_results_makes_tasks(accounts: Any, role: str, capsys: Any) -> None:
    with accounts.used_by(role, OURS):
        assert main(["run", "spikeinterface", "-a", SUBJECT, "--submit-only", "--json"]) == 0
        (task,) = json.loads(capsys.readouterr().out)
        assert (task["subject_name"], task["task_status"]) == (SUBJECT, "WAITING")
        (default_lab.ComputeTask & {"job_id": task["job_id"]}).delete(safemode=False)


def test_a_role_of_an_older_labdata_is_given_once_more(
    accounts: Any, extra: Any, capsys: Any
) -> None:
    with accounts.admin() as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP VIEW `{accounts.base}`.`~labdata_letting_go~{OURS}`")
        cursor.execute(f"DROP VIEW `{accounts.base}`.`~labdata_rename~{OURS}`")
    before = rows_of_all(accounts)
    lines = (
        ["delete", "-a", "extra", "--apply"],
        ["rename", "-a", "extra", "--to", "other", "--keep-files", "--apply"],
    )
    for line in lines:
        with accounts.used_by("admin", OURS):
            assert main(line) == 1
        said = capsys.readouterr().err
        assert "labdata account grant" in said and "--role admin" in said
        assert rows_of_all(accounts) == before
    with accounts.used_by("chief"):
        for role in ("analyst", "admin"):
            assert main(["account", "revoke", role, "-p", OURS]) == 0  # what is not there, too
            assert main(["account", "grant", role, "-p", OURS, "--role", role]) == 0
    with accounts.used_by("admin", OURS):
        assert main(lines[0]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("method", ["drop_quick", "drop"])
def test_a_reader_who_removes_a_table_is_told_who_may(
    accounts: Any, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows_of_all(accounts)
    with accounts.used_by("reader", OURS):
        table = default_lab.Weighing()
        with dj.config.override(safemode=False), pytest.raises(DatabaseError) as caught:
            getattr(table, method)()
    assert caught.value.message == (
        "reader has the role reader in project 'a_b'; to remove Weighing takes "
        "the lab's administrator."
    )
    assert "Nothing was changed" in str(caught.value.hint)
    assert rows_of_all(accounts) == before
