"""A name that to the server is another row's, and is not, is refused before it is written.

The server compares text without the case of letters, accents and spaces at the end. So it takes
the key ``jc1`` for the subject ``JC1``: ``skip_duplicates`` would pass over the new subject, a
``replace`` would overwrite the other, and a session of ``jc1`` would be taken as one of ``JC1``
and be another animal's in Python. One query an insert, over all parents; none for tables whose
keys have no text.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .alike_names import fold
from .datajoint_compat import dj
from .raw_tables import Reference, in_pieces, quote, read_references
from .teaching_errors import refused_class

_Names = tuple[str, ...]

#: Keys that are asked for in one statement.
_PIECE = 2000


@dataclass(frozen=True)
class TextReference:
    """Columns that name a row of some table, as far as these names are text.

    Attributes
    ----------
    columns : tuple of str
        Of the table that is written to.
    theirs : tuple of str
        The same of the table that has the row.
    text : tuple of int
        Which of them are text.
    sql : str
        The quoted name of that table.
    label : str
        What users call it.
    """

    columns: _Names
    theirs: _Names
    text: tuple[int, ...]
    sql: str
    label: str

    def names_of(self, key: Sequence[Any]) -> _Names:
        """Return the texts of a key.

        Parameters
        ----------
        key : sequence
            Of all columns.
        """
        return tuple(str(key[index]) for index in self.text)


def refuse_alike(table: Any, rows: Sequence[Mapping[str, Any]], *, own: bool) -> None:
    """Raise if a row names another row as the server does and not as it is written.

    Parameters
    ----------
    table : Table
        That is written to.
    rows : sequence of mapping
        What is to be written: column to value.
    own : bool
        Whether to look at the key of the rows themselves, which may be there.

    Raises
    ------
    DatabaseError
        Which has both names; an ``IntegrityError`` for a row that is referred to, a
        ``DuplicateError`` for the row itself.
    """
    wanted: list[tuple[TextReference, list[tuple[Any, ...]]]] = []
    for reference in _text_references(table):
        if reference.sql != table.full_table_name or own:
            keys = {tuple(row.get(name) for name in reference.columns) for row in rows}
            keys = {key for key in keys if None not in key}
            if keys:
                wanted.append((reference, sorted(keys, key=repr)))
    if not wanted:
        return
    found = _ask(table.connection, wanted)
    for (reference, given), there in zip(wanted, found, strict=True):
        is_own = reference.sql == table.full_table_name
        alike = _first_alike(table.connection, reference, given, there, among=is_own)
        if alike:
            raise _error(table, reference, *alike, is_own=is_own)


def text_of_rows(table: Any, query: Any) -> list[dict[str, Any]]:
    """Return those columns of a query's rows that :func:`refuse_alike` looks at.

    Parameters
    ----------
    table : Table
        Into which they are to be inserted.
    query : QueryExpression
        The rows.
    """
    wanted = {name for one in _text_references(table) for name in one.columns}
    names = [name for name in query.heading.names if name in wanted]
    return query.fetch(*names, as_dict=True) if names else []


def _text_references(table: Any) -> list[TextReference]:
    """Return what the text of a table's rows may name, the rows themselves last."""
    cache: dict[str, list[TextReference]] = table.lab._text_references
    name = table.full_table_name
    if name not in cache:
        key = tuple(table.primary_key)
        own = Reference(key, (table.database, table.table_name), key)
        found = [
            made
            for one in [*_closest(read_references(table.connection, table)), own]
            if (made := _text_reference(table, one, own=one is own))
        ]
        cache[name] = found
    return cache[name]


def _closest(references: Collection[Reference]) -> list[Reference]:
    """Return references without those that others imply: a session names its subject, too."""
    return [
        one
        for one in references
        if not any(set(one.columns) < set(other.columns) for other in references)
    ]


def _text_reference(table: Any, one: Reference, *, own: bool) -> TextReference | None:
    from .tables import label_of

    attributes = table.heading.attributes
    if not set(one.columns) <= set(attributes):
        return None
    text = tuple(n for n, c in enumerate(one.columns) if "char" in str(attributes[c].type))
    if not text:
        return None
    classes = table.lab.tables_and_parts().values()
    (cls,) = [c for c in classes if (c.database, c.table_name) == one.parent][:1] or [None]
    sql = ".".join(map(quote, one.parent))
    if own or cls is not None:
        sql = (table if own else cls).full_table_name
    label = label_of(type(table)) if own else label_of(cls) if cls else one.parent[1]
    return TextReference(one.columns, one.parent_columns, text, sql, label)


def _ask(
    connection: Any, wanted: Sequence[tuple[TextReference, Sequence[tuple[Any, ...]]]]
) -> list[set[_Names]]:
    """Return for each reference the names of those rows that the server takes for the keys."""
    found: list[set[_Names]] = [set() for _ in wanted]
    width = max(len(reference.text) for reference, _ in wanted)
    for start in range(0, max(len(keys) for _, keys in wanted), _PIECE):
        parts, values = [], []
        for number, (reference, keys) in enumerate(wanted):
            piece = keys[start : start + _PIECE]
            if not piece:
                continue
            shown = [f"CAST({quote(reference.theirs[n])} AS CHAR)" for n in reference.text]
            shown += ["''"] * (width - len(shown))
            one = f"({', '.join(['%s'] * len(reference.theirs))})"
            parts.append(
                f"SELECT {number}, {', '.join(shown)} FROM {reference.sql} WHERE "
                f"({', '.join(map(quote, reference.theirs))}) IN ({', '.join([one] * len(piece))})"
            )
            values += [value for key in piece for value in key]
        for number, *names in connection.query(" UNION ALL ".join(parts), values).fetchall():
            found[number].add(tuple(names[: len(wanted[number][0].text)]))
    return found


def _first_alike(
    connection: Any,
    reference: TextReference,
    keys: Sequence[tuple[Any, ...]],
    there: set[_Names],
    *,
    among: bool,
) -> tuple[_Names, _Names] | None:
    """Return the first names that are given, and those that the server takes for the same."""
    given = {reference.names_of(key): key for key in keys}
    known = {tuple(map(fold, names)): names for names in there}
    for names in given:
        other = known.get(tuple(map(fold, names)))
        if names not in there and other:
            return names, other
        if among and known.setdefault(tuple(map(fold, names)), names) != names:
            return names, known[tuple(map(fold, names))]
    absent = {names: key for names, key in given.items() if names not in there}
    if absent and there:  # letters that our folding keeps apart, and the server does not
        for piece in in_pieces(absent.items(), _PIECE):
            (found,) = _ask(connection, [(reference, [key for _, key in piece])])
            if found:
                return piece[0][0], min(found)
    return None


def _error(
    table: Any, reference: TextReference, given: _Names, there: _Names, *, is_own: bool
) -> Exception:
    from .tables import label_of

    (number,) = [n for n, (a, b) in enumerate(zip(given, there, strict=True)) if a != b][:1] or [0]
    column = reference.columns[reference.text[number]]
    wrong, right = given[number], there[number]
    what = label_of(type(table))
    same = "To the database names that differ by the case of letters, accents or spaces at the "
    if is_own:
        return refused_class(dj.errors.DuplicateError)(
            f"{what} has {column} {right!r}: {wrong!r} would be the same row to the database, and "
            "another in Python.",
            hint=f"Write {right!r} if you mean that one, or choose a name that differs by more. "
            f"{same}end are one.",
        )
    return refused_class(dj.errors.IntegrityError)(
        f"{reference.label} has no {column} {wrong!r}, but {right!r}, to which this row of {what} "
        "would refer.",
        hint=f"Write {right!r}: in Python the two are different. {same}end are one.",
    )
