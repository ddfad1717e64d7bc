"""Originals are deleted when a store confirms: every way in which it could say yes wrongly.

One list of them for all stores; what only a bucket can do wrong follows below.
"""

import hashlib
import os
import random
from dataclasses import replace

import pytest

from labdata.errors import IntegrityError, LabdataError, MissingObjectError, StoreError
from labdata.stores import LocalStore, S3Store
from labdata.stores.s3.bucket import SHA256_KEY
from labdata.stores.s3.settings import MIN_PART_BYTES

SMALL = b"voltages of one second"
LARGE = random.Random(3).randbytes(2 * MIN_PART_BYTES + 17)


def sha256_of(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(params=["local", "s3"])
def kind(request):
    return request.param


@pytest.fixture
def store(kind, tmp_path, request):
    if kind == "local":
        (tmp_path / "root").mkdir()
        return LocalStore(tmp_path / "root")
    settings = request.getfixturevalue("s3_settings")
    proxy = request.getfixturevalue("proxy")
    return S3Store(settings(proxy.endpoint, part_bytes=MIN_PART_BYTES))


@pytest.fixture
def replace_bytes(kind, store, request):
    """Return a callable that changes what is stored and keeps the metadata that were there."""

    def write(path, content):
        if kind == "local":
            (store.root / path).write_bytes(content)
            return
        client = request.getfixturevalue("seaweed").client()
        place = {"Bucket": "tests", "Key": f"{store.settings.folder}/{path}"}
        metadata = client.head_object(**place)["Metadata"]
        client.put_object(**place, Body=content, Metadata=metadata)

    return write


@pytest.fixture(params=[SMALL, LARGE, b""], ids=["small", "large", "empty"])
def content(request):
    return request.param


@pytest.fixture
def source(tmp_path, store, content):
    path = tmp_path / "source"
    path.write_bytes(content)
    store.put(path, "a/b")
    return path


def test_what_is_there_is_confirmed(store, source, content):
    steps = []
    info = store.confirm("a/b", source, sha256=sha256_of(content).upper(), progress=steps.append)
    assert (info.path, info.size_bytes, info.sha256) == ("a/b", len(content), sha256_of(content))
    assert sum(steps) == len(content)


def test_what_is_not_there_is_missing(store, source, content):
    store.delete("a/b")
    with pytest.raises(MissingObjectError):
        store.confirm("a/b", source, sha256=sha256_of(content))


def test_bytes_replaced_under_right_metadata_and_equal_size(store, source, content, replace_bytes):
    changed = bytearray(content or b"x")
    changed[len(changed) // 2] ^= 1
    replace_bytes("a/b", bytes(changed))
    with pytest.raises(IntegrityError):
        store.confirm("a/b", source, sha256=sha256_of(content))


def test_a_truncated_and_a_lengthened_object(store, source, content, replace_bytes):
    for wrong in (content[:-1], content + b"\0"):
        if wrong != content:
            replace_bytes("a/b", wrong)
            with pytest.raises(IntegrityError):
                store.confirm("a/b", source, sha256=sha256_of(content))


def test_the_local_file_must_be_what_was_recorded(store, source, content):
    """Else a changed local file would be deleted though the store has only the former one."""
    source.write_bytes(content + b"more")
    with pytest.raises(IntegrityError):
        store.confirm("a/b", source, sha256=sha256_of(content))
    with pytest.raises(IntegrityError):
        store.confirm("a/b", source, sha256=sha256_of(content + b"more"))
    source.unlink()
    with pytest.raises(StoreError):
        store.confirm("a/b", source, sha256=sha256_of(content))


@pytest.mark.parametrize("sha256", ["", "0" * 63, None, 7])
def test_no_checksum_is_not_a_yes(store, tmp_path, sha256):
    (tmp_path / "file").write_bytes(SMALL)
    store.put(tmp_path / "file", "a/b")
    with pytest.raises(StoreError, match="SHA-256"):
        store.confirm("a/b", tmp_path / "file", sha256=sha256)


@pytest.mark.parametrize("make", ["itself", "hard link", "symbolic link"])
def test_the_object_itself_does_not_confirm_itself(tmp_path, make):
    """A folder of local_paths that is the store: deleting the "copy" would delete the object."""
    (tmp_path / "root").mkdir()
    store = LocalStore(tmp_path / "root")
    (tmp_path / "file").write_bytes(SMALL)
    store.put(tmp_path / "file", "a/b")
    path = tmp_path / "root" / "a" / "b"
    if make != "itself":
        link = os.link if make == "hard link" else os.symlink
        link(path, tmp_path / "other")
        path = tmp_path / "other"
    with pytest.raises(StoreError, match="itself"):
        store.confirm("a/b", path, sha256=sha256_of(SMALL))


class TestBucket:
    @pytest.fixture
    def kind(self):
        return "s3"

    def gets(self, proxy):
        return [r for r in proxy.seen if r.method == "GET"]

    def test_nothing_is_downloaded_where_the_server_has_checksums(
        self, proxy, store, source, content
    ):
        proxy.reset()
        store.confirm("a/b", source, sha256=sha256_of(content))
        assert {r.method for r in proxy.seen} == {"HEAD"}

    def test_the_size_of_parts_is_that_of_the_writer_not_ours(self, proxy, store, source, content):
        other = S3Store(replace(store.settings, part_bytes=3 * MIN_PART_BYTES))
        proxy.reset()
        other.confirm("a/b", source, sha256=sha256_of(content))
        assert self.gets(proxy) == []

    def test_an_etag_that_is_no_md5_is_not_believed_the_bytes_are(
        self, proxy, store, source, content, replace_bytes
    ):
        """Servers that encrypt with keys of their own; and one that damages under such an ETag."""

        def name(request, reply):
            for key in [key for key in reply.headers if key.lower() == "etag"]:
                reply.headers[key] = f'"{"5" * 32}"'

        def unname(request):
            request.headers.pop("If-Match", None)

        proxy.after.append(name)
        resign(proxy, unname)
        store.confirm("a/b", source, sha256=sha256_of(content))
        assert self.gets(proxy)
        replace_bytes("a/b", bytes(len(content)) if content else b"x")
        with pytest.raises(IntegrityError):
            store.confirm("a/b", source, sha256=sha256_of(content))

    @pytest.mark.parametrize("how", ["replaced", "deleted"])
    def test_an_object_replaced_or_deleted_meanwhile(
        self, store, source, content, replace_bytes, how
    ):
        def change(count):
            if how == "replaced":
                replace_bytes("a/b", b"other")
            else:
                store.delete("a/b")

        if content:
            with pytest.raises(LabdataError):
                store.confirm("a/b", source, sha256=sha256_of(content), progress=change)

    def test_metadata_without_our_checksum_make_the_bytes_decide(
        self, proxy, seaweed, store, source, content
    ):
        """Of other programs, or of a put that meant something else."""
        client = seaweed.client()
        place = {"Bucket": "tests", "Key": f"{store.settings.folder}/a/b"}
        for metadata in ({}, {SHA256_KEY: "0" * 64}, {"labdata-part-bytes": "nonsense"}):
            client.put_object(**place, Body=content, Metadata=metadata)
            proxy.reset()
            store.confirm("a/b", source, sha256=sha256_of(content))
            assert self.gets(proxy)

    def test_a_server_that_cannot_tell_is_no_yes_and_no_missing(
        self, proxy, store, source, content
    ):
        from s3_proxy import error_reply

        for status, code in ((503, "SlowDown"), (403, "AccessDenied"), (404, "NoSuchBucket")):
            proxy.before[:] = [lambda request, s=status, c=code: error_reply(s, c)]
            with pytest.raises(StoreError) as caught:
                S3Store(replace(store.settings, attempts=1)).confirm(
                    "a/b", source, sha256=sha256_of(content)
                )
            assert not isinstance(caught.value, IntegrityError | MissingObjectError)


def resign(proxy, change):
    """Let the proxy take a header away that the signature covers."""
    from s3_proxy import ignore_conditions

    def rule(request):
        if "If-Match" in request.headers:
            change(request)
            request.headers["If-None-Match"] = "dropped with the next rule, which signs anew"
            ignore_conditions(request)

    proxy.before.append(rule)
