"""Uploads and downloads that were killed go on where they were, and nothing half is ever seen."""

import hashlib
import json
import os
import random
import subprocess
import sys
import textwrap
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from labdata.errors import IntegrityError, StoreError
from labdata.stores import S3Store
from labdata.stores.s3.get import RANGE_BYTES
from labdata.stores.s3.settings import MIN_PART_BYTES

REPOSITORY = Path(__file__).resolve().parents[2]
RUN = """
    import json, sys
    from labdata.stores import S3Settings, S3Store
    store = S3Store(S3Settings(**json.loads(sys.argv[1])))
    def tell(count):
        print(count, flush=True)
    getattr(store, sys.argv[2])(*sys.argv[3:], progress=tell)
"""
PARTS = 6
CONTENT = random.Random(7).randbytes((PARTS - 1) * MIN_PART_BYTES + 12345)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.bin"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def settings(proxy, s3_settings):
    return s3_settings(proxy.endpoint, part_bytes=MIN_PART_BYTES, workers=2)


@pytest.fixture
def store(settings):
    return S3Store(settings)


def run_and_kill(settings, *arguments):
    """Run a verb in a process of its own and kill it after the first progress."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(RUN), json.dumps(asdict(settings)), *arguments],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline()
    process.kill()
    process.wait()


def slow(rule):
    """Return a rule that gives the test time to kill its process."""

    def wait(request):
        if rule(request):
            time.sleep(0.3)

    return wait


def sent_parts(proxy):
    return sorted(int(r.query["partNumber"][0]) for r in proxy.seen if r.is_part)


def partials(seaweed, settings):
    found = seaweed.client().list_objects_v2(
        Bucket="tests", Prefix=f"{settings.folder}/.labdata-partial-"
    )
    return [item["Key"] for item in found.get("Contents", [])]


def uploads(seaweed, settings):
    found = seaweed.client().list_multipart_uploads(Bucket="tests", Prefix=f"{settings.folder}/")
    return found.get("Uploads", [])


def test_a_killed_upload_goes_on_by_part(proxy, seaweed, store, settings, source):
    proxy.before.append(slow(lambda request: request.is_part))
    run_and_kill(settings, "put", str(source), "a/b")
    assert not store.exists("a/b")
    assert list(store.list()) == []
    assert len(partials(seaweed, settings)) == 1
    first = sent_parts(proxy)
    assert 0 < len(first) < PARTS
    proxy.reset()
    steps = []
    info = store.put(source, "a/b", sha256=SHA256, progress=steps.append)
    assert info.sha256 == SHA256
    assert sum(steps) == len(CONTENT)
    assert 0 < len(sent_parts(proxy)) < PARTS
    assert store.read_range("a/b", start_byte=0, size_bytes=len(CONTENT)) == CONTENT
    assert partials(seaweed, settings) == []
    assert uploads(seaweed, settings) == []


def test_a_part_that_is_there_with_other_bytes_is_sent_again(
    proxy, seaweed, store, settings, source
):
    """Equal size is not enough, nor is the record: the server's MD5 of each part decides."""
    run_upload_half(proxy, store, source)
    upload = uploads(seaweed, settings)[0]
    client = seaweed.client()
    place = {"Bucket": "tests", "Key": upload["Key"], "UploadId": upload["UploadId"]}
    there = {part["PartNumber"] for part in client.list_parts(**place)["Parts"]}
    assert 1 in there
    client.upload_part(**place, PartNumber=1, Body=b"x" * MIN_PART_BYTES)
    proxy.reset()
    store.put(source, "a/b", sha256=SHA256)
    assert 1 in sent_parts(proxy)
    assert store.stat("a/b", verify=True).sha256 == SHA256


def run_upload_half(proxy, store, source):
    """Fail an upload at its fourth part, without the network being tried again for long."""
    from s3_proxy import error_reply

    def refuse(request):
        if request.is_part and int(request.query["partNumber"][0]) >= 4:
            return error_reply(403, "AccessDenied")
        return None

    proxy.before.append(refuse)
    with pytest.raises(StoreError, match="access is denied"):
        store.put(source, "a/b", sha256=SHA256)


def test_an_upload_that_somebody_gave_up_begins_anew(proxy, seaweed, store, settings, source):
    run_upload_half(proxy, store, source)
    upload = uploads(seaweed, settings)[0]
    seaweed.client().abort_multipart_upload(
        Bucket="tests", Key=upload["Key"], UploadId=upload["UploadId"]
    )
    proxy.reset()
    steps = []
    assert store.put(source, "a/b", progress=steps.append).sha256 == SHA256
    assert sum(steps) == len(CONTENT)
    assert partials(seaweed, settings) == []


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"key": "x", "part_bytes": 1}'])
def test_a_damaged_record_is_passed_over(proxy, seaweed, store, settings, source, content):
    run_upload_half(proxy, store, source)
    (record,) = partials(seaweed, settings)
    seaweed.client().put_object(Bucket="tests", Key=record, Body=content)
    proxy.reset()
    assert store.put(source, "a/b").sha256 == SHA256
    assert store.stat("a/b", verify=True).sha256 == SHA256


def test_remove_partials_removes_old_uploads_records_and_claims_only(
    proxy, seaweed, store, settings, source
):
    run_upload_half(proxy, store, source)
    proxy.reset()
    small = source.with_name("small")
    small.write_bytes(b"x")
    store.put(small, "kept")
    assert store.remove_partials() == 0
    assert len(uploads(seaweed, settings)) == 1
    time.sleep(1.1)  # servers keep time in whole seconds
    assert store.remove_partials(older_than_s=0) == 1
    assert uploads(seaweed, settings) == []
    assert partials(seaweed, settings) == []
    assert [info.path for info in store.list()] == ["kept"]
    assert store.put(source, "a/b").sha256 == SHA256


def test_a_file_that_changes_while_it_is_sent_is_no_object(
    proxy, seaweed, store, settings, source
):
    def append(count):
        with source.open("ab") as writer:
            writer.write(b"more")

    with pytest.raises(IntegrityError, match="changed"):
        store.put(source, "a/b", sha256=SHA256, progress=append)
    assert list(store.list()) == []
    assert uploads(seaweed, settings) == []
    assert partials(seaweed, settings) == []


def test_a_large_file_of_another_sha256_is_no_object(seaweed, store, settings, source):
    with pytest.raises(IntegrityError):
        store.put(source, "a/b", sha256="0" * 64)
    assert list(store.list()) == []
    assert uploads(seaweed, settings) == []
    assert partials(seaweed, settings) == []


def test_a_large_file_is_not_sent_again_if_it_is_there(proxy, store, source):
    store.put(source, "a/b")
    proxy.reset()
    steps = []
    assert store.put(source, "a/b", progress=steps.append).sha256 == SHA256
    assert sum(steps) == len(CONTENT)
    assert sent_parts(proxy) == []
    assert not [r for r in proxy.seen if r.method == "GET"]  # nor is it downloaded


def test_a_killed_download_goes_on_where_it_was(proxy, store, settings, source, tmp_path):
    store.put(source, "a/b")
    proxy.reset()
    proxy.before.append(slow(lambda request: "Range" in request.headers))
    folder = tmp_path / "target"
    folder.mkdir()
    run_and_kill(settings, "get", "a/b", str(folder / "copy"))
    assert not (folder / "copy").exists()
    proxy.reset()
    steps = []
    found = store.get("a/b", folder / "copy", progress=steps.append)
    assert found.sha256 == SHA256
    assert sum(steps) == len(CONTENT)
    assert (folder / "copy").read_bytes() == CONTENT
    assert [path.name for path in folder.iterdir()] == ["copy"]
    asked = [r for r in proxy.seen if r.method == "GET"]
    assert len(asked) < -(-len(CONTENT) // RANGE_BYTES)


def test_ranges_that_were_lost_with_the_power_are_fetched_anew(proxy, store, source, tmp_path):
    """The list says that they are there, the disk has zeros."""
    store.put(source, "a/b")
    failed = cut_ranges_from(2 * RANGE_BYTES)
    proxy.before.append(failed)
    with pytest.raises(StoreError):
        store.get("a/b", tmp_path / "target" / "copy")
    (partial,) = (tmp_path / "target").glob(".labdata-partial-get-*[0-9a-f]")
    with partial.open("r+b") as file:
        file.write(bytes(1000))
    proxy.reset()
    store.get("a/b", tmp_path / "target" / "copy")
    assert (tmp_path / "target" / "copy").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["copy"]


def cut_ranges_from(start_byte):
    from s3_proxy import error_reply

    def refuse(request):
        start = request.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0]
        if request.method == "GET" and int(start) >= start_byte:
            return error_reply(403, "AccessDenied")
        return None

    return refuse


def test_the_time_of_the_file_comes_back_with_it(store, source, tmp_path):
    os.utime(source, ns=(0, 1_600_000_000_123_456_789))
    store.put(source, "a/b")
    store.get("a/b", tmp_path / "copy")
    assert (tmp_path / "copy").stat().st_mtime_ns == 1_600_000_000_123_456_789
