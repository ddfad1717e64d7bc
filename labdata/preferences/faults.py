"""What is wrong with a preference file, in sentences."""

from __future__ import annotations

import difflib
from pathlib import Path

from pydantic import ValidationError

from ..errors import PreferenceError
from .model import DatabasePreferences, FailurePreferences, Preferences, StoragePreferences
from .showing import is_secret, masked


def explain(error: ValidationError, path: Path) -> PreferenceError:
    """Turn pydantic's errors into sentences: key, value, what is expected.

    Parameters
    ----------
    error : ValidationError
        Of the model.
    path : Path
        The file.

    Returns
    -------
    PreferenceError
        Not raised.
    """
    sentences, hints = [], []
    for fault in error.errors():
        location = [str(part) for part in fault["loc"]]
        key = ".".join([*location[:-1], location[-1].removeprefix("database.")])
        if fault["type"] == "extra_forbidden":
            sentences.append(f"{key!r} is not a preference.")
            near = difflib.get_close_matches(location[-1], _known_keys(location[:-1]), n=1)
            if near:
                hints.append(f"Did you mean {near[0]!r}?")
            continue
        shown = repr(masked(fault["input"]))
        if is_secret(key):
            shown = "a secret"
        elif fault["type"].startswith(("model_", "dict_")):
            # a text in place of a section can be an address with its password
            shown = f"of type {type(fault['input']).__name__}"
        expected = fault["msg"].removeprefix("Value error, ")
        sentences.append(f"{key} is {shown}: {expected[0].lower()}{expected[1:]}.")
    return PreferenceError(
        f"{path}: " + " ".join(sentences),
        hint=" ".join(hints) or "Correct the file; `labdata doctor` shows every setting.",
    )


def _known_keys(location: list[str]) -> list[str]:
    if location[:1] == ["database"]:
        return [str(field.alias) for field in DatabasePreferences.model_fields.values()]
    if location[:1] == ["storage"]:
        return list(StoragePreferences.model_fields)
    if location[:1] == ["on_failure"]:
        return list(FailurePreferences.model_fields)
    return list(Preferences.model_fields)
