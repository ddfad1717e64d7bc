"""The doctor names every setting with its origin, tries everything, and says what to do."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labdata.cli import main

pytestmark = pytest.mark.database


@pytest.fixture(scope="module")
def server_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    from labdata.database.embedded import EmbeddedDatabase

    folder = tmp_path_factory.mktemp("doctor") / "database"
    yield folder
    EmbeddedDatabase(folder).stop()


@pytest.fixture
def lab_folder(
    tmp_path: Path, server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    from labdata.database.connection import reset_connection
    from labdata.schema import default_lab
    from labdata.testing import use_lab_folder

    for name in [n for n in os.environ if n.startswith("LABDATA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LABDATA_PATH", str(tmp_path / "labdata"))
    monkeypatch.setenv("LABDATA_DATABASE_FOLDER", str(server_folder))
    use_lab_folder(tmp_path)
    reset_connection()
    default_lab.deactivate()
    yield tmp_path
    reset_connection()
    default_lab.deactivate()


def examine(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any], dict[str, Any]]:
    capsys.readouterr()
    code = main(["doctor", "--json"])
    content = json.loads(capsys.readouterr().out)
    settings = {s["setting"]: s for s in content["settings"]}
    return code, settings, {c["name"]: c for c in content["checks"]}


def change(folder: Path, **content: Any) -> None:
    path = folder / "labdata" / "user_preferences.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | content))


def test_all_is_well(lab_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, settings, checks = examine(capsys)
    assert code == 0
    assert {c["state"] for c in checks.values()} <= {"ok", "absent"}
    assert settings["upload_path"]["origin"] == "file"
    assert settings["database.port"]["origin"] == "default"
    assert checks["store data"]["message"].endswith("write, read, keep, list, delete")


def test_settings_that_a_store_does_not_use_are_not_listed(
    lab_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, settings, _ = examine(capsys)
    assert {key.rpartition(".")[2] for key in settings if key.startswith("storage.data.")} == {
        *("protocol", "path", "folder")
    }
    path = lab_folder / "labdata" / "user_preferences.json"
    storage = json.loads(path.read_text())["storage"]
    storage["data"]["bucket"] = "mistaken"
    change(lab_folder, storage=storage)
    assert examine(capsys)[1]["storage.data.bucket"]["origin"] == "file"


@pytest.mark.parametrize("fault", ["", "there are no keys."])
def test_a_port_of_amazons_that_is_passed_over_is_said(
    lab_folder: Path,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("boto3")
    from labdata.stores import AccessReport, AccessStep, S3Store

    step = AccessStep("write", not fault, fault, "Check access_key." if fault else "")
    report = AccessReport("bucket", (step,), 0.0)
    monkeypatch.setattr(S3Store, "check_access", lambda _: report)
    place = {"protocol": "s3", "endpoint": "s3.amazonaws.com:9000", "bucket": "lab-data"}
    change(lab_folder, storage={"data": place})
    check = examine(capsys)[2]["store data"]
    assert ":9000" in check["message"]
    assert fault in check["message"]
    assert ("Check access_key." in check["hint"]) == bool(fault)


def test_the_database_of_another_project(
    lab_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from labdata.schema import load_project_schema

    load_project_schema("vision").Subject()
    capsys.readouterr()
    assert main(["doctor", "-p", "vision"]) == 0
    assert "project vision" in capsys.readouterr().out
    assert main(["doctor", "-p", "visoin"]) == 1
    assert "Did you mean 'vision'?" in capsys.readouterr().out


def test_origin_of_a_variable(
    lab_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LABDATA_DATABASE_PROJECT", "vision")
    monkeypatch.setenv("LABDATA_DATABASE_PASS", "s3cret-word")
    _, settings, checks = examine(capsys)
    assert settings["database.project"] == {
        "setting": "database.project",
        "value": "vision",
        "origin": "LABDATA_DATABASE_PROJECT",
    }
    assert "vision" in checks["database"]["message"]
    assert settings["database.password"]["origin"] == "LABDATA_DATABASE_PASS"
    assert "s3cret" not in json.dumps([settings, checks])


def test_each_failure_says_what_to_do(
    lab_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(
        lab_folder,
        local_paths=["/nowhere/at/all", "not/whole"],
        upload_storage="tape",
        storage={"data": {"protocol": "local", "path": "/nowhere/store"}},
    )
    path = lab_folder / "labdata" / "user_preferences.json"
    path.chmod(0o644)
    code, _, checks = examine(capsys)
    assert code == 1
    failed = {name for name, c in checks.items() if c["state"] == "failed"}
    assert failed == {
        *("preferences", "local_paths[0]", "local_paths[1]", "store data", "upload_storage"),
    }
    assert all(checks[name]["hint"] for name in failed)
    assert checks["preferences"]["hint"] == f"chmod 600 {path}"


def test_who_is_told_of_failures(lab_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(lab_folder, on_failure={"command": ["no-such-program", "x"]})
    code, _, checks = examine(capsys)
    told = checks["on_failure"]
    assert (code, told["state"]) == (1, "failed")
    assert "'no-such-program'" in told["message"] and "as a list" in told["hint"]
    change(lab_folder, on_failure={"command": [sys.executable, "-c", ""]})
    code, _, checks = examine(capsys)
    assert (code, checks["on_failure"]["state"]) == (0, "ok")
    change(lab_folder, on_failure={"webhook": "https://chat.lab.example/hooks/s3cret"})
    code, _, checks = examine(capsys)
    assert (code, checks["on_failure"]["state"]) == (0, "ok")
    assert "s3cret" not in json.dumps(checks)


def test_a_command_as_one_text_is_told_to_be_a_list(
    lab_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(lab_folder, on_failure={"command": "mail me"})
    assert main(["doctor"]) == 1
    said = capsys.readouterr().err
    assert "on_failure.command is 'mail me': a list of words is expected" in said
    assert len(said.splitlines()) == 2


def test_a_database_that_is_down(
    lab_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("HOST", "127.0.0.1"), ("PORT", "1"), ("USER", "u"), ("PASS", "p")):
        monkeypatch.setenv(f"LABDATA_DATABASE_{name}", value)
    code, _, checks = examine(capsys)
    assert code == 1
    assert "127.0.0.1:1" in checks["database"]["message"]
    assert "database.host" in checks["database"]["hint"]


def test_the_page_for_people(lab_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Preferences: {lab_folder / 'labdata' / 'user_preferences.json'}")
    assert "✓ database" in shown
    assert shown.rstrip().endswith("All is well.")


def test_a_misspelt_key_is_one_clear_error(
    lab_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(lab_folder, local_path=["/data"])
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().err
    assert "'local_path' is not a preference" in shown
    assert "Did you mean 'local_paths'?" in shown
