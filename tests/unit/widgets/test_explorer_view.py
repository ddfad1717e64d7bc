"""The view without a browser: what it sends to the page."""

import numpy as np
import pytest
from bokeh.models import LinearColorMapper
from labdata_widgets import UnitExplorer
from labdata_widgets.explorer import marks
from labdata_widgets.explorer.figures import DARK
from labdata_widgets.explorer.view import caption

from labdata.objects import build_events


@pytest.fixture
def explorer(spikes, events):
    return UnitExplorer(spikes, events, event="nidq/1")


def test_it_draws_the_chosen_unit(explorer, trains):
    explorer.table.unit = 25
    assert explorer.model.unit == 25
    view = explorer.model.view
    np.testing.assert_array_equal(explorer.figures._spikes.data["x"], view.aligned.relative_s)
    np.testing.assert_array_equal(explorer.figures._over.data["x"], trains[25])
    assert explorer.headline.text.startswith("Unit 25: 600 spikes, 7 trials")


def test_figures_stay_and_only_their_data_change(explorer):
    before = [id(m) for m in explorer.figures.root.references()]
    explorer.table.unit = 25
    explorer.bar.event = "nidq/7"
    explorer.set_data(None, None)
    assert {id(m) for m in explorer.figures.root.references()} == set(before)


def test_steps_of_the_psth_end_with_its_window(explorer):
    data = explorer.figures._rate.data
    assert len(data["x"]) == 151
    assert (data["x"][0], data["x"][-1]) == (-0.5, 1.0)
    np.testing.assert_array_equal(data["mean"][:-1], explorer.model.view.aligned.mean_hz)


def test_a_click_on_the_probe_chooses_the_unit(explorer):
    at = list(explorer.map._units.data["unit"]).index(7)
    explorer.map._units.selected.indices = [at]
    assert explorer.model.unit == 7
    assert explorer.table.unit == 7
    assert explorer.map._chosen.data["x"] == [32.0]


def test_units_that_fail_have_another_shape(explorer):
    shapes = dict(
        zip(explorer.map._units.data["unit"], explorer.map._units.data["marker"], strict=True)
    )
    assert shapes == {4: "x", 40: "x", 11: "circle", 7: "circle", 25: "circle"}


def test_the_theme_colours_the_marks(explorer):
    explorer.bar.dark = True
    assert {getattr(r.glyph, a) for r, a in explorer.figures._marks} == {DARK["mark"]}


def test_many_marks_become_counts_and_it_says_so(spikes, onsets, monkeypatch):
    monkeypatch.setattr("labdata_widgets.explorer.figures.MAX_MARKS", 100)
    many = build_events(np.tile(onsets, 3), stream="nidq", channel=1, sync={"clock": "nidq"})
    explorer = UnitExplorer(spikes, many)
    explorer.model.unit = 4
    shown = explorer.figures
    n = len(explorer.model.view.aligned.relative_s)
    assert n > 100
    assert len(shown._spikes.data["x"]) == 0
    assert np.nansum(shown._images[0].data["image"][0]) == n
    assert f"{n:,} spikes in the raster" in explorer.headline.note
    assert "are shown as counts" in explorer.headline.note
    assert marks.MAX_MARKS == 50_000


def test_a_problem_is_amber(explorer):
    explorer.bar.bin_s = 0.4
    assert explorer.headline.amber
    assert "do not fill the window" in explorer.headline.note
    assert len(explorer.figures._rate.data["x"]) == 0


def test_a_window_that_ends_before_it_starts_is_not_taken(explorer):
    explorer.bar.start_s = 3.0
    assert explorer.model.window_s == (-0.5, 1.0)


def test_nothing_loaded_is_shown_as_such():
    explorer = UnitExplorer()
    assert explorer.headline.text == "No spikes are loaded."
    assert explorer.table.empty == "No spikes are loaded."
    assert explorer.bar.badge == {}


def test_unknown_numbers_are_sent_as_none(explorer):
    data = explorer.table.data
    assert data["isi_contamination"] == [None] * 5
    assert data["depth_um"][3] is None


def test_the_caption_names_parameters_and_version(explorer):
    import labdata

    text = caption(explorer.model)
    assert "window -0.5 to 1 s, bins 10 ms" in text
    assert text.endswith(f"labdata {labdata.__version__}")


def test_the_state_of_bokeh_is_that_of_now(explorer):
    plots = explorer.children[-1]
    explorer.table.unit = 25
    label = "Time from nidq/7 (s)"
    assert label not in str(plots.get_state()["render_bundle"])
    explorer.bar.event = "nidq/7"
    assert label in str(plots.get_state()["render_bundle"])


def test_the_repr_is_short(explorer):
    assert repr(explorer) == "UnitExplorer(5 units, unit=4, event='nidq/1')"


def numbered(fig):
    return {axis.major_label_text_alpha for axis in fig.axis}


def test_axes_have_no_numbers_where_there_is_nothing_to_read(explorer, spikes, events):
    figures, probe = explorer.figures, explorer.map.root
    all_of_them = (figures.raster, figures.psth, figures.course, probe)
    assert [numbered(fig) for fig in all_of_them] == [{1.0}] * 4
    explorer.set_data(None, None)
    assert [numbered(fig) for fig in all_of_them] == [{0.0}] * 4
    assert figures._raster_note.text == "", "there is no unit that could want an event"
    assert not any(line.visible for line in figures._lines)
    explorer.set_data(spikes, None)
    assert figures._raster_note.text == "No event to align to"
    assert [numbered(fig) for fig in all_of_them] == [{0.0}, {0.0}, {1.0}, {1.0}]
    explorer.set_data(spikes, events)
    assert [numbered(fig) for fig in all_of_them] == [{1.0}] * 4
    assert all(line.visible for line in figures._lines)


def brightness(colour):
    return sum(int(colour[i : i + 2], 16) for i in (1, 3, 5))


@pytest.mark.parametrize("dark", [False, True])
def test_few_spikes_are_near_the_colour_of_the_page(explorer, dark):
    explorer.bar.dark = True
    explorer.bar.dark = dark
    for fig in (explorer.figures.raster, explorer.figures.course):
        (mapper,) = fig.select(LinearColorMapper)
        few, many = mapper.palette[0], mapper.palette[-1]
        assert (brightness(few) < brightness(many)) is dark


def test_spikes_and_events_on_two_clocks_are_not_called_events_that_are_missing(spikes, onsets):
    other = build_events(onsets, stream="cam", channel=1, sync={"clock": "cam"})
    explorer = UnitExplorer(spikes, other)
    assert "clock" in explorer.headline.note and explorer.headline.amber
    assert explorer.figures._raster_note.text == "Not aligned to cam/1"


def test_labels_and_merges_of_the_curator_are_told(spikes, events):
    coords = {
        "curation_label": ["SUA", "", "", "MUA", "noise"],
        "made_by": ["merge", "sorter", "split", "sorter", "merge"],
        "source_units": ["1 3 9", "4", "2", "7", "5 6"],
    }
    curated = spikes.assign_coords({n: ("unit", v) for n, v in coords.items()})
    explorer = UnitExplorer(curated, events, event="nidq/1")
    said = {}
    for unit in spikes["unit"].values.tolist():
        explorer.model.unit = unit
        said[unit] = explorer.headline.text.partition(":")[0]
    assert said == {
        11: "Unit 11 (SUA, merged from 1, 3, 9)",
        4: "Unit 4",
        40: "Unit 40 (split from 2)",
        7: "Unit 7 (MUA)",
        25: "Unit 25 (noise, merged from 5, 6)",
    }
    explorer.model.where = 'curation_label == "SUA"'
    assert explorer.model.order == (11,)
