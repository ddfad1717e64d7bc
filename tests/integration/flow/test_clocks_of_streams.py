"""Clocks are told apart by their whole key, followed to the last one, and never mixed up."""

from __future__ import annotations

import json

import numpy as np
import pytest

import labdata
from labdata.errors import ObjectError, QueryError
from labdata.formats.spikeglx.events import DigitalLine
from labdata.objects import UnsyncedWarning
from labdata.schema import load_project_schema
from labdata.schema.ephys_events import insert_stream
from labdata.schema.synchrony import fit_stream

KEY = {"subject_name": "JC1", "session_name": "20240305_100000", "dataset_name": "ephys_g0"}
#: Pulses with irregular intervals, so that their offset is beyond doubt.
PULSES_S = np.cumsum(np.random.default_rng(5).uniform(0.5, 1.5, 40))


def add_stream(lab, key, stream, line, offset_s, *, rate_hz=1000.0, **columns):
    """Insert a stream whose line sees the common pulses at ``offset_s + PULSES_S``."""
    lab.Dataset.insert1(key, skip_duplicates=True)
    lab.DatasetEvents.insert1(
        {**key, "stream_name": stream, "sampling_rate": rate_hz, "n_samples": 60_000, **columns},
        allow_direct_insert=True,
    )
    edges = np.sort(np.concatenate([PULSES_S, PULSES_S + 0.1])) + offset_s
    lab.DatasetEvents.Digital.insert1(
        {
            **key,
            "stream_name": stream,
            "event_name": line,
            "event_timestamps": np.round(edges * rate_hz) / rate_hz,
            "event_values": np.tile([1, 0], len(PULSES_S)).astype("int8"),
        },
        allow_direct_insert=True,
    )


def sync(lab, key, stream, line, clock, clock_line, clock_dataset=None):
    lab.StreamSync.insert1(
        {
            **key,
            "stream_name": stream,
            "event_name": line,
            "clock_dataset": clock_dataset or key["dataset_name"],
            "clock_stream": clock,
            "clock_stream_event": clock_line,
        }
    )


def add_sorting(lab, key, probe_num, units, **columns):
    probe = {"probe_id": "p1"}
    if not lab.Probe & probe:
        lab.Probe.insert1(
            probe | {"probe_type": "x", "probe_n_shanks": 1, "probe_recording_channels": 1}
        )
        lab.ProbeConfiguration.insert1(
            {
                **probe,
                "configuration_id": 1,
                "probe_n_channels": 1,
                "probe_gain": 1.0,
                "channel_idx": np.arange(1),
                "channel_shank": np.zeros(1, "int64"),
                "channel_coords": np.zeros((1, 2)),
                "configuration_hash": "0" * 64,
            }
        )
    lab.Dataset.insert1(key, skip_duplicates=True)
    recording = {"n_probes": 1, "recording_duration": 60.0, "recording_software": "x"}
    lab.EphysRecording.insert1(key | recording, skip_duplicates=True)
    setting = {**key, "probe_num": probe_num, **probe, "configuration_id": 1}
    lab.EphysRecording.ProbeSetting.insert1(
        setting | {"sampling_rate": 1000.0, "n_samples": 60_000}
    )
    lab.SpikeSortingParams.insert1(
        {
            "parameter_set_num": 1,
            "algorithm_name": "truth",
            "parameters_dict": {},
            "parameters_hash": "1" * 64,
        },
        skip_duplicates=True,
    )
    sorting = {**key, "probe_num": probe_num, "parameter_set_num": 1}
    lab.SpikeSorting.insert1(sorting | {"n_sorted_units": len(units)})
    lab.SpikeSorting.Unit.insert(
        {**sorting, "unit_id": unit, "spike_times": np.asarray(samples), **columns}
        for unit, samples in units.items()
    )
    return sorting


@pytest.fixture
def lab(lab_rig):
    lab = lab_rig.lab
    lab.Session.insert1({**KEY, "session_datetime": "2024-03-05"}, ignore_extra_fields=True)
    return lab


def test_equal_names_of_two_datasets_are_two_clocks(lab):
    """imec0 is on the NI-DAQ of another dataset; this dataset's own NI-DAQ is not."""
    rig = KEY | {"dataset_name": "rig"}
    add_stream(lab, KEY, "imec0", 6, 0.0)
    add_stream(lab, KEY, "nidq", 7, 100.0)
    add_stream(lab, rig, "nidq", 7, 3.0)
    sync(lab, KEY, "imec0", 6, "nidq", 7, clock_dataset="rig")
    with pytest.warns(UnsyncedWarning, match="Left out.*nidq"):
        here = labdata.events(KEY)
    assert set(here["stream"].values) == {"imec0"}
    assert here.attrs["streams_left_out"] == "nidq"
    assert here.attrs["clock_dataset"] == "JC1/20240305_100000/rig"
    rises = here["event_time"].values[here["event_value"].values == 1]
    assert np.abs(rises - PULSES_S - 3.0).max() < 1e-3
    add_sorting(lab, KEY, 0, {1: np.round(PULSES_S * 1000).astype("int64")})
    spikes = labdata.spikes(KEY)
    there = labdata.onsets_of(labdata.events(rig), 7)
    aligned = labdata.align_spikes(spikes, there, window_s=(-0.2, 0.2))
    assert np.abs(aligned["relative_time"].values).max() < 2e-3
    with pytest.warns(UnsyncedWarning):
        own = labdata.events(KEY, stream="nidq")
    with pytest.raises(ObjectError, match=r"rig/nidq.*ephys_g0/nidq"):
        labdata.align_spikes(spikes, labdata.onsets_of(own, 7), window_s=(-0.2, 0.2))


def test_events_of_another_session_are_not_aligned_to(lab):
    other = KEY | {"session_name": "20240306_100000"}
    lab.Session.insert1({**other, "session_datetime": "2024-03-06"}, ignore_extra_fields=True)
    for key, offset_s in ((KEY, 0.0), (other, 7.0)):
        add_stream(lab, key, "imec0", 6, 1.0)
        add_stream(lab, key, "nidq", 7, offset_s)
        sync(lab, key, "imec0", 6, "nidq", 7)
    add_sorting(lab, KEY, 0, {1: [1000, 2000]})
    onsets = labdata.onsets_of(labdata.events(other), 7)
    with pytest.raises(ObjectError, match=r"20240305_100000/.*20240306_100000/"):
        labdata.align_spikes(labdata.spikes(KEY), onsets)


def test_a_chain_of_clocks_is_followed_to_its_end(lab):
    """Spikes and events of every stream of the chain are on its last clock."""
    streams = (("imec1", 6, 9.0), ("imec0", 6, 2.0), ("nidq", 7, 5.0), ("obx0", 6, 1.0))
    for stream, line, offset_s in streams:
        add_stream(lab, KEY, stream, line, offset_s)
    sync(lab, KEY, "nidq", 7, "obx0", 6)
    sync(lab, KEY, "imec1", 6, "imec0", 6)
    sync(lab, KEY, "imec0", 6, "nidq", 7)
    for probe_num, offset_s in ((1, 9.0), (0, 2.0)):
        samples = np.round((PULSES_S + offset_s) * 1000).astype("int64")
        add_sorting(lab, KEY, probe_num, {1: samples})
        spikes = labdata.spikes({**KEY, "probe_num": probe_num})
        assert (spikes.attrs["clock"], spikes.attrs["synced"]) == ("obx0", 1)
        assert np.abs(spikes["spike_time"].values - PULSES_S - 1.0).max() < 2e-3
    assert spikes.attrs["sync_chain"] == "imec0 > nidq > obx0"
    events = labdata.events(KEY)
    assert events.attrs["clock"] == "obx0"
    assert set(events["stream"].values) == {"imec1", "imec0", "nidq", "obx0"}
    for stream, line, _ in streams:
        onsets = labdata.onsets_of(events, line, stream=stream)
        assert np.abs(onsets.values - PULSES_S - 1.0).max() < 2e-3
        aligned = labdata.align_spikes(spikes, onsets, window_s=(-0.1, 0.1))
        assert aligned.sizes["spike"] == len(PULSES_S)
    rows = {r["stream_name"]: r for r in lab.DatasetEvents.Digital().fetch_synced()}
    assert {r["clock"] for r in rows.values()} == {"obx0"}
    (trained,) = (lab.SpikeSorting.Unit & "probe_num = 1").get_spike_times()
    assert (trained["clock"], trained["synced"]) == ("obx0", True)


@pytest.mark.filterwarnings("ignore::labdata.objects.UnsyncedWarning")
def test_clocks_that_lead_round_are_refused(lab):
    for stream, offset_s in (("imec0", 0.0), ("nidq", 3.0), ("obx0", 1.0)):
        add_stream(lab, KEY, stream, 6, offset_s)
    for stream, clock in (("imec0", "nidq"), ("nidq", "obx0")):
        sync(lab, KEY, stream, 6, clock, 6)
    circle = r"in a circle: .*obx0 > .*imec0 > .*nidq > .*obx0"
    with pytest.raises(QueryError, match=circle + r".*Nothing was inserted"):
        sync(lab, KEY, "obx0", 6, "imec0", 6)
    assert len(lab.StreamSync()) == 2
    # as an older labdata let it be
    row = (lab.StreamSync & {"stream_name": "nidq"}).fetch1()
    row |= {"stream_name": "obx0", "event_name": "6", "clock_stream": "imec0"}
    lab.StreamSync().insert(iter([row]))
    with pytest.raises(QueryError, match=r"in a circle: .*imec0 > .*nidq > .*obx0 > .*imec0"):
        labdata.events(KEY)


def test_a_probe_that_is_the_clock_is_synchronised(lab, recwarn):
    add_stream(lab, KEY, "imec0", 6, 0.0)
    add_stream(lab, KEY, "nidq", 7, 3.0)
    sync(lab, KEY, "nidq", 7, "imec0", 6)
    add_sorting(lab, KEY, 0, {4: [500, 1500]})
    spikes, events = labdata.spikes(KEY), labdata.events(KEY)
    (row,) = lab.SpikeSorting.Unit().get_spike_times()
    assert not [w for w in recwarn if issubclass(w.category, UnsyncedWarning)]
    assert (spikes.attrs["synced"], spikes.attrs["clock"]) == (1, "imec0") == (1, row["clock"])
    assert row["synced"]
    assert spikes["spike_time"].values.tolist() == row["spike_times"].tolist() == [0.5, 1.5]
    assert len(labdata.align_spikes(spikes, labdata.onsets_of(events, 7))["trial"]) == 40


def test_first_samples_of_two_runs_place_nothing_against_each_other(lab):
    """They count from the start of each run's own acquisition."""
    rig = KEY | {"dataset_name": "rig"}
    add_stream(lab, KEY, "imec0", 6, 0.0, first_sample=500_000)
    add_stream(lab, rig, "nidq", 7, 3.0, first_sample=10)
    sync(lab, KEY, "imec0", 6, "nidq", 7, clock_dataset="rig")
    report = (lab.StreamSync & KEY).report()
    assert report.evidence != "hint"
    assert report.offset_s == pytest.approx(3.0, abs=2e-3)


def test_a_forced_synchronisation_warns(lab):
    add_stream(lab, KEY, "imec0", 6, 0.0)
    add_stream(lab, KEY, "nidq", 7, 3.0)
    line = lab.DatasetEvents.Digital & KEY & {"stream_name": "nidq"}
    row = line.fetch1()
    noise = np.random.default_rng(1).normal(0, 0.02, len(row["event_timestamps"]) // 2)
    row["event_timestamps"] = row["event_timestamps"] + np.repeat(noise, 2)
    lab.DatasetEvents.Digital().update1(row)
    sync(lab, KEY, "imec0", 6, "nidq", 7)
    relation = lab.StreamSync.fetch(as_dict=True)[0]
    with pytest.raises(labdata.errors.ClockError):
        fit_stream(lab, relation)
    with pytest.warns(UnsyncedWarning, match="forced, with errors up to"):
        fit_stream(lab, relation, force=True)


def test_fault_11_every_line_of_a_stream_keeps_its_own_name(lab):
    """Two sync channels of one stream are two rows, and a second insert changes neither."""
    lab.Dataset.insert1(KEY)
    lines = [
        DigitalLine(str(bit), samples, np.array([1, 0], "int8"), samples / 1000.0)
        for bit, samples in ((3, np.array([5, 9])), (6, np.array([50, 90])))
    ]
    about = {"sampling_rate_hz": 1000.0, "n_samples": 100}
    assert insert_stream(lab, KEY, "imec0", lines, **about) == 2
    assert insert_stream(lab, KEY, "imec0", lines, **about) == 0
    rows = (lab.DatasetEvents.Digital & KEY).fetch(as_dict=True)
    assert {r["event_name"]: r["event_samples"].tolist() for r in rows} == {
        "3": [5, 9],
        "6": [50, 90],
    }


# --- keys ----------------------------------------------------------------------------------------


@pytest.fixture
def sorted_lab(lab):
    add_stream(lab, KEY, "imec0", 6, 0.0)
    add_sorting(lab, KEY, 0, {3: [100, 200], 4: [150]})
    return lab


@pytest.mark.filterwarnings("ignore::labdata.objects.UnsyncedWarning")
def test_names_of_other_tables_select_too(sorted_lab):
    """DataJoint would pass over them, and answer with another sorting."""
    for key in ({"unit_id": 4}, {"algorithm_name": "truth"}, {"session_datetime": "2024-03-05"}):
        assert labdata.spikes(KEY | key)["unit"].values.tolist() == [3, 4]
    for key in (
        {"unit_id": 9},
        {"algorithm_name": "other"},
        {"dataset_type": "imaging-2p"},
        {"stream_name": "imec7"},
    ):
        with pytest.raises(QueryError, match="no sorting"):
            labdata.spikes(KEY | key)


@pytest.mark.parametrize("key", ["subject_name = 'JC1'", 7, None, [3]])
def test_what_is_no_key_is_an_error_of_ours(sorted_lab, key):
    with pytest.raises(QueryError, match="selects nothing"):
        labdata.spikes(key)


@pytest.mark.parametrize("name", ["JC1' OR '1'='1", 'JC1" OR "1"="1', "%", "JC_", "JC1\\", "%s"])
def test_fault_36_a_value_is_never_part_of_a_statement(sorted_lab, name):
    for ask in (labdata.spikes, labdata.events):
        with pytest.raises(QueryError, match="There is no"):
            ask(KEY | {"subject_name": name})


def test_a_query_of_another_project_does_not_select_here(sorted_lab):
    other = load_project_schema("other")
    query = other.Session * other.Dataset
    with pytest.raises(QueryError, match="_other"):
        labdata.spikes(query)
    with pytest.raises(QueryError, match="_other"):
        labdata.events(other.Dataset(), lab=sorted_lab)


@pytest.mark.filterwarnings("ignore::labdata.objects.UnsyncedWarning")
def test_a_sorting_without_units_is_empty_and_whole(lab):
    add_sorting(lab, KEY, 0, {})
    spikes = labdata.spikes(KEY, with_=("amplitude", "depth"))
    labdata.validate(spikes)
    assert (spikes.sizes["unit"], spikes.sizes["spike"]) == (0, 0)
    assert spikes["spike_amplitude"].dtype == np.float32


@pytest.mark.filterwarnings("ignore::labdata.objects.UnsyncedWarning")
def test_a_stream_without_events_is_empty_and_whole(lab):
    lab.Dataset.insert1(KEY)
    lab.DatasetEvents.insert1({**KEY, "stream_name": "nidq"}, allow_direct_insert=True)
    events = labdata.events(KEY)
    labdata.validate(events)
    assert events.sizes["event"] == 0
    assert json.loads(events.attrs["provenance"])["key"] == KEY


@pytest.mark.filterwarnings("ignore::labdata.objects.UnsyncedWarning")
def test_values_that_are_not_one_a_spike_are_refused(lab):
    add_sorting(lab, KEY, 0, {3: [100, 200]}, spike_amplitudes=np.ones(3, "float32"))
    with pytest.raises(QueryError, match="Unit 3 has 3 spike_amplitudes for 2 spikes"):
        labdata.spikes(KEY, with_=("amplitude",))
    with pytest.raises(QueryError, match="Unit 3 has no spike_positions"):
        labdata.spikes(KEY, with_=("depth",))
    with pytest.raises(QueryError, match="'amplitudes'"):
        labdata.spikes(KEY, with_=("amplitudes",))


@pytest.mark.parametrize("hours", [0.5, 6.0, 8.0])
def test_a_run_that_records_hours_after_its_acquisition_began_is_not_a_pulse_off(lab, hours):
    """First samples are counted by each clock at its own rate: at 44 ppm, a pulse in 6 hours."""
    began_s, lead_s, rate_hz = hours * 3600.0, 0.4, 30_000.0
    pulses_s = np.arange(began_s, began_s + 60.0) + 0.2
    for stream, line, ratio, start_s in (
        ("imec0", 6, 1 + 44e-6, began_s),
        ("nidq", 7, 1.0, began_s - lead_s),
    ):
        first_sample = round(start_s * ratio * rate_hz)
        rises = np.floor(pulses_s * ratio * rate_hz) - first_sample
        columns = {"sampling_rate": rate_hz, "n_samples": 1_800_000, "first_sample": first_sample}
        lab.Dataset.insert1(KEY, skip_duplicates=True)
        lab.DatasetEvents.insert1(
            {**KEY, "stream_name": stream, **columns}, allow_direct_insert=True
        )
        lab.DatasetEvents.Digital.insert1(
            {
                **KEY,
                "stream_name": stream,
                "event_name": line,
                "event_timestamps": np.sort(np.r_[rises, rises + rate_hz / 2]) / rate_hz,
                "event_values": np.tile([1, 0], len(rises)).astype("int8"),
            },
            allow_direct_insert=True,
        )
    sync(lab, KEY, "imec0", 6, "nidq", 7)
    times_s = lab.StreamSync().apply(np.array([0.0, 30.0 * (1 + 44e-6)]), warn=False)
    assert np.abs(times_s - [lead_s, lead_s + 30.0]).max() < 2 / rate_hz
    assert not lab.StreamSync().report().ambiguous_offset


def test_rows_say_how_many_of_their_times_are_extrapolated(lab):
    add_stream(lab, KEY, "imec0", 6, 0.0)
    add_stream(lab, KEY, "nidq", 7, 3.0)
    first, last = np.round(PULSES_S[[0, -1]] * 1000).astype(int)
    inside = [first, first + 1, last]
    add_sorting(lab, KEY, 0, {0: inside, 1: [first - 1, *inside, last + 1, last + 500]})
    with pytest.warns(UnsyncedWarning):
        rows = lab.SpikeSorting.Unit().get_spike_times()
    assert [row["n_extrapolated"] for row in rows] == [0, 0]
    sync(lab, KEY, "imec0", 6, "nidq", 7)
    rows = lab.SpikeSorting.Unit().get_spike_times()
    assert [row["n_extrapolated"] for row in rows] == [0, 3]
    # of imec0 the fall of the last pulse, which comes after its rise
    lines = lab.DatasetEvents.Digital().fetch_synced()
    assert {r["stream_name"]: r["n_extrapolated"] for r in lines} == {"imec0": 1, "nidq": 0}


def test_a_stream_is_not_its_own_clock_and_lines_must_exist(lab):
    add_stream(lab, KEY, "imec0", 6, 0.0)
    add_stream(lab, KEY, "nidq", 7, 3.0)
    with pytest.raises(QueryError, match="imec0 cannot be its own clock"):
        sync(lab, KEY, "imec0", 6, "imec0", 6)
    with pytest.raises(QueryError, match="no line 5 of stream imec0") as caught:
        sync(lab, KEY, "imec0", 5, "nidq", 7)
    assert "Lines with events: 6" in str(caught.value)
    with pytest.raises(QueryError, match="no line 7 of stream obx0"):
        sync(lab, KEY, "imec0", 6, "obx0", 7)
    assert len(lab.StreamSync()) == 0
    sync(lab, KEY, "imec0", 6, "nidq", 7)
    sync(lab, KEY, "imec0", "6", "nidq", "7")
    assert len(lab.StreamSync()) == 1
