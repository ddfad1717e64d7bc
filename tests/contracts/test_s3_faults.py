"""What can go wrong between here and a bucket: killed, cut, refused, and said in words."""

import hashlib
import os
import random
import signal
import time

import pytest
from test_s3_store import new_bucket

from labdata.errors import IntegrityError, MissingObjectError, StoreError
from labdata.stores import S3Settings, S3Store, s3_fetch, s3_upload
from labdata.stores.s3_upload import Upload, etag_of_file, part_bytes_of

CONTENT = random.Random(11).randbytes(5 * s3_upload.PART_BYTES + 17)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def settings(seaweed):
    with new_bucket(seaweed) as found:
        yield found


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "recording.bin"
    path.write_bytes(CONTENT)
    return path


def in_child(work):
    """Run something in a forked process; negative for the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_put_goes_on_by_part_wherever_it_is_repeated(settings, source, monkeypatch):
    def killed():
        real, sent = Upload._send_part, []

        def send(self, upload_id, number, *rest):
            if number == 4:
                deadline = time.monotonic() + 30
                while len(sent) < 3 and time.monotonic() < deadline:
                    time.sleep(0.01)
                die()
            done = real(self, upload_id, number, *rest)
            sent.append(number)
            return done

        Upload._send_part = send
        S3Store(settings, "lab").put(source, "a/b.bin", sha256=SHA256)

    assert in_child(killed) == -signal.SIGKILL
    store = S3Store(settings, "lab")
    assert not store.exists("a/b.bin")
    assert list(store.list()) == []
    numbers, real = [], Upload._send_part

    def count(self, upload_id, number, *rest):
        numbers.append(number)
        return real(self, upload_id, number, *rest)

    monkeypatch.setattr(Upload, "_send_part", count)
    done = []
    info = store.put(source, "a/b.bin", sha256=SHA256, progress=done.append)
    assert sum(done) == len(CONTENT)
    assert (info.size_bytes, info.sha256) == (len(CONTENT), SHA256)
    assert {4} <= set(numbers) <= {4, 5, 6}, "what was sent is not sent again"
    assert store.stat("a/b.bin", verify=True).sha256 == SHA256
    assert store.remove_partials(older_than_s=-1) == 0


def test_parts_of_other_content_are_not_taken_for_ones_own(settings, source, monkeypatch):
    """The record is found, and a part on the server is not what is here."""
    store = S3Store(settings)
    client, bucket = store._client.get(), settings.bucket
    upload_id, _ = Upload(client, bucket, "b.bin", None, len(CONTENT), SHA256)._begin()
    wrong = bytes(s3_upload.PART_BYTES)
    client.upload_part(Bucket=bucket, Key="b.bin", UploadId=upload_id, PartNumber=2, Body=wrong)
    store.put(source, "b.bin", sha256=SHA256)
    assert store.stat("b.bin", verify=True).sha256 == SHA256


def test_a_killed_get_goes_on_and_a_wrong_note_is_not_believed(
    settings, source, tmp_path, monkeypatch
):
    store = S3Store(settings)
    store.put(source, "b.bin", sha256=SHA256)
    target = tmp_path / "got" / "b.bin"

    def killed():
        seen = []

        def stop(n_bytes):
            seen.append(n_bytes)
            if sum(seen) > 2 * s3_fetch.RANGE_BYTES:
                die()

        S3Store(settings).get("b.bin", target, sha256=SHA256, progress=stop)

    assert in_child(killed) == -signal.SIGKILL
    assert not target.exists()
    asked, real = [], S3Store.read_range

    def count(self, path, *, start_byte, size_bytes):
        asked.append(start_byte)
        return real(self, path, start_byte=start_byte, size_bytes=size_bytes)

    monkeypatch.setattr(S3Store, "read_range", count)
    store.get("b.bin", target, sha256=SHA256)
    assert len(asked) <= 4, "of 6 ranges at least 2 were there"
    assert target.read_bytes() == CONTENT
    assert [p.name for p in target.parent.iterdir()] == ["b.bin"]
    # the power failed: the note says more than the disk has
    target.unlink()
    assert in_child(killed) == -signal.SIGKILL
    (partial,) = [p for p in target.parent.iterdir() if p.suffix != ".ranges"]
    partial.write_bytes(bytes(len(CONTENT)))
    store.get("b.bin", target, sha256=SHA256)
    assert target.read_bytes() == CONTENT


def test_a_server_that_would_overwrite_is_not_written_to(settings, source):
    store = S3Store(settings)
    client = store._client.get()

    def forget(params, **_):
        params["headers"].pop("If-None-Match", None)

    client.meta.events.register("before-call.s3.PutObject", forget)
    with pytest.raises(StoreError, match="would overwrite objects"):
        store.put(source, "a/b.bin")
    assert list(store.list()) == []
    assert not client.list_objects_v2(Bucket=settings.bucket).get("Contents")


def test_what_is_not_what_was_recorded_is_never_seen(settings, source):
    store = S3Store(settings)
    for content in (b"small", CONTENT):
        source.write_bytes(content)
        with pytest.raises(IntegrityError, match="is on record"):
            store.put(source, "a/b.bin", sha256="0" * 64)
        assert not store.exists("a/b.bin")
    assert store.remove_partials(older_than_s=-1) == 0


def test_a_connection_that_is_cut_is_an_error(settings, source, tmp_path, monkeypatch):
    store = S3Store(settings)
    store.put(source, "b.bin", sha256=SHA256)
    with store.open_range("b.bin", start_byte=5) as reader:
        body = reader.raw._body
        real, given = body.read, []

        def cut(size):
            given.append(size)
            return real(size) if len(given) < 3 else b""

        monkeypatch.setattr(body, "read", cut)
        with pytest.raises(StoreError, match="bytes early"):
            reader.read()


def test_leftovers_of_killed_puts_are_removed_when_old(settings, source):
    def killed():
        Upload._send_part = die
        S3Store(settings).put(source, "b.bin", sha256=SHA256)

    assert in_child(killed) == -signal.SIGKILL
    store = S3Store(settings)
    assert store.remove_partials() == 0, "its writer may come back"
    assert store.remove_partials(older_than_s=-1) == 2  # the upload and its record
    assert store.remove_partials(older_than_s=-1) == 0


def without(settings, **changed):
    values = {name: getattr(settings, name) for name in settings.__dataclass_fields__}
    return S3Store(S3Settings(**{**values, **changed}))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"secret_key": "wrong"}, "secret key is wrong"),
        ({"access_key": "nobody"}, "access key is not known"),
        ({"bucket": "labtest-none"}, "bucket's name"),
        ({"endpoint": "http://127.0.0.1:9"}, "Is the server up"),
    ],
)
def test_cannot_tell_is_not_not_there(settings, source, changed, words):
    store = without(settings, **changed)
    store._client.get().meta.config.retries["total_max_attempts"] = 1
    for ask in (
        lambda: list(store.list()),
        lambda: store.put(source, "a/b.bin"),
        lambda: store.open_range("a/b.bin"),
    ):
        with pytest.raises(StoreError) as caught:
            ask()
        assert not isinstance(caught.value, MissingObjectError)
        assert words in caught.value.hint
        assert "wrong" not in caught.value.message and "labsecret" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({}, None),
        ({"endpoint": "s3.amazonaws.com:9000"}, None),
        ({"endpoint": "https://s3.eu-central-1.amazonaws.com"}, None),
        ({"endpoint": "nas.lab.org:8333"}, "https://nas.lab.org:8333"),
        ({"endpoint": "nas.lab.org:8333", "use_tls": False}, "http://nas.lab.org:8333"),
        ({"endpoint": "http://10.0.0.5:8333/"}, "http://10.0.0.5:8333"),
        ({"endpoint": "notamazonaws.com"}, "https://notamazonaws.com"),
    ],
)
def test_endpoints(given, address):
    assert S3Settings(bucket="b", **given).address == address


def test_an_endpoint_that_is_none():
    for endpoint in ("ftp://x", "https://"):
        with pytest.raises(StoreError, match="no address of a server"):
            S3Settings(bucket="b", endpoint=endpoint).address  # noqa: B018


@pytest.mark.parametrize("size", [0, 1, s3_upload.PART_BYTES, s3_upload.PART_BYTES + 1])
def test_the_etag_that_a_server_gives(settings, tmp_path, size):
    path = tmp_path / "x"
    path.write_bytes(CONTENT[:size])
    store = S3Store(settings)
    store.put(path, "x")
    head = store._client.get().head_object(Bucket=settings.bucket, Key="x")
    assert head["ETag"].strip('"') == etag_of_file(path, s3_upload.PART_BYTES)


def test_parts_are_large_enough_for_the_largest_object():
    for size in (1, 8 * 2**30, 100 * 2**30, 5 * 2**40):
        assert -(-size // part_bytes_of(size)) <= s3_upload.MAX_PARTS
    assert part_bytes_of(10**9) == s3_upload.PART_BYTES
