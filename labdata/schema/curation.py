"""Curation of a sorting: label, merge, split, undo, each kept in the log UnitCuration.

An entry has the next number of its sorting's log, which is part of its primary key. So who decides
on units that somebody else has just changed is told so, rather than both being written.
"""

from __future__ import annotations

import getpass
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import QueryError
from .curated_metrics import curated_metrics
from .curated_units import CuratedUnits
from .curation_log import Entry, active_entries, next_unit


class Curation(CuratedUnits):
    """The curated units of one sorting, and what can be done to them.

    Made by :meth:`SpikeSorting.curation`. See :class:`CuratedUnits` for its parameters and
    attributes.
    """

    def reload(self) -> None:
        """Read the log anew."""
        self._read_log()

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
        units = self.unit_ids.tolist()
        names = ("spike_times", "spike_amplitudes", "spike_positions")
        columns = {name: self.column(name, units) for name in names}
        return [
            {
                "unit_id": unit,
                "label": self.state.labels.get(unit),
                "source_units": self.sources(unit),
                **{name: columns[name][unit] for name in names},
            }
            for unit in units
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
        from .placed_trains import place_trains
        from .spike_times import probe_maps, probe_stream
        from .synchrony import warn_unsynced

        ((clock, sample_map),) = probe_maps(self.lab, [self.key]).values()
        if warn and not clock.synced:
            warn_unsynced([probe_stream(self.key)])
        heads = self.heads()
        placed = place_trains(self.trains(heads), itertools.repeat(sample_map))
        on = {"clock": clock.name, "clock_dataset": clock.dataset, "synced": clock.synced}
        return [
            {
                **self.key,
                "unit_id": unit,
                "label": self.state.labels.get(unit),
                "spike_times": seconds,
                **on,
            }
            for unit, seconds in zip(heads.unit_ids.tolist(), placed.seconds, strict=True)
        ]

    def metrics(self) -> list[dict[str, Any]]:
        """Return the metrics of the curated units; see :func:`curated_metrics`.

        Waveforms of parts of splits are measured in the recording, seconds a unit.

        Returns
        -------
        list of dict
            ``unit_id``, ``label``, and the columns of UnitMetrics.
        """
        return [
            {"unit_id": unit, "label": self.state.labels.get(unit), **metrics}
            for unit, metrics in curated_metrics(self, measure=True).items()
        ]

    def _append(self, entry: Entry, note: str) -> None:
        """Check an entry on the state, write it as the next of the log, and do it."""
        import datajoint as dj

        state = self._replay([*self.entries, entry])
        number = len(self.entries)
        row = _row_of(self.lab, self.key, number, entry, note)
        try:
            self.lab.UnitCuration.insert1(row)
        except dj.errors.DuplicateError:
            grown = self.lab.UnitCuration & self.key & f"entry_num >= {number}"
            said = "; ".join(
                f"{self.who(row)} {row['action']} {row['unit_ids']}"
                for row in grown.fetch(as_dict=True)
            )
            raise QueryError(
                f"The log of this sorting grew meanwhile: {said}. Nothing was written.",
                hint="`reload()` reads it; then decide again.",
            ) from None
        own = self.lab.UnitCuration & self.key & {"entry_num": number}
        self.rows.append(own.fetch1())  # with what the server wrote
        self.entries.append(entry)
        self.state = state


def _numbers(units: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(unit) for unit in units)


def _row_of(
    lab: Any, key: Mapping[str, Any], number: int, entry: Entry, note: str
) -> dict[str, Any]:
    preferences = lab.connection._preferences
    return {
        **key,
        "entry_num": number,
        "curated_by": (preferences.user if preferences.host else None) or getpass.getuser(),
        "action": entry.action,
        "unit_ids": list(entry.units),
        "new_unit_ids": list(entry.new_units),
        "label": entry.label,
        "spike_groups": entry.groups,
        "undoes": entry.undoes,
        "note": note,
    }
