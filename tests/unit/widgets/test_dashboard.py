from pathlib import Path

import numpy as np
import pytest
from labdata_widgets.dashboard import SortingChoice, SortingDashboard, records
from labdata_widgets.dashboard.records import (
    Details,
    Loaded,
    ProbeSorting,
    curation_details,
    flatten,
    sync_details,
)
from labdata_widgets.explorer.units import COLUMNS

from labdata.errors import QueryError
from labdata.objects import UnsyncedWarning, build_events, build_spikes

REPOSITORY = Path(__file__).resolve().parents[3]

SORTINGS = [
    ProbeSorting("B", "s3", "g0", 0, None),
    ProbeSorting("A", "s2", "g0", 0, 1, 12),
    ProbeSorting("A", "s2", "g0", 0, 2, 10),
    ProbeSorting("A", "s2", "g0", 1, 1, 30),
    ProbeSorting("B", "s2", "g0", 0, 1, 7),
    ProbeSorting("A", "s1", "g0", 0, None),
]


def chosen(query=""):
    choice = SortingChoice()
    choice.load(SORTINGS, query)
    return choice


def test_without_a_url_the_latest_sorted_probe_is_chosen():
    assert chosen().chosen is SORTINGS[1]


@pytest.mark.parametrize("n", range(len(SORTINGS)))
def test_a_url_names_one_sorting_and_leads_back_to_it(n):
    choice = SortingChoice()
    choice.load(SORTINGS)
    choice.chosen = SORTINGS[n]
    assert chosen("?" + choice.query(unit="4")).chosen is SORTINGS[n]


def test_part_of_a_url_takes_the_first_that_fits_and_is_sorted():
    assert chosen("subject=B").chosen is SORTINGS[4]
    assert chosen("subject=A&session=s1").chosen is SORTINGS[5]
    assert chosen("token=x&unit=3").chosen is SORTINGS[1]


def test_a_url_that_names_nothing_is_said_and_chooses_nothing():
    choice = chosen("subject=A&session=s9")
    assert choice.chosen is None
    assert "no session 's9' of A" in choice.problem
    choice.choose("subject", "B")
    assert choice.chosen is SORTINGS[4] and choice.problem == ""


def test_what_is_below_is_kept_where_it_exists():
    choice = chosen("subject=A&session=s2&sorting=0:1")
    choice.choose("subject", "B")
    assert choice.chosen is SORTINGS[4]
    choice.choose("session", "s3")
    assert choice.chosen is SORTINGS[0]
    choice.choose("subject", "A")
    assert choice.chosen is SORTINGS[1], "a probe that is not sorted is no reason to show another"


def test_pickers_offer_what_is_below_the_choice_above():
    choice = chosen("subject=A&session=s2")
    assert choice.options("subject") == [("A", "A"), ("B", "B")]
    assert choice.options("session") == [("s2", "s2"), ("s1", "s1")]
    assert choice.options("sorting") == [
        ("0:1", "probe 0 · set 1 · 12 units"),
        ("0:2", "probe 0 · set 2 · 10 units"),
        ("1:1", "probe 1 · set 1 · 30 units"),
    ]


def test_the_key_restricts_tables():
    assert SORTINGS[2].key == {
        "subject_name": "A",
        "session_name": "s2",
        "dataset_name": "g0",
        "probe_num": 0,
        "parameter_set_num": 2,
    }
    assert "parameter_set_num" not in SORTINGS[0].key


def test_nested_parameters_are_flat():
    assert list(flatten({"a": {"b": 1, "c": {"d": 2}}, "e": {}})) == [
        ("a.b", "1"),
        ("a.c.d", "2"),
        ("e", "{}"),
    ]


def test_the_clock_block_warns_of_what_the_report_warns_of():
    attrs = {"clock": "nidq", "synced": 1, "sync_residual_max_s": 3.2e-5, "sync_note": "1 lost."}
    block = sync_details(attrs)
    assert ("largest error", "32 µs") in block.facts
    assert block.note == "1 lost."
    with pytest.warns(UnsyncedWarning):
        own = build_spikes({1: [0.0]}, stream="imec0")
    assert "not synchronised" in sync_details(own.attrs).note


@pytest.fixture
def page(monkeypatch, spikes, events):
    """A dashboard whose records come from here."""
    monkeypatch.setattr(records, "list_sortings", lambda lab: SORTINGS)
    monkeypatch.setattr(records, "count_entries", lambda lab, one: one.n_entries)
    monkeypatch.setattr(
        records, "load_sorting", lambda lab, one, *, curated: Loaded(spikes, events)
    )
    monkeypatch.setattr(records, "sync_lines", lambda lab, one: {"nidq/7"})
    monkeypatch.setattr(
        records,
        "describe",
        lambda lab, one, spikes, note="": (Details("Recording", (("a", "b"),), note),),
    )
    return lambda query="": SortingDashboard(object(), query=query)


def test_nothing_is_read_before_the_page_is_there(page, monkeypatch):
    monkeypatch.setattr(records, "list_sortings", lambda lab: pytest.fail("too early"))
    assert page().explorer.headline.loading


def test_the_page_loads_what_its_url_says(page):
    here = page("subject=B&session=s2&unit=25&event=nidq%2F7")
    here.start()
    assert (here.choice.chosen, here.explorer.model.unit) == (SORTINGS[4], 25)
    assert here.explorer.model.event == "nidq/7"
    assert not here.explorer.headline.loading
    assert here.sidebar.details[0]["title"] == "Recording"


def test_the_url_of_the_browser_counts_where_the_environment_has_none(page, monkeypatch):
    monkeypatch.delenv("QUERY_STRING", raising=False)
    here = page(None)
    here._hear(here.sidebar, {"what": "ready", "search": "?subject=B"}, [])
    assert here.choice.chosen is SORTINGS[4]


def test_pulses_are_not_the_event_to_begin_with(page, monkeypatch):
    monkeypatch.setattr(records, "sync_lines", lambda lab, one: {"nidq/1"})
    here = page()
    here.start()
    assert here.explorer.model.event == "nidq/7"


def test_the_url_follows_what_is_chosen(page):
    here = page()
    here.start()
    here.explorer.table.unit = 25
    assert "subject=A&session=s2" in here.sidebar.query
    assert here.sidebar.query.endswith("unit=25&event=nidq%2F1")
    here._hear(here.sidebar, {"what": "choose", "level": "sorting", "value": "1:1"}, [])
    assert "sorting=1%3A1" in here.sidebar.query


def test_a_probe_that_is_not_sorted_says_how_to_sort_it(page):
    here = page("session=s1&subject=A")
    here.start()
    assert "not sorted yet" in here.explorer.headline.text
    assert "labdata run spikeinterface -a A -s s1" in here.explorer.headline.note


def test_an_empty_lab_says_what_would_be_here(page, monkeypatch):
    monkeypatch.setattr(records, "list_sortings", lambda lab: [])
    here = page()
    here.start()
    assert here.explorer.headline.text == "No recordings yet"


def test_an_error_is_words_and_ends_the_loading(page, monkeypatch):
    def fail(lab, one, *, curated):
        raise QueryError("The probe was renamed.", hint="Ask Ana.")

    monkeypatch.setattr(records, "load_sorting", fail)
    here = page()
    here.start()
    line = here.explorer.headline
    assert (line.note, line.amber, line.loading) == (
        "The probe was renamed. Ask Ana.",
        True,
        False,
    )
    assert here.explorer.model.spikes is None, "the sorting shown before must not stay"


def test_a_defect_is_said_too_with_a_number_for_the_log(page, monkeypatch, caplog):
    def fail(lab, one, *, curated):
        raise KeyError("lost")

    monkeypatch.setattr(records, "load_sorting", fail)
    here = page()
    with pytest.raises(KeyError):
        here.start()
    line = here.explorer.headline
    assert line.amber and not line.loading
    number = line.note.rpartition(" at ")[2].strip(".")
    assert number in caplog.text
    assert "KeyError" in caplog.text


def test_missing_events_do_not_hide_the_spikes(page, monkeypatch, spikes):
    loaded = Loaded(spikes, None, "No stream is synchronised.")
    monkeypatch.setattr(records, "load_sorting", lambda lab, one, *, curated: loaded)
    here = page()
    here.start()
    assert here.explorer.headline.note == "No stream is synchronised."
    assert len(here.explorer.model.view.time_s)


@pytest.fixture
def curated_page(page, monkeypatch):
    """Sorting 0:1 of A has a log: 10 and 11 were merged into 13, 25 split into 14 and 15."""
    monkeypatch.setattr(records, "list_sortings", lambda lab: [LOGGED, *SORTINGS[2:]])
    asked = []

    def load(lab, one, *, curated):
        asked.append((one.name, curated))
        spikes = curated_spikes() if curated else sorted_spikes()
        return Loaded(spikes, EVENTS, note="Unit 14 was not measured." * curated)

    monkeypatch.setattr(records, "load_sorting", load)
    return lambda query="": (SortingDashboard(object(), query=query), asked)


LOGGED = ProbeSorting("A", "s2", "g0", 0, 1, 12, 4)
EVENTS = build_events([1.0, 2.0, 3.0], stream="nidq", channel=1, sync={"clock": "nidq"})


def sorted_spikes():
    trains = {10: [1.1, 2.1], 11: [3.2], 25: [1.5, 2.5, 3.5]}
    return build_spikes(trains, stream="imec0", sync={"clock": "nidq"}, attrs={"curated": 0})


def curated_spikes():
    trains = {13: [1.1, 2.1, 3.2], 14: [1.5], 15: [2.5, 3.5]}
    coords = {
        "curation_label": np.array(["SUA", "", "noise"]),
        "made_by": np.array(["merge", "split", "split"]),
        "source_units": np.array(["10 11", "25", "25"]),
    }
    log = {"curated": 1, "curation_entries": 4, "curation_by": "ana"}
    log |= {"curation_datetime": "2026-01-31 14:05:00"}
    return build_spikes(
        trains, stream="imec0", sync={"clock": "nidq"}, unit_coords=coords, attrs=log
    )


def test_units_are_as_curated_where_there_is_a_log(curated_page):
    here, asked = curated_page()
    here.start()
    model = here.explorer.model
    assert asked == [("0:1", True)]
    assert here.sidebar.units == {"curated": True, "has_log": True}
    assert here.sidebar.pickers[3]["options"][0] == ("0:1", "probe 0 · set 1 · curated")
    assert model.order == (13, 14, 15)
    assert here.explorer.headline.text.startswith("Unit 13 (SUA, merged from 10, 11): 3 spikes")
    assert here.sidebar.details[0]["note"] == "Unit 14 was not measured."
    assert "units=" not in here.sidebar.query
    names = [column["name"] for column in here.explorer.table.columns]
    assert names[:2] == ["unit", "label"] and len(names) == len(COLUMNS) + 1
    assert here.explorer.table.data["label"] == ["SUA", "split", "noise"]
    assert here.explorer.table.data["curation"][1] == "split from 25"
    assert "as curated, 4 entries" in here.explorer.bar.caption


def test_as_sorted_shows_the_same_unit_and_the_url_leads_back(curated_page):
    here, asked = curated_page()
    here.start()
    model = here.explorer.model
    model.unit, model.where = 15, "n_spikes > 0"
    here._hear(here.sidebar, {"what": "units", "curated": False}, [])
    assert asked[-1] == ("0:1", False)
    assert here.sidebar.units == {"curated": False, "has_log": True}
    assert (model.order, model.unit, model.event) == ((10, 11, 25), 25, "nidq/1")
    assert model.where == "n_spikes > 0", "the filter stays"
    assert here.explorer.headline.text.startswith("Unit 25: 3 spikes")
    assert not here.explorer.headline.loading
    assert [column["name"] for column in here.explorer.table.columns][1] == "shank"
    assert "as curated" not in here.explorer.bar.caption
    assert "units=sorted" in here.sidebar.query
    again, asked_again = curated_page(here.sidebar.query)
    again.start()
    assert asked_again[-1] == ("0:1", False) and again.explorer.model.unit == 25
    model.unit = 11
    here._hear(here.sidebar, {"what": "units", "curated": True}, [])
    assert model.unit == 13, "where the spikes of 11 are now"
    assert "units=" not in here.sidebar.query


def test_without_a_log_units_are_as_sorted_and_nothing_can_be_chosen(curated_page):
    here, asked = curated_page("subject=A&session=s2&sorting=0%3A2")
    here.start()
    assert asked == [("0:2", False)]
    assert here.sidebar.units == {"curated": False, "has_log": False}
    here._hear(here.sidebar, {"what": "choose", "level": "session", "value": "s1"}, [])
    assert here.sidebar.units == {}, "a probe that is not sorted"


def test_units_that_cannot_be_loaded_are_not_shown_as_others(curated_page, monkeypatch):
    here, _ = curated_page()
    here.start()

    def fail(lab, one, *, curated):
        raise QueryError("The log cannot be replayed.")

    monkeypatch.setattr(records, "load_sorting", fail)
    here.choice.curated = False
    assert here.explorer.headline.text == "The units as sorted could not be loaded"
    assert here.explorer.model.spikes is None


def test_the_curation_is_told_in_facts():
    block = curation_details(curated_spikes(), "Look.")
    assert dict(block.facts) == {
        "units": "3",
        "merged": "1",
        "parts of splits": "2",
        "labels": "1 SUA, 1 noise",
        "entries": "4 in the log",
        "last": "2026-01-31 14:05 UTC",
        "by": "ana",
    }
    assert block.note == "Look."
    assert curation_details(sorted_spikes()).facts == ()


def test_the_packaged_notebook_is_that_of_the_repository():
    packaged = REPOSITORY / "widgets/labdata_widgets/dashboard/spike_sorting.ipynb"
    copy = REPOSITORY / "notebooks/dashboards/spike_sorting.ipynb"
    assert packaged.read_bytes() == copy.read_bytes()


@pytest.mark.parametrize(
    ("query", "missing"),
    [
        ("unit=77", "unit 77"),
        ("unit=x", "unit x"),
        ("event=nidq%2F9", "event nidq/9"),
        ("unit=77&event=nidq%2F9", "unit 77 and event nidq/9"),
    ],
)
def test_a_url_with_a_unit_or_event_that_is_not_there_says_so(page, query, missing):
    here = page(f"subject=B&session=s2&{query}")
    here.start()
    headline = here.explorer.headline
    assert headline.note == f"The address names {missing}, not found in s2."
    assert headline.amber
    here._hear(here.sidebar, {"what": "choose", "level": "subject", "value": "A"}, [])
    assert headline.note == "", "the address is said once"


def test_what_an_unsorted_probe_is_told_to_run_is_an_analysis(page):
    from labdata.compute import analysis_names

    here = page("subject=B&session=s3")
    here.start()
    words = here.explorer.headline.note.split()
    assert words[words.index("run") + 1] in analysis_names()


@pytest.mark.parametrize(("n", "text"), [(1, "384 on 1 shank"), (4, "384 on 4 shanks")])
def test_shanks_are_counted_in_words(n, text):
    assert records._layout({"probe_n_channels": 384, "probe_n_shanks": n}) == text
