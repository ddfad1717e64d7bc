"""Single rows with all that they refer to, for tests of queries that need no recording."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import numpy as np


def insert_dataset(
    lab: Any,
    subject: str = "JC1",
    *,
    session: str = "20250601_100000",
    dataset: str = "ephys_g0",
) -> dict[str, str]:
    """Insert a dataset, with its subject, session and lab member where they are missing.

    Parameters
    ----------
    lab : Lab
        The tables.
    subject, session, dataset : str, optional
        Names.

    Returns
    -------
    dict
        Key of the dataset.
    """
    lab.LabMember.insert1({"user_name": "couto"}, skip_duplicates=True)
    lab.Subject.insert1(
        {
            "subject_name": subject,
            "subject_dob": date(2025, 4, 8),
            "subject_sex": "M",
            "strain_name": "B6129SF1/J",
            "user_name": "couto",
        },
        skip_duplicates=True,
    )
    key = {"subject_name": subject, "session_name": session}
    start = datetime(2025, 6, 1, 10, 0, 0, 123456)
    lab.Session.insert1({**key, "session_datetime": start}, skip_duplicates=True)
    key["dataset_name"] = dataset
    lab.Dataset.insert1({**key, "dataset_type": "ephys"})
    return key


def insert_streams(lab: Any, key: Mapping[str, Any]) -> None:
    """Insert two streams with a common line: ``imec0`` line 6 and ``nidq`` line 7, two pulses.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : mapping
        Of the dataset.
    """
    for stream, event in (("imec0", 6), ("nidq", 7)):
        lab.DatasetEvents.insert1({**key, "stream_name": stream})
        lab.DatasetEvents.Digital.insert1(
            {
                **key,
                "stream_name": stream,
                "event_name": event,
                "event_timestamps": np.arange(4) / 2,
                "event_values": np.array([1, 0, 1, 0], "int8"),
                "event_samples": np.arange(4) * 15000,
            }
        )


def insert_unit(lab: Any, key: Mapping[str, Any], **unit: Any) -> dict[str, Any]:
    """Insert a sorting with one unit, and the recording it was made from.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : mapping
        Of the dataset.
    **unit
        Columns of ``SpikeSorting.Unit``: ``spike_times`` in samples, ...

    Returns
    -------
    dict
        Key of the unit.
    """
    lab.Probe.insert1(
        {
            "probe_id": "p1",
            "probe_type": "24",
            "probe_n_shanks": 1,
            "probe_recording_channels": 2,
        },
        skip_duplicates=True,
    )
    lab.ProbeConfiguration.insert1(
        {
            "probe_id": "p1",
            "configuration_id": 0,
            "probe_n_channels": 2,
            "probe_gain": 0.5,
            "channel_idx": np.arange(2),
            "channel_shank": np.zeros(2, int),
            "channel_coords": np.array([[0.0, 0.0], [32.0, 15.0]]),
            "configuration_hash": "0" * 64,
        },
        skip_duplicates=True,
    )
    lab.EphysRecording.insert1(
        {**key, "n_probes": 1, "recording_duration": 10.0, "recording_software": "SpikeGLX"}
    )
    lab.EphysRecording.ProbeSetting.insert1(
        {
            **key,
            "probe_num": 0,
            "probe_id": "p1",
            "configuration_id": 0,
            "sampling_rate": 30000.123456789,
            "n_samples": 300000,
        }
    )
    lab.SpikeSortingParams.insert1(
        {
            "parameter_set_num": 5,
            "algorithm_name": "ks",
            "parameters_dict": {"a": [1, None, "x"]},
            "parameters_hash": "1" * 64,
        },
        skip_duplicates=True,
    )
    sorting = {**key, "probe_num": 0, "parameter_set_num": 5}
    lab.SpikeSorting.insert1(sorting)
    unit_key = {**sorting, "unit_id": 0}
    lab.SpikeSorting.Unit.insert1({**unit_key, **unit})
    return unit_key
