"""Read the preferences, and keep where each value came from.

What the environment and the keyring say is put into the file's content before the model sees it,
so that it is checked as the file is, and an error names it as it would a value of the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import PreferenceError
from .faults import explain
from .model import Preferences
from .secrets import add_keyring_secrets, add_store_secrets
from .showing import flatten
from .writing import ensure_preference_file

#: Environment variable -> dotted key of the preference it overrides.
ENVIRONMENT = {
    "LABDATA_DATABASE": "database.name",
    "LABDATA_DATABASE_NAME": "database.name",
    "LABDATA_DATABASE_HOST": "database.host",
    "LABDATA_DATABASE_PORT": "database.port",
    "LABDATA_DATABASE_USER": "database.user",
    "LABDATA_DATABASE_PASS": "database.password",
    "LABDATA_DATABASE_PASSWORD": "database.password",
    "LABDATA_DATABASE_PROJECT": "database.project",
    "LABDATA_DATABASE_USE_TLS": "database.use_tls",
}


def load_preferences(path: Path | None = None) -> Preferences:
    """Read, complete and validate the preferences.

    Parameters
    ----------
    path : Path, optional
        The file; by default the user's, made if missing.

    Returns
    -------
    Preferences
        With where each value came from.

    Raises
    ------
    PreferenceError
        If the file is no JSON object, a key is unknown or a value has the wrong type.
    """
    path = path or ensure_preference_file()
    content = _read_json(path)
    origins = dict.fromkeys(flatten(_without_prefix(content)), "file")
    _add_environment(content, origins)
    add_store_secrets(content, origins)
    add_keyring_secrets(content, origins)
    try:
        preferences = Preferences.model_validate(content)
    except ValidationError as error:
        raise explain(error, path) from None
    preferences._file = path
    preferences._origins = origins
    return preferences


def _add_environment(content: dict[str, Any], origins: dict[str, str]) -> None:
    """Let the variables of :data:`ENVIRONMENT` go before the file."""
    for variable, key in ENVIRONMENT.items():
        if os.environ.get(variable):
            section, name = key.split(".")
            if content.get(section) is None:
                content[section] = {}
            if not isinstance(content[section], dict):
                return  # which the model refuses
            content[section][key] = os.environ[variable]
            content[section].pop(name, None)
            origins[key] = variable


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise PreferenceError(
            f"{path} is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}.",
            hint="Look for a missing comma or quote there.",
        ) from None
    except OSError as error:
        raise PreferenceError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise PreferenceError(
            f"{path} cannot be read: it is not UTF-8 text.", hint="Save it as UTF-8."
        ) from None
    if not isinstance(content, dict):
        raise PreferenceError(f"{path} holds {type(content).__name__}, not an object {{...}}.")
    return content


def _without_prefix(content: Mapping[str, Any]) -> dict[str, Any]:
    """Name ``database.host`` inside ``database`` plainly, as the model does."""
    section = content.get("database")
    if not isinstance(section, dict):
        return dict(content)
    return {**content, "database": {k.removeprefix("database."): v for k, v in section.items()}}
