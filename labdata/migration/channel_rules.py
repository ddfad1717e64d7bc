"""Old sortings in the terms of this labdata: spikes in order, channels as the probe counts them.

Channels of a sorting were rows of the sorting's own list of channels; here they are rows of the
probe's table of channels, to which the numbers of the sorted channels lead.
"""

from __future__ import annotations

import numpy as np

from .recordings import OldRow, Recordings
from .values import Misfit, Note

_SORTING = ("subject_name", "session_name", "dataset_name", "probe_num", "parameter_set_num")


def order_spikes(row: OldRow, recordings: Recordings, note: Note) -> OldRow:
    """Return a unit with its spikes in order, its positions and amplitudes with them.

    Parameters
    ----------
    row : dict
        The old row, decoded.
    recordings : Recordings
        Not used.
    note : callable
        Told if they were not in order.

    Raises
    ------
    Misfit
        If spikes are to be put in order, and positions or amplitudes are not one a spike.
    """
    times = row.get("spike_times")
    if not isinstance(times, np.ndarray) or times.ndim != 1 or not times.size:
        return row
    if not np.any(times[1:] < times[:-1]):
        return row
    order = np.argsort(times, kind="stable")
    found = {"spike_times": times[order]}
    for name in ("spike_positions", "spike_amplitudes"):
        values = row.get(name)
        if values is not None:
            if len(values) != len(times):
                raise Misfit(f"spike_times are not in order, and {name} has another length")
            found[name] = np.asarray(values)[order]
    note("spikes that were not in order are put in order, with their positions and amplitudes")
    return {**row, **found}


def place_waveform(row: OldRow, recordings: Recordings, note: Note) -> OldRow:
    """Return a waveform with its channels as rows of the probe's channels.

    Parameters
    ----------
    row : dict
        The old row, decoded.
    recordings : Recordings
        Of its project.
    note : callable
        Told if they were others.
    """
    waveform = row.get("waveform_median")
    if waveform is None:
        return row
    channels, n_columns = row.get("waveform_channels"), np.asarray(waveform).shape[-1]
    if channels is None:
        channels = np.arange(n_columns)
    if row.get("waveform_ptp") is not None and len(row["waveform_ptp"]) != n_columns:
        note("waveform_ptp is kept with a value for every sorted channel, not for the waveform's")
    return row | _placed(row, {"waveform_channels": channels}, recordings, note)


def place_merged(row: OldRow, recordings: Recordings, note: Note) -> OldRow:
    """Return a merged unit with its spikes in order and its channels as rows of the probe's.

    Parameters
    ----------
    row : dict
        The old row, decoded.
    recordings : Recordings
        Of its project.
    note : callable
        Told of what was done.
    """
    return place_waveform(order_spikes(row, recordings, note), recordings, note)


def place_sorting(row: OldRow, recordings: Recordings, note: Note) -> OldRow:
    """Return a sorting with its channels as rows of the probe's channels.

    Parameters
    ----------
    row : dict
        The old row, decoded.
    recordings : Recordings
        Of its project.
    note : callable
        Told if they were others.
    """
    channels = row.get("sorting_channel_indices")
    if channels is None:
        return row
    index = np.arange(np.asarray(channels).size)
    found = _placed(row, {"sorting_channel_indices": index}, recordings, note)
    if not found and tuple(row[name] for name in _SORTING) in recordings.channel_rows:
        found = {"sorting_channel_indices": index}
    return row | found


def place_metrics(row: OldRow, recordings: Recordings, note: Note) -> OldRow:
    """Return the metrics of a unit with channels as rows of the probe's channels.

    Parameters
    ----------
    row : dict
        The old row, decoded.
    recordings : Recordings
        Of its project.
    note : callable
        Told if they were others.
    """
    found: OldRow = {}
    if row.get("active_electrodes") is not None:
        found["active_electrodes"] = np.asarray(row["active_electrodes"]).reshape(-1)
    channels = {name: value for name, value in found.items() if value.dtype.kind in "iu"}
    if row.get("channel_index") is not None:
        channels["channel_index"] = np.array([row["channel_index"]])
    found |= _placed(row, channels, recordings, note)
    if "channel_index" in found:
        found["channel_index"] = int(found["channel_index"][0])
    return row | found


def _placed(row: OldRow, channels: OldRow, recordings: Recordings, note: Note) -> OldRow:
    """Return those lists of channels that are others among the probe's channels."""
    place = tuple(row[name] for name in _SORTING)
    rows = recordings.channel_rows.get(place)
    if not channels:
        return {}
    if rows is None:
        note("channels of a sorting that the old tables do not relate to the probe's channels are "
             "kept: they count the sorting's own channels")  # fmt: skip
        return {}
    if np.array_equal(rows, np.arange(recordings.n_channels[place])):
        return {}
    found = {}
    for name, values in channels.items():
        index = np.asarray(values)
        if index.dtype.kind not in "iu" or np.any(index < 0) or np.any(index >= len(rows)):
            raise Misfit(f"{name} names channels that were not sorted")
        found[name] = rows[index]
    note("channels, rows of the sorting's own list, become rows of the probe's channels")
    return found
