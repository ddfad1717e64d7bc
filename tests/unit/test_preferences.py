"""The preference file: what it may say, where values came from, and that secrets stay secret."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from labdata.errors import PreferenceError
from labdata.preferences import (
    ENVIRONMENT,
    Preferences,
    absolute_folder,
    default_preferences,
    ensure_preference_file,
    find_secret,
    labdata_folder,
    load_preferences,
    preference_file,
    write_preferences,
)

REPOSITORY = Path(__file__).resolve().parents[2]
SECRET = "correct-horse"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty labdata folder, no variables of labdata's, and a keyring without secrets."""
    for name in [name for name in os.environ if name.startswith("LABDATA")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LABDATA_PATH", str(tmp_path / "labdata"))
    put_keyring(monkeypatch, {})
    return tmp_path / "labdata"


def put_keyring(monkeypatch: pytest.MonkeyPatch, secrets: dict[str, str] | None) -> None:
    """Put a keyring in place that has some secrets, or None for a machine without a backend."""
    errors = types.ModuleType("keyring.errors")
    errors.KeyringError = type("KeyringError", (Exception,), {})  # type: ignore[attr-defined]

    def get_password(service: str, name: str) -> str | None:
        if secrets is None:
            raise errors.KeyringError("no backend")
        return secrets.get(name) if service == "labdata" else None

    keyring = types.ModuleType("keyring")
    keyring.get_password, keyring.errors = get_password, errors  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)


def write(folder: Path, content: Any) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "user_preferences.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def refused(folder: Path, content: Any) -> PreferenceError:
    write(folder, content)
    with pytest.raises(PreferenceError) as caught:
        load_preferences()
    assert SECRET not in str(caught.value)
    return caught.value


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


def test_an_empty_object_means_the_defaults(folder: Path) -> None:
    write(folder, {})
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
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(folder, {"scratch_path": "/usual"})
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


# --- where values come from ----------------------------------------------------------------------

VALUES = {
    "LABDATA_DATABASE": ("name", "lab7"),
    "LABDATA_DATABASE_NAME": ("name", "lab8"),
    "LABDATA_DATABASE_HOST": ("host", "db.lab"),
    "LABDATA_DATABASE_PORT": ("port", "3307"),
    "LABDATA_DATABASE_USER": ("user", "anna"),
    "LABDATA_DATABASE_PASS": ("password", SECRET),
    "LABDATA_DATABASE_PASSWORD": ("password", SECRET),
    "LABDATA_DATABASE_PROJECT": ("project", "vision"),
    "LABDATA_DATABASE_USE_TLS": ("use_tls", "false"),
}


def test_every_variable_is_tested() -> None:
    assert set(VALUES) == set(ENVIRONMENT)


@pytest.mark.parametrize("in_file", [None, {}, {"database.name": "f", "database.port": 1}, "null"])
@pytest.mark.parametrize("variable", VALUES)
def test_a_variable_goes_before_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, variable: str, in_file: Any
) -> None:
    content = {"null": {"database": None}}.get(str(in_file), {"database": in_file})
    write(folder, {} if in_file is None else content)
    name, text = VALUES[variable]
    monkeypatch.setenv(variable, text)
    preferences = load_preferences()
    value = getattr(preferences.database, name)
    if name == "password":
        value = value.get_secret_value()
    assert value == {"3307": 3307, "false": False}.get(text, text)
    assert preferences.origins[f"database.{name}"] == variable


def test_an_empty_variable_says_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, {"database": {"database.project": "p"}})
    monkeypatch.setenv("LABDATA_DATABASE_PROJECT", "")
    assert load_preferences().database.project == "p"


def test_origins(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, {"scratch_path": "/s", "database": {"database.host": "h"}})
    monkeypatch.setenv("LABDATA_DATABASE_USER", "anna")
    origins = {key: origin for key, _, origin in load_preferences().items()}
    assert origins["scratch_path"] == "file"
    assert origins["database.host"] == "file"
    assert origins["database.user"] == "LABDATA_DATABASE_USER"
    assert origins["database.port"] == "default"
    assert origins["local_paths"] == "default"


def test_the_keyring_is_asked_for_what_nobody_gave(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("database.password", "storage.data.secret_key", "storage.data.access_key")
    put_keyring(monkeypatch, dict.fromkeys(names, SECRET))
    write(
        folder,
        {
            "database": {"database.host": "h", "database.password": None},
            "storage": {"data": {"protocol": "s3", "bucket": "b", "access_key": "known"}},
        },
    )
    preferences = load_preferences()
    assert preferences.database.password is not None
    assert preferences.database.password.get_secret_value() == SECRET
    store = preferences.storage["data"]
    assert store.secret_key is not None and store.secret_key.get_secret_value() == SECRET
    assert store.access_key is not None and store.access_key.get_secret_value() == "known"
    assert preferences.origins["database.password"] == "keyring"
    assert preferences.origins["storage.data.secret_key"] == "keyring"
    assert preferences.origins["storage.data.access_key"] == "file"


def test_the_keyring_is_not_asked_without_need(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("labdata.preferences.secrets.find_secret", lambda name: asked.append(name))
    write(folder, default_preferences())
    load_preferences()
    write(folder, {"database": {"database.host": "h", "database.password": SECRET}})
    assert load_preferences().origins["database.password"] == "file"
    assert asked == []


def test_a_machine_without_a_keyring(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, {"database": {"database.host": "h"}})
    put_keyring(monkeypatch, None)
    assert find_secret("database.password") is None
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert find_secret("database.password") is None
    assert load_preferences().database.password is None


def test_store_secrets_from_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, {"storage": {"data": {"protocol": "s3", "bucket": "b"}}})
    monkeypatch.setenv("LABDATA_STORAGE_DATA_SECRET_KEY", SECRET)
    preferences = load_preferences()
    key = preferences.storage["data"].secret_key
    assert key is not None and key.get_secret_value() == SECRET
    assert preferences.origins["storage.data.secret_key"] == "LABDATA_STORAGE_DATA_SECRET_KEY"


# --- secrets -------------------------------------------------------------------------------------

WITH_SECRETS = {
    "database": {"database.host": "h", "database.password": SECRET},
    "storage": {"data": {"protocol": "s3", "access_key": SECRET, "secret_key": SECRET}},
    "compute": {"aws": {"access_key": SECRET, "secret_key": SECRET, "region": "eu"}},
}


def test_fault_31_secrets_are_never_shown(folder: Path) -> None:
    write(folder, WITH_SECRETS)
    preferences = load_preferences()
    shown = [repr(preferences), str(preferences), f"{preferences}", repr(preferences.database)]
    shown += [str(list(preferences.items())), repr(preferences.storage), repr(preferences.origins)]
    assert [text for text in shown if SECRET in text] == []
    assert "'region': 'eu'" in repr(preferences)
    assert preferences.compute["aws"]["secret_key"] == SECRET, "it must still be of use"


@pytest.mark.parametrize(
    "content",
    [
        {**WITH_SECRETS, "database": {"database.password": [SECRET]}},
        {**WITH_SECRETS, "storage": [{"secret_key": SECRET}]},
        {**WITH_SECRETS, "storage": {"data": f"s3://key:{SECRET}@host"}},
        {**WITH_SECRETS, "database": f"mysql://me:{SECRET}@host"},
        {**WITH_SECRETS, "database": {"database.passwrd": SECRET}},
        {**WITH_SECRETS, "local_paths": 3},
        {**WITH_SECRETS, "upload_host": {"password": SECRET}},
    ],
)
def test_secrets_are_not_in_errors(folder: Path, content: Any) -> None:
    refused(folder, content)


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
    folder: Path, content: Any, key: str, near: str
) -> None:
    error = refused(folder, content)
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
    folder: Path, content: Any, words: list[str]
) -> None:
    error = refused(folder, content)
    assert [word for word in words if word not in error.message] == []
    assert "user_preferences.json" in error.message
    assert error.hint


def test_all_faults_are_told_at_once(folder: Path) -> None:
    error = refused(folder, {"local_paths": 1, "scratch_path": 2})
    assert "local_paths" in error.message and "scratch_path" in error.message


def test_a_relative_path_is_refused(folder: Path) -> None:
    write(folder, {"local_paths": ["/abs", "data/raw"]})
    with pytest.raises(PreferenceError, match=r"local_paths is the relative path 'data/raw'"):
        load_preferences().local_folders()
    assert absolute_folder("scratch_path", "~/x") == Path.home() / "x"
    with pytest.raises(PreferenceError, match="scratch_path"):
        absolute_folder("scratch_path", "x")


def test_bad_json_is_told_with_its_line(folder: Path) -> None:
    error = refused(folder, '{\n  "local_paths": ["/d"]\n  "scratch_path": "/s"\n}\n')
    assert "line 3" in error.message and error.hint


@pytest.mark.parametrize("text", ["[]", '"x"', "3", "null"])
def test_json_that_is_no_object(folder: Path, text: str) -> None:
    assert "not an object" in refused(folder, text).message


def test_a_file_that_is_no_text(folder: Path) -> None:
    write(folder, "{}").write_bytes(b"\xff\xfe{\x00}\x00")
    with pytest.raises(PreferenceError, match="cannot be read"):
        load_preferences()


def test_tokens_of_the_old_package_are_refused_with_a_way_out(folder: Path) -> None:
    token = "encrypted:gAAAAABmSECRETTOKEN"
    for content in (
        {"database": {"database.password": token}},
        {"storage": {"data": {"secret_key": token}}},
    ):
        error = refused(folder, content)
        assert "labdata 0.1" in error.message and "keyring" in error.message
        assert "SECRETTOKEN" not in str(error)


def test_preferences_cannot_be_changed(folder: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_preferences().scratch_path = "/x"  # type: ignore[misc]
