"""The guide's lab has what the guide's snippets name, and its numbers are those it planted."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from labdata.database.connection import reset_connection
from labdata.database.embedded import EmbeddedDatabase
from labdata.errors import DatabaseError
from labdata.testing import GuideTruth, write_guide_lab

pytestmark = pytest.mark.database
IN_RESPONSE_S = (0.04, 0.24)  # when a stimulus drives a model neuron, after its onset
PEAK_HZ = 60.0  # by how much, at its preferred orientation
CRITERIA = {
    "unit_criteria_id": 1,
    "sua_criteria": "isi_contamination < 0.1 & amplitude_cutoff < 0.1 & spike_duration > 0.1 "
    "& spike_amplitude > 50 & presence_ratio > 0.6",
    "mua_criteria": "spike_duration > 0.01 & n_electrodes_spanned < 20",
}


def forget() -> None:
    from labdata.schema import default_lab

    default_lab.deactivate()
    reset_connection()


@pytest.fixture(scope="module")
def truth(
    embedded_server: EmbeddedDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GuideTruth]:
    before = dict(os.environ)
    os.environ["LABDATA_DATABASE_FOLDER"] = str(embedded_server.folder)
    forget()
    yield write_guide_lab(tmp_path_factory.mktemp("guide"))
    forget()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def lab(truth: GuideTruth) -> Any:
    from labdata.schema import default_lab

    return default_lab


@pytest.fixture(scope="module")
def synced(truth: GuideTruth, lab: Any) -> list[dict[str, Any]]:
    """Units of the selected session, on the clock of nidq."""
    common = {"stream_name": "imec0", "event_name": 6}
    clock = {"clock_stream": "nidq", "clock_stream_event": 7}
    lab.StreamSync.insert1(
        {**truth.key, **common, **clock, "clock_dataset": truth.key["dataset_name"]}
    )
    rows: list[dict[str, Any]] = (lab.SpikeSorting.Unit & truth.key).get_spike_times()
    return rows


def test_the_selected_session_is_the_eleventh_sorted_one(truth: GuideTruth, lab: Any) -> None:
    sorted_ones = lab.Session & (lab.SpikeSorting & 'subject_name = "SUBJECT"')
    chosen = (lab.Dataset & sorted_ones & 'dataset_name = "DATANAME"').proj().fetch(as_dict=True)
    assert chosen[10] == truth.key
    assert len(chosen) == len(truth.units)
    assert set((lab.SpikeSorting & sorted_ones).fetch("parameter_set_num")) == {5}


def test_there_are_enough_spikes_to_draw_150000_of_them(truth: GuideTruth, lab: Any) -> None:
    units = lab.SpikeSorting.Unit & truth.key
    assert sum(map(len, units.fetch("spike_times"))) > 150_000
    on_two = units & (lab.UnitMetrics & "shank = 2")
    assert sum(map(len, on_two.fetch("spike_times"))) > 150_000


def test_the_log_is_as_long_as_the_rises_and_safe_in_the_store(
    truth: GuideTruth, lab: Any
) -> None:
    files = lab.Dataset.DataFiles & truth.key & 'file_path LIKE "%orientation%.csv"'
    (path,) = (lab.File & files).get()
    assert path == truth.log_path
    log = pd.read_csv(path)
    line = (
        lab.DatasetEvents.Digital & truth.key & {"stream_name": "nidq", "event_name": 1}
    ).fetch1()
    assert len(log) == np.count_nonzero(line["event_values"] == 1)
    assert np.array_equal(log["stim"], truth.run.stim)
    repeats = log.groupby("stim")["trial"].apply(list)
    assert all(r == list(range(log["trial"].max() + 1)) for r in repeats)
    row = (lab.File & files).fetch1()
    content = path.read_bytes()
    assert row["file_sha256"] == hashlib.sha256(content).hexdigest()
    path.rename(path.with_suffix(".away"))
    elsewhere = truth.folder / "elsewhere"
    elsewhere.mkdir()
    (fetched,) = (lab.File & files).get([elsewhere])
    assert fetched.read_bytes() == content
    path.with_suffix(".away").rename(path)


def test_spikes_come_to_the_clock_they_happened_on(
    truth: GuideTruth, synced: list[dict[str, Any]]
) -> None:
    probe, nidq = truth.run.probes[0], truth.run.nidq
    for row, unit in zip(synced, truth.units[truth.key["session_name"]], strict=True):
        assert row["clock"] == "nidq"
        if unit.kind == "single":
            true_s = np.sort(probe.spike_times_s[probe.spike_units == unit.unit_id])
            assert np.abs(row["spike_times"] - nidq.seconds_at(true_s)).max() < 1e-4


def test_planted_responses_are_in_the_psth(
    truth: GuideTruth, synced: list[dict[str, Any]]
) -> None:
    """Mean counts after the preferred orientation against the rate that was planted."""
    run, probe = truth.run, truth.run.probes[0]
    onsets_s = run.nidq.seconds_at(run.stim_on_s)
    width_s = IN_RESPONSE_S[1] - IN_RESPONSE_S[0]
    driven = 0
    for row, unit in zip(synced, truth.units[truth.key["session_name"]], strict=True):
        if unit.kind != "single":
            continue
        preferred = probe.unit_preferred_deg[unit.unit_id]
        shown = np.isclose(run.stim_orientation_deg, preferred)
        spikes = row["spike_times"]
        after = [np.sum((spikes > t + 0.04) & (spikes < t + 0.24)) for t in onsets_s]
        before = [np.sum((spikes > t - 0.25) & (spikes < t - 0.05)) for t in onsets_s]
        extra = np.array(after) - np.array(before)
        if np.isnan(preferred):
            assert abs(extra.mean()) < 4 * extra.std() / np.sqrt(extra.size)
        else:
            driven += 1
            hz = extra[shown].mean() / width_s
            error_hz = extra[shown].std() / np.sqrt(shown.sum()) / width_s
            # the refractory period of 2.5 ms takes some: at 70 Hz up to a sixth
            assert PEAK_HZ * 0.75 - 4 * error_hz < hz < PEAK_HZ + 4 * error_hz
    assert driven > 10


def test_criteria_find_the_planted_units(truth: GuideTruth, lab: Any) -> None:
    lab.UnitCountCriteria.insert1(CRITERIA)
    lab.UnitCount.populate()
    for name, units in truth.units.items():
        here = {"session_name": name}
        passes = (lab.UnitCount.Unit & here).fetch("passes")
        assert passes.tolist() == [unit.verdict for unit in units], name
        sua, mua = (lab.UnitCount & here).fetch1("sua", "mua")
        assert (sua, mua) == (np.sum(passes == 1), np.sum(passes == 0))
    assert {unit.verdict for units in truth.units.values() for unit in units} == {1, 0, -1}


def test_metrics_are_those_that_populate_computes(truth: GuideTruth, lab: Any) -> None:
    key = {**truth.key, "unit_id": 3}
    inserted = (lab.UnitMetrics & key).fetch1()
    (lab.UnitCount & truth.key).delete(prompt=False)
    (lab.UnitMetrics & key).delete(prompt=False)
    lab.UnitMetrics.populate()
    computed = (lab.UnitMetrics & key).fetch1()
    assert set(inserted) == set(computed)
    for name, value in computed.items():
        np.testing.assert_equal(inserted[name], value, err_msg=name)


def test_performance_is_what_the_trials_say_and_the_rule_planted(
    truth: GuideTruth, lab: Any
) -> None:
    visual = lab.DecisionTask.TrialSet & 'trialset_description = "visual"'
    for mouse in truth.mice:
        rows = (visual & {"subject_name": mouse.subject_name}).fetch(as_dict=True)
        planted = mouse.performance_easy
        assert len(rows) == np.isfinite(planted).sum()
        for row, share in zip(rows, planted, strict=bool(rows)):
            easy = np.abs(row["intensity_values"]) == 1.0
            sides = np.sign(row["intensity_values"]) == row["response_values"]
            assert np.array_equal(sides, row["correct_values"] == 1)
            assert row["performance_easy"] == pytest.approx(sides[easy].mean(), abs=1e-12)
            assert row["performance_easy"] == share
            assert row["n_correct"] == sides.sum()
            assert row["performance"] == pytest.approx(sides.mean(), abs=1e-12)
    performed = (lab.DecisionTask & "n_total_performed > 100").fetch("n_total_performed")
    assert len(performed) == sum(np.sum(mouse.n_performed > 100) for mouse in truth.mice)
    assert len(performed) < len(lab.DecisionTask())


def test_the_first_mouse_learns_by_the_formula(truth: GuideTruth) -> None:
    tau, n_easy = 5.0, 80
    for session, share in enumerate(truth.mice[0].performance_easy):
        n = n_easy if session >= 2 else 20
        assert abs(share - (0.5 + 0.45 * (1 - np.exp(-session / tau)))) <= 0.5 / n + 1e-12


def test_a_lab_with_subjects_is_refused(truth: GuideTruth, lab: Any) -> None:
    before = len(lab.Session())
    with pytest.raises(DatabaseError, match="subjects already"):
        write_guide_lab(truth.folder)
    assert len(lab.Session()) == before


def test_tables_of_another_lab_are_left_alone(
    truth: GuideTruth, lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(lab.Subject())
    monkeypatch.setenv("LABDATA_DATABASE_FOLDER", str(tmp_path / "database"))
    variables = {k: v for k, v in os.environ.items() if k.startswith("LABDATA_")}
    with pytest.raises(DatabaseError, match="another lab"):
        write_guide_lab(tmp_path)
    assert {k: v for k, v in os.environ.items() if k.startswith("LABDATA_")} == variables
    assert variables["LABDATA_PATH"] == str(truth.folder / "labdata")
    assert len(lab.Subject()) == before


def test_a_labs_server_is_refused(
    truth: GuideTruth, lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab.connection, "embedded", None)
    monkeypatch.setitem(lab.connection.conn_info, "host", "mysql.lab.example")
    with pytest.raises(DatabaseError, match=r"another lab, at mysql\.lab\.example"):
        write_guide_lab(truth.folder)
