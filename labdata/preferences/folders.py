"""Where things are: the labdata folder, the preference file, and folders that it names."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import PreferenceError

FILE_NAME = "user_preferences.json"


def absolute_folder(key: str, text: str) -> Path:
    """Return a preference that names a folder as an absolute path.

    Parameters
    ----------
    key : str
        Name of the preference, for the error.
    text : str
        Its value; ``~`` is the home folder.

    Raises
    ------
    PreferenceError
        If the path is relative.
    """
    path = Path(text).expanduser()
    if not path.is_absolute():
        raise PreferenceError(
            f"{key} is the relative path {text!r}.", hint="Write the whole path, from / or ~."
        )
    return path


def labdata_folder() -> Path:
    """Return the user's labdata folder: ``LABDATA_PATH``, else ``~/labdata``."""
    chosen = os.environ.get("LABDATA_PATH")
    return Path(chosen).expanduser().absolute() if chosen else Path.home() / "labdata"


def preference_file() -> Path:
    """Return the path of the preference file, whether it exists or not.

    Raises
    ------
    PreferenceError
        If ``LABDATA_PREFERENCES`` names a file that does not exist.
    """
    chosen = os.environ.get("LABDATA_PREFERENCES")
    if not chosen:
        return labdata_folder() / FILE_NAME
    path = Path(chosen).expanduser()
    path = path if path.is_absolute() else labdata_folder() / path
    if not path.is_file():
        raise PreferenceError(
            f"LABDATA_PREFERENCES names {path}, which is not a file.",
            hint="Correct or unset LABDATA_PREFERENCES.",
        )
    return path
