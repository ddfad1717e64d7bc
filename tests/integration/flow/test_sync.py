"""From raw runs of an outside generator to spikes and events on one clock, against its truth."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import labdata
from labdata.errors import QueryError
from labdata.objects import UnsyncedWarning
from labdata.testing import write_spikeglx_run

#: A sample at 30 kHz, and a third of one.
WORST_S, RMS_S = 33e-6, 10e-6
SHARED = Path(__file__).parents[3].parent / "shared"
GENERATOR = SHARED / "tools" / "make_spikeglx.py"
NP2 = SHARED / "data" / "spikeglx_meta" / "probeinterface" / "NP2_4_shanks.imec0.ap.meta"
REAL_RUN = SHARED / "data" / "spikeglx_raw" / "run-001cut_g0"
KEY = {"subject_name": "JC1", "session_name": "20240305_100000", "dataset_name": "ephys_g0"}
RUNS = {
    "np1": ["--duration", "8", "--channels", "16"],
    "np2": ["--duration", "8", "--channels", "16", "--template", str(NP2)],
    "dropped": ["--duration", "14", "--channels", "8", "--drop-sync-pulses", "3"],
}

outside = [
    pytest.mark.sorting,
    pytest.mark.skipif(not GENERATOR.is_file(), reason=f"needs {GENERATOR.name}"),
]


def sync(lab, key, probe_num=0, clock="nidq", clock_dataset=None):
    row = {
        **{k: key[k] for k in ("subject_name", "session_name", "dataset_name")},
        "stream_name": f"imec{probe_num}",
        "event_name": 6,
        "clock_dataset": clock_dataset or key["dataset_name"],
        "clock_stream": clock,
        "clock_stream_event": 7,
    }
    lab.StreamSync.insert1(row)
    return lab.StreamSync & {k: row[k] for k in ("subject_name", "session_name", "stream_name")}


def add_sorting(lab, key, probe_num, units, parameter_set_num=1):
    """Insert a sorting whose units are known, as if a sorter had found them."""
    lab.SpikeSortingParams.insert1(
        {
            "parameter_set_num": parameter_set_num,
            "algorithm_name": "truth",
            "parameters_dict": {"n": parameter_set_num},
            "parameters_hash": f"{parameter_set_num:064x}",
        },
        skip_duplicates=True,
    )
    sorting = {**key, "probe_num": probe_num, "parameter_set_num": parameter_set_num}
    lab.SpikeSorting.insert1(sorting | {"n_sorted_units": len(units)})
    lab.SpikeSorting.Unit.insert(
        {**sorting, "unit_id": unit, "spike_times": samples} for unit, samples in units.items()
    )
    return sorting


@pytest.fixture(scope="session")
def generated(tmp_path_factory):
    made = {}

    def make(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            command = [sys.executable, str(GENERATOR), str(folder), "--units", "4", *RUNS[name]]
            subprocess.run(command, check=True, capture_output=True)
            run = folder / "synth_g0"
            with np.load(run / "ground_truth.npz") as truth:
                made[name] = run, dict(truth)
        return made[name]

    return make


@pytest.fixture
def uploaded(lab_rig, generated):
    def upload(name):
        run, truth = generated(name)
        lab_rig.upload(lab_rig.put(lab_rig.record(run)))
        return lab_rig.lab, truth

    return upload


def check_error(error_s):
    assert np.abs(error_s).max() <= WORST_S
    assert np.sqrt(np.mean(error_s**2)) <= RMS_S


@pytest.mark.parametrize("name", [pytest.param(name, marks=outside) for name in RUNS])
class TestOutsideGenerator:
    def test_spikes_come_to_the_clock_within_a_sample(self, uploaded, name):
        lab, truth = uploaded(name)
        relation = sync(lab, KEY)
        own = truth["spike_sample_imec"] / truth["fs_imec_nominal"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnsyncedWarning)
            mapped = relation.apply(own)
        check_error(mapped - truth["spike_time_nidq_nominal_s"])

    def test_stimuli_seen_by_both_clocks_agree(self, uploaded, name):
        """Stimulus edges of the NI-DAQ, and the same moments as the probe's clock showed them."""
        lab, truth = uploaded(name)
        relation = sync(lab, KEY)
        mapped = relation.apply(truth["stim_on_imec_nominal_s"], warn=False)
        check_error(mapped - truth["stim_on_nidq_nominal_s"])
        line = lab.DatasetEvents.Digital & KEY & {"stream_name": "nidq", "event_name": 1}
        (row,) = line.fetch_synced()
        assert (row["clock"], row["synced"]) == ("nidq", True)
        rises = row["event_timestamps"][row["event_values"] == 1]
        late = rises - truth["stim_on_nidq_nominal_s"]
        assert 0 <= late.min() <= late.max() <= 1.001 / truth["fs_nidq_nominal"]

    def test_the_objects_carry_the_same_times(self, uploaded, name):
        lab, truth = uploaded(name)
        sync(lab, KEY)
        samples, units = truth["spike_sample_imec"], truth["spike_unit"]
        trains = {int(u): samples[units == u] for u in np.unique(units)}
        add_sorting(lab, KEY, 0, trains)
        spikes = labdata.spikes(KEY)
        assert spikes.attrs["clock"] == "nidq"
        for unit, train in trains.items():
            expected = truth["spike_time_nidq_nominal_s"][units == unit]
            check_error(labdata.spikes_of(spikes, unit) - expected)
            assert len(train) == len(expected)
        rows = (lab.SpikeSorting.Unit & KEY).get_spike_times()
        for row in rows:
            assert (row["clock"], row["synced"]) == ("nidq", True)
            np.testing.assert_array_equal(
                row["spike_times"], labdata.spikes_of(spikes, row["unit_id"])
            )


@pytest.mark.parametrize("name", [pytest.param("dropped", marks=outside)])
def test_fault_05_dropped_pulses_are_counted_and_named(uploaded, name):
    lab, truth = uploaded(name)
    report = sync(lab, KEY).report()
    seen_s = truth["sync_rise_imec"] / truth["fs_imec_true"] - truth["nidq_start_true_s"]
    seen_s = seen_s * truth["fs_nidq_true"] / truth["fs_nidq_nominal"]
    there_s = truth["sync_rise_nidq"] / truth["fs_nidq_nominal"]
    missing = [t for t in seen_s if np.abs(there_s - t).min() > 0.5]
    assert len(missing) == 3
    assert report.n_dropped == 3
    np.testing.assert_allclose(sorted(report.dropped_in_clock_s), missing, atol=1e-3)
    assert "3 pulses lost" in report.headline
    assert report.drift_ppm == pytest.approx(truth["nidq_ppm"] - truth["imec_ppm"], abs=3)


# --- without a synchronisation -------------------------------------------------------------------


@pytest.fixture
def unsynced(lab_rig, two_probe_run):
    lab_rig.upload(lab_rig.put(lab_rig.record(two_probe_run.run_folder)))
    for probe in two_probe_run.probes:
        trains = {u: probe.unit_samples(u) for u in range(probe.n_units)}
        add_sorting(lab_rig.lab, KEY, probe.probe_num, trains)
    return lab_rig.lab


def test_unsynced_spikes_say_so(unsynced, two_probe_run):
    with pytest.warns(UnsyncedWarning, match="imec0"):
        spikes = labdata.spikes({**KEY, "probe_num": 0})
    assert spikes.attrs["synced"] == 0
    assert spikes.attrs["clock"] == "imec0"
    assert spikes.attrs["sync_note"]
    assert "sync_note" in repr(spikes)
    truth = two_probe_run.probe(0)
    np.testing.assert_allclose(
        labdata.spikes_of(spikes, 1), truth.unit_samples(1) / truth.clock.nominal_rate_hz
    )


def test_unsynced_rows_say_so(unsynced):
    with pytest.warns(UnsyncedWarning, match=r"imec0.*imec1"):
        rows = unsynced.SpikeSorting.Unit().get_spike_times()
    assert {(r["clock"], r["synced"]) for r in rows} == {("imec0", False), ("imec1", False)}
    with pytest.warns(UnsyncedWarning, match=r"imec0.*imec1.*nidq"):
        rows = unsynced.DatasetEvents.Digital().fetch_synced()
    assert all(r["clock"] == r["stream_name"] and not r["synced"] for r in rows)


def test_samples_are_asked_for_without_a_clock(unsynced, two_probe_run):
    rows = unsynced.SpikeSorting.Unit().get_spike_times(return_seconds=False)
    for row in rows:
        truth = two_probe_run.probe(row["probe_num"]).unit_samples(row["unit_id"])
        assert row["spike_times"].dtype == np.int64
        np.testing.assert_array_equal(row["spike_times"], truth)


def test_fault_07_the_spline_is_not_offered(unsynced):
    with pytest.raises(QueryError, match="cubic"):
        unsynced.SpikeSorting.Unit().get_spike_times(interp_method="cubic")
    with pytest.raises(QueryError, match="'spline'"):
        unsynced.DatasetEvents.Digital().fetch_synced(method="spline")


def test_an_event_query_without_a_common_clock_is_an_error(unsynced):
    with pytest.raises(QueryError, match="3 clocks: imec0, imec1, nidq"):
        labdata.events(KEY)
    with pytest.warns(UnsyncedWarning):
        assert labdata.events(KEY, stream="nidq").attrs["clock"] == "nidq"


def test_events_leave_out_what_is_not_synchronised_and_say_so(unsynced):
    sync(unsynced, KEY, 0)
    with pytest.warns(UnsyncedWarning, match="imec1"):
        events = labdata.events(KEY)
    assert events.attrs["streams_left_out"] == "imec1"
    assert set(events["stream"].values) == {"imec0", "nidq"}


def test_an_identical_synchronisation_is_success_and_a_second_clock_an_error(unsynced):
    relation = sync(unsynced, KEY, 0)
    sync(unsynced, KEY, 0)
    assert len(relation) == 1
    second = {"stream_name": "imec0", "event_name": 6, "clock_dataset": KEY["dataset_name"]}
    second = {**KEY, **second, "clock_stream": "imec1", "clock_stream_event": 6}
    for insert in (unsynced.StreamSync.insert1, lambda row: unsynced.StreamSync.insert([row])):
        with pytest.raises(QueryError, match=r"2 synchronisations.*Nothing was inserted"):
            insert(second)
    assert len(relation) == 1
    insert_past_the_check(unsynced, second)  # as an older labdata let it be
    with pytest.raises(QueryError, match="2 synchronisations"):
        labdata.spikes({**KEY, "probe_num": 0})
    with pytest.raises(QueryError, match="2 synchronisations"):
        relation.apply(np.zeros(1))


def insert_past_the_check(lab, row):
    lab.StreamSync().insert(iter([row]))


# --- several sessions, probes and clocks in one query --------------------------------------------


@pytest.fixture
def two_sessions(lab_rig, two_probe_run, tmp_path):
    """Two sessions with probes of different rates; imec1 of the first is not synchronised."""
    lab = lab_rig.lab
    second = write_spikeglx_run(
        tmp_path,
        run_name="ephys",
        duration_s=5.0,
        n_channels=8,
        n_units=2,
        seed=8,
        imec_ppm=-40.0,
        nidq_ppm=35.0,
        nidq_start_s=-0.3,
    )
    sessions = {}
    for day, run in (("20240305_100000", two_probe_run), ("20240306_100000", second)):
        key = KEY | {"session_name": day}
        lab_rig.upload(lab_rig.put(lab_rig.record(run.run_folder, f"JC1/{day}/ephys_g0")))
        for probe in run.probes:
            trains = {u: probe.unit_samples(u) for u in range(probe.n_units)}
            add_sorting(lab, key, probe.probe_num, trains)
        sync(lab, key, 0)
        sessions[day] = run
    return lab, sessions


def test_fault_04_each_probe_is_converted_at_its_own_rate(two_sessions):
    lab, sessions = two_sessions
    # very different rates, so that a unit that got another's is seen at once
    setting = lab.EphysRecording.ProbeSetting.full_table_name
    lab.connection.query(f"UPDATE {setting} SET sampling_rate=25000 WHERE probe_num=1")
    with pytest.warns(UnsyncedWarning) as caught:
        rows = lab.SpikeSorting.Unit().get_spike_times()
    said = " ".join(str(w.message) for w in caught)
    assert "20240305_100000/ephys_g0 imec1" in said
    assert "imec0" not in said
    assert len(rows) == 6
    for row in rows:
        run = sessions[row["session_name"]]
        probe = run.probe(row["probe_num"])
        samples = probe.unit_samples(row["unit_id"])
        if row["probe_num"] == 1:
            assert (row["clock"], row["synced"]) == ("imec1", False)
            np.testing.assert_array_equal(row["spike_times"], samples / 25000)
        else:
            assert (row["clock"], row["synced"]) == ("nidq", True)
            true_s = probe.clock.true_at(samples / probe.clock.nominal_rate_hz)
            check_error(row["spike_times"] - run.nidq.seconds_at(true_s))


def test_fault_06_each_row_is_returned_once_on_the_clock_of_its_own_session(two_sessions):
    lab, sessions = two_sessions
    with pytest.warns(UnsyncedWarning, match="imec1"):
        rows = lab.DatasetEvents.Digital().fetch_synced()
    names = [(r["session_name"], r["stream_name"], r["event_name"]) for r in rows]
    assert len(names) == len(set(names)) == len(lab.DatasetEvents.Digital()) == 9
    for row in rows:
        run = sessions[row["session_name"]]
        stream = row["stream_name"]
        if stream == "imec1":
            assert (row["clock"], row["synced"]) == ("imec1", False)
            continue
        assert (row["clock"], row["synced"]) == ("nidq", True)
        own = run.nidq if stream == "nidq" else run.probe(0).clock
        true_s = own.true_at(row["event_samples"] / own.nominal_rate_hz)
        check_error(row["event_timestamps"] - run.nidq.seconds_at(true_s))


def test_a_clock_in_another_dataset_of_the_session(two_sessions, lab_rig, small_run):
    """A stream may be synchronised to one that was put as a dataset of its own."""
    lab, sessions = two_sessions
    lab.StreamSync.delete(prompt=False)
    run = sessions["20240306_100000"]
    key = KEY | {"session_name": "20240306_100000"}
    other = key | {"dataset_name": "rig"}
    lab.Dataset.insert1(other)
    for table in (lab.DatasetEvents, lab.DatasetEvents.Digital):
        rows = (table & key & {"stream_name": "nidq"}).fetch(as_dict=True)
        table.insert([r | {"dataset_name": "rig"} for r in rows], allow_direct_insert=True)
    relation = sync(lab, key, 0, clock_dataset="rig") & key
    probe = run.probe(0)
    own = probe.spike_samples / probe.clock.nominal_rate_hz
    check_error(relation.apply(own, warn=False) - run.nidq.seconds_at(probe.clock.true_at(own)))


def test_an_offset_that_may_be_another_is_warned_of_wherever_it_is_used(lab_rig):
    """A plain 1 Hz wave on streams of which no length is known: any whole second would do."""
    lab = lab_rig.lab
    lab.Session.insert1({**KEY, "session_datetime": "2024-03-05"}, ignore_extra_fields=True)
    lab.Dataset.insert1(KEY)
    for stream, line, first, n in (("imec0", 6, 0.2, 20), ("nidq", 7, 3.4, 26)):
        lab.DatasetEvents.insert1({**KEY, "stream_name": stream}, allow_direct_insert=True)
        times = first + np.arange(n)
        lab.DatasetEvents.Digital.insert1(
            {
                **KEY,
                "stream_name": stream,
                "event_name": line,
                "event_timestamps": np.sort(np.concatenate([times, times + 0.5])),
                "event_values": np.tile([1, 0], n).astype("int8"),
            },
            allow_direct_insert=True,
        )
    relation = sync(lab, KEY)
    for use in (
        lambda: relation.apply(np.array([5.0]), warn=False),
        lambda: (lab.DatasetEvents.Digital & KEY).fetch_synced(),
        lambda: labdata.events(KEY),
    ):
        with pytest.warns(UnsyncedWarning, match=r"JC1/20240305_100000/ephys_g0.*ambiguous"):
            use()
    with pytest.warns(UnsyncedWarning):
        assert labdata.events(KEY).attrs["sync_note"]


def test_plot_synced_draws_every_line_and_names_the_unsynced(two_sessions):
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib.figure import Figure

    lab, _ = two_sessions
    ax = Figure().subplots()
    lines = lab.DatasetEvents.Digital & KEY
    with pytest.warns(UnsyncedWarning):
        assert lines.plot_synced(ax=ax, overlay_original=True) is ax
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert labels == [
        "imec0 6",
        "imec1 6 (not synchronised)",
        "nidq 1",
        "nidq 2",
        "nidq 7",
    ]
    assert ax.get_xlabel() == "Time (s, clock imec1, nidq)"
    assert len(ax.collections) == 10


def test_lines_of_several_datasets_are_told_apart_in_a_plot(two_sessions):
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib.figure import Figure

    lab, sessions = two_sessions
    with pytest.warns(UnsyncedWarning):
        ax = lab.DatasetEvents.Digital().plot_synced(ax=Figure().subplots())
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert len(set(labels)) == len(labels) == len(lab.DatasetEvents.Digital())
    for day in sessions:
        assert f"JC1/{day}/ephys_g0 nidq 7" in labels


@pytest.mark.filterwarnings("error")
def test_a_plot_of_no_lines_is_empty(lab_rig):
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib.figure import Figure

    ax = lab_rig.lab.DatasetEvents.Digital().plot_synced(ax=Figure().subplots())
    assert len(ax.collections) == 0


# --- a real recording ----------------------------------------------------------------------------


@pytest.mark.skipif(not REAL_RUN.is_dir(), reason=f"needs {REAL_RUN.name}")
def test_a_real_recording_comes_in(lab_rig):
    folder = lab_rig.record(REAL_RUN, "JC1/20240305_100000/ephys_g0")
    lab_rig.upload(lab_rig.put(folder))
    recording = (lab_rig.lab.EphysRecording & KEY).fetch1()
    assert recording["n_probes"] == 1
    (path,) = folder.rglob("*.ap.bin")
    setting = lab_rig.lab.EphysRecording.ProbeSetting.fetch1()
    configuration = lab_rig.lab.ProbeConfiguration.fetch1()
    n_saved = configuration["probe_n_channels"] + 1
    assert setting["n_samples"] == path.stat().st_size / 2 / n_saved
