"""There and back again, through pandas, SpikeInterface and pynapple."""

import sys
import warnings

import numpy as np
import pytest
import xarray as xr

import labdata
from labdata.errors import MissingPackageError, ObjectError
from labdata.objects import UnsyncedWarning, align_spikes, build_events, build_spikes, build_trials

SYNC = {"clock": "nidq"}


def with_samples(spikes):
    samples = np.rint(spikes["spike_time"].values * 30000).astype(np.int64)
    return spikes.assign(sample_index=("spike", samples, {"units": "1"}))


@pytest.mark.parametrize("change", [None, lambda t: t.iloc[::-1], lambda t: t.iloc[::3]])
def test_spikes_through_a_table(spikes, change):
    table, units = labdata.to_dataframe(spikes), labdata.to_dataframe(spikes, rows="unit")
    assert list(table) == ["spike_time", "spike_unit", "spike_amplitude"]
    assert table.attrs["clock"] == "nidq"
    if change is None:
        assert labdata.from_dataframe(table, units=units).identical(spikes)
        return
    changed = labdata.from_dataframe(change(table), units=units)
    at = np.arange(590)[::-1] if len(change(table)) == 590 else np.arange(0, 590, 3)
    assert changed.identical(spikes.isel(spike=at))


def test_events_and_trials_through_a_table(events, trials):
    for ds in (events, trials):
        assert labdata.from_dataframe(labdata.to_dataframe(ds)).identical(ds)
    table = labdata.to_dataframe(trials)
    table["side"] = ["left", "right", "left"]
    assert labdata.from_dataframe(table)["side"].values.tolist() == ["left", "right", "left"]


def test_units_that_are_not_given_are_those_with_spikes(spikes):
    found = labdata.from_dataframe(labdata.to_dataframe(spikes))
    assert found["unit"].values.tolist() == [7, 12, 900]


def test_other_kinds_are_long_tables(spikes):
    mean = labdata.psth(spikes, [10.0, 20.0], bin_s=0.5)
    table = labdata.to_dataframe(mean)
    assert len(table) == 4 * 4
    row = table[(table["unit"] == 7) & (table["time"] == 0.25)].iloc[0]
    assert row["rate"] == mean["rate"].sel(unit=7, time=0.25)
    aligned = labdata.to_dataframe(align_spikes(spikes, [10.0]))
    assert set(aligned) == {"relative_time", "spike_unit", "spike_trial"}


def test_a_table_without_its_attributes_is_refused(spikes):
    table = labdata.to_dataframe(spikes)
    units = labdata.to_dataframe(spikes, rows="unit")
    with pytest.raises(ObjectError, match="kind 'spikes', with a row 'unit'"):
        labdata.from_dataframe(units)
    table.attrs = {}
    with pytest.raises(ObjectError, match="kind None"):
        labdata.from_dataframe(table)
    with pytest.raises(ObjectError, match="no dim 'trial'"):
        labdata.to_dataframe(spikes, rows="trial")
    with pytest.raises(ObjectError, match="Expected a dataset of kind"):
        labdata.to_dataframe(xr.Dataset())


def test_samples_through_spikeinterface(spikes):
    pytest.importorskip("spikeinterface")
    spikes = with_samples(spikes)
    sorting = labdata.to_spikeinterface(spikes.sortby("depth").sortby("spike_time"))
    assert sorting.get_sampling_frequency() == 30000.0
    for unit in (12, 5, 7, 900):
        mine = spikes["sample_index"].values[spikes["spike_unit"].values == unit]
        np.testing.assert_array_equal(sorting.get_unit_spike_train(unit), mine)
        index = list(sorting.unit_ids).index(unit)
        assert sorting.get_property("depth")[index] == spikes["depth"].sel(unit=unit)
    with pytest.warns(UnsyncedWarning):
        again = labdata.from_spikeinterface(sorting, stream="imec0")
    labdata.validate(again)
    ours = spikes.sortby("depth")
    assert again["unit"].values.tolist() == ours["unit"].values.tolist()
    np.testing.assert_array_equal(again["sample_index"], spikes["sample_index"])
    np.testing.assert_array_equal(again["spike_unit"], spikes["spike_unit"])
    np.testing.assert_allclose(again["spike_time"], spikes["spike_time"], atol=1 / 30000)
    np.testing.assert_array_equal(again["label"], ours["label"])
    assert again.attrs["synced"] == 0


def test_ids_of_other_sorters_are_kept():
    core = pytest.importorskip("spikeinterface.core")
    sorting = core.NumpySorting.from_unit_dict(
        [{"a": np.array([5, 9]), "b": np.array([7])}], 1000.0
    )
    with pytest.warns(UnsyncedWarning):
        found = labdata.from_spikeinterface(sorting, stream="imec0")
    assert found["sorting_id"].values.tolist() == ["a", "b"]
    assert labdata.spikes_of(found, 0).tolist() == [0.005, 0.009]
    two = core.NumpySorting.from_unit_dict([{0: np.array([5])}, {0: np.array([6])}], 1000.0)
    with pytest.raises(ObjectError, match="2 segments"):
        labdata.from_spikeinterface(two, stream="imec0")


def test_seconds_are_not_turned_back_into_samples(spikes):
    with pytest.raises(ObjectError, match="no sample_index"):
        labdata.to_spikeinterface(spikes)
    del spikes.attrs["sampling_rate_hz"]
    with pytest.raises(ObjectError, match="no sample_index and no sampling_rate_hz"):
        labdata.to_spikeinterface(spikes)


@pytest.fixture
def nap():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("pynapple", reason="pip install 'labdata-jupyter[pynapple]'")


def test_spikes_through_pynapple(spikes, nap):
    group = labdata.to_pynapple(spikes.sortby("depth"))
    assert sorted(group.keys()) == [5, 7, 12, 900]
    for unit in (5, 7, 12, 900):
        np.testing.assert_allclose(
            group[unit].index.values, labdata.spikes_of(spikes, unit), atol=5e-10
        )
        assert group["depth"][unit] == spikes["depth"].sel(unit=unit)
        assert group["label"][unit] == spikes["label"].sel(unit=unit)
    again = labdata.from_pynapple(group, stream="imec0", sync=SYNC)
    labdata.validate(again)
    np.testing.assert_allclose(again["spike_time"], spikes["spike_time"], atol=5e-10)
    np.testing.assert_array_equal(again["spike_unit"], spikes["spike_unit"])
    np.testing.assert_array_equal(again["depth"].sel(unit=spikes["unit"]), spikes["depth"])
    assert (again.attrs["t_start"], again.attrs["t_stop"]) == (0.0, 60.0)
    assert again["depth"].attrs["units"] == "um"


def test_each_unit_keeps_its_own_depth_in_pynapple_however_units_are_ordered(nap):
    trains = {30: [1.0, 2.0], 5: [], 7: [1.5]}
    coords = {"depth": [300.0, 50.0, 70.0]}
    spikes = build_spikes(
        trains, stream="imec0", sync=SYNC, unit_coords=coords, t_start_s=0.0, t_stop_s=3.0
    )
    group = labdata.to_pynapple(spikes)
    assert {u: float(group["depth"][u]) for u in (5, 7, 30)} == {5: 50.0, 7: 70.0, 30: 300.0}
    assert {u: group[u].index.values.tolist() for u in (5, 7, 30)} == trains
    back = labdata.from_pynapple(group, stream="imec0", sync=SYNC)
    np.testing.assert_array_equal(back["depth"].sel(unit=[30, 5, 7]), coords["depth"])


@pytest.mark.parametrize("span", [{}, {"t_start_s": 0.0, "t_stop_s": 1.5}])
def test_spikes_that_pynapple_would_drop_are_refused(span, nap):
    spikes = build_spikes({1: [2.0]}, stream="imec0", sync=SYNC, **span)
    with pytest.raises(ObjectError, match="1 spikes are not within"):
        labdata.to_pynapple(spikes)


def test_pynapple_finds_the_same_correlogram_and_response(spikes, nap):
    group = labdata.to_pynapple(spikes)
    theirs = nap.compute_crosscorrelogram(group, 0.01, 0.05, norm=False)
    ours = labdata.correlogram(spikes, bin_s=0.01, window_s=0.05)
    for a, b in theirs.columns:
        mine = ours["rate"].sel(unit=a, other_unit=b).values
        # edges of bins are not the same: theirs are closed on the other side
        np.testing.assert_allclose(theirs[(a, b)].values, mine, atol=0.6)
    events = nap.Ts(np.array([10.0, 20.0, 30.0]))
    around = nap.compute_perievent(group[7], events, (0.5, 0.5))
    aligned = align_spikes(spikes, [10.0, 20.0, 30.0], window_s=(-0.5, 0.5)).sel(unit=7)
    mine = aligned["relative_time"].values[aligned["spike_unit"].values == 7]
    found = np.concatenate([around[k].index.values for k in around.keys()])  # noqa: SIM118
    np.testing.assert_allclose(np.sort(found), np.sort(mine), atol=2e-9)


def test_trials_and_events_through_pynapple(trials, events, nap):
    intervals = labdata.to_pynapple(trials)
    np.testing.assert_allclose(intervals.start, trials["start_time"])
    assert list(intervals["trial"]) == [3, 4, 9]
    again = labdata.from_pynapple(intervals, stream="bpod", sync=SYNC)
    np.testing.assert_allclose(again["stop_time"], trials["stop_time"])
    assert again["trial"].values.tolist() == [3, 4, 9]
    assert labdata.to_pynapple(events).index.values.tolist() == [1.0, 1.2, 1.5, 4.0]


@pytest.mark.parametrize(
    ("start", "stop"),
    [([0.0, 1.0], [1.5, 3.0]), ([0.0, 1.0], [1.0, 3.0]), ([5.0, 1.0], [6.0, 2.0]),
     ([0.0, np.nan], [1.0, 3.0]), ([0.0, 2.0], [0.0, 3.0])],
)  # fmt: skip
def test_trials_that_pynapple_would_join_or_drop_are_refused(start, stop, nap):
    trials = build_trials(start, stop, stream="bpod", sync=SYNC)
    with pytest.raises(ObjectError, match="pynapple would join or drop"):
        labdata.to_pynapple(trials)


def test_what_pynapple_has_and_labdata_has_not(trials, nap):
    with pytest.raises(ObjectError, match="no stop_time"):
        labdata.to_pynapple(trials.drop_vars("stop_time"))
    with pytest.raises(ObjectError, match="neither a TsGroup"):
        labdata.from_pynapple(nap.Ts(np.array([1.0])), stream="a", sync=SYNC)
    gaps = nap.IntervalSet([0.0, 5.0], [1.0, 6.0])
    group = nap.TsGroup({1: nap.Ts(np.array([0.5, 5.5]))}, time_support=gaps)
    with pytest.raises(ObjectError, match="2 intervals"):
        labdata.from_pynapple(group, stream="a", sync=SYNC)


def test_a_missing_package_is_named(spikes, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynapple", None)
    monkeypatch.setitem(sys.modules, "spikeinterface.core", None)
    with pytest.raises(MissingPackageError, match="pynapple"):
        labdata.to_pynapple(spikes)
    with pytest.raises(MissingPackageError, match="spikeinterface"):
        labdata.to_spikeinterface(with_samples(spikes))


def test_an_empty_recording_goes_there_and_back():
    spikes = build_spikes({}, stream="a", sync=SYNC)
    units = labdata.to_dataframe(spikes, rows="unit")
    assert labdata.from_dataframe(labdata.to_dataframe(spikes), units=units).identical(spikes)
    events = build_events([], stream="a", channel="1", sync=SYNC)
    assert labdata.from_dataframe(labdata.to_dataframe(events)).identical(events)
