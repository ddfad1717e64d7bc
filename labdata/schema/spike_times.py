"""Spike times of units in seconds, each on the clock of its own recording."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..database.datajoint_compat import fetch_rows
from .segments import fetch_axes
from .spike_trains import check_same, cut_pieces, place_trains
from .sync_lines import StreamKey
from .synchrony import StreamClock, check_method, stream_clocks, warn_unsynced

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
    clocks, axes = stream_clocks(lab, rates), fetch_axes(lab, rates)
    return {
        stream: (clocks[stream], tabulate(clocks[stream].clock_map, rate_hz, axes.get(stream)))
        for stream, rate_hz in rates.items()
    }


def _in_seconds(units: Any, extra_keys: tuple[str, ...], *, warn: bool) -> list[dict[str, Any]]:
    """Return rows with times in seconds, by the rate and the map of each row's own probe."""
    maps = probe_maps(units.lab, units)
    sizes = fetch_rows(units.proj(n_bytes="LENGTH(spike_times)"))
    n_bytes = np.array([row.pop("n_bytes") for row in sizes], dtype="int64")
    of_rows = [maps[probe_stream(row)] for row in sizes]
    rows: list[dict[str, Any]] = []
    placed = place_trains(
        _read(units, sizes, n_bytes, extra_keys, rows), (sample_map for _, sample_map in of_rows)
    )
    for index, (row, (clock, _)) in enumerate(zip(rows, of_rows, strict=True)):
        row["spike_times"] = placed.seconds[index]
        row |= {"clock": clock.name, "clock_dataset": clock.dataset, "synced": clock.synced}
        row["n_extrapolated"] = int(placed.n_extrapolated[index])
    if warn:
        warn_unsynced(probe_stream(row) for row in rows if not row["synced"])
    return rows


def _read(
    units: Any,
    keys: list[dict[str, Any]],
    n_bytes: NDArray[np.int64],
    extra_keys: tuple[str, ...],
    rows: list[dict[str, Any]],
) -> Iterator[bytes]:
    """Yield the stored trains of units in pieces, and add their rows to a list."""
    wanted = dict.fromkeys([*units.primary_key, "spike_times", *extra_keys])
    for piece in cut_pieces(range(len(keys)), n_bytes):
        found = fetch_rows(
            units, list(wanted), undecoded=["spike_times"], limit=len(piece), offset=piece[0]
        )
        check_same(
            [{name: row[name] for name in units.primary_key} for row in found],
            [{name: keys[n][name] for name in units.primary_key} for n in piece],
        )
        for row in found:
            train, row["spike_times"] = row["spike_times"], None
            rows.append({name: row[name] for name in wanted})
            yield train
