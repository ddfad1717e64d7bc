"""The demo: it finds what is true, a second run reuses, and an interruption changes nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.sorting, pytest.mark.database]

SECONDS = "20"


def start_demo(folder: Path) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LABDATA_")}
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "labdata", "demo", "--once"),
            *("--folder", str(folder), "--seconds", SECONDS),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )


def interrupt(process: subprocess.Popen[str], how: signal.Signals) -> None:
    """Signal the whole group, as a terminal does; end what is left of it after a while.

    A library in the middle of the sort may take an interrupt for itself. A user would then close
    the terminal, which is one more way of stopping that must change nothing.
    """
    os.killpg(process.pid, how)
    try:
        process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0, err
    return out


def state_of(folder: Path) -> dict[str, object]:
    """Rows of each table that matters and the content of the store, seen by another process."""
    script = (
        "import json\n"
        "from labdata.schema import *\n"
        "tables = [Subject, Session, Dataset, Dataset.DataFiles, File, ProcessedFile, UploadJob,\n"
        "          EphysRecording, EphysRecording.ProbeSetting, ProbeConfiguration,\n"
        "          DatasetEvents,\n"
        "          DatasetEvents.Digital, StreamSync, SpikeSorting, SpikeSorting.Unit,\n"
        "          SpikeSorting.Waveforms, UnitMetrics, UnitCount, UnitCount.Unit]\n"
        "state = {t.full_table_name: len(t()) for t in tables}\n"
        "state['files'] = sorted(File.fetch('file_sha256'))\n"
        "state['states'] = sorted(set(UploadJob.fetch('job_status')))\n"
        "print(json.dumps(state))\n"
    )
    import json

    environment = {k: v for k, v in os.environ.items() if not k.startswith("LABDATA_")}
    environment["LABDATA_PATH"] = str(folder / "labdata")
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    state: dict[str, object] = json.loads(done.stdout)
    store = folder / "labdata" / "storage" / "data"
    state["store"] = sorted(str(p.relative_to(store)) for p in store.rglob("*") if p.is_file())
    return state


def stop_database(folder: Path) -> None:
    from labdata.database.embedded import EmbeddedDatabase

    EmbeddedDatabase(folder / "labdata" / "database").stop()


def test_demo_finds_the_truth_and_survives_interruptions(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "often stopped"
    try:
        report = finish(start_demo(whole))
        good = re.search(r"(\d+) of (\d+) with accuracy above 0.8", report)
        assert good
        assert int(good[1]) >= int(good[2]) - 1
        error = re.search(r"true error ([\d.]+) µs at most", report)
        assert error
        assert float(error[1]) < 33
        ratio = re.search(r"([\d.]+) times smaller", report)
        assert ratio
        assert float(ratio[1]) > 1.8

        began = time.monotonic()
        again = finish(start_demo(whole))
        assert time.monotonic() - began < 20
        assert "4 datasets, 4 before" in again

        for delay_s, how in ((2.0, signal.SIGINT), (4.5, signal.SIGKILL), (9.0, signal.SIGINT)):
            process = start_demo(broken)
            time.sleep(delay_s)
            interrupt(process, how)
        finish(start_demo(broken))
        assert state_of(broken) == state_of(whole)
    finally:
        stop_database(whole)
        stop_database(broken)


def test_of_two_demos_in_one_folder_the_second_waits_for_another_time(tmp_path: Path) -> None:
    from labdata.database.locks import hold_lock

    with hold_lock(tmp_path / "demo.lock"):
        second = start_demo(tmp_path)
        _, said = second.communicate(timeout=60)
    assert second.returncode == 1
    assert "Another demo is being made" in said
    assert not list((tmp_path / "rig").iterdir())
