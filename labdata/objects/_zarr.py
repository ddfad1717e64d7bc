"""Write and read a dataset as a Zarr v2 group, in the layout that xarray itself uses.

xarray's own Zarr backend asks for zarr 3 from 2025 on, while labdata keeps to zarr 2 for its
compressed recordings. The layout is small: an array a variable with its dims in
``_ARRAY_DIMENSIONS``, and the names of the coordinates that index nothing in ``coordinates``. Any
xarray with any zarr opens it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

_DIMS = "_ARRAY_DIMENSIONS"
#: Values a chunk.
_CHUNK = 2**20


def write_zarr(ds: xr.Dataset, path: Path) -> None:
    """Write a dataset to a new Zarr folder.

    Parameters
    ----------
    ds : xarray.Dataset
        Numbers, booleans and text; text is stored with a fixed width.
    path : Path
        Folder to make.
    """
    import zarr

    root = zarr.open_group(str(path), mode="w")
    root.attrs.update({k: _json(v) for k, v in ds.attrs.items()})
    others = [str(n) for n in ds.coords if (str(n),) != ds[n].dims]
    if others:
        root.attrs["coordinates"] = " ".join(others)
    for name, variable in ds.variables.items():
        values = np.asarray(variable.values)
        if values.dtype.kind in "OT":
            values = values.astype(str)
        if values.dtype.kind == "U" and values.dtype.itemsize == 0:
            values = values.astype("U1")
        array = root.create_dataset(
            str(name),
            data=values,
            shape=values.shape,
            dtype=values.dtype,
            chunks=tuple(max(1, min(n, _CHUNK)) for n in values.shape),
            fill_value=None,
        )
        notes = {str(k): _json(v) for k, v in variable.attrs.items()}
        array.attrs.update(notes | {_DIMS: [str(d) for d in variable.dims]})
    zarr.consolidate_metadata(str(path))


def read_zarr(path: Path) -> xr.Dataset:
    """Read a dataset that :func:`write_zarr` wrote.

    Parameters
    ----------
    path : Path
        Zarr folder.

    Returns
    -------
    xarray.Dataset
        In memory.
    """
    import zarr

    root = zarr.open_group(str(path), mode="r")
    variables = {}
    for name, array in root.arrays():
        attrs = dict(array.attrs)
        dims = attrs.pop(_DIMS)
        for flag in ("flag_values", "flag_masks"):
            if flag in attrs:
                attrs[flag] = np.array(attrs[flag], dtype=array.dtype)
        variables[name] = (dims, array[...], attrs)
    attrs = dict(root.attrs)
    others = set(str(attrs.pop("coordinates", "")).split())
    coords = {n: v for n, v in variables.items() if n in others or list(v[0]) == [n]}
    data = {n: v for n, v in variables.items() if n not in coords}
    return xr.Dataset(data, coords, attrs)


def _json(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value
