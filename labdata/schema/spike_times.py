"""Spike times of units in seconds, each on the clock of its own recording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..database.datajoint_compat import fetch_rows
from .spike_trains import place_trains
from .synchrony import StreamClock, StreamKey, check_method, stream_clocks, warn_unsynced

if TYPE_CHECKING:
    from ..clocks import SampleMap

_PROBE = ("subject_name", "session_name", "dataset_name", "probe_num")


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
    wanted = dict.fromkeys([*keys, "spike_times", *extra_keys])
    stored = ["spike_times"] if return_seconds else []
    rows = [
        {name: row[name] for name in wanted}
        for row in fetch_rows(units, list(wanted), undecoded=stored)
    ]
    if return_seconds:
        _to_seconds(lab, units, rows, warn=warn)
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
    subject, session, dataset, probe_num = (row[name] for name in _PROBE)
    return subject, session, dataset, f"imec{probe_num}"


def probe_maps(lab: Any, units: Any) -> dict[StreamKey, tuple[StreamClock, SampleMap]]:
    """Return the clock of every probe that a query of units touches, and the map to it.

    Parameters
    ----------
    lab : Lab
        The tables.
    units : SpikeSorting.Unit
        The units.

    Returns
    -------
    dict of StreamKey to (StreamClock, SampleMap)
        The map turns sample numbers of the probe into seconds on the clock.
    """
    from ..clocks import tabulate

    settings = lab.EphysRecording.ProbeSetting & units.proj()
    rates = {
        probe_stream(row): row["sampling_rate"]
        for row in settings.fetch("sampling_rate", *_PROBE, as_dict=True)
    }
    clocks = stream_clocks(lab, rates)
    return {
        stream: (clocks[stream], tabulate(clocks[stream].clock_map, rate_hz))
        for stream, rate_hz in rates.items()
    }


def _to_seconds(lab: Any, units: Any, rows: list[dict[str, Any]], *, warn: bool) -> None:
    """Replace stored trains by seconds, with the rate and the map of each row's own probe."""
    maps = probe_maps(lab, units)
    of_rows = [maps[probe_stream(row)] for row in rows]
    trains = [row["spike_times"] for row in rows]
    placed = place_trains(trains, [sample_map for _, sample_map in of_rows])
    for index, (row, (clock, _)) in enumerate(zip(rows, of_rows, strict=True)):
        row["spike_times"] = placed.seconds[index]
        row |= {"clock": clock.name, "clock_dataset": clock.dataset, "synced": clock.synced}
        row["n_extrapolated"] = int(placed.n_extrapolated[index])
    if warn:
        warn_unsynced(probe_stream(row) for row in rows if not row["synced"])
