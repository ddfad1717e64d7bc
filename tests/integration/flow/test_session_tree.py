"""One call gives all that a session has, and it can be taken along."""

from __future__ import annotations

import numpy as np
import pytest

import labdata
from labdata.errors import QueryError
from labdata.objects import UnsyncedWarning

KEY = {"subject_name": "JC1", "session_name": "20240305_100000"}
DATASET = {**KEY, "dataset_name": "ephys_g0"}


def insert_sorting(lab, probe_num, parameter_set_num, dataset="ephys_g0"):
    lab.SpikeSortingParams.insert1(
        {
            "parameter_set_num": parameter_set_num,
            "algorithm_name": "truth",
            "parameters_dict": {"n": parameter_set_num},
            "parameters_hash": f"{parameter_set_num:064x}",
        },
        skip_duplicates=True,
    )
    key = {**KEY, "dataset_name": dataset, "probe_num": probe_num}
    key["parameter_set_num"] = parameter_set_num
    lab.SpikeSorting.insert1(key)
    lab.SpikeSorting.Unit.insert1(
        {**key, "unit_id": 3, "spike_times": np.array([100, 900]) * parameter_set_num}
    )


@pytest.fixture(scope="module")
def lab(rig_maker, tmp_path_factory, database_folder, two_probe_run):
    """Two datasets of one session; of the first, both probes are synchronised and sorted."""
    with rig_maker(tmp_path_factory.mktemp("tree"), database_folder) as rig:
        rig.add_subjects("JC1", "JC2")
        rig.upload(rig.put(rig.record(two_probe_run.run_folder)))
        for probe_num in (0, 1):
            row = {"stream_name": f"imec{probe_num}", "event_name": 6, "clock_stream": "nidq"}
            row |= {"clock_dataset": "ephys_g0", "clock_stream_event": 7}
            rig.lab.StreamSync.insert1(DATASET | row)
        yield rig.lab


def test_what_there_is_grows_into_the_tree(lab, tmp_path):
    assert [n.path for n in labdata.session_tree(KEY).leaves] == ["/events"]
    insert_sorting(lab, 0, 1)
    insert_sorting(lab, 1, 1)
    insert_sorting(lab, 1, 2)
    tree = labdata.session_tree(KEY)
    paths = sorted(n.path for n in tree.leaves)
    assert paths == ["/events", "/spikes/imec0", "/spikes/imec1_p1", "/spikes/imec1_p2"]
    one = {**DATASET, "probe_num": 1, "parameter_set_num": 2}
    assert tree["spikes/imec1_p2"].to_dataset().identical(labdata.spikes(one))
    assert tree["events"].to_dataset().identical(labdata.events(KEY))
    assert {n.attrs["clock"] for n in tree.leaves} == {"nidq"}
    assert tree.attrs["labdata_kind"] == "session"

    again = labdata.load(labdata.save(tree, tmp_path / "session.nc"))
    for node in tree.leaves:
        assert again[node.path].to_dataset().identical(node.to_dataset())


def test_columns_of_spikes_stay_lazy_in_the_tree(lab):
    tree = labdata.session_tree(KEY)
    leaves = [n for n in tree.leaves if n.path.startswith("/spikes")]
    for node in leaves:
        assert not isinstance(node.dataset["sample_index"].variable._data, np.ndarray)


def insert_trials(lab, name, dataset="ephys_g0", **columns):
    key = {**KEY, "dataset_name": dataset}
    counts = dict.fromkeys(("n_performed", "n_with_choice", "n_correct"), 1)
    n_trials = len(columns["trial_num"])
    lab.DecisionTask.insert1(
        {**key, "n_total_trials": n_trials}, skip_duplicates=True, allow_direct_insert=True
    )
    row = {**key, "trialset_description": name, "n_trials": n_trials, **counts, **columns}
    lab.DecisionTask.TrialSet.insert1(row, allow_direct_insert=True)


@pytest.fixture
def trial_sets(lab):
    insert_trials(
        lab,
        "visual/2",
        trial_num=np.array([2, 3, 7]),
        initiation_times=np.array([1.5, np.nan, 3.25]),
        response_values=np.array([1, 0, -1]),
        reaction_times=np.array([0.25, np.nan, 0.5]),
    )
    insert_trials(lab, "auditory", trial_num=np.array([1, 4]))
    yield
    (lab.DecisionTask.TrialSet & KEY).delete_quick()
    (lab.DecisionTask & KEY).delete_quick()


def test_trials_are_in_the_tree(lab, trial_sets, tmp_path):
    with pytest.warns(UnsyncedWarning, match="task of ephys_g0"):
        tree = labdata.session_tree(KEY)
    assert {"/trials/visual_2", "/trials/auditory", "/events"} <= {n.path for n in tree.leaves}
    found = tree["trials/visual_2"].to_dataset()
    labdata.validate(found)
    assert found["trial"].values.tolist() == [2, 3, 7]
    np.testing.assert_array_equal(found["start_time"], [1.5, np.nan, 3.25])
    assert found["response"].values.tolist() == [1, 0, -1]
    assert found["reaction_duration"].attrs["units"] == "s" and "correct" not in found
    assert found.attrs["synced"] == 0 and found.attrs["trialset_description"] == "visual/2"
    assert np.isnan(tree["trials/auditory"]["start_time"]).all()
    again = labdata.load(labdata.save(tree, tmp_path / "session.nc"))
    assert again["trials/visual_2"].to_dataset().identical(found)


def test_sets_of_trials_whose_names_become_one_are_both_there(lab, trial_sets):
    insert_trials(lab, "visual_2", trial_num=np.array([5]))
    with pytest.warns(UnsyncedWarning):
        tree = labdata.session_tree(KEY)
    found = {node.attrs["trialset_description"] for node in tree["trials"].leaves}
    assert found == {"visual/2", "visual_2", "auditory"}


def test_trials_of_a_synchronised_stream_are_on_its_clock(lab, trial_sets):
    on_probe = labdata.trials(KEY, "visual/2", stream="imec1")
    wanted = (lab.StreamSync & KEY & 'stream_name = "imec1"').apply(np.array([1.5, 3.25]))
    np.testing.assert_array_equal(on_probe["start_time"][[0, 2]], wanted)
    assert (on_probe.attrs["clock"], on_probe.attrs["synced"]) == ("nidq", 1)
    np.testing.assert_array_equal(
        labdata.trials(KEY, "visual/2", stream="nidq")["start_time"], [1.5, np.nan, 3.25]
    )
    tree = labdata.session_tree(KEY, trials_stream="imec1")
    assert tree["trials/visual_2"].to_dataset().identical(on_probe)
    assert {n.attrs["clock"] for n in tree.leaves} == {"nidq"}
    with pytest.raises(QueryError, match="has no stream box"):
        labdata.trials(KEY, "visual/2", stream="box")
    with pytest.raises(QueryError, match="selects 2 trial sets"):
        labdata.trials(KEY)
    with pytest.raises(QueryError, match="no trial set"):
        labdata.trials(KEY, "tactile")


def test_a_session_that_is_not_there_is_told(lab):
    with pytest.raises(QueryError, match="no session"):
        labdata.session_tree({**KEY, "session_name": "20000101_000000"})
