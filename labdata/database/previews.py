"""Tables as a notebook shows them, without counting all of their rows first.

DataJoint counts the rows of whatever it shows. At a million that takes a second, each time a cell
ends with the name of a table. Here rows are counted as far as people do, and beyond that it is
said that the number is not exact: the server's own estimate for a table, a bound for a query.
``len(query)`` still counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

#: Rows that are counted; a few milliseconds.
MOST_COUNTED = 10_000


def preview_text(
    expression: Any, limit: int | None, width: int | None, original: Callable[..., str]
) -> str:
    """Return what a console shows of a query.

    Parameters
    ----------
    expression : QueryExpression
        What to show.
    limit, width : int or None
        Rows, and characters a column; by default DataJoint's settings.
    original : callable
        DataJoint's function.

    Returns
    -------
    str
        The first rows and how many there are.
    """
    text = original(_Uncounted(expression), limit, width)
    return f"{text} (Total: {describe_count(expression)})\n" if _shows_total(expression) else text


def preview_html(expression: Any, original: Callable[..., str]) -> str:
    """Return what a notebook shows of a query.

    Parameters
    ----------
    expression : QueryExpression
        What to show.
    original : callable
        DataJoint's function.

    Returns
    -------
    str
        A table of the first rows, and how many there are.
    """
    html = original(_Uncounted(expression))
    total = f"<p>Total: {describe_count(expression)}</p>" if _shows_total(expression) else ""
    before, end, after = html.rpartition("</div>")
    return f"{before}{total}{end}{after}"


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


class _Uncounted:
    """A query as DataJoint's functions look at it, with the setting not to count."""

    def __init__(self, expression: Any) -> None:
        settings = expression.connection._config
        names = ("display.limit", "display.width")
        shown = {name: settings[name] for name in names} | {"display.show_tuple_count": False}
        self.connection = SimpleNamespace(_config=shown)
        self.heading = expression.heading
        self.primary_key = expression.primary_key
        self.proj = expression.proj


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
