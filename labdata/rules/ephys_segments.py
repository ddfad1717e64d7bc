"""The streams of a dataset whose recording may be in several pieces, on one axis each.

Pieces are the gates and triggers of a SpikeGLX run and the recordings of an Open Ephys experiment;
another run, or experiment, is another epoch. See :mod:`labdata.clocks.segments` for what samples
and seconds mean then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from ..clocks import SegmentAxis, place_segments
from ..errors import ClockError, RuleError
from ..formats.event_lines import DigitalLine
from ..formats.stream_description import StreamDescription
from ..schema.ephys import hash_configuration
from .ephys_runs import EphysRun, find_runs

#: How far dates of files and sample numbers may part: dates are whole seconds, of a file that is
#: made a little before or after its first sample; and clocks of computers drift and are set.
_DATES_S, _DATES_RATE = 10.0, 1e-3


@dataclass(frozen=True, eq=False)
class SegmentedStream:
    """One stream, and the pieces that it was recorded in.

    Attributes
    ----------
    pieces : tuple of (EphysRun, StreamDescription)
        In the order in which they were recorded.
    axis : SegmentAxis
        Where each piece is.
    """

    pieces: tuple[tuple[EphysRun, StreamDescription], ...]
    axis: SegmentAxis

    @property
    def first(self) -> StreamDescription:
        """The description of the first piece; names, rate and channels are those of all."""
        return self.pieces[0][1]

    @property
    def duration_s(self) -> float:
        """Seconds that were recorded, without pauses."""
        return self.axis.total_samples / self.axis.sampling_rate_hz

    def digital_lines(self) -> list[DigitalLine]:
        """Return the edges of every line, samples on the concatenation, seconds on the axis."""
        lines = [run.digital_lines(piece) for run, piece in self.pieces]
        if len(lines) == 1:
            return lines[0]
        names = sorted({line.event_name for piece in lines for line in piece}, key=int)
        return [_join(name, lines, self.axis) for name in names]

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of EphysRecording.Segment, without the recording's key."""
        return [
            {
                "stream_name": piece.stream_name,
                "segment_num": number,
                "offset_samples": int(self.axis.offset_samples[number]),
                "n_samples": int(self.axis.n_samples[number]),
                "start_s": float(self.axis.start_s[number]),
                "epoch": int(self.axis.epoch[number]),
                "first_sample": piece.first_sample,
            }
            for number, (_, piece) in enumerate(self.pieces)
        ]


def find_segments(folder: Path) -> tuple[SegmentedStream, ...]:
    """Return the streams of a folder, by name.

    Parameters
    ----------
    folder : Path
        The folder of a dataset.

    Raises
    ------
    RuleError
        If there is no recording, or its pieces are of different settings, or cannot be placed.
    FormatError
        If a file lacks, or contradicts another.
    """
    runs = _in_order(find_runs(folder))
    found: dict[str, list[tuple[EphysRun, StreamDescription]]] = {}
    for run in runs:
        for stream in run.streams:
            found.setdefault(stream.name, []).append((run, stream))
    return tuple(SegmentedStream(tuple(found[n]), _axis(n, found[n])) for n in sorted(found))


def main_streams(streams: Sequence[SegmentedStream]) -> list[SegmentedStream]:
    """Return the one stream of each device that is on its clock: a probe's AP band, if it has one.

    Parameters
    ----------
    streams : sequence of SegmentedStream
        Of a dataset.
    """
    with_ap = {stream.first.stream_name for stream in streams if stream.first.band == "ap"}
    return [s for s in streams if s.first.band != "lf" or s.first.stream_name not in with_ap]


def check_alike(streams: Sequence[SegmentedStream]) -> None:
    """Refuse pieces of a probe that were recorded from other sites or with another gain.

    Parameters
    ----------
    streams : sequence of SegmentedStream
        Of a dataset.

    Raises
    ------
    RuleError
        With the two pieces.
    """
    for stream in main_streams(streams):
        if stream.first.probe_num is None or len(stream.pieces) == 1:
            continue
        settings = [_probe_of(run, piece) for run, piece in stream.pieces]
        for (run, _), setting in zip(stream.pieces, settings, strict=True):
            if setting != settings[0]:
                raise _unlike(stream.first.name, stream.pieces[0][0], run, "sites or gains")


def _in_order(runs: list[EphysRun]) -> list[EphysRun]:
    """Order runs by the start of their acquisition, then by their first samples."""
    epochs: dict[str, list[datetime]] = {}
    for run in runs:
        known = [stream.recorded for stream in run.streams if stream.recorded]
        epochs.setdefault(run.epoch_name, []).extend(known)
    if len(epochs) > 1 and not all(epochs.values()):
        undated = next(name for name, dates in epochs.items() if not dates)
        raise RuleError(
            f"When {undated} was recorded is not told, so it cannot be placed among "
            f"{', '.join(name for name in epochs if name != undated)}.",
            hint="Put each run's folder as a dataset of its own, with -d.",
        )
    return sorted(
        runs,
        key=lambda run: (
            min(epochs[run.epoch_name], default=datetime.min),
            run.epoch_name,
            min(stream.first_sample / stream.sampling_rate_hz for stream in run.streams),
            run.name,
        ),
    )


def _axis(name: str, pieces: list[tuple[EphysRun, StreamDescription]]) -> SegmentAxis:
    (first_run, first), streams = pieces[0], [stream for _, stream in pieces]
    for run, stream in pieces[1:]:
        if stream.sampling_rate_hz != first.sampling_rate_hz:
            raise _unlike(name, first_run, run, "sampling rates")
        if stream.n_channels != first.n_channels:
            raise _unlike(name, first_run, run, "numbers of channels")
    _check_dates(name, pieces)
    began = first.recorded or datetime.min
    try:
        return place_segments(
            [stream.n_samples for stream in streams],
            [stream.first_sample for stream in streams],
            [run.epoch_name for run, _ in pieces],
            [((stream.recorded or began) - began).total_seconds() for stream in streams],
            first.sampling_rate_hz,
        )
    except ClockError as error:
        names = ", ".join(run.name for run, _ in pieces)
        raise RuleError(
            f"The pieces of {name} ({names}) cannot be placed in time. {error.message}",
            hint="Put each run's folder as a dataset of its own, with -d.",
        ) from error


def _check_dates(name: str, pieces: list[tuple[EphysRun, StreamDescription]]) -> None:
    """Refuse pieces of a run whose samples and dates contradict each other.

    The acquisition was then started again under the name of a run that was there, and its samples
    count from another start. Where all dates are equal they tell nothing.
    """
    firsts: dict[str, tuple[EphysRun, StreamDescription]] = {}
    for run, piece in pieces:
        first_run, first = firsts.setdefault(run.epoch_name, (run, piece))
        if first.recorded is None or piece.recorded in (None, first.recorded):
            continue
        by_date_s = (piece.recorded - first.recorded).total_seconds()
        by_samples_s = (piece.first_sample - first.first_sample) / first.sampling_rate_hz
        if abs(by_date_s - by_samples_s) > _DATES_S + _DATES_RATE * abs(by_samples_s):
            raise RuleError(
                f"{name} of {run.name} was made {by_date_s:.0f} s after that of {first_run.name}; "
                f"by their first samples it is {by_samples_s:.0f} s.",
                hint="Was the acquisition started again with the name of a run that was there? "
                "Put each run's folder as a dataset of its own, with -d.",
            )


def _join(name: str, pieces: list[list[DigitalLine]], axis: SegmentAxis) -> DigitalLine:
    mine = [
        (number, line)
        for number, lines in enumerate(pieces)
        for line in lines
        if line.event_name == name
    ]
    return DigitalLine(
        event_name=name,
        samples=np.concatenate([line.samples + axis.offset_samples[k] for k, line in mine]),
        values=np.concatenate([line.values for _, line in mine]),
        timestamps=np.concatenate([line.timestamps + axis.start_s[k] for k, line in mine]),
    )


def _probe_of(run: EphysRun, piece: StreamDescription) -> tuple[str, str]:
    probe = run.probe(piece)
    gains = probe.uv_per_bit["ap"]
    return probe.probe_id, hash_configuration(
        probe.channel_idx, probe.shank, probe.positions_um, gains
    )


def _unlike(name: str, one: EphysRun, other: EphysRun, what: str) -> RuleError:
    return RuleError(
        f"{one.name} and {other.name} have different {what} of {name}.",
        hint="Put each run's folder as a dataset of its own, with -d.",
    )
