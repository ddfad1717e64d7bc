"""Where each preference came from, and that secrets stay secret."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labdata.errors import PreferenceError
from labdata.preferences import (
    ENVIRONMENT,
    default_preferences,
    find_secret,
    load_preferences,
)

SECRET = "correct-horse"
Write = Callable[[Any], Path]
Refused = Callable[[Any], PreferenceError]
PutKeyring = Callable[[dict[str, str] | None], None]


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
    write: Write, monkeypatch: pytest.MonkeyPatch, variable: str, in_file: Any
) -> None:
    content = {"null": {"database": None}}.get(str(in_file), {"database": in_file})
    write({} if in_file is None else content)
    name, text = VALUES[variable]
    monkeypatch.setenv(variable, text)
    preferences = load_preferences()
    value = getattr(preferences.database, name)
    if name == "password":
        value = value.get_secret_value()
    assert value == {"3307": 3307, "false": False}.get(text, text)
    assert preferences.origins[f"database.{name}"] == variable


def test_an_empty_variable_says_nothing(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write({"database": {"database.project": "p"}})
    monkeypatch.setenv("LABDATA_DATABASE_PROJECT", "")
    assert load_preferences().database.project == "p"


def test_origins(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write({"scratch_path": "/s", "database": {"database.host": "h"}})
    monkeypatch.setenv("LABDATA_DATABASE_USER", "anna")
    origins = {key: origin for key, _, origin in load_preferences().items()}
    assert origins["scratch_path"] == "file"
    assert origins["database.host"] == "file"
    assert origins["database.user"] == "LABDATA_DATABASE_USER"
    assert origins["database.port"] == "default"
    assert origins["local_paths"] == "default"


def test_the_keyring_is_asked_for_what_nobody_gave(write: Write, put_keyring: PutKeyring) -> None:
    names = ("database.password", "storage.data.secret_key", "storage.data.access_key")
    put_keyring(dict.fromkeys(names, SECRET))
    write(
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
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("labdata.preferences.secrets.find_secret", lambda name: asked.append(name))
    write(default_preferences())
    load_preferences()
    write({"database": {"database.host": "h", "database.password": SECRET}})
    assert load_preferences().origins["database.password"] == "file"
    assert asked == []


def test_a_machine_without_a_keyring(
    write: Write, put_keyring: PutKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    write({"database": {"database.host": "h"}})
    put_keyring(None)
    assert find_secret("database.password") is None
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert find_secret("database.password") is None
    assert load_preferences().database.password is None


def test_store_secrets_from_the_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write({"storage": {"data": {"protocol": "s3", "bucket": "b"}}})
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


def test_fault_31_secrets_are_never_shown(write: Write) -> None:
    write(WITH_SECRETS)
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
def test_secrets_are_not_in_errors(refused: Refused, content: Any) -> None:
    assert SECRET not in str(refused(content))
