"""``%labdata``: the commands in a cell, with their help, completion and one-line errors."""

from __future__ import annotations

import argparse
import itertools
import shlex
import threading
import time
from collections.abc import Callable
from typing import Any

from IPython.core.error import UsageError as MagicUsageError
from IPython.core.magic import Magics, line_magic, magics_class

from ..cli import COMMANDS, UsageError, build_parser, execute, find_command
from ..cli.output import in_notebook

#: How long completion waits for the database, and how long it believes an answer.
_PATIENCE_S, _MEMORY_S = 0.15, 30.0
_remembered: dict[str, tuple[float, list[str]]] = {}


@magics_class
class LabdataMagics(Magics):
    """The ``%labdata`` magic."""

    @line_magic
    def labdata(self, line: str) -> None:
        """Run a labdata command: ``%labdata sessions -a JC1``.

        The commands and options are those of the terminal; ``%labdata -h`` lists them and
        ``%labdata run -h`` explains one. Tab completes commands, options, subjects and sessions.

        Parameters
        ----------
        line : str
            The command line. ``{name}`` and ``$name`` stand for variables of the notebook.

        Raises
        ------
        MagicUsageError
            If the line is no command of labdata.
        LabdataError
            If the command refuses or fails.
        """
        token = in_notebook.set(True)
        try:
            execute(shlex.split(line))
        except UsageError as error:
            raise MagicUsageError(str(error)) from None
        except SystemExit:
            return  # help was shown
        finally:
            in_notebook.reset(token)


def complete_labdata(shell: Any, event: Any) -> list[str]:
    """Return what may follow in a ``%labdata`` line.

    Parameters
    ----------
    shell : InteractiveShell
        The notebook's shell.
    event : object
        With ``line`` (the text so far) and ``symbol`` (the word being typed).
    """
    words = event.line.split()
    symbol = event.symbol
    before = words[1:] if event.line.endswith((" ", "\t")) else words[1:-1]
    if not before:
        return [name for name in COMMANDS if name.startswith(symbol)]
    try:
        parser = build_parser(find_command(before[0]))
    except UsageError:
        return []
    if symbol.startswith("-"):
        return [flag for flag in _flags(parser) if flag.startswith(symbol)]
    return [name for name in _values(before) if name.startswith(symbol)]


def _flags(parser: argparse.ArgumentParser) -> list[str]:
    return [flag for action in parser._actions for flag in action.option_strings]


def _values(before: list[str]) -> list[str]:
    """Return candidates for the value that an option wants."""
    options = [word for word in before if word.startswith("-")]
    last = options[-1] if options else ""
    if last in ("-a", "--subject"):
        return _ask("subjects", lambda lab: lab.Subject.fetch("subject_name"))
    if last in ("-s", "--session"):
        subject = _value_of(before, ("-a", "--subject"))
        key = {"subject_name": subject} if subject else {}
        return _ask(f"sessions {subject}", lambda lab: (lab.Session & key).fetch("session_name"))
    if before[0] == "run" and len(before) == 1:
        from ..compute import analysis_names

        return analysis_names()
    return []


def _value_of(before: list[str], names: tuple[str, ...]) -> str | None:
    for name, value in itertools.pairwise(before):
        if name in names:
            return value
    return None


def _ask(what: str, question: Callable[[Any], Any]) -> list[str]:
    """Ask the database, for a moment only: completion must never make the user wait."""
    known = _remembered.get(what)
    if known and time.monotonic() - known[0] < _MEMORY_S:
        return known[1]

    def answer() -> None:
        from ..schema import default_lab

        _remembered[what] = (time.monotonic(), sorted(map(str, question(default_lab))))

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    thread.join(_PATIENCE_S)
    return _remembered.get(what, (0.0, []))[1]
