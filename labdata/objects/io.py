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
from typing import Literal

import numpy as np
import xarray as xr

from labdata.errors import ObjectError
from labdata.objects._attrs import require_kind
from labdata.objects._zarr import read_zarr, write_zarr
from labdata.objects.validate import LAYOUT, validate

#: ``labdata_kind`` of a tree with what was recorded in one session.
SESSION = "session"
_SUFFIXES = {".nc": "netcdf", ".nc4": "netcdf", ".h5": "netcdf", ".zarr": "zarr"}


def save(ds: xr.Dataset | xr.DataTree, path: str | Path, *, overwrite: bool = False) -> Path:
    """Save a labdata object, or a whole session.

    The file appears under its name only when it is complete.

    Parameters
    ----------
    ds : xarray.Dataset or xarray.DataTree
        Any labdata kind; or a tree of them (:func:`labdata.session_tree`), a group each.
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
    nodes = _nodes(ds)
    if path.exists() and not overwrite:
        raise ObjectError(f"{path} exists.", hint="Pass overwrite=True or choose another name.")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}-{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        for group, node in nodes.items():
            _write(node, part, group, form)
        if path.is_dir():
            shutil.rmtree(path)
        part.replace(path)
    finally:
        if part.is_dir():
            shutil.rmtree(part)
        part.unlink(missing_ok=True)
    return path


def load(path: str | Path) -> xr.Dataset | xr.DataTree:
    """Load a labdata object that :func:`save` wrote.

    Parameters
    ----------
    path : str or Path
        netCDF file or Zarr folder.

    Returns
    -------
    xarray.Dataset or xarray.DataTree
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
    nodes = {group: _restored(ds) for group, ds in _read(path, form).items()}
    root = nodes["/"]
    if root.attrs.get("labdata_kind") == SESSION:
        return xr.DataTree.from_dict(nodes)
    validate(root, full=False)
    return root


def _nodes(ds: xr.Dataset | xr.DataTree) -> dict[str, xr.Dataset]:
    """Return what is saved, by group, each checked."""
    if not isinstance(ds, xr.DataTree):
        require_kind(ds, *LAYOUT)
        validate(ds, full=False)
        return {"/": ds}
    if ds.attrs.get("labdata_kind") != SESSION:
        raise ObjectError(
            f"The tree is of kind {ds.attrs.get('labdata_kind')!r}, not {SESSION!r}.",
            hint="labdata.session_tree makes one; assign_attrs keeps its kind.",
        )
    nodes = {node.path: node.to_dataset(inherit=False) for node in ds.subtree}
    for node in nodes.values():
        if node.variables:
            validate(node, full=False)
    return nodes


def _write(ds: xr.Dataset, part: Path, group: str, form: str) -> None:
    """Add one group to a file or folder."""
    stored = _to_rows(ds).drop_encoding()
    for name in stored.variables:
        stored[name].encoding["_FillValue"] = None
    if form == "zarr":
        write_zarr(stored, part / group.lstrip("/"))
        return
    mode: Literal["w", "a"] = "a" if part.exists() else "w"
    stored.to_netcdf(part, engine="h5netcdf", group=group, mode=mode)


def _read(path: Path, form: str) -> dict[str, xr.Dataset]:
    """Return every group that is there, in memory."""
    if form == "zarr":
        folders = [path, *sorted(mark.parent for mark in path.glob("**/*/.zgroup"))]
        names = ["/" + f.relative_to(path).as_posix().removeprefix(".") for f in folders]
        return {name: read_zarr(f) for name, f in zip(names, folders, strict=True)}
    found = xr.open_groups(path, engine="h5netcdf", decode_times=False, mask_and_scale=False)
    try:
        return {str(group): ds.load() for group, ds in found.items()}
    finally:
        for ds in found.values():
            ds.close()


def _restored(ds: xr.Dataset) -> xr.Dataset:
    """Return a dataset as it was before it was stored."""
    ds = _from_rows(_as_text(ds)).drop_encoding()
    ds.attrs = {k: v.item() if isinstance(v, np.generic) else v for k, v in ds.attrs.items()}
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
    if ds.attrs.get("labdata_kind") != "spikes":
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
