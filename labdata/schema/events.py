"""Digital and analog events of a dataset's streams, and how streams on different clocks relate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..database.projects import Imported, Manual, Part, table
from .general import Dataset  # noqa: F401  (named by foreign keys)

if TYPE_CHECKING:
    import numpy as np

    from ..clocks import ClockMap, SyncReport


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
            If a stream is to be its own clock, or a line is not there.
        """
        from .synchrony import check_sync_rows

        check_sync_rows(self.lab, rows)
        super().insert(rows, **(kwargs | {"skip_duplicates": True}))

    def clock_map(self, *, force: bool = False) -> ClockMap:
        """Return the map from the stream's clock to the clock stream's, for one row.

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
        from .synchrony import fit_stream

        return fit_stream(self.lab, self._one_row(), force=force)

    def report(self) -> SyncReport:
        """Return how well the pulses of one row match."""
        return self.clock_map(force=True).report

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

    def _one_row(self) -> dict[str, Any]:
        from ..errors import QueryError

        rows = self.fetch(as_dict=True)
        if len(rows) != 1:
            raise QueryError(
                f"{len(rows)} synchronisations are selected where one is needed.",
                hint="Restrict StreamSync to one subject, session, dataset and stream_name.",
            )
        return dict(rows[0])
