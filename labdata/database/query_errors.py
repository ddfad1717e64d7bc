"""What cannot be asked of the database, said so that one knows what to write instead.

As with refused rows (:mod:`labdata.database.teaching_errors`), the errors are of the class that
they were, too.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable
from typing import Any

from .datajoint_compat import dj

_UNKNOWN = re.compile(r"Attribute `(?P<column>[^`]+)` (?:is )?not found")
_NEAR = re.compile(r"near ['\"](?P<rest>.*)['\"] at line", re.DOTALL)


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
            found = _UNKNOWN.search(str(error))
            if not found or _is_told(error):
                raise
            raise _unknown_column(self, found["column"], type(error)) from None

    return asked


def explain_query(error: Exception) -> Exception:
    """Return an error of the server as one that teaches, if it is about how a query is written.

    Parameters
    ----------
    error : Exception
        Of DataJoint's classes.
    """
    from .teaching_errors import refused_class

    if not isinstance(error, dj.errors.QuerySyntaxError) or _is_told(error):
        return error
    found = _NEAR.search(str(error.args[0]))
    rest = found["rest"].replace("\\'", "'") if found else ""
    where = f" from {rest[:60]!r} on" if rest else ""
    return refused_class(type(error))(
        f"The database cannot read this query{where}.",
        hint="Are its quotes and brackets closed? Texts go in quotes, names do not: "
        "'subject_name = \"JC1\"'.",
    )


def _is_told(error: Exception) -> bool:
    from ..errors import LabdataError

    return isinstance(error, LabdataError)


def _unknown_column(expression: Any, column: str, kind: type[Exception]) -> Exception:
    from .teaching_errors import refused_class

    names = list(expression.heading.names)
    near = difflib.get_close_matches(column, names, n=1)
    what = type(expression).__name__ if isinstance(expression, dj.Table) else "This query"
    return refused_class(kind)(
        f"{what} has no column {column!r}.",
        hint=(f"Did you mean {near[0]!r}? " if near else "") + f"It has: {', '.join(names)}.",
    )
