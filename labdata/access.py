"""What a scientist asks for, by key: ``labdata.spikes(key)``, ``labdata.events(key)``.

A key is a dict or any query of the lab's tables. The answer is one labelled dataset on one clock,
with where it came from in its attributes; where the key means several sortings or clocks, the
error names them, as a choice made silently would be a wrong number some day.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import __version__
from .errors import QueryError
from .keys import lab_of, one_row

if TYPE_CHECKING:
    import xarray as xr

    from .schema.synced_events import StreamOnClock
    from .schema.synchrony import StreamClock

_DATASET = ("subject_name", "session_name", "dataset_name")
#: ``with_`` -> variable of a spikes dataset, column of SpikeSorting.Unit, and unit.
_SPIKE_VARS = {
    "amplitude": ("spike_amplitude", "spike_amplitudes", "uV"),
    "depth": ("spike_depth", "spike_positions", "um"),
}
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
    from .objects import build_spikes
    from .schema.spike_times import probe_stream
    from .schema.synchrony import stream_clocks

    lab = lab_of(key, lab)
    chosen = _chosen_vars(with_)
    sorting = one_row(lab.SpikeSorting, key, "sorting", ("probe_num", "parameter_set_num"))
    sorting_key = {k: sorting[k] for k in lab.SpikeSorting.primary_key}
    setting = (lab.EphysRecording.ProbeSetting & sorting_key).fetch1()
    rate_hz = float(setting["sampling_rate"])
    stream = probe_stream(sorting)
    clock = stream_clocks(lab, [stream])[stream]
    columns = ["spike_times", *(column for _, column, _ in chosen)]
    rows = (lab.SpikeSorting.Unit & sorting_key).fetch("unit_id", *columns, as_dict=True)
    units = np.array([row["unit_id"] for row in rows], dtype="int32")
    samples = _joined([row["spike_times"] for row in rows], "int64")
    label = np.repeat(units, np.array([len(row["spike_times"]) for row in rows], dtype="int64"))
    seconds, attrs = _on_clock(samples / rate_hz, clock)
    extra: dict[str, Any] = {"sample_index": samples}
    for name, column, unit in chosen:
        extra[name] = (_joined([_of_spikes(r, column) for r in rows], "float32"), {"units": unit})
    start, stop = clock.apply(np.array([0.0, (setting["n_samples"] or 0) / rate_hz]))
    return build_spikes(
        seconds,
        label,
        stream=stream[3],
        sync=clock.sync_attrs(),
        unit=units,
        unit_coords=_unit_coords(lab, sorting_key, units, criteria),
        spike_vars=extra,
        t_start_s=float(start),
        t_stop_s=float(stop) if setting["n_samples"] else None,
        sampling_rate_hz=rate_hz,
        provenance=_provenance(lab, sorting),
        attrs=attrs | {"parameter_set_num": int(sorting["parameter_set_num"])},
    )


def events(key: Any, *, stream: str | None = None, lab: Any = None) -> xr.Dataset:
    """Return the digital events of one dataset, every line of every stream, on one clock.

    Parameters
    ----------
    key : dict or query
        What selects one dataset.
    stream : str, optional
        Only this stream, for instance ``"nidq"``.
    lab : Lab, optional
        Tables of another project.

    Returns
    -------
    xarray.Dataset
        Kind ``events``: one row an edge, sorted by time, with coordinates ``stream`` and
        ``channel``. Streams that are not synchronised to the clock are left out; the attribute
        ``streams_left_out`` and a warning name them.

    Raises
    ------
    QueryError
        If the key selects no dataset or several, or no stream is synchronised to another and
        ``stream`` does not choose one.

    Examples
    --------
    >>> key = {"subject_name": "JC1", "session_name": "20240305_100000"}
    >>> events = labdata.events(key)  # doctest: +SKIP
    >>> stimuli = labdata.onsets_of(events, 1, stream="nidq")  # doctest: +SKIP
    """
    from .objects import concat_events, warn_user
    from .schema.synced_events import streams_on_clocks

    lab = lab_of(key, lab)
    dataset = one_row(lab.Dataset & lab.DatasetEvents.proj(), key, "dataset", ("dataset_name",))
    dataset_key = {k: dataset[k] for k in _DATASET}
    query = lab.DatasetEvents & dataset_key & ({"stream_name": stream} if stream else {})
    found = streams_on_clocks(lab, query)
    if not found:
        raise QueryError(
            f"{'/'.join(dataset_key.values())} has no stream {stream or 'with events'}.",
            hint="`labdata.schema.DatasetEvents & key` lists the streams.",
        )
    clock = _one_clock(found)
    joined = concat_events([_stream_events(lab, s) for s in found if s.clock.key == clock.key])
    left_out = sorted(s.stream_name for s in found if s.clock.key != clock.key)
    if left_out:
        joined.attrs["streams_left_out"] = ",".join(left_out)
        warn_user(
            f"Left out, as they are not synchronised to {clock.name}: {', '.join(left_out)}. "
            "Insert their common pulses into StreamSync."
        )
    joined.attrs["provenance"] = _json({"key": dataset_key, "labdata": __version__})
    return joined


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


def _one_clock(streams: Sequence[StreamOnClock]) -> StreamClock:
    """Return the one clock that the synchronised streams of a dataset are on."""
    synced = [s for s in streams if s.clock.synced] or list(streams)
    clocks = {s.clock.key: s.clock for s in synced}
    if len(clocks) == 1:
        return synced[0].clock
    dataset = "/".join(str(streams[0].key[k]) for k in _DATASET)
    here = streams[0].key["dataset_name"]
    names = sorted(c.name if c.key[2] == here else f"{c.key[2]}/{c.name}" for c in clocks.values())
    chained = [s.stream_name for s in synced if s.clock.clock_map and _key(s) in clocks]
    raise QueryError(
        f"The streams of {dataset} are on {len(clocks)} clocks: {', '.join(names)}.",
        hint=f"{chained[0]} is a clock and is itself synchronised; chains are not followed, so "
        "insert the pulses of each stream with the last clock into StreamSync."
        if chained
        else "Insert their common pulses into StreamSync, or choose one with stream=.",
    )


def _key(stream: StreamOnClock) -> tuple[str, ...]:
    return (*(stream.key[k] for k in _DATASET), stream.stream_name)


def _stream_events(lab: Any, stream: StreamOnClock) -> xr.Dataset:
    """Build the events of one stream."""
    from .objects import build_events

    rows = (lab.DatasetEvents.Digital & stream.key).fetch(as_dict=True)
    rows = [row for row in rows if row["event_timestamps"] is not None]
    own = _joined([row["event_timestamps"] for row in rows], "float64")
    channel = np.repeat(
        np.array([row["event_name"] for row in rows], dtype=str),
        np.array([len(row["event_timestamps"]) for row in rows], dtype="int64"),
    )
    values = [
        np.ones(len(row["event_timestamps"]))
        if row["event_values"] is None
        else row["event_values"]
        for row in rows
    ]
    samples = [
        np.full(len(row["event_timestamps"]), -1)
        if row["event_samples"] is None
        else row["event_samples"]
        for row in rows
    ]
    seconds, quality = own, np.zeros(len(own), dtype="uint8")
    if stream.clock.clock_map is not None:
        seconds, outside = stream.clock.clock_map.apply_with_flags(own)
        quality = outside.astype("uint8")
    return build_events(
        seconds,
        _joined(values, "int8"),
        stream=stream.stream_name,
        channel=channel,
        sample_index=_joined(samples, "int64"),
        quality=quality,
        sync=stream.clock.sync_attrs(),
        sampling_rate_hz=stream.sampling_rate_hz,
        clock_dataset=stream.clock.dataset,
    )


def _joined(arrays: Sequence[Any], dtype: str) -> np.ndarray:
    return np.concatenate(arrays).astype(dtype) if len(arrays) else np.empty(0, dtype)


def _on_clock(own_s: np.ndarray, clock: StreamClock) -> tuple[np.ndarray, dict[str, Any]]:
    attrs = {"clock_dataset": clock.dataset}
    if clock.clock_map is None:
        return own_s, attrs
    seconds, outside = clock.clock_map.apply_with_flags(own_s)
    return seconds, attrs | {"n_extrapolated": int(np.count_nonzero(outside))}


def _unit_coords(
    lab: Any, sorting_key: dict[str, Any], units: np.ndarray, criteria: int | None
) -> dict[str, Any]:
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


def _provenance(lab: Any, sorting: dict[str, Any]) -> str:
    params = (
        lab.SpikeSortingParams & {"parameter_set_num": sorting["parameter_set_num"]}
    ).fetch1()
    return _json(
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


def _json(content: dict[str, Any]) -> str:
    import json

    return json.dumps(content, default=str)
