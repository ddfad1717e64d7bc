"""Join the spikes or the events of several streams, which must be on one clock."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from labdata.errors import ObjectError
from labdata.objects._attrs import plain, require_kind, whose_clock
from labdata.objects._groups import positions, unit_labels
from labdata.objects.selecting import tidy


def concat_spikes(datasets: Sequence[xr.Dataset]) -> xr.Dataset:
    """Join the units of several streams, giving each a label of its own.

    Parameters
    ----------
    datasets : sequence of xarray.Dataset
        Kind ``spikes``, on one clock.

    Returns
    -------
    xarray.Dataset
        Units 0, 1, ...; coordinates ``stream`` and ``stream_unit`` keep where each came from.
        Variables and coordinates that not all datasets have are left out.

    Raises
    ------
    ObjectError
        If there is none, their clocks differ, or some have curated units and some the sorter's.

    Examples
    --------
    >>> both = labdata.concat_spikes([spikes, spikes])
    >>> both.unit.values.tolist(), both.stream_unit.values.tolist()
    ([0, 1, 2, 3], [3, 8, 3, 8])
    """
    _check_any(datasets)
    _check_one_clock(datasets, "datasets")
    _check_alike_curated(datasets)
    parts, base = [], 0
    for ds in map(tidy, datasets):
        parts.append(_renumbered(ds, base))
        base += ds.sizes["unit"]
    joined = _joined_variables(parts)
    joined.attrs = _joined_attrs(parts)
    return tidy(joined)


def _renumbered(ds: xr.Dataset, base: int) -> xr.Dataset:
    """Label the units from ``base`` on; each keeps its stream and its label there."""
    labels = unit_labels(ds)
    new = base + np.arange(len(labels), dtype=np.int32)
    of_spike = new[positions(ds["spike_unit"].values, labels)]
    stream = np.full(len(labels), str(ds.attrs["stream"]))
    part = ds.assign_coords(
        unit=("unit", new, ds["unit"].attrs),
        stream=("unit", stream),
        stream_unit=("unit", labels),
    )
    return part.assign(spike_unit=("spike", of_spike, ds["spike_unit"].attrs))


def _joined_variables(parts: list[xr.Dataset]) -> xr.Dataset:
    """Join what all parts have: variables a unit by unit, variables a spike by spike."""
    shared = set.intersection(*({str(n) for n in p.variables} for p in parts))
    parts = [p.drop_vars([n for n in p.variables if n not in shared]) for p in parts]
    names = {d: [n for n in parts[0].variables if parts[0][n].dims == (d,)] for d in parts[0].dims}
    by_unit = xr.concat([p[names["unit"]] for p in parts], dim="unit")
    flat = [p[names["spike"]].drop_vars("unit", errors="ignore") for p in parts]
    return xr.merge([xr.concat(flat, dim="spike"), by_unit], combine_attrs="override")


def _joined_attrs(parts: list[xr.Dataset]) -> dict[str, Any]:
    """Attributes that agree stay; spans and sync counts cover all streams."""
    first = parts[0].attrs
    attrs = {k: v for k, v in first.items() if all(p.attrs.get(k) == v for p in parts)}
    attrs["stream"] = ",".join(str(p.attrs["stream"]) for p in parts)
    attrs["synced"] = min(int(p.attrs.get("synced", 0)) for p in parts)
    attrs["t_start"] = min(float(p.attrs["t_start"]) for p in parts)
    attrs["t_stop"] = max(float(p.attrs["t_stop"]) for p in parts)
    for name in ("sync_residual_max_s", "sync_ambiguous_offset"):
        if any(name in p.attrs for p in parts):
            attrs[name] = max(plain(p.attrs.get(name, 0)) for p in parts)
    for name in ("stream_sync_n_dropped", "stream_sync_n_spurious", "stream_n_extrapolated"):
        if any(name in p.attrs for p in parts):
            attrs[name] = sum(int(p.attrs.get(name, 0)) for p in parts)
    notes = [
        f"{p.attrs['stream']}: {p.attrs['sync_note']}" for p in parts if "sync_note" in p.attrs
    ]
    return attrs | ({"sync_note": " ".join(notes)} if notes else {}) | _reports(parts)


def _reports(parts: Sequence[xr.Dataset]) -> dict[str, str]:
    """Return the attribute with the sync reports of all parts, by stream, as each has its own."""
    known: dict[str, Any] = {}
    for part in parts:
        known |= json.loads(str(part.attrs.get("sync_report", "{}")))
    return {"sync_report": json.dumps(known)} if known else {}


def concat_events(datasets: Sequence[xr.Dataset]) -> xr.Dataset:
    """Join the events of several streams that are on one clock, sorted by time.

    Parameters
    ----------
    datasets : sequence of xarray.Dataset
        Kind ``events``.

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    ObjectError
        If there is none, or their clocks differ.
    """
    _check_any(datasets)
    for ds in datasets:
        require_kind(ds, "events")
    _check_one_clock(datasets, "events")
    joined = xr.concat(datasets, dim="event", combine_attrs="drop_conflicts")
    streams = dict.fromkeys(str(ds.attrs["stream"]) for ds in datasets)
    notes = [str(ds.attrs["sync_note"]) for ds in datasets if "sync_note" in ds.attrs]
    attrs: dict[str, Any] = {
        "stream": ",".join(streams),
        "synced": min(int(ds.attrs["synced"]) for ds in datasets),
    }
    if notes:
        attrs["sync_note"] = " ".join(notes)
    joined = joined.assign_attrs(attrs | _reports(datasets))
    return joined.isel(event=np.argsort(joined["event_time"].values, kind="stable"))


def _check_any(datasets: Sequence[xr.Dataset]) -> None:
    if not datasets:
        raise ObjectError("There is no dataset to join.", hint="Pass at least one.")


def _check_one_clock(datasets: Sequence[xr.Dataset], what: str) -> None:
    clocks = sorted({whose_clock(ds.attrs) for ds in datasets})
    if len(clocks) > 1:
        raise ObjectError(
            f"The {what} are on different clocks: {', '.join(clocks)}.",
            hint="Synchronise all of them to one clock first.",
        )


def _check_alike_curated(datasets: Sequence[xr.Dataset]) -> None:
    if {int(ds.attrs["curated"]) for ds in datasets if "curated" in ds.attrs} == {0, 1}:
        raise ObjectError(
            "Some datasets have curated units and some the units of the sorter.",
            hint="Get all with curated=True, or none.",
        )
