"""What has to be known of an old project's recordings to read its events and channels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..database.raw_tables import quote
from .columns import Column
from .old_database import OldDatabase
from .values import Misfit, decode_old

#: A row as it was decoded, by column.
OldRow = dict[str, Any]

_DATASET = "subject_name, session_name, dataset_name"


@dataclass(frozen=True)
class Recordings:
    """Of one project.

    Attributes
    ----------
    rates_hz : dict
        Sampling rate by subject, session, dataset and number of the probe.
    durations_s : dict
        Length by subject, session and dataset.
    channel_rows : dict
        By subject, session, dataset, probe and parameter set of a sorting: the row in the probe's
        table of channels of each channel that was sorted. Not there where the old tables do not
        say it.
    n_channels : dict
        How many channels the probe of such a sorting has.
    """

    rates_hz: dict[tuple[Any, ...], float] = field(default_factory=dict)
    durations_s: dict[tuple[Any, ...], float] = field(default_factory=dict)
    channel_rows: dict[tuple[Any, ...], NDArray[np.int64]] = field(default_factory=dict)
    n_channels: dict[tuple[Any, ...], int] = field(default_factory=dict)


def read_recordings(old: OldDatabase, project: str | None) -> Recordings:
    """Return what is known of a project's recordings.

    Parameters
    ----------
    old : OldDatabase
        The old database.
    project : str or None
        The project.
    """
    data, computed = (old.schema_of(level, project) for level in ("data", "computed"))
    found = Recordings()
    settings = (data, "_ephys_recording__probe_setting")
    if settings not in old.tables or (data, "_ephys_recording") not in old.tables:
        return found
    for *place, rate in old.query(
        f"SELECT {_DATASET}, probe_num, sampling_rate FROM {old.tables[settings].sql}"
    ):
        found.rates_hz[tuple(place)] = float(rate)
    for *place, duration in old.query(
        f"SELECT {_DATASET}, recording_duration FROM {quote(data)}._ephys_recording"
    ):
        found.durations_s[tuple(place)] = float(duration)
    if (computed, "spike_sorting") in old.tables:
        column = old.columns[computed, "spike_sorting"]["sorting_channel_indices"]
        for *place, sorted_, recorded in old.query(
            f"SELECT {_DATASET}, probe_num, parameter_set_num, sorting_channel_indices, "
            f"channel_idx FROM {quote(computed)}.spike_sorting JOIN {old.tables[settings].sql} "
            f"USING ({_DATASET}, probe_num) JOIN {quote(data)}.probe_configuration "
            "USING (probe_id, configuration_id)"
        ):
            rows, n_channels = _rows_of(column, sorted_, recorded)
            if rows is not None:
                found.channel_rows[tuple(place)] = rows
                found.n_channels[tuple(place)] = n_channels
    return found


def _rows_of(column: Column, sorted_: Any, recorded: Any) -> tuple[NDArray[np.int64] | None, int]:
    """Return where each sorted channel is in the probe's channels, and how many these are.

    None if that is not certain.
    """
    try:
        wanted, there = (np.asarray(decode_old(column, raw)) for raw in (sorted_, recorded))
    except Misfit:
        return None, 0  # which the plan names where it comes to the row
    if {wanted.dtype.kind, there.dtype.kind} - set("biuf") or not wanted.size:
        return None, 0
    wanted, there = wanted.reshape(-1), there.reshape(-1)
    if len(np.unique(there)) < len(there) or not np.isin(wanted, there).all():
        return None, 0
    order = np.argsort(there)
    return order[np.searchsorted(there, wanted, sorter=order)].astype("int64"), len(there)
