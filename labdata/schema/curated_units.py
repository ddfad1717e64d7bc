"""The units of a sorting after its log of curation, with no more spikes read than it takes.

A merge or split makes units of the sorter's, which then are there no more. Only the trains of
those are read to replay the log; all other units are the sorter's own, as they are stored.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..database.codecs import decode_array
from .curation_log import CuratedState, Entry, active_entries, replay
from .spike_trains import TrainHeads, read_heads, read_trains

if TYPE_CHECKING:
    from .curated_waveforms import UnitWaveform


class CuratedUnits:
    """The units of one sorting as they are after some entries of its log.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : mapping
        Of SpikeSorting.
    n_entries : int, optional
        How many entries of the log are considered; by default all there are. As the log only
        grows, the same number gives the same units for good.

    Attributes
    ----------
    rows : list of dict
        The log, as UnitCuration has it, in order.
    entries : list of Entry
        The same, to be done.
    state : CuratedState
        What follows from it; spikes of units that no merge or split touched are not in it.
    measured : dict of int to UnitWaveform
        Waveforms of made units that were measured in the recording; see
        :func:`labdata.schema.curated_waveforms.curated_waveforms`.
    """

    def __init__(self, lab: Any, key: Mapping[str, Any], n_entries: int | None = None) -> None:
        self.lab, self.key = lab, dict(key)
        self.measured: dict[int, UnitWaveform] = {}
        self.stored = read_heads(lab.SpikeSorting.Unit & self.key)
        self._sorters_labels = _labels_of(
            (lab.SpikeSorting & self.key).fetch1("additional_params")
        )
        self._trains: dict[int, NDArray[np.int64]] = {
            unit: np.empty(0, "int64") for unit in self.stored.unit_ids.tolist()
        }
        self._read: set[int] = set()
        self._read_log(n_entries)

    def who(self, row: Mapping[str, Any]) -> str:
        """Return who made an entry: the name that it gives, and the account if that is another.

        Parameters
        ----------
        row : mapping
            Of the log.

        Returns
        -------
        str
            ``kim``, or ``kim (account lee)``. On the embedded database, which has one account,
            the name; of an entry from before accounts were kept, ``kim (not verified)``.
        """
        name, account = str(row["curated_by"]), row["account"]
        if self.lab.connection.embedded:
            return name
        if account is None:
            return f"{name} (not verified)"
        account = account.removesuffix("@%")
        return name if account == name else f"{name} (account {account})"

    def _read_log(self, n_entries: int | None = None) -> None:
        rows = (self.lab.UnitCuration & self.key).fetch(as_dict=True)
        rows.sort(key=lambda row: row["entry_num"])
        self.rows: list[dict[str, Any]] = rows[:n_entries]
        self.entries: list[Entry] = [_entry_of(row) for row in self.rows]
        self.state: CuratedState = self._replay(self.entries)

    def _replay(self, entries: Sequence[Entry]) -> CuratedState:
        """Do a log, after the trains that its merges and splits take have been read."""
        made = [entries[n] for n in active_entries(entries) if entries[n].new_units]
        touched = {unit for entry in made for unit in entry.units} & set(self._trains)
        self._read_trains(touched - self._read)
        return replay(self._trains, entries, self._sorters_labels)

    def _read_trains(self, units: Iterable[int]) -> None:
        at = np.flatnonzero(np.isin(self.stored.unit_ids, list(units)))
        heads = self.stored.take(at)
        found = read_trains(self.lab, self.key, heads)
        for unit, train in zip(heads.unit_ids.tolist(), found, strict=True):
            self._trains[unit] = decode_array(train)
            self._read.add(unit)

    @property
    def unit_ids(self) -> NDArray[np.int32]:
        """Labels of the curated units, int32 (n_units,), ascending."""
        return np.array(sorted(self.state.spikes), dtype="int32")

    @property
    def made_by(self) -> dict[int, str]:
        """Units that the sorter did not find, and what made each: ``merge`` or ``split``."""
        holds = (self.entries[n] for n in active_entries(self.entries))
        found = {new: str(entry.action) for entry in holds for new in entry.new_units}
        return {unit: action for unit, action in found.items() if unit in self.state.spikes}

    def sources(self, unit: int) -> list[int]:
        """Return the sorter's units that the spikes of a curated unit are of.

        Parameters
        ----------
        unit : int
            Its label.
        """
        if unit in self._trains:
            return [unit]
        found: list[int] = np.unique(self._source()[self.state.spikes[unit]]).tolist()
        return found

    def is_whole(self, unit: int) -> bool:
        """Return whether a unit has all spikes of all of its sources.

        Parameters
        ----------
        unit : int
            Its label.
        """
        if unit in self._trains:
            return True
        n_spikes = sum(len(self._trains[source]) for source in self.sources(unit))
        return n_spikes == len(self.state.spikes[unit])

    def heads(self) -> TrainHeads:
        """Return how long the trains of the curated units are."""
        units = self.unit_ids
        stored = self.stored
        values = zip(stored.n_spikes, stored.n_bytes, stored.crc, strict=True)
        known = dict(zip(stored.unit_ids.tolist(), values, strict=True))
        rows = [known.get(u, (len(self.state.spikes[u]), 0, 0)) for u in units.tolist()]
        return TrainHeads(units, *np.array(rows, dtype="int64").reshape(-1, 3).T)

    def trains(self, heads: TrainHeads) -> Iterator[bytes | NDArray[np.int64]]:
        """Yield the trains of curated units: as stored, or the samples of those that were made.

        Parameters
        ----------
        heads : TrainHeads
            Of the units that are wanted, ascending; made units have numbers above all others.

        Raises
        ------
        QueryError
            If the units are others by now.
        """
        stored = np.flatnonzero(np.isin(heads.unit_ids, self.stored.unit_ids))
        made = heads.unit_ids[len(stored) :].tolist()
        return itertools.chain(
            read_trains(self.lab, self.key, heads.take(stored)),
            (self.state.samples[self.state.spikes[unit]] for unit in made),
        )

    def column(self, attribute: str, units: Iterable[int]) -> dict[int, Any]:
        """Return a column of SpikeSorting.Unit of curated units.

        Parameters
        ----------
        attribute : str
            Of a value a spike: ``spike_amplitudes``, ``spike_positions`` or ``spike_times``.
        units : iterable of int
            Their labels.

        Returns
        -------
        dict of int to ndarray, shape (n_spikes, ...)
            None where a source has none.
        """
        units = list(units)
        wanted = {source for unit in units for source in self.sources(unit)}
        chosen = [{"unit_id": unit} for unit in sorted(wanted)]
        rows = (self.lab.SpikeSorting.Unit & self.key & chosen).fetch(
            "unit_id", attribute, as_dict=True
        )
        stored = {int(row["unit_id"]): row[attribute] for row in rows}
        source = self._source()
        return {
            unit: stored[unit]
            if unit in self._trains
            else _at(stored, self.state.spikes[unit], source)
            for unit in units
        }

    def _source(self) -> NDArray[np.int64]:
        """Return which unit each spike of the state is of."""
        lengths = [len(train) for train in self._trains.values()]
        return np.repeat(np.array(list(self._trains), dtype="int64"), lengths)


def _at(of_units: dict[int, Any], places: NDArray[np.int64], source: NDArray[np.int64]) -> Any:
    """Return a column of the spikes at some places; None where one of the sources has none."""
    own = source[places]
    units = np.unique(own).tolist()
    if not units or any(of_units[unit] is None for unit in units):
        return None
    found = np.empty((len(places), *of_units[units[0]].shape[1:]), of_units[units[0]].dtype)
    for unit in units:
        start = int(np.searchsorted(source, unit))
        found[own == unit] = of_units[unit][places[own == unit] - start]
    return found


def _labels_of(params: Any) -> dict[int, str]:
    """Return the labels that came with an imported sorting; a person's go before the sorter's."""
    facts = json.loads(params) if isinstance(params, str) else params or {}
    labels = facts.get("labels") or {}
    merged = {**labels.get("KSLabel", {}), **labels.get("group", {})}
    return {int(unit): str(label) for unit, label in merged.items() if label != "unsorted"}


def _entry_of(row: dict[str, Any]) -> Entry:
    listed = {
        name: tuple(json.loads(row[name]) if isinstance(row[name], str) else row[name])
        for name in ("unit_ids", "new_unit_ids")
    }
    return Entry(
        row["action"],
        listed["unit_ids"],
        row["label"],
        listed["new_unit_ids"],
        row["spike_groups"],
        row["undoes"],
    )
