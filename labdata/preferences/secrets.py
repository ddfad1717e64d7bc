"""Secrets that are not in the file: from the environment, else from the system's keyring."""

from __future__ import annotations

import os
from typing import Any


def find_secret(name: str) -> str | None:
    """Return a secret from the system's keyring, if there is a keyring that has it.

    Parameters
    ----------
    name : str
        For instance ``database.password`` or ``storage.data.secret_key``.
    """
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return None
    try:
        secret: str | None = keyring.get_password("labdata", name)
    except KeyringError:
        return None
    return secret


def add_store_secrets(content: dict[str, Any], origins: dict[str, str]) -> None:
    """Let the environment's secrets of stores go before the file's.

    Parameters
    ----------
    content : dict
        The file's content; gets the secrets.
    origins : dict
        Dotted key to where its value came from; gets the variables.
    """
    stores = content.get("storage")
    if not isinstance(stores, dict):
        return
    for store, settings in stores.items():
        if not isinstance(settings, dict):
            continue
        for name in ("access_key", "secret_key"):
            variable = f"LABDATA_STORAGE_{store}_{name}".upper()
            if os.environ.get(variable):
                settings[name] = os.environ[variable]
                origins[f"storage.{store}.{name}"] = variable


def add_keyring_secrets(content: dict[str, Any], origins: dict[str, str]) -> None:
    """Ask the keyring for the secrets that a server or a bucket needs and nobody has given.

    Parameters
    ----------
    content : dict
        The file's content, the environment's in it; gets the secrets.
    origins : dict
        Dotted key to where its value came from; gets ``keyring``.
    """
    database, stores = content.get("database"), content.get("storage")
    wanted: list[tuple[dict[str, Any], str, str]] = []
    if isinstance(database, dict):
        plain = {key.removeprefix("database."): value for key, value in database.items()}
        if plain.get("host") and plain.get("password") is None:
            wanted.append((database, "database.password", "database.password"))
    for store, settings in stores.items() if isinstance(stores, dict) else ():
        if isinstance(settings, dict) and settings.get("protocol") == "s3":
            names = [n for n in ("access_key", "secret_key") if settings.get(n) is None]
            wanted += [(settings, name, f"storage.{store}.{name}") for name in names]
    for section, name, key in wanted:
        secret = find_secret(key)
        if secret is not None:
            section.pop(key.rpartition(".")[2], None)
            section[name] = secret
            origins[key] = "keyring"
