"""What the database refuses, said so that one knows what to write instead.

A refused row reaches Python as the server's sentence on keys and constraints. Here it becomes an
error with the table's and column's names, the value, and the line that mends it. It is of the
class that it was, too (``dj.errors.DuplicateError``, ``KeyError``, ...), so that code which
catches that goes on working.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pymysql

from ..errors import DatabaseError, LabdataError
from ..nearest import nearest
from .datajoint_compat import dj

Said = tuple[str, str]

_FOREIGN = re.compile(
    r"FOREIGN KEY \((?P<columns>[^)]*)\) REFERENCES (?:`(?P<schema>[^`]+)`\.)?`(?P<table>[^`]+)` "
    r"\((?P<theirs>[^)]*)\)"
)
_CHILD = re.compile(r"fails \(`(?P<schema>[^`]+)`\.`(?P<table>[^`]+)`")
_DUPLICATE = re.compile(r"Duplicate entry '(?P<value>.*)' for key '(?P<key>[^']*)'", re.DOTALL)
_COLUMN = re.compile(r"(?:column|Column|Field) (?:`[^`]*`\.)*[`'](?P<column>[^`']+)[`']")
_UNKNOWN = re.compile(r"[`'](?P<column>[^`']+)[`'] (?:is not in the table heading|not found)")
_EXAMPLES = {"date": "2024-03-05", "datetime": "2024-03-05 10:00:00", "time": "10:00:00"}
#: Rows looked at to find the one that was refused.
_MOST_ROWS = 1000


class RefusedRow(DatabaseError):
    """A row that the database, or DataJoint before it, did not take.

    Attributes
    ----------
    cell : tuple of str and object, or None
        Column and value that were refused before the database saw them.
    """

    cell: tuple[str, Any] | None = None

    def suggest(self, *more: object) -> RefusedRow:
        """Return it with more said; DataJoint's own errors have this.

        Parameters
        ----------
        *more : object
            What to add to the hint.
        """
        return type(self)(self.message, hint=" ".join([self.hint or "", *map(str, more)]))

    def __reduce__(self) -> tuple[Any, ...]:
        kind = type(self).__bases__[-1]
        return _rebuilt, (kind, self.message, self.hint)


@contextmanager
def explained(table: Any, rows: Any = (), *, deed: str = "INSERT") -> Iterator[None]:
    """Raise what the database refuses in the block as an error that teaches.

    Parameters
    ----------
    table : Table
        That is written to.
    rows : object, optional
        What is written, as far as it can be looked at twice.
    deed : {"INSERT", "UPDATE", "DELETE", "DROP"}, optional
        What is done.
    """
    try:
        yield
    except LabdataError as error:
        if isinstance(error, RefusedRow):
            raise _in_its_row(error, table, rows) from None
        if not _was_lost(error):
            raise
        lost = dj.errors.LostConnectionError
        raise refused_class(lost)(error.message, hint=f"{error.hint} {_LOST_HINT}") from None
    except (dj.errors.DataJointError, pymysql.MySQLError, KeyError, ValueError) as error:
        message, hint = _explain(error, table, _listed(rows), deed)
        raise refused_class(type(error))(message, hint=hint) from None


def _in_its_row(error: RefusedRow, table: Any, rows: Any) -> RefusedRow:
    """Return an error about a value with the row it stands in, where there are several."""
    listed = _listed(rows)
    if error.cell is None or len(listed) < 2:
        return error
    column, value = error.cell
    for number, row in enumerate(listed, 1):
        if column in row and str(row[column]) == str(value):  # whichever type it came as
            key = {name: row[name] for name in table.primary_key if name in row}
            shown = ", ".join(f"{name}: {part}" for name, part in key.items())
            where = f"In row {number} of {len(listed)}{f' ({shown})' if shown else ''}."
            return type(error)(f"{error.message} {where}", hint=error.hint)
    return error


_classes: dict[type[Exception], type[RefusedRow]] = {}


def refused_class(kind: type[Exception]) -> type[RefusedRow]:
    """Return the class of errors that teach and are of another kind as well.

    Parameters
    ----------
    kind : type
        What DataJoint or the driver raised.
    """
    if kind not in _classes:
        made = type(kind.__name__, (RefusedRow, kind), {"__doc__": kind.__doc__})
        _classes.setdefault(kind, made)  # of two threads the first counts
    return _classes[kind]


def _rebuilt(kind: type[Exception], message: str, hint: str | None) -> RefusedRow:
    return refused_class(kind)(message, hint=hint)


def _explain(error: Exception, table: Any, rows: list[Mapping[str, Any]], deed: str) -> Said:
    text = " ".join(str(part) for part in error.args)
    for kind, tell in _TELLERS:
        if isinstance(error, kind):
            said = tell(text, table, rows, deed)
            if said:
                return said
    if deed == "DELETE":
        return (
            f"These rows of {_name(table)} were not deleted: {text}",
            f"{_name(table)}.delete_plan() shows all that depends on them, and deletes it whole.",
        )
    if deed == "DROP":
        return f"{_name(table)} was not removed: {text}", "Tables that depend on it go first."
    return f"{_name(table)} did not take this: {text}", _columns_hint(table)


def _missing_parent(text: str, table: Any, rows: Any, deed: str) -> Said | None:
    found = _FOREIGN.search(text)
    if not found:
        return None
    own, theirs = _names(found["columns"]), _names(found["theirs"])
    child = _CHILD.search(text)
    if "delete or update a parent row" in text and child:
        place = child["schema"], child["table"]
        return (
            f"Rows of {_label(table, place)} refer to this row of {_name(table)}.",
            "`labdata delete` shows all that depends on a row, `labdata rename` changes a name.",
        )
    place = found["schema"] or (child or {"schema": table.database})["schema"], found["table"]
    label, parent = _label(table, place), _class(table, place)
    if parent is None or not own:
        return f"{_name(table)}: {label} has no such row.", f"Insert it into {label} first."
    missing = _absent_key(parent, own, theirs, rows)
    if missing is None:
        shown, line = ", ".join(own), f"{label}.insert1(...)"
        return f"{label} has no row for the {shown} given.", f"Insert it first: {line}"
    shown = " and ".join(f"{name} {value!r}" for name, value in missing.items())
    known = [str(v) for v in parent.fetch(theirs[-1], limit=200)] if len(theirs) == 1 else []
    near = nearest(str(missing[theirs[-1]]), known)
    guess = f"Did you mean {near[0]!r}? Or insert it first" if near else "Insert it first"
    more = [n for n in _required(parent) if n not in missing]
    row = {**missing, **dict.fromkeys(more, ...)}
    return (
        f"{label} has no {shown}, to which this row of {_name(table)} refers.",
        f"{guess}: {label}.insert1({_shown_row(row)})",
    )


def _absent_key(
    parent: Any, own: Sequence[str], theirs: Sequence[str], rows: Any
) -> dict[str, Any] | None:
    """Return the first key that rows refer to and the parent does not have."""
    seen = set()
    for row in rows[:_MOST_ROWS]:
        values = tuple(row.get(name) for name in own)
        if None in values or values in seen:
            continue
        seen.add(values)
        key = dict(zip(theirs, values, strict=True))
        if not len(parent & key):
            return key
    return None


def _duplicate(text: str, table: Any, rows: Any, deed: str) -> Said | None:
    found = _DUPLICATE.search(text)
    if not found:
        return None
    value = found["value"]
    if not found["key"].endswith("PRIMARY"):
        return (
            f"{_name(table)} has another row with {found['key']} {value!r}.",
            "That must differ from row to row: look at what is there.",
        )
    key = ", ".join(table.primary_key)
    return (
        f"{_name(table)} has a row with {key} {value!r} already.",
        "skip_duplicates=True leaves rows that are there as they are; "
        f"{_name(table)}.update1(row) corrects one.",
    )


def _unknown_column(text: str, table: Any, rows: Any, deed: str) -> Said | None:
    found = _UNKNOWN.search(text) or re.search(r"Unknown column '(?P<column>[^']+)'", text)
    if not found:
        return None
    names = list(table.heading.names)
    near = nearest(found["column"], names)
    guess = f"Did you mean {near[0]!r}? " if near else ""
    more = " ignore_extra_fields=True leaves others out." if deed == "INSERT" else ""
    return (
        f"{_name(table)} has no column {found['column']!r}.",
        f"{guess}It has: {', '.join(names)}.{more}",
    )


def _missing_value(text: str, table: Any, rows: Any, deed: str) -> Said | None:
    found = _COLUMN.search(text)
    if not found:
        return None
    column = found["column"]
    comment = table.heading[column].comment if column in table.heading.names else ""
    needed = ", ".join(_required(table))
    return (
        f"{_name(table)} needs a value for {column!r}, and none is given.",
        f"{column}{f' ({comment})' if comment else ''}: rows need {needed}.",
    )


def _wrong_value(text: str, table: Any, rows: Any, deed: str) -> Said | None:
    found = _COLUMN.search(text)
    column = found["column"] if found else ""
    if column not in table.heading.names:
        return None
    kind = str(table.heading[column].type)
    if "null" in text:
        return _missing_value(text, table, rows, deed)
    given = [row[column] for row in rows if row.get(column) is not None]
    if kind.startswith("enum"):
        allowed = re.findall(r"'((?:[^']|'')*)'", kind)
        wrong = next((v for v in given if str(v) not in allowed), "this")
        return (
            f"{column} of {_name(table)} cannot be {wrong!r}.",
            f"It is one of: {', '.join(map(repr, allowed))}.",
        )
    longest = re.search(r"char\((\d+)\)", kind)
    if longest and "too long" in text:
        limit = int(longest[1])
        wrong = next((str(v) for v in given if len(str(v)) > limit), "")
        return (
            f"{column} of {_name(table)} is too long: {len(wrong) or 'more'} characters, "
            f"and {limit} fit{f': {wrong[:40]!r}...' if wrong else '.'}",
            f"Write it in up to {limit} characters.",
        )
    quoted = re.search(r"value: '(?P<value>.*?)' for column", text, re.DOTALL)
    wrong = quoted["value"] if quoted else (given[0] if len(given) == 1 else "this")
    example = _EXAMPLES.get(kind.partition("(")[0])
    hint = f"Write it as {example}, or give Python's own." if example else f"It is of type {kind}."
    return f"{column} of {_name(table)} cannot be {wrong!r}.", hint


def _no_number(text: str, table: Any, rows: Any, deed: str) -> Said | None:
    for row in rows:
        for column, value in row.items():
            is_number = column in table.heading.names and table.heading[column].numeric
            if is_number and isinstance(value, str) and value in text:
                hint = f"It is a number, of type {table.heading[column].type}."
                return f"{column} of {_name(table)} cannot be {value!r}.", hint
    return None


def _no_access(text: str, table: Any, rows: Any, deed: str) -> Said | None:
    from .own_roles import explain_role, is_limited, roles_that_may

    verb = {
        "INSERT": "insert into",
        "UPDATE": "change",
        "DELETE": "delete from",
        "DROP": "remove",
    }[deed]
    # of what depends on the rows, the server may refuse another table
    place = re.search(r"DELETE command denied .* for table `([^`]+)`\.`([^`]+)`", text)
    refused = (_class(table, (place[1], place[2])) if place else None) or type(table)
    also = refused.table_name != table.table_name
    what = f"{verb} {_name(table)}" + (f" with its rows in {_name(refused())}" if also else "")
    if not is_limited(table.lab):
        user = table.connection.conn_info["user"]
        return f"The account {user} may not {what}.", "Ask the server's administrator."
    return explain_role(table.lab, what, roles_that_may(table.lab, refused, deed))


LOST_MESSAGE = "The connection to the database was lost."
_LOST_HINT = (
    "Rows of a transaction were not written; others may have been, so look, or insert again with "
    "skip_duplicates=True."
)
LOST_HINT = f"Is the server up? `labdata doctor` tries it. {_LOST_HINT}"


def _lost(text: str, table: Any, rows: Any, deed: str) -> Said | None:
    return LOST_MESSAGE, LOST_HINT


def _was_lost(error: BaseException) -> bool:
    """Whether an error came while a lost connection was being made anew."""
    context = error.__context__
    while context is not None:
        if isinstance(context, dj.errors.LostConnectionError):
            return True
        context = context.__context__
    return False


#: In this order: the first that has something to say.
_TELLERS: tuple[tuple[type[Exception], Callable[..., Said | None]], ...] = (
    (dj.errors.LostConnectionError, _lost),
    (dj.errors.DuplicateError, _duplicate),
    (dj.errors.AccessError, _no_access),
    (dj.errors.IntegrityError, _missing_parent),
    (dj.errors.MissingAttributeError, _missing_value),
    (pymysql.MySQLError, _wrong_value),
    (KeyError, _unknown_column),
    (dj.errors.DataJointError, _unknown_column),
    (ValueError, _no_number),
)


def _listed(rows: Any) -> list[Mapping[str, Any]]:
    if isinstance(rows, Mapping):
        return [rows]
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):  # a DataFrame
        rows = rows.to_dict("records")
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []


def _names(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def _name(table: Any) -> str:
    from .tables import label_of

    return label_of(type(table))


def _class(table: Any, place: tuple[str, str]) -> Any:
    for cls in table.lab.tables_and_parts().values():
        if (cls.database, cls.table_name) == place:
            return cls
    return None


def _label(table: Any, place: tuple[str, str]) -> str:
    from .tables import label_of

    cls = _class(table, place)
    return label_of(cls) if cls else ".".join(place)


def _required(table: Any) -> list[str]:
    """Return the columns of a table without which it takes no row."""
    return [
        name
        for name, attribute in table.heading.attributes.items()
        if not (attribute.nullable or attribute.autoincrement or attribute.default is not None)
    ]


def _columns_hint(table: Any) -> str:
    return f"Rows need {', '.join(_required(table)) or 'nothing'}; help({_name(table)}) says more."


def _shown_row(row: Mapping[str, Any]) -> str:
    shown = (f"{name!r}: {'...' if value is ... else repr(value)}" for name, value in row.items())
    return f"{{{', '.join(shown)}}}"
