"""A rig without what only POSIX has: put, get and clean with Windows' rules for files played.

Played are: no ``fcntl`` and no functions of ``os`` that Windows lacks; folders cannot be opened;
a rename never replaces; what is open is neither renamed nor removed. It is not Windows: drives,
names and times of its disks are not played, nor its system calls.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import psutil  # noqa: F401  (it has code of its own for Windows, which cannot be played)
import pytest

from labdata.errors import IntegrityError
from labdata.rules.cleaning import clean, plan_clean
from labdata.stores import LocalStore

if not Path("/proc/self/fd").is_dir():
    pytest.skip("needs /proc to know what is open", allow_module_level=True)

TASK = "JC1/20240305_100000/task"
FILES = {"a.csv": b"1,2\n", "deeper/b.bin": os.urandom(90_000), "empty": b""}
MODULES = ("fcntl", "pwd", "grp", "resource", "termios", "tty", "pty")
FUNCTIONS = [
    *("chown", "fchmod", "fchown", "fork", "forkpty", "getegid", "geteuid", "getgid"),
    *("getloadavg", "getuid", "killpg", "lchown", "lockf", "mkfifo", "openpty"),
    *("posix_fadvise", "posix_fallocate", "pread", "preadv", "pwrite", "pwritev", "readv"),
    *("sendfile", "setsid", "statvfs", "fstatvfs", "sync", "uname", "writev", "wait4"),
    *("O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_SYNC"),
]


def is_open(path) -> bool:
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            if descriptor.samefile(path):
                return True
        except OSError:
            continue
    return False


class Rules:
    """The functions of ``os`` that see files, with what Windows would refuse."""

    def __init__(self):
        self.refused = []
        self.real = {name: getattr(os, name) for name in self.played}

    played = ("open", "rename", "replace", "unlink", "remove")

    def refuse(self, error, path):
        self.refused.append((error, os.fspath(path)))
        raise error(13, "as on Windows", os.fspath(path))

    def open(self, path, flags, *rest, **options):
        if Path(path).is_dir():
            self.refuse(PermissionError, path)
        return self.real["open"](path, flags, *rest, **options)

    def rename(self, source, target, **options):
        if os.path.lexists(target):
            self.refuse(FileExistsError, target)
        return self.replace(source, target, **options)

    def replace(self, source, target, **options):
        for path in (source, target):
            if is_open(path):
                self.refuse(PermissionError, path)
        return self.real["replace"](source, target, **options)

    def unlink(self, path, **options):
        if is_open(path):
            self.refuse(PermissionError, path)
        return self.real["unlink"](path, **options)

    remove = unlink


@pytest.fixture
def as_on_windows(monkeypatch):
    """Play Windows' rules in this process; returns what was refused by them."""
    rules = Rules()
    for name in rules.played:
        monkeypatch.setattr(os, name, getattr(rules, name))
    for name in MODULES:
        monkeypatch.setitem(sys.modules, name, None)
    for name in FUNCTIONS:
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.setattr(shutil, "_use_fd_functions", False)
    monkeypatch.setattr(sys, "platform", "win32")
    return rules.refused


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_rules_are_played(as_on_windows, tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    with (tmp_path / "a").open("rb"):
        for forbidden in (
            lambda: (tmp_path / "a").unlink(),
            lambda: (tmp_path / "a").rename(tmp_path / "c"),
            lambda: (tmp_path / "b").replace(tmp_path / "a"),
        ):
            with pytest.raises(PermissionError):
                forbidden()
    with pytest.raises(FileExistsError):
        (tmp_path / "b").rename(tmp_path / "a")
    with pytest.raises(PermissionError):
        os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(ImportError):
        import fcntl  # noqa: F401


def test_put_get_and_clean(lab_rig, as_on_windows):
    folder = lab_rig.folder(TASK, FILES)
    job_id = lab_rig.put(folder)
    assert content_of(lab_rig.server / TASK) == FILES
    lab_rig.upload(job_id)
    assert not [one for one in clean(plan_clean()) if one.kept]
    assert not folder.exists() and not (lab_rig.server / "JC1").exists()
    lab_rig.lab.File().get()
    assert content_of(folder) == FILES
    assert as_on_windows == []


def test_a_large_object_of_a_bucket(seaweed, tmp_path, as_on_windows):
    """Fetched by several threads into one file; without locks it is begun anew, not resumed."""
    from seaweed import ACCESS_KEY, SECRET_KEY

    from labdata.stores import S3Settings, S3Store

    place = {"bucket": "tests", "endpoint": seaweed.endpoint, "folder": "as-on-windows"}
    keys = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY, "part_bytes": 5 * 1024**2}
    store = S3Store(S3Settings(**place, **keys))
    content = os.urandom(11_000_000)
    (tmp_path / "file").write_bytes(content)
    for _ in range(2):
        store.put(tmp_path / "file", "a/b")
        store.get("a/b", tmp_path / "copy")
    with pytest.raises(IntegrityError):
        store.get("a/b", tmp_path / "other", sha256="0" * 64)
    assert content_of(tmp_path) == {"file": content, "copy": content}
    assert as_on_windows == []


@pytest.mark.parametrize("has_links", [True, False])
def test_a_store_and_a_get_repeated(tmp_path, as_on_windows, monkeypatch, has_links):
    """With and without hard links, which not every disk of Windows has."""
    if not has_links:

        def link(source, target, **options):
            raise OSError(1, "no links on this disk")

        monkeypatch.setattr(os, "link", link)
    store = LocalStore(tmp_path / "store")
    store.root.mkdir()
    (tmp_path / "file").write_bytes(b"voltages")
    for _ in range(2):
        store.put(tmp_path / "file", "a/b")
        store.get("a/b", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"voltages"
    assert [info.path for info in store.list()] == ["a/b"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "file", "store"]
    store.delete("a/b")
    assert list(store.list()) == []
