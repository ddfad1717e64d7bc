"""The log of a curation, and what follows from it: which spikes are of which unit, and labels.

Nothing that a sorter found is changed. Each decision of a person is an entry; the units of today
are the sorter's with all entries done in their order, but for those that were undone. An undo is
an entry too. New units have numbers that nothing had before, undone units included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..counted import count_of
from ..errors import QueryError

Action = Literal["label", "merge", "split", "undo"]


@dataclass(frozen=True, eq=False)
class Entry:
    """One decision.

    Attributes
    ----------
    action : {"label", "merge", "split", "undo"}
        What was done.
    units : tuple of int
        To which units; none of an undo.
    label : str or None
        Of a label: what the units are called; empty takes the label away.
    new_units : tuple of int
        Units that a merge or split made.
    groups : ndarray of int64, shape (n_spikes,) or None
        Of a split: which of the new units each spike goes to, spikes in the order of time.
    undoes : int or None
        Of an undo: place in the log of the entry that is taken back.
    """

    action: Action
    units: tuple[int, ...] = ()
    label: str | None = None
    new_units: tuple[int, ...] = ()
    groups: NDArray[np.int64] | None = None
    undoes: int | None = None


@dataclass
class CuratedState:
    """The units as they are after some entries.

    Attributes
    ----------
    samples : ndarray of int64, shape (n_spikes,)
        All spikes of the sorting, unit after unit.
    spikes : dict of int to ndarray of int64
        Unit -> places of its spikes in `samples`, in the order of time.
    labels : dict of int to str
        Labels of units that have one.
    gone : dict of int to Entry
        Units that are there no more, and the merge or split that took each.
    """

    samples: NDArray[np.int64]
    spikes: dict[int, NDArray[np.int64]]
    labels: dict[int, str] = field(default_factory=dict)
    gone: dict[int, Entry] = field(default_factory=dict)

    def do(self, entry: Entry) -> None:
        """Change the units as an entry says.

        Parameters
        ----------
        entry : Entry
            Not an undo.

        Raises
        ------
        QueryError
            If the entry cannot be done to these units; nothing is changed then.
        """
        self._check(entry)
        if entry.action == "label":
            for unit in entry.units:
                self.labels[unit] = entry.label or ""
                if not entry.label:
                    del self.labels[unit]
        elif entry.action == "merge":
            places = np.concatenate([self._take(unit, entry) for unit in entry.units])
            order = np.lexsort((places, self.samples[places]))
            self.spikes[entry.new_units[0]] = places[order]
        elif entry.groups is not None:
            places = self._take(entry.units[0], entry)
            for number, new in enumerate(entry.new_units):
                self.spikes[new] = places[entry.groups == number]

    def _take(self, unit: int, entry: Entry) -> NDArray[np.int64]:
        self.labels.pop(unit, None)
        self.gone[unit] = entry
        return self.spikes.pop(unit)

    def _check(self, entry: Entry) -> None:
        missing = [unit for unit in entry.units if unit not in self.spikes]
        if missing:
            raise self._missing(missing[0])
        if entry.action == "merge" and len(set(entry.units)) < max(2, len(entry.units)):
            raise QueryError("A merge takes two or more different units.")
        if entry.action == "split":
            self._check_split(entry)

    def _missing(self, unit: int) -> QueryError:
        if unit in self.gone:
            entry = self.gone[unit]
            done = {"merge": "merged into", "split": "split into"}[entry.action]
            made = " and ".join(map(str, entry.new_units))
            return QueryError(
                f"Unit {unit} is not there: it was {done} {made}.",
                hint=f"Take {made}, or undo what was done since.",
            )
        units = sorted(self.spikes)
        shown = f"{', '.join(map(str, units[:12]))}{', ...' if len(units) > 12 else ''}"
        return QueryError(
            f"Unit {unit} is not there: this sorting never had it, or what made it was undone.",
            hint=f"It has {count_of(len(units), 'unit')}: {shown}.",
        )

    def _check_split(self, entry: Entry) -> None:
        groups, n_spikes = entry.groups, len(self.spikes[entry.units[0]])
        if groups is None or groups.shape != (n_spikes,):
            given = "none" if groups is None else f"shape {groups.shape}"
            raise QueryError(f"A split of {n_spikes} spikes needs a group for each, not {given}.")
        if set(np.unique(groups).tolist()) != set(range(len(entry.new_units))) or (
            len(entry.new_units) < 2
        ):
            raise QueryError("A split gives spikes to each of two or more units.")


def replay(
    trains: Mapping[int, NDArray[np.int64]],
    entries: Sequence[Entry],
    labels: Mapping[int, str] | None = None,
) -> CuratedState:
    """Return the units after all entries of a log.

    Parameters
    ----------
    trains : mapping of int to ndarray of int64
        The sorter's units and their spike samples, in order; a train that no merge or split
        takes may be left empty.
    entries : sequence of Entry
        The log.
    labels : mapping of int to str, optional
        Labels that came with the sorting.

    Returns
    -------
    CuratedState

    Raises
    ------
    QueryError
        If an entry cannot be done.
    """
    ends = np.cumsum([len(train) for train in trains.values()], dtype="int64")
    samples = np.concatenate([np.empty(0, "int64"), *trains.values()])
    places = np.split(np.arange(len(samples)), ends[:-1])
    state = CuratedState(
        samples,
        dict(zip(trains, places, strict=False)),
        {unit: label for unit, label in (labels or {}).items() if unit in trains},
    )
    for number in active_entries(entries):
        state.do(entries[number])
    return state


def active_entries(entries: Sequence[Entry]) -> list[int]:
    """Return the places of the entries that hold: no undos, and none that was undone.

    Parameters
    ----------
    entries : sequence of Entry
        The log.
    """
    undone = {entry.undoes for entry in entries if entry.action == "undo"}
    return [n for n, e in enumerate(entries) if e.action != "undo" and n not in undone]


def next_unit(trains: Mapping[int, NDArray[np.int64]], entries: Sequence[Entry]) -> int:
    """Return the first number that no unit had before, those of undone entries included.

    Parameters
    ----------
    trains : mapping of int to ndarray
        The sorter's units.
    entries : sequence of Entry
        The log.
    """
    return max([-1, *trains, *(new for entry in entries for new in entry.new_units)]) + 1
