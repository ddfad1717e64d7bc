"""Files that a bucket keeps in cold storage: said, asked back once, waited for, fetched whole."""

from __future__ import annotations

import shutil

import pytest
from s3_proxy import Archive, run_proxy
from seaweed import ACCESS_KEY, SECRET_KEY

from labdata.errors import ArchivedObjectError, MissingObjectError
from labdata.schema import cold_storage
from labdata.schema.fetching import plan_fetch
from labdata.schema.verifying import verify_stores

TASK = "JC1/20240305_100000/task"
FILES = {"a.csv": b"1,2\n", "b.bin": bytes(range(256)) * 40, "c.csv": b"3\n"}
BACK = 'ongoing-request="false", expiry-date="Fri, 21 Dec 2029 00:00:00 GMT"'


@pytest.fixture(scope="module")
def proxy(seaweed):
    with run_proxy(seaweed.port) as running:
        yield running


@pytest.fixture
def archive(lab_rig, proxy, request):
    """An archive with two of three files that only the store has."""
    folder = f"cold/{request.node.name.replace('[', '-').strip(']')}"
    lab_rig.prefer(
        storage={
            "data": {
                "protocol": "s3",
                "endpoint": proxy.endpoint,
                "bucket": "tests",
                "folder": folder,
                "access_key": ACCESS_KEY,
                "secret_key": SECRET_KEY,
            }
        }
    )
    place = lab_rig.folder(TASK, FILES)
    lab_rig.upload(lab_rig.put(place))
    shutil.rmtree(place)
    proxy.reset()
    archive = Archive(proxy)
    archive.keys = [f"/tests/{folder}/{TASK}/{name}" for name in ("a.csv", "b.bin")]
    archive.cold.update(dict.fromkeys(archive.keys, ""))
    yield archive
    proxy.reset()


def here(rig):
    return {p.name: p.read_bytes() for p in (rig.rig / TASK).glob("*")}


def test_get_says_how_to_ask_for_what_sleeps(lab_rig, archive, typed):
    said = typed("get", "-a", "JC1", "--yes", code=1).err
    assert "in cold storage" in said and "--restore" in said
    assert archive.asked == []
    assert here(lab_rig) == {"c.csv": FILES["c.csv"]}, "the others came"
    with pytest.raises(ArchivedObjectError, match="cold storage"):
        lab_rig.lab.File().get(download=True)


def test_asked_back_once_then_fetched_by_the_same_command(lab_rig, archive, typed):
    words = ("get", "-a", "JC1", "--yes", "--restore", "3")
    for _ in range(2):
        said = typed(*words, code=1).err
        assert "2 files with 10.0 KiB in cold storage: asked back for 3 days" in said
        assert "2 files will come later" in said
        assert [b"<Days>3</Days>" in body for body in archive.asked] == [True, True]
    assert here(lab_rig) == {"c.csv": FILES["c.csv"]}
    archive.cold.update(dict.fromkeys(archive.keys, BACK))
    assert "readable until 2029-12-21 00:00 UTC" in typed(*words).err
    assert here(lab_rig) == FILES


def test_waited_for(lab_rig, archive, typed, monkeypatch):
    """One comes back at the second look, the other at the third."""
    looks = []

    def sleep(seconds):
        looks.append(seconds)
        if len(looks) >= 2:
            archive.cold[archive.keys[len(looks) % 2]] = BACK

    monkeypatch.setattr(cold_storage.time, "sleep", sleep)
    said = typed("get", "-a", "JC1", "--yes", "--restore", "--wait").err
    assert "asked back for 7 days" in said and "2029-12-21" in said
    assert looks == [60.0] * 3
    assert here(lab_rig) == FILES


def test_a_request_that_the_store_lost_is_made_again(lab_rig, archive, typed, monkeypatch):
    looks = []

    def sleep(seconds):
        looks.append(seconds)
        assert len(looks) < 9, "it waits for what nobody brings"
        if len(looks) == 1:
            archive.cold.update(dict.fromkeys(archive.keys, ""))
        elif len(archive.asked) == 4:
            archive.cold.update(dict.fromkeys(archive.keys, BACK))

    monkeypatch.setattr(cold_storage.time, "sleep", sleep)
    typed("get", "-a", "JC1", "--yes", "--restore", "3", "--wait")
    assert [b"<Days>3</Days>" in body for body in archive.asked] == [True] * 4
    assert here(lab_rig) == FILES


def test_wrong_words(lab_rig, archive, typed):
    assert "--restore --wait" in typed("get", "-a", "JC1", "--yes", "--wait", code=1).err
    said = typed("get", "-a", "JC1", "--yes", "--restore", "0", code=2).err
    assert "'0' is no number of days; give 1 or more" in said
    assert archive.asked == []


def test_what_is_gone_is_not_asleep(lab_rig, archive, seaweed):
    seaweed.client().delete_object(Bucket="tests", Key=archive.keys[0].removeprefix("/tests/"))
    del archive.cold[archive.keys[0]]
    plan = plan_fetch(lab_rig.lab.File.fetch(as_dict=True))
    with pytest.raises(MissingObjectError, match="no object"):
        cold_storage.request_cold(plan)


def test_verify_compares_sizes_and_says_what_it_did_not_read(lab_rig, archive):
    report = verify_stores(lab_rig.lab, everything=True)
    assert report.ok
    assert (report.n_objects, report.n_read, report.n_cold) == (3, 1, 2)
    assert "2 files to be read in cold storage" in " ".join(report.notes())
