"""The preference file: where it is, how it is written, and what it may say."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labdata.errors import PreferenceError
from labdata.preferences import (
    Preferences,
    absolute_folder,
    default_preferences,
    ensure_preference_file,
    labdata_folder,
    load_preferences,
    preference_file,
    write_preferences,
)

REPOSITORY = Path(__file__).resolve().parents[3]
Write = Callable[[Any], Path]
Refused = Callable[[Any], PreferenceError]


# --- the file ------------------------------------------------------------------------------------


def test_a_new_file_has_the_keys_of_the_guide(folder: Path) -> None:
    preferences = load_preferences()
    path = folder / "user_preferences.json"
    assert preferences.file == path
    content = json.loads(path.read_text())
    assert {"local_paths", "database", "storage", "allow_s3_download", "path_rules"} <= set(
        content
    )
    assert {"upload_path", "upload_host", "upload_storage", "scratch_path"} <= set(content)
    assert set(content["database"]) == {
        "database.host",
        "database.name",
        "database.user",
        "database.project",
    }
    assert set(content["storage"]) == {"data", "analysis"}


def test_a_new_file_is_for_a_laptop(folder: Path) -> None:
    preferences = load_preferences()
    assert preferences.database.host is None
    assert preferences.database.name == "labdata"
    assert preferences.database.use_tls is True
    assert preferences.local_paths == ["~/data"]
    assert preferences.local_folders() == [Path.home() / "data"]
    assert preferences.allow_s3_download is False
    assert preferences.upload_host is None
    for name in ("data", "analysis"):
        store = preferences.storage[name]
        assert (store.protocol, store.path) == ("local", str(folder / "storage" / name))


def test_fault_31_a_new_file_is_its_owners_only_and_later_left_alone(folder: Path) -> None:
    previous = os.umask(0)
    try:
        path = ensure_preference_file()
    finally:
        os.umask(previous)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text('{"local_paths": ["/d"]}')
    assert ensure_preference_file() == path
    assert load_preferences().local_paths == ["/d"]


def test_an_empty_object_means_the_defaults(write: Write) -> None:
    write({})
    assert load_preferences().model_dump() == Preferences.model_validate({}).model_dump()


def test_the_defaults_pass_their_own_validation() -> None:
    Preferences.model_validate(default_preferences())


def test_writing_replaces_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "prefs.json"
    write_preferences({"a": 1}, path)
    path.chmod(0o644)
    write_preferences({"a": 2}, path)
    assert json.loads(path.read_text()) == {"a": 2}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "prefs.json"
    write_preferences({"a": 1}, path)
    with pytest.raises(TypeError):
        write_preferences({"a": object()}, path)
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["os.fsync", "pathlib.Path.replace"])
def test_killed_while_writing_the_old_file_stays(tmp_path: Path, step: str) -> None:
    path = tmp_path / "prefs.json"
    write_preferences({"a": 1}, path)
    module, _, name = step.rpartition(".")
    owner = "os" if module == "os" else "pathlib.Path"
    code = (
        "import os, pathlib, signal, sys\n"
        "from labdata.preferences import write_preferences\n"
        f"{owner}.{name} = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_preferences({'a': 2}, pathlib.Path(sys.argv[1]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", code, str(path)], env=environment, check=False)
    assert done.returncode == -9
    assert json.loads(path.read_text()) == {"a": 1}
    write_preferences({"a": 3}, path)
    assert json.loads(path.read_text()) == {"a": 3}


# --- where it is ---------------------------------------------------------------------------------


def test_labdata_path(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert labdata_folder() == folder
    assert preference_file() == folder / "user_preferences.json"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LABDATA_PATH", "~/x")
    assert labdata_folder() == tmp_path / "x"
    monkeypatch.delenv("LABDATA_PATH")
    assert labdata_folder() == tmp_path / "labdata"


def test_labdata_preferences_names_a_file(
    write: Write, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write({"scratch_path": "/usual"})
    other = tmp_path / "rig.json"
    other.write_text('{"scratch_path": "/rig"}')
    monkeypatch.setenv("LABDATA_PREFERENCES", str(other))
    assert load_preferences().scratch_path == "/rig"
    (folder / "named.json").write_text('{"scratch_path": "/named"}')
    monkeypatch.setenv("LABDATA_PREFERENCES", "named.json")
    assert load_preferences().scratch_path == "/named"
    monkeypatch.setenv("LABDATA_PREFERENCES", "absent.json")
    with pytest.raises(PreferenceError, match=r"absent\.json, which is not a file") as caught:
        load_preferences()
    assert "LABDATA_PREFERENCES" in (caught.value.hint or "")
    assert not (folder / "absent.json").exists()


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content,key,near",
    [
        ({"local_path": ["/d"]}, "local_path", "local_paths"),
        ({"upload_hosts": "h"}, "upload_hosts", "upload_host"),
        ({"database": {"database.hots": "h"}}, "database.hots", "database.host"),
        ({"storage": {"data": {"buckett": "b"}}}, "storage.data.buckett", "bucket"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest(
    refused: Refused, content: Any, key: str, near: str
) -> None:
    error = refused(content)
    assert f"{key!r} is not a preference" in error.message
    assert error.hint == f"Did you mean {near!r}?"


@pytest.mark.parametrize(
    "content,words",
    [
        ({"local_paths": "/data"}, ["local_paths is '/data'", "list"]),
        ({"local_paths": []}, ["local_paths is []", "at least 1"]),
        ({"allow_s3_download": "perhaps"}, ["allow_s3_download is 'perhaps'", "boolean"]),
        ({"database": {"database.port": "high"}}, ["database.port is 'high'", "integer"]),
        ({"database": {"database.port": 70000}}, ["database.port is 70000", "65535"]),
        ({"database": {"database.name": "a b"}}, ["database.name is 'a b'", "pattern"]),
        ({"storage": {"data": {"protocol": "ftp"}}}, ["storage.data.protocol is 'ftp'", "'s3'"]),
        ({"scratch_path": 3}, ["scratch_path is 3", "string"]),
    ],
)
def test_a_wrong_value_names_key_value_and_what_is_expected(
    refused: Refused, content: Any, words: list[str]
) -> None:
    error = refused(content)
    assert [word for word in words if word not in error.message] == []
    assert "user_preferences.json" in error.message
    assert error.hint


def test_all_faults_are_told_at_once(refused: Refused) -> None:
    error = refused({"local_paths": 1, "scratch_path": 2})
    assert "local_paths" in error.message and "scratch_path" in error.message


def test_a_relative_path_is_refused(write: Write) -> None:
    write({"local_paths": ["/abs", "data/raw"]})
    with pytest.raises(PreferenceError, match=r"local_paths is the relative path 'data/raw'"):
        load_preferences().local_folders()
    assert absolute_folder("scratch_path", "~/x") == Path.home() / "x"
    with pytest.raises(PreferenceError, match="scratch_path"):
        absolute_folder("scratch_path", "x")


def test_bad_json_is_told_with_its_line(refused: Refused) -> None:
    error = refused('{\n  "local_paths": ["/d"]\n  "scratch_path": "/s"\n}\n')
    assert "line 3" in error.message and error.hint


@pytest.mark.parametrize("text", ["[]", '"x"', "3", "null"])
def test_json_that_is_no_object(refused: Refused, text: str) -> None:
    assert "not an object" in refused(text).message


def test_a_file_that_is_no_text(write: Write) -> None:
    write("{}").write_bytes(b"\xff\xfe{\x00}\x00")
    with pytest.raises(PreferenceError, match="cannot be read"):
        load_preferences()


def test_tokens_of_the_old_package_are_refused_with_a_way_out(refused: Refused) -> None:
    token = "encrypted:gAAAAABmSECRETTOKEN"
    for content in (
        {"database": {"database.password": token}},
        {"storage": {"data": {"secret_key": token}}},
    ):
        error = refused(content)
        assert "labdata 0.1" in error.message and "keyring" in error.message
        assert "SECRETTOKEN" not in str(error)


def test_preferences_cannot_be_changed(folder: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_preferences().scratch_path = "/x"  # type: ignore[misc]
