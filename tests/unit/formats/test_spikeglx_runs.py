"""Runs are found whole, and those that are still being written are not taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from labdata.errors import FormatError
from labdata.formats.spikeglx import find_runs

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
