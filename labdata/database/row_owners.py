"""Whose rows they are: the lab member's they name, else the session's, else the subject's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from .key_change import find_holders
from .raw_tables import Key, RawTable, fetch_rows, raw_place
from .row_selection import Place, Selection


def find_owners(
    lab: Any, tables: Mapping[Place, RawTable], selected: Selection
) -> dict[Place, dict[str, int]]:
    """Return how many of some rows are of other people, by table and user name.

    A row is of the lab member that it refers to (the one who entered a note, weighed, carried out
    a procedure), else of the experimenter of its session, else of who the subject belongs to.
    Others are all but the user in the preference file; without one, as on an embedded database,
    all but who the subject belongs to.

    Parameters
    ----------
    lab : Lab
        The tables.
    tables : mapping
        Of ``read_reachable``, parents first.
    selected : dict
        Primary keys by table.
    """
    connection = lab.connection
    me = connection._preferences.user if connection._preferences.host else None
    members = find_holders(tables, raw_place(lab.LabMember), ("user_name",))
    subjects = find_holders(tables, raw_place(lab.Subject), ("subject_name",))
    sessions = find_holders(tables, raw_place(lab.Session), ("subject_name", "session_name"))
    people = _People(lab, tables)
    others: dict[Place, dict[str, int]] = {}
    for place, keys in selected.items():
        columns = tuple(name for (name,) in sorted(members.get(place, ())))
        subject = min(subjects.get(place, [()]))
        session = min(sessions.get(place, [()]))
        shown = (*columns, *subject, *session)
        if not shown:
            continue
        table, found = tables[place], Counter[str]()
        rows = list(fetch_rows(connection, table, shown, table.key, keys))
        n_before = len(columns) + len(subject)
        people.ask(
            {row[len(columns) : n_before] for row in rows}, {row[n_before:] for row in rows}
        )
        for row in rows:
            named = [who for who in row[: len(columns)] if who is not None]
            rest = row[len(columns) :]
            owner = people.owner(rest[: len(subject)])
            who = named[0] if named else people.experimenter(rest[len(subject) :]) or owner
            if who is not None and who.casefold() != (me or owner or who).casefold():
                found[who] += 1
        if found:
            others[place] = dict(found)
    return others


class _People:
    """Experimenters of sessions and owners of subjects, each asked for once."""

    def __init__(self, lab: Any, tables: Mapping[Place, RawTable]) -> None:
        self._connection = lab.connection
        self._subject, self._session = (
            tables[raw_place(lab.Subject)],
            tables[raw_place(lab.Session)],
        )
        self._known: dict[Key, str | None] = {}

    def ask(self, subjects: set[Key], sessions: set[Key]) -> None:
        """Find out about all of these that are not known yet."""
        for table, column, keys in (
            (self._subject, "user_name", subjects),
            (self._session, "experimenter", sessions),
        ):
            new = {_fold(key): key for key in keys if key and None not in key}
            new = {folded: key for folded, key in new.items() if folded not in self._known}
            shown = (*table.key, column)
            for row in fetch_rows(self._connection, table, shown, table.key, new.values()):
                self._known[_fold(row[:-1])] = row[-1]

    def owner(self, key: Key) -> str | None:
        return self._known.get(_fold(key))

    def experimenter(self, key: Key) -> str | None:
        return self._known.get(_fold(key))


def _fold(key: Key) -> Key:
    return tuple(str(part).casefold() for part in key)
