"""Recordings one after another for a sorter, and its spikes split again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import TaskError


def join_recordings(recordings: Sequence[Any], keys: Sequence[Mapping[str, Any]]) -> Any:
    """Return recordings of one probe as one.

    Parameters
    ----------
    recordings : sequence of spikeinterface.BaseRecording
        Each in one segment.
    keys : sequence of mapping
        Of EphysRecording.ProbeSetting, for the error.

    Raises
    ------
    TaskError
        If they are of other channels, another rate or scale.
    """
    from spikeinterface.core import concatenate_recordings

    if len(recordings) == 1:
        return recordings[0]
    first = _settings(recordings[0])
    for recording, key in zip(recordings, keys, strict=True):
        own = _settings(recording)
        different = [name for name in first if not np.array_equal(own[name], first[name])]
        if different:
            raise TaskError(
                f"imec{key['probe_num']} of {key['session_name']}/{key['dataset_name']} and of "
                f"{keys[0]['session_name']}/{keys[0]['dataset_name']} differ in "
                f"{', '.join(different)}: they cannot be sorted together.",
                hint="Sort together what was recorded with one configuration of the probe.",
            )
    return concatenate_recordings(list(recordings))


def _settings(recording: Any) -> dict[str, Any]:
    return {
        "the places of channels": recording.get_channel_locations(),
        "the shanks of channels": recording.get_property("group"),
        "the sampling rate": recording.sampling_frequency,
        "the scale": recording.get_channel_gains(),
    }


def cut_sorting(sorting: Any, start: int, stop: int) -> Any:
    """Return the spikes in ``[start, stop)``, counted from `start`; units keep their labels.

    Parameters
    ----------
    sorting : spikeinterface.BaseSorting
        Of recordings one after another.
    start, stop : int
        Samples.

    Returns
    -------
    spikeinterface.NumpySorting
        With all units, silent ones too.
    """
    from spikeinterface.core import NumpySorting

    trains = {}
    for unit in sorting.unit_ids:
        samples = np.sort(sorting.get_unit_spike_train(unit))
        trains[unit] = samples[(samples >= start) & (samples < stop)].astype("int64") - int(start)
    return NumpySorting.from_unit_dict([trains], sorting.sampling_frequency)
