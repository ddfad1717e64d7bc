"""Questions at a terminal, and only there: no script, pipe or notebook is kept waiting."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from ..errors import LabdataError
from .output import in_notebook

_T = TypeVar("_T")


def can_ask() -> bool:
    """Return whether a person sits at a terminal who can be asked."""
    if in_notebook.get() or sys.stdin is None or sys.stderr is None:
        return False
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(
    question: str,
    read: Callable[[str], _T],
    *,
    proposed: str | None = None,
    known: Sequence[str] = (),
) -> _T:
    """Ask until there is an answer that will do; the end of the input is an interruption.

    Parameters
    ----------
    question : str
        What to ask.
    read : callable
        From what was typed to the answer; raises LabdataError if it will not do.
    proposed : str, optional
        Taken if nothing is typed. An empty one takes nothing for an answer, too.
    known : sequence of str, optional
        Shown as what there is.

    Returns
    -------
    object
        What ``read`` gave.
    """
    if known:
        _show(f"  there are: {', '.join(known)}\n")
    prompt = f"{question} [{proposed}] " if proposed else f"{question} "
    while True:
        _show(prompt)
        line = sys.stdin.readline()
        if not line:
            raise KeyboardInterrupt
        answer = line.strip() or proposed
        if answer is None:
            continue
        try:
            return read(answer)
        except LabdataError as error:
            _show(f"  {error.message} {error.hint or ''}".rstrip() + "\n")


def confirm(question: str) -> bool:
    """Ask something that is done only after a yes.

    Parameters
    ----------
    question : str
        What to ask.

    Returns
    -------
    bool
        Whether the answer was yes.
    """
    _show(f"{question} [y/N] ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _show(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
