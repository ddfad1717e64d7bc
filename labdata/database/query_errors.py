"""What cannot be asked of the database, said so that one knows what to write instead.

As with refused rows (:mod:`labdata.database.teaching_errors`), the errors are of the class that
they were, too.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import pymysql

from ..nearest import nearest
from .datajoint_compat import dj

_UNKNOWN = re.compile(r"Attribute `(?P<column>[^`]+)` (?:is )?not found")
_UNREAD = re.compile(r"Unknown column '(?P<column>[^']+)'")
_ONE_ROW = re.compile(r"fetch1 (requires exactly|should only return) one tuple")
_DISK_FULL = (1021, 1114)
#: A row that another transaction holds for too long, a deadlock that the server ended.
_BUSY = (1205, 1213)
#: The server ends, or ended the connection; DataJoint knows only what the client notices itself.
_LOST = (1053, 1927, 4031)
_NO_SPACE = re.compile(r"error 28\b|Errcode: 28\b|No space left")
_NEAR = re.compile(r"near ['\"](?P<rest>.*)['\"] at line", re.DOTALL)


class BusyError(pymysql.OperationalError):  # type: ignore[misc]
    """Others held the rows; the same can be done again as it is."""


def taught(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of queries whose error about an unknown column names the nearest one.

    Parameters
    ----------
    method : callable
        Of DataJoint's queries.
    """

    @functools.wraps(method)
    def asked(self: Any, *args: Any, **options: Any) -> Any:
        try:
            return method(self, *args, **options)
        except dj.errors.DataJointError as error:
            if _is_told(error):
                raise
            if found := _UNKNOWN.search(str(error)):
                raise _unknown_column(self, found["column"], type(error)) from None
            column = _column_of_two(self, *args) if "Cannot join" in str(error) else None
            if column is None:
                raise
            raise _two_projects(column, type(error)) from None

    return asked


def counted(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that takes one row, whose error says how many there are.

    Parameters
    ----------
    method : callable
        ``fetch1`` of DataJoint's queries.
    """

    @functools.wraps(method)
    def fetch1(self: Any, *args: Any, **options: Any) -> Any:
        try:
            return method(self, *args, **options)
        except dj.errors.DataJointError as error:
            if _is_told(error) or not _ONE_ROW.match(str(error)):
                raise
            from .teaching_errors import refused_class

            n_rows = len(self)
            hint = (
                "Restrict the query to one, or use fetch() for all of them."
                if n_rows
                else "Look at the query without fetch1: are all names in it right?"
            )
            raise refused_class(type(error))(
                f"fetch1 takes exactly one row, and this query has {n_rows or 'none'}.", hint=hint
            ) from None

    return fetch1


def explain_query(error: Exception) -> Exception:
    """Return an error of the server as one that teaches, if it is about how a query is written.

    Parameters
    ----------
    error : Exception
        Of DataJoint's classes.
    """
    from .teaching_errors import refused_class

    if _is_told(error):
        return error
    if _code_of(error) in _LOST:
        return lost_error(error)
    if _code_of(error) in _BUSY:
        return refused_class(BusyError)(
            f"The database was busy with rows that this needs: {error.args[-1]}",
            hint="Repeat the command.",
        )
    if _is_full(error):
        return refused_class(type(error))(
            f"The disk of the database server is full: {error.args[-1]}",
            hint="Free some space there, then repeat the command; of a transaction that was not "
            "completed nothing was written.",
        )
    unread = _UNREAD.search(str(error))
    if isinstance(error, dj.errors.UnknownAttributeError) and unread:
        return refused_class(type(error))(
            f"This query has no column {unread['column']!r}.",
            hint="If that is a text, put it in quotes: 'subject_name = \"JC1\"'. If it is a "
            "column, is it spelt as the table shows it?",
        )
    if not isinstance(error, dj.errors.QuerySyntaxError):
        return error
    found = _NEAR.search(str(error.args[0]))
    rest = found["rest"].replace("\\'", "'") if found else ""
    where = f" from {rest[:60]!r} on" if rest else ""
    return refused_class(type(error))(
        f"The database cannot read this query{where}.",
        hint="Are its quotes and brackets closed? Texts go in quotes, names do not: "
        "'subject_name = \"JC1\"'.",
    )


def _is_full(error: Exception) -> bool:
    """Whether the server had no room; error 28 is the system's, in the server's words."""
    code, text = _code_of(error), str(error)
    return code in _DISK_FULL or (isinstance(code, int) and bool(_NO_SPACE.search(text)))


def _code_of(error: Exception) -> Any:
    """Return the server's number of an error, if it has one."""
    return error.args[0] if error.args else None


def lost_error(error: Exception, message: str = "", hint: str = "") -> Exception:
    """Return the error of a lost connection as one that teaches, of its own class as well.

    Parameters
    ----------
    error : Exception
        DataJoint's; one that teaches already is returned as it is.
    message, hint : str, optional
        What to say, if not the usual.
    """
    from .teaching_errors import LOST_HINT, LOST_MESSAGE, refused_class

    if _is_told(error) and not message:
        return error
    kind = dj.errors.LostConnectionError
    return refused_class(kind)(message or LOST_MESSAGE, hint=hint or LOST_HINT)


def _is_told(error: Exception) -> bool:
    from ..errors import LabdataError

    return isinstance(error, LabdataError)


def _column_of_two(one: Any, other: Any = None, *_: Any) -> str | None:
    """Return a column that both queries have, and have from equal tables of two projects."""
    others = getattr(getattr(other, "heading", None), "attributes", None) or {}
    for name, attribute in one.heading.attributes.items():
        origin, other_origin = attribute.lineage, name in others and others[name].lineage
        if origin and other_origin:
            (schema, *column), (their_schema, *theirs) = (
                str(o).rsplit(".", 2) for o in (origin, other_origin)
            )
            if schema != their_schema and column == theirs:
                return str(name)
    return None


def _two_projects(column: str, kind: type[Exception]) -> Exception:
    from .teaching_errors import refused_class

    return refused_class(kind)(
        f"These are tables of two projects; equal values of {column} need not be the same there.",
        hint="Use tables of one project. If names mean the same in both, restrict by keys: "
        "Session & other.Session.fetch('KEY').",
    )


def _unknown_column(expression: Any, column: str, kind: type[Exception]) -> Exception:
    from .teaching_errors import refused_class

    names = list(expression.heading.names)
    near = nearest(column, names)
    what = type(expression).__name__ if isinstance(expression, dj.Table) else "This query"
    return refused_class(kind)(
        f"{what} has no column {column!r}.",
        hint=(f"Did you mean {near[0]!r}? " if near else "") + f"It has: {', '.join(names)}.",
    )
