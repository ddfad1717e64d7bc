"""Tables as a console and a notebook show them: whole keys, and no count of a million rows.

DataJoint's own preview cuts keys after 14 characters without a mark, so that one session reads as
another, and puts texts of the database into a page unescaped. It also counts all rows of whatever
it shows, which takes a second at a million. Here they are counted as far as people do, and beyond
that it is said that the number is not exact: the server's own estimate for a table, a bound for a
query. ``len(query)`` still counts.
"""

from __future__ import annotations

import math
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

import numpy as np

from ..markup import card
from ..text_table import GAP, format_table

#: Rows that are counted; a few milliseconds.
MOST_COUNTED = 10_000
#: Characters of a console whose width is not known, and of a text that is no key.
_WIDTH, _MOST_TEXT = 120, 40
#: Characters of keys that stay in sight while a wide table scrolls: half of a narrow page.
_MOST_FROZEN = 44
#: Characters that fit into the widest cell of a page in any font.
_SURELY_SHOWN = 20
#: DataJoint's own setting cuts keys, so that one reads as another; it counts as not set.
_DATAJOINTS_WIDTH = 14


def preview_text(expression: Any, limit: int | None, width: int | None) -> str:
    """Return what a console shows of a query.

    Parameters
    ----------
    expression : QueryExpression
        What to show.
    limit, width : int or None
        Rows, and characters of a text that is no key; by default DataJoint's settings.

    Returns
    -------
    str
        The first rows and how many there are. Keys are whole; columns that do not fit are named.
    """
    shown = _First.of(expression, limit)
    cells = [
        [cell if c in shown.keys else _cut(cell, width or shown.width) for c, cell in row.items()]
        for row in shown.cells()
    ]
    headings = [f"*{c}" if c in shown.keys else c for c in shown.columns]
    room = shutil.get_terminal_size((_WIDTH, 24)).columns
    n_fit = _count_fitting(headings, cells, room, least=len(shown.keys))
    lines = [
        format_table(
            headings[:n_fit],
            [row[:n_fit] for row in cells],
            right=[shown.is_number(c) for c in shown.columns[:n_fit]],
            width=room,
        )
    ]
    if shown.has_more:
        lines.append("...")
    if hidden := shown.columns[n_fit:]:
        noun = "column" if len(hidden) == 1 else "columns"
        text = f"{len(hidden)} more {noun}: {', '.join(hidden)}"
        lines.append(textwrap.fill(text, room, break_long_words=False, subsequent_indent="  "))
    if _shows_total(expression):
        lines.append(f" (Total: {describe_count(expression)})")
    return "\n".join([*lines, ""])


def preview_html(expression: Any) -> str:
    """Return what a notebook shows of a query.

    Parameters
    ----------
    expression : QueryExpression
        What to show.

    Returns
    -------
    str
        A table of the first rows, all columns of them, and how many there are.
    """
    shown = _First.of(expression, None)
    comments = {c: expression.heading.attributes[c].comment or "" for c in shown.columns}
    numbers = {c for c in shown.columns if shown.is_number(c)}
    rows = list(shown.cells())
    frozen = _frozen_columns(shown.columns, shown.keys, rows)

    def attributes(column: str, title: str) -> str:
        marks = "k" * (column in shown.keys), "n" * (column in numbers), "f" * (column in frozen)
        css = " ".join(filter(None, marks))
        parts = (
            f' class="{css}"' if css else "",
            f' style="{frozen[column]}"' if column in frozen else "",
            f' title="{escape(title)}"' if title else "",
        )
        return "".join(parts)

    def told(column: str, cell: str) -> str:
        may_be_cut = len(cell) > _SURELY_SHOWN and column not in shown.keys
        return cell if may_be_cut else ""

    head = "".join(
        f'<th scope="col"{attributes(c, comments[c])}>{escape(c)}</th>' for c in shown.columns
    )
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{attributes(c, told(c, cell))}>{escape(cell)}</td>" for c, cell in r.items()
        )
        + "</tr>"
        for r in rows
    )
    table = f'<div class="wide" tabindex="0"><table><tr>{head}</tr>{body}</table></div>'
    more = "<p>...</p>" if shown.has_more else ""
    total = f"<p>Total: {describe_count(expression)}</p>" if _shows_total(expression) else ""
    return card(table, more, total)


def headed_html(headline: str, html: str) -> str:
    """Return HTML below the line that says whose rows it shows.

    Parameters
    ----------
    headline : str
        The line, as text.
    html : str
        What is shown.
    """
    return f'<p class="labdata-place">{escape(headline)}</p>{html}'


def _frozen_columns(
    columns: Sequence[str], keys: frozenset[str], rows: Sequence[dict[str, str]]
) -> dict[str, str]:
    """Return the style of the first key columns, which stay in sight while the others scroll.

    They are in a font of equal widths, so that how far from the left each stays is known.
    """
    from rich.cells import cell_len

    frozen: dict[str, str] = {}
    used = 0
    for number, column in enumerate(columns):
        width = max(cell_len(text) for text in (column, *(row[column] for row in rows)))
        used += width
        if column not in keys or used > _MOST_FROZEN:
            break
        left = f"calc({used - width}ch + {number} * var(--labdata-gap))" if number else "0"
        frozen[column] = f"left:{left};min-width:{width}ch"
    if frozen and len(frozen) < len(columns):
        frozen[list(frozen)[-1]] += ";border-right:1px solid var(--labdata-line)"
    return frozen


@dataclass(frozen=True)
class _First:
    """The first rows of a query."""

    columns: tuple[str, ...]
    keys: frozenset[str]
    rows: Any
    has_more: bool
    width: int
    placeholders: dict[str, str]

    @classmethod
    def of(cls, expression: Any, limit: int | None) -> _First:
        settings = expression.connection._config
        limit = settings["display.limit"] if limit is None else limit
        heading = expression.heading
        rows = expression.proj(*heading.non_blobs).to_arrays(limit=limit + 1)
        width = settings["display.width"]
        return cls(
            tuple(heading.names),
            frozenset(expression.primary_key),
            rows[:limit],
            len(rows) > limit,
            _MOST_TEXT if width == _DATAJOINTS_WIDTH else width,
            {c: _placeholder(heading.attributes[c]) for c in heading.names},
        )

    def cells(self) -> Iterator[dict[str, str]]:
        """Yield each row as texts by column."""
        read = self.rows.dtype.names or ()
        for row in self.rows:
            yield {c: _show(row[c]) if c in read else self.placeholders[c] for c in self.columns}

    def is_number(self, column: str) -> bool:
        """Whether a column holds numbers only."""
        if column not in (self.rows.dtype.names or ()):
            return False
        kinds = int | float | np.integer | np.floating | None
        return all(isinstance(value, kinds) for value in self.rows[column])


def _show(value: Any) -> str:
    """Return a value as text: nothing for NULL, times in ISO without idle digits."""
    if value is None or (isinstance(value, np.datetime64) and np.isnat(value)):
        return ""
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[us]").item()
    if isinstance(value, datetime):
        return value.isoformat(" ", "microseconds" if value.microsecond else "seconds")
    if isinstance(value, float | np.floating):
        return "" if math.isnan(value) else f"{value:.10g}"
    return " ".join(str(value).split("\n"))


def _placeholder(attribute: Any) -> str:
    if attribute.codec is not None:
        return f"<{attribute.codec.name}>"
    return "<json>" if attribute.json else "<bytes>"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _count_fitting(
    headings: Sequence[str], cells: Sequence[Sequence[str]], room: int, *, least: int
) -> int:
    """Return how many columns, of the first ones, fit into so many characters."""
    used = -GAP
    for number, heading in enumerate(headings):
        used += GAP + max(len(heading), *(len(row[number]) for row in cells), 0)
        if used > room and number >= least:
            return number
    return len(headings)


def describe_count(expression: Any) -> str:
    """Return how many rows there are: a number, ``about 990,000`` or ``more than 10,000``.

    Parameters
    ----------
    expression : QueryExpression
        What to count.

    Returns
    -------
    str
        Exact up to ten thousand.
    """
    query = f"SELECT COUNT(*) FROM ({_some_rows(expression, MOST_COUNTED + 1)}) counted"
    counted = int(expression.connection.query(query).fetchone()[0])
    if counted <= MOST_COUNTED:
        return str(counted)
    estimate = _estimate(expression)
    if estimate is None or estimate <= MOST_COUNTED:
        return f"more than {MOST_COUNTED:,}"
    return f"about {_rounded(estimate):,}"


def _shows_total(expression: Any) -> bool:
    return bool(expression.connection._config["display.show_tuple_count"])


def _some_rows(expression: Any, most: int) -> str:
    """Return a statement of at most so many rows, of as little of each as tells them apart."""
    from .datajoint_compat import dj

    kinds = (dj.expression.Aggregation, dj.expression.Union)
    if expression._top or isinstance(expression, kinds):
        return f"SELECT 1 FROM ({expression.make_sql()}) shown LIMIT {most}"
    what = "1"
    if expression._distinct or any(is_left for is_left, _ in expression._joins):
        adapter = expression.connection.adapter
        fields = expression.heading.as_sql(
            expression.primary_key, include_aliases=False, adapter=adapter
        )
        what = f"DISTINCT {fields}"
    return f"SELECT {what} FROM {expression.from_clause()}{expression.where_clause()} LIMIT {most}"


def _estimate(expression: Any) -> int | None:
    """Return the rows that the server believes a whole table to have; None for anything else."""
    from .datajoint_compat import dj

    e = expression
    cut = e.restriction or e._top or e._distinct or e._joins or getattr(e, "_seen_as", None)
    if cut or not isinstance(e, dj.Table):
        return None
    query = f"EXPLAIN SELECT COUNT(*) FROM {expression.full_table_name}"
    plan = expression.connection.query(query, as_dict=True).fetchall()
    return int(plan[0]["rows"] or 0) if len(plan) == 1 else None


def _rounded(number: int) -> int:
    """Return a number with two digits that count; the server's samples give no more."""
    return round(number, 1 - math.floor(math.log10(number)))
