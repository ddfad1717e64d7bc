"""What the old package stored in another meaning than this one: rewritten row by row, and said.

- Events. Here a line has seconds on its stream's nominal clock and, beside them, samples. The old
  rules stored seconds for ``nidq`` and ``obx``, but for a probe the sorter stored samples (whole
  numbers, onsets only, under a name like ``file0_sync_onsets``). Those become samples, and seconds
  by the sampling rate of the probe in that recording. Where the rate is not on record the seconds
  are left empty: a sample number that passes for a time would be a wrong number. Old numbers that
  are no whole-number samples of a probe are judged by the length of the recording.
- Spike trains that are not in order are put in order, with their positions and amplitudes.
- Channels of a sorting were rows of the sorting's own list of channels; here they are rows of the
  probe's channels, to which the sorted channel numbers lead.
- Water is in uL here, and was in mL.
- Uploads and tasks that had not ended are CANCELLED here, so that no worker of this labdata takes
  up the old one's work; how they were is in their log.
- The identities of probe configurations and parameter sets, which the old tables do not have, are
  computed as an upload or a sorter here computes them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np

from .recordings import Recordings
from .values import Misfit, Note

OldRow = dict[str, Any]
_DATASET = ("subject_name", "session_name", "dataset_name")
#: States in which nobody will touch a job again unless told to.
_ENDED = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
_LOG_LENGTH = 4000
_SORTING = (*_DATASET, "probe_num", "parameter_set_num")


Rule = Callable[[OldRow, Recordings, Note], OldRow]


def settle_events(row: OldRow, recordings: Recordings, note: Note) -> OldRow:
    """Return a row of DatasetEvents.Digital in seconds and samples.

    Parameters
    ----------
    row : dict
        The old row, decoded.
    recordings : Recordings
        Of its project.
    note : callable
        Told of what was decided.
    """
    return {**row, **_times(row, recordings, note), **_levels(row, note)}


def _times(row: OldRow, recordings: Recordings, note: Note) -> OldRow:
    if row.get("event_timestamps") is None:
        return {}
    times = np.asarray(row["event_timestamps"])
    if times.dtype.kind not in "iuf" or times.ndim > 2 or max(times.shape, default=0) < times.size:
        raise Misfit("event_timestamps are no train of numbers")
    times = times.reshape(-1)
    rate_hz = _probe_rate(row, recordings)
    unit = _unit_of(times, row, rate_hz, recordings)
    if unit == "seconds":
        return {"event_timestamps": times.astype("float64")}
    if unit == "unknown":
        note("event times of a probe that are neither its samples nor seconds within the "
             "recording are kept as they are; look at them")  # fmt: skip
        return {"event_timestamps": times.astype("float64")}
    samples = times.astype("int64")
    if np.any(samples[1:] < samples[:-1]):
        raise Misfit("event_timestamps are whole numbers, and not in order")
    if rate_hz is None:
        note("events in samples whose sampling rate is not on record: the samples are kept, and "
             "their seconds left empty")  # fmt: skip
        return {"event_timestamps": None, "event_samples": samples}
    note("events in samples get their seconds, by the probe's sampling rate")
    return {"event_timestamps": samples / rate_hz, "event_samples": samples}


def _unit_of(times: np.ndarray, row: OldRow, rate_hz: float | None, recordings: Recordings) -> str:
    """Return samples, seconds or unknown; the old tables do not say which."""
    if times.dtype.kind in "iu":
        return "samples" if times.size else "seconds"
    if not str(row["stream_name"]).startswith("imec") or not times.size:
        return "seconds"
    duration_s = recordings.durations_s.get(tuple(row[name] for name in _DATASET))
    last = float(times.max())
    if duration_s is not None and last <= duration_s + 1:
        return "seconds"
    whole = bool(np.all(times % 1 == 0))
    if whole and rate_hz and duration_s is not None and last / rate_hz <= duration_s + 1:
        return "samples"
    return "unknown"


def _probe_rate(row: OldRow, recordings: Recordings) -> float | None:
    number = str(row["stream_name"]).removeprefix("imec")
    if not number.isdecimal():
        return None
    return recordings.rates_hz.get((*(row[name] for name in _DATASET), int(number)))


def _levels(row: OldRow, note: Note) -> OldRow:
    """Return the values of edges as signed numbers, whose differences are right."""
    if row.get("event_values") is None:
        return {}
    values = np.asarray(row["event_values"])
    if values.dtype.kind in "biu" and (not values.size or 0 <= values.min() <= values.max() <= 1):
        return {"event_values": values.astype("int8")}
    note("event values other than 0 and 1 are kept as they are")
    return {}


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


def measure_water(row: OldRow, recordings: Recordings, note: Note) -> OldRow:
    """Return a watering in microlitres.

    Parameters
    ----------
    row : dict
        The old row, decoded.
    recordings : Recordings
        Not used.
    note : callable
        Told that it was in millilitres.
    """
    note("millilitres become microlitres")
    return {**row, "water_volume": float(Decimal(repr(row["water_volume"])) * 1000)}


def settle_job(prefix: str) -> Rule:
    """Return the rule for a table of jobs.

    Parameters
    ----------
    prefix : str
        ``job`` or ``task``.
    """

    def rule(row: OldRow, recordings: Recordings, note: Note) -> OldRow:
        before = row[f"{prefix}_status"]
        state = "CANCELLED" if before == "CANCELED" else before
        found = {**row, f"{prefix}_waiting": 0, f"{prefix}_status": state}
        if state not in _ENDED:
            what = "uploads" if prefix == "job" else "tasks"
            note(f"{what} that had not ended become CANCELLED, and their log says what they were")
            word = f"Migrated from labdata 0.1, where it was {before or 'without a state'}."
            log = f"{word}\n{row[f'{prefix}_log'] or ''}".strip()
            found |= {f"{prefix}_status": "CANCELLED", f"{prefix}_log": log[:_LOG_LENGTH]}
        return found

    return rule


def identify_configuration(row: OldRow, recordings: Recordings, note: Note) -> OldRow:
    """Return a probe configuration with the identity that the ephys rule gives it.

    Parameters
    ----------
    row : dict
        The old row, decoded.
    recordings : Recordings
        Not used.
    note : callable
        Not used.
    """
    index, shank = (_whole(row, name) for name in ("channel_idx", "channel_shank"))
    coords = np.ascontiguousarray(row["channel_coords"], dtype="float64")
    gain = np.full(len(index), float(row["probe_gain"]))
    identity = hashlib.sha256()
    for array in (index, shank, coords, gain):
        identity.update(array.tobytes())
    return {
        **row,
        "channel_idx": index,
        "channel_shank": shank,
        "channel_coords": coords,
        "configuration_hash": identity.hexdigest(),
    }


def _whole(row: OldRow, name: str) -> np.ndarray:
    values = np.asarray(row[name])
    if values.dtype.kind not in "biuf" or not np.all(values % 1 == 0):
        raise Misfit(f"{name} are not whole numbers")
    return np.ascontiguousarray(values, dtype="int64")


def identify_parameters(row: OldRow, recordings: Recordings, note: Note) -> OldRow:
    """Return a parameter set with the identity that a sorter gives it.

    Parameters
    ----------
    row : dict
        The old row, decoded.
    recordings : Recordings
        Not used.
    note : callable
        Not used.
    """
    try:
        parameters = json.loads(row["parameters_dict"])
    except (TypeError, ValueError):
        parameters = row["parameters_dict"]
    text = json.dumps(
        {"algorithm": row["algorithm_name"], "parameters": parameters}, sort_keys=True
    )
    return {**row, "parameters_hash": hashlib.sha256(text.encode()).hexdigest()}


#: Table -> its rule.
RULES: dict[str, Rule] = {
    "DatasetEvents.Digital": settle_events,
    "SpikeSorting.Unit": order_spikes,
    "SpikeSorting.MergedUnit": place_merged,
    "SpikeSorting": place_sorting,
    "SpikeSorting.Waveforms": place_waveform,
    "UnitMetrics": place_metrics,
    "Watering": measure_water,
    "UploadJob": settle_job("job"),
    "ComputeTask": settle_job("task"),
    "ProbeConfiguration": identify_configuration,
    "SpikeSortingParams": identify_parameters,
}

#: Table -> what cannot be known of its old rows, which are kept as they are.
UNKNOWN: dict[str, str] = {
    "File": "times are the rig's local time, as the old package kept them; here they are UTC",
    "ProcessedFile": "times are the rig's local time, as the old package kept them",
    "SpikeSorting.Unit": "amplitudes are those of the old sorter's templates, not always in uV",
    "ProbeInsertion": "the old tables do not say the units of coordinates; here they are um and "
    "degrees",
    "UnitMetrics": "numbers are as the old package computed them; UnitMetrics.populate() here "
    "computes some otherwise",
}

#: Columns that are computed here: table -> column, and the columns within which it is unique.
IDENTITIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "ProbeConfiguration": ("configuration_hash", ("probe_id",)),
    "SpikeSortingParams": ("parameters_hash", ()),
}


def other_identity(identity: str, key: tuple[Any, ...]) -> str:
    """Return the identity of a row whose content another row has already.

    The old package could store one content twice; both rows come along, as others refer to them.

    Parameters
    ----------
    identity : str
        Of the content.
    key : tuple
        Primary key of the row.
    """
    return hashlib.sha256(f"{identity} again as {key}".encode()).hexdigest()
