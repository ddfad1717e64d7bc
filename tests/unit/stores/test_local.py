import os
from pathlib import Path

import pytest

from labdata.errors import IntegrityError, MissingObjectError, StoreError
from labdata.stores import LocalStore


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.bin"
    path.write_bytes(b"voltages")
    return path


def test_a_root_that_is_not_there_is_not_made(tmp_path, source):
    """An unmounted disk: the system disk under the mount point must not fill up."""
    store = LocalStore(tmp_path / "unmounted", "raw")
    for verb in (
        lambda: store.put(source, "a/b"),
        lambda: store.get("a/b", tmp_path / "copy"),
        lambda: store.exists("a/b"),
        lambda: store.delete("a/b"),
        lambda: list(store.list()),
        lambda: store.remove_partials(),
    ):
        with pytest.raises(StoreError, match="is not there") as caught:
            verb()
        assert not isinstance(caught.value, MissingObjectError)
        assert "Mount" in caught.value.hint
    assert not (tmp_path / "unmounted").exists()


def test_the_folder_below_the_root_is_made_at_the_first_put(tmp_path, source):
    store = LocalStore(tmp_path, "lab/raw")
    assert list(store.list()) == []
    store.put(source, "a/b")
    assert (tmp_path / "lab" / "raw" / "a" / "b").read_bytes() == b"voltages"


@pytest.mark.parametrize("folder", ["..", "/etc", "a/..", "a\\b", None])
def test_a_folder_outside_the_root_is_refused_at_once(tmp_path, folder):
    with pytest.raises(StoreError):
        LocalStore(tmp_path, folder)


def test_the_root_may_be_a_link_or_start_with_a_tilde(tmp_path, source, monkeypatch):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    monkeypatch.setenv("HOME", str(tmp_path))
    LocalStore("~/link").put(source, "a/b")
    assert (tmp_path / "disk" / "a" / "b").is_file()


def test_symbolic_links_do_not_lead_out_of_the_store(tmp_path, store, source):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (store.root / "link").symlink_to(outside)
    (store.root / "file").symlink_to(outside / "secret")
    for verb in (
        lambda: store.put(source, "link/new"),
        lambda: store.get("link/secret", tmp_path / "copy"),
        lambda: store.stat("file"),
        lambda: store.delete("link/secret"),
        lambda: store.delete("file"),
        lambda: store.open_range("file"),
        lambda: store.list("link"),
    ):
        with pytest.raises(StoreError, match="link"):
            verb()
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert list(store.list()) == []


def test_a_link_inside_the_store_is_no_second_name_of_an_object(tmp_path, store, source):
    """Or deleting the one would delete the other."""
    store.put(source, "a/b")
    (store.root / "alias").symlink_to("a")
    with pytest.raises(StoreError, match="symbolic link"):
        store.delete("alias/b")
    assert store.exists("a/b")


def test_modification_time_is_kept_through_put_and_get(tmp_path, store, source):
    os.utime(source, ns=(0, 1_600_000_000_000_000_000))
    info = store.put(source, "a/b")
    assert info.modified.isoformat() == "2020-09-13T12:26:40+00:00"
    assert store.stat("a/b").modified == info.modified
    store.get("a/b", tmp_path / "copy")
    assert (tmp_path / "copy").stat().st_mtime_ns == 1_600_000_000_000_000_000


def test_stat_does_not_read_the_object_unless_asked(store, source, sha256_of):
    store.put(source, "a/b")
    assert store.stat("a/b").sha256 is None
    assert store.stat("a/b", verify=True).sha256 == sha256_of(b"voltages")


def test_an_object_cut_while_it_is_read_is_an_error(store, source):
    store.put(source, "a/b")
    with store.open_range("a/b") as reader, pytest.raises(StoreError, match="8 bytes early"):
        os.truncate(store.root / "a" / "b", 0)
        reader.read()


def source_is_open(path):
    """Whether this process has the file open, by the system's own list."""
    descriptors = Path("/proc/self/fd")
    return any(os.path.realpath(one) == os.path.realpath(path) for one in descriptors.iterdir())


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_an_open_range_closes_its_file(store, source):
    store.put(source, "a/b")
    reader = store.open_range("a/b")
    assert source_is_open(store.root / "a/b")
    reader.close()
    assert not source_is_open(store.root / "a/b")


def test_an_object_cannot_be_below_another_object(store, source):
    store.put(source, "a/b")
    with pytest.raises(StoreError) as caught:
        store.put(source, "a/b/c")
    assert "is a file" in caught.value.hint
    with pytest.raises(StoreError):
        store.put(source, "a")
    assert [info.path for info in store.list()] == ["a/b"]


def test_fault_39_a_put_is_checked_against_the_recorded_checksum(store, source, sha256_of):
    source.write_bytes(b"voltagez")
    with pytest.raises(IntegrityError):
        store.put(source, "a/b", sha256=sha256_of(b"voltages"))
    assert not store.exists("a/b")


def test_fault_02_an_existing_object_survives_a_second_upload_to_its_path(store, source, tmp_path):
    store.put(source, "JC1/run.bin")
    other = tmp_path / "other.bin"
    other.write_bytes(b"of another session")
    with pytest.raises(IntegrityError, match="left as it is"):
        store.put(other, "JC1/run.bin")
    assert (store.root / "JC1" / "run.bin").read_bytes() == b"voltages"


def test_fault_03_a_missing_object_and_a_store_that_is_away_are_told_apart(store, tmp_path):
    with pytest.raises(MissingObjectError):
        store.stat("a/b", verify=True)
    store.root.rename(tmp_path / "elsewhere")
    with pytest.raises(StoreError) as caught:
        store.exists("a/b")
    assert not isinstance(caught.value, MissingObjectError)


def test_fault_17_files_of_equal_names_in_different_folders_do_not_meet(store, source, tmp_path):
    store.put(source, "plane0/F.npy")
    other = tmp_path / "other.npy"
    other.write_bytes(b"plane 1")
    store.put(other, "plane1/F.npy")
    store.get("plane0/F.npy", tmp_path / "back" / "plane0" / "F.npy")
    assert (tmp_path / "back" / "plane0" / "F.npy").read_bytes() == b"voltages"
    assert store.read_range("plane1/F.npy", start_byte=0, size_bytes=7) == b"plane 1"


def test_the_mark_of_a_store_is_no_object(store, source):
    store.put(source, "a/b")
    (store.root / ".labdata-store").touch()
    assert [info.path for info in store.list()] == ["a/b"]
    with pytest.raises(StoreError, match="kept for labdata"):
        store.put(source, ".labdata-store")


@pytest.mark.parametrize("name", ["lost+found", "System Volume Information", ".snapshot"])
def test_what_the_system_keeps_at_the_top_of_a_disk_is_no_object(store, source, name):
    """Ordinary users may not look into it; what a repair of the disk put there is no garbage."""
    store.put(source, "a/b")
    (store.root / store.folder / name).mkdir()
    (store.root / store.folder / name / "#12345").write_bytes(b"voltages")
    assert [info.path for info in store.list()] == ["a/b"]
    store.put(source, f"a/{name}/c")
    assert [info.path for info in store.list()] == sorted(["a/b", f"a/{name}/c"])
