"""Writers of different content to one path: one wins, the others hear of it, the object stays."""

import datetime
import hashlib
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from s3_proxy import CheckThenWrite, ignore_conditions, refuse_conditions
from seaweed import plain_client

from labdata.errors import IntegrityError, LabdataError, MissingObjectError, PathTakenError
from labdata.stores import S3Store
from labdata.stores.s3 import claims
from labdata.stores.s3.bucket import Bucket
from labdata.stores.s3.claims import claim_key, claims_passed
from labdata.stores.s3.confirm import confirm_written
from labdata.stores.s3.parts import PartSums
from labdata.stores.s3.probe import forget_probes, refuses_overwrite
from labdata.stores.s3.settings import MIN_PART_BYTES

REPOSITORY = Path(__file__).resolve().parents[2]
PUT = """
    import json, sys
    from labdata.errors import IntegrityError
    from labdata.stores import S3Settings, S3Store
    settings, source = sys.argv[1:]
    store = S3Store(S3Settings(**json.loads(settings)))
    sys.stdin.readline()
    try:
        store.put(source, "a/b")
    except IntegrityError:
        print("refused")
    else:
        print("stored")
"""


RULES = {
    "ignored": ignore_conditions,
    "refused": refuse_conditions,
    "late": CheckThenWrite(lambda: time.sleep(0.2)),
}


@pytest.fixture(params=["conditions", *RULES])
def endpoint(request, seaweed, proxy):
    """Servers that honour, ignore and refuse conditions, and one that checks them too early."""
    forget_probes()
    if request.param == "conditions":
        yield seaweed.endpoint
    else:
        proxy.before.append(RULES[request.param])
        yield proxy.endpoint
    forget_probes()


@pytest.fixture
def watched(seaweed, s3_settings):
    """Return the contents that a reader saw at ``a/b`` from a thread of its own, in the end."""
    store = S3Store(s3_settings(seaweed.endpoint))
    seen, done = [], threading.Event()

    def watch():
        while not done.is_set():
            try:
                with store.open_range("a/b") as reader:
                    seen.append(hashlib.sha256(reader.read()).hexdigest())
            except MissingObjectError:
                continue

    thread = threading.Thread(target=watch)
    thread.start()

    def stop():
        done.set()
        thread.join()
        return seen

    yield stop
    stop()


def test_the_probe_finds_out_what_the_server_does(seaweed, proxy, s3_settings):
    forget_probes()
    assert refuses_overwrite(Bucket(s3_settings(seaweed.endpoint)), "put")
    assert refuses_overwrite(Bucket(s3_settings(seaweed.endpoint)), "complete")
    for rule in (ignore_conditions, refuse_conditions):
        proxy.reset()
        proxy.before.append(rule)
        forget_probes()
        for kind in ("put", "complete"):
            assert not refuses_overwrite(Bucket(s3_settings(proxy.endpoint)), kind)
    assert list(S3Store(s3_settings(seaweed.endpoint)).list()) == []
    found = seaweed.client().list_objects_v2(
        Bucket="tests", Prefix=s3_settings(seaweed.endpoint).folder
    )
    assert found["KeyCount"] == 0  # the probes are gone
    forget_probes()


def test_a_preference_goes_before_the_probe(proxy, s3_settings):
    for said, known in (("yes", True), ("no", False)):
        settings = s3_settings(proxy.endpoint, conditional_writes=said)
        assert refuses_overwrite(Bucket(settings), "put") is known
    assert proxy.seen == []


def test_the_proxy_does_overwrite(proxy, s3_settings):
    """Or the tests without conditions would test nothing."""
    proxy.before.append(ignore_conditions)
    client = plain_client(proxy.endpoint)
    place = {"Bucket": "tests", "Key": f"{s3_settings(proxy.endpoint).folder}/x"}
    for content in (b"1", b"2"):
        client.put_object(**place, Body=content, IfNoneMatch="*")
    assert client.get_object(**place)["Body"].read() == b"2"


@pytest.mark.parametrize("size", [1000, MIN_PART_BYTES + 1000])
def test_of_16_threads_one_wins_and_the_object_never_changes(
    endpoint, s3_settings, tmp_path, watched, size
):
    store = S3Store(s3_settings(endpoint, part_bytes=MIN_PART_BYTES, workers=1))
    count = 16 if size < MIN_PART_BYTES else 6
    contents = [bytes([65 + index]) * size for index in range(count)]
    outcomes = [None] * count
    barrier = threading.Barrier(count)

    def write(index):
        source = tmp_path / f"{index}.bin"
        source.write_bytes(contents[index])
        barrier.wait()
        try:
            outcomes[index] = store.put(source, "a/b").sha256
        except LabdataError as error:
            outcomes[index] = error

    threads = [threading.Thread(target=write, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    won = [index for index, outcome in enumerate(outcomes) if isinstance(outcome, str)]
    assert len(won) == 1, outcomes
    assert all(isinstance(o, IntegrityError) for i, o in enumerate(outcomes) if i != won[0])
    assert set(watched()) <= {hashlib.sha256(contents[won[0]]).hexdigest()}
    assert store.read_range("a/b", start_byte=0, size_bytes=size) == contents[won[0]]


def test_a_put_that_a_late_completion_replaced_is_no_success(proxy, s3_settings, tmp_path):
    """The completion looked before the put and writes after it: one of them must not be told."""
    looked, go_on = threading.Event(), threading.Event()

    def between():
        looked.set()
        assert go_on.wait(60)

    forget_probes()
    proxy.before.append(CheckThenWrite(between))
    settings = s3_settings(proxy.endpoint, part_bytes=MIN_PART_BYTES, conditional_writes="yes")
    store, outcomes = S3Store(settings), {}
    contents = {"small": b"s" * 1000, "large": b"l" * (MIN_PART_BYTES + 1000)}

    def write(name):
        source = tmp_path / name
        source.write_bytes(contents[name])
        try:
            outcomes[name] = store.put(source, "a/b").size_bytes
        except LabdataError as error:
            outcomes[name] = error

    threads = [threading.Thread(target=write, args=(name,)) for name in ("large", "small")]
    threads[0].start()
    assert looked.wait(60)
    threads[1].start()
    until_s = time.monotonic() + 60
    while not store.exists("a/b") and time.monotonic() < until_s:
        time.sleep(0.02)  # the small one is there, and will be replaced
    go_on.set()
    for thread in threads:
        thread.join()
    assert outcomes["large"] == len(contents["large"])
    assert isinstance(outcomes["small"], PathTakenError)
    assert store.stat("a/b", verify=True).size_bytes == len(contents["large"])
    forget_probes()


def test_of_several_processes_one_wins(endpoint, s3_settings, tmp_path, watched):
    import json
    from dataclasses import asdict

    settings = s3_settings(endpoint)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    running = []
    for index in range(4):
        source = tmp_path / f"{index}.bin"
        source.write_bytes(bytes([65 + index]) * 1000)
        command = [sys.executable, "-c", textwrap.dedent(PUT), json.dumps(asdict(settings))]
        running.append(
            subprocess.Popen(
                [*command, str(source)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=120)[0].strip() for process in running]
    assert sorted(said) == ["refused"] * 3 + ["stored"]
    winner = bytes([65 + said.index("stored")]) * 1000
    assert set(watched()) <= {hashlib.sha256(winner).hexdigest()}
    assert S3Store(settings).read_range("a/b", start_byte=0, size_bytes=1000) == winner


def test_a_claim_of_a_dead_writer_does_not_block_and_a_living_one_does(
    seaweed, s3_settings, monkeypatch
):
    bucket = Bucket(s3_settings(seaweed.endpoint))
    entered = threading.Event()
    with claim_key(bucket, "a/b"):
        lower = [
            found["Key"]
            for found in seaweed.client().list_objects_v2(
                Bucket="tests", Prefix=bucket.partial_key("claim-")
            )["Contents"]
        ]
        assert len(lower) == 1

        def enter():
            with claim_key(Bucket(s3_settings(seaweed.endpoint)), "a/b"):
                entered.set()

        thread = threading.Thread(target=enter)
        thread.start()
        assert not entered.wait(0.5)
    assert entered.wait(20)
    thread.join()
    # what a killed writer left: as old as a claim may be, and then a little older
    place = {"Bucket": "tests", "Key": lower[0].rpartition("/")[0] + "/0"}
    seaweed.client().put_object(**place, Body=b"")
    monkeypatch.setattr("labdata.stores.s3.claims._WAIT_S", 1.0)
    with pytest.raises(LabdataError, match="have been writing"), claim_key(bucket, "a/b"):
        pass
    monkeypatch.setattr("labdata.stores.s3.claims.DEAD_S", 0.5)
    monkeypatch.setattr("labdata.stores.s3.claims._WAIT_S", 30.0)
    with claim_key(bucket, "a/b"):
        pass


@pytest.mark.parametrize("conditional", [True, False])
def test_a_put_lets_the_claims_of_completions_be(seaweed, s3_settings, monkeypatch, conditional):
    """One 40 s old is dead if it is renewed every 6 s, and living if every minute."""
    bucket = Bucket(s3_settings(seaweed.endpoint))
    real = claims.server_time
    monkeypatch.setattr(claims, "refuses_overwrite", lambda bucket, kind: conditional)
    monkeypatch.setattr(claims, "_WAIT_S", 0.3)
    with claim_key(bucket, "a/late"):
        later = datetime.timedelta(seconds=40)
        monkeypatch.setattr(claims, "server_time", lambda answer: real(answer) + later)
        if conditional:
            assert not claims_passed(bucket, "a/late")
        else:
            with pytest.raises(LabdataError, match="have been writing"):
                claims_passed(bucket, "a/late")
        prefix = bucket.partial_key("claim-")
        found = seaweed.client().list_objects_v2(Bucket="tests", Prefix=prefix)
        assert found["KeyCount"] == 1, "it is another's"


def test_what_another_wrote_meanwhile_is_no_damage_of_the_server(seaweed, s3_settings, tmp_path):
    """Nobody is to be sent to the server's owner, or to remove an object that is another's."""
    store, bucket = S3Store(s3_settings(seaweed.endpoint)), Bucket(s3_settings(seaweed.endpoint))
    (tmp_path / "theirs").write_bytes(b"theirs")
    store.put(tmp_path / "theirs", "a/b")
    ours = PartSums(hashlib.sha256(b"ours").hexdigest(), 4, hashlib.md5(b"ours").hexdigest())
    with pytest.raises(PathTakenError, match="other content"):
        confirm_written(bucket, "a/b", ours)
    sent = hashlib.sha256(b"theirs").hexdigest(), 6, hashlib.md5(b"theirs").hexdigest()
    place = {"Bucket": "tests", "Key": bucket.key("a/b")}
    old = seaweed.client().head_object(**place)["Metadata"]
    seaweed.client().put_object(**place, Body=b"damage", Metadata=old)
    with pytest.raises(IntegrityError, match="other bytes") as caught:
        confirm_written(bucket, "a/b", PartSums(*sent))
    assert not isinstance(caught.value, PathTakenError)
