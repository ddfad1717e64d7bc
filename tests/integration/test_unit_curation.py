"""Units are labelled, merged and split in a log of the database; nothing is overwritten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labdata.compute import import_sorting
from labdata.errors import QueryError
from labdata.schema import default_lab as lab
from labdata.testing import insert_dataset, insert_unit, write_phy_folder

pytestmark = pytest.mark.database

TRAINS = {3: np.array([100, 900, 5000]), 7: np.array([50, 5000, 70000]), 12: np.array([4])}


@pytest.fixture
def sorting(embedded_lab: Path, tmp_path: Path) -> dict[str, Any]:
    unit = insert_unit(lab, insert_dataset(lab), spike_times=np.arange(3))
    probe = {k: unit[k] for k in lab.EphysRecording.ProbeSetting.primary_key}
    labels = {3: "good", 7: "mua"}
    write_phy_folder(tmp_path / "ks", TRAINS, n_channels=2, labels=labels)
    return import_sorting("phy", tmp_path / "ks", probe).key


def open_curation(key: dict[str, Any]) -> Any:
    return (lab.SpikeSorting & key).curation()


def test_the_log_gives_the_same_units_when_it_is_read_again(sorting) -> None:
    curation = open_curation(sorting)
    assert curation.state.labels == {3: "good", 7: "mua"}  # phy's came along
    merged = curation.merge([3, 7], note="drift")
    curation.label([merged], "SUA")
    parts = curation.split(merged, [0, 1, 0, 1, 1, 0])
    assert (merged, parts) == (13, (14, 15))
    again = open_curation(sorting)
    units = {unit["unit_id"]: unit for unit in again.units()}
    assert units[14]["spike_times"].tolist() == [50, 900, 70000]
    assert units[15]["spike_times"].tolist() == [100, 5000, 5000]
    assert units[15]["source_units"] == [3, 7] and units[15]["label"] is None
    assert again.undo() == 2
    assert again.state.labels == {13: "SUA"}
    assert open_curation(sorting).merge([13, 12]) == 16  # 14 and 15 are not used again
    log = lab.UnitCuration.fetch(as_dict=True)
    assert [row["action"] for row in log] == ["merge", "label", "split", "undo", "merge"]
    assert log[0]["note"] == "drift" and all(row["curated_by"] for row in log)
    stored = dict(zip(*lab.SpikeSorting.Unit.fetch("unit_id", "spike_times"), strict=True))
    own = {u: t.tolist() for u, t in stored.items() if u in TRAINS}
    assert own == {u: t.tolist() for u, t in TRAINS.items()}


def test_metrics_of_curated_units_are_computed_as_of_sorted_ones(sorting) -> None:
    before = {m["unit_id"]: m for m in open_curation(sorting).metrics()}
    for row in (lab.UnitMetrics & sorting).fetch(as_dict=True):
        for name in ("num_spikes", "firing_rate", "n_isi_violations", "presence_ratio"):
            assert before[row["unit_id"]][name] == row[name]
    curation = open_curation(sorting)
    merged = curation.merge([3, 7])
    after = {m["unit_id"]: m for m in curation.metrics()}
    assert after[merged]["num_spikes"] == 6
    assert after[merged]["n_isi_violations"] == 1  # 5000 twice; 50 to 100 is longer than 45
    assert set(after) == {12, merged}
    sorted_times = (lab.SpikeSorting.Unit & sorting).get_spike_times(warn=False)
    times = {unit["unit_id"]: unit["spike_times"] for unit in sorted_times}
    last = curation.get_spike_times(warn=False)[-1]
    assert last["unit_id"] == merged and last["synced"] is sorted_times[0]["synced"]
    joined = np.sort(np.concatenate([times[3], times[7]]))
    assert last["spike_times"].tolist() == joined.tolist()


def test_a_merged_waveform_is_the_mean_of_its_sources(embedded_lab: Path) -> None:
    unit = insert_unit(
        lab,
        insert_dataset(lab),
        spike_times=np.array([0, 600, 1200]),
        spike_amplitudes=np.array([50.0, 51.0, 52.0], "float32"),
    )
    key = {k: unit[k] for k in lab.SpikeSorting.primary_key}
    lab.SpikeSorting.Unit.insert1(
        {**key, "unit_id": 1, "spike_times": np.array([300]), "spike_amplitudes": np.ones(1)}
    )
    for number, height, channel in ((0, -40.0, 0), (1, -80.0, 1)):
        waveform = np.zeros((30, 1), "float32")
        waveform[10] = height
        lab.SpikeSorting.Waveforms.insert1(
            {**key, "unit_id": number, "waveform_median": waveform}
            | {"waveform_channels": np.array([channel]), "waveform_noise": 10.0}
        )
    curation = open_curation(key)
    merged = curation.merge([0, 1])
    (metrics,) = curation.metrics()
    assert metrics["trough_amplitude"] == pytest.approx(-30.0)  # 3 of 4 spikes at -40
    assert metrics["snr"] == pytest.approx(3.0)
    (row,) = curation.units()
    assert row["spike_amplitudes"].tolist() == [50.0, 1.0, 51.0, 52.0]
    curation.split(merged, np.array([True, True, False, True]))
    assert all("trough_amplitude" not in m for m in curation.metrics())
    curation.undo()
    curation.split(merged, np.array([True, False, True, True]))  # as they were sorted
    assert [m["trough_amplitude"] for m in curation.metrics()] == [-80.0, -40.0]


def test_a_log_that_grew_meanwhile_is_not_written_over(sorting) -> None:
    anna, ben = open_curation(sorting), open_curation(sorting)
    anna.merge([3, 7])
    with pytest.raises(QueryError, match=r"grew meanwhile: .* merge \[3, 7\]"):
        ben.label([3], "noise")
    assert len(lab.UnitCuration()) == 1 and 3 in ben.state.spikes
    ben.reload()
    with pytest.raises(QueryError, match="Unit 3 is not there"):
        ben.label([3], "noise")
    ben.label([12], "noise")
    assert len(lab.UnitCuration()) == 2


def test_nothing_to_undo(sorting) -> None:
    with pytest.raises(QueryError, match="nothing to undo"):
        open_curation(sorting).undo()


def test_an_entry_is_never_changed(sorting) -> None:
    open_curation(sorting).label([3], "SUA")
    row = lab.UnitCuration.fetch1()
    with pytest.raises(QueryError, match="never changed"):
        lab.UnitCuration().update1({**row, "label": "noise"})
    assert lab.UnitCuration.fetch1() == row
