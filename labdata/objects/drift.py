"""Spikes over time and depth: how tissue and probe move against each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from labdata.errors import ObjectError
from labdata.given import one_number
from labdata.objects._attrs import clock_attrs, require_kind
from labdata.objects._groups import positions, unit_labels

#: Spikes looked at together: their depths are read and let go.
_BLOCK = 1 << 21


def drift_map(
    spikes: xr.Dataset,
    time_bin_s: float = 1.0,
    depth_bin_um: float = 10.0,
    *,
    with_amplitude: bool = False,
) -> xr.Dataset:
    """Count spikes over time and depth.

    Parameters
    ----------
    spikes : xarray.Dataset
        Kind ``spikes`` with ``spike_depth``, read block by block where it is lazy.
    time_bin_s : float
        Width of a bin in time, seconds; the first begins at ``t_start``. The last ends after
        ``t_stop`` unless a whole number of bins fills the recording; ``time_observed`` tells how
        much of it was.
    depth_bin_um : float
        Height of a bin, um; bins begin at multiples of it.
    with_amplitude : bool
        Add ``amplitude`` (uV), the mean ``spike_amplitude`` in each bin, NaN where there is none.

    Returns
    -------
    xarray.Dataset
        Kind ``drift_map``: ``count`` (int64) over time and depth (both centres of bins). Spikes
        without a depth, and those before ``t_start`` or after ``t_stop``, are left out; the
        attributes ``spikes_without_depth`` and ``spikes_outside`` say how many.

    Raises
    ------
    ObjectError
        If spikes have no depth or amplitude, or a bin has no width.

    Examples
    --------
    >>> deep = spikes.assign(spike_depth=("spike", [100.0, 104.0, 500.0, 501.0, 520.0]))
    >>> found = labdata.drift_map(deep, 10.0, 200.0)
    >>> found["depth"].values.tolist(), found["count"].values.tolist()
    ([100.0, 300.0, 500.0], [[1, 0, 3], [1, 0, 0]])
    """
    require_kind(spikes, "spikes")
    wanted = ["spike_depth", *(["spike_amplitude"] if with_amplitude else [])]
    _check(spikes, wanted, time_bin_s, depth_bin_um)
    start, stop = float(spikes.attrs["t_start"]), float(spikes.attrs["t_stop"])
    n_time = max(1, int(np.ceil(round((stop - start) / time_bin_s, 9))))
    grid = _Grid(n_time, with_amplitude)
    known, n_without, n_outside = unit_labels(spikes), 0, 0
    for begin in range(0, spikes.sizes["spike"], _BLOCK):
        part = spikes.isel(spike=slice(begin, begin + _BLOCK))
        depth = np.asarray(part["spike_depth"].values, dtype=np.float64)
        ours = positions(np.asarray(part["spike_unit"].values, np.int32), known) >= 0
        n_without += int((ours & ~np.isfinite(depth)).sum())
        ours &= np.isfinite(depth)
        times = part["spike_time"].values
        inside = (times >= start) & (times <= stop)
        n_outside += int((ours & ~inside).sum())
        ours &= inside
        times = times[ours]
        # the last moment of the recording belongs to its last bin
        column = np.clip(((times - start) / time_bin_s).astype(np.int64), 0, n_time - 1)
        row = np.floor(depth[ours] / depth_bin_um).astype(np.int64)
        weight = part["spike_amplitude"].values[ours] if with_amplitude else None
        grid.add(column, row, weight)
    edges = start + np.arange(n_time + 1) * time_bin_s
    observed = np.minimum(edges[1:], stop) - edges[:-1]
    return _dataset(spikes, grid, edges, observed, depth_bin_um).assign_attrs(
        time_bin_s=float(time_bin_s),
        depth_bin_um=float(depth_bin_um),
        spikes_without_depth=n_without,
        spikes_outside=n_outside,
    )


@dataclass
class _Grid:
    """Counts by time and depth that grow with the depths that come."""

    n_time: int
    weighted: bool
    first_row: int = 0
    count: NDArray[np.int64] = field(init=False)
    weight: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.count = np.zeros((self.n_time, 0), dtype=np.int64)
        self.weight = np.zeros((self.n_time, 0))

    def add(self, column: NDArray[np.int64], row: NDArray[np.int64], weight: Any) -> None:
        """Count spikes by their bins in time and depth."""
        if len(row) == 0:
            return
        self._reach(int(row.min()), int(row.max()))
        n = self.count.shape[1]
        cell = column * n + (row - self.first_row)
        self.count += np.bincount(cell, minlength=self.count.size).reshape(self.count.shape)
        if self.weighted:
            sums = np.bincount(cell, weight, minlength=self.count.size)
            self.weight += sums.reshape(self.count.shape)

    def _reach(self, low: int, high: int) -> None:
        n = self.count.shape[1]
        if n == 0:
            self.first_row = low
        below = max(0, self.first_row - low)
        above = max(0, high + 1 - (self.first_row + n))
        if below or above:
            self.count = np.pad(self.count, ((0, 0), (below, above)))
            self.weight = np.pad(self.weight, ((0, 0), (below, above)))
            self.first_row -= below


def _check(spikes: xr.Dataset, wanted: list[str], time_bin_s: float, depth_bin_um: float) -> None:
    for name in wanted:
        if name not in spikes:
            raise ObjectError(
                f"The spikes have no {name}; they have: {', '.join(map(str, spikes.data_vars))}.",
                hint="The sorting did not store it for every unit; sort again, or leave out the "
                "units without it.",
            )
    time_bin_s = one_number(time_bin_s, "time_bin_s", ObjectError)
    depth_bin_um = one_number(depth_bin_um, "depth_bin_um", ObjectError)
    if not (time_bin_s > 0 and depth_bin_um > 0):
        raise ObjectError(
            f"Bins of {time_bin_s} s and {depth_bin_um} um have no size.",
            hint="Both are more than zero.",
        )


def _dataset(
    spikes: xr.Dataset,
    grid: _Grid,
    edges: NDArray[np.floating[Any]],
    observed: NDArray[np.floating[Any]],
    depth_bin_um: float,
) -> xr.Dataset:
    dims = ("time", "depth")
    rows = grid.first_row + np.arange(grid.count.shape[1])
    long_name = "how much of the bin the recording has"
    found = xr.Dataset(
        {"count": (dims, grid.count, {"units": "1", "long_name": "spikes in the bin"})},
        {
            "time": ("time", (edges[:-1] + edges[1:]) / 2, clock_attrs(spikes.attrs)),
            "depth": ("depth", (rows + 0.5) * depth_bin_um, {"units": "um"}),
            "time_observed": ("time", observed, {"units": "s", "long_name": long_name}),
        },
        {**spikes.attrs, "labdata_kind": "drift_map"},
    )
    if grid.weighted:
        mean = np.full(grid.count.shape, np.nan)
        np.divide(grid.weight, grid.count, out=mean, where=grid.count > 0)
        found["amplitude"] = (dims, mean, {"units": "uV", "long_name": "mean spike amplitude"})
    return found
