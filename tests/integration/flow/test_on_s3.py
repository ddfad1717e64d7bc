"""The whole way with a bucket of a real S3 server: put, upload, look into, get, clean."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
from seaweed import ACCESS_KEY, SECRET_KEY

from labdata.errors import MissingObjectError, PreferenceError, QueryError, StoreError
from labdata.formats.spikeglx import open_band
from labdata.rules import clean_plan
from labdata.rules.cleaning import clean, plan_clean
from labdata.schema.files import open_store
from labdata.stores import S3Store
from labdata.stores.mounts import Mount

SESSION = "20240305_100000"


@pytest.fixture(scope="module", autouse=True)
def bucket(seaweed):
    seaweed.make_bucket("lab-data")


def bucket_of(seaweed, **more):
    return {
        "protocol": "s3",
        "endpoint": seaweed.endpoint,
        "bucket": "lab-data",
        "folder": "raw",
        "addressing": "path",
        "access_key": ACCESS_KEY,
        "secret_key": SECRET_KEY,
        **more,
    }


def test_from_the_rig_to_the_bucket_and_back(lab_rig, seaweed, small_run, typed):
    lab_rig.prefer(storage={"data": bucket_of(seaweed)})
    lab_rig.upload(lab_rig.put(lab_rig.record(small_run.run_folder)))
    rows = lab_rig.lab.File.fetch(as_dict=True)
    pages = seaweed.client().list_objects_v2(Bucket="lab-data", Prefix="raw/")
    assert {one["Key"]: one["Size"] for one in pages["Contents"]} == {
        f"raw/{row['file_path']}": row["file_size"] for row in rows
    }
    # the rig is freed of all of it, as the bucket has it
    done = clean(plan_clean())
    assert [one.kept for one in done if one.kept] == []
    assert not [p for p in lab_rig.rig.rglob("*") if p.is_file()]
    # a second of the recording is read where it is
    (original,) = Path(small_run.run_folder).rglob("*.ap.bin")
    raw = open_band(original)
    opened = lab_rig.lab.EphysRecording.ProbeSetting().open()
    np.testing.assert_array_equal(opened.samples[20_000:50_000], raw.samples[20_000:50_000])
    assert not [p for p in lab_rig.rig.rglob("*") if p.is_file()], "nothing was fetched"
    # fetched only when that is allowed, or asked for
    with pytest.raises(StoreError, match="allow_s3_download is false"):
        lab_rig.lab.File().get()
    assert "--yes" in typed("get", "-a", "JC1", code=1).err
    typed("get", "-a", "JC1", "--yes")
    fetched = {p.name for p in lab_rig.rig.rglob("*") if p.is_file()}
    assert fetched == {Path(row["file_path"]).name for row in rows}
    np.testing.assert_array_equal(opened.samples[:], raw.samples[:])


def test_two_uploads_of_one_path_with_other_content(lab_rig, seaweed):
    """What is in the bucket under a path stays, and the job says why it failed."""
    lab_rig.prefer(storage={"data": bucket_of(seaweed, folder="two")})
    client = seaweed.client()
    client.put_object(Bucket="lab-data", Key=f"two/JC1/{SESSION}/task/a.csv", Body=b"others")
    job_id = lab_rig.put(lab_rig.folder(f"JC1/{SESSION}/task", {"a.csv": b"ours"}))
    with pytest.raises(StoreError, match=r"exists in .* with other content"):
        lab_rig.upload(job_id)
    assert lab_rig.job(job_id)["job_status"] == "FAILED"
    body = client.get_object(Bucket="lab-data", Key=f"two/JC1/{SESSION}/task/a.csv")["Body"]
    assert body.read() == b"others"
    assert len(lab_rig.lab.File()) == 0


def test_a_bucket_that_is_gone_confirms_nothing(lab_rig, seaweed):
    lab_rig.prefer(storage={"data": bucket_of(seaweed, folder="three")})
    folder = lab_rig.folder(f"JC1/{SESSION}/task", {"a.csv": b"ours"})
    lab_rig.upload(lab_rig.put(folder))
    lab_rig.prefer(storage={"data": bucket_of(seaweed, bucket="lab-gone")})
    done = clean(plan_clean())
    assert all(one.kept.startswith("cannot tell") for one in done) and len(done) == 2
    lab_rig.prefer(storage={"data": bucket_of(seaweed, folder="three")})
    shutil.rmtree(folder)
    assert lab_rig.lab.File().get(download=True)[0].read_bytes() == b"ours"


def test_a_file_is_read_where_it_is(lab_rig, seaweed):
    lab_rig.prefer(storage={"data": bucket_of(seaweed, folder="open")})
    content = bytes(range(256)) * 20_000
    table = b"n,x\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(2000))
    folder = lab_rig.folder(f"JC1/{SESSION}/task", {"a.bin": content, "b.csv": table})
    lab_rig.upload(lab_rig.put(folder))
    query = lab_rig.lab.File & 'file_path LIKE "%a.bin"'
    with query.open() as here:  # the local copy
        assert here.read(4) == content[:4]
    shutil.rmtree(folder)
    with query.open() as reader:
        assert reader.seek(-10, 2) == len(content) - 10
        assert reader.read() == content[-10:]
        assert reader.seek(1_000_003) == 1_000_003
        assert reader.read(300) == content[1_000_003:1_000_303]
        reader.seek(0)
        assert reader.read() == content
    with (lab_rig.lab.File & 'file_path LIKE "%b.csv"').open() as reader:
        assert sum(int(line.split(b",")[0]) for line in reader.readlines()[1:]) == 1999 * 1000
    assert not (lab_rig.rig / f"JC1/{SESSION}/task").exists(), "nothing was fetched"
    with query.open(download=True) as reader:
        assert reader.name == str(lab_rig.rig / f"JC1/{SESSION}/task/a.bin")
    with pytest.raises(QueryError, match="Several files"):
        lab_rig.lab.File().open()
    with pytest.raises(QueryError, match="No file"):
        (lab_rig.lab.File & {"file_path": "none"}).open()


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ({"bucket": None}, "has no bucket"),
        ({"secret_key": None}, "access_key and not the other"),
        ({"access_key": None}, "secret_key and not the other"),
    ],
)
def test_settings_that_are_not_enough(lab_rig, seaweed, missing, words):
    lab_rig.prefer(storage={"data": bucket_of(seaweed, **missing)})
    with pytest.raises(PreferenceError, match=words):
        open_store("data")


def test_the_doctor_tries_the_bucket(lab_rig, seaweed, typed):
    lab_rig.prefer(storage={"data": bucket_of(seaweed, folder="doctor")})
    (line,) = [line for line in typed("doctor").out.splitlines() if "store data" in line]
    assert line.startswith("✓") and "write, read, keep, list, delete" in line


def test_an_object_of_a_bucket_that_is_mounted_as_a_folder_is_not_removed(
    lab_rig, seaweed, monkeypatch
):
    """Files of the mount are the objects: what is renamed or removed there is so in the bucket."""
    lab_rig.prefer(storage={"data": bucket_of(seaweed, folder="mounted")})
    folder = f"JC1/{SESSION}/task"
    lab_rig.upload(lab_rig.put(lab_rig.folder(folder, {"a.csv": b"1,2\n"})))
    path = lab_rig.rig / folder / "a.csv"
    real = S3Store.stat

    def stat(self, object_path, **options):
        if not (lab_rig.rig / object_path).exists():
            raise MissingObjectError(f"There is no object {object_path!r}.")
        return real(self, object_path, **options)

    monkeypatch.setattr(S3Store, "stat", stat)
    done = clean(plan_clean())
    assert {one.path: one.kept for one in done}[path] == "is the stored object itself"
    assert path.read_bytes() == b"1,2\n"


def test_of_a_bucket_that_may_be_mounted_nothing_is_removed_unless_told(
    lab_rig, seaweed, monkeypatch, typed
):
    """A gateway renames and removes in the bucket later: no look at the object tells of it."""
    lab_rig.prefer(storage={"data": bucket_of(seaweed, folder="gateway")})
    folder = f"JC1/{SESSION}/task"
    lab_rig.upload(lab_rig.put(lab_rig.folder(folder, {"a.csv": b"1,2\n"})))
    path = lab_rig.rig / folder / "a.csv"
    mounted = [Mount(str(lab_rig.rig), "nfs4", "rw")]
    monkeypatch.setattr(clean_plan, "list_mounts", lambda: mounted)
    for dry_run in (True, False):
        kept = {one.path: one.kept for one in clean(plan_clean(), dry_run=dry_run)}
        assert "on a mount (nfs4) that may show the bucket" in kept[path]
        assert path.exists()
    assert "--mounted if not" in typed("clean", "--list").out
    typed("clean", "--mounted")
    assert not path.exists()
