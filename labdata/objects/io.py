"""Save objects as netCDF or Zarr and load the same objects again.

On disk, spikes follow the CF convention for contiguous ragged arrays: ``row_size`` a unit instead
of a label a spike, which is compact and makes one unit one slice for any other program. Loading
rebuilds the labels. Spikes that a user left in another order, or without their units, are stored
with their labels, so that nothing is lost or changed by saving.
"""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import numpy as np
import xarray as xr

from labdata.errors import ObjectError
from labdata.objects._attrs import require_kind
from labdata.objects._zarr import read_zarr, write_zarr
from labdata.objects.validate import LAYOUT, validate

_SUFFIXES = {".nc": "netcdf", ".nc4": "netcdf", ".h5": "netcdf", ".zarr": "zarr"}


def save(ds: xr.Dataset, path: str | Path, *, overwrite: bool = False) -> Path:
    """Save a labdata object.

    The file appears under its name only when it is complete.

    Parameters
    ----------
    ds : xarray.Dataset
        Any labdata kind.
    path : str or Path
        ``.nc``, ``.nc4`` or ``.h5`` for netCDF4, ``.zarr`` for a Zarr folder.
    overwrite : bool
        Replace what is there.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    ObjectError
        If the dataset breaks the data model, the suffix is unknown, or the path exists.

    Examples
    --------
    >>> path = labdata.save(spikes, folder / "spikes.nc")
    >>> labdata.load(path).identical(spikes)
    True
    """
    path = Path(path)
    form = _form(path)
    require_kind(ds, *LAYOUT)
    validate(ds, full=False)
    if path.exists() and not overwrite:
        raise ObjectError(f"{path} exists.", hint="Pass overwrite=True or choose another name.")
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = _to_rows(ds)
    stored = stored.drop_encoding()
    for name in stored.variables:
        stored[name].encoding["_FillValue"] = None
    part = path.with_name(f".{path.stem}-{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        if form == "netcdf":
            stored.to_netcdf(part, engine="h5netcdf")
        else:
            write_zarr(stored, part)
        if path.is_dir():
            shutil.rmtree(path)
        part.replace(path)
    finally:
        if part.is_dir():
            shutil.rmtree(part)
        part.unlink(missing_ok=True)
    return path


def load(path: str | Path) -> xr.Dataset:
    """Load a labdata object that :func:`save` wrote.

    Parameters
    ----------
    path : str or Path
        netCDF file or Zarr folder.

    Returns
    -------
    xarray.Dataset
        In memory, identical to what was saved.

    Raises
    ------
    ObjectError
        If there is nothing there, the suffix is unknown, or it breaks the data model.

    Examples
    --------
    >>> labdata.load("spikes.nc")  # doctest: +SKIP
    """
    path = Path(path)
    form = _form(path)
    if not path.exists():
        raise ObjectError(f"{path} does not exist.", hint="Check the name and the folder.")
    if form == "netcdf":
        with xr.open_dataset(
            path, engine="h5netcdf", decode_times=False, mask_and_scale=False
        ) as found:
            ds = found.load()
    else:
        ds = read_zarr(path)
    ds = _from_rows(_as_text(ds)).drop_encoding()
    ds.attrs = {k: v.item() if isinstance(v, np.generic) else v for k, v in ds.attrs.items()}
    validate(ds, full=False)
    return ds


def _form(path: Path) -> str:
    if path.suffix not in _SUFFIXES:
        raise ObjectError(
            f"{path.name} ends in {path.suffix!r}, which is no format labdata writes.",
            hint=f"Use one of {', '.join(_SUFFIXES)}.",
        )
    return _SUFFIXES[path.suffix]


def _to_rows(ds: xr.Dataset) -> xr.Dataset:
    """Replace labels a spike by a count a unit, where that says the same."""
    if ds.attrs["labdata_kind"] != "spikes":
        return ds.copy()
    units, labels = ds["unit"].values, ds["spike_unit"].values
    values, counts = np.unique(labels, return_counts=True)
    count_of = dict(zip(values.tolist(), counts.tolist(), strict=True))
    rows = np.array([count_of.get(u, 0) for u in units.tolist()], dtype=np.int64)
    if rows.sum() != len(labels) or not np.array_equal(np.repeat(units, rows), labels):
        return ds.copy()
    kept = {f"spike_unit_{k}": v for k, v in ds["spike_unit"].attrs.items()}
    row_size = ("unit", rows, {"sample_dimension": "spike", **kept})
    return ds.drop_vars("spike_unit").assign(row_size=row_size)


def _from_rows(ds: xr.Dataset) -> xr.Dataset:
    if ds.attrs.get("labdata_kind") != "spikes" or "row_size" not in ds:
        return ds
    labels = np.repeat(ds["unit"].values, ds["row_size"].values).astype(np.int32)
    attrs = {
        str(k).removeprefix("spike_unit_"): v
        for k, v in ds["row_size"].attrs.items()
        if str(k).startswith("spike_unit_")
    }
    return ds.drop_vars("row_size").assign(spike_unit=("spike", labels, attrs))


def _as_text(ds: xr.Dataset) -> xr.Dataset:
    """Give text back its fixed width: files return it as Python objects."""
    changed = {}
    for name, variable in ds.variables.items():
        if variable.dtype.kind in "OT":
            changed[name] = (variable.dims, variable.values.astype(str), variable.attrs)
    coords = {n: v for n, v in changed.items() if n in ds.coords}
    return ds.assign_coords(coords).assign({n: v for n, v in changed.items() if n not in coords})
