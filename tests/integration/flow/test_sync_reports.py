"""Reports of synchronisations are kept with what they are of, and are those of today when read."""

from __future__ import annotations

import json

import numpy as np
import pytest

from labdata.clocks import ChainReport, SyncReport
from labdata.errors import ClockError, QueryError
from labdata.objects import UnsyncedWarning
from labdata.schema import sync_reports

KEY = {"subject_name": "JC1", "session_name": "20240305_100000", "dataset_name": "ephys_g0"}
#: Pulses with irregular intervals, so that their offset is beyond doubt.
PULSES_S = np.cumsum(np.random.default_rng(5).uniform(0.5, 1.5, 40))
STREAMS = {"imec1": (6, 9.0), "imec0": (6, 2.0), "nidq": (7, 5.0), "obx0": (6, 1.0)}


def edges(pulses_s):
    return np.round(np.sort(np.concatenate([pulses_s, pulses_s + 0.1])) * 1000) / 1000


@pytest.fixture
def lab(lab_rig):
    """Four streams; imec1 leads over imec0 to nidq, obx0 stands alone."""
    lab = lab_rig.lab
    lab.Session.insert1({**KEY, "session_datetime": "2024-03-05"}, ignore_extra_fields=True)
    lab.Dataset.insert1(KEY)
    for stream, (line, offset_s) in STREAMS.items():
        row = {**KEY, "stream_name": stream, "sampling_rate": 1000.0, "n_samples": 60_000}
        lab.DatasetEvents.insert1(row, allow_direct_insert=True)
        values = np.tile([1, 0], len(PULSES_S)).astype("int8")
        row = {**KEY, "stream_name": stream, "event_name": line, "event_values": values}
        row["event_timestamps"] = edges(PULSES_S + offset_s)
        lab.DatasetEvents.Digital.insert1(row, allow_direct_insert=True)
    sync(lab, "imec1", "imec0")
    sync(lab, "imec0", "nidq")
    return lab


def sync(lab, stream, clock):
    row = {**KEY, "stream_name": stream, "event_name": STREAMS[stream][0]}
    row |= {"clock_dataset": KEY["dataset_name"], "clock_stream": clock}
    # an iterator is not looked at: clocks in a circle, as an older labdata let them be
    lab.StreamSync().insert(iter([row | {"clock_stream_event": STREAMS[clock][0]}]))


def change_line(lab, stream, pulses_s):
    line = {**KEY, "stream_name": stream, "event_name": str(STREAMS[stream][0])}
    values = np.tile([1, 0], len(pulses_s)).astype("int8")
    lab.DatasetEvents.Digital.update1(
        {**line, "event_timestamps": edges(pulses_s), "event_values": values}
    )


def stored(lab, stream):
    return (lab.StreamSyncReport & {"stream_name": stream}).fetch1()


def test_a_report_is_kept_with_all_its_numbers(lab) -> None:
    one = lab.StreamSync & {"stream_name": "imec0"}
    report = one.report()
    row = stored(lab, "imec0")
    for name in ("n_matched", "n_dropped", "n_spurious", "residual_rms_s", "residual_max_s",
                 "tolerance_s", "drift_ppm", "offset_s"):  # fmt: skip
        assert row[name] == getattr(report, name), name
    assert row["n_matched"] == 40 and row["offset_s"] == pytest.approx(3.0, abs=1e-3)
    first, last = PULSES_S[[0, -1]] + 2.0
    assert row["extrapolated_s"] == pytest.approx(first + 60.0 - last, abs=2e-3)
    assert (row["chain"], row["chain_report"], row["forced"]) == ("imec0 > nidq", None, 0)
    kept = (lab.StreamSyncReport & {"stream_name": "imec0"}).report()
    assert isinstance(kept, SyncReport) and kept == report
    assert len(lab.StreamSyncReport()) == 1


def test_reports_are_chosen_by_any_table_of_their_dataset(lab) -> None:
    """DataJoint refuses two tables that share an attribute which is no key."""
    lab.StreamSyncReport.populate()
    for table in (lab.SpikeSorting, lab.Dataset, lab.DatasetEvents, lab.EphysRecording):
        assert len(lab.StreamSyncReport & table) in (0, 2)
        assert len(lab.StreamSyncReport * table) >= 0


def test_reports_are_populated_and_chains_have_all_their_links(lab) -> None:
    lab.StreamSyncReport.populate(KEY)
    assert len(lab.StreamSyncReport()) == 2
    row = stored(lab, "imec1")
    assert row["chain"] == "imec1 > imec0 > nidq"
    assert row["offset_s"] == pytest.approx(-7.0, abs=1e-3)  # of this link
    chain = (lab.StreamSyncReport & {"stream_name": "imec1"}).report()
    assert isinstance(chain, ChainReport) and [x.stream for x in chain.links] == ["imec1", "imec0"]
    assert chain.offset_s == pytest.approx(-4.0, abs=2e-3)
    assert json.loads(json.dumps(chain.to_dict())) == row["chain_report"]


def test_what_changed_is_computed_anew_when_it_is_read(lab, monkeypatch) -> None:
    lab.StreamSyncReport.populate()
    before = {row["stream_name"]: row for row in lab.StreamSyncReport.fetch(as_dict=True)}
    made, real = [], sync_reports.make_report
    monkeypatch.setattr(
        sync_reports, "make_report", lambda lab, key: made.append(key) or real(lab, key)
    )
    (lab.StreamSyncReport & {"stream_name": "imec0"}).report()
    assert lab.StreamSyncReport().refresh() == 0 and made == []
    change_line(lab, "nidq", np.delete(PULSES_S, 20) + 5.5)  # of the last clock of both
    found = (lab.StreamSyncReport & {"stream_name": "imec0"}).report()
    assert found.offset_s == pytest.approx(3.5, abs=1e-3) and found.n_dropped == 1
    now = stored(lab, "imec0")
    assert now["n_dropped"] == 1 and now["inputs_hash"] != before["imec0"]["inputs_hash"]
    assert now["computed_datetime"] > before["imec0"]["computed_datetime"]
    assert lab.StreamSyncReport().refresh() == 1  # that of imec1, which goes on to it
    assert stored(lab, "imec1")["chain_report"]["links"][1]["n_matched"] == 39
    sync(lab, "nidq", "obx0")
    chain = (lab.StreamSyncReport & {"stream_name": "imec1"}).report()
    assert chain.chain == "imec1 > imec0 > nidq > obx0" == stored(lab, "imec1")["chain"]
    monkeypatch.setattr(sync_reports, "ALGORITHM_VERSION", 99)
    assert lab.StreamSyncReport().refresh() == 2  # a new algorithm
    assert set(lab.StreamSyncReport.fetch("clock_algorithm_version")) == {99}


def test_use_of_a_synchronisation_keeps_its_report(lab) -> None:
    (lab.StreamSync & {"stream_name": "imec0"}).apply(np.array([10.0]))
    first = stored(lab, "imec0")
    (lab.StreamSync & {"stream_name": "imec0"}).apply(np.array([11.0]))
    assert stored(lab, "imec0") == first  # not written again
    change_line(lab, "imec0", PULSES_S[:-3] + 2.0)
    (lab.StreamSync & {"stream_name": "imec0"}).clock_map()
    assert stored(lab, "imec0")["n_matched"] == 37
    (lab.StreamSync & {"stream_name": "imec0"}).delete(safemode=False)
    assert len(lab.StreamSyncReport & {"stream_name": "imec0"}) == 0


def test_a_forced_synchronisation_is_marked_and_one_that_fails_has_no_report(lab) -> None:
    noise = np.random.default_rng(1).normal(0, 0.02, len(PULSES_S))
    change_line(lab, "nidq", PULSES_S + noise + 5.0)
    with pytest.raises(ClockError):
        (lab.StreamSync & {"stream_name": "imec0"}).clock_map()
    assert len(lab.StreamSyncReport()) == 0
    with pytest.warns(UnsyncedWarning, match="forced, with errors"):
        (lab.StreamSync & {"stream_name": "imec0"}).report()
    row = stored(lab, "imec0")
    assert row["forced"] == 1 and row["residual_max_s"] > 0.005
    lab.StreamSyncReport.populate()
    assert stored(lab, "imec1")["chain_report"] is None  # its own link is well, the next is not
    assert stored(lab, "imec1")["forced"] == 0
    change_line(lab, "nidq", np.array([1.0]))
    with pytest.raises(ClockError):
        (lab.StreamSyncReport & {"stream_name": "imec0"}).report()
    with pytest.raises(QueryError, match="0 synchronisations are selected") as caught:
        (lab.StreamSyncReport & {"stream_name": "obx0"}).report()
    assert "Restrict StreamSyncReport to one" in caught.value.hint


def test_clocks_that_lead_round_have_the_reports_of_their_links(lab) -> None:
    sync(lab, "nidq", "imec1")
    report = (lab.StreamSync & {"stream_name": "imec0"}).report()
    assert stored(lab, "imec0")["chain"] == "imec0 > nidq"
    assert (lab.StreamSyncReport & {"stream_name": "imec0"}).report() == report


def test_who_may_not_write_results_reads_what_is_computed(lab, monkeypatch) -> None:
    monkeypatch.setattr(sync_reports, "may_keep", lambda lab: False)
    assert (lab.StreamSync & {"stream_name": "imec0"}).report().n_matched == 40
    assert len(lab.StreamSyncReport()) == 0
    monkeypatch.undo()
    lab.StreamSyncReport.populate()
    monkeypatch.setattr(sync_reports, "may_keep", lambda lab: False)
    change_line(lab, "nidq", PULSES_S + 8.0)
    now = (lab.StreamSyncReport & {"stream_name": "imec0"}).report()
    assert now.offset_s == pytest.approx(6.0, abs=1e-3)  # of today, though it is not kept
    assert stored(lab, "imec0")["offset_s"] == pytest.approx(3.0, abs=1e-3)


def test_the_command_lists_reports_and_what_stands_in_their_way(lab, typed, told) -> None:
    rows = {row["stream_name"]: row for row in told("sync", "-a", "JC1")}
    assert rows["imec1"]["chain"] == "imec1 > imec0 > nidq" and rows["imec0"]["n_matched"] == 40
    assert len(rows["imec1"]["report"]["links"]) == 2
    kept = {r["stream_name"]: r for r in lab.StreamSyncReport.fetch(as_dict=True)}
    assert {n: r["inputs_hash"] for n, r in kept.items()} == {
        n: r["inputs_hash"] for n, r in rows.items()
    }
    said = typed("sync", "-a", "JC1").out
    assert "error (us)" in said and "problem" not in said
    assert f"Without a clock: {'/'.join(KEY.values())}/obx0." in said
    noise = np.random.default_rng(1).normal(0, 0.02, len(PULSES_S))
    change_line(lab, "nidq", PULSES_S + noise + 5.0)
    assert "they match only with a tolerance of" in typed("sync", "-a", "JC1", code=1).out
    change_line(lab, "nidq", np.array([1.0]))
    failed = typed("sync", "-a", "JC1", "-s", KEY["session_name"], code=1).out
    assert "imec0 > nidq" in failed and "pulses" in failed
    lab.StreamSync.delete(safemode=False)
    assert "No stream is synchronised" in typed("sync", "-a", "JC1").out
    typed("sync", "-a", "JC9", code=1)
