"""Where the old database is: an old preference file, or an address.

The old package wrote the password into its preference file as a token that only its own key can
open. Such a token is not read here; the password comes from the environment or is asked for.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import SecretStr

from ..errors import PreferenceError

#: Where the password of the old database is looked for before the preference file.
PASSWORD_VARIABLE = "LABDATA_MIGRATE_PASSWORD"
_PORT = 3306
_EXAMPLE = "mysql://USER@HOST:3306/labdata"
_GIVE_PASSWORD = f"Set {PASSWORD_VARIABLE} to the password, or add --ask-password."


@dataclass(frozen=True)
class OldAddress:
    """Where an old database is, and who reads it.

    Attributes
    ----------
    host : str
    port : int
    user : str
    name : str
        Of the database: what the names of its schemas begin with.
    password : SecretStr
    use_tls : bool
        Whether the connection is encrypted.
    stores : mapping
        The old preferences of each store, to say where objects were; empty for an address.
    """

    host: str
    port: int
    user: str
    name: str
    password: SecretStr = field(repr=False)
    use_tls: bool = True
    stores: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def describe(self) -> str:
        """Return it in words, without the password."""
        return f"{self.name} at {self.host}:{self.port}"


def read_address(text: str, *, password: SecretStr | None = None) -> OldAddress:
    """Return the address that a preference file or a text names.

    Parameters
    ----------
    text : str
        The path of the old ``user_preferences.json`` (or its folder), or
        ``mysql://user@host:port/name``; ``?use_tls=false`` for a server without encryption.
    password : SecretStr, optional
        Of the old database's user; else ``LABDATA_MIGRATE_PASSWORD``, the address or the file.

    Raises
    ------
    PreferenceError
        If the file cannot be read, something is missing in it, or the password is a token.
    """
    facts = _from_text(text) if "://" in text else _from_file(text)
    if password is None and os.environ.get(PASSWORD_VARIABLE):
        password = SecretStr(os.environ[PASSWORD_VARIABLE])
    for key in ("host", "user", "name"):
        if not facts.get(key):
            raise PreferenceError(
                f"{text} does not say the {key} of the old database.",
                hint=f"Give an address: --from {_EXAMPLE}",
            )
    return OldAddress(
        host=facts["host"],
        port=_read_port(facts.get("port"), text),
        user=facts["user"],
        name=facts["name"],
        password=password or _given_password(facts.get("password"), text),
        use_tls=facts.get("use_tls") is not False,
        stores=facts.get("stores") or {},
    )


def _given_password(value: Any, text: str) -> SecretStr:
    if not isinstance(value, str) or not value:
        raise PreferenceError(f"{text} has no password.", hint=_GIVE_PASSWORD)
    if value.startswith("encrypted:"):
        raise PreferenceError(
            f"The password in {text} is encrypted, which only the old labdata can read.",
            hint=_GIVE_PASSWORD,
        )
    return SecretStr(value)


def _read_port(value: Any, text: str) -> int:
    try:
        port = int(value or _PORT)
    except (TypeError, ValueError):
        port = 0
    if not 0 < port < 65536:
        raise PreferenceError(f"{text} says the port {value!r}.", hint="A port is 1 to 65535.")
    return port


def _from_text(text: str) -> dict[str, Any]:
    parts = urlsplit(text)
    if parts.scheme not in ("mysql", "mariadb"):
        raise PreferenceError(
            f"{parts.scheme}:// is no address of a database.", hint=f"Write it as {_EXAMPLE}."
        )
    try:
        port = parts.port
    except ValueError:
        raise PreferenceError(
            f"The port in the address of {parts.hostname} is no port.",
            hint=f"Write it as {_EXAMPLE}.",
        ) from None
    tls = parse_qs(parts.query).get("use_tls", ["true"])[-1]
    return {
        "host": parts.hostname,
        "port": port,
        "user": unquote(parts.username or ""),
        "name": unquote(parts.path.strip("/")),
        "password": unquote(parts.password or ""),
        "use_tls": tls.lower() not in ("false", "0", "no"),
    }


def _from_file(text: str) -> dict[str, Any]:
    path = Path(text).expanduser()
    path = path / "user_preferences.json" if path.is_dir() else path
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PreferenceError(
            f"There is no file {path}.",
            hint="Name the old user_preferences.json, or an address: " + _EXAMPLE,
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise PreferenceError(f"{path} cannot be read: {error}.") from None
    except json.JSONDecodeError as error:
        raise PreferenceError(
            f"{path} is not valid JSON: {error.msg} at line {error.lineno}.",
            hint="Name the old user_preferences.json.",
        ) from None
    section = content.get("database") if isinstance(content, dict) else None
    if not isinstance(section, dict):
        raise PreferenceError(
            f"{path} has no section 'database'.", hint="Name the old user_preferences.json."
        )
    facts = {str(key).removeprefix("database."): value for key, value in section.items()}
    host, _, port = str(facts.get("host") or "").partition(":")
    stores = content.get("storage")
    return {
        **facts,
        "host": host,
        "port": facts.get("port") or port or None,
        "name": facts.get("name") or "labdata",
        "stores": stores if isinstance(stores, dict) else {},
    }
