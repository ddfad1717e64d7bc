"""The table of units: what a spikes dataset says of each unit, under fixed names.

Coordinates differ between sources (a sorting with metrics, one without, spikes built by hand).
What is not given but follows from the spikes is computed here and nowhere else; what does not
follow stays NaN and is shown as a dash, never as a zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray


@dataclass(frozen=True)
class Column:
    """A column of the units table.

    Attributes
    ----------
    name : str
        Name in the table, with its unit of measurement.
    title, unit : str
        Heading and unit of measurement; an empty unit for counts and labels.
    digits : int
        Decimals shown.
    explanation : str
        Shown on hover.
    """

    name: str
    title: str
    unit: str
    digits: int
    explanation: str


COLUMNS = (
    Column("unit", "unit", "", 0, "Label of the unit in its sorting."),
    Column("shank", "shank", "", 0, "Shank of the probe."),
    Column("depth_um", "depth", "µm", 0, "Distance from the tip of the probe."),
    Column("rate_hz", "rate", "Hz", 2, "Spikes divided by the length of the recording."),
    Column("amplitude_uv", "amplitude", "µV", 0, "Median height of the spikes."),
    Column(
        "isi_contamination",
        "ISI cont.",
        "%",
        1,
        "Estimated share of foreign spikes, from refractory violations (Llobet et al. 2022).",
    ),
    Column("n_spikes", "spikes", "", 0, "Spikes in the recording."),
)

#: Where a curation is shown, after the unit.
LABEL = Column("label", "label", "", 0, "Label of the curator, or what made the unit.")

#: Column -> coordinates over unit that hold it, the first one present is taken.
_COORDS = {
    "shank": ("shank",),
    "depth_um": ("depth",),
    "x_um": ("x",),
    "rate_hz": ("firing_rate",),
    "amplitude_uv": ("amplitude", "spike_amplitude"),
    "isi_contamination": ("isi_contamination",),
    "passes": ("passes_sua",),
}
#: Column -> variable over spike whose median a unit stands in for a missing coordinate.
_MEDIANS = {"depth_um": "spike_depth", "x_um": "spike_x", "amplitude_uv": "spike_amplitude"}


def unit_slices(spikes: xr.Dataset) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each unit's spikes start and stop.

    Parameters
    ----------
    spikes : xarray.Dataset
        Kind ``spikes``, sorted by unit and time (:func:`labdata.objects.tidy`).

    Returns
    -------
    start, stop : ndarray of int64, shape (n_units,)
        In the order of ``spikes.unit``.
    """
    labels = np.asarray(spikes["unit"].values, dtype=np.int32)
    of_spike = np.asarray(spikes["spike_unit"].values, dtype=np.int32)
    start = np.searchsorted(of_spike, labels, side="left")
    return start, np.searchsorted(of_spike, labels, side="right")


def unit_table(spikes: xr.Dataset) -> pd.DataFrame:
    """Return one row a unit.

    Parameters
    ----------
    spikes : xarray.Dataset
        Kind ``spikes``, sorted by unit and time.

    Returns
    -------
    pandas.DataFrame
        Index ``unit``; float64 columns ``shank``, ``depth_um``, ``x_um``, ``rate_hz``,
        ``amplitude_uv``, ``isi_contamination`` (fraction), ``n_spikes`` and ``passes`` (1 passes
        the criteria of a single unit, 0 does not, NaN not judged).
    """
    start, stop = unit_slices(spikes)
    count = stop - start
    table = pd.DataFrame(index=pd.Index(spikes["unit"].values, name="unit"))
    for name, candidates in _COORDS.items():
        found = [c for c in candidates if c in spikes.coords and spikes[c].dims == ("unit",)]
        table[name] = np.asarray(spikes[found[0]].values, dtype=np.float64) if found else np.nan
    table["passes"] = np.where(table["passes"].isna(), np.nan, table["passes"] == 1)
    table["n_spikes"] = count.astype(np.float64)
    if table["rate_hz"].isna().all():
        table["rate_hz"] = count / _duration_s(spikes)
    for name, variable in _MEDIANS.items():
        if table[name].isna().all() and variable in spikes and len(count):
            values = np.asarray(spikes[variable].values)
            table[name] = [
                float(np.median(values[a:b])) if b > a else np.nan
                for a, b in zip(start, stop, strict=True)
            ]
    return table


def curation_labels(spikes: xr.Dataset) -> list[str]:
    """Return the short text of the table on each unit: its label, else ``merged`` or ``split``.

    Parameters
    ----------
    spikes : xarray.Dataset
        Kind ``spikes``.

    Returns
    -------
    list of str
        Empty where the units are the sorter's; they have no such column then.
    """
    if not int(spikes.attrs.get("curation_entries", 0)) or "made_by" not in spikes.coords:
        return []
    words = {"merge": "merged", "split": "split"}
    both = zip(spikes["curation_label"].values, spikes["made_by"].values, strict=True)
    return [str(label) or words.get(str(made), "") for label, made in both]


def same_unit(before: xr.Dataset, unit: int, after: xr.Dataset) -> int | None:
    """Return the unit that one is called in another state of its sorting.

    Parameters
    ----------
    before, after : xarray.Dataset
        Kind ``spikes``, of one sorting, as sorted or as curated.
    unit : int
        Label in `before`.

    Returns
    -------
    int or None
        Itself where it is there, else the first that has spikes of the same units of the sorter;
        None if there is none.
    """
    found = _sources(after)
    if unit in found:
        return unit
    wanted = _sources(before)[unit]
    return next((label for label, sources in found.items() if sources & wanted), None)


def _sources(spikes: xr.Dataset) -> dict[int, set[int]]:
    """Return the units of the sorter that each unit is made of."""
    labels = [int(unit) for unit in spikes["unit"].values]
    if "source_units" not in spikes.coords:
        return {unit: {unit} for unit in labels}
    texts = spikes["source_units"].values
    return {u: set(map(int, str(text).split())) for u, text in zip(labels, texts, strict=True)}


def curation_words(spikes: xr.Dataset, unit: int) -> str:
    """Return what a curator made of a unit, as ``SUA, merged from 3 and 7``.

    Parameters
    ----------
    spikes : xarray.Dataset
        Kind ``spikes``.
    unit : int
        Label.

    Returns
    -------
    str
        Empty where the units are the sorter's and have no label.
    """
    if "made_by" not in spikes.coords:
        return ""
    one = spikes.isel(unit=int(np.flatnonzero(spikes["unit"].values == unit)[0]))
    label, made = str(one["curation_label"].item()), str(one["made_by"].item())
    sources = str(one["source_units"].item()).replace(" ", ", ")
    words = {"merge": f"merged from {sources}", "split": f"split from {sources}"}
    return ", ".join(part for part in (label, words.get(made, "")) if part)


def _duration_s(spikes: xr.Dataset) -> float:
    """Return the length of the recording, NaN where it is not known."""
    length = float(spikes.attrs.get("t_stop", np.nan)) - float(spikes.attrs.get("t_start", np.nan))
    return length if length > 0 else float("nan")
