"""What a person is asked before a folder is put: the names that its path does not say.

One question after the other, each with what is known and, only where one answer follows from the
folder, that answer. An animal is proposed only if the folder names exactly one of the lab: a wrong
one that is taken by a press of Enter would cost more than the typing saves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ..errors import LabdataError, UploadError
from ..nearest import nearest
from ..preferences import Preferences, load_preferences
from .base import UploadRule, find_rule, guess_rule
from .checks import containing_folder, list_files, relative_path
from .known import check_subject
from .names import PathNames, check_name, parse_date, read_path
from .planning import default_lab
from .subject_guard import named_subjects

#: So many names that there are already are shown.
_N_SHOWN = 6
_LENGTHS = {"subject": 64, "session": 64, "dataset": 128}
_WHEN = "%Y-%m-%d %H:%M:%S"


@dataclass(frozen=True)
class Question:
    """Something that a folder's path does not say.

    Attributes
    ----------
    argument : str
        The argument of :func:`~labdata.rules.planning.plan_put` that the answer is for.
    text : str
        What to ask.
    proposed : str or None
        The answer that follows from the folder, if one does.
    known : tuple of str
        Names that there are already, those that were probably meant first.
    """

    argument: str
    text: str
    proposed: str | None = None
    known: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Folder:
    """What is known of a folder before it is put."""

    path: Path
    names: PathNames
    files: tuple[Path, ...]
    rule: UploadRule
    preferences: Preferences

    @property
    def began(self) -> datetime | None:
        """When the data were recorded, if they say so."""
        found = self.rule.recorded(self.path)
        return found if isinstance(found, datetime) else None

    @property
    def oldest(self) -> datetime:
        """When the data were recorded, else the time of the oldest file."""
        oldest_s = min(path.stat().st_mtime for path in self.files)
        return (self.began or datetime.fromtimestamp(oldest_s)).replace(microsecond=0)


def next_question(
    folder: str | Path,
    given: Mapping[str, Any],
    *,
    lab: Any = None,
    preferences: Preferences | None = None,
) -> Question | None:
    """Return what to ask first, None if nothing is missing.

    Parameters
    ----------
    folder : path
        The folder to be put.
    given : mapping
        Arguments of :func:`~labdata.rules.planning.plan_put` that are known: flags and answers.
    lab : Lab, optional
        Tables of another project.
    preferences : Preferences, optional
        By default the user's.

    Returns
    -------
    Question or None

    Raises
    ------
    UploadError
        If the folder is outside the local paths, empty or not to be read.
    LabdataError
        If its rule cannot be told, or refuses it.
    """
    lab = lab or default_lab()
    preferences = preferences or load_preferences()
    found = _look(folder, given, preferences)
    known = [str(name) for name in lab.Subject.fetch("subject_name")]
    said = found.names.subject_name
    # a folder right below a local path is read as a subject's by most path rules
    is_said = said in known
    if not given.get("subject") and not is_said:
        return _ask_subject(found, known)
    subject = given.get("subject") or said
    session = given.get("session") or (found.names.session_name if said else None)
    if not session:
        return _ask_session(lab, found, subject)
    if not given.get("dataset") and not found.names.dataset_name:
        return _ask_dataset(lab, found, {"subject_name": subject, "session_name": session})
    if given.get("session_datetime") or lab.Session & _session_key(subject, session):
        return None
    return _ask_start(found, session, is_given=bool(given.get("session")))


def check_answer(question: Question, answer: str, *, lab: Any = None) -> Any:
    """Return an answer as :func:`~labdata.rules.planning.plan_put` takes it.

    Parameters
    ----------
    question : Question
        What was asked.
    answer : str
        What was typed.
    lab : Lab, optional
        Tables of another project.

    Raises
    ------
    UploadError
        If it will not do.
    """
    if question.argument == "session_datetime":
        try:
            began = datetime.fromisoformat(answer)
        except ValueError:
            raise UploadError(
                f"{answer!r} is no date and time.", hint="Write it as 2026-01-31 14:05:00."
            ) from None
        if began.tzinfo is not None:
            raise UploadError(
                f"{answer!r} has a time zone.", hint="Sessions are kept in the rig's local time."
            )
        return began
    name = check_name(f"{question.argument}_name", answer, _LENGTHS[question.argument])
    if question.argument == "subject":
        check_subject(lab or default_lab(), name)
    return name


def _look(folder: str | Path, given: Mapping[str, Any], preferences: Preferences) -> _Folder:
    path = Path(folder).expanduser().absolute().resolve()
    root = containing_folder(path, preferences)
    names = read_path(
        relative_path(path, root), preferences.path_rules, preferences.path_rules_session_date
    )
    files = list_files(path)
    rule = find_rule(given["rule"]) if given.get("rule") else guess_rule(files)
    return _Folder(path, names, files, rule or find_rule("none"), preferences)


def _ask_subject(found: _Folder, known: list[str]) -> Question:
    texts = [*found.path.parts[-3:], *found.rule.said(found.path).values()]
    named = named_subjects(known, texts)
    said = found.names.subject_name
    alike = [name for text in (said, found.path.name) if text for name in nearest(text, known)]
    shown = tuple(dict.fromkeys([*named, *alike, *known]))[:_N_SHOWN]
    return Question("subject", "Which subject?", named[0] if len(named) == 1 else None, shown)


def _ask_session(lab: Any, found: _Folder, subject: str | None) -> Question:
    field, form = found.preferences.path_rules_session_date
    name = found.oldest.strftime(form if field == "session_name" else "%Y%m%d_%H%M%S")
    sessions = lab.Session & {"subject_name": subject}
    known = sessions.fetch("session_name", order_by="session_datetime DESC", limit=_N_SHOWN)
    return Question("session", f"Which session of {subject}?", name, tuple(map(str, known)))


def _ask_dataset(lab: Any, found: _Folder, session: dict[str, Any]) -> Question:
    question = Question("dataset", "Which dataset of it?")
    known = (lab.Dataset & session).fetch("dataset_name", limit=_N_SHOWN)
    try:
        name = check_name("dataset_name", found.path.name, _LENGTHS["dataset"])
    except LabdataError:
        name = None
    return replace(question, proposed=name, known=tuple(map(str, known)))


def _ask_start(found: _Folder, session: str, *, is_given: bool) -> Question | None:
    field, form = found.preferences.path_rules_session_date
    named = parse_date(session, form) if field == "session_name" and is_given else None
    if named or found.names.session_datetime or found.began:
        return None
    when = found.oldest.strftime(_WHEN)
    return Question("session_datetime", f"When did session {session} begin?", when)


def _session_key(subject: str | None, session: str) -> dict[str, Any]:
    return {"subject_name": subject, "session_name": session}
