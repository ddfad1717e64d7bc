"""SIGKILL between all effects of upload, get and clean where the store is a bucket.

As :mod:`test_fault_matrix`; requests that change the bucket are effects too: those for the parts
of a large file, the records beside it, its completion, the probe of what the server refuses.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import sys
from pathlib import Path

import pytest

from labdata.rules.cleaning import clean, plan_clean
from labdata.rules.uploading import upload_job
from labdata.schema import files
from labdata.schema.fetching import fetch_planned, plan_fetch
from labdata.schema.verifying import verify_stores
from labdata.stores import S3Settings
from labdata.stores.s3.probe import forget_probes
from labdata.stores.s3.settings import MIN_PART_BYTES

sys.path.insert(0, str(Path(__file__).parent))
from seaweed import ACCESS_KEY, SECRET_KEY
from test_fault_matrix import Matrix, jobs_of, registered, sums, upload_again

pytestmark = pytest.mark.slow
SMALL = {"a.csv": b"1,2\n"}
LARGE = {"b.bin": os.urandom(2 * MIN_PART_BYTES + 17)}


@pytest.fixture
def matrix(lab_rig, run_child, tmp_path, seaweed, monkeypatch, request):
    small_parts = functools.partial(S3Settings, part_bytes=MIN_PART_BYTES, workers=2)
    monkeypatch.setattr(files, "S3Settings", small_parts)
    monkeypatch.setattr("labdata.rules.quiet.SETTLE_FRESH_S", 0.0)  # nobody else writes here
    # claims of killed writers are waited for: seconds here, not half a minute
    monkeypatch.setattr("labdata.stores.s3.claims.DEAD_WITH_CONDITION_S", 2.0)
    folder = f"matrix/{request.node.name.replace('[', '-').strip(']')}"
    place = {"protocol": "s3", "endpoint": seaweed.endpoint, "bucket": "tests", "folder": folder}
    keys = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY}
    lab_rig.prefer(storage={"data": place | keys})
    return Matrix(lab_rig, run_child, tmp_path)


@pytest.fixture
def stored_in(matrix, seaweed):
    """Return what the bucket has of a dataset, seen by a client that knows nothing of labdata."""
    folder = files.open_store("data").settings.folder
    client = seaweed.client()

    def look(place):
        prefix = f"{folder}/{place}/"
        found = client.list_objects_v2(Bucket="tests", Prefix=prefix).get("Contents", [])
        return {
            one["Key"].removeprefix(prefix): hashlib.sha256(
                client.get_object(Bucket="tests", Key=one["Key"])["Body"].read()
            ).hexdigest()
            for one in found
        }

    return look


def nothing_left(rig):
    """All objects are as recorded, and nothing but leftovers of killed writers is beside them."""
    report = verify_stores(rig.lab, everything=True)
    assert report.ok, report.findings
    assert report.orphans.n_objects == 0
    store = files.open_store("data")
    store.remove_partials(older_than_s=-1000)
    assert store.remove_partials(older_than_s=-1000) == 0


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "parts"])
def test_upload(matrix, lab_rig, stored_in, content):
    def prepare():
        place = matrix.new_dataset()
        return place, lab_rig.put(lab_rig.folder(place, content))

    def work(given):
        forget_probes()  # in each process as in a new one
        upload_job(given[1])

    def check(given, step):
        place, job_id = given
        (originals,) = jobs_of(lab_rig, place).values()
        assert sums(lab_rig.server / place) == originals, step
        assert stored_in(place) in ({}, originals), step
        done = lab_rig.job(job_id)["job_status"] == "COMPLETED"
        assert bool(registered(lab_rig, place)) is done, step
        upload_again(lab_rig, job_id)
        assert registered(lab_rig, place) == stored_in(place) == originals, step

    names = matrix.run(prepare, work, check)
    wanted = ["PUT"] if content is SMALL else ["POST uploads", "PUT beside", "POST uploadId"]
    assert set(wanted) <= set(names) and "COMMIT" in names
    assert names.count("PUT partNumber") == (0 if content is SMALL else 3)
    nothing_left(lab_rig)


def test_get(matrix, lab_rig):
    place = matrix.new_dataset()
    folder = lab_rig.folder(place, LARGE)
    lab_rig.upload(lab_rig.put(folder))
    rows = lab_rig.lab.File.fetch(as_dict=True)
    ((name, wanted),) = registered(lab_rig, place).items()

    def prepare():
        shutil.rmtree(lab_rig.rig / place, ignore_errors=True)
        return None

    def work(_):
        fetch_planned(plan_fetch(rows), download=True)

    def check(_, step):
        assert sums(lab_rig.rig / place).items() <= {name: wanted}.items(), step
        work(None)
        assert sums(lab_rig.rig / place) == {name: wanted}, step
        for path in (lab_rig.rig / place).iterdir():  # killed in mid-naming, it has two names
            assert path.samefile(lab_rig.rig / place / name), step

    names = matrix.run(prepare, work, check)
    assert names.count("link") == 1 and names.count("fsync") >= 2
    nothing_left(lab_rig)


def test_clean(matrix, lab_rig, stored_in):
    def prepare():
        place = matrix.new_dataset()
        lab_rig.upload(lab_rig.put(lab_rig.folder(place, SMALL)))
        return place

    def work(place):
        clean(plan_clean(names=[place]))

    def check(place, step):
        assert stored_in(place) == registered(lab_rig, place) != {}, step
        for where in (lab_rig.rig, lab_rig.server):
            if (where / place).exists():
                assert sums(where / place).items() <= registered(lab_rig, place).items(), step

    names = matrix.run(prepare, work, check)
    assert names.count("unlink") >= 2
    assert not [name for name in names if name.split()[0] in ("PUT", "POST", "DELETE")]
    nothing_left(lab_rig)
