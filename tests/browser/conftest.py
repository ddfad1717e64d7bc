"""A headless Chromium, and Voilà serving a notebook with known spikes; no database."""

import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
HOW = "pip install 'labdata-jupyter[dev]' and a Chromium (apt-get install chromium)"


def missing(what):
    """Skip by name; on a continuous integration a missing part is a failure."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing: {HOW}")
    pytest.skip(f"needs {what}: {HOW}")


def has(module):
    from importlib.util import find_spec

    return find_spec(module) is not None


@pytest.fixture(scope="session")
def chromium():
    for module in ("playwright", "voila", "jupyter_bokeh", "anywidget"):
        if not has(module):
            missing(module)
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        missing("Chromium")
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium):
    """A page that fails on an error of ours, and on asking for anything beyond this computer."""
    context = chromium.new_context(
        viewport={"width": 1280, "height": 800}, accept_downloads=True, color_scheme="light"
    )
    outside = []

    def refuse(route):
        outside.append(route.request.url)
        route.abort()

    context.route(lambda url: "//127.0.0.1" not in url and url.startswith("http"), refuse)
    page = context.new_page()
    page.set_default_timeout(60_000)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []
    assert outside == []


#: Unit 3 fires 100 ms after each of 40 events and nowhere else, unit 8 at 1 Hz, unit 5 never.
CODE = """\
import sys
import numpy as np
from IPython.display import HTML, display
from labdata.objects import build_events, build_spikes
from labdata_widgets import UnitExplorer

onsets = np.arange(5.0, 205.0, 5.0)
trains = {3: onsets + 0.105, 8: np.arange(0.5, 300.0), 5: []}
spikes = build_spikes(
    trains, stream="imec0", t_start_s=0.0, t_stop_s=300.0,
    sync={"clock": "nidq", "sync_headline": "nidq · 12 µs"},
    unit_coords={"depth": [100.0, 500.0, 900.0], "x": [0.0, 32.0, 0.0],
                 "passes_sua": np.array([1, 0, 1], dtype="int8")},
)
events = build_events(onsets, stream="nidq", channel=1, sync={"clock": "nidq"})
display(HTML(f'<i id="interpreter">{sys.executable}</i>'))
display(UnitExplorer(spikes, events))
"""


#: The dashboard with records of its own: units 1 and 2, which a curator merged into 7.
PAGE = """\
import numpy as np
from labdata.objects import build_events, build_spikes
from labdata_widgets.dashboard import SortingDashboard, records

onsets = np.arange(5.0, 205.0, 5.0)
at = {1: onsets + 0.1, 2: onsets + 0.2}
about = {"stream": "imec0", "t_start_s": 0.0, "t_stop_s": 300.0, "sync": {"clock": "nidq"}}

def load_sorting(lab, chosen, *, curated):
    events = build_events(onsets, stream="nidq", channel=1, sync={"clock": "nidq"})
    if not curated:
        return records.Loaded(build_spikes(at, **about, attrs={"curated": 0}), events)
    spikes = build_spikes(
        {7: np.sort(np.concatenate(list(at.values())))}, **about,
        unit_coords={"curation_label": np.array(["SUA"]), "made_by": np.array(["merge"]),
                     "source_units": np.array(["1 2"])},
        attrs={"curated": 1, "curation_entries": 2, "curation_by": "ana",
               "curation_datetime": "2026-01-31 14:05:00"},
    )
    return records.Loaded(spikes, events)

records.load_sorting = load_sorting
records.list_sortings = lambda lab: [
    records.ProbeSorting("JC1", "20260131_140500", "ephys_g0", 0, 1, 2, 2),
    records.ProbeSorting("JC2", "20260131_140500", "ephys_g0", 0, 1, 2, 0),
]
records.count_entries = lambda lab, chosen: chosen.n_entries
records.sync_lines = lambda lab, chosen: set()
records.describe = lambda lab, chosen, spikes, note: (records.curation_details(spikes, note),)
SortingDashboard(object())
"""


@pytest.fixture(scope="session")
def explorer_url(chromium, tmp_path_factory):
    with served(CODE, tmp_path_factory.mktemp("voila")) as server:
        yield server.url


@pytest.fixture(scope="session")
def dashboard_url(chromium, tmp_path_factory):
    with served(PAGE, tmp_path_factory.mktemp("dashboard")) as server:
        yield server.url


@contextmanager
def served(code, folder):
    """Voilà with a notebook of one cell."""
    from labdata_widgets.server import DashboardServer

    cell = {
        "cell_type": "code",
        "id": "explorer",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
        "source": code,
    }
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {
        "cells": [cell],
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path = Path(folder) / "explorer.ipynb"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    with DashboardServer(path) as server:
        server.wait_ready(60)
        yield server
