"""How rows are written by hand: not to an archived project, and refused with a reason.

Every insert, update and delete of users' code and of labdata's own rules passes here, whatever the
table. Renaming, sharing and the plans of deletes write in bulk past the tables; they ask
:func:`.archived.refuse_archived` themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from inspect import isclass
from typing import Any

from .alike_rows import refuse_alike, text_of_rows
from .archived import refuse_cascade, refuse_write
from .checked_values import check_value
from .datajoint_compat import dj
from .teaching_errors import explained

#: Whether rows that are there already are passed over or replaced by the insert that is made.
_passes_over: ContextVar[bool] = ContextVar("passes_over", default=False)


class CheckedWrites:
    """The writing methods of a table."""

    def insert(self, rows: Any, *args: Any, **options: Any) -> None:
        """Insert rows; as in DataJoint, with errors that say what to write instead.

        Parameters
        ----------
        rows : iterable, DataFrame, Path or query
            Dicts, or what DataJoint takes.
        *args, **options
            ``skip_duplicates``, ``ignore_extra_fields``, ... as in DataJoint.

        Raises
        ------
        DatabaseError
            If the project is archived, or the database does not take a row, would change a value,
            or would take a name for that of another row; then it is of the class of DataJoint's
            error as well.
        """
        refuse_write(self)
        if isinstance(rows, Iterator | tuple) and not options.get("chunk_size"):
            rows = list(rows)  # to find the one that is refused
        with explained(self, rows):
            self._refuse_alike_query(rows)
            super().insert(rows, *args, **options)  # type: ignore[misc]

    def update1(self, row: Any) -> None:
        """Correct one row; as in DataJoint, with errors that say what to write instead.

        Parameters
        ----------
        row : dict
            The key and the new values.

        Raises
        ------
        DatabaseError
            As of :meth:`insert`.
        """
        refuse_write(self)
        with explained(self, row, deed="UPDATE"):
            if isinstance(row, Mapping):
                refuse_alike(self, [row], own=True)
            super().update1(row)  # type: ignore[misc]

    def delete_quick(self, *args: Any, **options: Any) -> Any:
        """Delete these rows, if no others depend on them; as in DataJoint.

        Parameters
        ----------
        *args, **options
            As in DataJoint.

        Returns
        -------
        int or None
            As of DataJoint.

        Raises
        ------
        DatabaseError
            As of :meth:`insert`.
        """
        refuse_write(self)
        with explained(self, deed="DELETE"):
            return super().delete_quick(*args, **options)  # type: ignore[misc]

    def drop(self, *args: Any, **options: Any) -> None:
        """Remove the table; as in DataJoint.

        Parameters
        ----------
        *args, **options
            As in DataJoint.

        Raises
        ------
        DatabaseError
            If the project is archived.
        """
        refuse_write(self)
        super().drop(*args, **options)  # type: ignore[misc]

    def _insert_rows(self, rows: Any, replace: bool, skip_duplicates: bool, extra: bool) -> None:
        # DataJoint's way for all rows but those of a query
        token = _passes_over.set(bool(replace or skip_duplicates))
        try:
            rows = list(rows)
            super()._insert_rows(rows, replace, skip_duplicates, extra)  # type: ignore[misc]
        except dj.errors.DuplicateError:
            refuse_alike(self, [row for row in rows if isinstance(row, Mapping)], own=True)
            raise
        finally:
            _passes_over.reset(token)

    def _attach_provenance(self, rows: Any, field_list: Any) -> None:
        # called when all values of all rows are known, and just before they are written
        given = [dict(zip(row["names"], row["values"], strict=True)) for row in rows]
        refuse_alike(self, given, own=_passes_over.get())
        super()._attach_provenance(rows, field_list)  # type: ignore[misc]

    def _refuse_alike_query(self, rows: Any) -> None:
        """Look at the names that the rows of a query have, which DataJoint copies unseen."""
        query = rows() if isclass(rows) and issubclass(rows, dj.Table) else rows
        if isinstance(query, dj.expression.QueryExpression):
            refuse_alike(self, text_of_rows(self, query), own=True)

    def _Table__make_placeholder(self, name: str, value: Any, *args: Any, **options: Any) -> Any:
        # DataJoint's private name for it: each value of each row, however rows were given, passes
        check_value(self, name, value)
        return super()._Table__make_placeholder(name, value, *args, **options)  # type: ignore[misc]

    def _delete_cascading(self, **options: Any) -> int:
        """Delete rows with all that depends on them, unless some are an archived project's."""
        refuse_write(self)
        refuse_cascade(self)
        with explained(self, deed="DELETE"):
            return int(super().delete(**options))  # type: ignore[misc]


class CheckedPopulate:
    """The computing method of a table."""

    def populate(self, *args: Any, **options: Any) -> Any:
        """Compute and insert the rows that are missing; as in DataJoint.

        Parameters
        ----------
        *args, **options
            As in DataJoint.

        Returns
        -------
        dict
            ``success_count`` and ``error_list``.

        Raises
        ------
        DatabaseError
            If the project is archived; nothing is computed then.
        """
        refuse_write(self)
        return super().populate(*args, **options)  # type: ignore[misc]
