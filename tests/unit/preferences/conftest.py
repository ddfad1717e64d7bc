"""A labdata folder of its own, a preference file in it, and a keyring."""

from __future__ import annotations

import json
import os
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labdata.errors import PreferenceError
from labdata.preferences import load_preferences


@pytest.fixture
def put_keyring(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str] | None], None]:
    """Put a keyring in place that has some secrets, or None for a machine without a backend."""

    def put(secrets: dict[str, str] | None) -> None:
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

    return put


@pytest.fixture(autouse=True)
def folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    put_keyring: Callable[[dict[str, str] | None], None],
) -> Path:
    """An empty labdata folder, no variables of labdata's, and a keyring without secrets."""
    for name in [name for name in os.environ if name.startswith("LABDATA")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LABDATA_PATH", str(tmp_path / "labdata"))
    put_keyring({})
    return tmp_path / "labdata"


@pytest.fixture
def write(folder: Path) -> Callable[[Any], Path]:
    """Write the preference file: an object, or a text as it is."""

    def write(content: Any) -> Path:
        folder.mkdir(exist_ok=True)
        path = folder / "user_preferences.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


@pytest.fixture
def refused(write: Callable[[Any], Path]) -> Callable[[Any], PreferenceError]:
    """Return the error that a preference file is refused with."""

    def refused(content: Any) -> PreferenceError:
        write(content)
        with pytest.raises(PreferenceError) as caught:
            load_preferences()
        return caught.value

    return refused
