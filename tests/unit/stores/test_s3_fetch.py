"""Fetches of one object to one place at the same time never give a file that is not whole."""

from __future__ import annotations

import hashlib
import random
import threading
from pathlib import Path

import pytest

from labdata.progress import ignore_progress
from labdata.stores import s3_fetch
from labdata.stores.s3_fetch import fetch_object

CONTENT = random.Random(2).randbytes(50_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def short_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_fetch, "RANGE_BYTES", 1000)


def read(start: int, size: int) -> bytes:
    return CONTENT[start : start + size]


def fetch(target: Path, read=read, sha256: str | None = SHA256) -> None:
    fetch_object(read, target, size_bytes=len(CONTENT), sha256=sha256, progress=ignore_progress)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_one_that_begins_just_before_the_other_publishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second is interrupted; what the first has hashed is still what gets the name."""
    target, real = tmp_path / "x.bin", s3_fetch.publish

    def cut(start: int, size: int) -> bytes:
        if start > 5000:
            raise KeyboardInterrupt
        return read(start, size)

    def publish(partial: Path, final: Path) -> bool:
        monkeypatch.setattr(s3_fetch, "publish", real)
        with pytest.raises(KeyboardInterrupt):
            fetch(target, cut)
        return real(partial, final)

    monkeypatch.setattr(s3_fetch, "publish", publish)
    fetch(target)
    assert target.read_bytes() == CONTENT
    assert names(tmp_path) == ["x.bin"]


@pytest.mark.parametrize("sha256", [SHA256, None])
def test_many_at_once(tmp_path: Path, sha256: str | None) -> None:
    target, problems = tmp_path / "x.bin", []

    def work() -> None:
        try:
            fetch(target, sha256=sha256)
        except BaseException as problem:
            problems.append(problem)

    for _ in range(10):
        target.unlink(missing_ok=True)
        threads = [threading.Thread(target=work) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        assert target.read_bytes() == CONTENT
    assert names(tmp_path) == ["x.bin"]
