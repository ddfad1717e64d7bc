"""Files that are written to while a put is planned are seen, whatever is done to them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from labdata.errors import UploadError
from labdata.rules import quiet
from labdata.rules.checks import list_files
from labdata.rules.quiet import look_first, require_still


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


@pytest.mark.parametrize(("age_s", "waited_s"), [(1e6, 0.1), (5.0, 0.4)])
def test_fresh_files_are_watched_longer(
    folder: Path, monkeypatch: pytest.MonkeyPatch, age_s: float, waited_s: float
) -> None:
    monkeypatch.setattr(quiet, "SETTLE_S", 0.1)
    monkeypatch.setattr(quiet, "SETTLE_FRESH_S", 0.4)
    then = time.time() - age_s
    os.utime(folder / "a.bin", (then, then))
    look = look_first(folder, list_files(folder))
    time.sleep(0.05)  # what else is checked meanwhile counts
    require_still(look)
    assert waited_s <= time.monotonic() - look.at_s < waited_s + 0.2
