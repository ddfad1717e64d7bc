"""Columns of spikes that are read when they are looked at: amplitude, depth, sample number.

They are as large as the times or larger, and most analyses look at none of them. Each is a lazy
array: of a slice or a selection only the units that it touches are read. It stays one of the
sorting it was opened with: where the units have been sorted anew since, reading it is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from ..errors import QueryError

if TYPE_CHECKING:
    from ..schema.curated_units import CuratedUnits

#: Variable -> (attribute of SpikeSorting.Unit, column of it, dtype, unit).
SPIKE_COLUMNS: dict[str, tuple[str, int | None, str, str]] = {
    "sample_index": ("spike_times", None, "int64", "1"),
    "spike_amplitude": ("spike_amplitudes", None, "float32", "uV"),
    "spike_depth": ("spike_positions", 1, "float32", "um"),
    "spike_x": ("spike_positions", 0, "float32", "um"),
}


@dataclass(frozen=True, eq=False)
class StoredTrains:
    """Which spikes of which units a dataset holds, in its order.

    Attributes
    ----------
    lab : Lab
        The tables.
    key : dict
        Of SpikeSorting.
    unit_ids : ndarray of int32, shape (n_units,)
        Units, in the order of their spikes.
    n_stored : ndarray of int64, shape (n_units,)
        Spikes of each unit in the table.
    first : ndarray of int64, shape (n_units,)
        Which of them is the first that the dataset holds.
    offsets : ndarray of int64, shape (n_units + 1,)
        Where each unit's spikes begin in the dataset.
    curated : CuratedUnits or None
        Whose units they are; None: the sorter's.
    """

    lab: Any
    key: dict[str, Any]
    unit_ids: NDArray[np.int32]
    n_stored: NDArray[np.int64]
    first: NDArray[np.int64]
    offsets: NDArray[np.int64]
    curated: CuratedUnits | None = None

    def lazy_variables(self) -> dict[str, xr.Variable]:
        """Return the columns that are stored for every one of the units."""
        found = {}
        attributes = {attribute for attribute, *_ in SPIKE_COLUMNS.values()} - {"spike_times"}
        lacking = {one for one in attributes if self.unit_without(one) is not None}
        for name, (attribute, _, _, unit) in SPIKE_COLUMNS.items():
            if attribute not in lacking:
                data = indexing.LazilyIndexedArray(UnitColumn(self, name))
                found[name] = xr.Variable("spike", data, {"units": unit})
        return found

    def unit_without(self, attribute: str) -> int | None:
        """Return the label of the first unit that has no such column, None if all have it.

        Parameters
        ----------
        attribute : str
            Of SpikeSorting.Unit.
        """
        units = self.lab.SpikeSorting.Unit & self.key & f"{attribute} IS NULL"
        first = units.fetch("unit_id", limit=1).tolist()  # as a rule there is none, or all are
        if not first or (self.curated is None and first[0] in self.unit_ids):
            return first[0] if first else None
        without = set(units.fetch("unit_id").tolist())
        if self.curated is None:
            return min(without & set(self.unit_ids.tolist()), default=None)
        curated = self.curated
        return next((u for u in self.unit_ids.tolist() if without & set(curated.sources(u))), None)


class UnitColumn(BackendArray):
    """One column of spikes, read from the table by unit.

    Parameters
    ----------
    trains : StoredTrains
        The units.
    name : str
        Of :data:`SPIKE_COLUMNS`.
    """

    def __init__(self, trains: StoredTrains, name: str) -> None:
        self.trains, self.name = trains, name
        self.attribute, self.column, dtype, _ = SPIKE_COLUMNS[name]
        self.dtype = np.dtype(dtype)
        self.shape = (int(trains.offsets[-1]),)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.OUTER, self._read
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> UnitColumn:
        return self  # nothing of it changes

    def __reduce__(self) -> Any:
        trains = self.trains
        arrays = (trains.unit_ids, trains.n_stored, trains.first, trains.offsets)
        n_entries = None if trains.curated is None else len(trains.curated.rows)
        return _open_again, (trains.lab.project, trains.key, arrays, self.name, n_entries)

    def _read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        (wanted,) = key
        if isinstance(wanted, slice):
            start, stop, step = wanted.indices(self.shape[0])
            if step != 1:
                return self._read((np.arange(start, stop, step),))
            return self._span(start, max(start, stop))
        places = np.atleast_1d(wanted)
        if len(places) == 0:
            return np.empty(0, self.dtype)
        low, high = int(places.min()), int(places.max()) + 1
        found: NDArray[Any] = self._span(low, high)[places - low]
        return found if np.ndim(wanted) else found[0]  # a number, of a place that is one

    def _span(self, start: int, stop: int) -> NDArray[Any]:
        """Return the spikes from one place of the dataset to another."""
        trains, found = self.trains, np.empty(stop - start, self.dtype)
        begin = int(np.searchsorted(trains.offsets, start, "right")) - 1
        end = int(np.searchsorted(trains.offsets, stop, "left"))
        units = [u for u in range(begin, end) if trains.offsets[u] < trains.offsets[u + 1]]
        values = self._fetch(units)
        for unit in units:
            at = int(trains.offsets[unit])
            a, b = max(at, start), min(int(trains.offsets[unit + 1]), stop)
            shift = int(trains.first[unit]) - at
            found[a - start : b - start] = values[unit][a + shift : b + shift]
        return found

    def _fetch(self, units: list[int]) -> dict[int, NDArray[Any]]:
        """Return the column of some units; whole tables in one query, some units by their keys."""
        trains = self.trains
        query = trains.lab.SpikeSorting.Unit & trains.key
        ids = {int(trains.unit_ids[unit]): unit for unit in units}
        if len(units) < len(trains.unit_ids):
            query = query & [{"unit_id": label} for label in ids]
        rows = query.fetch("unit_id", self.attribute, as_dict=True)
        stored = {ids[r["unit_id"]]: r[self.attribute] for r in rows if r["unit_id"] in ids}
        if trains.curated is not None:
            made = [label for label, unit in ids.items() if unit not in stored]
            columns = trains.curated.column(self.attribute, made) if made else {}
            stored |= {ids[label]: values for label, values in columns.items()}
        for unit in units:
            values = stored.get(unit)
            if values is None or len(values) != trains.n_stored[unit]:
                raise QueryError(
                    f"Unit {trains.unit_ids[unit]} has {'no' if values is None else len(values)} "
                    f"{self.attribute} for {trains.n_stored[unit]} spikes.",
                    hint="Leave it out, or sort again. If it was sorted anew just now, call "
                    "labdata.spikes again.",
                )
        if self.column is None:
            return stored
        return {unit: values[:, self.column] for unit, values in stored.items()}


def _open_again(
    project: str | None,
    key: dict[str, Any],
    arrays: tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]],
    name: str,
    n_entries: int | None = None,
) -> UnitColumn:
    """Make a column in another process, on its own connection."""
    from ..schema import default_lab, load_project_schema
    from ..schema.curated_units import CuratedUnits

    lab = default_lab if default_lab.project == project else load_project_schema(project)
    curated = None if n_entries is None else CuratedUnits(lab, key, n_entries)
    return UnitColumn(StoredTrains(lab, key, *arrays, curated), name)
