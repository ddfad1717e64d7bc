"""The unit explorer in a notebook: it carries changes between the model and the parts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import ipywidgets
import numpy as np
import xarray as xr
from bokeh.events import DocumentReady

import labdata
from labdata.counted import count_of
from labdata_widgets.explorer.clock_badge import clock_badge
from labdata_widgets.explorer.figures import DARK, LIGHT, ProbeMap, UnitFigures
from labdata_widgets.explorer.model import BIN_S, WINDOW_S, ExplorerModel
from labdata_widgets.explorer.parts import ControlBar, Headline, LiveBokeh, UnitTable, load_bokeh
from labdata_widgets.explorer.units import COLUMNS, LABEL, curation_words


class UnitExplorer(ipywidgets.Box):  # type: ignore[misc]
    """Explore sorted units: list, probe, raster, PSTH and course over time, by keyboard.

    Parameters
    ----------
    spikes : xarray.Dataset or None
        Kind ``spikes``; None shows an empty explorer until :meth:`set_data`.
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
    model : ExplorerModel
        The state; change it from code and the view follows.

    Examples
    --------
    >>> UnitExplorer(labdata.spikes(key), labdata.events(key), event="nidq/1")  # doctest: +SKIP
    """

    def __init__(
        self,
        spikes: xr.Dataset | None = None,
        events: xr.Dataset | None = None,
        *,
        event: str | None = None,
        window_s: tuple[float, float] = WINDOW_S,
        bin_s: float = BIN_S,
    ) -> None:
        load_bokeh()
        self.model = ExplorerModel(spikes, events, event=event, window_s=window_s, bin_s=bin_s)
        self.bar = ControlBar(start_s=window_s[0], stop_s=window_s[1], bin_s=bin_s)
        self.table = UnitTable()
        self.headline = Headline()
        self.figures, self.map = UnitFigures(), ProbeMap()
        self._busy = False
        self._show_data()
        plots, probe = LiveBokeh(self.figures.root), LiveBokeh(self.map.root)
        for widget, name in (
            (self.bar, "ld-bar"),
            (self.table, "ld-table"),
            (self.headline, "ld-headline"),
            (probe, "ld-map"),
            (plots, "ld-plots"),
        ):
            widget.add_class(name)
        super().__init__([self.bar, self.table, self.headline, probe, plots])
        self.add_class("labdata-explorer")
        self._connect()

    def __repr__(self) -> str:
        n = len(self.model.table)
        return f"UnitExplorer({n} units, unit={self.model.unit}, event={self.model.event!r})"

    def set_data(
        self, spikes: xr.Dataset | None, events: xr.Dataset | None, *, event: str | None = None
    ) -> None:
        """Show other data in the same figures.

        Parameters
        ----------
        spikes, events : xarray.Dataset or None
            Kinds ``spikes`` and ``events``.
        event : str, optional
            As for the class.
        """
        self._quietly(lambda: self.model.set_data(spikes, events, event=event))
        self._show_data()

    def say(
        self, text: str, note: str = "", *, amber: bool = False, loading: bool = False
    ) -> None:
        """Write into the headline, for instance while data are loaded.

        Parameters
        ----------
        text, note : str
            What happens, and what to know or do.
        amber : bool, optional
            Whether the note is a warning.
        loading : bool, optional
            Whether to show that work goes on.
        """
        line = self.headline
        with line.hold_sync():
            line.text, line.note, line.amber, line.loading = text, note, amber, loading

    def _connect(self) -> None:
        model, bar, table = self.model, self.bar, self.table
        ipywidgets.link((model, "unit"), (table, "unit"))
        ipywidgets.link((model, "event"), (bar, "event"))
        ipywidgets.link((model, "bin_s"), (bar, "bin_s"))
        for name in ("sort_by", "descending", "sua_only", "where"):
            ipywidgets.link((model, name), (table, name))
        bar.observe(self._set_window, ["start_s", "stop_s"])
        bar.observe(lambda change: self._show_unit(), "course")
        bar.observe(self._set_theme, "dark")
        model.observe(lambda change: self._show_order(), ["order", "where_problem"])
        model.observe(lambda change: self._show_unit(), "view")
        self.map.on_choice = lambda unit: setattr(model, "unit", unit)
        for root, part in ((self.figures.root, self.figures), (self.map.root, self.map)):
            root.document.on_event(DocumentReady, lambda event, part=part: part.resend())

    def _quietly(self, change: Callable[[], None]) -> None:
        """Change the model without a redraw for each of its traits."""
        self._busy = True
        try:
            change()
        finally:
            self._busy = False

    def _set_window(self, change: Any) -> None:
        if self.bar.start_s < self.bar.stop_s:
            self.model.window_s = (self.bar.start_s, self.bar.stop_s)

    def _set_theme(self, change: Any) -> None:
        colours = DARK if self.bar.dark else LIGHT
        self.figures.paint(colours)
        self.map.paint(colours)

    def _show_data(self) -> None:
        model = self.model
        self.bar.events = [
            {"name": name, "label": f"{name} ({n:,})"} for name, n in model.event_choices.items()
        ]
        attrs = {} if model.spikes is None else model.spikes.attrs
        self.bar.badge = {} if not attrs else vars(clock_badge(attrs)).copy()
        self.bar.event = model.event
        if model.view is not None and "amplitude" not in model.view.values:
            self.bar.course = "depth" if "depth" in model.view.values else "amplitude"
        with self.table.hold_sync():
            shown = (COLUMNS[0], LABEL, *COLUMNS[1:]) if model.labels else COLUMNS
            self.table.columns = [_heading(c) for c in shown]
            self.table.data = _columns(model)
            self.table.has_verdicts = model.has_verdicts
            self.table.sua_only, self.table.unit = model.sua_only, model.unit
        self._show_order()
        self._show_unit()

    def _show_order(self) -> None:
        if self._busy:
            return
        with self.table.hold_sync():
            self.table.order = list(self.model.order)
            self.table.where_problem = self.model.where_problem
            self.table.empty = self.model.why_empty()
        self.map.show_units(self.model.table, self.model.order)

    def _show_unit(self) -> None:
        if self._busy:
            return
        model = self.model
        clock = "" if model.spikes is None else str(model.spikes.attrs.get("clock", ""))
        problem = "" if model.view is None else model.view.problem
        # words first: they are there while the plots are still on their way
        self.say(model.summary(), problem, amber=bool(problem))
        self.map.show_chosen(model.unit)
        notes = self.figures.show(
            model.view, event=model.event, clock=clock, course=self.bar.course
        )
        if notes and not problem:
            self.headline.note = notes
        self.bar.caption = caption(model)
        self.bar.file_name = f"unit_{model.unit}"


def caption(model: ExplorerModel) -> str:
    """Return the line that goes below a saved figure: session, parameters, version.

    Parameters
    ----------
    model : ExplorerModel
        What is shown.
    """
    if model.spikes is None:
        return ""
    try:
        made = json.loads(str(model.spikes.attrs.get("provenance", "{}")))
    except ValueError:
        made = {}
    key = made.get("key", {}) if isinstance(made, dict) else {}
    parts = ["/".join(str(v) for v in key.values())] if key else []
    parts += [str(made[n]) for n in ("algorithm", "algorithm_version") if made.get(n)]
    parts += [model.summary(), clock_badge(model.spikes.attrs).text]
    if n_entries := int(model.spikes.attrs.get("curation_entries", 0)):
        parts += [f"as curated, {count_of(n_entries, 'entry')}"]
    start, stop = model.window_s
    parts += [f"window {start:g} to {stop:g} s, bins {model.bin_s * 1e3:g} ms"]
    return " · ".join([*parts, f"labdata {labdata.__version__}"])


def _heading(column: Any) -> dict[str, Any]:
    return {k: getattr(column, k) for k in ("name", "title", "unit", "digits", "explanation")}


def _columns(model: ExplorerModel) -> dict[str, list[Any]]:
    """Return the table as lists, None where a number is not known."""
    table = model.table
    found: dict[str, Any] = {"unit": table.index.to_numpy()}
    for name in table.columns:
        found[name] = table[name].to_numpy(dtype=np.float64)
    if "isi_contamination" in found:
        found["isi_contamination"] = found["isi_contamination"] * 100.0
    lists = {n: [None if np.isnan(x) else float(x) for x in v] for n, v in found.items()}
    if not model.labels or model.spikes is None:
        return lists
    words = [curation_words(model.spikes, int(unit)) for unit in table.index]
    return lists | {"label": model.labels, "curation": words}
