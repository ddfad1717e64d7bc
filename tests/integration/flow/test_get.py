"""``get``: what is chosen and missing comes, several files at once, said before and verified."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from labdata.errors import IntegrityError, MissingObjectError, StoreError
from labdata.schema import fetching, files
from labdata.schema.fetching import fetch_planned, plan_fetch
from labdata.stores import LocalStore

SESSION = "20240305_100000"
CONTENT = {f"{n}.bin": os.urandom(40_000 + n) for n in range(9)} | {"log.csv": b"1,2\n"}


@pytest.fixture
def stored(lab_rig):
    """Ten files that only the store has."""
    folder = lab_rig.folder(f"JC1/{SESSION}/task", CONTENT)
    lab_rig.upload(lab_rig.put(folder))
    shutil.rmtree(folder)
    shutil.rmtree(lab_rig.server / "JC1")
    return lab_rig


def rows_of(rig):
    return rig.lab.File.fetch(as_dict=True)


def whole(rig):
    return {p.name: p.read_bytes() for p in (rig.rig / f"JC1/{SESSION}/task").iterdir()}


def test_all_come_whole_and_in_the_order_asked(stored):
    rows = rows_of(stored)[::-1]
    plan = plan_fetch(rows)
    assert plan.missing == tuple(rows)
    assert plan.size_bytes == sum(map(len, CONTENT.values()))
    done = []
    paths = fetch_planned(plan, progress=done.append)
    assert [p.name for p in paths] == [Path(row["file_path"]).name for row in rows]
    assert whole(stored) == CONTENT
    assert sum(done) == plan.size_bytes
    again = plan_fetch(rows)
    assert (again.missing, again.size_bytes, again.expected_s) == ((), 0, 0)
    assert list(again.found) == paths


def test_several_come_at_once(stored, monkeypatch):
    lock, at_once, most = threading.Lock(), [0], [0]
    real = fetching.fetch_file

    def slow(*args, **options):
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        time.sleep(0.05)
        try:
            return real(*args, **options)
        finally:
            with lock:
                at_once[0] -= 1

    monkeypatch.setattr(fetching, "fetch_file", slow)
    fetch_planned(plan_fetch(rows_of(stored)))
    assert most[0] == fetching.N_WORKERS
    assert whole(stored) == CONTENT


def test_one_that_cannot_be_had_does_not_stop_the_others(stored):
    folder = stored.store / f"JC1/{SESSION}/task"
    (folder / "3.bin").unlink()
    damaged = bytearray(CONTENT["5.bin"])
    damaged[99] ^= 1
    (folder / "5.bin").write_bytes(damaged)
    with pytest.raises(MissingObjectError, match=r"3\.bin.*So it is with 1 other file\."):
        fetch_planned(plan_fetch(rows_of(stored)))
    rest = {name: content for name, content in CONTENT.items() if name[0] not in "35"}
    assert whole(stored) == rest, "nothing damaged is left under a final name"
    (folder / "3.bin").write_bytes(CONTENT["3.bin"])
    with pytest.raises(IntegrityError):
        fetch_planned(plan_fetch(rows_of(stored)))
    (folder / "5.bin").write_bytes(CONTENT["5.bin"])
    fetch_planned(plan_fetch(rows_of(stored)))
    assert whole(stored) == CONTENT


def test_another_file_in_the_way_stays_and_the_hint_helps(stored, typed):
    row = stored.lab.File.fetch(as_dict=True)[0]
    there = stored.rig / row["file_path"]
    there.parent.mkdir(parents=True, exist_ok=True)
    there.write_bytes(b"something else")
    said = typed("get", "-a", "JC1", code=1).err
    assert f"{there} is there and differs from what was recorded" in said
    assert "Move it away" in said
    assert there.read_bytes() == b"something else"


def test_what_the_store_has_lost_is_said_with_what_to_do(stored, typed):
    row = stored.lab.File.fetch(as_dict=True)[0]
    (stored.store / row["file_path"]).unlink()
    said = typed("get", "-a", "JC1", code=1).err
    assert f"There is no object '{row['file_path']}'" in said
    assert "`labdata verify --repair`" in said


@pytest.mark.parametrize(
    "line", [("get", "-a", "JC1", "--restore"), ("verify", "--days")], ids=lambda line: line[0]
)
@pytest.mark.parametrize("days", ["0", "x", "1.5"])
def test_a_number_of_days_that_is_none_is_a_sentence(stored, typed, line, days):
    assert f"'{days}' is no number of days; give 1 or more." in typed(*line, days, code=2).err


def test_a_file_of_an_older_lab_is_verified_by_its_md5(stored):
    connection = stored.lab.connection
    for name, md5 in (("1.bin", hashlib.md5(CONTENT["1.bin"]).hexdigest()), ("2.bin", "0" * 32)):
        connection.query(
            f"UPDATE {stored.lab.File.full_table_name} SET file_sha256=NULL, file_md5=%s "
            "WHERE file_path=%s",
            (md5, f"JC1/{SESSION}/task/{name}"),
        )
    with pytest.raises(IntegrityError, match="MD5"):
        fetch_planned(plan_fetch(rows_of(stored)))
    assert "1.bin" in whole(stored) and "2.bin" not in whole(stored)


def by_md5(rig, name, md5, file_size=None):
    """Make a file one of an older lab; return its row."""
    key = {"file_path": f"JC1/{SESSION}/task/{name}"}
    rig.lab.connection.query(
        f"UPDATE {rig.lab.File.full_table_name} SET file_sha256=NULL, file_md5=%s, "
        "file_size=COALESCE(%s, file_size) WHERE file_path=%s",
        (md5, file_size, key["file_path"]),
    )
    return (rig.lab.File & key).fetch1()


def test_killed_before_the_md5_is_compared_it_has_no_name_yet(stored, run_child, monkeypatch):
    """What the store gives may be damaged: nobody shall take it for the recording."""
    row = by_md5(stored, "1.bin", "0" * 32)
    monkeypatch.setattr(files, "verify_local", lambda *args: os.kill(os.getpid(), signal.SIGKILL))
    assert run_child(lambda: fetch_planned(plan_fetch([row]))) == -signal.SIGKILL
    monkeypatch.undo()
    assert "1.bin" not in whole(stored)
    with pytest.raises(IntegrityError, match="MD5"):
        fetch_planned(plan_fetch([row]))
    row = by_md5(stored, "1.bin", hashlib.md5(CONTENT["1.bin"]).hexdigest())
    fetch_planned(plan_fetch([row]))
    assert whole(stored) == {"1.bin": CONTENT["1.bin"]}


def test_of_an_older_lab_too_a_file_in_the_way_stays(stored, typed):
    """Also one that is as the store has it: neither is what was recorded."""
    row = by_md5(stored, "1.bin", "0" * 32, file_size=9)
    there = stored.rig / row["file_path"]
    there.parent.mkdir(parents=True)
    there.write_bytes(CONTENT["1.bin"])
    said = typed("get", "-a", "JC1", "--files", "1.bin", code=1).err
    assert f"{there} is there and differs from what was recorded" in said
    assert whole(stored) == {"1.bin": CONTENT["1.bin"]}


def test_interrupted_it_goes_on_with_what_is_missing(stored, monkeypatch):
    fetched = []
    real = fetching.fetch_file

    def count(row, *args, **options):
        fetched.append(row["file_path"])
        return real(row, *args, **options)

    monkeypatch.setattr(fetching, "fetch_file", count)
    seen = []

    def stop(n_bytes):
        seen.append(n_bytes)
        if len(seen) > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_planned(plan_fetch(rows_of(stored)), progress=stop)
    here = set(whole(stored))
    fetched.clear()
    fetch_planned(plan_fetch(rows_of(stored)))
    assert {Path(path).name for path in fetched} == set(CONTENT) - here
    assert {k: v for k, v in whole(stored).items() if "partial" not in k} == CONTENT


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_waits_for_no_file_to_come_whole(stored):
    size_bytes = 400 * 1024**2
    rows = rows_of(stored)[:2]
    for row in rows:
        os.truncate(stored.store / row["file_path"], size_bytes)
        row["file_size"] = size_bytes
    told, unpressed = [], threading.Lock()

    def press_keys(n_bytes):
        told.append(n_bytes)
        time.sleep(0.02)
        if sum(told) > 10 * 1024**2 and unpressed.acquire(blocking=False):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fetch_planned(plan_fetch(rows), progress=press_keys)
    assert sum(told) < size_bytes / 2
    assert whole(stored) == {}


def test_how_long_it_takes_is_known_from_the_time_before(stored, monkeypatch):
    assert plan_fetch(rows_of(stored)).expected_s is None
    monkeypatch.setattr(fetching, "_TELLING_BYTES", 1000)
    plan = plan_fetch(rows_of(stored))
    began_s = time.monotonic()
    fetch_planned(plan)
    took_s = time.monotonic() - began_s
    shutil.rmtree(stored.rig / f"JC1/{SESSION}/task")
    expected_s = plan_fetch(rows_of(stored)).expected_s
    assert 0.2 * took_s < expected_s <= took_s


# --- the gate of S3 stores, and the command ------------------------------------------------------


@pytest.fixture
def distant(stored, monkeypatch):
    """The same, in a store that the preferences say is on S3."""
    monkeypatch.setattr(files, "open_store", lambda *_, real=stored.store: LocalStore(real))
    storage = {"data": {"protocol": "s3", "bucket": "lab"}}
    stored.prefer(storage=storage)
    return stored


def test_fault_13_nothing_comes_from_s3_unasked(distant):
    with pytest.raises(StoreError, match="allow_s3_download is false"):
        distant.lab.File().get()
    assert not (distant.rig / f"JC1/{SESSION}/task").exists()
    distant.prefer(storage={"data": {"protocol": "s3", "bucket": "lab"}}, allow_s3_download=True)
    distant.lab.File().get()
    assert whole(distant) == CONTENT


def test_an_explicit_get_asks_or_takes_yes(distant, typed, monkeypatch):
    line = ("get", "-a", "JC1")
    said = typed(*line, code=1)
    assert "would come from S3" in said.err and "--yes" in said.err
    monkeypatch.setattr("sys.stdin", io.StringIO("n\nY\n"))
    for stream in ("sys.stdin", "sys.stderr"):
        monkeypatch.setattr(f"{stream}.isatty", lambda: True, raising=False)
    refused = typed(*line, code=1)
    assert "Nothing was fetched" in refused.out
    assert "Fetch 351.6 KiB from S3? [y/N] " in refused.err
    assert not (distant.rig / f"JC1/{SESSION}/task").exists()
    typed(*line)
    assert whole(distant) == CONTENT


def test_yes_by_flag_and_only_what_is_chosen(distant, typed, told):
    rows = told("get", "-a", "JC1", "-f", "*.csv", "7.*", "--yes")
    assert {Path(row["local_path"]).name for row in rows} == {"log.csv", "7.bin"}
    assert set(whole(distant)) == {"log.csv", "7.bin"}
    said = typed("get", "-a", "JC1", "-t", "task-training", "--yes")
    assert "2 files here already; 8 files with 312.5 KiB to fetch from data" in said.err
    assert whole(distant) == CONTENT
    assert "8 files" not in typed("get", "-a", "JC1").err
    assert "No files match" in typed("get", "-a", "JC1", "-t", "ephys", code=1).err
    assert "'task-trainin'" in typed("get", "-a", "JC1", "-t", "task-trainin", code=1).err
    assert "No files match" in typed("get", "-a", "JC1", "-f", "*.mov", code=1).err
