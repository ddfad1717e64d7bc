"""Files that are written to while a put is planned are seen, whatever is done to them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labdata.errors import UploadError
from labdata.rules import quiet
from labdata.rules.checks import list_files
from labdata.rules.quiet import find_writers, look_first, require_still


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.bin", "b.bin"):
        path = tmp_path / name
        path.write_bytes(b"samples")
        os.utime(path, (1.7e9, 1.7e9))
    return tmp_path


def disturb(folder: Path, change: str) -> None:
    if change == "grow":
        with (folder / "a.bin").open("ab") as file:
            file.write(b"\0\0")
    elif change == "touch":
        os.utime(folder / "a.bin", (1, 1))
    elif change == "appear":
        (folder / "new.tmp").write_text("x")
    else:
        (folder / "b.bin").unlink()


@pytest.mark.parametrize("change", ["grow", "touch", "appear", "vanish"])
def test_any_change_is_seen(folder: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    monkeypatch.setattr(quiet, "SETTLE_S", 0.0)
    look = look_first(folder, list_files(folder))
    require_still(look)
    disturb(folder, change)
    with pytest.raises(UploadError, match=r"changed, appeared or vanished within \d\.\d s"):
        require_still(look)


@pytest.mark.parametrize(("age_s", "waited_s"), [(1e6, 0.1), (5.0, 1.5)])
def test_fresh_files_are_watched_longer(
    folder: Path, monkeypatch: pytest.MonkeyPatch, age_s: float, waited_s: float
) -> None:
    monkeypatch.setattr(quiet, "SETTLE_S", 0.1)
    monkeypatch.setattr(quiet, "SETTLE_FRESH_S", 1.5)
    then = time.time() - age_s
    os.utime(folder / "a.bin", (then, then))
    look = look_first(folder, list_files(folder))
    time.sleep(0.05)  # what else is checked meanwhile counts
    require_still(look)
    # a busy machine may be late, by less than the two differ
    assert waited_s <= time.monotonic() - look.at_s < waited_s + 1.2


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="lists of open files: Linux only")
class TestOpenForWriting:
    """A writer that pauses leaves size and time as they are; the system knows that it has it."""

    @pytest.fixture(autouse=True)
    def no_wait(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(quiet, "SETTLE_S", 0.0)

    @pytest.mark.parametrize("mode", ["ab", "r+b"])
    def test_another_program_that_pauses(self, folder: Path, mode: str) -> None:
        code = f"f = open({str(folder / 'a.bin')!r}, {mode!r}); print(flush=True); input()"
        command = [sys.executable, "-c", code]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdin and writer.stdout
            writer.stdout.readline()
            look = look_first(folder, list_files(folder))
            with pytest.raises(UploadError, match=rf"open for writing.*process {writer.pid}"):
                require_still(look)
            writer.communicate("")
        require_still(look_first(folder, list_files(folder)))

    def test_a_file_of_this_process_that_was_not_closed(self, folder: Path) -> None:
        with (folder / "a.bin").open("ab"), pytest.raises(UploadError, match=str(os.getpid())):
            require_still(look_first(folder, list_files(folder)))

    def test_who_only_reads_is_no_writer(self, folder: Path) -> None:
        with (folder / "a.bin").open("rb"):
            require_still(look_first(folder, list_files(folder)))

    def test_a_file_of_another_folder_is_none(self, folder: Path, tmp_path: Path) -> None:
        inner = folder / "inner"
        inner.mkdir()
        (inner / "c.bin").write_bytes(b"1")
        with (folder / "a.bin").open("ab"):
            require_still(look_first(inner, list_files(inner)))
            assert [path for path, *_ in find_writers(folder)] == [folder / "a.bin"]

    def test_without_such_lists_nothing_is_found(self, folder: Path) -> None:
        with (folder / "a.bin").open("ab"):
            assert list(find_writers(folder, folder / "no-proc")) == []
