"""What a notebook shows of datasets and tasks, against what was uploaded."""

from __future__ import annotations

import re

import pytest

from labdata.errors import TaskError

KEY = {"subject_name": "JC1", "session_name": "20240305_100000", "dataset_name": "ephys_g0"}


def cells(html):
    """Rows of the first table as lists of text."""
    rows = re.findall(r"<tr>(.*?)</tr>", html, re.S)
    return [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in rows]


@pytest.fixture
def uploaded(lab_rig, small_run):
    lab_rig.upload(lab_rig.put(lab_rig.record(small_run.run_folder)))
    return lab_rig.lab


def test_a_dataset_shows_its_files_bytes_and_streams(uploaded):
    html = (uploaded.Dataset & KEY)._repr_html_()
    head, row = cells(html)
    shown = dict(zip(head, row, strict=True))
    sizes = uploaded.File.fetch("file_size")
    assert shown["subject"] == "JC1"
    assert shown["files"] == str(len(sizes))
    assert float(shown["MiB"]) == pytest.approx(sizes.sum() / 2**20, abs=0.05)
    assert shown["streams"] == "imec0, nidq"
    assert "not synchronised" in html


def test_a_synchronised_dataset_loses_the_badge_and_gains_the_mark(uploaded):
    uploaded.StreamSync.insert1(
        {
            **KEY,
            "stream_name": "imec0",
            "event_name": 6,
            "clock_dataset": "ephys_g0",
            "clock_stream": "nidq",
            "clock_stream_event": 7,
        }
    )
    html = (uploaded.Dataset & KEY)._repr_html_()
    assert "not synchronised" not in html
    assert "imec0 \u2713, nidq" in html


def test_no_dataset_is_an_empty_table(uploaded):
    assert len(cells((uploaded.Dataset & {"subject_name": "JC9"})._repr_html_())) == 1


def test_a_task_shows_its_state_and_the_end_of_its_log(uploaded):
    uploaded.ComputeTask.insert1(
        {
            **KEY,
            "task_name": "spikeinterface",
            "task_status": "FAILED",
            "task_log": "one\ntwo\n" + str(TaskError("<b>", hint="three")),
        }
    )
    html = (uploaded.ComputeTask & "job_id=1")._repr_html_()
    head, row = cells(html)
    shown = dict(zip(head, row, strict=True))
    assert (shown["task"], shown["state"]) == ("1", "FAILED")
    assert shown["log"] == "&lt;b&gt; \u00b7 three"
    assert shown["ended (UTC)"] == ""
