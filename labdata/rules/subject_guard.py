"""A recording is not given to the wrong animal.

The commonest mistake at a rig is yesterday's subject in a window that was left open. It shows: the
folder's path, the name of a file, or what the acquisition program wrote into its own files, names
another subject of the lab than the one that was said. Then nothing is put before a person has
looked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ..errors import UploadError

_WORD = re.compile(r"[^\W_]+")
#: Names of subjects that file names have for other reasons.
_COUNTER = re.compile(r"\d{1,3}")


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
    paths: Iterable[str] = (),
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
    paths : iterable of str
        The files' paths below the local path, with ``/``: each name in them is looked at. Numbers
        of up to three digits are passed over there, as they count runs and trials.

    Raises
    ------
    OtherSubjectError
        With the other name and where it stands.
    """
    others = {name for name in known if name != subject}
    if path_subject in others:
        raise _refused(f"The folder's path says {path_subject!r}, you say {subject!r}.", subject)
    subjects = _Names({subject, *others})
    for where, text in texts.items():
        _require_own(subject, subjects, where, text)
    told = _Names({subject, *(name for name in others if not _COUNTER.fullmatch(name))})
    for part in dict.fromkeys(part for path in paths for part in path.split("/")):
        _require_own(subject, told, f"The name {part!r}", part)


def _require_own(subject: str, subjects: _Names, where: str, text: str) -> None:
    found = subjects.find(text)
    if found and subject not in found:
        raise _refused(f"{where} says {min(found)!r}, and this is put as {subject!r}.", subject)


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
    subjects = _Names(known)
    return sorted({name for text in texts for name in subjects.find(text)})


class _Names:
    """Names that are looked for in many short texts: in each, only those that can be in it.

    Parameters
    ----------
    names : iterable of str
        As they are spelt in the lab.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._by_fold = {name.casefold(): name for name in names}
        self._by_first: dict[str, list[str]] = {}
        for name in self._by_fold.values():
            first = _WORD.search(name.casefold())
            self._by_first.setdefault(first.group() if first else "", []).append(name)

    def find(self, text: str) -> set[str]:
        """Return the names in a text; of names that begin alike the longest."""
        words = {"", *_WORD.findall(text.casefold())}
        names = [name for word in words for name in self._by_first.get(word, ())]
        if not names:
            return set()
        choice = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
        pattern = re.compile(rf"(?<![^\W_])(?:{choice})(?![^\W_])", re.IGNORECASE)
        return {self._by_fold[match.casefold()] for match in pattern.findall(text)}


def _refused(what: str, subject: str) -> OtherSubjectError:
    return OtherSubjectError(
        what,
        hint=f"Which animal was it? If it was {subject}, say --subject-is-right; else correct -a "
        "or the name.",
        subject=subject,
    )
