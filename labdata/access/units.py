"""What is known of each unit: its metrics, and whether it passes the criteria."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import QueryError

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
    lab: Any, sorting_key: dict[str, Any], units: np.ndarray, criteria: int | None
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

    Raises
    ------
    QueryError
        If no units were counted by the criteria.
    """
    rows = {r["unit_id"]: r for r in (lab.UnitMetrics & sorting_key).fetch(as_dict=True)}
    coords: dict[str, Any] = {}
    if len(rows):
        for column, (name, unit) in _COORDS.items():
            values = [rows.get(u, {}).get(column) for u in units.tolist()]
            whole = column in ("shank", "channel_index", "num_spikes") and None not in values
            numbers = np.array([np.nan if v is None else v for v in values], dtype="float64")
            coords[name] = (numbers.astype("int64") if whole else numbers, {"units": unit})
        x = [_first(rows.get(u, {}).get("position")) for u in units.tolist()]
        coords["x"] = (np.array(x, dtype="float64"), {"units": "um"})
    return coords | _verdicts(lab, sorting_key, units, criteria)


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
        If a label is not among the units.
    ObjectError
        If the expression cannot be read, or names no coordinate.
    """
    from ..objects.expression import evaluate

    if isinstance(wanted, str):
        names = {"unit": units} | {name: values for name, (values, _) in coords.items()}
        return np.flatnonzero(np.broadcast_to(evaluate(wanted, names), units.shape))
    labels = np.asarray(wanted, dtype="int64").reshape(-1)
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
    counts = lab.UnitCount & sorting_key
    known = [int(n) for n in counts.fetch("unit_criteria_id")]
    if criteria is None:
        if len(known) != 1:
            return {}
        criteria = known[0]
    if criteria not in known:
        raise QueryError(
            f"No units were counted by criterion {criteria}.",
            hint=f"Counted by: {known or 'none'}; `UnitCount.populate(key)` counts.",
        )
    rows = (lab.UnitCount.Unit & sorting_key & {"unit_criteria_id": criteria}).fetch(as_dict=True)
    passes = {row["unit_id"]: row["passes"] for row in rows}
    verdict = np.array([passes.get(u, -1) for u in units.tolist()])
    notes = {"units": "1", "unit_criteria_id": criteria}
    return {
        "passes_sua": ((verdict == 1).astype("int8"), notes),
        "passes_mua": ((verdict == 0).astype("int8"), notes),
    }
