"""Old events in the terms of this labdata: seconds on the stream's clock, and samples beside them.

Here a line has seconds on its stream's nominal clock and, beside them, samples. The old rules
stored seconds for ``nidq`` and ``obx``, but for a probe the sorter stored samples (whole numbers,
onsets only, under a name like ``file0_sync_onsets``). Those become samples, and seconds by the
sampling rate of the probe in that recording. Where the rate is not on record the seconds are left
empty: a sample number that passes for a time would be a wrong number. Old numbers that are no
whole-number samples of a probe are judged by the length of the recording.
"""

from __future__ import annotations

import numpy as np

from .recordings import OldRow, Recordings
from .values import Misfit, Note

_DATASET = ("subject_name", "session_name", "dataset_name")


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
    note(
        "event values other than 0 and 1 are kept as they are; read them from "
        "DatasetEvents.Digital, as labdata.events() takes values for rises and falls"
    )
    return {}
