"""A bucket that goes away in the middle: said in words, nothing registered, gone on with later."""

from __future__ import annotations

import functools
import os
import shutil

import pytest
from s3_proxy import Reply, run_proxy
from seaweed import ACCESS_KEY, SECRET_KEY

from labdata.errors import LabdataError, StoreError
from labdata.rules.cleaning import clean, plan_clean
from labdata.schema import files
from labdata.schema.fetching import fetch_planned, plan_fetch
from labdata.schema.verifying import verify_stores
from labdata.stores import S3Settings
from labdata.stores.s3 import get
from labdata.stores.s3.settings import MIN_PART_BYTES

PLACE = "JC1/20240305_100000/task"
CONTENT = os.urandom(3 * MIN_PART_BYTES + 17)


@pytest.fixture
def proxy(lab_rig, seaweed, monkeypatch, request):
    """The way to the bucket; a store in the preferences goes through it."""
    small = functools.partial(
        S3Settings, part_bytes=MIN_PART_BYTES, workers=1, attempts=1, connect_timeout_s=2.0
    )
    monkeypatch.setattr(files, "S3Settings", small)
    with run_proxy(seaweed.port) as proxy:
        place = {"protocol": "s3", "endpoint": proxy.endpoint, "bucket": "tests"}
        keys = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY}
        folder = {"folder": f"gone/{request.node.name.replace('[', '-').strip(']')}"}
        lab_rig.prefer(storage={"data": place | keys | folder})
        yield proxy


@pytest.fixture
def job(lab_rig, proxy):
    return lab_rig.put(lab_rig.folder(PLACE, {"b.bin": CONTENT}))


def gone(request):
    return Reply(0)  # hung up without a word


def all_right(rig):
    report = verify_stores(rig.lab, everything=True)
    assert report.ok, report.findings
    assert (report.n_read, report.orphans.n_objects) == (1, 0)


def from_part_2_on(request):
    """Hang up at the second part and ever after."""
    number = request.query.get("partNumber", ["0"])[0]
    from_part_2_on.met = from_part_2_on.met or number == "2"
    return Reply(0) if from_part_2_on.met else None


def at_the_end(request):
    """Hang up when the parts are to become an object."""
    return Reply(0) if request.method == "POST" and "uploadId" in request.query else None


def after_the_end(request, reply):
    """Do it, and hang up: the answer is lost."""
    if request.method == "POST" and "uploadId" in request.query:
        reply.status = 0


@pytest.mark.parametrize(("rule", "n_left"), [(from_part_2_on, 3), (at_the_end, 0)])
def test_in_mid_upload_and_the_parts_that_came_are_not_sent_again(
    lab_rig, proxy, job, typed, rule, n_left
):
    from_part_2_on.met = False
    proxy.before.append(rule)
    with pytest.raises(StoreError) as caught:
        lab_rig.upload(job)
    assert "connection" in caught.value.message and caught.value.hint
    row = lab_rig.job(job)
    assert row["job_status"] == "WAITING" and "connection" in row["job_log"]
    assert len(lab_rig.lab.File()) == 0
    assert (lab_rig.server / PLACE / "b.bin").read_bytes() == CONTENT
    proxy.reset()
    typed("upload")
    assert sum(r.is_part and not r.is_partial for r in proxy.seen) == n_left
    all_right(lab_rig)


def test_an_answer_that_is_lost_is_not_a_loss(lab_rig, proxy, job):
    """The server has made the object; whatever the upload says, in the end it is there once."""
    proxy.after.append(after_the_end)
    try:
        lab_rig.upload(job)
    except LabdataError:
        proxy.reset()
        lab_rig.upload(job)
    proxy.reset()
    all_right(lab_rig)


def test_in_mid_get_and_what_came_is_not_fetched_again(lab_rig, proxy, job, monkeypatch):
    monkeypatch.setattr(get, "RANGE_BYTES", MIN_PART_BYTES)
    lab_rig.upload(job)
    shutil.rmtree(lab_rig.rig / "JC1")
    plan = plan_fetch(lab_rig.lab.File.fetch(as_dict=True))
    seen = []

    def cut(request, reply):
        if request.method == "GET" and "Range" in request.headers:
            seen.append(request)
            if len(seen) > 2:
                reply.cut_after = 1000

    proxy.after.append(cut)
    with pytest.raises(StoreError, match=r"b\.bin"):
        fetch_planned(plan, download=True)
    assert not (lab_rig.rig / PLACE / "b.bin").exists()
    proxy.reset()
    (path,) = fetch_planned(plan, download=True)
    assert path.read_bytes() == CONTENT
    assert sum("Range" in request.headers for request in proxy.seen) == 2
    assert [p.name for p in path.parent.iterdir()] == ["b.bin"]


def test_while_files_are_to_be_removed(lab_rig, proxy, job):
    lab_rig.upload(job)
    proxy.before.append(gone)
    done = clean(plan_clean())
    assert [one.kept.startswith("cannot tell") for one in done] == [True, True]
    for root in (lab_rig.rig, lab_rig.server):
        assert (root / PLACE / "b.bin").read_bytes() == CONTENT
    report = verify_stores(lab_rig.lab)
    assert [found.kind for found in report.findings] == ["unreadable"], "that is not missing"
    proxy.reset()
    assert [one.kept for one in clean(plan_clean())] == ["", ""]
    all_right(lab_rig)
