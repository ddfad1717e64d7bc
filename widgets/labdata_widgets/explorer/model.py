"""State of the unit explorer: what is chosen, and the arrays that follow from it. No display.

Everything a view shows is a trait here, so that tests drive the explorer without a browser, and
two views of one model agree. A change of unit touches that unit's spikes only: the dataset is
brought into order once, when it is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from traitlets import Bool, Float, HasTraits, Instance, Int, Tuple, Unicode, observe

from labdata.errors import LabdataError
from labdata.objects import onsets_of, select_units, tidy
from labdata_widgets.explorer.trials import AlignedUnit, align_unit
from labdata_widgets.explorer.units import (
    COLUMNS,
    curation_labels,
    curation_words,
    unit_slices,
    unit_table,
)

#: Seconds around the event, and of a bin, unless chosen otherwise.
WINDOW_S = (-0.5, 1.0)
BIN_S = 0.01


@dataclass(frozen=True, eq=False)
class UnitView:
    """What is shown of one unit.

    Attributes
    ----------
    unit : int
        Label.
    time_s : ndarray of float64, shape (n_spikes,)
        Spike times on the dataset's clock.
    values : mapping of str to ndarray, shape (n_spikes,)
        ``amplitude`` (uV) and ``depth`` (um) of each spike, where the dataset has them.
    aligned : AlignedUnit or None
        Around the chosen event; None without one, `problem` then says why.
    problem : str
        What stands in the way of the alignment, and what to do; empty if nothing does.
    """

    unit: int
    time_s: NDArray[np.float64]
    values: dict[str, NDArray[Any]]
    aligned: AlignedUnit | None
    problem: str


class ExplorerModel(HasTraits):
    """Choose a unit and an event; get the unit's table row, spikes, raster and PSTH.

    Parameters
    ----------
    spikes : xarray.Dataset, optional
        Kind ``spikes``.
    events : xarray.Dataset, optional
        Kind ``events``, on the same clock.
    event : str, optional
        Event as ``stream/channel``, or a channel that only one stream has.
    window_s : tuple of float, optional
        Seconds around the event.
    bin_s : float, optional
        Width of a bin of the PSTH, seconds.

    Attributes
    ----------
    unit : int or None
        Label of the chosen unit.
    event : str
        Chosen event as ``stream/channel``; empty if there is none.
    sua_only : bool
        List only units that pass the criteria of a single unit.
    where : str
        Expression of unit coordinates that listed units fulfil, such as ``depth > 500``.
    sort_by, descending : str, bool
        Column of `table` and direction.
    order : tuple of int
        Labels of the listed units, in order; follows from the above.
    where_problem : str
        Why `where` cannot be used; the list is then not filtered by it.
    view : UnitView or None
        What is shown of the chosen unit; follows from the above.
    labels : list of str
        What a curation says of each unit of `table`; empty where the units are the sorter's.
    """

    spikes = Instance(xr.Dataset, allow_none=True, default_value=None)
    events = Instance(xr.Dataset, allow_none=True, default_value=None)
    unit = Int(None, allow_none=True)
    event = Unicode("")
    window_s = Tuple(Float(), Float(), default_value=WINDOW_S)
    bin_s = Float(BIN_S)
    sua_only = Bool(False)
    where = Unicode("")
    sort_by = Unicode("unit")
    descending = Bool(False)
    order = Tuple(default_value=())
    where_problem = Unicode("")
    view = Instance(UnitView, allow_none=True, default_value=None)

    def __init__(
        self,
        spikes: xr.Dataset | None = None,
        events: xr.Dataset | None = None,
        *,
        event: str | None = None,
        window_s: tuple[float, float] = WINDOW_S,
        bin_s: float = BIN_S,
    ) -> None:
        super().__init__()
        self._table = pd.DataFrame()
        self.labels: list[str] = []
        self._rank: dict[int, int] = {}
        self._onsets: dict[str, xr.DataArray] = {}
        self._choices: dict[str, int] = {}
        self._loading = True
        self.window_s, self.bin_s = tuple(window_s), bin_s
        self.set_data(spikes, events, event=event)

    def set_data(
        self, spikes: xr.Dataset | None, events: xr.Dataset | None, *, event: str | None = None
    ) -> None:
        """Show other data; the listing, window and bin stay as chosen.

        Parameters
        ----------
        spikes, events : xarray.Dataset or None
            Kinds ``spikes`` and ``events``.
        event : str, optional
            As for the class.
        """
        self._loading = True
        self._onsets = {}
        self.spikes = None if spikes is None else tidy(spikes)
        self.events = events
        self._choices = {} if events is None else event_choices(events)
        self.event = self._named_event(event)
        self._table, self.labels = pd.DataFrame(), []
        if self.spikes is not None:
            self.labels = curation_labels(self.spikes)
            self._table = unit_table(self.spikes)
            self._start, self._stop = unit_slices(self.spikes)
        self._rank = {int(u): i for i, u in enumerate(self._table.index)}
        if not self.has_verdicts:
            self.sua_only = False
        self._loading = False
        self._list_units()
        self.unit = self.order[0] if self.order else None
        self._show_unit()

    @property
    def table(self) -> pd.DataFrame:
        """Every unit, listed or not; :func:`labdata_widgets.explorer.units.unit_table`."""
        return self._table

    @property
    def event_choices(self) -> dict[str, int]:
        """Events as ``stream/channel``, and how often each rose."""
        return dict(self._choices)

    @property
    def has_verdicts(self) -> bool:
        """Whether units were judged by the criteria of a single unit."""
        return bool(len(self._table)) and bool(self._table["passes"].notna().any())

    def step(self, by: int) -> None:
        """Choose the unit some places further in the list; stops at its ends.

        Parameters
        ----------
        by : int
            Places, negative for backwards.
        """
        if not self.order:
            return
        at = self.order.index(self.unit) + by if self.unit in self.order else 0
        self.unit = self.order[min(max(at, 0), len(self.order) - 1)]

    def summary(self) -> str:
        """Return what is shown in one line of text."""
        if self.view is None:
            return self.why_empty()
        assert self.spikes is not None
        n = len(self.view.time_s)
        curation = curation_words(self.spikes, self.view.unit)
        named = f"Unit {self.view.unit}" + (f" ({curation})" if curation else "")
        text = f"{named}: {n:,} {'spike' if n == 1 else 'spikes'}"
        aligned = self.view.aligned
        if aligned is None:
            return text
        text += f", {aligned.n_trials:,} {'trial' if aligned.n_trials == 1 else 'trials'}"
        text += f" of {self.event}"
        left = aligned.n_trials - aligned.n_whole
        if left:
            text += f"; {left:,} leave the recording and are not in the mean"
        return text

    def why_empty(self) -> str:
        """Return why no unit is listed and what to do about it; empty if one is."""
        if self.spikes is None:
            return "No spikes are loaded."
        if not len(self._table):
            return "This sorting has no units. Try another parameter set."
        if not self.order:
            return (
                f"None of the {len(self._table)} units passes the filter. Clear it to list them."
            )
        return ""

    @observe("sua_only", "where", "sort_by", "descending")
    def _list_units(self, change: Any = None) -> None:
        if self._loading:
            return
        table, shown = self._table, np.ones(len(self._table), dtype=bool)
        if self.sua_only:
            shown &= table["passes"].to_numpy() == 1
        problem = ""
        if self.where.strip() and len(table):
            try:
                shown &= self._fulfil(self.where)
            except LabdataError as error:
                problem = str(error)
        self.where_problem = problem
        units = table.index.to_numpy()
        values = units.astype(np.float64)
        if self.sort_by in table:
            values = table[self.sort_by].to_numpy(dtype=np.float64)
        elif self.sort_by == "label" and self.labels:
            values = _rank_texts(self.labels)
        at = np.flatnonzero(shown)
        known = at[~np.isnan(values[at])]
        key = -values[known] if self.descending else values[known]
        ranked = known[np.lexsort((units[known], key))]
        # units without the number come last, whichever way the list runs
        rest = np.setdiff1d(at, known)
        self.order = tuple(int(u) for u in units[np.concatenate([ranked, rest]).astype(int)])

    @observe("unit", "event", "window_s", "bin_s")
    def _show_unit(self, change: Any = None) -> None:
        if self._loading:
            return
        if self.unit is None or self.unit not in self._rank:
            self.view = None
            return
        one = self._one(self._rank[self.unit])
        values = {
            name: one[variable].values
            for name, variable in (("amplitude", "spike_amplitude"), ("depth", "spike_depth"))
            if variable in one
        }
        aligned, problem = None, ""
        try:
            aligned = self._align(one)
        except LabdataError as error:
            problem = str(error)
        if aligned is None and not problem:
            problem = "No digital events in this dataset; the raster needs the rises of a line."
        self.view = UnitView(self.unit, one["spike_time"].values, values, aligned, problem)

    def _one(self, at: int) -> xr.Dataset:
        """Return a dataset of one unit; its arrays are views."""
        assert self.spikes is not None
        return self.spikes.isel(unit=[at], spike=slice(self._start[at], self._stop[at]))

    def _align(self, one: xr.Dataset) -> AlignedUnit | None:
        if not self.event or self.events is None:
            return None
        if self.event not in self._onsets:
            stream, _, channel = self.event.rpartition("/")
            self._onsets[self.event] = onsets_of(self.events, channel, stream=stream or None)
        return align_unit(one, self._onsets[self.event], window_s=self.window_s, bin_s=self.bin_s)

    def _fulfil(self, where: str) -> NDArray[np.bool_]:
        """Return which units fulfil an expression; no spikes are touched."""
        assert self.spikes is not None
        bare = self.spikes.isel(spike=slice(0, 0))
        extra = {c.name: self._table[c.name].to_numpy() for c in COLUMNS[1:]}
        bare = bare.assign_coords({n: ("unit", v) for n, v in extra.items() if n not in bare})
        kept = select_units(bare, where)["unit"].values
        return np.isin(self._table.index.to_numpy(), kept)

    def _named_event(self, event: str | None) -> str:
        """Return the choice that a name means; the first one without a name."""
        if event is None:
            return next(iter(self._choices), "")
        if event in self._choices or not self._choices:
            return event if event in self._choices else ""
        same = [c for c in self._choices if c.rpartition("/")[2] == str(event)]
        if len(same) == 1:
            return same[0]
        raise LabdataError(
            f"The event {event!r} is on {len(same)} streams.",
            hint=f"There are: {', '.join(self._choices)}.",
        )


def _rank_texts(texts: list[str]) -> NDArray[np.float64]:
    """Return the place of each text in the order of the alphabet; NaN of those that are empty."""
    _, rank = np.unique(texts, return_inverse=True)
    return np.where(np.array(texts) == "", np.nan, rank.astype(np.float64))


def event_choices(events: xr.Dataset) -> dict[str, int]:
    """Return the lines of an events dataset that rise, as ``stream/channel``, and how often.

    Parameters
    ----------
    events : xarray.Dataset
        Kind ``events``.

    Returns
    -------
    dict of str to int
        Lines of the clock's own stream first, then by name.
    """
    up = events["event_value"].values == 1
    names = pd.DataFrame(
        {"stream": events["stream"].values[up], "channel": events["channel"].values[up]}
    ).astype(str)
    counts = names.value_counts(sort=False)
    clock = str(events.attrs.get("clock", ""))
    keys = sorted(counts.index, key=lambda k: (k[0] != clock, k[0], len(k[1]), k[1]))
    return {f"{stream}/{channel}": int(counts[(stream, channel)]) for stream, channel in keys}
