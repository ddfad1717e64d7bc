"""Mends of what DataJoint 2.3 changed under labdata's users.

Notebooks written for DataJoint 0.14 fetch, restrict and delete in ways that DataJoint 2.3 warns
about, refuses, or (worst) answers differently. Each mend here applies only to queries on labdata's
own connection; another pipeline in the same process keeps DataJoint's behaviour. This is also the
one module that imports DataJoint, so that its environment is set before.
"""

from __future__ import annotations

import decimal
import logging
import math
import numbers
import os
import re
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

os.environ.setdefault("DJ_IGNORE_CONFIG_FILE", "true")
os.environ.setdefault("DJ_LOG_LEVEL", "WARNING")

import datajoint as dj
import datajoint.condition
import datajoint.connection
import datajoint.expression
import datajoint.heading
import datajoint.instance
import datajoint.lineage
import datajoint.table
import numpy as np
import pandas as pd
from datajoint.codecs import decode_attribute

from ..errors import QueryError
from .place import describe_query

__all__ = ["dj", "fetch_rows", "install_mends", "quiet_notices"]

_QueryExpression = datajoint.expression.QueryExpression
_original_fetch = _QueryExpression.fetch
_original_aggr = _QueryExpression.aggr
_original_preview = datajoint.expression.preview
_original_html = datajoint.expression.repr_html
_original_repr = _QueryExpression.__repr__
_original_condition = datajoint.condition.make_condition
_original_lineage_exists = datajoint.lineage.lineage_table_exists
_original_delete = datajoint.table.FreeTable.delete_quick
_lock = threading.Lock()

_NULL_TEXT = re.compile(r"""(!=|<>|=)\s*(?:"NULL"|'NULL')""")
_QUOTED = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)""")
#: Attributes of labdata's tables that are reserved words of SQL.
_RESERVED = re.compile(r"\ball\b(?!\s*\()")


def install_mends() -> None:
    """Put the mends in place; calling it again does nothing."""
    with _lock:
        if _QueryExpression.fetch is _fetch:
            return
        _QueryExpression.fetch = _fetch
        _QueryExpression.aggr = _QueryExpression.aggregate = _aggr
        from .query_errors import counted, taught

        _QueryExpression.fetch1 = counted(_QueryExpression.fetch1)
        _QueryExpression.join = taught(_QueryExpression.join)
        _QueryExpression.restrict = taught(_QueryExpression.restrict)
        _QueryExpression.proj = taught(_QueryExpression.proj)
        _QueryExpression.__repr__ = _repr
        datajoint.table.FreeTable.delete_quick = _delete_rows
        datajoint.expression.preview = _preview
        datajoint.expression.repr_html = _repr_html
        for module in (datajoint.condition, datajoint.expression, datajoint.table):
            module.make_condition = _make_condition
        for module in (datajoint.heading, datajoint.lineage):
            module.lineage_table_exists = _lineage_table_exists


@contextmanager
def quiet_notices() -> Iterator[None]:
    """Keep DataJoint's notices on native types and storage from the user while tables are made."""
    logger = logging.getLogger("datajoint")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _is_ours(expression: Any) -> bool:
    from .connection import LabConnection

    return isinstance(expression.connection, LabConnection)


def _lineage_table_exists(connection: Any, database: str) -> bool:
    """Ask a server once for each schema; DataJoint asks several times for each table."""
    known: set[str] = getattr(connection, "schemas_with_lineage", set())
    if database not in known and _original_lineage_exists(connection, database):
        known.add(database)
    return database in known


def _delete_rows(table: Any, get_count: bool = False) -> Any:
    """Delete what a cascade comes to; where it comes to no row, no right to delete is missing."""
    try:
        return _original_delete(table, get_count=get_count)
    except dj.errors.AccessError:
        if not _is_ours(table) or len(table):
            raise
        return 0


# --- fetch ---------------------------------------------------------------------------------------


def _fetch(
    self: Any,
    *attrs: str,
    offset: int | None = None,
    limit: int | None = None,
    order_by: Any = None,
    format: str | None = None,
    as_dict: bool | None = None,
    squeeze: bool = False,
) -> Any:
    """Fetch rows as DataJoint 0.14 did, in the order of their keys, without a warning.

    Parameters
    ----------
    *attrs : str
        Attributes; ``"KEY"`` stands for the primary key as a dict. None means all.
    offset, limit : int, optional
        Rows to skip and rows to return.
    order_by : str or list, optional
        As in DataJoint; by default the primary key.
    format : {"array", "frame"}, optional
        ``"frame"`` for a DataFrame indexed by the primary key.
    as_dict : bool, optional
        A list of dicts that hold just ``attrs``.
    squeeze : bool, optional
        Remove axes of length one from arrays.

    Returns
    -------
    numpy.ndarray, tuple of numpy.ndarray, list of dict or pandas.DataFrame
        Without ``attrs`` a structured array; else one 1-D array an attribute, of the attribute's
        own type also when no row matches. Columns of arrays are 1-D arrays of objects, whatever
        the lengths of their rows. A missing number is NaN.
    """
    if not _is_ours(self):
        return _original_fetch(
            self,
            *attrs,
            offset=offset,
            limit=limit,
            order_by=order_by,
            format=format,
            as_dict=as_dict,
            squeeze=squeeze,
        )
    if format == "frame":
        rows = fetch_rows(self, order_by=order_by, limit=limit, offset=offset, squeeze=squeeze)
        frame = pd.DataFrame(rows, columns=list(self.heading.names))
        return frame.set_index(list(self.primary_key)) if self.primary_key else frame
    names = _expand_key(self, attrs)
    rows = fetch_rows(self, names, order_by=order_by, limit=limit, offset=offset, squeeze=squeeze)
    if not attrs:
        return rows if as_dict else _structured(self, rows)
    if as_dict:
        return [{name: row[name] for name in names} for row in rows]
    columns = [_column_or_keys(self, name, rows) for name in attrs]
    return columns[0] if len(columns) == 1 else tuple(columns)


def fetch_rows(
    expression: Any,
    attributes: Sequence[str] = (),
    *,
    order_by: Any = None,
    limit: int | None = None,
    offset: int | None = None,
    squeeze: bool = False,
    undecoded: Collection[str] = (),
) -> list[dict[str, Any]]:
    """Return rows as dicts, decoded, in the order of their keys unless another is asked for.

    Parameters
    ----------
    expression : QueryExpression
        What to fetch.
    attributes : sequence of str, optional
        What to fetch of it (the primary key always comes along); all by default.
    order_by, limit, offset, squeeze
        As in ``fetch``.
    undecoded : collection of str, optional
        Attributes whose stored bytes are wanted.
    """
    wanted = list(attributes)
    ordering = [order_by] if isinstance(order_by, str) else list(order_by or [])
    if wanted:
        wanted += [o.split()[0] for o in ordering if o.split()[0] in expression.heading.names]
        expression = expression.proj(*[w for w in wanted if w not in expression.primary_key])
    if expression._top is None and expression.primary_key:
        ordering = ordering or ["KEY"]
    if ordering or limit is not None or offset is not None:
        expression = expression & dj.Top(limit, ordering or None, offset or 0)
    heading, source = expression.heading, expression.connection
    # each look into a heading builds it anew
    columns = {name: heading[name] for name in heading.names if name not in undecoded}
    coded = {name: one for name, one in columns.items() if one.codec or one.json or one.uuid}
    rows = list(expression.cursor(as_dict=True).fetchall())
    for row in rows:
        for name, column in coded.items():
            row[name] = decode_attribute(column, row[name], squeeze, connection=source)
    return rows


def _expand_key(expression: Any, attrs: Iterable[str]) -> list[str]:
    names: list[str] = []
    for attr in attrs:
        names += expression.primary_key if attr == "KEY" else [attr]
    return list(dict.fromkeys(names))


def _column_or_keys(expression: Any, name: str, rows: list[dict[str, Any]]) -> Any:
    if name == "KEY":
        return [{key: row[key] for key in expression.primary_key} for row in rows]
    return _column(expression.heading[name], [row[name] for row in rows])


def _column(attribute: Any, values: list[Any]) -> np.ndarray:
    if attribute.numeric and not (attribute.is_blob or attribute.codec or attribute.json):
        missing = any(value is None for value in values)
        kind = attribute.type.lower()
        if "int" in kind and not missing:
            return np.array(values, dtype="uint64" if "unsigned" in kind else "int64")
        return np.array([np.nan if v is None else v for v in values], dtype="float64")
    present = [value for value in values if value is not None]
    if attribute.type == "expression" and present and all(map(_is_number, present)):
        whole = len(present) == len(values) and all(isinstance(v, int) for v in values)
        if whole:
            return np.array(values, dtype="int64")
        return np.array([np.nan if v is None else float(v) for v in values])
    column = np.empty(len(values), dtype=object)
    for index, value in enumerate(values):
        column[index] = value
    return column


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | decimal.Decimal) and not isinstance(value, bool)


def _structured(expression: Any, rows: list[dict[str, Any]]) -> np.ndarray:
    heading = expression.heading
    columns = {n: _column(heading[n], [row[n] for row in rows]) for n in heading.names}
    table = np.empty(len(rows), dtype=[(n, c.dtype) for n, c in columns.items()])
    for name, column in columns.items():
        table[name] = column
    return table


# --- what is shown -------------------------------------------------------------------------------


def _preview(query_expression: Any, limit: int | None, width: int | None) -> str:
    if not _is_ours(query_expression):
        return str(_original_preview(query_expression, limit, width))
    from .previews import preview_text

    return preview_text(query_expression, limit, width)


def _repr_html(query_expression: Any) -> str:
    if not _is_ours(query_expression):
        return str(_original_html(query_expression))
    from .previews import headed_html, preview_html

    html = preview_html(query_expression)
    if _says_its_place(query_expression):
        return html
    return headed_html(describe_query(query_expression), html)


def _repr(self: Any) -> str:
    text = str(_original_repr(self))
    if not _is_ours(self) or _says_its_place(self):
        return text
    return f"{describe_query(self)}\n{text}"


def _says_its_place(expression: Any) -> bool:
    """Whether it is one table, which has a heading of its own."""
    return isinstance(expression, dj.Table)


# --- aggregation ---------------------------------------------------------------------------------


def _aggr(
    self: Any,
    group: Any,
    *attributes: Any,
    keep_all_rows: bool | None = None,
    exclude_nonmatching: bool | None = None,
    **named_attributes: str,
) -> Any:
    """Compute over the rows of another table that belong to each row of this one.

    As in DataJoint 0.14, rows without any are left out. DataJoint 2.3 keeps them, and so
    ``Subject.aggr(Session, n="count(subject_name)")`` counts one session for a subject that has
    none.

    Parameters
    ----------
    group : QueryExpression
        The rows to compute over.
    *attributes : str
        Attributes of this table to keep.
    keep_all_rows : bool, optional
        Keep rows without any; ``exclude_nonmatching`` is its newer, opposite name.
    **named_attributes : str
        New attribute and how it is computed, for instance ``n="count(session_name)"``.
    """
    if exclude_nonmatching is None:
        exclude_nonmatching = _is_ours(self) and not keep_all_rows
    return _original_aggr(
        self, group, *attributes, exclude_nonmatching=exclude_nonmatching, **named_attributes
    )


# --- restrictions --------------------------------------------------------------------------------


def _make_condition(
    query_expression: Any, condition: Any, columns: set[str], semantic_check: bool = True
) -> Any:
    if _is_ours(query_expression):
        condition = _mend_condition(query_expression, condition)
    return _original_condition(query_expression, condition, columns, semantic_check)


def _mend_condition(expression: Any, condition: Any) -> Any:
    if isinstance(condition, datajoint.condition.Not):
        return datajoint.condition.Not(_mend_condition(expression, condition.restriction))
    if isinstance(condition, str):
        return _mend_text(expression, condition)
    if isinstance(condition, np.void) and condition.dtype.names:
        condition = {name: condition[name] for name in condition.dtype.names}
    if isinstance(condition, pd.Series):
        condition = condition.to_dict()
    if isinstance(condition, Mapping):
        return _mend_mapping(expression, condition)
    if isinstance(condition, pd.DataFrame):
        named = [name for name in condition.index.names if name is not None]
        frame = condition.reset_index() if named else condition
        return [_mend_mapping(expression, row) for row in frame.to_dict("records")]
    if isinstance(condition, np.ndarray) and condition.dtype.names:
        return [_mend_condition(expression, row) for row in condition]
    return condition


def _mend_text(expression: Any, text: str) -> str:
    text = _NULL_TEXT.sub(lambda m: "IS NULL" if m[1] == "=" else "IS NOT NULL", text)
    if "all" in expression.heading.names:
        parts = _QUOTED.split(text)
        parts[::2] = [_RESERVED.sub("`all`", part) for part in parts[::2]]
        text = "".join(parts)
    return text


def _mend_mapping(expression: Any, condition: Mapping[Any, Any]) -> dict[str, Any]:
    heading = expression.heading
    mended = {}
    for name, value in condition.items():
        attribute = heading.attributes.get(name.split(".", 1)[0])
        if attribute is None or (attribute.json and "." in name):
            mended[name] = value
        elif not (attribute.is_blob or attribute.codec):
            mended[name] = _mend_value(attribute, value)
    if condition and not any(name.split(".", 1)[0] in heading.names for name in mended):
        given = ", ".join(map(repr, list(condition)[:8]))
        raise QueryError(
            f"A restriction by {given} has nothing in common with the attributes of this table, "
            "so it would select every row.",
            hint=f"The table has: {', '.join(heading.names)}.",
        )
    return mended


def _mend_value(attribute: Any, value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime()
    if isinstance(value, bool):
        return int(value)
    if attribute.string and isinstance(value, numbers.Number):
        return str(value)
    return value
