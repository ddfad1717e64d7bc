"""Disks that are full, read-only or gone, and how a test with a fault ends."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from labdata.errors import LabdataError
from labdata.schema.verifying import verify_stores

KIB = 1024
MIB = 1024 * KIB


def mount(*options: object) -> bool:
    """Whether the system did what ``mount`` was told."""
    try:
        done = subprocess.run(["mount", *map(str, options)], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """Mount a disk of this size in memory at a folder; skip the test where that is refused."""
    folder.mkdir(parents=True, exist_ok=True)
    if not mount("-t", "tmpfs", "-o", f"size={size_bytes}", "labtest", folder):
        pytest.skip("a disk of its own can be mounted by root on Linux only")
    try:
        yield folder
    finally:
        while folder.is_mount():  # a second one may cover it
            unmount(folder)


def unmount(folder: Path) -> None:
    """Take a disk away, even one in use, as a pulled cable does."""
    subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)


def remount(folder: Path, how: str) -> None:
    """Make a disk ``ro`` or ``rw``, or change its ``size=...``."""
    assert mount("-o", f"remount,{how}", folder)


def refused(work: Callable[[], Any], kind: type[LabdataError] = LabdataError) -> LabdataError:
    """Do what must fail with an error that says what to do; return it."""
    with pytest.raises(kind) as caught:
        work()
    assert caught.value.message and caught.value.hint
    return caught.value


def use_store(rig: Any, root: Path) -> None:
    """Make a folder the rig's store of raw data, outside of the labdata folder."""
    rig.prefer(storage=local_stores(rig, root))


def local_stores(rig: Any, root: Path) -> dict[str, Any]:
    """Return the preference ``storage`` with a folder as the store of raw data."""
    analysis = rig.home / "labdata" / "storage" / "analysis"
    return {
        "data": {"protocol": "local", "path": str(root)},
        "analysis": {"protocol": "local", "path": str(analysis)},
    }


def findings(rig: Any) -> list[tuple[str, str]]:
    """What `labdata verify --all` finds: kind and path."""
    report = verify_stores(rig.lab, everything=True)
    return [(found.kind, found.file_path) for found in report.findings]


def all_is_right(rig: Any, n_files: int) -> None:
    """Hold that the stores have these files, each right by its checksum, and nothing else."""
    report = verify_stores(rig.lab, everything=True)
    assert not report.findings, report.findings
    assert (report.n_objects, report.n_read) == (n_files, n_files)
    assert (report.orphans.n_objects, report.orphans.unknown) == (0, "")


def forget() -> None:
    """Connect anew, as the next command does."""
    from labdata.database.connection import reset_connection

    with suppress(LabdataError):
        reset_connection()


def listing(folder: Path) -> dict[str, bytes]:
    """Relative path to content of the files below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
