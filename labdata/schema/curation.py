"""Curation of a sorting: label, merge, split, undo, each kept in the log UnitCuration.

An entry has the next number of its sorting's log, which is part of its primary key. So who decides
on units that somebody else has just changed is told so, rather than both being written.
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..database.claims import utc_now
from ..errors import QueryError
from .curation_log import CuratedState, Entry, active_entries, next_unit, replay
from .unit_metrics import UnitData, compute_unit_metrics, recording_data


class Curation:
    """The curated units of one sorting, and what can be done to them.

    Made by :meth:`SpikeSorting.curation`.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : mapping
        Of SpikeSorting.

    Attributes
    ----------
    entries : list of Entry
        The log as it was read.
    state : CuratedState
        What follows from it.
    """

    def __init__(self, lab: Any, key: Mapping[str, Any]) -> None:
        self.lab, self.key = lab, dict(key)
        rows = (lab.SpikeSorting.Unit & key).fetch("unit_id", "spike_times", as_dict=True)
        rows.sort(key=lambda row: row["unit_id"])
        self._trains = {int(row["unit_id"]): row["spike_times"] for row in rows}
        self._labels = _sorters_labels((lab.SpikeSorting & key).fetch1("additional_params"))
        self.reload()

    def reload(self) -> None:
        """Read the log anew."""
        rows = (self.lab.UnitCuration & self.key).fetch(as_dict=True)
        rows.sort(key=lambda row: row["entry_num"])
        self.entries: list[Entry] = [_entry_of(row) for row in rows]
        self.state: CuratedState = replay(self._trains, self.entries, self._labels)

    def label(self, units: Sequence[int], label: str, *, note: str = "") -> None:
        """Give units a label: SUA, MUA, noise, good, ...

        Parameters
        ----------
        units : sequence of int
            Which.
        label : str
            What they are; empty takes their label away.
        note : str, optional
            Why.

        Raises
        ------
        QueryError
            If there is no such unit, or the log grew meanwhile.
        """
        self._append(Entry("label", _numbers(units), label=label), note)

    def merge(self, units: Sequence[int], *, note: str = "") -> int:
        """Make one unit of several.

        Parameters
        ----------
        units : sequence of int
            Two or more.
        note : str, optional
            Why.

        Returns
        -------
        int
            Number of the new unit.

        Raises
        ------
        QueryError
            If there is no such unit, or the log grew meanwhile.
        """
        new = next_unit(self._trains, self.entries)
        self._append(Entry("merge", _numbers(units), new_units=(new,)), note)
        return new

    def split(self, unit: int, groups: Any, *, note: str = "") -> tuple[int, ...]:
        """Make several units of one.

        Parameters
        ----------
        unit : int
            Which.
        groups : array_like, shape (n_spikes,)
            Of each spike, in the order of time: a mask, or numbers of groups. The first new unit
            has the spikes of the smallest number, or those where the mask is False.
        note : str, optional
            Why.

        Returns
        -------
        tuple of int
            Numbers of the new units.

        Raises
        ------
        QueryError
            If a group is empty or the spikes are not as many, or the log grew meanwhile.
        """
        values, places = np.unique(np.asarray(groups), return_inverse=True)
        first = next_unit(self._trains, self.entries)
        new = tuple(range(first, first + len(values)))
        entry = Entry("split", (int(unit),), new_units=new, groups=places.astype("int64"))
        self._append(entry, note)
        return new

    def undo(self, *, note: str = "") -> int:
        """Take back the last entry that holds.

        Parameters
        ----------
        note : str, optional
            Why.

        Returns
        -------
        int
            Its number in the log.

        Raises
        ------
        QueryError
            If nothing is left to undo, or the log grew meanwhile.
        """
        active = active_entries(self.entries)
        if not active:
            raise QueryError("There is nothing to undo in the log of this sorting.")
        self._append(Entry("undo", undoes=active[-1]), note)
        return active[-1]

    def units(self) -> list[dict[str, Any]]:
        """Return the curated units with their spikes.

        Returns
        -------
        list of dict
            ``unit_id``, ``label`` (or None), ``source_units`` (the sorter's units that its spikes
            are of), ``spike_times`` (int64 samples, in order), and ``spike_amplitudes`` and
            ``spike_positions`` as the sorting has them (None where a source has none).
        """
        columns = self._columns()
        ids, lengths = list(self._trains), [len(train) for train in self._trains.values()]
        source = np.repeat(np.array(ids, dtype="int64"), lengths)
        return [
            {
                "unit_id": unit,
                "label": self.state.labels.get(unit),
                "source_units": np.unique(source[places]).tolist(),
                "spike_times": self.state.samples[places],
                **{name: _at(columns[name], places, source) for name in columns},
            }
            for unit, places in sorted(self.state.spikes.items())
        ]

    def get_spike_times(self, *, warn: bool = True) -> list[dict[str, Any]]:
        """Return the spike times of the curated units in seconds, as of SpikeSorting.Unit.

        Parameters
        ----------
        warn : bool, optional
            Warn if the probe is not synchronised.

        Returns
        -------
        list of dict
            The sorting's key, ``unit_id``, ``label``, ``spike_times`` (float64 seconds on the
            clock that StreamSync names), ``clock``, ``clock_dataset`` and ``synced``.
        """
        from .spike_times import probe_maps, probe_stream
        from .synchrony import warn_unsynced

        ((clock, sample_map),) = probe_maps(self.lab, self.lab.SpikeSorting & self.key).values()
        if warn and not clock.synced:
            warn_unsynced([probe_stream(self.key)])
        on = {"clock": clock.name, "clock_dataset": clock.dataset, "synced": clock.synced}
        return [
            {
                **self.key,
                "unit_id": unit,
                "label": self.state.labels.get(unit),
                "spike_times": sample_map.apply(self.state.samples[places]),
                **on,
            }
            for unit, places in sorted(self.state.spikes.items())
        ]

    def metrics(self) -> list[dict[str, Any]]:
        """Return the metrics of the curated units, computed as UnitMetrics are.

        Returns
        -------
        list of dict
            ``unit_id``, ``label``, and the columns of UnitMetrics. A merged unit's waveform is
            the mean of its sources', weighted by their spikes. A part of a split has no waveform
            of its own, so that the numbers of the waveform are missing.
        """
        recording = recording_data(self.lab, self.key)
        rows = (self.lab.SpikeSorting.Waveforms & self.key).fetch(as_dict=True)
        waves = {int(row["unit_id"]): row for row in rows}
        found = []
        for unit in self.units():
            waveform, channels, noise = self._waveform(unit, waves, len(recording.coords_um))
            data = UnitData(
                unit["spike_times"],
                unit["spike_amplitudes"],
                unit["spike_positions"],
                waveform,
                channels,
                noise,
            )
            shown = {name: unit[name] for name in ("unit_id", "label")}
            found.append({**shown, **compute_unit_metrics(data, recording)})
        return found

    def _waveform(
        self, unit: dict[str, Any], waves: dict[int, dict[str, Any]], n_channels: int
    ) -> tuple[NDArray[Any] | None, NDArray[Any], float | None]:
        sources = unit["source_units"]
        n_spikes = {source: len(self._trains[source]) for source in sources}
        whole = sum(n_spikes.values()) == len(unit["spike_times"])
        if not whole or any(source not in waves for source in sources):
            return None, np.arange(n_channels), None
        total = np.zeros((len(waves[sources[0]]["waveform_median"]), n_channels))
        used: set[int] = set()
        for source in sources:
            row = waves[source]
            mine = row["waveform_channels"]
            mine = np.arange(n_channels) if mine is None else mine
            total[:, mine] += n_spikes[source] * row["waveform_median"]
            used |= set(mine.tolist())
        channels = np.array(sorted(used), dtype="int64")
        largest = max(sources, key=lambda source: n_spikes[source])
        mean = total[:, channels] / len(unit["spike_times"])
        return mean, channels, waves[largest]["waveform_noise"]

    def _columns(self) -> dict[str, dict[int, Any]]:
        names = ("spike_amplitudes", "spike_positions")
        rows = (self.lab.SpikeSorting.Unit & self.key).fetch("unit_id", *names, as_dict=True)
        by_unit = {int(row["unit_id"]): row for row in rows}
        return {n: {unit: by_unit[unit][n] for unit in self._trains} for n in names}

    def _append(self, entry: Entry, note: str) -> None:
        """Check an entry on the state, write it as the next of the log, and do it."""
        import datajoint as dj

        state = replay(self._trains, [*self.entries, entry], self._labels)
        number = len(self.entries)
        try:
            self.lab.UnitCuration.insert1(_row_of(self.lab, self.key, number, entry, note))
        except dj.errors.DuplicateError:
            grown = self.lab.UnitCuration & self.key & f"entry_num >= {number}"
            said = "; ".join(
                f"{row['curated_by']} {row['action']} {row['unit_ids']}"
                for row in grown.fetch(as_dict=True)
            )
            raise QueryError(
                f"The log of this sorting grew meanwhile: {said}. Nothing was written.",
                hint="`reload()` reads it; then decide again.",
            ) from None
        self.entries.append(entry)
        self.state = state


def _numbers(units: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(unit) for unit in units)


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


def _sorters_labels(params: Any) -> dict[int, str]:
    """Return the labels that came with an imported sorting; a person's go before the sorter's."""
    facts = json.loads(params) if isinstance(params, str) else params or {}
    labels = facts.get("labels") or {}
    merged = {**labels.get("KSLabel", {}), **labels.get("group", {})}
    return {int(unit): str(label) for unit, label in merged.items() if label != "unsorted"}


def _row_of(
    lab: Any, key: Mapping[str, Any], number: int, entry: Entry, note: str
) -> dict[str, Any]:
    preferences = lab.connection._preferences
    return {
        **key,
        "entry_num": number,
        "curated_by": (preferences.user if preferences.host else None) or getpass.getuser(),
        "entry_datetime": utc_now(),
        "action": entry.action,
        "unit_ids": list(entry.units),
        "new_unit_ids": list(entry.new_units),
        "label": entry.label,
        "spike_groups": entry.groups,
        "undoes": entry.undoes,
        "note": note,
    }


def _entry_of(row: dict[str, Any]) -> Entry:
    listed = {
        name: json.loads(row[name]) if isinstance(row[name], str) else row[name]
        for name in ("unit_ids", "new_unit_ids")
    }
    return Entry(
        row["action"],
        _numbers(listed["unit_ids"]),
        row["label"],
        _numbers(listed["new_unit_ids"]),
        row["spike_groups"],
        row["undoes"],
    )
