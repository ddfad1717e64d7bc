"""Which disks are a mount that may show a bucket: by what the system says of the deepest one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labdata.stores.mounts import Mount, is_on_block_device, list_mounts, network_mount


def mount(folder: Path, kind: str, options: str = "rw") -> Mount:
    return Mount(str(folder), kind, options)


@pytest.mark.parametrize(
    ("kind", "options", "is_network"),
    [
        ("ext4", "rw,relatime", False),
        ("btrfs", "rw", False),
        ("apfs", "rw", False),
        ("NTFS", "rw,fixed", False),
        ("fuseblk", "rw", False),  # an NTFS disk, as Linux reads it
        ("fuse.ntfs-3g", "rw", False),
        ("tmpfs", "rw", False),
        ("nfs4", "rw", True),
        ("cifs", "rw", True),
        ("smbfs", "rw", True),
        ("smb3", "rw", True),
        ("fuse.rclone", "rw", True),
        ("9p", "rw", True),
        ("virtiofs", "rw", True),
        ("fuse.s3fs", "rw", True),
        ("FUSE-rclone", "rw,fixed", True),
        ("macfuse", "rw", True),
        ("webdav", "rw", True),
        ("NTFS", "rw,remote", True),  # a network drive of Windows
    ],
)
def test_the_kind_of_a_mount(tmp_path: Path, kind: str, options: str, is_network: bool) -> None:
    mounts = [mount(Path(tmp_path.anchor), "ext4"), mount(tmp_path, kind, options)]
    found = network_mount(tmp_path / "a" / "b.bin", mounts)
    assert found == (kind if is_network else "")


def test_the_deepest_mount_and_of_two_at_one_place_the_later(tmp_path: Path) -> None:
    inner = tmp_path / "disk"
    nested = [mount(tmp_path, "nfs4"), mount(inner, "ext4")]
    assert network_mount(inner / "b.bin", nested) == ""
    assert network_mount(tmp_path / "disk2" / "b.bin", nested) == "nfs4"
    over = [mount(tmp_path, "autofs"), mount(tmp_path, "nfs4")]
    assert network_mount(tmp_path / "b.bin", over) == "nfs4"


def test_what_no_mount_holds_may_be_anything(tmp_path: Path) -> None:
    """As a share of Windows that has no letter, which is in no list of disks."""
    assert network_mount(tmp_path / "b.bin", [mount(tmp_path / "other", "ext4")]) == "unknown"


@pytest.mark.skipif(os.name != "posix", reason="links need rights on Windows")
def test_a_link_leads_to_the_mount_that_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "share")
    mounts = [mount(tmp_path, "ext4"), mount(tmp_path / "share", "cifs")]
    assert network_mount(tmp_path / "link" / "b.bin", mounts) == "cifs"


def test_this_computer_s_own_disk_is_none(tmp_path: Path) -> None:
    mounts = list_mounts()
    assert mounts
    assert network_mount(tmp_path / "b.bin", mounts) == ""


def test_a_disk_is_known_without_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what surely is one; a file system in memory may be a network's as far as this tells."""
    if is_on_block_device(tmp_path):
        assert network_mount(tmp_path / "x", list_mounts()) == ""
        assert is_on_block_device(tmp_path / "not" / "there")
    if Path("/proc/self").exists():
        assert not is_on_block_device(Path("/proc/self"))
    monkeypatch.setattr("sys.platform", "darwin")
    assert not is_on_block_device(tmp_path)
