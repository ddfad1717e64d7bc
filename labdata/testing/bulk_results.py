"""Recordings, events, sorted units and tasks in bulk, for :func:`labdata.testing.insert_many`.

Every array is one and the same small one: what is measured is how rows are found, and a lab of
200,000 units with real spike trains would take hours to make.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..progress import Progress
from .bulk_rows import insert_rows

_PROBE = "19011110001"
_DATASET = ("subject_name", "session_name", "dataset_name")
#: (subject_name, session_name, dataset_name)
DatasetKey = tuple[str, str, str]


def insert_recordings(lab: Any, datasets: Sequence[DatasetKey], progress: Progress) -> None:
    """Insert a recording of an hour by one probe for each of these datasets.

    Parameters
    ----------
    lab : Lab
        The tables.
    datasets : sequence of (str, str, str)
        Keys of datasets, which are there.
    progress : Progress
        Called with the number of rows inserted.
    """
    insert_rows(lab.Probe, [(_PROBE, "24", 4, 384)], progress)
    sites = np.arange(4)
    lab.ProbeConfiguration.insert1(
        {
            "probe_id": _PROBE,
            "configuration_id": 0,
            "probe_n_channels": len(sites),
            "probe_gain": 2.34,
            "channel_idx": sites,
            "channel_shank": np.zeros(len(sites), dtype="int64"),
            "channel_coords": np.column_stack([np.zeros(len(sites)), 15.0 * sites]),
            "configuration_hash": "0" * 64,
        }
    )
    recordings = ((*key, 1, 3600.0, "SpikeGLX") for key in datasets)
    insert_rows(lab.EphysRecording, recordings, progress)
    settings = ((*key, 0, _PROBE, 0, 30_000.0, 108_000_000) for key in datasets)
    insert_rows(lab.EphysRecording.ProbeSetting, settings, progress)


def insert_events(lab: Any, datasets: Sequence[DatasetKey], progress: Progress) -> None:
    """Insert a common line of two streams for each of these datasets, and what relates them.

    Parameters
    ----------
    lab : Lab
        The tables.
    datasets : sequence of (str, str, str)
        Keys of datasets, which are there.
    progress : Progress
        Called with the number of rows inserted.
    """
    streams = [*_streams(datasets, ("imec0", 30_000.0), ("nidq", 30_000.0))]
    described = (*_DATASET, "stream_name", "sampling_rate")
    insert_rows(lab.DatasetEvents, streams, progress, described)
    edges = _edges()
    times, samples = _stored(edges / 30_000.0), _stored(edges, differences=True)
    values = _stored(np.tile(np.array([1, 0], dtype="int8"), len(edges) // 2))
    lines = _streams(datasets, ("imec0", "6"), ("nidq", "7"))
    digital = ((*line, times, values, samples) for line in lines)
    insert_rows(lab.DatasetEvents.Digital, digital, progress)
    line = ("stream_name", "event_name")
    clock = ("clock_stream", "clock_stream_event", "clock_dataset")
    pairs = ((*key, "imec0", "6", "nidq", "7", key[2]) for key in datasets)
    insert_rows(lab.StreamSync, pairs, progress, (*_DATASET, *line, *clock))


def insert_sortings(
    lab: Any, datasets: Sequence[DatasetKey], n_units: int, progress: Progress
) -> None:
    """Insert a sorting of probe 0 for each of these datasets: units, metrics and their counts.

    Every second unit is single, the others multi.

    Parameters
    ----------
    lab : Lab
        The tables.
    datasets : sequence of (str, str, str)
        Keys of recordings, which are there.
    n_units : int
        In all, spread evenly.
    progress : Progress
        Called with the number of rows inserted.
    """
    parameters, criteria = 5, 1
    lab.SpikeSortingParams.insert1(
        {
            "parameter_set_num": parameters,
            "algorithm_name": "none",
            "parameters_dict": {},
            "parameters_hash": "0" * 64,
        }
    )
    insert_rows(lab.UnitCountCriteria, [(criteria, "spike_amplitude > 50", None)], progress)
    each, more = divmod(n_units, max(len(datasets), 1))
    counts = [each + (n < more) for n in range(len(datasets))]
    sortings = [(*key, 0, parameters) for key in datasets]
    key_names = (*_DATASET, "probe_num", "parameter_set_num")
    described = ((*s, n) for s, n in zip(sortings, counts, strict=True))
    insert_rows(lab.SpikeSorting, described, progress, (*key_names, "n_sorted_units"))
    units = [(*s, unit) for s, n in zip(sortings, counts, strict=True) for unit in range(n)]
    train = _stored(np.arange(0, 30_000, 3_000), differences=True)
    names = (*key_names, "unit_id")
    insert_rows(
        lab.SpikeSorting.Unit, ((*u, train) for u in units), progress, (*names, "spike_times")
    )
    position = _stored(np.array([0.0, 45.0]))
    metrics = ((*u, 10, 45.0, position, u[-1] % 4, 100.0 - 60.0 * (u[-1] % 2)) for u in units)
    measured = (*names, "num_spikes", "depth", "position", "shank", "spike_amplitude")
    insert_rows(lab.UnitMetrics, metrics, progress, measured)
    judged = ((*s, criteria, n, n - n // 2, n // 2) for s, n in zip(sortings, counts, strict=True))
    counted = (*key_names, "unit_criteria_id", "all", "sua", "mua")
    insert_rows(lab.UnitCount, judged, progress, counted)
    passes = ((*u, criteria, 1 - u[-1] % 2) for u in units)
    insert_rows(lab.UnitCount.Unit, passes, progress, (*names, "unit_criteria_id", "passes"))


def insert_tasks(lab: Any, datasets: Sequence[DatasetKey], progress: Progress) -> None:
    """Insert a decision task with one set of visual trials for each of these datasets.

    Parameters
    ----------
    lab : Lab
        The tables.
    datasets : sequence of (str, str, str)
        Keys of datasets, which are there.
    progress : Progress
        Called with the number of rows inserted.
    """
    performed = [80 + n % 200 for n in range(len(datasets))]
    tasks = ((*key, 300, n) for key, n in zip(datasets, performed, strict=True))
    counted = (*_DATASET, "n_total_trials", "n_total_performed")
    insert_rows(lab.DecisionTask, tasks, progress, counted)
    numbers = _stored(np.arange(4))
    sets = (
        (*key, "visual", 300, n, n, n // 2, 0.5 + n % 50 / 100, numbers)
        for key, n in zip(datasets, performed, strict=True)
    )
    counts = ("n_trials", "n_performed", "n_with_choice", "n_correct")
    columns = (*_DATASET, "trialset_description", *counts, "performance_easy", "trial_num")
    insert_rows(lab.DecisionTask.TrialSet, sets, progress, columns)


def _edges() -> np.ndarray:
    """Return rises and falls of twenty pulses at uneven intervals, samples."""
    rises = 30_000 * np.arange(1, 21) + 3_000 * (np.arange(20) ** 2 % 7)
    return np.column_stack([rises, rises + 6_000]).ravel()


def _streams(datasets: Sequence[DatasetKey], *streams: tuple[str, Any]) -> Any:
    return ((*key, name, value) for key in datasets for name, value in streams)


def _stored(values: np.ndarray, *, differences: bool = False) -> bytes:
    from ..database.codecs import encode_array

    return encode_array(values, differences=differences)
