"""The axes of recordings in several segments, from the rows of EphysRecording.Segment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..clocks import SegmentAxis
from ..database.quick_rows import select_rows
from ..errors import QueryError

if TYPE_CHECKING:
    from ..formats.bands import RecordedBand

_STREAM = ("subject_name", "session_name", "dataset_name", "stream_name")
_COLUMNS = (*_STREAM, "segment_num", "offset_samples", "n_samples", "start_s", "epoch")


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
    rows = select_rows(lab.EphysRecording.Segment, _COLUMNS, keys)
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


def piece_axis(
    lab: Any, stream: tuple[str, str, str, str], pieces: Sequence[RecordedBand]
) -> SegmentAxis | None:
    """Return where the pieces of one band are in time; a band's pieces have its own rate.

    Parameters
    ----------
    lab : Lab
        The tables.
    stream : StreamKey
        Subject, session, dataset and stream name.
    pieces : sequence of RecordedBand
        All of the band, in the order in which they were recorded.

    Returns
    -------
    SegmentAxis or None
        None of a band in one piece: its seconds are samples over the rate. Within one run of the
        acquisition the pieces are placed by the sample each begins with, at the rate of the band;
        runs begin where the rows of EphysRecording.Segment say.

    Raises
    ------
    QueryError
        If there are more or fewer pieces than rows.
    """
    rows = (lab.EphysRecording.Segment & dict(zip(_STREAM, stream, strict=True))).fetch(
        "start_s", "epoch", as_dict=True, order_by="segment_num"
    )
    if len(pieces) != max(1, len(rows)):
        raise QueryError(
            f"{'/'.join(stream)} was recorded in {len(rows)} segments; its files of "
            f"{pieces[0].name} have {len(pieces)}: which is when is not known.",
            hint="(EphysRecording.ProbeSetting & key).open() reads them without times.",
        )
    if len(pieces) == 1:
        return None
    rate_hz = pieces[0].sampling_rate_hz
    lengths = np.array([piece.n_samples for piece in pieces], np.int64)
    first = np.array([piece.meta.first_sample for piece in pieces], np.int64)
    epoch = np.array([row["epoch"] for row in rows], np.int16)
    begin = np.searchsorted(epoch, epoch)  # the first piece of each run
    start_s = np.array([row["start_s"] for row in rows], np.float64)
    return SegmentAxis(
        offset_samples=np.cumsum(lengths) - lengths,
        n_samples=lengths,
        start_s=start_s[begin] + (first - first[begin]) / rate_hz,
        epoch=epoch,
        sampling_rate_hz=rate_hz,
    )
