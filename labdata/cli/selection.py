"""Options that several commands share: which project, subjects, sessions and datasets."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from ..errors import DatabaseError, QueryError
from ..nearest import nearest


def add_selection(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Add ``-a``, ``-s`` and ``-d``.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        The command's parser.
    required : bool, optional
        Whether a subject must be given.
    """
    parser.add_argument(
        "-a", "--subject", nargs="+", metavar="SUBJECT", required=required, help="subjects"
    )
    parser.add_argument("-s", "--session", nargs="+", metavar="SESSION", help="sessions")
    parser.add_argument("-d", "--dataset", nargs="+", metavar="DATASET", help="dataset names")


def number_of(noun: str, command: str) -> Callable[[str], int]:
    """Return what reads the number of an upload or task as typed.

    Parameters
    ----------
    noun : str
        What has the number: ``task``.
    command : str
        What lists them.

    Returns
    -------
    callable
        From the text to the number; it raises UsageError with one sentence.
    """

    def read(text: str) -> int:
        from . import UsageError

        if text.isascii() and text.isdigit():
            return int(text)
        raise UsageError(f"{text!r} is not the number of {_a(noun)}; `{command}` lists them.")

    return read


def whole_number(noun: str) -> Callable[[str], int]:
    """Return what reads a number of things as typed: 1 or more.

    Parameters
    ----------
    noun : str
        The things: ``days``.

    Returns
    -------
    callable
        From the text to the number; it raises UsageError with one sentence.
    """

    def read(text: str) -> int:
        from . import UsageError

        if text.isascii() and text.isdigit() and int(text):
            return int(text)
        raise UsageError(f"{text!r} is no number of {noun}; give 1 or more.")

    return read


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def chosen_lab(options: argparse.Namespace) -> Any:
    """Return the tables that ``-p`` chooses, after saying whose they are; see :func:`say_place`.

    Parameters
    ----------
    options : argparse.Namespace
        Parsed options.

    Raises
    ------
    QueryError
        If there is no such project, with the nearest name.
    """
    from ..schema import default_lab

    lab = find_lab(options.project) if options.project else default_lab
    if not getattr(options, "json", False):
        say_place(options.project)
    return lab


def say_place(project: str | None = None, *, whole: bool = False) -> None:
    """Say in one quiet line which project and database a command is about.

    The line goes to standard error, so that what is piped is the rows alone; with ``--json``
    nothing is said.

    Parameters
    ----------
    project : str, optional
        By default the one of the preferences.
    whole : bool, optional
        The command is about all projects of the database.
    """
    from ..database.place import describe_place, describe_server
    from ..preferences import load_preferences
    from .output import write_quietly

    database = load_preferences().database
    place = describe_place(database, None if whole else project or database.project)
    write_quietly(f"{place} {describe_server(database)}")


def find_lab(project: str) -> Any:
    """Return the tables of a project that exists.

    Parameters
    ----------
    project : str
        Its name as typed.

    Raises
    ------
    QueryError
        If there is none, with the nearest name.
    """
    from ..schema import default_lab, load_project_schema

    try:
        known = [str(name) for name in default_lab.Project.fetch("project_name")]
    except DatabaseError:  # an account with rights in projects alone may not open what is in none
        lab = load_project_schema(project)
        lab.activate()
        return lab
    if project not in known:
        near = nearest(project, known)
        raise QueryError(
            f"There is no project {project!r}.",
            hint=f"Did you mean {near[0]!r}?"
            if near
            else f"There are: {', '.join(known) or 'none'}. `labdata project create` makes one.",
        )
    return load_project_schema(project)


def chosen_keys(options: argparse.Namespace) -> list[dict[str, str]]:
    """Return restrictions by every combination of the names given, or ``[{}]`` for none.

    Parameters
    ----------
    options : argparse.Namespace
        Parsed options of :func:`add_selection`.
    """
    keys: list[dict[str, str]] = [{}]
    for attribute, option in (
        ("subject_name", options.subject),
        ("session_name", options.session),
        ("dataset_name", options.dataset),
    ):
        if option:
            keys = [{**key, attribute: name} for key in keys for name in option]
    return keys


def check_subjects(lab: Any, subjects: list[str] | None) -> None:
    """Refuse subjects that the database does not have.

    Parameters
    ----------
    lab : Lab
        The tables.
    subjects : list of str or None
        Names as typed.

    Raises
    ------
    QueryError
        With the nearest name.
    """
    if not subjects:
        return
    known = [str(name) for name in lab.Subject.fetch("subject_name")]
    for name in subjects:
        if name not in known:
            near = nearest(name, known)
            raise QueryError(
                f"There is no subject {name!r}.",
                hint=f"Did you mean {near[0]!r}?" if near else "`labdata subjects` lists them.",
            )


def check_names(lab: Any, options: argparse.Namespace) -> None:
    """Refuse a session or dataset that none of the chosen subjects has.

    Parameters
    ----------
    lab : Lab
        The tables.
    options : argparse.Namespace
        Parsed options of :func:`add_selection`.

    Raises
    ------
    QueryError
        With the nearest name of these subjects.
    """
    for table, column, given in (
        (lab.Session, "session_name", options.session),
        (lab.Dataset, "dataset_name", options.dataset),
    ):
        of_subjects = table & [{"subject_name": who} for who in options.subject]
        known = {str(name) for name in of_subjects.fetch(column)} if given else set()
        for name in given or ():
            if name not in known:
                near = nearest(name, known)
                lists = f"`labdata sessions -a {options.subject[0]}` lists them."
                raise QueryError(
                    f"There is no {column.removesuffix('_name')} {name!r} of "
                    f"{', '.join(options.subject)}.",
                    hint=f"Did you mean {near[0]!r}? {lists}" if near else lists,
                )


def check_session(lab: Any, session: str, *, subject: str | None) -> None:
    """Refuse a session that the database does not have.

    Parameters
    ----------
    lab : Lab
        The tables.
    session : str
        Name as typed.
    subject : str or None
        Its subject, if that is given.

    Raises
    ------
    QueryError
        With the nearest name.
    """
    sessions = lab.Session & ({"subject_name": subject} if subject else {})
    known = [str(name) for name in sessions.fetch("session_name")]
    if session in known:
        return
    near = nearest(session, known)
    of = f" of {subject}" if subject else ""
    raise QueryError(
        f"There is no session {session!r}{of}.",
        hint=f"Did you mean {near[0]!r}?" if near else "`labdata sessions` lists them.",
    )
