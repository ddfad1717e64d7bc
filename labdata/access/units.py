"""What is known of each unit: its metrics, and whether it passes the criteria."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..database.quick_rows import select_rows
from ..errors import QueryError, warn_user
from ..whole import whole_numbers

if TYPE_CHECKING:
    from ..schema.curated_units import CuratedUnits

#: UnitMetrics attribute -> coordinate of a spikes dataset and its unit.
_COORDS = {
    "depth": ("depth", "um"),
    "shank": ("shank", "1"),
    "channel_index": ("channel", "1"),
    "spike_amplitude": ("amplitude", "uV"),
    "firing_rate": ("firing_rate", "Hz"),
    "num_spikes": ("num_spikes", "1"),
    "isi_contamination": ("isi_contamination", "1"),
    "amplitude_cutoff": ("amplitude_cutoff", "1"),
    "presence_ratio": ("presence_ratio", "1"),
    "snr": ("snr", "1"),
    "spike_duration": ("spike_duration", "ms"),
}


def unit_coords(
    lab: Any,
    sorting_key: dict[str, Any],
    units: np.ndarray,
    criteria: int | None,
    curated: CuratedUnits | None = None,
) -> dict[str, Any]:
    """Return the coordinates of a spikes dataset: metrics and verdicts, with their units.

    Parameters
    ----------
    lab : Lab
        The tables.
    sorting_key : dict
        Of SpikeSorting.
    units : ndarray of int32, shape (n_units,)
        Labels.
    criteria : int or None
        ``unit_criteria_id``; None takes the only one there is, if it is the only one.
    curated : CuratedUnits, optional
        Whose units these are; by default they are the sorter's. Labels of the curator and where
        the units are from come along, and the units are judged as they are now.

    Raises
    ------
    QueryError
        If no units were counted by the criteria.
    """
    if curated is None:
        columns = ("unit_id", "position", *_COORDS)
        found = select_rows(lab.UnitMetrics, columns, [sorting_key])
        rows = {row["unit_id"]: row for row in found}
        return _metric_coords(rows, units) | _verdicts(lab, sorting_key, units, criteria)
    from ..schema.curated_metrics import curated_metrics

    chosen = _chosen_criteria(lab, sorting_key, criteria, lab.UnitCountCriteria)
    rows = curated_metrics(curated) if chosen is not None or lab.UnitMetrics & sorting_key else {}
    coords = _metric_coords(rows, units) | _curation_coords(curated, units)
    if chosen is None:
        return coords
    return coords | _passes_coords(_curated_verdicts(curated, rows, units, chosen), chosen)


def _curated_verdicts(
    curated: CuratedUnits, rows: Mapping[int, Mapping[str, Any]], units: np.ndarray, criteria: int
) -> np.ndarray:
    """Return the verdict that was counted of this entry of the log, else judge by the metrics."""
    from ..schema.unit_count import judge_passes, named_metrics
    from ..schema.unit_metrics import OF_WAVEFORM

    lab, of = curated.lab, {"unit_criteria_id": criteria}
    if curated.rows:
        entry = {"entry_num": curated.rows[-1]["entry_num"]}
        counted = lab.CuratedUnitCount.Unit & curated.key & of & entry
        passes = dict(zip(*counted.fetch("unit_id", "passes"), strict=True))
        if passes:
            return np.array([passes[unit] for unit in units.tolist()])
    row = (lab.UnitCountCriteria & of).fetch1()
    verdicts = judge_passes(lab, [rows[unit] for unit in units.tolist()], row)
    named = named_metrics(lab, row) & OF_WAVEFORM
    unmeasured = [u for u in curated.made_by if not OF_WAVEFORM & set(rows[u])]
    lacking = sorted(set(unmeasured) & set(units.tolist()))
    if named and lacking:
        warn_user(
            f"Criterion {criteria} asks for {' and '.join(sorted(named))}, which take a waveform: "
            f"unit{'s' * (len(lacking) > 1)} {', '.join(map(str, lacking))} of the curation, not "
            "measured yet, cannot meet it. CuratedUnitCount.populate() measures and judges them.",
            UserWarning,
        )
    return verdicts


def _metric_coords(rows: Mapping[int, Mapping[str, Any]], units: np.ndarray) -> dict[str, Any]:
    coords: dict[str, Any] = {}
    if not rows:
        return coords
    for column, (name, unit) in _COORDS.items():
        values = [rows.get(u, {}).get(column) for u in units.tolist()]
        whole = column in ("shank", "channel_index", "num_spikes") and None not in values
        numbers = np.array([np.nan if v is None else v for v in values], dtype="float64")
        coords[name] = (numbers.astype("int64") if whole else numbers, {"units": unit})
    x = [_first(rows.get(u, {}).get("position")) for u in units.tolist()]
    coords["x"] = (np.array(x, dtype="float64"), {"units": "um"})
    return coords


def _curation_coords(curated: CuratedUnits, units: np.ndarray) -> dict[str, Any]:
    """Return what a curator made of units: labels, what made them, which they are from."""
    made, labels = curated.made_by, curated.state.labels
    columns = {
        "curation_label": [labels.get(unit, "") for unit in units.tolist()],
        "made_by": [made.get(unit, "sorter") for unit in units.tolist()],
        "source_units": [" ".join(map(str, curated.sources(unit))) for unit in units.tolist()],
    }
    notes = {
        "curation_label": "label of the curator, or of the sorter; empty: none",
        "made_by": "sorter, merge or split",
        "source_units": "units of the sorter that the spikes are of",
    }
    return {n: (np.array(v, dtype=str), {"long_name": notes[n]}) for n, v in columns.items()}


def curation_attrs(of_log: CuratedUnits | None) -> dict[str, Any]:
    """Return whose units these are, and up to which entry of the log.

    Parameters
    ----------
    of_log : CuratedUnits or None
        The curated units; None: the sorter's.
    """
    if of_log is None:
        return {"curated": 0}
    attrs: dict[str, Any] = {"curated": 1, "curation_entries": len(of_log.rows)}
    if of_log.rows:
        last = of_log.rows[-1]
        attrs["curation_by"] = of_log.who(last)
        attrs["curation_datetime"] = last["entry_datetime"].isoformat(" ", "seconds")
    return attrs


def choose_units(
    wanted: str | Sequence[int], units: np.ndarray, coords: Mapping[str, Any]
) -> np.ndarray:
    """Return the positions of the units that are wanted.

    Parameters
    ----------
    wanted : str or sequence of int
        An expression of the coordinates, or labels.
    units : ndarray of int32, shape (n_units,)
        Labels.
    coords : mapping of str to (ndarray, dict)
        Coordinates of the units.

    Returns
    -------
    ndarray of int64

    Raises
    ------
    QueryError
        If a label is not among the units, or is none.
    ObjectError
        If the expression cannot be read, or names no coordinate.
    """
    from ..objects.expression import evaluate

    if isinstance(wanted, str):
        names = {"unit": units} | {name: values for name, (values, _) in coords.items()}
        return np.flatnonzero(np.broadcast_to(evaluate(wanted, names), units.shape))
    labels = whole_numbers(wanted, "labels of units", QueryError)
    unknown = np.setdiff1d(labels, units)
    if len(unknown):
        raise QueryError(
            f"Unit {unknown[0]} is not in this sorting.",
            hint=f"It has {len(units)} units: {', '.join(map(str, units[:8]))}"
            f"{', ...' if len(units) > 8 else ''}.",
        )
    return np.flatnonzero(np.isin(units, labels))


def _first(position: Any) -> float:
    return float("nan") if position is None else float(position[0])


def _verdicts(
    lab: Any, sorting_key: dict[str, Any], units: np.ndarray, criteria: int | None
) -> dict[str, Any]:
    criteria = _chosen_criteria(lab, sorting_key, criteria, lab.UnitCount & sorting_key)
    if criteria is None:
        return {}
    of = {**sorting_key, "unit_criteria_id": criteria}
    rows = select_rows(lab.UnitCount.Unit, ("unit_id", "passes"), [of])
    passes = {row["unit_id"]: row["passes"] for row in rows}
    return _passes_coords(np.array([passes.get(u, -1) for u in units.tolist()]), criteria)


def _chosen_criteria(
    lab: Any, sorting_key: dict[str, Any], criteria: int | None, known: Any
) -> int | None:
    """Return the criterion that is asked for, or the only one that units were counted by."""
    if criteria is None:
        counted = select_rows(lab.UnitCount, ("unit_criteria_id",), [sorting_key])
        return int(counted[0]["unit_criteria_id"]) if len(counted) == 1 else None
    if isinstance(criteria, str):
        raise QueryError(
            f"criteria is {criteria!r}; it is the number of a row of UnitCountCriteria.",
            hint="An expression of the units' columns is given as units=.",
        )
    ids = [int(n) for n in known.fetch("unit_criteria_id")]
    if criteria not in ids:
        raise QueryError(
            f"No units were counted by criterion {criteria}.",
            hint=f"Counted by: {ids or 'none'}; `UnitCount.populate(key)` counts.",
        )
    return criteria


def _passes_coords(verdict: np.ndarray, criteria: int) -> dict[str, Any]:
    notes = {"units": "1", "unit_criteria_id": criteria}
    return {
        "passes_sua": ((verdict == 1).astype("int8"), notes),
        "passes_mua": ((verdict == 0).astype("int8"), notes),
    }
