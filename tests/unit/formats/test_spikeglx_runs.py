"""Runs are found whole, and those that are still being written are not taken."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from labdata.errors import FormatError, LabdataError, UploadError
from labdata.formats.spikeglx import check_still, find_runs

Write = Callable[..., Path]


@pytest.fixture
def add(write_stream: Write, tmp_path: Path) -> Callable[..., Path]:
    """``add('imec1', 'ap', gate=0, trigger=0)`` writes a stream into a run's usual folders."""

    def write(device: str, *, gate: int = 0, trigger: str = "0", run: str = "mouse_g1") -> Path:
        folder = tmp_path / f"{run}_g{gate}"
        name = f"{run}_g{gate}_t{trigger}"
        if device == "nidq":
            frames = np.zeros((30, 2), np.int16)
            return write_stream(frames, "nidq", "0,0,1,1", name=name, folder=folder)
        frames = np.zeros((50, 3), np.int16)
        folder = folder / f"{run}_g{gate}_{device}"
        path = write_stream(
            frames, "imec0.ap", "384,0,1", saved="2,0,1", subset="0:1,384", name=name,
            folder=folder,
        )  # fmt: skip
        for suffix in (".bin", ".meta"):
            source = path.with_suffix(suffix)
            source.rename(source.with_name(source.name.replace("imec0", device)))
        return path.with_name(path.name.replace("imec0", device))

    return write


def test_streams_of_one_run_over_several_folders(add: Write, tmp_path: Path) -> None:
    for device in ("imec0", "imec3", "nidq"):
        add(device)
    (tmp_path / "mouse_g1_g0" / "notes.txt").write_text("x")
    (run,) = find_runs(tmp_path)
    assert (run.run_name, run.gate, run.trigger, run.name) == (
        "mouse_g1",
        0,
        "0",
        "mouse_g1_g0_t0",
    )
    assert [meta.name for meta in run.streams] == ["imec0.ap", "imec3.ap", "nidq"]
    assert run.probe_nums == (0, 3)
    assert run.stream("imec3.ap").probe_num == 3
    assert len(run.files) == 6 and all(path.is_file() for path in run.files)
    with pytest.raises(FormatError, match=r"no stream 'imec1.ap'"):
        run.stream("imec1.ap")


def test_a_lone_probe_keeps_its_number(add: Write, tmp_path: Path) -> None:
    """faults 9: with imec1 alone, probe 1 became probe 0 and its files were not found."""
    add("imec1")
    (run,) = find_runs(tmp_path)
    assert run.probe_nums == (1,)
    assert run.streams[0].stream_name == "imec1"


def test_gates_and_triggers_are_separate_runs(add: Write, tmp_path: Path) -> None:
    for gate, trigger in ((0, "0"), (0, "1"), (1, "0"), (0, "cat")):
        add("imec0", gate=gate, trigger=trigger)
    assert [(run.gate, run.trigger) for run in find_runs(tmp_path)] == [
        (0, "0"), (0, "1"), (0, "cat"), (1, "0"),
    ]  # fmt: skip


def test_an_empty_folder_has_no_runs(tmp_path: Path) -> None:
    assert find_runs(tmp_path) == []
    with pytest.raises(FormatError, match="not a folder"):
        find_runs(tmp_path / "absent")


@pytest.mark.parametrize("suffix", [".bin", ".meta"])
def test_half_a_pair_is_named(add: Write, tmp_path: Path, suffix: str) -> None:
    path = add("imec0")
    add("nidq")
    path.with_suffix(suffix).unlink()
    with pytest.raises(FormatError, match=f"has no {path.with_suffix(suffix).name} beside it"):
        find_runs(tmp_path)


def test_two_copies_of_a_stream_are_refused(add: Write, tmp_path: Path) -> None:
    path = add("imec0")
    copy = tmp_path / "copy"
    copy.mkdir()
    for suffix in (".bin", ".meta"):
        file = path.with_suffix(suffix)
        (copy / file.name).write_bytes(file.read_bytes())
    with pytest.raises(FormatError, match=r"both imec0.ap of the same run"):
        find_runs(tmp_path)


def test_a_renamed_file_is_not_silently_left_out(add: Write, tmp_path: Path) -> None:
    path = add("imec0")
    path.rename(path.with_name("probe.imec0.ap.bin"))
    with pytest.raises(FormatError, match="no gate and trigger"):
        find_runs(tmp_path)


def test_a_run_at_rest_passes(add: Write, tmp_path: Path) -> None:
    add("imec0")
    add("nidq")
    (run,) = check_still(tmp_path, settle_s=0.01)
    assert check_still(run, settle_s=0.01) == [run]


def test_no_run_is_not_a_run_at_rest(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no SpikeGLX run"):
        check_still(tmp_path, settle_s=0.01)


def test_a_size_that_disagrees_is_not_at_rest(add: Write, tmp_path: Path) -> None:
    path = add("imec0")
    path.write_bytes(path.read_bytes() + b"\0" * 60)
    with pytest.raises(FormatError, match="360 bytes, its meta file says 300"):
        check_still(tmp_path, settle_s=0.01)


def test_a_meta_without_its_end_is_not_at_rest(add: Write, tmp_path: Path) -> None:
    meta = add("imec0").with_suffix(".meta")
    lines = [x for x in meta.read_text().splitlines() if not x.startswith("fileSizeBytes")]
    meta.write_text("\n".join(lines))
    with pytest.raises(FormatError, match="lacks fileSizeBytes") as caught:
        check_still(tmp_path, settle_s=0.01)
    assert "still be running" in str(caught.value.hint)


@pytest.mark.parametrize("change", ["grow", "touch", "appear", "vanish"])
def test_a_change_while_watching_is_seen(add: Write, tmp_path: Path, change: str) -> None:
    path, other = add("imec0"), add("nidq")

    def disturb() -> None:
        time.sleep(0.1)
        if change == "grow":
            path.write_bytes(path.read_bytes() + b"\0\0")
        elif change == "touch":
            os.utime(path, (1, 1))
        elif change == "appear":
            (tmp_path / "new.tmp").write_text("x")
        else:
            other.unlink()

    thread = threading.Thread(target=disturb)
    thread.start()
    with pytest.raises(UploadError, match=r"changed within 0.5 s"):
        check_still(tmp_path, settle_s=0.5)
    thread.join()


def test_a_young_file_can_be_refused(add: Write, tmp_path: Path) -> None:
    add("imec0")
    with pytest.raises(UploadError, match="less than 60 s"):
        check_still(tmp_path, settle_s=0.0, quiet_s=60.0)
    assert issubclass(UploadError, LabdataError)
