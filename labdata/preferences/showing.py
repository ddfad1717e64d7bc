"""How settings are shown: by dotted key, with the secrets masked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by dotted key; an empty section is a value.

    Parameters
    ----------
    content : mapping
        The settings.
    prefix : str, optional
        What each key begins with.
    """
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def masked(value: Any) -> Any:
    """Replace the secrets in what is to be shown.

    Parameters
    ----------
    value : object
        A setting, or a section of them.

    Returns
    -------
    object
        The same, with ten asterisks for each secret.
    """
    if isinstance(value, Mapping):
        return {
            key: "**********" if is_secret(str(key)) and isinstance(item, str) else masked(item)
            for key, item in value.items()
        }
    return [masked(item) for item in value] if isinstance(value, list) else value


def is_secret(key: str) -> bool:
    """Return whether a setting is a secret, by its name: sections of plugins have no model.

    Parameters
    ----------
    key : str
        Its name, dotted or not.
    """
    return any(
        word in key.lower() for word in ("password", "access_key", "secret", "token", "webhook")
    )
