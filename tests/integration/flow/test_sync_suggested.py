"""Streams without a clock are told which lines of others carry the same pulses."""

from __future__ import annotations

import json

import numpy as np
import pytest
from test_clocks_of_streams import KEY, PULSES_S, add_stream, sync

from labdata.cli import main
from labdata.schema.sync_suggestion import suggest_missing

WHERE = ("-a", "JC1", "-s", KEY["session_name"])


@pytest.fixture
def lab(lab_rig):
    """Probes and a box that see the pulses of the NI-DAQ, and a camera that sees others."""
    lab = lab_rig.lab
    lab.Session.insert1({**KEY, "session_datetime": "2024-03-05"}, ignore_extra_fields=True)
    add_stream(lab, KEY, "imec0", 6, 2.0)
    add_stream(lab, KEY, "imec1", 6, 9.0)
    add_stream(lab, KEY, "nidq", 7, 5.0)
    add_stream(lab, KEY, "camera", 1, 0.0)
    line = {**KEY, "stream_name": "camera", "event_name": "1"}
    other = np.cumsum(np.random.default_rng(8).uniform(0.5, 1.5, 2 * len(PULSES_S)))
    lab.DatasetEvents.Digital.update1(line | {"event_timestamps": np.round(other, 3)})
    return lab


def suggested(capsys, *more):
    assert main(["sync", "suggest", *WHERE, *more]) == 0
    return capsys.readouterr().out


def test_probes_are_put_on_the_ni_daq_and_nothing_is_inserted(lab, capsys) -> None:
    rows = json.loads(suggested(capsys, "--json"))
    names = ("stream_name", "event_name", "clock_stream", "clock_stream_event")
    found = [tuple(row[name] for name in names) for row in rows]
    assert found == [("imec0", "6", "nidq", "7"), ("imec1", "6", "nidq", "7")]
    assert {r["matched"] for r in rows} == {len(PULSES_S)}
    assert all(r["error_us"] < 1000 and not r["doubt"] for r in rows)
    assert not lab.StreamSync()


def test_the_rows_can_be_pasted_and_what_has_no_pulses_is_named(lab, capsys) -> None:
    said = suggested(capsys)
    assert f"No common pulses: JC1/{KEY['session_name']}/ephys_g0/camera." in said
    lines = [line for line in said.splitlines() if line.startswith("StreamSync.insert1")]
    assert len(lines) == 2
    exec(lines[0], {"StreamSync": lab.StreamSync()})
    assert (lab.StreamSync & {"stream_name": "imec0"}).fetch1("clock_stream") == "nidq"


def test_they_are_inserted_when_that_is_said(lab, capsys) -> None:
    assert "Inserted: 2 rows of StreamSync." in suggested(capsys, "--insert")
    assert sorted(lab.StreamSync().fetch("stream_name")) == ["imec0", "imec1"]
    assert main(["sync", *WHERE]) == 0
    assert "Without a clock: JC1/20240305_100000/ephys_g0/camera." in capsys.readouterr().out
    assert "No stream can be given a clock." in suggested(capsys, "--insert")
    (lab.DatasetEvents & {"stream_name": "camera"}).delete(safemode=False)
    assert "Every stream has a clock, or is one." in suggested(capsys)


def test_a_stream_that_others_follow_stays_the_clock(lab) -> None:
    """Without an NI-DAQ two probes see each other: one follows, the other leads."""
    (lab.DatasetEvents & {"stream_name": "nidq"}).delete(safemode=False)
    streams = [(*KEY.values(), name) for name in ("imec0", "imec1", "camera")]
    (one,) = suggest_missing(lab, streams)
    assert (one.row["stream_name"], one.row["clock_stream"]) == ("imec0", "imec1")


def test_an_offset_that_may_be_another_is_told_and_never_inserted(lab, capsys) -> None:
    """Regular pulses without the start of the recordings fit at any period."""
    regular = np.sort(np.concatenate([np.arange(1.0, 41.0), np.arange(1.1, 41.1)]))
    for stream, line in (("imec0", "6"), ("nidq", "7"), ("imec1", "6")):
        key = {**KEY, "stream_name": stream}
        shift = {"imec0": 0.0, "imec1": 4.0, "nidq": 9.0}[stream]
        lab.DatasetEvents.Digital.update1(
            key | {"event_name": line, "event_timestamps": np.round(regular + shift, 3)}
        )
        lab.DatasetEvents.update1(key | {"n_samples": None})
    said = suggested(capsys, "--insert")
    assert "doubt" in said and "Inserted: 0 rows" in said
    assert not lab.StreamSync()


def test_streams_that_have_a_clock_are_left_alone(lab, capsys) -> None:
    sync(lab, KEY, "imec0", "6", "nidq", "7")
    rows = json.loads(suggested(capsys, "--json"))
    assert [row["stream_name"] for row in rows] == ["imec1"]


def test_insert_without_suggest_is_refused(lab, capsys) -> None:
    assert main(["sync", *WHERE, "--insert"]) == 1
    assert "labdata sync suggest" in capsys.readouterr().err
