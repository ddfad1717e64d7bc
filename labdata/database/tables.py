"""The kinds of tables that labdata declares, and how one declaration serves several labs.

A table knows its lab and opens it when it is first used; nothing touches the database before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import QueryError
from .archived import refuse_write
from .connection import LabConnection
from .datajoint_compat import dj
from .lower_bounds import check_number
from .place import place_of
from .table_writes import CheckedPopulate, CheckedWrites
from .teaching_errors import explained, refused_class

if TYPE_CHECKING:
    from .projects import Lab
    from .row_delete import DeletePlan


class _LazyMeta(type(dj.Manual)):  # type: ignore[misc]
    @property
    def connection(cls) -> LabConnection:
        cls.lab.activate()
        connection: LabConnection = cls._connection
        return connection

    @property
    def full_table_name(cls) -> str | None:
        cls.lab.activate()
        name: str | None = cls._seen_as or super().full_table_name
        return name

    @property
    def delete_plan(cls) -> Any:
        return cls().delete_plan

    def __len__(cls) -> int:
        return len(cls())

    def __bool__(cls) -> bool:
        return True


class _LazyPartMeta(_LazyMeta, type(dj.Part)):  # type: ignore[misc]
    pass


class LabTable(CheckedWrites):
    """What all tables of labdata share.

    Attributes
    ----------
    lab : Lab
        The tables of the same project, by name.
    """

    lab: ClassVar[Lab]
    definition: ClassVar[str]
    #: Columns that nobody gives a value, and the SQL of what the server writes there.
    filled_by_server: ClassVar[Mapping[str, str]] = {}
    #: The view that stands for the table where the account sees a project's rows only.
    _seen_as: ClassVar[str | None] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        type(self).lab.activate()
        super().__init__(*args, **kwargs)

    @property
    def full_table_name(self) -> str:
        """Schema and name, quoted, of the table or of the project's view of it."""
        return self._seen_as or str(super().full_table_name)  # type: ignore[misc]

    @property
    def is_declared(self) -> bool:
        """Whether the table is there; not asked of each where all were seen at once."""
        return self.lab._all_there or bool(super().is_declared)  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"{self._headline()}\n{super().__repr__()}"

    def _repr_html_(self) -> str:
        return self._headed(super()._repr_html_())  # type: ignore[misc]

    def _headed(self, html: str) -> str:
        """Return HTML below the line that says whose rows it shows."""
        from .previews import headed_html

        return headed_html(self._headline(), html)

    def _headline(self) -> str:
        return f"{label_of(type(self))} · {place_of(self.lab)}"

    def delete(
        self,
        transaction: bool = True,
        prompt: bool | None = None,
        *,
        safemode: bool | None = None,
        **kwargs: Any,
    ) -> int:
        """Delete these rows and all that depend on them, after showing what that is.

        Parameters
        ----------
        transaction : bool, optional
            Delete all or nothing.
        prompt, safemode : bool, optional
            Ask before; ``safemode`` is its old name.
        **kwargs
            As in DataJoint.

        Returns
        -------
        int
            Rows deleted, of this table.
        """
        prompt = safemode if prompt is None else prompt
        rows: Any = self
        if rows.restriction or rows._top:
            # rows by their keys: DataJoint cannot follow every kind of restriction in a cascade
            rows = type(self)() & rows.keys()
        return int(rows._delete_cascading(transaction=transaction, prompt=prompt, **kwargs))

    def check_cell(self, column: str, value: Any) -> None:
        """Raise if a value is none that a column can hold; each that is inserted passes here.

        Tables add to it what is special to them. Rows copied past the tables do not pass.

        Parameters
        ----------
        column : str
            Of this table.
        value : object
            As the user gave it.

        Raises
        ------
        DatabaseError
            Also a ``ValueError``: with the column, the value and what to write instead.
        """
        if column in self.filled_by_server:
            raise refused_class(ValueError)(
                f"{column} of {label_of(type(self))} cannot be given: the server writes it.",
                hint=f"Leave {column} out.",
            )
        check_number(self, column, value)

    def drop(self, *args: Any, **options: Any) -> None:
        """Remove the table with those that depend on it; as in DataJoint.

        Parameters
        ----------
        *args, **options
            As in DataJoint.

        Raises
        ------
        DatabaseError
            If the project is archived, or this account may not.
        """
        with explained(self, deed="DROP"):
            super().drop(*args, **options)

    def drop_quick(self) -> None:
        """Remove the table, if no other depends on it; as in DataJoint.

        Raises
        ------
        DatabaseError
            If the project is archived, or this account may not.
        """
        refuse_write(self)
        with explained(self, deed="DROP"):
            super().drop_quick()  # type: ignore[misc]

    def delete_plan(self, key: Any = None) -> DeletePlan:
        """Return what deleting these rows would delete; its ``apply`` deletes it.

        Parameters
        ----------
        key : restriction, optional
            Which of these rows; by default all.

        Returns
        -------
        DeletePlan
            Rows by table, those of other people, files and bytes.

        Raises
        ------
        QueryError
            If no row is selected.
        DatabaseError
            If an upload or task works on the data, or waits to.
        """
        from .row_delete import plan_delete

        table: Any = self
        keys = key if isinstance(key, list | tuple) else [key]
        unknown = {n for k in keys if isinstance(k, dict) for n in k} - set(table.heading.names)
        if unknown:
            # DataJoint would pass over it, and choose all rows
            raise QueryError(
                f"{type(self).__name__} has no column {sorted(unknown)[0]!r}.",
                hint=f"It has: {', '.join(table.heading.names)}.",
            )
        found = (table if key is None else table & key).keys()
        chosen = {tuple(row[name] for name in table.primary_key) for row in found}
        tables = self.lab.tables_and_parts().items()
        (name,) = [n for n, cls in tables if cls.full_table_name == table.full_table_name]
        return plan_delete(self.lab, name, chosen)


class Manual(LabTable, dj.Manual, metaclass=_LazyMeta):  # type: ignore[misc]
    """A table whose rows are entered by people or by a rule."""


class Lookup(LabTable, dj.Lookup, metaclass=_LazyMeta):  # type: ignore[misc]
    """A table of choices; ``initial_rows`` fill it when the lab is made, and never later."""

    initial_rows: ClassVar[Sequence[Any]] = ()


class Imported(CheckedPopulate, LabTable, dj.Imported, metaclass=_LazyMeta):  # type: ignore[misc]
    """A table that an upload rule fills from raw files."""

    # rules insert rows themselves, in the transaction that registers the files
    _allow_insert = True


class Computed(CheckedPopulate, LabTable, dj.Computed, metaclass=_LazyMeta):  # type: ignore[misc]
    """A table that ``populate`` fills from other tables."""


class Part(LabTable, dj.Part, metaclass=_LazyPartMeta):  # type: ignore[misc]
    """A table of details of its master's rows."""


def bound_class(cls: Any) -> Any:
    """Return a subclass of a table with its parts, which is to be another lab's.

    Parameters
    ----------
    cls : type
        The table.
    """
    names = ("database", "_connection", "_heading", "_support", "_seen_as")
    unbound = dict.fromkeys(names)
    parts = {
        p.__name__: type(p)(p.__name__, (p,), {**unbound, "__doc__": p.__doc__})
        for p in parts_of(cls)
    }
    return type(cls)(cls.__name__, (cls,), {**unbound, **parts, "__doc__": cls.__doc__})


def set_lab(cls: Any, lab: Lab) -> None:
    """Say which lab a table and its parts belong to.

    Parameters
    ----------
    cls : type
        The table.
    lab : Lab
        Its lab.
    """
    cls.lab = lab
    for part in parts_of(cls):
        part.lab = lab
        part._master = cls


def label_of(cls: Any) -> str:
    """Return what users call a table: ``Session``, ``SpikeSorting.Unit``.

    Parameters
    ----------
    cls : type
        The table.
    """
    master = getattr(cls, "_master", None) if issubclass(cls, dj.Part) else None
    return f"{master.__name__}.{cls.__name__}" if master else str(cls.__name__)


def parts_of(cls: type) -> list[Any]:
    """Return the parts of a table, in the order of their declaration.

    Parameters
    ----------
    cls : type
        The table.
    """
    known: list[Any] | None = vars(cls).get("_parts")
    if known is None:
        found = [getattr(cls, name) for name in dir(cls) if name[0].isupper()]
        known = [one for one in found if isinstance(one, type) and issubclass(one, dj.Part)]
        cls._parts = known  # type: ignore[attr-defined]  # a class has them from its beginning
    return list(known)
