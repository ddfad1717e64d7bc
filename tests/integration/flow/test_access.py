"""What a scientist holds, against what really happened."""

from __future__ import annotations

import json
import pickle
import warnings

import numpy as np
import pytest
import xarray as xr
from true_units import KEY, insert_sorting

import labdata
from labdata.access.columns import UnitColumn
from labdata.errors import ObjectError, QueryError
from labdata.objects import UnsyncedWarning

SESSION = {k: KEY[k] for k in ("subject_name", "session_name")}


@pytest.fixture(scope="module")
def world(rig_maker, tmp_path_factory, database_folder, two_probe_run):
    """A session with two probes; imec0 is synchronised and sorted, imec1 only sorted."""
    with rig_maker(tmp_path_factory.mktemp("access"), database_folder) as rig:
        rig.add_subjects("JC1", "JC2")
        rig.upload(rig.put(rig.record(two_probe_run.run_folder)))
        rig.upload(rig.put(rig.record(two_probe_run.run_folder, "JC2/20240305_100000/ephys_g0")))
        lab = rig.lab
        insert_sorting(lab, two_probe_run, 0)
        insert_sorting(lab, two_probe_run, 1)
        for probe_num in (0, 1):
            lab.StreamSync.insert1(
                {
                    **KEY,
                    "stream_name": f"imec{probe_num}",
                    "event_name": 6,
                    "clock_dataset": KEY["dataset_name"],
                    "clock_stream": "nidq",
                    "clock_stream_event": 7,
                }
            )
        yield lab, two_probe_run


@pytest.mark.parametrize("probe_num", [0, 1])
def test_spikes_are_those_that_happened(world, probe_num):
    _, run = world
    spikes = labdata.spikes({**KEY, "probe_num": probe_num}, with_=("amplitude", "depth"))
    labdata.validate(spikes)
    probe = run.probe(probe_num)
    assert spikes["unit"].values.tolist() == [10 + u for u in range(probe.n_units)]
    for unit in range(probe.n_units):
        samples = probe.unit_samples(unit)
        mine = spikes["spike_unit"].values == 10 + unit
        true_s = probe.clock.true_at(samples / probe.clock.nominal_rate_hz)
        error = labdata.spikes_of(spikes, 10 + unit) - run.nidq.seconds_at(true_s)
        assert np.abs(error).max() < 33e-6
        np.testing.assert_array_equal(spikes["sample_index"].values[mine], samples)
        np.testing.assert_array_equal(
            spikes["spike_amplitude"].values[mine], (100.0 * unit + samples % 7).astype("float32")
        )
        depth = probe.unit_positions_um[unit, 1]
        np.testing.assert_allclose(
            spikes["spike_depth"].values[mine], depth + samples % 5, rtol=1e-6
        )
        one = spikes.sel(unit=10 + unit)
        assert one["depth"] == pytest.approx(depth)
        assert one["num_spikes"] == len(samples)
        assert one["firing_rate"] == pytest.approx(len(samples) / run.duration_s)
        assert np.isnan(one["snr"])
    assert spikes["depth"].attrs["units"] == "um"


def test_the_whole_sync_report_travels_with_what_it_made(world):
    spikes, events = labdata.spikes({**KEY, "probe_num": 1}), labdata.events(KEY)
    report = (world[0].StreamSync & KEY & 'stream_name = "imec1"').report()
    assert json.loads(spikes.attrs["sync_report"]) == {"imec1": report.to_dict()}
    of_events = json.loads(events.attrs["sync_report"])
    assert sorted(of_events) == ["imec0", "imec1"] and of_events["imec1"] == report.to_dict()
    both = labdata.concat_spikes([labdata.spikes({**KEY, "probe_num": 0}), spikes])
    assert json.loads(both.attrs["sync_report"]) == of_events


def test_columns_are_read_when_they_are_looked_at(world, monkeypatch):
    """Only of the units that are touched, and the same as when they are read at once."""
    whole = labdata.spikes({**KEY, "probe_num": 0}, with_=("amplitude", "depth"))
    lazy = labdata.spikes({**KEY, "probe_num": 0})
    read = []
    fetch = UnitColumn._fetch
    monkeypatch.setattr(UnitColumn, "_fetch", lambda c, u: read.append((c.name, u)) or fetch(c, u))
    assert "spike_amplitude" in repr(lazy) and read == []
    one = lazy.isel(spike=np.flatnonzero(lazy["spike_unit"].values == 11))
    assert read == []
    mine = whole["spike_unit"].values == 11
    np.testing.assert_array_equal(
        one["spike_amplitude"].values, whole["spike_amplitude"].values[mine]
    )
    assert read == [("spike_amplitude", [1])]
    for name in ("sample_index", "spike_amplitude", "spike_depth", "spike_x"):
        np.testing.assert_array_equal(lazy[name].values, whole[name].values)
        np.testing.assert_array_equal(lazy[name][5:-3:7].values, whole[name].values[5:-3:7])
        last = lazy.sizes["spike"] - 1
        np.testing.assert_array_equal(lazy[name][[last, 3]].values, whole[name].values[[-1, 3]])
        with pytest.raises(IndexError):
            lazy[name][[last + 1]].load()
        assert lazy[name][4].item() == whole[name].values[4]
        assert lazy[name][:0].values.size == 0
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(lazy))["spike_depth"].values, whole["spike_depth"].values
    )
    xr.testing.assert_identical(lazy.copy(deep=True).load(), whole.load())


def test_units_are_chosen_before_they_are_read(world, monkeypatch):
    key = {**KEY, "probe_num": 0}
    whole = labdata.spikes(key, with_=("depth",))
    middle = float(np.median(whole["depth"]))
    for wanted in (f"depth > {middle}", whole["unit"].values[whole["depth"] > middle]):
        some = labdata.spikes(key, units=wanted)
        labdata.validate(some)
        same = labdata.select_units(whole, wanted)
        assert 0 < some.sizes["unit"] < whole.sizes["unit"]
        for name in ("unit", "depth", "spike_time", "spike_unit", "spike_depth", "sample_index"):
            np.testing.assert_array_equal(some[name].values, same[name].values)
    with pytest.raises(QueryError, match="Unit 99 is not in this sorting"):
        labdata.spikes(key, units=[10, 99])
    for given, words in (([10.5], "10.5 is no whole"), ([True] * whole.sizes["unit"], "A mask")):
        with pytest.raises(QueryError, match=words):
            labdata.spikes(key, units=given)
    with pytest.raises(ObjectError, match="nonsense"):
        labdata.spikes(key, units="nonsense > 3")
    assert labdata.spikes(key, units="depth > 1e9").sizes == {"unit": 0, "spike": 0}


@pytest.mark.parametrize("window_s", [(2.0, 5.0), (-10.0, 1.5), (3.25, 1e9)])
def test_a_window_is_what_restrict_time_would_keep(world, window_s):
    key = {**KEY, "probe_num": 0}
    cut = labdata.spikes(key, window_s=window_s)
    labdata.validate(cut)
    same = labdata.restrict_time(labdata.spikes(key), *window_s)
    assert cut.attrs == same.attrs
    for name in ("unit", "spike_time", "spike_unit", "sample_index", "spike_amplitude"):
        np.testing.assert_array_equal(cut[name].values, same[name].values)
    with pytest.raises(ObjectError, match="is empty"):
        labdata.spikes(key, window_s=(3.0, 3.0))


@pytest.mark.parametrize("window_s", [(-9.0, -8.0), (7.25, 1e9)])
def test_a_window_outside_the_recording_is_no_silence(world, window_s):
    """Every unit would have a rate of 0 spikes in 0 s; recording() refuses it, too."""
    with pytest.raises(ObjectError, match=r"Nothing was recorded.*\n.*on this clock"):
        labdata.spikes({**KEY, "probe_num": 0}, window_s=window_s)


def test_an_expression_is_no_number_of_a_criterion(world):
    with pytest.raises(QueryError, match=r"number of a row of UnitCountCriteria.*\n.*units="):
        labdata.spikes({**KEY, "probe_num": 0}, criteria="depth > 500")


def test_events_of_a_window(world):
    every = labdata.events(KEY)
    cut = labdata.events(KEY, window_s=(2.0, 5.0))
    xr.testing.assert_identical(cut, labdata.restrict_time(every, 2.0, 5.0))
    inside = (every["event_time"] >= 2.0) & (every["event_time"] < 5.0)
    assert 0 < cut.sizes["event"] == int(inside.sum()) < every.sizes["event"]
    with pytest.raises(ObjectError, match="not two numbers"):
        labdata.events(KEY, window_s=5)


def test_attributes_say_clock_and_span_and_origin(world):
    _, run = world
    spikes = labdata.spikes({**KEY, "probe_num": 1})
    attrs, probe = spikes.attrs, run.probe(1)
    assert (attrs["clock"], attrs["stream"], attrs["synced"]) == ("nidq", "imec1", 1)
    ends = np.array([0, probe.clock.n_samples]) / probe.clock.nominal_rate_hz
    expected = run.nidq.seconds_at(probe.clock.true_at(ends))
    np.testing.assert_allclose([attrs["t_start"], attrs["t_stop"]], expected, atol=1e-4)
    first, last = probe.sync_rise_samples[[0, -1]]
    outside = np.count_nonzero((probe.spike_samples < first) | (probe.spike_samples > last))
    assert attrs["stream_n_extrapolated"] == outside > 0
    origin = json.loads(attrs["provenance"])
    assert origin["key"] == {**KEY, "probe_num": 1, "parameter_set_num": 1}
    assert origin["algorithm"] == "truth"
    assert origin["algorithm_version"] == "truth 1"
    assert origin["labdata"] == labdata.__version__


def test_events_are_those_that_happened(world):
    _, run = world
    events = labdata.events(KEY)
    labdata.validate(events)
    assert events.attrs["clock"] == "nidq"
    assert set(events["stream"].values) == {"imec0", "imec1", "nidq"}
    stimulus = events.isel(
        event=(events["stream"].values == "nidq") & (events["channel"].values == "1")
    )
    for value, samples in ((1, run.stim_rise_samples), (0, run.stim_fall_samples)):
        edges = stimulus.isel(event=stimulus["event_value"].values == value)
        np.testing.assert_array_equal(edges["sample_index"].values, samples)
        np.testing.assert_allclose(
            edges["event_time"].values, samples / run.nidq.nominal_rate_hz, atol=1e-12
        )
    for probe in run.probes:
        mine = events.isel(event=events["stream"].values == f"imec{probe.probe_num}")
        own = mine["sample_index"].values / probe.clock.nominal_rate_hz
        expected = run.nidq.seconds_at(probe.clock.true_at(own))
        assert np.abs(mine["event_time"].values - expected).max() < 33e-6
    assert (np.diff(events["event_time"].values) >= 0).all()
    assert json.loads(events.attrs["provenance"])["key"] == KEY


def test_values_that_are_no_edges_are_refused_and_not_changed(world) -> None:
    lab = labdata.schema.default_lab
    short = {**KEY, "stream_name": "nidq", "event_name": "short"}
    times = np.array([1.0, 2.0])
    lab.DatasetEvents.Digital.insert1(
        short | {"event_timestamps": times, "event_values": np.ones(1, "int8")}
    )
    for ask in (labdata.events, lambda k: (lab.DatasetEvents.Digital & k).fetch_synced()):
        with pytest.raises(QueryError, match=r"Line short .* 2 event_timestamps and 1 event_val"):
            ask(KEY)
    (lab.DatasetEvents.Digital & short).delete_quick()
    counts = np.array([1, 200, 300])  # as an older lab kept the counter of a wheel
    line = {**KEY, "stream_name": "nidq", "event_name": "wheel"}
    lab.DatasetEvents.Digital.insert1(
        {**line, "event_timestamps": np.array([1.0, 2.0, 3.0]), "event_values": counts}
    )
    try:
        with pytest.raises(QueryError, match=r"Line wheel of nidq .* no edges .* 1 to 300"):
            labdata.events(KEY)
        kept = (lab.DatasetEvents.Digital & line).fetch1("event_values")
        np.testing.assert_array_equal(kept, counts)
    finally:
        (lab.DatasetEvents.Digital & line).delete_quick()


def test_a_query_or_a_longer_key_selects_as_a_dict_does(world):
    lab, _ = world
    expected = labdata.spikes({**KEY, "probe_num": 0})
    unit = (lab.SpikeSorting.Unit & {**KEY, "probe_num": 0}).fetch("KEY")[0]
    for key in (
        lab.SpikeSorting & {**KEY, "probe_num": 0},
        lab.EphysRecording.ProbeSetting & {**KEY, "probe_num": 0},
        [{**KEY, "probe_num": 0}],
        unit,
    ):
        xr.testing.assert_identical(labdata.spikes(key), expected)
    xr.testing.assert_identical(labdata.events(unit), labdata.events(lab.Dataset & KEY))


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: labdata.spikes(KEY), ["2 sortings", "/0/1", "/1/1", "probe_num"]),
        (lambda: labdata.spikes({}), ["2 sortings"]),
        (lambda: labdata.spikes({**KEY, "probe_num": 7}), ["no sorting", "7"]),
        (lambda: labdata.spikes({"subject_name": "JC2"}), ["no sorting", "JC2"]),
        (lambda: labdata.spikes({**KEY, "probe_nun": 0}), ["'probe_nun'", "'probe_num'"]),
        (lambda: labdata.spikes({"subject": "JC1", "probe_num": 0}), ["'subject'"]),
        (
            lambda: labdata.events({"session_name": "20240305_100000"}),
            ["2 datasets", "JC1", "JC2"],
        ),
        (lambda: labdata.events({**KEY, "subject_name": "JC9"}), ["no dataset", "JC9"]),
        (lambda: labdata.events(KEY, stream="obx0"), ["no stream obx0"]),
        (lambda: labdata.spikes({**KEY, "probe_num": 0}, criteria=3), ["criterion 3"]),
    ],
    ids=range(10),
)
def test_a_key_that_selects_none_or_several_says_which(world, ask, words):
    with pytest.raises(QueryError) as caught:
        ask()
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_what_is_returned_survives_a_file(world, tmp_path, suffix):
    spikes = labdata.spikes({**KEY, "probe_num": 0}, with_=("amplitude",))
    events = labdata.events(KEY)
    for name, ds in (("spikes", spikes), ("events", events)):
        labdata.save(ds, tmp_path / f"{name}{suffix}")
        back = labdata.load(tmp_path / f"{name}{suffix}")
        labdata.validate(back)
        xr.testing.assert_identical(back, ds)


def test_synced_objects_do_not_warn(world):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnsyncedWarning)
        labdata.spikes({**KEY, "probe_num": 0})
        labdata.events(KEY)


def test_spikes_align_to_events_of_the_same_key(world):
    _, run = world
    spikes, events = labdata.spikes({**KEY, "probe_num": 0}), labdata.events(KEY)
    onsets = labdata.onsets_of(events, "1", stream="nidq")
    aligned = labdata.align_spikes(spikes, onsets, window_s=(-0.1, 0.3))
    labdata.validate(aligned)
    probe = run.probe(0)
    wanted = 0
    for unit in range(probe.n_units):
        true_s = probe.clock.true_at(probe.unit_samples(unit) / probe.clock.nominal_rate_hz)
        for onset in run.stim_on_s:
            wanted += np.count_nonzero((true_s >= onset - 0.1) & (true_s < onset + 0.3))
    # an onset is seen at the next sample, so a spike at the window's edge may fall either way
    assert abs(aligned.sizes["spike"] - wanted) <= 1
