"""The spikes of one sorting of one probe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..errors import QueryError
from ..keys import lab_of, one_row
from ._parts import as_json, joined, on_clock, repeated
from .units import unit_coords

if TYPE_CHECKING:
    import xarray as xr

    from ..schema.synchrony import StreamClock

#: ``with_`` -> variable of a spikes dataset, column of SpikeSorting.Unit, and unit.
_SPIKE_VARS = {
    "amplitude": ("spike_amplitude", "spike_amplitudes", "uV"),
    "depth": ("spike_depth", "spike_positions", "um"),
}


def spikes(
    key: Any,
    *,
    criteria: int | None = None,
    with_: Sequence[str] = (),
    lab: Any = None,
) -> xr.Dataset:
    """Return the sorted spikes of one probe, on the clock that StreamSync names.

    Parameters
    ----------
    key : dict or query
        What selects one sorting of one probe: a subject, session and, where there are several,
        a dataset_name, probe_num and parameter_set_num. The key of a unit selects its sorting,
        all units of it; :func:`labdata.select_units` chooses among them.
    criteria : int, optional
        ``unit_criteria_id`` whose verdict becomes the coordinates ``passes_sua`` and
        ``passes_mua``; by default the only one there is for this sorting, if it is the only one.
    with_ : sequence of {"amplitude", "depth"}, optional
        Also the amplitude (uV) and depth (um) of each spike.
    lab : Lab, optional
        Tables of another project.

    Returns
    -------
    xarray.Dataset
        Kind ``spikes``: dims ``unit`` and ``spike``; times are float64 seconds. Without a
        StreamSync they are on the probe's own clock, and ``synced``, ``sync_note`` and a warning
        say so.

    Raises
    ------
    QueryError
        If the key selects no sorting or several (the message lists them), or what ``with_`` asks
        for is not stored for every spike.
    ClockError
        If the pulses cannot be matched within the tolerance.

    Examples
    --------
    >>> key = {"subject_name": "JC1", "session_name": "20240305_100000"}
    >>> spikes = labdata.spikes(key)  # doctest: +SKIP
    >>> spikes.attrs["clock"], spikes.attrs["synced"]  # doctest: +SKIP
    ('nidq', 1)
    """
    lab = lab_of(key, lab)
    chosen = _chosen_vars(with_)
    sorting = one_row(lab.SpikeSorting, key, "sorting", ("probe_num", "parameter_set_num"))
    return _sorted_spikes(lab, sorting, chosen, criteria)


def _sorted_spikes(
    lab: Any, sorting: dict[str, Any], chosen: list[tuple[str, str, str]], criteria: int | None
) -> xr.Dataset:
    """Build the spikes of one sorting, with the chosen variables of each spike."""
    from ..objects import build_spikes
    from ..schema.spike_times import probe_stream
    from ..schema.synchrony import stream_clocks

    sorting_key = {k: sorting[k] for k in lab.SpikeSorting.primary_key}
    setting = (lab.EphysRecording.ProbeSetting & sorting_key).fetch1()
    rate_hz = float(setting["sampling_rate"])
    stream = probe_stream(sorting)
    clock = stream_clocks(lab, [stream])[stream]
    columns = ["spike_times", *(column for _, column, _ in chosen)]
    rows = (lab.SpikeSorting.Unit & sorting_key).fetch("unit_id", *columns, as_dict=True)
    units = np.array([row["unit_id"] for row in rows], dtype="int32")
    trains = [row["spike_times"] for row in rows]
    samples = joined(trains, "int64")
    seconds, outside = on_clock(samples / rate_hz, clock)
    extra: dict[str, Any] = {"sample_index": samples}
    for name, column, unit in chosen:
        extra[name] = (joined([_of_spikes(r, column) for r in rows], "float32"), {"units": unit})
    start, stop = clock.apply(np.array([0.0, (setting["n_samples"] or 0) / rate_hz]))
    return build_spikes(
        seconds,
        repeated(units, trains),
        stream=stream[3],
        sync=clock.sync_attrs(),
        unit=units,
        unit_coords=unit_coords(lab, sorting_key, units, criteria),
        spike_vars=extra,
        t_start_s=float(start),
        t_stop_s=float(stop) if setting["n_samples"] else None,
        sampling_rate_hz=rate_hz,
        provenance=_provenance(lab, sorting),
        attrs={"project": lab.project} | _attrs(sorting, clock, outside),
    )


def _chosen_vars(with_: Sequence[str]) -> list[tuple[str, str, str]]:
    names = [with_] if isinstance(with_, str) else list(with_)
    unknown = [name for name in names if name not in _SPIKE_VARS]
    if unknown:
        raise QueryError(
            f"with_ has {unknown[0]!r}, which is not kept for each spike.",
            hint=f"Choose from: {', '.join(_SPIKE_VARS)}.",
        )
    return [_SPIKE_VARS[name] for name in names]


def _of_spikes(row: dict[str, Any], column: str) -> np.ndarray:
    """Return a column of a unit, one value a spike; positions are reduced to depth."""
    values = row[column]
    n = len(row["spike_times"])
    if values is None or len(values) != n:
        raise QueryError(
            f"Unit {row['unit_id']} has {'no' if values is None else len(values)} {column} for "
            f"{n} spikes.",
            hint="Leave with_ out, or sort again.",
        )
    return np.asarray(values[:, 1] if column == "spike_positions" else values)


def _attrs(
    sorting: dict[str, Any], clock: StreamClock, outside: np.ndarray | None
) -> dict[str, Any]:
    attrs: dict[str, Any] = {"clock_dataset": clock.dataset}
    if outside is not None:
        attrs["stream_n_extrapolated"] = int(np.count_nonzero(outside))
    return attrs | {"parameter_set_num": int(sorting["parameter_set_num"])}


def _provenance(lab: Any, sorting: dict[str, Any]) -> str:
    params = (
        lab.SpikeSortingParams & {"parameter_set_num": sorting["parameter_set_num"]}
    ).fetch1()
    return as_json(
        {
            "key": {k: sorting[k] for k in lab.SpikeSorting.primary_key},
            "algorithm": params["algorithm_name"],
            "algorithm_version": sorting["algorithm_version"],
            "parameters_hash": params["parameters_hash"],
            "sorting_datetime": sorting["sorting_datetime"],
            "container": sorting["container_version"],
            "labdata": __version__,
        }
    )
