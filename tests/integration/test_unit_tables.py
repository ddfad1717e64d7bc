"""From sorted units to metrics and counts, through ``populate``."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from labdata.errors import QueryError
from labdata.schema import (
    CuratedUnitCount,
    Dataset,
    EphysRecording,
    LabMember,
    Probe,
    ProbeConfiguration,
    Session,
    SpikeSorting,
    SpikeSortingParams,
    Subject,
    UnitCount,
    UnitCountCriteria,
    UnitMetrics,
)

pytestmark = pytest.mark.database

KEY = dict(subject_name="JC1", session_name="s", dataset_name="d")
SORTING = dict(KEY, probe_num=0, parameter_set_num=5)
RATE_HZ, DURATION_S = 30000.0, 100.0


@pytest.fixture(autouse=True)
def lab(embedded_lab: Path) -> None:
    LabMember.insert1(dict(user_name="couto"))
    Subject.insert1(
        dict(
            subject_name="JC1",
            subject_dob=date(2025, 1, 1),
            subject_sex="U",
            strain_name="C57BL/6J",
            user_name="couto",
        )
    )
    Session.insert1(
        dict(subject_name="JC1", session_name="s", session_datetime=datetime(2025, 6, 1))
    )
    Dataset.insert1(KEY)
    coords = np.array([[0.0, 0.0], [0.0, 15.0], [0.0, 30.0]])
    Probe.insert1(dict(probe_id="p", probe_type="0", probe_n_shanks=1, probe_recording_channels=3))
    ProbeConfiguration.insert1(
        dict(
            probe_id="p",
            configuration_id=0,
            probe_n_channels=3,
            probe_gain=1.0,
            channel_idx=np.array([4, 5, 6]),
            channel_shank=np.zeros(3, int),
            channel_coords=coords,
            configuration_hash="0",
        )
    )
    EphysRecording.insert1(
        dict(KEY, n_probes=1, recording_duration=DURATION_S, recording_software="x")
    )
    SpikeSortingParams.insert1(
        dict(parameter_set_num=5, algorithm_name="x", parameters_dict={}, parameters_hash="1")
    )
    UnitCountCriteria.insert1(
        dict(
            unit_criteria_id=1,
            sua_criteria="firing_rate > 4 & snr > 5",
            mua_criteria="firing_rate > 1",
        )
    )
    UnitCountCriteria.insert1(dict(unit_criteria_id=2, sua_criteria="manual_anna"))


def insert_units(rates_hz: list[float], n_samples: int | None) -> None:
    EphysRecording.ProbeSetting.insert1(
        dict(
            KEY,
            probe_num=0,
            probe_id="p",
            configuration_id=0,
            sampling_rate=RATE_HZ,
            n_samples=n_samples,
        )
    )
    SpikeSorting.insert1(SORTING)
    waveform = np.zeros((60, 2), "float32")
    waveform[20] = [-100.0, -30.0]
    for unit, rate in enumerate(rates_hz):
        times = np.arange(0, DURATION_S * RATE_HZ, RATE_HZ / rate).astype("int64")
        SpikeSorting.Unit.insert1(dict(SORTING, unit_id=unit, spike_times=times))
        if unit:
            SpikeSorting.Waveforms.insert1(
                dict(
                    SORTING,
                    unit_id=unit,
                    waveform_median=waveform,
                    waveform_channels=np.array([1, 2]),
                    waveform_noise=10.0,
                )
            )


@pytest.mark.parametrize("n_samples", [int(DURATION_S * RATE_HZ), None])
def test_metrics(n_samples: int | None) -> None:
    insert_units([2.0, 5.0], n_samples)
    UnitMetrics.populate(KEY)
    first, second = UnitMetrics.fetch(as_dict=True)
    assert (first["num_spikes"], second["num_spikes"]) == (200, 500)
    assert first["firing_rate"] == pytest.approx(2.0)
    assert (first["snr"], first["depth"], first["position"]) == (None, None, None)
    assert second["snr"] == pytest.approx(10.0)
    assert second["channel_index"] == 1
    assert second["depth"] == pytest.approx(15.0 + 15.0 * 30 / 130)


def counted() -> dict[str, Any]:
    (row,) = UnitCount.fetch("unit_criteria_id", "all", "sua", "mua", as_dict=True)
    return dict(row)


def test_counts() -> None:
    insert_units([2.0, 5.0, 0.5], int(DURATION_S * RATE_HZ))
    UnitMetrics.populate()
    UnitCount.populate(KEY)
    assert counted() == {"unit_criteria_id": 1, "all": 3, "sua": 1, "mua": 1}
    assert list(UnitCount.Unit.fetch("passes")) == [0, 1, -1]
    single = SpikeSorting.Unit & (UnitMetrics * UnitCount.Unit & "passes = 1" & KEY)
    assert list(single.fetch("unit_id")) == [1]


def test_a_criterion_is_not_passed_over_for_another_text() -> None:
    """The guide inserts it with skip_duplicates: run again with a change, nothing would change."""
    insert_units([2.0], 100_000)
    given = UnitCountCriteria.fetch(as_dict=True, order_by="unit_criteria_id")[0]
    assert given["mua_criteria"]
    UnitCountCriteria.insert1(given, skip_duplicates=True)
    UnitCountCriteria.insert([given], skip_duplicates=True)
    UnitCountCriteria.insert((row for row in [given]), skip_duplicates=True)
    UnitCountCriteria.insert(pd.DataFrame([given]), skip_duplicates=True)
    alone = {"unit_criteria_id": 7, "sua_criteria": "firing_rate > 1"}
    for _ in range(2):
        UnitCountCriteria.insert1(alone, skip_duplicates=True)
        UnitCountCriteria.insert(
            pd.DataFrame([{**alone, "mua_criteria": None}]), skip_duplicates=True
        )
    before = UnitCountCriteria.fetch(as_dict=True, order_by="unit_criteria_id")
    for change in ({"sua_criteria": "firing_rate > 99"}, {"mua_criteria": None}):
        changed = {**given, **change}
        new = {"unit_criteria_id": 8, "sua_criteria": "firing_rate > 2"}
        for rows in ([new, changed], iter([new, changed]), pd.DataFrame([new, changed])):
            with pytest.raises(QueryError, match=rf"is there with another {next(iter(change))}"):
                UnitCountCriteria.insert(rows, skip_duplicates=True)
    assert UnitCountCriteria.fetch(as_dict=True, order_by="unit_criteria_id") == before


def test_units_are_not_counted_before_all_have_metrics() -> None:
    insert_units([2.0, 5.0, 3.0], int(DURATION_S * RATE_HZ))
    UnitMetrics.populate("unit_id < 2")
    assert len(UnitMetrics()) == 2
    assert len(UnitCount().key_source) == 0
    UnitMetrics.populate()
    assert len(UnitCount().key_source) == 1


def test_the_report_says_which_clause_removed_units() -> None:
    insert_units([2.0, 5.0, 0.5, 3.0], int(DURATION_S * RATE_HZ))
    UnitMetrics.populate()
    UnitCount.populate()
    report = (UnitCount & KEY).report()
    assert list(report["clause"]) == ["firing_rate > 4", "snr > 5", "firing_rate > 1"]
    assert list(report["removed"]) == [3, 1, 1]  # unit 0 has no waveform, so no snr
    assert list(report["alone"]) == [2, 0, 1]
    assert list(report["missing"]) == [0, 1, 0]
    said = UnitCount().explain().splitlines()
    assert said[0] == "JC1/s/d/0/5/1: sua, units of the sorter"
    assert set(report["units_of"]) == {"sorter"}
    assert said[1] == "  firing_rate > 4 removed 3 of 4 (2 of them by it alone)"
    assert said[2] == "  snr > 5 removed 1 of 4 (1 for a missing number)"
    assert (UnitCount & "sua > 99").explain() == "No units were counted."


def test_curated_units_are_counted_beside_the_sorters_and_never_among_them() -> None:
    insert_units([2.0, 5.0, 0.5, 3.0], int(DURATION_S * RATE_HZ))
    UnitMetrics.populate()
    UnitCount.populate()
    CuratedUnitCount.populate()
    assert len(CuratedUnitCount()) == 0  # nothing was curated
    before = counted()
    curation = (SpikeSorting & SORTING).curation()
    merged = curation.merge([1, 3])  # 8 Hz, with a waveform
    CuratedUnitCount.populate()
    curation.label([merged], "SUA")
    curation.split(merged, np.arange(800) % 2)  # 4 Hz each, without
    CuratedUnitCount.populate()
    CuratedUnitCount.populate()  # again is no harm
    rows = CuratedUnitCount.fetch("entry_num", "all", "sua", "mua", as_dict=True)
    assert [tuple(row[n] for n in ("entry_num", "all", "sua", "mua")) for row in rows] == [
        (0, 3, 1, 1),
        (2, 4, 0, 3),
    ]
    units = (CuratedUnitCount.Unit & "entry_num = 0").fetch(as_dict=True)
    assert {row["unit_id"]: (row["passes"], row["made_by"]) for row in units} == {
        0: (0, "sorter"),
        2: (-1, "sorter"),
        merged: (1, "merge"),
    }
    assert [row["passes"] for row in units] == [
        1
        if metrics["firing_rate"] > 4 and (metrics.get("snr") or 0) > 5
        else 0
        if metrics["firing_rate"] > 1
        else -1
        for metrics in curated_at(0)
    ]
    UnitCount.populate()
    assert counted() == before  # of the sorter's units, as ever
    said = UnitCount().explain()
    assert "sua, units of the sorter (3 entries of curation not counted)" in said
    early, late = CuratedUnitCount().report().groupby("entry_num")
    assert set(early[1]["units_of"]) == {"curation, entry 0"} and early[1]["units"].max() == 3
    said = CuratedUnitCount().explain()
    assert (
        "0/5/0/1: sua, units of the curation, entry 0 (2 entries of curation not counted)" in said
    )
    assert "0/5/2/1: sua, units of the curation, entry 2\n  firing_rate > 4 removed 4 of 4" in said
    assert late[1]["removed"].tolist() == [4, 3, 1]  # unit 2 has its waveform


def curated_at(entry_num: int) -> list[dict[str, Any]]:
    from labdata.schema import default_lab
    from labdata.schema.curated_metrics import curated_metrics
    from labdata.schema.curated_units import CuratedUnits

    return list(curated_metrics(CuratedUnits(default_lab, SORTING, entry_num + 1)).values())
