"""Digital and analog events of a dataset's streams, and how streams on different clocks relate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ..database.projects import Computed, Imported, Manual, Part, table
from .general import Dataset  # noqa: F401  (named by foreign keys)

if TYPE_CHECKING:
    import numpy as np

    from ..clocks import ChainReport, ClockMap, SyncReport


@table("data")
class DatasetEvents(Imported):
    """Streams of events, each on the clock of one device."""

    definition = """
    -> Dataset
    stream_name : varchar(54)            # imec0, nidq, obx0, ...
    ---
    stream_time=null : <array>           # s, of the samples of the analog channels
    sampling_rate=null : float64         # Hz, nominal
    n_samples=null : int64               # of the stream
    first_sample=null : int64            # since the acquisition of the run began, if known
    """

    class Digital(Part):
        """Edges of digital lines."""

        definition = """
        -> master
        event_name : varchar(54)         # bit number of the line
        ---
        event_timestamps=null : <array>  # float64 s, the stream's own nominal clock
        event_values=null : <array>      # int8, 1 rise, 0 fall
        event_samples=null : <spiketrain>  # int64 samples of the stream
        """

        def fetch_synced(
            self, force: bool = False, method: str = "piecewise-linear"
        ) -> list[dict[str, Any]]:
            """Return these lines with their times on the clock that StreamSync names.

            Parameters
            ----------
            force : bool, optional
                Accept a synchronisation whose residuals are above tolerance; a warning says so.
            method : {"piecewise-linear"}
                The only method.

            Returns
            -------
            list of dict
                The rows, in the order of their keys; each also has ``clock`` (the clock of
                ``event_timestamps``), ``clock_dataset`` (whose clock of that name it is),
                ``synced`` and ``n_extrapolated`` (times outside the pulses, at the fitted rate).
                A stream without a StreamSync keeps its own
                clock and is named in a warning, unless it is the clock of the others.
            """
            from .synced_events import fetch_synced

            return fetch_synced(self, force=force, method=method)

        def plot_synced(
            self,
            *,
            stream_colors: dict[str, str] | None = None,
            overlay_original: bool = False,
            lw: float = 1.0,
            force: bool = True,
            ax: Any = None,
        ) -> Any:
            """Draw each line's rises as ticks, one row a line, on the synchronised clock.

            Parameters
            ----------
            stream_colors : dict, optional
                Stream name to colour.
            overlay_original : bool, optional
                Draw the unsynchronised times too, in grey.
            lw : float, optional
                Width of the ticks, points.
            force : bool, optional
                As in :meth:`fetch_synced`.
            ax : matplotlib.axes.Axes, optional
                Where to draw; by default the current axes.

            Returns
            -------
            matplotlib.axes.Axes
                What was drawn on.
            """
            from .synced_events import plot_synced

            return plot_synced(
                self,
                stream_colors=stream_colors,
                overlay_original=overlay_original,
                lw=lw,
                force=force,
                ax=ax,
            )

    class AnalogChannel(Part):
        """Analog channels recorded with the events."""

        definition = """
        -> master
        channel_name : varchar(54)
        ---
        channel_values=null : <array>    # float32 V, one a sample of the stream
        """


@table("computed")
class StreamSync(Manual):
    """Which line of a stream carries the same pulses as which line of its clock."""

    definition = """
    -> Dataset
    -> DatasetEvents.Digital
    -> DatasetEvents.Digital.proj(clock_stream='stream_name', clock_stream_event='event_name', clock_dataset='dataset_name')
    """  # noqa: E501

    def insert(self, rows: Any, replace: bool = False, **kwargs: Any) -> None:
        """Insert synchronisations; one that is there already is success.

        Parameters
        ----------
        rows : iterable of dict
            As in DataJoint.
        replace : bool, optional
            Has no effect, as a row is nothing but its key.
        **kwargs
            As in DataJoint.

        Raises
        ------
        QueryError
            If a stream is to be its own clock or has another, or a line is not there.
        """
        from .synchrony import check_sync_rows

        check_sync_rows(self.lab, rows)
        super().insert(rows, **(kwargs | {"skip_duplicates": True}))

    def clock_map(self, *, force: bool = False) -> ClockMap:
        """Return the map from the stream's clock to the clock stream's, for one row.

        Its report is kept in StreamSyncReport, by accounts that may write results.

        Parameters
        ----------
        force : bool, optional
            Accept residuals above tolerance.

        Raises
        ------
        QueryError
            If there is not exactly one row.
        ClockError
            If the pulses cannot be matched within the tolerance.
        """
        from .sync_reports import keep_report
        from .synchrony import fit_link

        row = _one_row(self)
        found, forced = fit_link(self.lab, row, force=force)
        keep_report(self.lab, row, found, forced=forced)
        return found

    def report(self) -> SyncReport:
        """Return how well the pulses of one row match."""
        return cast("SyncReport", self.clock_map(force=True).report)

    def apply(
        self,
        values: np.ndarray | None = None,
        method: str = "piecewise-linear",
        force: bool = False,
        warn: bool = True,
    ) -> Any:
        """Put times of the stream on its clock, for one row.

        Parameters
        ----------
        values : ndarray, optional
            Seconds on the stream's own nominal clock.
        method : {"piecewise-linear"}
            The only method.
        force : bool, optional
            Accept residuals above tolerance.
        warn : bool, optional
            Warn about times outside the pulses, which are extrapolated.

        Returns
        -------
        ndarray or callable
            Seconds on the clock; without ``values`` the function that maps them.
        """
        from .synchrony import check_method, warn_extrapolated

        check_method(method)
        clock_map = self.clock_map(force=force)
        if values is None:
            return clock_map.apply
        if warn:
            warn_extrapolated(clock_map, values)
        return clock_map.apply(values)

    def clock_stream(self) -> str | list[str]:
        """Return the clock stream of these rows: its name, or a list for several rows."""
        names = [str(name) for name in self.fetch("clock_stream")]
        return names[0] if len(names) == 1 else names


@table("computed")
class StreamSyncReport(Computed):
    """How well the pulses of each synchronisation match, as it was computed last.

    Written by ``populate`` and whenever StreamSync is used by itself (``report``, ``clock_map``,
    ``apply``); anew where the pulses or the algorithm changed since.
    """

    definition = """
    -> StreamSync
    ---
    n_matched : int32                    # pairs of pulses
    n_dropped : int32                    # pulses that one side missed
    n_spurious : int32                   # pulses and glitches that fit nothing
    residual_rms_s : float64             # s, of the pulses against the smoothed map
    residual_max_s : float64             # s
    tolerance_s : float64                # s, the largest error allowed
    drift_ppm : float64                  # rate of the clock against the stream
    offset_s : float64                   # s, time on the clock at 0 s of the stream
    extrapolated_s : float64             # s, parts of the recording outside the pulses
    forced : int8                        # 1: they match only with a raised tolerance
    chain : varchar(512)                 # imec1 > imec0 > nidq, to the last clock
    report : json                        # all of it, of this link
    chain_report=null : json             # of the whole chain, where there are several links
    clock_algorithm_version : int16      # labdata.clocks.ALGORITHM_VERSION
    labdata_version : varchar(32)
    inputs_hash : char(64)               # of the pulses and streams that it is of
    computed_datetime : datetime(6)      # UTC
    """

    def make(self, key: dict[str, Any]) -> None:
        """Compute the report of one synchronisation."""
        from .sync_reports import make_report

        self.insert1(make_report(self.lab, key))

    def report(self) -> SyncReport | ChainReport:
        """Return the report of one row: to the last clock, where that is through several.

        Where the pulses changed since, it is computed and stored anew first.

        Raises
        ------
        QueryError
            If there is not exactly one row.
        ClockError
            If the pulses of today cannot be matched, even with a raised tolerance.
        """
        from .sync_reports import current_report, report_of

        return report_of(current_report(self.lab, _one_row(self)))

    def refresh(self) -> int:
        """Compute the reports of these rows anew whose pulses or algorithm changed.

        Returns
        -------
        int
            How many changed.
        """
        from .sync_reports import current_report

        before = self.fetch("KEY", "inputs_hash", as_dict=True)
        after = [current_report(self.lab, row) for row in before]
        return sum(
            old["inputs_hash"] != new["inputs_hash"]
            for old, new in zip(before, after, strict=True)
        )


def _one_row(table: Any) -> dict[str, Any]:
    """Return the key of the one synchronisation that is selected."""
    from ..errors import QueryError

    keys = table.fetch("KEY")
    if len(keys) != 1:
        raise QueryError(
            f"{len(keys)} synchronisations are selected where one is needed.",
            hint=f"Restrict {type(table).__name__} to one subject, session, dataset and "
            "stream_name.",
        )
    return dict(keys[0])
