"""Each fault of a network or a server, one at a time: said in words, and nothing half or wrong."""

import hashlib
import random
import socket
import time
from dataclasses import replace

import pytest
from s3_proxy import Reply, error_reply
from seaweed import ACCESS_KEY, SECRET_KEY

from labdata.errors import IntegrityError, MissingObjectError, StoreError
from labdata.stores import S3Store
from labdata.stores.s3.settings import MIN_PART_BYTES

CONTENT = random.Random(11).randbytes(2 * MIN_PART_BYTES + 99)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def store(proxy, s3_settings):
    settings = s3_settings(proxy.endpoint, part_bytes=MIN_PART_BYTES, workers=2, attempts=2)
    return S3Store(settings)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path


def verbs(store, source, tmp_path):
    yield lambda: store.put(source, "a/new")
    yield lambda: store.get("a/b", tmp_path / "copy")
    yield lambda: store.stat("a/b")
    yield lambda: store.exists("a/b")
    yield lambda: store.delete("a/b")
    yield lambda: list(store.list())
    yield lambda: store.open_range("a/b")
    yield lambda: store.read_range("a/b", start_byte=0, size_bytes=1)
    yield lambda: store.copy("a/b", "a/c")
    yield lambda: store.confirm("a/b", source, sha256=SHA256)
    yield lambda: store.remove_partials()
    yield lambda: store.restore("a/b")


def refused_by_all(store, source, tmp_path, match):
    for verb in verbs(store, source, tmp_path):
        with pytest.raises(StoreError, match=match) as caught:
            verb()
        assert not isinstance(caught.value, MissingObjectError | IntegrityError)
        assert caught.value.hint
        said = str(caught.value)
        assert "bucket " in said
        assert ACCESS_KEY not in said
        assert SECRET_KEY not in said
    assert not (tmp_path / "copy").exists()


def test_a_server_that_is_off(store, source, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    off = S3Store(replace(store.settings, endpoint=f"http://127.0.0.1:{port}", attempts=1))
    refused_by_all(off, source, tmp_path, "refused")


def test_a_server_that_has_no_name(store, source, tmp_path):
    settings = replace(store.settings, endpoint="http://no-such-host.invalid", attempts=1)
    with pytest.raises(StoreError, match=r"no server of that name is known|cannot be reached"):
        S3Store(settings).exists("a/b")


def test_a_server_without_tls_where_tls_was_asked_for(seaweed, store, source, tmp_path):
    settings = replace(store.settings, endpoint=f"https://127.0.0.1:{seaweed.port}", attempts=1)
    refused_by_all(S3Store(settings), source, tmp_path, "no TLS")


@pytest.mark.parametrize(
    "status,code,match",
    [
        (403, "AccessDenied", "access is denied"),
        (403, "RequestTimeTooSkewed", "clock"),
        (400, "ExpiredToken", "login has expired"),
        (503, "SlowDown", "slow down"),
        (500, "InternalError", "fault"),
        (507, "InsufficientStorage", "full"),
        (418, "Teapot", "Teapot"),
        (301, "PermanentRedirect", "region"),
    ],
)
def test_a_refusal_is_said_in_words(proxy, store, source, tmp_path, status, code, match):
    proxy.before.append(lambda request: error_reply(status, code))
    once = S3Store(replace(store.settings, attempts=1))
    refused_by_all(once, source, tmp_path, match)


def test_a_web_server_that_is_no_s3_server_has_no_missing_objects(proxy, store, source, tmp_path):
    proxy.before.append(lambda request: Reply(404, {"Content-Type": "text/html"}, b"<p>None</p>"))
    once = S3Store(replace(store.settings, attempts=1))
    with pytest.raises(StoreError) as caught:
        once.exists("a/b")
    assert not isinstance(caught.value, MissingObjectError)


@pytest.mark.parametrize(
    "changes,match",
    [
        ({"bucket": "no-such-bucket"}, "no such bucket"),
        ({"secret_key": "wrong"}, "secret key|access is denied"),
        ({"access_key": "unknown"}, "access key|access is denied"),
    ],
)
def test_a_wrong_bucket_or_key(store, source, tmp_path, changes, match):
    """HEAD answers these as it answers a missing object or a missing right."""
    refused_by_all(S3Store(replace(store.settings, **changes)), source, tmp_path, match)


def test_an_access_check_says_what_is_wrong(store):
    report = S3Store(replace(store.settings, secret_key="wrong")).check_access()
    assert not report.ok
    assert "wrong" not in str(report).replace("key is wrong", "")


def test_a_server_that_stops_answering(proxy, store):
    proxy.before.append(lambda request: time.sleep(1.5))
    slow = S3Store(replace(store.settings, read_timeout_s=0.3, attempts=1))
    with pytest.raises(StoreError, match="stopped answering"):
        slow.exists("a/b")


@pytest.mark.parametrize("fault", ["hangs up", "flips a bit", "loses the answer", "is busy"])
def test_a_fault_in_mid_part_is_repaired(proxy, store, source, fault):
    """Once, at the second part: sent again, and the object is what was read."""
    faults = []

    def before(request):
        if request.is_part and request.query["partNumber"] == ["2"] and not faults:
            if fault != "loses the answer":
                faults.append(fault)
            if fault == "hangs up":
                return Reply(0)
            if fault == "is busy":
                return error_reply(503, "SlowDown")
            if fault == "flips a bit":
                changed = bytearray(request.body)
                changed[1000] ^= 1
                request.body = bytes(changed)
        return None

    def after(request, reply):
        if fault == "loses the answer" and request.is_part and not faults:
            faults.append(fault)
            reply.status = 0

    proxy.before.append(before)
    proxy.after.append(after)
    try:
        store.put(source, "a/b", sha256=SHA256)
    except StoreError as error:  # a server may say of damaged bytes that they are not to be sent
        assert fault == "flips a bit"
        assert "not those that were sent" in error.message or "secret key" in error.message
        assert not store.exists("a/b")
        store.put(source, "a/b", sha256=SHA256)
    assert faults == [fault]
    assert store.stat("a/b", verify=True).sha256 == SHA256
    assert proxy_is_clean(store)


def proxy_is_clean(store):
    return [info.path for info in store.list()] == ["a/b"]


@pytest.mark.parametrize("size", [100, len(CONTENT)])
def test_a_lost_answer_of_the_last_request_is_success(proxy, store, tmp_path, size):
    """The object is there; the request that is sent again is refused; equal content is success."""
    source, lost = tmp_path / "file", []
    source.write_bytes(CONTENT[:size])

    def lose(request, reply):
        last = "uploadId" in request.query if size > 100 else not request.is_partial
        if request.method == ("POST" if size > 100 else "PUT") and last and not lost:
            lost.append(request)
            reply.status = 0

    store.put(tmp_path / "file", "other")  # the probes are done
    proxy.after.append(lose)
    assert store.put(source, "a/b").size_bytes == size
    assert lost
    assert store.read_range("a/b", start_byte=0, size_bytes=size) == CONTENT[:size]


def test_a_server_that_stores_other_bytes_than_it_says_is_found_out(proxy, store, tmp_path):
    """Its ETag is not that of the bytes sent, so they are read, and they differ."""
    from s3_proxy import ignore_conditions

    (tmp_path / "file").write_bytes(b"voltages")

    def damage(request):
        if request.method == "PUT" and not request.is_partial:
            request.body = b"Voltages"
            request.headers.pop("Content-MD5")
            ignore_conditions(request)

    proxy.before.append(damage)
    with pytest.raises(IntegrityError, match="other bytes"):
        store.put(tmp_path / "file", "a/b")


@pytest.mark.parametrize("cut_after", [0, 1000, MIN_PART_BYTES])
def test_a_body_that_is_cut_once_is_fetched_again(proxy, store, source, tmp_path, cut_after):
    store.put(source, "a/b")
    cuts = []

    def cut(request, reply):
        if request.method == "GET" and not cuts:
            cuts.append(request)
            reply.cut_after = cut_after

    proxy.after.append(cut)
    assert store.get("a/b", tmp_path / "copy").sha256 == SHA256
    assert cuts
    assert (tmp_path / "copy").read_bytes() == CONTENT


def test_a_body_that_is_always_cut_is_an_error_and_no_file(proxy, store, source, tmp_path):
    store.put(source, "a/b")

    def cut(request, reply):
        if request.method == "GET":
            reply.cut_after = 1000

    proxy.after.append(cut)
    for read in (
        lambda: store.get("a/b", tmp_path / "copy"),
        lambda: store.read_range("a/b", start_byte=0, size_bytes=5000),
        lambda: store.stat("a/b", verify=True),
    ):
        with pytest.raises(StoreError, match=r"cut|early") as caught:
            read()
        assert not isinstance(caught.value, MissingObjectError)
    assert not (tmp_path / "copy").exists()
    with store.open_range("a/b") as reader, pytest.raises(StoreError):
        while reader.read(512):
            pass


def test_a_bit_that_flips_on_the_way_here_is_found(proxy, store, source, tmp_path):
    store.put(source, "a/b")

    def flip(request, reply):
        if request.method == "GET" and len(reply.body) > 1000:
            changed = bytearray(reply.body)
            changed[500] ^= 1
            reply.body = bytes(changed)

    proxy.after.append(flip)
    folder = tmp_path / "target"
    with pytest.raises(IntegrityError):
        store.get("a/b", folder / "copy")
    assert list(folder.iterdir()) == []


def test_a_short_or_shifted_answer_to_a_range_is_an_error(proxy, store, source):
    store.put(source, "a/b")
    for name, value in (("Content-Range", "bytes 5-14/10485859"), ("Content-Range", "")):

        def change(request, reply, name=name, value=value):
            if request.method == "GET":
                reply.headers[name] = value

        proxy.after[:] = [change]
        with pytest.raises(StoreError):
            store.read_range("a/b", start_byte=4, size_bytes=10)


def test_a_small_range_is_one_request_on_a_connection_that_is_kept(proxy, store, source):
    store.put(source, "a/b")
    proxy.reset()
    for start in range(5):
        found = store.read_range("a/b", start_byte=start * 100, size_bytes=100)
        assert found == CONTENT[start * 100 : start * 100 + 100]
    assert [r.method for r in proxy.seen] == ["GET"] * 5


def test_a_small_put_is_a_put_a_look_for_claims_and_a_look(proxy, store, tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    store.put(tmp_path / "file", "first")
    proxy.reset()
    store.put(tmp_path / "file", "a/b")
    assert [r.method for r in proxy.seen] == ["PUT", "GET", "HEAD"]
    assert "-claim-" in proxy.seen[1].query["prefix"][0]


def test_folder_markers_of_web_consoles_are_no_objects(seaweed, store, tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    store.put(tmp_path / "file", "a/b")
    for key in ("a/", "empty/"):
        seaweed.client().put_object(Bucket="tests", Key=f"{store.settings.folder}/{key}", Body=b"")
    assert [info.path for info in store.list()] == ["a/b"]


def test_a_long_list_comes_in_pages(proxy, store, tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    paths = sorted(f"{a}{c}{b}" for a in "xyz" for b in "abc" for c in ("/", "-", ".", "0/"))
    for path in paths:
        store.put(tmp_path / "file", path)

    def small_pages(request):
        if request.query.get("list-type") == ["2"] and "max-keys" not in request.query:
            request.url += "&max-keys=5"
            request.headers["If-None-Match"] = "dropped when it is signed anew"
            from s3_proxy import ignore_conditions

            ignore_conditions(request)

    proxy.before.append(small_pages)
    proxy.seen.clear()
    assert [info.path for info in store.list()] == paths
    assert len(proxy.seen) > 5
