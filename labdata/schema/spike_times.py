"""Spike times of units in seconds, each on the clock of its own recording."""

from __future__ import annotations

from typing import Any

from .synchrony import StreamKey, check_method, stream_clocks, warn_unsynced

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
    rows = units.fetch(*keys, "spike_times", *extra_keys, as_dict=True)
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


def probe_rates(lab: Any, units: Any) -> dict[tuple[Any, ...], float]:
    """Return the sampling rate (Hz) of every probe that a query of units touches.

    Parameters
    ----------
    lab : Lab
        The tables.
    units : SpikeSorting.Unit
        The units.
    """
    settings = lab.EphysRecording.ProbeSetting & units.proj()
    return {
        tuple(row[name] for name in _PROBE): row["sampling_rate"]
        for row in settings.fetch("sampling_rate", *_PROBE, as_dict=True)
    }


def _to_seconds(lab: Any, units: Any, rows: list[dict[str, Any]], *, warn: bool) -> None:
    """Replace samples by seconds, with the rate and the map of each row's own probe."""
    rates = probe_rates(lab, units)
    clocks = stream_clocks(lab, map(probe_stream, rows))
    for row in rows:
        seconds = row["spike_times"] / rates[tuple(row[name] for name in _PROBE)]
        clock = clocks[probe_stream(row)]
        row["spike_times"] = clock.apply(seconds)
        row |= {"clock": clock.name, "clock_dataset": clock.dataset, "synced": clock.synced}
        row["n_extrapolated"] = clock.count_extrapolated(seconds)
    if warn:
        warn_unsynced(probe_stream(row) for row in rows if not row["synced"])
