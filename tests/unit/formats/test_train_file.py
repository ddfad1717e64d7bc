"""Files of spike times and labels: what is written is mapped, what is damaged is found."""

from __future__ import annotations

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from labdata.clocks import sum_bits
from labdata.errors import FormatError
from labdata.formats.train_file import TrainWriter, check_trains, open_trains

UNITS = np.array([3, 5, 90], "int32")
TRAINS = [np.linspace(0, 9, 1000), np.empty(0), np.array([1.5, 2.5])]


LABELS = [np.full(len(train), unit, "int32") for unit, train in zip(UNITS, TRAINS, strict=True)]


def write(path: Path, trains: list[np.ndarray] = TRAINS, notes: dict | None = None) -> Path:
    """Write trains, times or labels, from three threads, last one first."""
    kind = "time_s" if trains[0].dtype == "float64" else "label"
    with path.open("w+b") as file:
        counts = np.array([len(t) for t in trains])
        writer = TrainWriter(file, UNITS[: len(trains)], counts, kind)
        with ThreadPoolExecutor(3) as pool:
            jobs = [
                pool.submit(writer.put, i, [t], [sum_bits(t)] if kind == "time_s" else ())
                for i, t in reversed(list(enumerate(trains)))
            ]
        for job in jobs:
            job.result()
        writer.finish(notes or {})
    return path


def test_what_is_written_is_read(tmp_path):
    path = write(tmp_path / "x", notes={"clock": {"name": "nidq"}})
    check_trains(path)
    found = open_trains(path)
    assert found.unit_ids.tolist() == UNITS.tolist()
    assert found.notes == {"clock": {"name": "nidq"}}
    assert np.array_equal(found.values, np.concatenate(TRAINS))
    assert found.offsets.tolist() == [0, 1000, 1000, 1002]
    assert found.values.dtype == "float64"
    assert path.stat().st_size > 1002 * 8


def test_labels_are_a_file_of_their_own(tmp_path):
    path = write(tmp_path / "x", LABELS)
    check_trains(path)
    found = open_trains(path)
    assert np.array_equal(found.values, np.repeat(UNITS, [1000, 0, 2]))
    assert found.values.dtype == "int32"


def test_units_that_follow_each_other_are_written_at_once(tmp_path):
    whole = write(tmp_path / "x").read_bytes()
    with (tmp_path / "y").open("w+b") as file:
        writer = TrainWriter(file, UNITS, np.array([1000, 0, 2]))
        writer.put(1, TRAINS[1:], [sum_bits(train) for train in TRAINS[1:]])
        writer.put(0, TRAINS[:1], [sum_bits(TRAINS[0])])
        writer.finish({})
    assert (tmp_path / "y").read_bytes() == whole


def test_the_same_where_no_room_can_be_reserved(tmp_path, monkeypatch):
    """As on Windows and macOS."""
    whole = write(tmp_path / "x").read_bytes()
    monkeypatch.delattr("os.posix_fallocate", raising=False)
    assert write(tmp_path / "y").read_bytes() == whole


def test_changing_what_is_mapped_changes_no_file(tmp_path):
    path = write(tmp_path / "x")
    before = path.read_bytes()
    open_trains(path).values[:] = 0
    assert path.read_bytes() == before
    assert open_trains(path).values[-1] == 2.5


def test_no_spikes(tmp_path):
    path = write(tmp_path / "x", [np.empty(0)])
    check_trains(path)
    assert len(open_trains(path).values) == 0


def test_fewer_spikes_than_announced_are_refused(tmp_path):
    with (tmp_path / "x").open("w+b") as file:
        writer = TrainWriter(file, UNITS[:1], np.array([3]))
        with pytest.raises(ValueError, match=r"\[2\] spikes for \[3\]"):
            writer.put(0, [np.zeros(2)])


def test_a_unit_that_was_never_put_is_no_train_of_zeros(tmp_path):
    with (tmp_path / "x").open("w+b") as file:
        writer = TrainWriter(file, UNITS, np.array([1000, 0, 2]))
        writer.put(0, TRAINS[:2], [sum_bits(train) for train in TRAINS[:2]])
        with pytest.raises(ValueError, match=r"\[90\] were not put"):
            writer.finish({})


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system reserves no room")
@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSPC])
def test_a_disk_that_is_full_is_told_from_one_that_reserves_nothing(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    whole = write(tmp_path / "x").read_bytes()
    monkeypatch.setattr("os.posix_fallocate", refuse)
    if number == errno.ENOSPC:
        with pytest.raises(OSError, match="No space"):
            write(tmp_path / "y")
    else:
        assert write(tmp_path / "y").read_bytes() == whole


@pytest.mark.parametrize(
    ("trains", "place"),
    [(TRAINS, 0), (TRAINS, 7_999), (TRAINS, 8_015), (LABELS, 0), (LABELS, 4_000), (LABELS, 4_007)],
)
def test_a_flipped_bit_among_the_spikes_is_found(tmp_path, trains, place):
    path = write(tmp_path / "x", trains)
    flip(path, place)
    open_trains(path)  # which does not look
    with pytest.raises(FormatError, match="damaged at unit"):
        check_trains(path)


@pytest.mark.parametrize("place", [8_016 + 5, -21, -20, -12, -1])
def test_a_flipped_bit_at_the_end_is_found(tmp_path, place):
    path = write(tmp_path / "x")
    flip(path, place)
    with pytest.raises(FormatError):
        open_trains(path)


@pytest.mark.parametrize("n_bytes", [0, 5, 20, 8_000, 8_100])
def test_a_file_that_is_cut_off_is_refused(tmp_path, n_bytes):
    path = write(tmp_path / "x")
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(FormatError):
        open_trains(path)


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "x"
    path.write_text(json.dumps({"a": 1}) * 10)
    with pytest.raises(FormatError, match="no whole file"):
        open_trains(path)


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 4
    path.write_bytes(data)
