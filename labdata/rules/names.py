"""What a raw folder's path says: subject, session, dataset, and the kind of data.

The rule is the preference ``path_rules``, for instance
``{subject_name}/{session_name}/{dataset_name}``: one field or literal a folder, matched against
the path below the local path. What the path does not say is asked for; nothing is guessed
silently.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

from ..errors import PreferenceError, UploadError

#: Part of a dataset's name -> its DatasetType; the first that fits is taken.
DATASET_TYPES = {
    "ephys": "ephys",
    "task": "task-training",
    "two_photon": "imaging-2p",
    "one_photon": "imaging-widefield",
    "analysis": "analysis",
}
_FIELD = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class PathNames:
    """What a path says; ``None`` where it says nothing.

    Attributes
    ----------
    subject_name, session_name, dataset_name : str or None
        Names.
    session_datetime : datetime or None
        Start of the session, if the rule for dates fits.
    dataset_type : str or None
        Guessed from the dataset's name.
    """

    subject_name: str | None
    session_name: str | None
    dataset_name: str | None
    session_datetime: datetime | None
    dataset_type: str | None


def read_path(
    relative: PurePosixPath | str, path_rules: str, date_rule: tuple[str, str]
) -> PathNames:
    """Read the names out of a folder's path.

    Parameters
    ----------
    relative : str
        Path of the folder below its local path, with ``/``.
    path_rules : str
        The preference of that name.
    date_rule : tuple of str
        The preference ``path_rules_session_date``: a field and its strptime format.

    Returns
    -------
    PathNames
        What was found; None for what was not.

    Raises
    ------
    PreferenceError
        If the rule is malformed.
    """
    parts = PurePosixPath(relative).parts
    found: dict[str, str] = {}
    for rule, part in zip(PurePosixPath(path_rules).parts, parts, strict=False):
        match = _rule_pattern(rule, path_rules).fullmatch(part)
        if match is None:
            found = {}
            break
        found |= match.groupdict()
    name, form = date_rule
    dataset = found.get("dataset_name")
    return PathNames(
        found.get("subject_name"),
        found.get("session_name"),
        dataset,
        parse_date(found.get(name), form),
        guess_dataset_type(dataset),
    )


def parse_date(text: str | None, form: str) -> datetime | None:
    """Return a date written in a strptime format, or None where the text is none.

    Parameters
    ----------
    text : str or None
        What to read.
    form : str
        The format.
    """
    if text is None:
        return None
    try:
        return datetime.strptime(text, form)
    except ValueError:
        return None


def guess_dataset_type(dataset_name: str | None) -> str | None:
    """Return the DatasetType that a dataset's name hints at, if any.

    Parameters
    ----------
    dataset_name : str or None
        For instance ``ephys_g0``.
    """
    for part, dataset_type in DATASET_TYPES.items():
        if dataset_name and part in dataset_name:
            return dataset_type
    return None


def check_name(field: str, value: str | None, longest: int) -> str:
    """Return a name that can be part of a path, a key and a URL.

    Parameters
    ----------
    field : str
        What it names, for the error.
    value : str or None
        The name.
    longest : int
        Characters that its column holds.

    Raises
    ------
    UploadError
        If it is missing, too long or has characters that do not belong in a name.
    """
    if not value:
        flag = {"subject_name": "-a", "session_name": "-s", "dataset_name": "-d"}[field]
        raise UploadError(
            f"The folder's path does not say the {field}.", hint=f"Give it with {flag}."
        )
    if len(value) > longest or not re.fullmatch(r"[A-Za-z0-9]([\w.+ -]*[\w+-])?", value):
        raise UploadError(
            f"{field} {value!r} is not usable as a name.",
            hint=f"Use letters, digits, _ - . + and at most {longest} characters, a letter or "
            "digit first and no space or dot last.",
        )
    return value


def _rule_pattern(rule: str, whole: str) -> re.Pattern[str]:
    pieces = _FIELD.split(rule)
    pattern = "".join(
        f"(?P<{piece}>.+?)" if index % 2 else re.escape(piece)
        for index, piece in enumerate(pieces)
    )
    try:
        return re.compile(pattern)
    except re.error as error:
        raise PreferenceError(
            f"path_rules {whole!r} cannot be used: {error}.",
            hint="Write for instance {subject_name}/{session_name}/{dataset_name}.",
        ) from None
