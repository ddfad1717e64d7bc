import numpy as np
import pytest
from labdata_widgets.explorer import ExplorerModel, event_choices
from labdata_widgets.explorer.units import same_unit

from labdata.errors import LabdataError, ObjectError
from labdata.objects import UnsyncedWarning, build_events, build_spikes

WINDOW, BIN = (-0.5, 1.0), 0.05


def brute_force(times, onsets, window, bin_s, t_stop):
    """Count spike by spike, trial by trial; trials that leave the recording do not count."""
    n_bins = round((window[1] - window[0]) / bin_s)
    rows, relative, trial = [], [], []
    for number, onset in enumerate(onsets, 1):
        row = [0] * n_bins
        for t in times:
            if window[0] <= t - onset < window[1]:
                relative.append(t - onset)
                trial.append(number)
                row[int(np.floor((t - onset - window[0]) / bin_s + 1e-9))] += 1
        if onset + window[0] >= 0 and onset + window[1] <= t_stop:
            rows.append(row)
    return np.array(rows), np.array(relative), np.array(trial)


@pytest.mark.parametrize("unit", [11, 4, 7, 25])
def test_the_psth_is_that_of_brute_force(spikes, events, trains, onsets, unit):
    model = ExplorerModel(spikes, events, event="nidq/1", window_s=WINDOW, bin_s=BIN)
    model.unit = unit
    rows, relative, trial = brute_force(trains[unit], onsets, WINDOW, BIN, 100.0)
    aligned = model.view.aligned
    assert (aligned.n_trials, aligned.n_whole) == (7, 5) == (len(onsets), len(rows))
    np.testing.assert_allclose(aligned.mean_hz, rows.mean(axis=0) / BIN)
    spread = [np.sqrt(sum((x - c.mean()) ** 2 for x in c) / (len(c) - 1)) for c in rows.T]
    np.testing.assert_allclose(aligned.sem_hz, np.array(spread) / np.sqrt(len(rows)) / BIN)
    np.testing.assert_allclose(aligned.edge_s, WINDOW[0] + BIN * np.arange(31), atol=1e-12)
    np.testing.assert_allclose(np.sort(aligned.relative_s), np.sort(relative))
    assert sorted(aligned.trial) == sorted(trial)


def test_the_chosen_unit_shows_its_own_spikes(spikes, events, trains):
    model = ExplorerModel(spikes, events)
    for unit, times in trains.items():
        model.unit = unit
        np.testing.assert_array_equal(model.view.time_s, times)
        assert len(model.view.values["amplitude"]) == len(times)
        assert f"Unit {unit}: {len(times)} spike" in model.summary()


def test_a_dataset_sorted_by_time_gives_the_same(spikes, events, trains):
    shuffled = spikes.isel(spike=np.argsort(spikes["spike_time"].values), unit=[3, 1, 0, 4, 2])
    model = ExplorerModel(shuffled, events, event="1")
    for unit, times in trains.items():
        model.unit = unit
        np.testing.assert_array_equal(model.view.time_s, times)
        assert model.table.loc[unit, "n_spikes"] == len(times)


def test_what_is_left_out_of_the_mean_is_said(spikes, events):
    model = ExplorerModel(spikes, events, event="nidq/1")
    assert "7 trials of nidq/1; 2 leave the recording" in model.summary()


def test_one_trial_has_no_error(spikes):
    one = build_events([50.0], stream="nidq", channel=1, sync={"clock": "nidq"})
    aligned = ExplorerModel(spikes, one).view.aligned
    assert np.isfinite(aligned.mean_hz).all()
    assert np.isnan(aligned.sem_hz).all()


def test_no_whole_trial_has_no_mean(spikes):
    edge = build_events([0.1, 99.9], stream="nidq", channel=1, sync={"clock": "nidq"})
    aligned = ExplorerModel(spikes, edge).view.aligned
    assert aligned.n_whole == 0
    assert np.isnan(aligned.mean_hz).all()


def test_a_change_of_window_bin_or_event_recomputes(spikes, events):
    model = ExplorerModel(spikes, events, event="nidq/1")
    assert len(model.view.aligned.mean_hz) == 150
    model.bin_s = 0.02
    assert len(model.view.aligned.mean_hz) == 75
    model.window_s = (-0.2, 0.2)
    assert len(model.view.aligned.mean_hz) == 20
    model.event = "nidq/7"
    assert model.view.aligned.n_trials == 98


def test_a_bin_that_does_not_fill_the_window_is_explained(spikes, events):
    model = ExplorerModel(spikes, events)
    model.bin_s = 0.4
    assert model.view.aligned is None
    assert "0.4 s do not fill the window" in model.view.problem
    model.bin_s = 0.5
    assert model.view.problem == ""


def test_clocks_that_differ_are_refused(trains, events):
    with pytest.warns(UnsyncedWarning):
        own = build_spikes(trains, stream="imec0")
    model = ExplorerModel(own, events)
    assert model.view.aligned is None
    assert "'imec0'" in model.view.problem and "'nidq'" in model.view.problem
    assert len(model.view.time_s) == len(trains[model.unit])


def test_events_are_counted_by_their_rises(events):
    assert event_choices(events) == {"nidq/1": 7, "nidq/7": 98}


def test_the_clock_stream_comes_first(events):
    from labdata.objects import concat_events

    other = build_events([1.0], stream="imec0", channel=6, sync={"clock": "nidq"})
    assert list(event_choices(concat_events([other, events]))) == ["nidq/1", "nidq/7", "imec0/6"]


def test_an_event_is_found_by_its_channel_or_refused(spikes, events):
    assert ExplorerModel(spikes, events, event="7").event == "nidq/7"
    with pytest.raises(LabdataError, match="'9' is on 0 streams") as caught:
        ExplorerModel(spikes, events, event="9")
    assert "nidq/1, nidq/7" in caught.value.hint


def test_the_list_sorts_and_puts_unknown_numbers_last(spikes):
    model = ExplorerModel(spikes)
    assert model.order == (4, 7, 11, 25, 40)
    model.sort_by = "n_spikes"
    assert model.order == (40, 7, 11, 25, 4)
    model.sort_by = "depth_um"
    assert model.order == (25, 4, 40, 11, 7)
    model.descending = True
    assert model.order == (11, 40, 4, 25, 7)


def test_the_list_filters(spikes):
    model = ExplorerModel(spikes)
    model.sua_only = True
    assert model.order == (7, 11, 25)
    model.where = "shank == 1 & n_spikes > 200"
    assert model.order == (25,)
    model.where = "shank == 9"
    assert model.order == ()
    assert "None of the 5 units passes" in model.why_empty()
    model.where = "shnk == 9"
    assert model.order == (7, 11, 25), "a filter that cannot be read does not hide units"
    assert "shnk" in model.where_problem


def test_stepping_follows_the_list_and_stops_at_its_ends(spikes):
    model = ExplorerModel(spikes)
    model.sort_by = "n_spikes"
    model.unit = 40
    model.step(1)
    assert model.unit == 7
    model.step(10)
    assert model.unit == 4
    model.step(-100)
    assert model.unit == 40


def test_stepping_from_a_unit_that_is_not_listed_begins_at_the_first(spikes):
    model = ExplorerModel(spikes)
    model.unit = 4
    model.sua_only = True
    model.step(1)
    assert model.unit == 7


@pytest.mark.parametrize(
    "given,expected", [(None, "No spikes are loaded."), ({}, "This sorting has no units.")]
)
def test_nothing_to_show_is_explained(given, expected):
    data = None if given is None else build_spikes(given, stream="imec0", sync={"clock": "nidq"})
    model = ExplorerModel(data)
    assert model.unit is None and model.view is None
    assert expected in model.summary()
    model.step(1)


def test_no_events_is_explained(spikes):
    model = ExplorerModel(spikes)
    assert "No digital events" in model.view.problem


def test_other_data_take_the_place_of_the_first(spikes, events, trains):
    model = ExplorerModel(spikes, events, event="1")
    model.sua_only = True
    bare = build_spikes({99: [1.0, 2.0]}, stream="imec1", sync={"clock": "nidq"})
    model.set_data(bare, None)
    assert (model.unit, model.order, model.event, model.sua_only) == (99, (99,), "", False)
    model.set_data(spikes, events, event="7")
    assert model.event == "nidq/7"
    np.testing.assert_array_equal(model.view.time_s, trains[model.unit])


def test_wrong_kind_is_refused(events):
    with pytest.raises(ObjectError, match="kind spikes"):
        ExplorerModel(events)


def test_units_are_listed_by_their_labels_and_those_without_come_last() -> None:
    coords = {
        "curation_label": np.array(["noise", "", "SUA", ""]),
        "made_by": np.array(["sorter", "sorter", "sorter", "merge"]),
        "source_units": np.array(["1", "2", "3", "4 5"]),
    }
    attrs = {"curated": 1, "curation_entries": 2}
    spikes = build_spikes(
        {1: [0.1], 2: [0.2], 3: [0.3], 9: [0.4]},
        stream="imec0",
        sync={"clock": "nidq"},
        unit_coords=coords,
        attrs=attrs,
    )
    model = ExplorerModel(spikes)
    assert model.labels == ["noise", "", "SUA", "merged"]
    model.sort_by = "label"
    assert model.order == (3, 9, 1, 2)
    model.descending = True
    assert model.order == (1, 9, 3, 2)
    model.where = 'curation_label == "SUA"'
    assert model.order == (3,)
    assert ExplorerModel(spikes.assign_attrs(curation_entries=0)).labels == []


def test_a_unit_is_found_again_by_the_units_of_the_sorter() -> None:
    def of(sources):
        units = {unit: [0.1] for unit in sources}
        coords = {"source_units": np.array(list(sources.values()))}
        sync = {"clock": "nidq"}
        return build_spikes(units, stream="imec0", sync=sync, unit_coords=coords)

    plain = build_spikes({1: [0.1], 2: [0.2], 3: [0.3]}, stream="imec0", sync={"clock": "nidq"})
    curated = of({3: "3", 4: "1 2"})
    assert [same_unit(plain, unit, curated) for unit in (1, 2, 3)] == [4, 4, 3]
    assert [same_unit(curated, unit, plain) for unit in (3, 4)] == [3, 1]
    assert same_unit(plain, 1, of({3: "3"})) is None
