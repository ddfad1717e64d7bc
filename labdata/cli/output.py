"""How commands print: tables, binary sizes, ISO dates, JSON for machines, progress bars."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime
from typing import Any

from ..counted import show_size
from ..progress import Progress
from . import write

#: Whether the command runs in a notebook cell, where tables are HTML.
in_notebook: ContextVar[bool] = ContextVar("in_notebook", default=False)

#: Columns of bytes; people read them in binary units, machines as whole numbers.
_BYTES = frozenset({"size", "size_bytes", "raw", "stored", "raw_bytes", "result_bytes"})

#: Characters a line where there is no terminal: a row is one line to a pipe, but for long texts.
_WIDTH_OF_FILES = 10_000

_HEADINGS = {
    "id": "job",
    "starttime": "started (UTC)",
    "endtime": "ended (UTC)",
    "dataset_type": "type",
    "session_datetime": "start of session",
    "raw_bytes": "raw data",
    "result_bytes": "results",
    "size_bytes": "size",
}


def print_rows(
    rows: Iterable[dict[str, Any]],
    columns: Sequence[str] | Mapping[str, str],
    *,
    as_json: bool = False,
    empty: str = "Nothing.",
) -> None:
    """Print rows as a table, or all of their fields as JSON.

    Parameters
    ----------
    rows : iterable of dict
        What to print.
    columns : sequence or mapping of str
        Keys to show, in order; a mapping gives their headings.
    as_json : bool, optional
        Print a JSON array instead.
    empty : str, optional
        What to say when there are no rows.
    """
    rows = list(rows)
    if not isinstance(columns, Mapping):
        columns = {column: show_heading(column) for column in columns}
    if as_json:
        write(json.dumps(rows, indent=2, default=_plain))
        return
    if not rows:
        write(empty)
        return
    if in_notebook.get():
        _display_rows(rows, columns)
        return
    from ..text_table import format_table

    text = format_table(
        list(columns.values()),
        [[show(row.get(column), column) for column in columns] for row in rows],
        right=[all(isinstance(r.get(c), int | float | None) for r in rows) for c in columns],
        width=_terminal_width(),
    )
    write(text)


def write_quietly(text: str) -> None:
    """Write a line beside the output: to standard error, dimmed on a terminal.

    In a notebook, which shows standard error as a fault, it goes with the output.

    Parameters
    ----------
    text : str
        The line.
    """
    if not in_notebook.get() and sys.stderr.isatty():
        text = f"\x1b[2m{text}\x1b[0m"
    write(text, error=not in_notebook.get())


def _terminal_width() -> int:
    import shutil

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDTH_OF_FILES


def show(value: Any, column: str = "") -> str:
    """Return a value as it is printed.

    Parameters
    ----------
    value : object
        The value.
    column : str, optional
        Its column; sizes are printed in binary units.
    """
    if value is None:
        return ""
    if column in _BYTES:
        return show_size(int(value))
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def show_heading(column: str) -> str:
    """Return a column's heading: short, and the times of jobs and tasks say that they are UTC.

    Parameters
    ----------
    column : str
        Key of the column.

    Examples
    --------
    >>> [show_heading(name) for name in ("subject_name", "job_status", "task_endtime", "job_id")]
    ['subject', 'status', 'ended (UTC)', 'job']
    """
    short = column.removesuffix("_name").removeprefix("job_").removeprefix("task_")
    return _HEADINGS.get(short, short.replace("_", " "))


@contextmanager
def show_progress(
    title: str, total: int | None = None
) -> Iterator[tuple[Progress, Callable[[int], None]]]:
    """Show a bar of bytes while the block runs: what, how much, rate, time left.

    Parameters
    ----------
    title : str
        What is being done.
    total : int, optional
        Bytes in all, if known.

    Yields
    ------
    progress, set_total : callable, callable
        Called with bytes done, and with the bytes in all.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as RichProgress

    terminal = Console() if in_notebook.get() else Console(file=sys.stderr)
    bar = RichProgress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=terminal,
        transient=True,
        disable=not (terminal.is_terminal or terminal.is_jupyter),
    )
    with bar:
        task = bar.add_task(title, total=total)

        def advance(n_bytes: int) -> None:
            bar.update(task, advance=n_bytes)

        def set_total(n_bytes: int) -> None:
            bar.update(task, total=n_bytes)

        yield advance, set_total


@contextmanager
def show_count(title: str, total: int | None) -> Iterator[Progress]:
    """Show a bar of things done while the block runs: what, how many, time left.

    Parameters
    ----------
    title : str
        What is being done.
    total : int or None
        How many there are, if known.

    Yields
    ------
    callable
        Called with the number done.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    terminal = Console() if in_notebook.get() else Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=28), MofNCompleteColumn())
    shown = terminal.is_terminal or terminal.is_jupyter
    with RichProgress(
        *columns, TimeRemainingColumn(), console=terminal, transient=True, disable=not shown
    ) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.update(task, advance=done)


@contextmanager
def show_steps(title: str) -> Iterator[Callable[[str], None]]:
    """Show a spinner, the step in hand and the time it takes, while the block runs.

    Parameters
    ----------
    title : str
        What is being done.

    Yields
    ------
    callable
        Told each step; also printed, where it is no terminal.
    """
    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    terminal = Console() if in_notebook.get() else Console(file=sys.stderr)
    bar = RichProgress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=terminal,
        transient=True,
        disable=not (terminal.is_terminal or terminal.is_jupyter),
    )
    with bar:
        task = bar.add_task(title)

        def step(text: str) -> None:
            bar.update(task, description=text)
            if not terminal.is_terminal:
                write(text, error=not in_notebook.get())

        yield step


def _display_rows(rows: list[dict[str, Any]], columns: Mapping[str, str]) -> None:
    from IPython.display import HTML, display

    from ..markup import card, rows_table

    shown = [
        [
            r.get(c)
            if isinstance(r.get(c), int | float) and c not in _BYTES
            else show(r.get(c), c)
            for c in columns
        ]
        for r in rows
    ]
    sizes = {heading for name, heading in columns.items() if name in _BYTES}
    display(HTML(card(rows_table("", list(columns.values()), shown, quantities=sizes))))  # type: ignore[no-untyped-call]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if hasattr(value, "item"):
        return value.item()
    return str(value)
