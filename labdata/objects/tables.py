"""Objects as tables of pandas, and back: a row a spike, an event, a trial or a unit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from labdata.errors import ObjectError
from labdata.objects._attrs import require_kind
from labdata.objects.validate import LAYOUT, validate

if TYPE_CHECKING:
    import pandas as pd

#: Kind -> what a row is.
_ROW = {"spikes": "spike", "events": "event", "trials": "trial", "aligned_spikes": "spike"}
#: Attribute of a table: what pandas does not keep of each column.
_COLUMNS = "labdata_columns"


def to_dataframe(ds: xr.Dataset, *, rows: str | None = None) -> pd.DataFrame:
    """Return an object as a table of pandas.

    Parameters
    ----------
    ds : xarray.Dataset
        Any labdata kind.
    rows : str, optional
        The dim whose entries are the rows, such as ``"unit"`` of spikes. Default: spikes, events
        and trials have a row each of these; other kinds a row for each value of their array.

    Returns
    -------
    pandas.DataFrame
        A column a variable. ``attrs`` keep the object's attributes, its clock among them, as long
        as pandas does: not in a CSV file.

    Raises
    ------
    ObjectError
        If it is no labdata object, or has no such dim.

    Examples
    --------
    >>> labdata.to_dataframe(spikes)["spike_unit"].value_counts().to_dict()
    {8: 3, 3: 2}
    >>> labdata.to_dataframe(spikes, rows="unit")["depth"].tolist()
    [100.0, 500.0]
    """
    import pandas as pd

    require_kind(ds, *LAYOUT)
    rows = rows or _ROW.get(str(ds.attrs["labdata_kind"]))
    if rows is None:
        return _long(ds)
    if rows not in ds.dims:
        raise ObjectError(
            f"The dataset has no dim {rows!r}; it has: {', '.join(map(str, ds.dims))}.",
            hint="Rows are the entries of one of them.",
        )
    columns = {str(n): v for n, v in ds.variables.items() if v.dims == (rows,)}
    table = pd.DataFrame({name: v.values for name, v in columns.items()})
    notes = {name: _note(v, name in ds.coords) for name, v in columns.items()}
    table.attrs = {**ds.attrs, "labdata_rows": rows, _COLUMNS: json.dumps(notes)}
    return table


def from_dataframe(table: pd.DataFrame, *, units: pd.DataFrame | None = None) -> xr.Dataset:
    """Return spikes, events or trials of a table that :func:`to_dataframe` made.

    Rows may have been taken away, put in another order or got new columns since.

    Parameters
    ----------
    table : pandas.DataFrame
        A row a spike, an event or a trial.
    units : pandas.DataFrame, optional
        A row a unit, of spikes; default the units that have spikes, without coordinates.

    Returns
    -------
    xarray.Dataset
        Kind ``spikes``, ``events`` or ``trials``.

    Raises
    ------
    ObjectError
        If the table lost its attributes, or breaks the data model.

    Examples
    --------
    >>> table, units = labdata.to_dataframe(spikes), labdata.to_dataframe(spikes, rows="unit")
    >>> labdata.from_dataframe(table, units=units).identical(spikes)
    True
    """
    kind = table.attrs.get("labdata_kind")
    if kind not in ("spikes", "events", "trials") or table.attrs["labdata_rows"] != _ROW[kind]:
        raise ObjectError(
            f"The table says that it is of kind {kind!r}, with a row "
            f"{table.attrs.get('labdata_rows')!r}; spikes, events and trials are made of tables.",
            hint="CSV files and some functions of pandas drop attrs: keep them, or make the "
            "object of its columns with labdata.objects.build_spikes and the like.",
        )
    variables, coords = _variables(table, _ROW[kind])
    if kind == "spikes":
        if units is None:
            labels = np.unique(np.asarray(table["spike_unit"], dtype=np.int32))
            coords["unit"] = xr.Variable("unit", labels, {"long_name": "unit label"})
        else:
            more, of_units = _variables(units, "unit")
            variables, coords = variables | more, coords | of_units
    own = ("labdata_rows", _COLUMNS)
    attrs = {k: v for k, v in table.attrs.items() if k not in own}
    found = xr.Dataset(variables, coords, attrs)
    validate(found)
    return found


def _long(ds: xr.Dataset) -> pd.DataFrame:
    """Return a row for each value of the arrays of several dims."""
    table = ds.reset_coords(drop=False).to_dataframe().reset_index()
    table.attrs = dict(ds.attrs)
    return table


def _note(variable: xr.Variable, is_coord: bool) -> dict[str, Any]:
    """Return what a column must have to become the variable again."""
    attrs = {
        str(k): [v.dtype.str, v.tolist()] if isinstance(v, np.ndarray) else v
        for k, v in variable.attrs.items()
    }
    return {"coord": is_coord, "dtype": variable.dtype.str, "attrs": attrs}


def _variables(
    table: pd.DataFrame, dim: str
) -> tuple[dict[Any, xr.Variable], dict[Any, xr.Variable]]:
    """Return the variables and coordinates that a table's columns are."""
    notes = json.loads(table.attrs.get(_COLUMNS, "{}"))
    variables: dict[Any, xr.Variable] = {}
    coords: dict[Any, xr.Variable] = {}
    for name in table.columns:
        note = notes.get(name, {"coord": False, "dtype": None, "attrs": {}})
        values = table[name].to_numpy()
        if note["dtype"] is None and values.dtype.kind == "O":
            values = values.astype(str)
        elif note["dtype"] is not None:
            values = values.astype(note["dtype"])
        attrs = {
            k: np.array(v[1], dtype=v[0]) if isinstance(v, list) else v
            for k, v in note["attrs"].items()
        }
        (coords if note["coord"] else variables)[name] = xr.Variable(dim, values, attrs)
    return variables, coords
