"""Passwords are made here, and leave for one place only: a terminal, or a file of their owner."""

from __future__ import annotations

import secrets
import string
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from ..errors import DatabaseError
from ..preferences import default_preferences, load_preferences, write_preferences

_ALPHABET = string.ascii_letters + string.digits + "-_.+"


def make_password() -> SecretStr:
    """Return a new password of 28 characters (169 bits) with all that servers may insist on."""
    while True:
        made = "".join(secrets.choice(_ALPHABET) for _ in range(28))
        kinds = (str.islower, str.isupper, str.isdigit, lambda c: c in "-_.+")
        if made[0].isalpha() and all(any(map(kind, made)) for kind in kinds):
            return SecretStr(made)


def write_member_preferences(
    lab: Any, name: str, password: SecretStr, path: Path, project: str | None
) -> None:
    """Write a preference file with which a member can start, readable by its owner only.

    Where the stores are is taken over from this user's preferences; their keys are not.

    Parameters
    ----------
    lab : Lab
        Tables of any project.
    name : str
        The lab member.
    password : SecretStr
        Of the account.
    path : Path
        The file, which is not there yet.
    project : str or None
        The member's project.

    Raises
    ------
    DatabaseError
        If the file cannot be written.
    """
    ours = load_preferences()
    content = default_preferences()
    server = lab.connection._preferences
    content["database"] = {
        "database.host": server.host,
        "database.port": server.port,
        "database.name": server.name,
        "database.user": name,
        "database.password": password.get_secret_value(),
        "database.project": project,
    }
    content["storage"] = {
        key: store.model_dump(exclude={"access_key", "secret_key", *store.unused_fields()})
        for key, store in ours.storage.items()
    }
    try:
        write_preferences(content, path)
    except OSError as error:
        raise DatabaseError(
            f"{path} cannot be written: {error.strerror}.", hint="Name another file."
        ) from None
