import errno
import os
import random

import pytest

from labdata.errors import IntegrityError, StoreError
from labdata.stores import Checksums, checksums, copy_hashed, hash_file
from labdata.stores.durable import remove_stale_partials

BLOCK = checksums.BLOCK_BYTES


@pytest.mark.parametrize(
    "content,expected",
    [  # FIPS 180-4 examples, as published by NIST
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (b"a" * 10**6, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ],
)
def test_known_sha256(tmp_path, content, expected):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert hash_file(path) == Checksums(expected, len(content))
    assert hash_file(path, from_disk=True).sha256 == expected


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK])
def test_copy_at_the_edges_of_a_block(tmp_path, sha256_of, size):
    content = random.Random(size).randbytes(size)
    source, copy, steps = tmp_path / "source", tmp_path / "a" / "b" / "copy", []
    source.write_bytes(content)
    found = copy_hashed(source, copy, progress=steps.append)
    assert copy.read_bytes() == content
    assert found == Checksums(sha256_of(content), size)
    assert sum(steps) == size


def test_copy_keeps_the_modification_time(tmp_path):
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(b"x" * 100)
    os.utime(source, ns=(10**18, 1_234_567_890_123_456_789))
    copy_hashed(source, copy)
    assert copy.stat().st_mtime_ns == source.stat().st_mtime_ns


def test_copy_onto_itself_is_success_and_changes_nothing(tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"voltages")
    copy_hashed(source, source)
    assert source.read_bytes() == b"voltages"


def change(kind, source):
    """Change a file as another program would, in the middle of its being read."""
    if kind == "appended":
        with source.open("ab") as writer:
            writer.write(b"more")
    elif kind == "truncated":
        os.truncate(source, BLOCK + 1)
    elif kind == "overwritten":
        with source.open("r+b") as writer:
            writer.write(b"other")
        os.utime(source, ns=(0, source.stat().st_mtime_ns + 1))
    elif kind == "replaced":
        other = source.with_name("other")
        other.write_bytes(source.read_bytes())
        other.replace(source)
    else:
        source.unlink()


@pytest.mark.parametrize("kind", ["appended", "truncated", "overwritten", "replaced", "removed"])
def test_a_source_that_changes_while_it_is_read_is_refused(tmp_path, kind):
    source, folder = tmp_path / "source", tmp_path / "target"
    content = random.Random(1).randbytes(3 * BLOCK)
    for read in (
        hash_file,
        lambda path, progress: copy_hashed(path, folder / "copy", progress=progress),
    ):
        source.write_bytes(content)
        steps = []

        def interfere(advance, steps=steps):
            steps.append(advance)
            if len(steps) == 2:
                change(kind, source)

        with pytest.raises(IntegrityError, match=r"while it was read") as caught:
            read(source, progress=interfere)
        assert str(source) in caught.value.message
        assert "repeat" in caught.value.hint
    assert list(folder.iterdir()) == []


def test_a_source_that_grows_faster_than_it_is_read_ends_in_an_error(tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"x" * 10)
    steps = []

    def grow(advance):
        steps.append(advance)
        with source.open("ab") as writer:
            writer.write(b"x" * 100)

    with pytest.raises(IntegrityError, match="changed"):
        copy_hashed(source, tmp_path / "copy", progress=grow)
    assert len(steps) < 5
    assert not (tmp_path / "copy").exists()


def test_an_interrupted_copy_leaves_nothing(tmp_path):
    source, folder = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"x" * 10)

    def interrupt(advance):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_hashed(source, folder / "copy", progress=interrupt)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("call", ["fsync", "link", "utime"])
def test_a_failing_disk_is_explained_and_leaves_nothing(tmp_path, monkeypatch, code, call):
    source, folder = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"voltages")
    folder.mkdir()

    def fail(*arguments, **options):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(StoreError) as caught:
        copy_hashed(source, folder / "copy")
    monkeypatch.undo()
    assert os.strerror(code) in caught.value.message
    assert str(folder / "copy") in caught.value.message
    assert caught.value.hint
    assert list(folder.iterdir()) == []
    assert copy_hashed(source, folder / "copy").size_bytes == 8


def test_an_unreadable_source_is_not_blamed_on_the_destination(tmp_path, monkeypatch):
    source = tmp_path / "source"
    source.write_bytes(b"voltages")
    real = checksums._read_block

    def fail(reader, path, buffer):
        os.close(reader.fileno())  # as a pulled disk: the next read of it fails
        return real(reader, path, buffer)

    monkeypatch.setattr(checksums, "_read_block", fail)
    with pytest.raises(StoreError, match=r"Could not read .*source"):
        copy_hashed(source, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_short_write_is_noticed(tmp_path, monkeypatch):
    """A disk that says it wrote all and did not."""
    source = tmp_path / "source"
    source.write_bytes(b"voltages")
    real = checksums.flush_file

    def lose(writer):
        real(writer)
        os.truncate(writer.fileno(), 5)

    monkeypatch.setattr(checksums, "flush_file", lose)
    with pytest.raises(IntegrityError, match="8 bytes"):
        copy_hashed(source, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_link_answered_twice_is_a_win(tmp_path, monkeypatch):
    """NFS servers may carry out a link and then answer its repetition."""
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(b"voltages")
    real = os.link

    def twice(one, two):
        real(one, two)
        real(one, two)

    monkeypatch.setattr(os, "link", twice)
    copy_hashed(source, copy)
    assert copy.read_bytes() == b"voltages"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "source"]


def test_without_links_a_name_taken_meanwhile_is_respected(tmp_path, monkeypatch):
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(b"voltages")

    def refuse(one, two):
        copy.write_bytes(b"somebody else's")
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(IntegrityError, match="other content"):
        copy_hashed(source, copy)
    assert copy.read_bytes() == b"somebody else's"


def test_a_destination_that_is_a_folder_or_a_dead_link_is_an_error(tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"voltages")
    (tmp_path / "folder").mkdir()
    (tmp_path / "dead").symlink_to("nowhere")
    for name in ("folder", "dead", "source/below"):
        with pytest.raises(StoreError):
            copy_hashed(source, tmp_path / name)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_no_regular_file_is_refused(tmp_path):
    for source in (tmp_path, "/dev/null"):
        with pytest.raises(StoreError):
            copy_hashed(source, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_only_stale_partials_are_removed(tmp_path, monkeypatch):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    partial = folder / ".labdata-partial-1-ab"
    partial.write_bytes(b"half")
    os.utime(partial, (0, 0))  # a copy that keeps the time of an old recording
    other = folder / ".labdata-notes"
    other.write_bytes(b"keep")
    assert remove_stale_partials(tmp_path) == []
    assert remove_stale_partials(tmp_path, older_than_s=-1.0) == [partial]
    assert [path.name for path in folder.iterdir()] == [".labdata-notes"]
