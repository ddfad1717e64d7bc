"""The spike sorting dashboard: pickers and details on the left, the unit explorer beside them.

The page is shown before the database is asked: the browser says when it is there, then sortings
are listed and the chosen one is loaded, each step named while it lasts.
"""

from __future__ import annotations

import logging
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
from traitlets import Dict, List, Unicode

from labdata.errors import LabdataError
from labdata_widgets.dashboard import records
from labdata_widgets.dashboard.model import LEVELS, SortingChoice, level_value, parse_query
from labdata_widgets.dashboard.records import ProbeSorting
from labdata_widgets.explorer import UnitExplorer
from labdata_widgets.explorer.units import same_unit

STATIC = Path(__file__).parent / "static"
_LABELS = {"subject": "Subject", "session": "Session", "dataset": "Dataset", "sorting": "Sorting"}
_log = logging.getLogger(__name__)


class Sidebar(anywidget.AnyWidget):
    """Pickers, whose units are shown, and details."""

    _esm = STATIC / "sidebar.js"
    _css = STATIC / "dashboard.css"
    pickers = List(Dict()).tag(sync=True)
    details = List(Dict()).tag(sync=True)
    units = Dict().tag(sync=True)
    query = Unicode("").tag(sync=True)


class SortingDashboard(ipywidgets.Box):  # type: ignore[misc]
    """Look at the sorted units of any session of the lab.

    Parameters
    ----------
    lab : Lab, optional
        Tables of another project than the one in use.
    query : str, optional
        What to show first, ``subject=JC1&session=20240305_100000``; by default that of the page's
        URL.

    Attributes
    ----------
    choice : SortingChoice
        What is chosen.
    explorer : UnitExplorer
        The unit explorer.
    """

    def __init__(self, lab: Any = None, *, query: str | None = None) -> None:
        self._lab = lab
        self._query = os.environ.get("QUERY_STRING") if query is None else query
        self.choice = SortingChoice()
        self.explorer = UnitExplorer()
        self.sidebar = Sidebar(pickers=[_picker(n, [], "") for n in LEVELS])
        super().__init__([self.sidebar, self.explorer])
        self.sidebar.add_class("ld-sidebar")
        self.add_class("labdata-page")
        self.explorer.say("Spike sorting", "Starting …", loading=True)
        self._started = False
        self._first = ""
        _log_to_server()
        self.sidebar.on_msg(self._hear)
        self.choice.observe(lambda change: self._show_choice(), "chosen")
        self.choice.observe(lambda change: self._show_other_units(), "curated")
        self.explorer.model.observe(lambda change: self._show_query(), ["unit", "event"])

    def __repr__(self) -> str:
        return f"SortingDashboard({self.choice.query() or 'nothing chosen'})"

    def start(self, query: str = "") -> None:
        """Ask the database for the sortings, and show what the URL names; the page does this.

        Parameters
        ----------
        query : str, optional
            The page's query, used where the environment does not give it.
        """
        if self._started:
            return
        self._started = True
        self._first = self._query or query
        self.explorer.say("Spike sorting", "Reading the list of sortings …", loading=True)
        with self._told("The list of sortings could not be read"):
            sortings = records.list_sortings(self.lab)
            self.choice.load(sortings, self._first)
            if self.choice.chosen is None:
                self._show_nothing()

    @property
    def lab(self) -> Any:
        """The tables."""
        if self._lab is None:
            from labdata.schema import default_lab

            self._lab = default_lab
        return self._lab

    def _hear(self, widget: Any, content: Any, buffers: Any) -> None:
        if content.get("what") == "ready":
            self.start(str(content.get("search", "")).removeprefix("?"))
        elif content.get("what") == "choose":
            self.choice.choose(str(content["level"]), str(content["value"]))
        elif content.get("what") == "units":
            self.choice.curated = bool(content["curated"])

    def _show_nothing(self) -> None:
        self._show_pickers()
        if self.choice.problem:
            self.explorer.say("Not found", self.choice.problem, amber=True)
            return
        self.explorer.say(
            "No recordings yet",
            "Sessions with ephys recordings are listed here once they are uploaded: labdata put.",
        )

    def _show_choice(self) -> None:
        chosen = self.choice.chosen
        if chosen is None:
            return
        self._show_pickers()
        self._show_query()
        if chosen.parameters is None:
            self._show_unsorted(chosen)
            return
        place = f"{chosen.subject}, {chosen.session}"
        self.explorer.say(f"Loading {place} …", loading=True)
        with self._told(f"{place}, {chosen.label} could not be loaded"):
            loaded = self._load(chosen)
            event = self._event(chosen, loaded.events)
            self.explorer.set_data(loaded.spikes, loaded.events, event=event)
            missing = self._choose_unit(chosen)
            self._tell(chosen, loaded, missing)

    def _show_other_units(self) -> None:
        """Show the chosen sorting as curated or as sorted: the same unit, event and filter."""
        chosen, model = self.choice.chosen, self.explorer.model
        if chosen is None or chosen.parameters is None or model.spikes is None:
            return
        before, unit, event = model.spikes, model.unit, model.event
        whose = "as curated" if self.choice.curated else "as sorted"
        self.explorer.say(f"Loading the units {whose} …", loading=True)
        with self._told(f"The units {whose} could not be loaded"):
            loaded = self._load(chosen)
            self.explorer.set_data(loaded.spikes, loaded.events, event=event)
            same = None if unit is None else same_unit(before, unit, model.spikes)
            if same in model.order:
                model.unit = same
            self._tell(chosen, loaded)
            self._show_query()

    def _load(self, chosen: ProbeSorting) -> records.Loaded:
        has_log = records.count_entries(self.lab, chosen) > 0
        curated = self.choice.curated and has_log
        self.sidebar.units = {"curated": curated, "has_log": has_log}
        return records.load_sorting(self.lab, chosen, curated=curated)

    def _tell(self, chosen: ProbeSorting, loaded: records.Loaded, missing: str = "") -> None:
        """Show what is to be known of what was loaded, and the facts of it."""
        why = " ".join(part for part in (loaded.why, missing) if part)
        if why:
            self.explorer.say(self.explorer.model.summary(), why, amber=True)
        self._show_details(records.describe(self.lab, chosen, loaded.spikes, loaded.note))

    def _show_unsorted(self, chosen: ProbeSorting) -> None:
        self.sidebar.units = {}
        with self._told("The recording could not be described"):
            self.explorer.set_data(None, None)
            self._show_details(records.describe(self.lab, chosen, None))
            self.explorer.say(
                f"Probe {chosen.probe} of this session is not sorted yet",
                f"Sort it: labdata run spikeinterface -a {chosen.subject} -s {chosen.session}",
            )

    def _event(self, chosen: ProbeSorting, events: Any) -> str | None:
        """Return the URL's event, else the first line that carries no synchronisation pulses."""
        if events is None:
            return None
        from labdata_widgets.explorer import event_choices

        lines = list(event_choices(events))
        wanted = parse_query(self._first).get("event", "")
        if wanted in lines:
            return wanted
        pulses = records.sync_lines(self.lab, chosen)
        return next((line for line in lines if line not in pulses), None)

    def _choose_unit(self, chosen: ProbeSorting) -> str:
        """Choose the unit of the URL, once; return what of the URL is not there, in words."""
        wanted, model = parse_query(self._first), self.explorer.model
        self._first = ""
        unit, event = wanted.get("unit", ""), wanted.get("event", "")
        missing = []
        if unit.isdigit() and int(unit) in model.order:
            model.unit = int(unit)
        elif unit:
            missing.append(f"unit {unit}")
        if event and event not in model.event_choices:
            missing.append(f"event {event}")
        if not missing:
            return ""
        return f"The address names {' and '.join(missing)}, not found in {chosen.session}."

    def _show_pickers(self) -> None:
        chosen = self.choice.chosen
        self.sidebar.pickers = [
            _picker(n, self.choice.options(n), level_value(chosen, n) if chosen else "")
            for n in LEVELS
        ]

    def _show_details(self, blocks: tuple[records.Details, ...]) -> None:
        self.sidebar.details = [asdict(block) for block in blocks]

    def _show_query(self) -> None:
        model = self.explorer.model
        unit = "" if model.unit is None else str(model.unit)
        self.sidebar.query = self.choice.query(unit=unit, event=model.event)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Show an error in words with an id for the log; the page must never seem to load on."""
        number = uuid.uuid4().hex[:8]
        done = False
        try:
            yield
            done = True
        except LabdataError as error:
            done = True
            _log.warning("%s: %s", number, error)
            self.explorer.set_data(None, None)
            self.explorer.say(what, f"{error.message} {error.hint or ''}", amber=True)
        finally:
            if not done:
                _log.error("%s: %s", number, what, exc_info=True)
                self.explorer.say(
                    what,
                    f"This is a defect of labdata. Report it with the log's lines at {number}.",
                    amber=True,
                )


def _log_to_server() -> None:
    """Let what is logged reach the log of Voilà: a page has no place for it."""
    if os.environ.get("SERVER_SOFTWARE", "").startswith("voila") and not _log.handlers:
        _log.addHandler(logging.StreamHandler(sys.__stderr__))


def _picker(name: str, options: list[tuple[str, str]], value: str) -> dict[str, Any]:
    return {"name": name, "label": _LABELS[name], "options": options, "value": value}
