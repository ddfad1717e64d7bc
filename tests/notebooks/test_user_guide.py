"""The user guide's snippets are all in the notebooks, as they stand there, and run as written."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from labdata.database.embedded import EmbeddedDatabase

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "notebooks" / "guide"
TEXT = REPOSITORY.parent / "shared" / "reference" / "labdata-user-guide.txt"
NOTEBOOKS = ("basics", "ephys", "synchrony", "units", "behaviour")
HAS_SPKS = importlib.util.find_spec("spks") is not None

#: Lines of the guide that numpy 2.4 broke, and what the notebook has, and says, instead.
MENDED = {
    "plt.text(np.random.choice(dates[:20],1),": "plt.text(np.random.choice(dates[:20],1)[0],",
    "np.random.uniform(0.8,1.1,1),m['subject_name'],": (
        "np.random.uniform(0.8,1.1,1)[0],m['subject_name'],"
    ),
}
#: Code that the guide has in the middle of its prose.
INLINE = (
    "from labdata.schema import *",
    "(EphysRecording & selected_session).add_nidq_events()",
    "UnitCount.populate()",
)
#: How the guide's lines of prose begin, from "Usage basics" on. Any other line counts as code.
PROSE = """
Usage basics
There are multiple ways to use
- import all tables into
from labdata.schema import *the project
Read more about
List lab members
Lab member names are
Selecting sessions by user
Experimental sessions are
List by subject name:
List by dataset: In this
Inserting multiple subjects
Subjects are in the
Extracellular electrophysiology
Currently only SpikeGLX
The ComputeTask task
EphysRecording has the
Sessions can be selected
EphysRecording.ProbeSetting has the
Plot the duration of
This can be done
Plot the channel and
The SpikeSorting.Unit table
The parameter_set_num is
Look at SpikeSortingParams
Lets plot the position
Working with sorted units
The spike times, amplitudes
Plot a rastermap
To get only the units
Accessing syncronized
Spiketimes are stored
- divide by the
- interpolate the times
The method SpikeSorting
This object creates
StreamSync uses the
To plot synced events
To add a StreamSync
Note that if one has
Working with datafiles
Get the events from
The event times can
Use LIKE to search
This will plot a raster
Unit counts and criteria
The get_spike_times method
We can also filter
UnitCount.populate() applies
Select only single units
Using the UnitCount table
Imaging
For imaging there are
TwoPhotonstores
For cell segmentation
Behavior
labdata can also handle
The DecisionMaking table
The populate of the
Plot behavior from all
Using the DecisionTask
The DecisionTask table
The following code plots
This plot is not very
""".strip().splitlines()

needs_the_text = pytest.mark.skipif(
    not TEXT.exists(), reason="the user guide's text is not beside this repository"
)


def tags_of(cell: Any) -> list[str]:
    return list(cell.metadata.get("tags", []))


def guide_lines(notebook: str) -> list[str]:
    """Lines of the cells that are the guide's own, without indentation."""
    cells = nbformat.read(FOLDER / f"{notebook}.ipynb", as_version=4).cells
    own = [c for c in cells if c.cell_type == "code" and "not-in-the-guide" not in tags_of(c)]
    return [line.strip() for c in own for line in c.source.splitlines() if line.strip()]


def snippets() -> Iterator[list[str]]:
    """Runs of lines of the guide's text that are code, as the notebooks should have them."""
    lines = [line.strip() for line in TEXT.read_text(encoding="utf-8").splitlines()]
    run: list[str] = []
    for line in [*lines[lines.index("Usage basics") :], PROSE[0]]:
        if line.startswith(tuple(PROSE)):
            if run:
                yield run
            run = []
        elif line:
            run.append(MENDED.get(line, line))


def has_run(lines: list[str], run: list[str]) -> bool:
    return any(lines[i : i + len(run)] == run for i in range(len(lines)))


@needs_the_text
def test_every_snippet_of_the_guide_is_in_a_notebook_as_it_stands() -> None:
    notebooks = [guide_lines(name) for name in NOTEBOOKS]
    found = list(snippets())
    assert len(found) > 25
    assert sum(map(len, found)) > 180
    missing = [run for run in found if not any(has_run(lines, run) for lines in notebooks)]
    assert missing == []
    for line in INLINE:
        assert any(line in lines for lines in notebooks), line


@needs_the_text
def test_cells_that_are_not_marked_have_only_the_guides_lines() -> None:
    known = {*INLINE, *(line for run in snippets() for line in run)}
    extra = {name: [x for x in guide_lines(name) if x not in known] for name in NOTEBOOKS}
    assert extra == {name: [] for name in NOTEBOOKS}


@needs_the_text
def test_the_list_of_prose_has_no_stale_lines_and_a_lost_snippet_is_seen() -> None:
    lines = TEXT.read_text(encoding="utf-8").splitlines()
    assert [start for start in PROSE if not any(x.startswith(start) for x in lines)] == []
    assert [line for line in MENDED if line not in {x.strip() for x in lines}] == []
    lost = guide_lines("units")
    lost.remove("skip_duplicates = True)")
    assert not all(has_run(lost, run) for run in snippets() if has_run(guide_lines("units"), run))


def test_the_mended_line_is_told_beside_it() -> None:
    cells = nbformat.read(FOLDER / "behaviour.ipynb", as_version=4).cells
    (number,) = [
        i for i, c in enumerate(cells) if "plt.text(" in c.source and c.cell_type == "code"
    ]
    for line in MENDED:
        assert line.split("m['")[0] in cells[number - 1].source
    assert "numpy 2.4" in cells[number - 1].source


# --- running them --------------------------------------------------------------------------------

#: Cell (by what it has) that should warn, and how: nothing is synchronised there yet.
EXPECTED = {"synchrony": re.compile(r"(?s).*UnsyncedWarning: Not synchronised.* imec0; .* nidq\.")}

#: What is true of the lab, checked in the notebook's own names before its database is stopped.
CHECKS = {
    "basics": """
assert project is not vision and len(vision.Session()) == 0
assert len(Session & 'experimenter = "USERNAME"') == 15
ours = Session & (Dataset & f'subject_name = "{sub}"' & 'dataset_name LIKE "%ephys%"')
assert ours.fetch("session_name").tolist() == ["20250304_140000"]
inserted = Subject & "subject_name REGEXP '^JC1[78]'"
sexes = dict(zip(*inserted.fetch("subject_name", "subject_sex")))
assert len(sexes) == 8 and sexes["JC181"] == "M" and sexes["JC182"] == "F"
""",
    "ephys": """
units_made = truth.units[truth.key["session_name"]]
assert selected_session["session_name"] == truth.key["session_name"]
assert len(specific_sessions) == 13
assert len(duration) == 13 and duration.max() < 3000 and list(dates) == sorted(dates)
probe = truth.run.probes[0]
assert np.array_equal(configuration["channel_coords"], probe.positions_um)
located = unitmetrics.unit_id.values
kinds = [u.kind for u in units_made]
assert list(located) == [i for i, kind in enumerate(kinds) if kind != "unlocated"]
assert np.abs(pos - probe.unit_positions_um[located]).max() < 1.0
shank = probe.shank[probe.unit_peak_channels]
nowhere = ("unlocated", "artefact")
on_two = [u for u in units_made if shank[u.unit_id] == 2 and u.kind not in nowhere]
assert sorted(u["unit_id"] for u in units) == [u.unit_id for u in on_two]
assert len(spikes) == sum(len(u.spike_times) for u in on_two) > 150000
""",
    "synchrony": """
run = truth.run
assert np.abs(event_times - run.nidq.seconds_at(run.stim_on_s)).max() < 2 / 30000
assert np.array_equal(log.stim, run.stim) and np.array_equal(log.trial, run.trial)
assert np.array_equal(np.sort(stimtimes_sorted), event_times)
made = truth.units[truth.key["session_name"]]
probe = run.probes[0]
for unit, seconds in zip(made, ts):
    if unit.kind == "single":
        fired_s = np.sort(probe.spike_times_s[probe.spike_units == unit.unit_id])
        assert np.abs(seconds - run.nidq.seconds_at(fired_s)).max() < 1e-4
assert [len(t) for t in triggered] == [len(log)] * len(made)
has_spks = importlib.util.find_spec("spks") is not None
assert plot_raster.__module__.split(".")[0] == ("spks" if has_spks else "labdata")
""",
    "units": """
verdicts = {name: [u.verdict for u in made] for name, made in truth.units.items()}
assert len(unit_counts) == 13
for name, all_, sua, mua in zip(*(unit_counts[c] for c in ("session_name", "all", "sua", "mua"))):
    planted = verdicts[name]
    assert (all_, sua, mua) == (len(planted), planted.count(1), planted.count(0))
planted = verdicts[truth.key["session_name"]]
assert [u["unit_id"] for u in suaunits] == [i for i, v in enumerate(planted) if v == 1]
assert {u["clock"] for u in suaunits} == {"nidq"}
""",
    "behaviour": """
assert [m["subject_name"] for m in mice] == [m.subject_name for m in truth.mice]
for row, mouse in zip(performance, truth.mice):
    days = np.array([(d - mouse.session_datetimes[0]).days for d in mouse.session_datetimes])
    used = (mouse.n_performed > 100) & np.isfinite(mouse.performance_easy)
    for number, value in enumerate(row):
        inside = used & (days // binsize == number)
        if inside.any():
            assert abs(value - mouse.performance_easy[inside].mean()) < 1e-12
        else:
            assert np.isnan(value)
""",
}


def complaints(cells: list[Any]) -> list[str]:
    """What a user would see as a warning or an error below the cells."""
    found = []
    for cell in cells:
        for output in cell.get("outputs", []):
            text = output.get("text", "")
            if output.output_type == "error":
                found.append(f"{output.ename}: {output.evalue}")
            elif output.output_type == "stream" and (
                output.name == "stderr" or re.search(r"warn|deprecat", text, re.IGNORECASE)
            ):
                found.append(text)
    return found


def longest_s(cell: Any) -> int:
    """Return how long a cell may take.

    nbclient can miss the wake-up for the reply to a cell whose widget captures output, and then
    waits as long as the cell may take, though it has run: such a cell gets little.
    """
    return 20 if "interact(" in cell.source else 200


def run_notebook(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a notebook with a cell of checks before its last, which stops the database."""
    from nbclient import NotebookClient

    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    assert "embedded_database().stop()" in notebook.cells[-1].source
    notebook.cells.insert(-1, nbformat.v4.new_code_cell(CHECKS[name]))
    monkeypatch.setenv("TMPDIR", str(folder))  # where the notebook makes its lab
    client = NotebookClient(
        notebook,
        timeout_func=longest_s,
        kernel_name="python3",
        skip_cells_with_tag="skip-execution" if HAS_SPKS else "needs-spks",
        resources={"metadata": {"path": str(folder)}},
    )
    try:
        client.execute()
    finally:
        for database in folder.glob("labdata-guide-*/labdata/database"):
            EmbeddedDatabase(database).stop()  # left running where a cell failed
    return notebook


def widget_outputs(notebook: Any) -> list[Any]:
    """Outputs that widgets have captured, which are not among the cells' own."""
    widgets = notebook.metadata.get("widgets", {})
    states = widgets.get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    return [out for model in states.values() for out in model["state"].get("outputs") or []]


@pytest.mark.slow
@pytest.mark.database
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_notebook_runs_silently_and_what_it_says_is_true(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = run_notebook(name, tmp_path, monkeypatch)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    found = complaints(cells)
    if name in EXPECTED:
        assert EXPECTED[name].match(found.pop(0))
    assert found == []
    outputs = widget_outputs(notebook)
    assert [out for out in outputs if out["output_type"] != "display_data"] == []
    drawn = [o for c in cells for o in [*c.outputs] if "image/png" in o.get("data", {})]
    if name == "synchrony":  # the slider's raster is in its own output
        assert ["image/png" in out["data"] for out in outputs] == [True]
    assert (
        len(drawn) == {"basics": 0, "ephys": 6, "synchrony": 2, "units": 1, "behaviour": 2}[name]
    )


@pytest.mark.skipif(
    not HAS_SPKS,
    reason="spks is not installed: its cell is skipped, and labdata.plot_raster drew the raster",
)
def test_spks_draws_the_raster_where_it_is_installed() -> None:
    # the notebook itself is run with it above; this test is here to be skipped by name
    from spks import plot_raster

    assert callable(plot_raster)


def test_no_module_named_spks_is_shipped() -> None:
    """The guide imports spks itself; ours must not stand in its way."""
    for root in (".", "widgets", "hub"):
        assert list((REPOSITORY / root).glob("spks*")) == []


def test_a_warning_or_an_error_in_a_cell_is_found() -> None:
    cell = nbformat.v4.new_code_cell()
    cell.outputs = [
        nbformat.v4.new_output("stream", name="stdout", text="There are 7 subjects"),
        nbformat.v4.new_output("stream", name="stderr", text="anything"),
        nbformat.v4.new_output("stream", name="stdout", text="[WARNING]: fetch() is deprecated"),
        nbformat.v4.new_output("error", ename="KeyError", evalue="'x'", traceback=[]),
    ]
    assert complaints([cell]) == [
        "anything",
        "[WARNING]: fetch() is deprecated",
        "KeyError: 'x'",
    ]
