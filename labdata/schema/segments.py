"""The axes of recordings in several segments, from the rows of EphysRecording.Segment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..clocks import SegmentAxis

_STREAM = ("subject_name", "session_name", "dataset_name", "stream_name")


def fetch_axes(
    lab: Any, rates_hz: dict[tuple[str, str, str, str], float]
) -> dict[tuple[str, str, str, str], SegmentAxis]:
    """Return the axes of streams: where their segments are, in samples and seconds.

    Parameters
    ----------
    lab : Lab
        The tables.
    rates_hz : dict of StreamKey to float
        Nominal rate of each stream that is wanted, by subject, session, dataset and stream name.

    Returns
    -------
    dict of StreamKey to SegmentAxis
        Without the streams that have no rows, as those from before there were segments: they are
        in one piece, and their seconds are samples over the rate.
    """
    datasets = {stream[:3] for stream in rates_hz}
    keys = [dict(zip(_STREAM, dataset, strict=False)) for dataset in sorted(datasets)]
    rows = (lab.EphysRecording.Segment & keys).fetch(as_dict=True) if keys else []
    pieces: dict[tuple[str, str, str, str], list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: row["segment_num"]):
        subject, session, dataset, name = (str(row[part]) for part in _STREAM)
        pieces.setdefault((subject, session, dataset, name), []).append(row)
    return {
        stream: _axis(pieces[stream], rate_hz)
        for stream, rate_hz in rates_hz.items()
        if stream in pieces
    }


def _axis(rows: Iterable[dict[str, Any]], rate_hz: float) -> SegmentAxis:
    rows = list(rows)
    return SegmentAxis(
        offset_samples=np.array([row["offset_samples"] for row in rows], np.int64),
        n_samples=np.array([row["n_samples"] for row in rows], np.int64),
        start_s=np.array([row["start_s"] for row in rows], np.float64),
        epoch=np.array([row["epoch"] for row in rows], np.int16),
        sampling_rate_hz=rate_hz,
    )
