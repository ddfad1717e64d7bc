"""Objects in cold storage: said to be there, not to be read, asked back once."""

from datetime import UTC, datetime

import pytest
from s3_proxy import Archive, error_reply

from labdata.errors import ArchivedObjectError, MissingObjectError, StoreError
from labdata.stores import RestoreState, S3Store

CONTENT = b"voltages of last year"


@pytest.fixture
def store(proxy, s3_settings, tmp_path):
    store = S3Store(s3_settings(proxy.endpoint))
    (tmp_path / "file").write_bytes(CONTENT)
    store.put(tmp_path / "file", "a/b")
    return store


@pytest.fixture
def archive(proxy, store):
    """An archive that has the object, not asked back."""
    archive = Archive(proxy)
    archive.key = f"/tests/{store.settings.folder}/a/b"
    archive.cold[archive.key] = ""
    return archive


def test_an_object_that_is_not_cold(store):
    assert store.restore_state("a/b") == RestoreState(False, False, None)
    assert store.restore("a/b") == RestoreState(False, False, None)


def test_a_cold_object_is_there_and_is_not_read(store, archive, tmp_path):
    assert store.exists("a/b")
    assert store.restore_state("a/b") == RestoreState(True, False, None)
    for read in (
        lambda: store.get("a/b", tmp_path / "copy"),
        lambda: store.open_range("a/b"),
        lambda: store.read_range("a/b", start_byte=0, size_bytes=1),
        lambda: store.stat("a/b", verify=True),
        lambda: store.copy("a/b", "a/c"),
    ):
        with pytest.raises(ArchivedObjectError, match="cold storage") as caught:
            read()
        assert "restore" in caught.value.hint
    assert not (tmp_path / "copy").exists()


def test_it_is_asked_back_once_and_then_read(store, archive, tmp_path):
    assert store.restore("a/b", days=3) == RestoreState(True, True, None)
    assert store.restore("a/b", days=3) == RestoreState(True, True, None)
    assert len(archive.asked) == 1
    assert b"<Days>3</Days>" in archive.asked[0]
    archive.cold[archive.key] = (
        'ongoing-request="false", expiry-date="Fri, 21 Dec 2029 00:00:00 GMT"'
    )
    until = datetime(2029, 12, 21, tzinfo=UTC)
    assert store.restore_state("a/b") == RestoreState(False, False, until)
    store.get("a/b", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == CONTENT


def test_another_that_asked_at_the_same_moment_is_success(store, archive, proxy):
    proxy.before.insert(
        0,
        lambda r: error_reply(409, "RestoreAlreadyInProgress") if r.method == "POST" else None,
    )
    assert store.restore("a/b").archived


def test_a_cold_object_is_confirmed_without_being_read(store, archive, tmp_path):
    """Its checksums are at hand: originals need not wait for the archive."""
    import hashlib

    sha256 = hashlib.sha256(CONTENT).hexdigest()
    assert store.confirm("a/b", tmp_path / "file", sha256=sha256).sha256 == sha256


@pytest.mark.parametrize("days", [0, -1, 1.5, True, "7"])
def test_days_are_whole_and_positive(store, archive, days):
    with pytest.raises(StoreError, match="days"):
        store.restore("a/b", days=days)
    assert archive.asked == []


def test_what_is_not_there_cannot_be_asked_back(store):
    for ask in (store.restore, store.restore_state):
        with pytest.raises(MissingObjectError):
            ask("none")
