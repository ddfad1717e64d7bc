"""``labdata account``: what it does, shows, refuses, and never shows."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymysql
import pytest

from labdata.cli import main
from labdata.preferences import load_preferences
from labdata.schema import default_lab

pytestmark = [pytest.mark.database, pytest.mark.server]

OURS, THEIRS = "a_b", "axb"
DENIED = {1044, 1142, 1143}


@pytest.fixture
def told(bare_lab: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run ``labdata account`` as an account, and return what it says."""

    def run(*line: str, by: str = "chief", project: str | None = None, code: int = 0) -> str:
        capsys.readouterr()
        with bare_lab.used_by(by, project):
            found = main(["account", *line])
        said = capsys.readouterr()
        assert found == code, said.err
        assert "Traceback" not in said.err
        assert not [p for p in bare_lab.passwords.values() if p in said.out + said.err]
        return said.err if code else said.out

    return run


def in_terminal(accounts: Any, *line: str) -> str:
    """Run the command as a process in a terminal, and return all that it writes there."""
    with accounts.used_by("chief"):
        screen, side = pty.openpty()
        command = [sys.executable, "-m", "labdata", "account", *line]
        process = subprocess.Popen(command, stdout=side, stderr=side, stdin=side)
        os.close(side)
        written = b""
        with contextlib.suppress(OSError):  # how a terminal says that its last user has gone
            while piece := os.read(screen, 4096):
                written += piece
        os.close(screen)
        assert process.wait(60) == 0, written
    return written.decode()


def state(accounts: Any) -> list[Any]:
    """All that the command could change."""
    base = accounts.base
    queries = [
        "SELECT grantee, privilege_type, is_grantable FROM information_schema.user_privileges "
        "UNION SELECT user, host, authentication_string FROM mysql.user ORDER BY 1, 2, 3",
        f"SELECT * FROM mysql.db WHERE db LIKE '{base}%' ORDER BY user, db",
        f"SELECT user, table_name, table_priv FROM mysql.tables_priv WHERE db = '{base}' "
        "ORDER BY 1, 2",
        f"SELECT * FROM `{base}`.lab_member ORDER BY 1",
        f"SELECT * FROM `{base}`.project__user ORDER BY 1, 2",
        f"SELECT table_name FROM information_schema.tables WHERE table_schema LIKE '{base}%' "
        "ORDER BY 1",
    ]
    with accounts.admin() as connection, connection.cursor() as cursor:
        found = []
        for query in queries:
            cursor.execute(query)
            found.append(cursor.fetchall())
    return found


@pytest.fixture
def kim(bare_lab: Any) -> Any:
    """A lab with an account ``kim`` that has no rights, and without it afterwards."""
    bare_lab.make("kim")
    yield bare_lab
    (bare_lab.folder / "kim.json").unlink()
    del bare_lab.passwords["kim"]
    with bare_lab.admin() as connection, connection.cursor() as cursor:
        cursor.execute("DROP USER IF EXISTS kim@'%'")


def test_the_password_is_shown_once_and_works(told: Any, bare_lab: Any) -> None:
    said = in_terminal(bare_lab, "create", "lea", "-p", OURS, "--role", "reader")
    (password,) = [line.split()[1] for line in said.splitlines() if line.startswith("password:")]
    assert said.count(password) == 1 and len(password) >= 24
    assert password not in str(state(bare_lab))
    bare_lab.passwords["lea"] = password
    assert bare_lab.rows("lea", f"SELECT subject_name FROM `{bare_lab.base}_a_b`.subject")
    for line in (["list"], ["show", "lea"], ["list", "--json"], ["revoke", "lea", "-p", OURS]):
        assert "lea" in told(*line)  # which also looks for passwords in what is said
    again = in_terminal(bare_lab, "reset-password", "lea")
    (new,) = [line.split()[1] for line in again.splitlines() if line.startswith("password:")]
    with pytest.raises(pymysql.OperationalError, match="Access denied"):
        bare_lab.connect("lea")
    bare_lab.passwords["lea"] = new
    bare_lab.connect("lea").close()
    with pytest.raises(pymysql.OperationalError, match="Access denied"):
        bare_lab.connect("lea", tls=False)


def test_no_password_goes_where_it_would_stay(told: Any, bare_lab: Any) -> None:
    before = state(bare_lab)
    assert "--write FILE" in told("create", "max", code=1)
    assert state(bare_lab) == before


def test_the_written_preferences_are_ready_to_use(
    told: Any, bare_lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = bare_lab.folder / "max.json"
    said = told("create", "max", "-p", OURS, "--role", "reader", "--write", str(file))
    content = json.loads(file.read_text())
    assert file.stat().st_mode & 0o777 == 0o600
    assert content["database"]["database.password"] not in said
    assert set(content["storage"]["data"]) == {"protocol", "path", "folder"}
    bare_lab.passwords["max"] = content["database"]["database.password"]
    for name in ("", "_HOST", "_PORT", "_USER", "_PASS", "_PROJECT"):
        monkeypatch.delenv(f"LABDATA_DATABASE{name}", raising=False)
    preferences = load_preferences(file)
    assert preferences.database.use_tls
    monkeypatch.setenv("LABDATA_PREFERENCES", str(file))
    default_lab.deactivate()
    from labdata.database.connection import reset_connection

    reset_connection()
    assert list(default_lab.Subject.fetch("subject_name")) == ["a_b1"]
    default_lab.deactivate()
    reset_connection()


def test_a_file_that_is_there_stays(told: Any, bare_lab: Any, tmp_path: Path) -> None:
    file, before = tmp_path / "mine.json", state(bare_lab)
    file.write_text("mine")
    assert "there already" in told("create", "eve", "--write", str(file), code=1)
    assert "cannot be written" in told("create", "eve", "--write", str(file / "x"), code=1)
    assert (file.read_text(), state(bare_lab)) == ("mine", before)


def test_a_dry_run_shows_the_sql_and_changes_nothing(told: Any, kim: Any) -> None:
    before = state(kim)
    said = told("create", "eve", "-p", OURS, "--role", "analyst", "--dry-run")
    assert "CREATE USER 'eve'@'%' IDENTIFIED BY '***' REQUIRE SSL;" in said
    assert rf"GRANT SELECT ON `{kim.base}\_a\_b`.* TO 'eve'@'%';" in said
    for line in (
        ["grant", "kim", "-p", OURS, "--role", "admin"],
        ["revoke", "kim", "-p", OURS],
        ["reset-password", "kim"],
        ["delete", "kim"],
    ):
        said = told(*line, "--dry-run")
        assert "'kim'@'%'" in said and said.strip().endswith(";")
    assert state(kim) == before


def test_granting_and_revoking_twice_is_success(told: Any, kim: Any) -> None:
    empty = state(kim)
    told("grant", "kim", "-p", OURS, "--role", "experimenter")
    once = state(kim)
    told("grant", "kim", "-p", OURS, "--role", "experimenter")
    assert state(kim) == once
    (row,) = json.loads(told("show", "kim", "--json"))
    assert row["roles"] == {OURS: ["reader", "experimenter"]}
    assert (OURS, "kim") in once[4]
    told("revoke", "kim", "-p", OURS)
    after = state(kim)
    assert (after[1:5]) == (empty[1:5])
    told("revoke", "kim", "-p", OURS)
    assert state(kim) == after


@pytest.mark.parametrize("role", ["reader", "experimenter", "analyst", "admin"])
def test_revoking_leaves_the_rights_in_another_project(told: Any, kim: Any, role: str) -> None:
    told("grant", "kim", "-p", THEIRS, "--role", "reader")
    told("grant", "kim", "--role", "analyst")
    only_theirs = state(kim)
    told("grant", "kim", "-p", OURS, "--role", role)
    assert state(kim) != only_theirs
    told("revoke", "kim", "-p", OURS)
    after = state(kim)
    assert after[1:5] == only_theirs[1:5]
    assert kim.sql("kim", f"SELECT * FROM `{kim.base}_a_b`.subject") in DENIED
    with kim.used_by("kim", THEIRS):
        assert list(default_lab.File.fetch("file_path")) == [f"{THEIRS}/raw.bin"]
    (row,) = json.loads(told("show", "kim", "--json"))
    assert row["roles"] == {"": ["reader", "analyst"], THEIRS: ["reader"]}
    told("revoke", "kim")
    (row,) = json.loads(told("show", "kim", "--json"))
    assert row["roles"] == {THEIRS: ["reader"]}
    assert kim.sql("kim", f"SELECT * FROM `{kim.base}`.subject") in DENIED


def test_rights_that_a_server_kept_are_not_called_revoked(
    told: Any, kim: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from labdata.database import accounts

    told("grant", "kim", "-p", OURS, "--role", "reader")
    with monkeypatch.context() as patch, kim.used_by("chief"):
        patch.setattr(accounts, "plan_revoke", lambda lab, name: [])
        assert main(["account", "revoke", "kim", "-p", OURS]) == 1
    assert "kim still has the rights of reader in a_b" in capsys.readouterr().err
    told("revoke", "kim", "-p", OURS)


def test_a_deleted_account_leaves_its_member(told: Any, kim: Any) -> None:
    told("grant", "kim", "-p", OURS, "--role", "reader")
    look = f"SELECT * FROM `{kim.base}_a_b`.subject"
    with kim.connect("kim") as still_open, still_open.cursor() as cursor:
        assert cursor.execute(look) == 1
        assert "stays" in told("delete", "kim")
        with pytest.raises(pymysql.OperationalError, match="denied"):
            cursor.execute(look)
    with pytest.raises(pymysql.OperationalError, match="Access denied"):
        kim.connect("kim")
    (row,) = json.loads(told("show", "kim", "--json"))
    assert (row["account"], row["state"], row["roles"]) == ("no", "left", {})
    assert not [user for _, user in state(kim)[4] if user == "kim"]
    assert "no account 'kim'" in told("delete", "kim", code=1)
    told("create", "kim", "--write", str(kim.folder / "again.json"))
    (row,) = json.loads(told("show", "kim", "--json"))
    assert (row["account"], row["state"]) == ("yes", "active")
    (kim.folder / "again.json").unlink()


@pytest.mark.parametrize(
    "name",
    ["o'hara", 'a"b', "a`b", "a%", "%", "a b", "a\\b", "", "x" * 33, "a;b", "ä", "1a", "a@b"],
)
def test_strange_names_are_refused(told: Any, bare_lab: Any, name: str, tmp_path: Path) -> None:
    before, file = state(bare_lab), str(tmp_path / "x.json")
    for line in (
        ["create", name, "--write", file],
        ["grant", name, "-p", OURS, "--role", "reader"],
        ["delete", name],
    ):
        assert told(*line, code=1 if name else 2)
    assert state(bare_lab) == before


def test_wrong_words_are_one_error(told: Any, kim: Any) -> None:
    assert "already" in told("create", "kim", "--dry-run", code=1)
    assert "'kim', not 'Kim'" in told("create", "Kim", "--dry-run", code=1)
    assert "no account 'kin'" in told("grant", "kin", "-p", OURS, "--role", "reader", code=1)
    assert "no role 'king'" in told("grant", "kim", "-p", OURS, "--role", "king", code=1)
    assert f"Did you mean {OURS!r}?" in told("revoke", "kim", "-p", "a_c", code=1)
    assert "no lab member 'kin'" in told("show", "kin", code=1)
    assert "Which role?" in told("grant", "kim", "-p", OURS, code=2)
    assert "--role ROLE too" in told("create", "eve", "-p", OURS, code=2)
    for other in ("admin", "chief"):
        assert told("delete", other, code=1)
        assert told("reset-password", other, "--dry-run", code=1)


def test_without_the_right_the_command_is_for_the_administrator(
    told: Any, kim: Any, tmp_path: Path
) -> None:
    before, file = state(kim), tmp_path / "x.json"
    line = ["create", "eve", "-p", OURS, "--role", "reader"]
    said = told(*line, "--write", str(file), by="scientist", code=1)
    place, error, *hint = said.strip().splitlines()
    assert place.startswith("project a_b")
    assert error == "labdata: The account scientist may not make accounts."
    assert len(hint) == 1 and "Nothing was changed." in hint[0]
    command = "labdata account create eve -p a_b --role reader --write eve.json"
    assert f"`{command}`" in hint[0] and "administrator" in hint[0]
    assert "GRANT" not in said and "CREATE USER" not in said and "denied" not in said
    shown = told(*line, "--dry-run", by="scientist")
    assert "CREATE USER 'eve'@'%' IDENTIFIED BY '***' REQUIRE SSL;" in shown
    assert state(kim) == before and not file.exists()


def test_what_ran_before_a_refusal_is_shown(
    told: Any, kim: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labdata.database import accounts
    from labdata.database.statements import Statement

    plan = accounts.plan_grant
    broken = Statement("GRANT SELECT ON `nowhere`.`nothing` TO %s@%s", ("kim", "%"))
    monkeypatch.setattr(accounts, "plan_grant", lambda *a, **k: [*plan(*a, **k)[:9], broken])
    said = told("grant", "kim", "-p", OURS, "--role", "reader", code=1)
    assert "Nothing was changed" not in said
    done = said.partition("This was done before:")[2].strip().splitlines()
    assert len(done) == 9 and "nowhere" not in "".join(done)


def test_a_projects_admin_sees_who_is_a_member_and_whom_to_ask_for_roles(
    told: Any, kim: Any
) -> None:
    kim.make("chair", "-p", OURS, "--role", "admin")
    told("grant", "kim", "-p", OURS, "--role", "reader")
    by: dict[str, Any] = {"by": "chair", "project": OURS}
    (row,) = json.loads(told("show", "kim", "--json", **by))
    assert (row["account"], row["roles"], row["projects"]) == (None, None, [OURS])
    said = told("show", "kim", **by)
    assert f"{OURS}: member" in said and "not seen" in said
    (own,) = json.loads(told("show", "chair", "--json", **by))
    assert own["account"] == "yes" and own["roles"][OURS][-1] == "admin"
    listed = told("list", "-p", OURS, **by)
    assert "kim" in listed and "chair" in listed
    (row,) = json.loads(told("show", "kim", "--json"))  # the lab's administrator sees more
    assert (row["account"], row["roles"]) == ("yes", {OURS: ["reader"]})


def test_the_hint_on_unseen_roles_is_a_command(
    told: Any, kim: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    kim.make("dean", "-p", OURS, "--role", "admin")
    with kim.used_by("dean", OURS):
        assert main(["account", "show", "kim"]) == 0
    said = capsys.readouterr().err
    assert "Ask them to run `labdata account show kim`" in said
    with kim.used_by("chief"):
        assert main(["account", "show", "kim"]) == 0
    assert "Ask" not in capsys.readouterr().err


def test_what_a_projects_admin_may_not_do_is_said_in_words(told: Any, kim: Any) -> None:
    kim.make("provost", "-p", OURS, "--role", "admin")
    before = state(kim)
    by: dict[str, Any] = {"by": "provost", "project": OURS, "code": 1}
    said = told("delete", "kim", **by)
    assert "The account provost may not delete accounts" in said
    assert "`labdata account delete kim`" in said and "administrator" in said
    assert "denied" not in said and "DROP" not in said
    assert "may not give new passwords" in told(
        "reset-password", "kim", "--write", str(kim.folder / "new.json"), **by
    )
    said = told("delete", "kin", **by)
    assert "There is no lab member 'kin'." in said and "Did you mean 'kim'?" in said
    assert state(kim) == before


def test_a_half_made_account_is_taken_back(
    told: Any, bare_lab: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from labdata.database import accounts
    from labdata.database.statements import Statement

    before, plan = state(bare_lab), accounts.plan_grant
    broken = Statement("GRANT SELECT ON `nowhere`.`nothing` TO %s@%s", ("eve", "%"))
    monkeypatch.setattr(accounts, "plan_grant", lambda *a, **k: [*plan(*a, **k)[:-1], broken])
    line = ["create", "eve", "-p", OURS, "--role", "reader", "--write", str(tmp_path / "x.json")]
    told(*line, code=1)
    after = state(bare_lab)
    assert (after[0], after[1], after[2], after[4]) == (before[0], before[1], before[2], before[4])
    assert not (tmp_path / "x.json").exists()


def test_a_projects_admin_gives_roles_in_it_alone(told: Any, kim: Any) -> None:
    kim.make("boss", "-p", OURS, "--role", "admin")
    for role in ("reader", "experimenter", "analyst", "admin"):
        told("grant", "kim", "-p", OURS, "--role", role, by="boss", project=OURS)
    assert kim.sql("kim", f"DELETE FROM `{kim.base}_a_b`.note") is None
    told("revoke", "kim", "-p", OURS, by="boss", project=OURS)
    assert kim.sql("kim", f"SELECT * FROM `{kim.base}_a_b`.subject") in DENIED
    assert (OURS, "kim") not in state(kim)[4]
    before = state(kim)
    told("grant", "kim", "-p", THEIRS, "--role", "reader", by="boss", project=OURS, code=1)
    told("grant", "nobody", "-p", OURS, "--role", "reader", by="boss", project=OURS, code=1)
    told("reset-password", "chief", "--dry-run", by="boss", project=OURS, code=1)
    assert state(kim) == before
    assert '"roles": {}' not in told("show", "boss", "--json", by="boss", project=OURS)


def test_an_own_database_has_no_accounts(
    embedded_lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for line in (["list"], ["create", "kim"], ["delete", "kim", "--dry-run"]):
        assert main(["account", *line]) == 1
        assert "has no accounts" in capsys.readouterr().err
