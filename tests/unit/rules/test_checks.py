"""What is looked at before a folder is put."""

from __future__ import annotations

import os
import time
from datetime import datetime
from pathlib import Path

import pytest

from labdata.errors import StoreError, UploadError
from labdata.rules.checks import (
    check_paths,
    empty_folders,
    file_state,
    list_files,
    require_same,
)
from labdata.rules.putting import utc


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="needs time.tzset")
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_fault_24_a_files_time_is_kept_in_utc_wherever_it_is_put(monkeypatch, zone):
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        assert utc(1717236000.25) == datetime(2024, 6, 1, 10, 0, 0, 250_000)
    time.tzset()


def test_folders_without_a_file_are_known(tmp_path):
    for folder in ("a/full", "a/none", "b/deep/none"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "a/full/x.bin").write_bytes(b"x")
    found = [path.relative_to(tmp_path).as_posix() for path in empty_folders(tmp_path)]
    assert found == ["a/none", "b", "b/deep", "b/deep/none"]


@pytest.mark.parametrize(
    "twins", [("a/B.bin", "a/b.bin"), ("caf\u00e9", "cafe\u0301"), ("x.bin ", "x.bin")]
)
def test_paths_that_some_systems_take_for_one_are_refused(twins):
    with pytest.raises((UploadError, StoreError)):
        check_paths(list(twins))


def test_fault_36_paths_that_leave_the_folder_are_refused():
    for path in ("../x", "a/../../x", "/etc/passwd", "a\\b", "a//b"):
        with pytest.raises(UploadError) as refused:
            check_paths([path])
        assert repr(path) in refused.value.message and "Rename it" in refused.value.hint


def test_part_of_a_file_that_a_killed_copy_left_is_no_data():
    with pytest.raises(UploadError, match="copy that was interrupted") as refused:
        check_paths(["JC1/s/d/.labdata-partial-17-abc"])
    assert "Remove it" in refused.value.hint


def test_a_path_as_long_as_its_column_less_a_suffix_passes():
    path = "/".join(["f" * 97] * 3) + "/" + "g" * 97
    check_paths([path[:390]])
    with pytest.raises(UploadError, match="391 characters"):
        check_paths([(path + "h" * 10)[:391]])


def test_litter_is_no_data_and_order_is_by_path(tmp_path):
    for name in ("b.bin", "a/c.bin", ".DS_Store", "a/Thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"1")
    found = list_files(tmp_path)
    assert [p.relative_to(tmp_path).as_posix() for p in found] == ["a/c.bin", "b.bin"]


@pytest.mark.parametrize("change", ["grow", "touch", "add", "remove", "none"])
def test_any_change_of_any_file_is_seen(tmp_path, change):
    path = tmp_path / "a.bin"
    for one in (path, tmp_path / "z.bin"):
        one.write_bytes(b"12")
    before = {p: file_state(p) for p in list_files(tmp_path)}
    changes = {
        "grow": lambda: path.write_bytes(b"123"),
        "touch": lambda: os.utime(path, ns=(1, 1)),
        "add": lambda: (tmp_path / "b.bin").write_bytes(b"1"),
        "remove": path.unlink,
        "none": lambda: None,
    }
    changes[change]()
    if change == "none":
        require_same(before, tmp_path, "meanwhile")
        return
    with pytest.raises(UploadError, match="changed, appeared or vanished"):
        require_same(before, tmp_path, "meanwhile")


def test_a_folder_that_cannot_be_looked_into_is_not_left_out(tmp_path, monkeypatch):
    (tmp_path / "imec0").mkdir()
    for name in ("nidq.bin", "imec0/ap.bin"):
        (tmp_path / name).write_bytes(b"1")
    scandir = os.scandir

    def refuse(path):
        if Path(path) == tmp_path / "imec0":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UploadError, match="imec0 cannot be read"):
        list_files(tmp_path)


def test_a_file_that_cannot_be_read_is_said_before_anything_is_copied(tmp_path, monkeypatch):
    (tmp_path / "nidq.meta").write_text("x")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "nidq.meta")
    with pytest.raises(UploadError, match=r"nidq\.meta cannot be read"):
        list_files(tmp_path)
