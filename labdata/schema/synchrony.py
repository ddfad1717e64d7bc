"""From rows of StreamSync to clock maps: each stream its own, or the word that it has none."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ..clocks import ClockMap, SyncReport, join_maps, synchronise
from ..database.quick_rows import select_rows
from ..errors import ClockError, QueryError, warn_user
from .sync_lines import DATASET, StreamKey, SyncLine, clock_key, line_keys, stream_key

#: Of StreamSync.
SYNC_COLUMNS = (
    *DATASET,
    *("stream_name", "event_name", "clock_dataset", "clock_stream", "clock_stream_event"),
)


def check_method(method: str) -> None:
    """Accept the one interpolation that is safe, and refuse the others with the reason.

    Parameters
    ----------
    method : str
        As given by the user.

    Raises
    ------
    QueryError
        For anything but ``piecewise-linear``.
    """
    if method != "piecewise-linear":
        raise QueryError(
            f"The interpolation {method!r} is not offered.",
            hint="Use 'piecewise-linear', over edges smoothed within their quantisation. A cubic "
            "spline through jittered pulses errs by seconds beyond the last pulse.",
        )


def check_sync_rows(lab: Any, rows: Any) -> None:
    """Refuse rows of StreamSync that would be wrong without a word, or in words of the database.

    A stream that is its own clock would pass for synchronised; one with two could not be read.

    Parameters
    ----------
    lab : Lab
        The tables.
    rows : list of dict or anything else that DataJoint inserts
        What is no list, and rows that are no dicts with the whole key, are left to the database.

    Raises
    ------
    QueryError
        If a stream is to be its own clock or has another, or a line is not there.
    """
    given = rows if isinstance(rows, list | tuple) else []
    whole = set(lab.StreamSync.primary_key)
    known = [row for row in given if isinstance(row, dict) and whole <= set(row)]
    for row in known:
        mine, clock = line_keys(row)
        if stream_key(mine) == stream_key(clock):
            raise QueryError(
                f"Stream {row['stream_name']} cannot be its own clock.",
                hint="clock_stream names the stream whose clock the times are put on.",
            )
        for key in (mine, clock):
            stream = {name: key[name] for name in (*DATASET, "stream_name")}
            if not lab.DatasetEvents.Digital & key:
                names = (lab.DatasetEvents.Digital & stream).fetch("event_name")
                dataset = "/".join(str(key[k]) for k in DATASET)
                raise QueryError(
                    f"{dataset} has no line {key['event_name']} of stream {key['stream_name']}.",
                    hint=f"Lines with events: {', '.join(map(str, names)) or 'none'}.",
                )
    _refuse_second_clock(lab, known)


def _refuse_second_clock(lab: Any, new: list[dict[str, Any]]) -> None:
    """Refuse rows with which a stream has two clocks, or is its own by way of others.

    From then on nothing of the stream could be read.
    """
    sessions = [dict(zip(DATASET, key, strict=False)) for key in {stream_key(r)[:2] for r in new}]
    there = select_rows(lab.StreamSync, SYNC_COLUMNS, sessions) if new else []
    rows = {tuple(str(row[name]) for name in SYNC_COLUMNS): row for row in [*there, *new]}
    for row in new:
        try:
            find_chain(stream_key(row), list(rows.values()))
        except QueryError as error:
            raise QueryError(
                f"{error.message} Nothing was inserted.",
                hint="Delete the row of StreamSync that is there first, if that is the wrong one.",
            ) from None


def fit_stream(lab: Any, row: dict[str, Any], *, force: bool = False) -> ClockMap:
    """Return the map from a stream's clock to the clock that a StreamSync row names.

    Parameters
    ----------
    lab : Lab
        The tables.
    row : dict
        A row of StreamSync.
    force : bool, optional
        Accept residuals above tolerance: the tolerance is raised to half a period of the pulses.

    Raises
    ------
    ClockError
        If the pulses cannot be matched within the tolerance.

    Warns
    -----
    UnsyncedWarning
        If another offset, by whole periods of the pulses, explains them about as well, or if the
        pulses match only because ``force`` raised the tolerance.
    """
    return fit_link(lab, row, force=force)[0]


def fit_link(lab: Any, row: dict[str, Any], *, force: bool = False) -> tuple[ClockMap, bool]:
    """Return the map of :func:`fit_stream`, and whether it had to be forced.

    Parameters
    ----------
    lab, row, force
        As of :func:`fit_stream`.
    """
    forced = False
    mine, theirs = (SyncLine.read(lab, line) for line in line_keys(row))
    settings: dict[str, Any] = {
        "stream": row["stream_name"],
        "clock": row["clock_stream"],
        "stream_span_s": mine.span_s,
        "clock_span_s": theirs.span_s,
        "stream_quantum_s": mine.quantum_s,
        "clock_quantum_s": theirs.quantum_s,
    }
    # first samples count from the start of a run's acquisition, and streams are of one run each
    same_run = row["clock_dataset"] == row["dataset_name"]
    try:
        found = _synchronise_lines(mine, theirs, settings, same_run=same_run)
    except ClockError:
        if not force:
            raise
        loose = 0.5 * float(np.median(np.diff(theirs.times_s)))
        settings |= {"tolerance_s": loose, "least_matched": 0.0}
        found, forced = _synchronise_lines(mine, theirs, settings, same_run=same_run), True
        warn_user(
            f"The pulses of {row['stream_name']} and {row['clock_stream']} do not match within "
            f"the tolerance; forced, with errors up to {found.report.residual_max_s:.3g} s."
        )
    if found.report.ambiguous_offset:
        warn_user(f"{'/'.join(row[k] for k in DATASET)} {found.report.warnings[0]}")
    return found, forced


@dataclass(frozen=True)
class StreamClock:
    """The clock that a stream's times are put on.

    Two clocks are one only if their whole keys are equal: every rig has a ``nidq``.

    Attributes
    ----------
    key : StreamKey
        The stream whose clock it is: the stream itself, if it is not synchronised.
    synced : bool
        Whether the stream is synchronised, or is the clock of others.
    clock_map : ClockMap or None
        The map to the clock; None for the stream's own.
    """

    key: StreamKey
    synced: bool
    clock_map: ClockMap | None

    @property
    def name(self) -> str:
        """Name of the clock's stream."""
        return self.key[3]

    @property
    def dataset(self) -> str:
        """The clock's dataset, as subject/session/dataset."""
        return "/".join(self.key[:3])

    def sync_attrs(self) -> dict[str, str | float | int] | None:
        """Return what the attributes of an object on this clock say of it; None if not synced."""
        if not self.synced:
            return None
        if self.clock_map is None:
            found: dict[str, str | float | int] = {"sync_method": "the clock itself"}
        else:
            report = self.clock_map.report
            found = report.to_attrs()
            found["sync_report"] = json.dumps({report.stream: report.to_dict()})
        return found | {"clock": self.name, "clock_dataset": self.dataset}

    def count_extrapolated(self, own_s: Any) -> int:
        """Return how many times lie outside the pulses.

        Parameters
        ----------
        own_s : array_like
            Seconds on the stream's own clock.
        """
        if self.clock_map is None:
            return 0
        return int(np.count_nonzero(self.clock_map.extrapolated(own_s)))

    def apply(self, own_s: Any) -> Any:
        """Return times on the clock.

        Parameters
        ----------
        own_s : array_like
            Seconds on the stream's own clock.
        """
        return own_s if self.clock_map is None else self.clock_map.apply(own_s)


def stream_clocks(
    lab: Any, streams: Iterable[StreamKey], *, force: bool = False
) -> dict[StreamKey, StreamClock]:
    """Return the clock of each stream: the last of those that StreamSync names, or its own.

    Where the clock of a stream is itself synchronised, its map is followed too, to the last clock.

    Parameters
    ----------
    lab : Lab
        The tables.
    streams : iterable of StreamKey
        The streams.
    force : bool, optional
        As in :func:`fit_stream`.

    Raises
    ------
    QueryError
        If a stream has several synchronisations, which would be a choice of clock by chance, or
        if clocks are each other's.
    ClockError
        If pulses cannot be matched within the tolerance.
    """
    wanted = list(dict.fromkeys(streams))
    if not wanted:
        return {}
    sessions = [{"subject_name": s, "session_name": n} for s, n in {w[:2] for w in wanted}]
    rows = select_rows(lab.StreamSync, SYNC_COLUMNS, sessions)
    clocks = {clock_key(row) for row in rows}
    fitted: dict[StreamKey, ClockMap] = {}
    found = {}
    for stream in wanted:
        chain = find_chain(stream, rows)
        for row in chain:
            if stream_key(row) not in fitted:
                fitted[stream_key(row)] = fit_stream(lab, row, force=force)
        if chain:
            joined = join_maps(*(fitted[stream_key(row)] for row in chain))
            found[stream] = StreamClock(clock_key(chain[-1]), True, joined)
        else:
            found[stream] = StreamClock(stream, stream in clocks, None)
    return found


def find_chain(stream: StreamKey, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the synchronisations that lead from a stream to its last clock, in order.

    Parameters
    ----------
    stream : StreamKey
        The first stream.
    rows : list of dict
        Of StreamSync, all of its session.

    Raises
    ------
    QueryError
        If a stream has several synchronisations, or they lead round.
    """
    chain: list[dict[str, Any]] = []
    passed = [stream]
    while row := _row_of(passed[-1], rows):
        chain.append(row)
        passed.append(clock_key(row))
        if passed[-1] in passed[:-1]:
            names = " > ".join(f"{key[2]}/{key[3]}" for key in passed)
            raise QueryError(
                f"The clocks of {'/'.join(stream[:2])} lead round in a circle: {names}.",
                hint="Delete the row of StreamSync that is wrong; one clock must be the last.",
            )
    return chain


def _row_of(stream: StreamKey, rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the one synchronisation of a stream; None if it has none."""
    found = [row for row in rows if stream_key(row) == stream]
    if len(found) > 1:
        clocks = " and ".join(
            f"{r['clock_dataset']}/{r['clock_stream']} (line {r['clock_stream_event']})"
            for r in found[:2]
        )
        raise QueryError(
            f"Stream {stream[3]} of {'/'.join(stream[:3])} has {len(found)} synchronisations: "
            f"with {clocks}.",
            hint="Delete the row of StreamSync that is wrong.",
        )
    return found[0] if found else None


def warn_unsynced(streams: Iterable[StreamKey]) -> None:
    """Warn, once and by name, that the times of some streams are on their own clocks.

    Parameters
    ----------
    streams : iterable of StreamKey
        The streams without a synchronisation.
    """
    names = sorted({f"{s}/{n}/{d} {stream}" for s, n, d, stream in streams})
    if names:
        warn_user(
            f"Not synchronised, times are on the stream's own clock: {'; '.join(names)}. "
            "Insert the common pulses into StreamSync."
        )


def warn_extrapolated(clock_map: ClockMap, values: Any) -> None:
    """Warn about times outside the pulses, which are extrapolated at the fitted rate.

    Parameters
    ----------
    clock_map : ClockMap
        The map.
    values : array_like
        Seconds on the stream's clock.
    """
    n_outside = int(np.count_nonzero(clock_map.extrapolated(values)))
    if n_outside:
        first, last = clock_map.covered_s
        warn_user(
            f"{n_outside} of {np.size(values)} times are outside the pulses ({first:.3f} to "
            f"{last:.3f} s) and extrapolated at the fitted rate."
        )


def _synchronise_lines(
    mine: SyncLine, theirs: SyncLine, settings: dict[str, Any], *, same_run: bool
) -> ClockMap:
    """Relate two lines, with the offset that their first samples tell if they are of one run.

    Both streams count from the start of acquisition, each at its own rate. A run may record hours
    after that, when clocks of 40 ppm are a whole pulse apart, so that the plain difference of the
    two would choose the wrong pulse. It gives the rate well enough; with it the offset is known.
    """
    arguments = (mine.times_s, mine.values, theirs.times_s, theirs.values)
    if not same_run or mine.start_s is None or theirs.start_s is None:
        return synchronise(*arguments, **settings)
    hint_s = mine.start_s - theirs.start_s
    found = synchronise(*arguments, **settings, offset_hint_s=hint_s)
    report = cast(SyncReport, found.report)  # of two lines, not of a chain
    parted_s = mine.start_s * report.drift_ppm * 1e-6
    if abs(parted_s) < 0.01 * report.period_s:
        return found
    return synchronise(*arguments, **settings, offset_hint_s=hint_s + parted_s)
