"""A recording is not given to the wrong animal.

The commonest mistake at a rig is yesterday's subject in a window that was left open. It shows: the
folder's path, or what the acquisition program wrote into its own files, names another subject of
the lab than the one that was said. Then nothing is put before a person has looked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ..errors import UploadError


class OtherSubjectError(UploadError):
    """The path or the files of a folder name another subject than it is to be put to.

    Parameters
    ----------
    message, hint : str
        As of every error.
    subject : str
        The one that it is to be put to.
    """

    def __init__(self, message: str, *, hint: str, subject: str) -> None:
        super().__init__(message, hint=hint)
        self.subject = subject


def check_same_animal(
    subject: str,
    known: Iterable[str],
    *,
    path_subject: str | None,
    texts: Mapping[str, str],
) -> None:
    """Raise if the path or the files name another subject of the lab, and not this one.

    Parameters
    ----------
    subject : str
        To which the folder is to be put.
    known : iterable of str
        All subjects.
    path_subject : str or None
        What the folder's path says by the preference ``path_rules``.
    texts : mapping of str to str
        Where it was found, to what the files say: paths and notes of the acquisition program.

    Raises
    ------
    OtherSubjectError
        With the other name and where it stands.
    """
    others = {name for name in known if name != subject}
    if path_subject in others:
        raise _refused(f"The folder's path says {path_subject!r}, you say {subject!r}.", subject)
    pattern = _any_of({subject, *others})
    for where, text in texts.items():
        found = {match.group().casefold() for match in pattern.finditer(text)}
        if found and subject.casefold() not in found:
            (first, *_) = sorted(name for name in others if name.casefold() in found)
            raise _refused(f"{where} says {first!r}, and this is put as {subject!r}.", subject)


def named_subjects(known: Iterable[str], texts: Iterable[str]) -> list[str]:
    """Return the subjects that texts name, as whole words, whatever their case.

    Parameters
    ----------
    known : iterable of str
        All subjects.
    texts : iterable of str
        Parts of a path, notes of an acquisition program.

    Returns
    -------
    list of str
        As they are spelt in the lab, by alphabet.
    """
    by_name = {name.casefold(): name for name in known}
    if not by_name:
        return []
    pattern = _any_of(set(by_name.values()))
    found = {match.group().casefold() for text in texts for match in pattern.finditer(text)}
    return sorted(by_name[name] for name in found)


def _any_of(names: set[str]) -> re.Pattern[str]:
    """Return a pattern of whole names; of names that begin alike it finds the longest."""
    longest_first = sorted(names, key=len, reverse=True)
    choice = "|".join(re.escape(name) for name in longest_first)
    return re.compile(rf"(?<![^\W_])(?:{choice})(?![^\W_])", re.IGNORECASE)


def _refused(what: str, subject: str) -> OtherSubjectError:
    return OtherSubjectError(
        what,
        hint=f"Which animal was it? If it was {subject}, say --subject-is-right; else correct -a "
        "or the folder's name.",
        subject=subject,
    )
