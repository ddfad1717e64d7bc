"""Spike times of units in seconds, each on the clock of its own recording."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..database.quick_rows import select_rows
from .segments import fetch_axes
from .spike_trains import check_same, fetch_heads, heads_of
from .sync_lines import StreamKey
from .synchrony import StreamClock, check_method, stream_clocks, warn_unsynced

if TYPE_CHECKING:
    from ..clocks import SampleMap

#: Key of EphysRecording.ProbeSetting.
PROBE = ("subject_name", "session_name", "dataset_name", "probe_num")


def get_spike_times(
    units: Any,
    *,
    as_dict: bool,
    return_seconds: bool,
    extra_keys: tuple[str, ...],
    warn: bool,
    include_metrics: bool,
    interp_method: str,
) -> list[Any]:
    """Return spike times; see :meth:`SpikeSorting.Unit.get_spike_times`."""
    check_method(interp_method)
    lab = units.lab
    keys = list(units.primary_key)
    if return_seconds:
        rows = _in_seconds(units, extra_keys, warn=warn)
    else:
        rows = units.fetch(*dict.fromkeys([*keys, "spike_times", *extra_keys]), as_dict=True)
    if include_metrics:
        metrics = {
            tuple(m[k] for k in keys): m
            for m in (lab.UnitMetrics & units.proj()).fetch(as_dict=True)
        }
        for row in rows:
            row |= metrics.get(tuple(row[k] for k in keys), {})
    return rows if as_dict else [row["spike_times"] for row in rows]


def probe_stream(row: dict[str, Any]) -> StreamKey:
    """Return the stream that a row of a probe belongs to: ``imec`` and the probe's number.

    Parameters
    ----------
    row : dict
        With the key of EphysRecording.ProbeSetting.
    """
    subject, session, dataset, probe_num = (row[name] for name in PROBE)
    return subject, session, dataset, f"imec{probe_num}"


def probe_maps(
    lab: Any, keys: Iterable[Mapping[str, Any]]
) -> dict[StreamKey, tuple[StreamClock, SampleMap]]:
    """Return the clocks of probes, and the maps to them.

    Parameters
    ----------
    lab : Lab
        The tables.
    keys : iterable of mapping
        With the keys of EphysRecording.ProbeSetting, as those of sortings and units are.

    Returns
    -------
    dict of StreamKey to (StreamClock, SampleMap)
        The map turns sample numbers of the probe into seconds on the clock.
    """
    from ..clocks import tabulate

    probes = {tuple(key[name] for name in PROBE) for key in keys}
    rows = select_rows(
        lab.EphysRecording.ProbeSetting,
        (*PROBE, "sampling_rate"),
        (dict(zip(PROBE, probe, strict=True)) for probe in sorted(probes)),
    )
    rates = {probe_stream(row): row["sampling_rate"] for row in rows}
    clocks, axes = stream_clocks(lab, rates), fetch_axes(lab, rates)
    return {
        stream: (clocks[stream], tabulate(clocks[stream].clock_map, rate_hz, axes.get(stream)))
        for stream, rate_hz in rates.items()
    }


def _in_seconds(units: Any, extra_keys: tuple[str, ...], *, warn: bool) -> list[dict[str, Any]]:
    """Return rows with times in seconds, by the rate and the map of each row's own probe."""
    from .placed_sorting import place_sorting

    lab, names = units.lab, list(units.primary_key)
    heads = fetch_heads(units)
    extras = [name for name in dict.fromkeys(extra_keys) if name not in (*names, "spike_times")]
    rows = units.fetch(*names, *extras, as_dict=True) if extras else heads
    check_same(*([[row[k] for k in names] for row in some] for some in (rows, heads)))
    maps = functools.cache(lambda: probe_maps(lab, heads))
    found: list[dict[str, Any]] = []
    of_sorting = [name for name in names if name != "unit_id"]
    for values, group in itertools.groupby(heads, operator.itemgetter(*of_sorting)):
        key = dict(zip(of_sorting, values, strict=True))
        probe_map = functools.partial(_one_map, maps, probe_stream(key))
        these = heads_of(list(group))
        placed = place_sorting(lab, key, these, probe_map=probe_map)
        clock, trains = placed.clock, placed.trains
        said = {"clock": clock.name, "clock_dataset": clock.dataset, "synced": clock.synced}
        for seconds, outside in zip(trains.seconds, trains.n_extrapolated.tolist(), strict=True):
            row = rows[len(found)]
            times = {"spike_times": seconds} | {name: row[name] for name in extras}
            found.append({k: row[k] for k in names} | times | said | {"n_extrapolated": outside})
    if warn:
        warn_unsynced(probe_stream(row) for row in found if not row["synced"])
    return found


def _one_map(
    maps: Callable[[], dict[StreamKey, tuple[StreamClock, SampleMap]]], stream: StreamKey
) -> tuple[StreamClock, SampleMap]:
    return maps()[stream]
