"""Objects in the stores that no file of the database refers to: found, and removed much later.

Deleting rows and renaming leave objects behind on purpose. A first command lists them and notes in
a hidden table of the shared schema when each was seen first; a second one, days later, removes
those that were garbage all the time. What is in doubt is kept: an object counts as referred to if
any lab on the server has a file of its path (whatever the case of its letters) in that store, in
one that the preference file does not know, or in a bucket that a mount may show in that store's
folder, and as in use if an unfinished upload has its folder.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..database.archived import refuse_archived
from ..database.datajoint_compat import dj
from ..database.hidden_tables import GARBAGE, hidden_table, make_hidden_table
from ..database.locks import server_lock, worker_lock
from ..database.own_roles import check_role
from ..database.raw_tables import in_pieces, quote
from ..errors import DatabaseError, MissingObjectError, PreferenceError, StoreError
from ..preferences import Preferences, load_preferences
from ..progress import Progress, ignore_progress
from ..stores import LocalStore, ObjectInfo, S3Store, Store, validate_object_path
from ..stores.paths import original_name
from .files import open_store
from .pending_uploads import PendingUploads, fold

logger = logging.getLogger(__name__)

#: Days that an object is kept after it was first seen to be garbage.
GRACE_DAYS = 14
_PIECE = 100


@dataclass(frozen=True)
class Garbage:
    """An object that no file refers to.

    Attributes
    ----------
    storage : str
        Name of its store.
    object_path : str
    size_bytes : int
    modified : datetime
        When the content last changed, UTC.
    first_seen : datetime or None
        When it was first noted, UTC; None if that could not be written down.
    age_days : float
        Days since then.
    in_use : str
        Why it is kept all the same; empty if it is not.
    """

    storage: str
    object_path: str
    size_bytes: int
    modified: datetime
    first_seen: datetime | None = None
    age_days: float = 0.0
    in_use: str = ""

    @property
    def object_id(self) -> str:
        """What it is noted under: the same for the same object, unchanged."""
        content = (self.storage, self.object_path, self.size_bytes, self.modified.isoformat())
        return hashlib.sha256(repr(content).encode()).hexdigest()


@dataclass(frozen=True)
class GarbageReport:
    """What was found in the stores.

    Attributes
    ----------
    objects : tuple of Garbage
        Objects that no file refers to, by store and path.
    n_objects : int
        Objects looked at.
    unread : dict
        Stores that could not be read: name to reason.
    """

    objects: tuple[Garbage, ...]
    n_objects: int
    unread: dict[str, str]

    @property
    def size_bytes(self) -> int:
        """Bytes of the garbage."""
        return sum(found.size_bytes for found in self.objects)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row an object: ``storage``, ``object_path``, ``size_bytes``, ``state``."""
        return [
            {
                "storage": found.storage,
                "object_path": _shown(found.object_path),
                "size_bytes": found.size_bytes,
                "state": found.in_use or f"garbage for {found.age_days:.0f} days",
            }
            for found in self.objects
        ]

    def _repr_html_(self) -> str:
        from ..markup import card, rows_table

        cells = [list(row.values()) for row in self.rows()]
        return card(rows_table("Garbage", ["store", "path", "bytes", "state"], cells))


def find_garbage(lab: Any, *, preferences: Preferences | None = None) -> GarbageReport:
    """Find the objects that no file refers to, and note those that are new; nothing is removed.

    Parameters
    ----------
    lab : Lab
        Tables of any project of the database.
    preferences : Preferences, optional
        By default the user's; their stores are looked at.

    Returns
    -------
    GarbageReport
        The objects, and the stores that could not be read.

    Raises
    ------
    DatabaseError
        If the account does not see all files of the lab.
    """
    check_role(lab, "look for garbage", ())  # it would take the files of others for garbage
    preferences = preferences or load_preferences()
    connection = lab.connection
    found: list[Garbage] = []
    unread, n_objects = {}, 0
    for name in preferences.storage:
        try:
            store = open_store(name, preferences)
        except PreferenceError as error:
            unread[name] = error.message
            continue
        # objects first: a file that is registered meanwhile is then seen to be one
        objects = list(store.list())
        n_objects += len(objects)
        found += garbage_among(lab, name, store, objects, preferences)
    return GarbageReport(tuple(_note(connection, found, set(unread))), n_objects, unread)


def garbage_among(
    lab: Any, name: str, store: Store, objects: Iterable[ObjectInfo], preferences: Preferences
) -> list[Garbage]:
    """Return those objects of a store that no file refers to; nothing is noted.

    Parameters
    ----------
    lab : Lab
        Tables of any project of the database.
    name : str
        Of the store.
    store : Store
        The store.
    objects : iterable of ObjectInfo
        Listed before: a file that is registered meanwhile is then seen to be one.
    preferences : Preferences
        With the stores.

    Raises
    ------
    DatabaseError
        If the account does not see all files of the lab.
    """
    check_role(lab, "look for garbage", ())
    connection = lab.connection
    referred = _referred(connection, store, preferences)
    uploads = PendingUploads(connection)
    return [
        Garbage(
            name,
            info.path,
            info.size_bytes,
            info.modified,
            in_use=_use_by_name(info.path, referred) or uploads.use_of(store, info),
        )
        for info in objects
        if fold(info.path) not in referred
    ]


def _use_by_name(path: str, referred: set[str]) -> str:
    """Return why a name is kept: no store takes it, or a killed clean gave it to an object."""
    try:
        validate_object_path(path)
    except StoreError:
        return "another program made it, of a name that no object has: remove it by hand"
    original = original_name(path)
    if original == path or fold(original) not in referred:
        return ""
    return f"an interrupted `labdata clean` renamed {original}: repeat it there, or rename it back"


def remove_garbage(
    lab: Any,
    *,
    grace_days: float = GRACE_DAYS,
    preferences: Preferences | None = None,
    progress: Progress | None = None,
) -> tuple[Garbage, ...]:
    """Remove the objects that were noted as garbage long enough ago and still are.

    Parameters
    ----------
    lab : Lab
        Tables of any project of the database.
    grace_days : float, optional
        Days since they were first noted, at least 1.
    preferences : Preferences, optional
        By default the user's.
    progress : Progress, optional
        Called with the number of objects as they are removed.

    Returns
    -------
    tuple of Garbage
        What was removed.

    Raises
    ------
    DatabaseError
        If the grace is under a day, the account does not see all files, or a rename is under way.
    StoreError
        If an object cannot be removed; those before it are.
    """
    if not grace_days >= 1:
        raise DatabaseError(
            f"{grace_days} days of grace are too few: a mistake would be final at once.",
            hint="Give --grace-days 1 or more.",
        )
    refuse_archived(lab)
    preferences = preferences or load_preferences()
    report = progress or ignore_progress
    removed: list[Garbage] = []
    due = [
        found
        for found in find_garbage(lab, preferences=preferences).objects
        if found.first_seen and found.age_days >= grace_days and not found.in_use
    ]
    for piece in in_pieces(due, _PIECE):
        with _nobody_registers(lab) as require_held:
            for found in _still_garbage(lab.connection, piece, preferences):
                require_held()
                open_store(found.storage, preferences).delete(found.object_path)
                logger.info("Removed %s from store %s", found.object_path, found.storage)
                removed.append(found)
                report(1)
    return tuple(removed)


@contextmanager
def _nobody_registers(lab: Any) -> Iterator[Callable[[], None]]:
    """While the block runs, no folder is put and no name is changed, or what it yields raises."""
    connection = lab.connection
    again = "Repeat the command when they have ended."
    busy = DatabaseError("Somebody is putting a folder.", hint=again)
    with worker_lock(connection, f"objects.{connection._preferences.name}") as alone:
        if not alone:
            raise DatabaseError("Somebody is renaming or removes garbage.", hint=again)
        put = f"put.{lab.UploadJob.database}"
        with server_lock(connection, put, timeout_s=60, refused=busy) as nobody_puts:

            def require_held() -> None:
                alone.require_held()
                nobody_puts()

            yield require_held


def _still_garbage(
    connection: Any, found: Iterable[Garbage], preferences: Preferences
) -> Iterator[Garbage]:
    """Yield what is garbage now, too: neither referred to, nor in use, nor changed."""
    found = list(found)
    uploads = PendingUploads(connection)
    for name in dict.fromkeys(one.storage for one in found):
        store = open_store(name, preferences)
        referred = _referred(connection, store, preferences)
        for one in found:
            path = one.object_path
            if one.storage != name or fold(path) in referred or _use_by_name(path, referred):
                continue
            try:
                info = store.stat(one.object_path)
            except MissingObjectError:
                continue
            same = (info.size_bytes, info.modified) == (one.size_bytes, one.modified)
            if same and not uploads.use_of(store, info):
                yield one


def _referred(connection: Any, store: Store, preferences: Preferences) -> set[str]:
    """Return the folded paths in a store that files of any lab on the server may mean."""
    base = connection._preferences.name
    referred: set[str] = set()
    for schema, table, kind in _tables_like(connection, ("file", "analysis_file")):
        if schema == base and kind != "BASE TABLE":
            raise DatabaseError(
                f"Your account sees only some of the files: {schema}.{table} is a view.",
                hint="The lab's administrator can look for garbage.",
            )
        ways: dict[str, tuple[str, str] | None] = {}
        for storage, path in connection.query(
            f"SELECT storage, file_path FROM {quote(schema)}.{quote(table)}"
        ):
            if schema != base:
                referred.add(fold(path))  # what they call by a name of ours may be this store
            if storage not in ways:
                ways[storage] = _way(storage, store, preferences)
            way = ways[storage]
            if way is not None and path.startswith(way[0]):
                referred.add(fold(way[1] + path[len(way[0]) :]))
    return referred


def _way(storage: str, store: Store, preferences: Preferences) -> tuple[str, str] | None:
    """Return how paths in the store of a name begin there, and in a store; None if never in it.

    Stores may lie in each other, and names that the preference file does not have may be any.
    """
    try:
        other = open_store(storage, preferences)
    except PreferenceError:
        return "", ""
    if isinstance(store, LocalStore) != isinstance(other, LocalStore):
        return "", ""  # the folder may be a mount that shows the bucket
    here, there = _place(store), _place(other)
    within = _within_folder if isinstance(store, LocalStore) else _within_name
    inner, outer = within(there, here), within(here, there)
    if inner is not None:
        return "", inner
    return None if outer is None else (outer, "")


def _within_name(inner: str, outer: str) -> str | None:
    """Return how names of one place begin in another that it lies in; None if it does not."""
    return inner.removeprefix(outer) if inner.startswith(outer) else None


def _within_folder(inner: str, outer: str) -> str | None:
    """Return the same of folders, known by what they are: one may be mounted twice."""
    folder, rest = Path(inner), ""
    while not (folder == Path(outer) or _is_same_folder(folder, outer)):
        if folder == folder.parent:
            return None
        folder, rest = folder.parent, f"{folder.name}/{rest}"
    return rest


def _is_same_folder(one: Path, other: str) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there
        return False


def _place(store: Store) -> str:
    """Return where a store's objects begin, with a ``/`` at the end.

    Of a bucket the server is not told, as one server has many names and addresses.
    """
    if isinstance(store, LocalStore):
        return os.path.realpath(store.root / store.folder) + "/"
    if isinstance(store, S3Store):
        return f"s3://{store.settings.bucket}/{store.settings.folder}".rstrip("/") + "/"
    return f"{store.describe()}/"


def _tables_like(connection: Any, names: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """Return schema, name and kind of the tables of files of all labs that one may see."""
    marks = ", ".join(["%s"] * len(names))
    rows = connection.query(
        "SELECT t.table_schema, t.table_name, t.table_type FROM information_schema.tables t "
        "JOIN information_schema.columns c USING (table_schema, table_name) "
        f"WHERE t.table_name IN ({marks}) AND c.column_name IN ('file_path', 'storage') "
        "GROUP BY t.table_schema, t.table_name, t.table_type HAVING COUNT(*) = 2",
        names,
    ).fetchall()
    schemas = {(row[0], row[1]) for row in rows}
    base = connection._preferences.name
    for name in names:
        if (base, name) not in schemas:
            raise DatabaseError(
                f"Your account does not see the table {base}.{name}.",
                hint="The lab's administrator can look for garbage.",
            )
    return [(str(schema), str(name), str(kind)) for schema, name, kind in rows]


def _shown(path: str) -> str:
    """Return a name as the database and a terminal take it; a disk may have others, too."""
    return path.encode("utf-8", "backslashreplace").decode()


def _note(connection: Any, found: list[Garbage], unread: set[str]) -> Iterator[Garbage]:
    """Note what is garbage now, and yield it with the time it was first noted."""
    table = hidden_table(connection, GARBAGE)
    known: dict[str, tuple[datetime, float]] = {}
    try:
        make_hidden_table(connection, GARBAGE)
        rows = connection.query(f"SELECT object_id, storage FROM {table}").fetchall()
        now = {one.object_id for one in found}
        gone = [key for key, storage in rows if key not in now and storage not in unread]
        for keys in in_pieces(gone, _PIECE):
            marks = ", ".join(["%s"] * len(keys))
            connection.query(f"DELETE FROM {table} WHERE object_id IN ({marks})", tuple(keys))
        have = {key for key, _ in rows}
        for new in in_pieces((one for one in found if one.object_id not in have), _PIECE):
            one = "(%s, %s, %s, %s, %s, UTC_TIMESTAMP())"
            values = [
                (
                    g.object_id,
                    g.storage,
                    _shown(g.object_path),
                    g.size_bytes,
                    g.modified.isoformat(),
                )
                for g in new
            ]
            connection.query(
                f"INSERT IGNORE INTO {table} VALUES {', '.join([one] * len(new))}",
                tuple(value for row in values for value in row),
            )
        for key, seen, age_s in connection.query(
            f"SELECT object_id, first_seen, TIMESTAMPDIFF(SECOND, first_seen, UTC_TIMESTAMP()) "
            f"FROM {table}"
        ):
            known[key] = (seen, age_s / 86400)
    except dj.errors.AccessError:
        pass  # one who may only read sees the garbage, and cannot remove it
    for item in found:
        seen, age = known.get(item.object_id, (None, 0.0))
        facts = (item.storage, item.object_path, item.size_bytes, item.modified)
        yield Garbage(*facts, seen, age, item.in_use)
