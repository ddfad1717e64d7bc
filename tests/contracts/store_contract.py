"""The promises of a store, as tests that every kind of store runs.

Subclass :class:`StoreContract` in a ``test_*.py`` beside this file, give it a ``store`` fixture
with an empty store, and ``tamper``, which changes stored bytes behind the store's back. Content is
compared with what the test itself wrote or with hashlib, never with what the store says of itself.
"""

import hashlib
import random
import threading
from datetime import UTC, datetime, timedelta

import pytest

from labdata.errors import IntegrityError, LabdataError, MissingObjectError, StoreError
from labdata.stores import Store

BAD_PATHS = [
    "",
    "/etc/passwd",
    "../outside",
    "a/../../outside",
    "a/./b",
    "a//b",
    "a/",
    "a\\b",
    "..\\outside",
    "C:/windows",
    "a\0b",
    "a\nb",
    "a/.labdata-partial-1",
    "x" * 256,
    "/".join(["x" * 99] * 11),
    "\udcff",
    None,
    7,
]

#: Crosses several blocks of a copy and ends inside one.
LARGE_BYTES = 9 * 1024 * 1024 + 17


def sha256_of(content):
    return hashlib.sha256(content).hexdigest()


class StoreContract:
    """Tests of one store, through its verbs only."""

    @pytest.fixture
    def store(self) -> Store:
        """Return an empty store."""
        raise NotImplementedError("a subclass gives the store to test")

    @pytest.fixture
    def tamper(self, store):
        """Return a callable (object_path, content) that replaces stored bytes behind its back."""
        raise NotImplementedError("a subclass knows how to reach its bytes")

    @pytest.fixture
    def make_file(self, tmp_path):
        """Return a callable that writes bytes to a new file outside the store."""
        folder = tmp_path / "sources"
        folder.mkdir()

        def make(content):
            path = folder / f"file-{len(list(folder.iterdir()))}.bin"
            path.write_bytes(content)
            return path

        return make

    @pytest.fixture
    def put(self, store, make_file):
        """Return a callable that stores bytes."""
        return lambda content, object_path: store.put(make_file(content), object_path)

    # --- put -----------------------------------------------------------------------------------

    @pytest.mark.parametrize("size", [0, 1, 4096, LARGE_BYTES])
    def test_put_then_get_gives_the_same_bytes(self, store, make_file, tmp_path, size):
        content = random.Random(size).randbytes(size)
        info = store.put(make_file(content), "JC1/20240101_120000/ephys/run.bin")
        assert (info.path, info.size_bytes) == ("JC1/20240101_120000/ephys/run.bin", size)
        assert info.sha256 == sha256_of(content)
        destination = tmp_path / "new folder" / "copy.bin"
        found = store.get(info.path, destination)
        assert destination.read_bytes() == content
        assert (found.sha256, found.size_bytes) == (sha256_of(content), size)

    def test_put_of_equal_content_again_is_success(self, store, put):
        first = put(b"voltages", "a/b")
        again = put(b"voltages", "a/b")
        assert again.sha256 == first.sha256
        assert [info.path for info in store.list()] == ["a/b"]

    @pytest.mark.parametrize("other", [b"Voltages", b"", b"voltages and more"])
    def test_put_of_other_content_is_refused_and_the_object_kept(self, store, put, other):
        put(b"voltages", "a/b")
        with pytest.raises(IntegrityError):
            put(other, "a/b")
        assert store.read_range("a/b", start_byte=0, size_bytes=8) == b"voltages"
        assert store.stat("a/b", verify=True).sha256 == sha256_of(b"voltages")

    def test_put_checks_the_expected_checksum(self, store, make_file):
        with pytest.raises(IntegrityError, match=sha256_of(b"expected")):
            store.put(make_file(b"got"), "a/b", sha256=sha256_of(b"expected"))
        assert list(store.list()) == []
        store.put(make_file(b"got"), "a/b", sha256=sha256_of(b"got").upper())
        assert store.exists("a/b")

    @pytest.mark.parametrize("sha256", ["", "0", "z" * 64, "0" * 63, 0])
    def test_put_and_get_refuse_what_is_no_checksum(self, store, make_file, put, tmp_path, sha256):
        with pytest.raises(StoreError, match="SHA-256"):
            store.put(make_file(b"x"), "a/b", sha256=sha256)
        put(b"x", "a/c")
        with pytest.raises(StoreError, match="SHA-256"):
            store.get("a/c", tmp_path / "copy", sha256=sha256)
        assert not (tmp_path / "copy").exists()

    def test_put_of_a_missing_file_or_a_folder_is_an_error(self, store, tmp_path):
        for source in (tmp_path / "none.bin", tmp_path):
            with pytest.raises(StoreError) as caught:
                store.put(source, "a/b")
            assert str(source) in caught.value.message
        assert list(store.list()) == []

    def test_put_leaves_its_source_alone(self, store, make_file):
        source = make_file(b"voltages")
        before = source.stat()
        store.put(source, "a/b")
        assert source.read_bytes() == b"voltages"
        assert source.stat().st_mtime_ns == before.st_mtime_ns

    def test_progress_adds_up_to_the_size(self, store, make_file, tmp_path):
        content = random.Random(1).randbytes(LARGE_BYTES)
        put_steps, get_steps = [], []
        store.put(make_file(content), "a/b", progress=put_steps.append)
        store.get("a/b", tmp_path / "copy", progress=get_steps.append)
        for steps in (put_steps, get_steps):
            assert sum(steps) == LARGE_BYTES
            assert len(steps) > 1

    # --- get -----------------------------------------------------------------------------------

    def test_get_of_changed_bytes_is_an_error_and_leaves_no_file(
        self, store, put, tamper, tmp_path
    ):
        content = random.Random(2).randbytes(LARGE_BYTES)
        put(content, "a/b")
        flipped = bytearray(content)
        flipped[LARGE_BYTES // 2] ^= 1
        tamper("a/b", bytes(flipped))
        folder = tmp_path / "target"
        folder.mkdir()
        with pytest.raises(IntegrityError):
            store.get("a/b", folder / "copy", sha256=sha256_of(content))
        assert list(folder.iterdir()) == []

    def test_get_of_a_truncated_object_is_an_error(self, store, put, tamper, tmp_path):
        put(b"voltages", "a/b")
        tamper("a/b", b"voltage")
        with pytest.raises(StoreError):
            store.get("a/b", tmp_path / "copy", sha256=sha256_of(b"voltages"))
        assert not (tmp_path / "copy").exists()

    def test_get_never_replaces_a_file(self, store, put, tmp_path):
        put(b"voltages", "a/b")
        target = tmp_path / "copy"
        target.write_bytes(b"an analysis")
        with pytest.raises(IntegrityError):
            store.get("a/b", target)
        assert target.read_bytes() == b"an analysis"
        target.write_bytes(b"voltages")
        assert store.get("a/b", target).sha256 == sha256_of(b"voltages")

    # --- stat, exists, delete ------------------------------------------------------------------

    def test_what_is_not_there_is_said_to_be_missing(self, store, put, tmp_path):
        put(b"x", "a/b")
        for path in ("none", "a", "a/none", "a/b/c"):
            assert not store.exists(path)
            for ask in (store.stat, store.open_range):
                with pytest.raises(MissingObjectError) as caught:
                    ask(path)
                assert path in caught.value.message
                assert caught.value.hint
            with pytest.raises(MissingObjectError):
                store.get(path, tmp_path / "copy")
        assert not (tmp_path / "copy").exists()

    def test_stat_says_size_time_and_nothing_it_does_not_know(self, store, put):
        put(b"voltages", "a/b")
        info = store.stat("a/b")
        assert (info.path, info.size_bytes) == ("a/b", 8)
        assert info.sha256 in (None, sha256_of(b"voltages"))
        assert info.modified.tzinfo is not None
        assert abs(info.modified - datetime.now(UTC)) < timedelta(minutes=5)

    def test_stat_verify_reads_the_content_itself(self, store, put, tamper):
        put(b"voltages", "a/b")
        steps = []
        info = store.stat("a/b", verify=True, progress=steps.append)
        assert info.sha256 == sha256_of(b"voltages")
        assert sum(steps) in (0, 8)  # a store that verifies on its own side reads nothing here
        tamper("a/b", b"Voltages")
        try:
            now = store.stat("a/b", verify=True).sha256
        except IntegrityError:
            return
        assert now == sha256_of(b"Voltages")

    def test_delete_removes_one_object_and_can_be_repeated(self, store, put):
        put(b"1", "a/b")
        put(b"2", "a/bc")
        store.delete("a/b")
        store.delete("a/b")
        assert not store.exists("a/b")
        assert [info.path for info in store.list()] == ["a/bc"]

    def test_a_folder_cannot_be_deleted_as_an_object(self, store, put):
        put(b"1", "a/b")
        store.delete("a")
        assert store.exists("a/b")

    def test_a_deleted_path_can_be_used_again(self, store, put):
        put(b"1", "a/b")
        store.delete("a/b")
        put(b"other", "a/b")
        assert store.read_range("a/b", start_byte=0, size_bytes=5) == b"other"

    # --- list ----------------------------------------------------------------------------------

    def test_list_is_complete_and_ordered_by_path(self, store, put):
        paths = ["b", "a/z", "a-b/c", "a/b/c", "a/b.bin", "a.txt", "ä/é 1.bin", "a/b/ c"]
        for index, path in enumerate(paths):
            put(b"x" * index, path)
        assert [info.path for info in store.list()] == sorted(paths)
        assert {info.path: info.size_bytes for info in store.list()} == {
            path: index for index, path in enumerate(paths)
        }

    def test_list_takes_a_folder_not_a_prefix(self, store, put):
        for path in ("run/1", "run/2/3", "run2/1", "run.txt"):
            put(b"x", path)
        assert [info.path for info in store.list("run")] == ["run/1", "run/2/3"]
        assert [info.path for info in store.list("run/2")] == ["run/2/3"]
        assert list(store.list("none")) == []
        assert list(store.list("run.txt")) == []

    # --- ranges --------------------------------------------------------------------------------

    @pytest.mark.parametrize("start,size", [(0, 0), (0, 1), (3, 5), (99, 1), (100, 0), (0, 100)])
    def test_a_range_is_what_slicing_gives(self, store, put, start, size):
        content = bytes(range(100))
        put(content, "a/b")
        found = store.read_range("a/b", start_byte=start, size_bytes=size)
        assert found == content[start : start + size]
        with store.open_range("a/b", start_byte=start) as reader:
            assert reader.read() == content[start:]

    def test_an_open_range_gives_pieces_and_then_its_end(self, store, put):
        content = random.Random(3).randbytes(LARGE_BYTES)
        put(content, "a/b")
        with store.open_range("a/b", start_byte=5, size_bytes=LARGE_BYTES - 10) as reader:
            pieces = list(iter(lambda: reader.read(1_000_003), b""))
            assert reader.read(1) == b""
        assert b"".join(pieces) == content[5:-5]

    @pytest.mark.parametrize("start,size", [(-1, 1), (0, 101), (100, 1), (101, 0), (50, -1)])
    def test_a_range_outside_the_object_is_an_error(self, store, put, start, size):
        put(bytes(100), "a/b")
        with pytest.raises(StoreError, match="100 bytes"):
            store.read_range("a/b", start_byte=start, size_bytes=size)

    # --- paths ---------------------------------------------------------------------------------

    @pytest.mark.parametrize("path", BAD_PATHS, ids=repr)
    def test_no_verb_takes_a_path_that_could_leave_the_store(
        self, store, make_file, tmp_path, path
    ):
        before = sorted(tmp_path.rglob("*"))
        source = make_file(b"x")
        verbs = [
            lambda: store.put(source, path),
            lambda: store.get(path, tmp_path / "copy"),
            lambda: store.stat(path),
            lambda: store.delete(path),
            lambda: store.open_range(path),
            lambda: store.read_range(path, start_byte=0, size_bytes=1),
        ]
        if path != "":
            verbs.append(lambda: list(store.list(path)))
        for verb in verbs:
            with pytest.raises(StoreError) as caught:
                verb()
            assert not isinstance(caught.value, MissingObjectError)
            assert caught.value.hint
        source.unlink()
        assert sorted(tmp_path.rglob("*")) == before

    @pytest.mark.parametrize(
        "path",
        ["é/日本.bin", "a b/c'd\"e;f.bin", "..a/b..c", "100%/x?y&z=#", "-rf", ".hidden"],
    )
    def test_unusual_but_valid_names_work(self, store, put, path):
        put(b"x", path)
        assert store.exists(path)
        assert [info.path for info in store.list()] == [path]
        store.delete(path)
        assert not store.exists(path)

    def test_what_is_at_hand_need_not_be_asked_back(self, store, put):
        put(b"x", "a")
        assert not store.restore("a").archived
        assert not store.restore_state("a").archived
        for ask in (store.restore, store.restore_state):
            with pytest.raises(MissingObjectError):
                ask("none")
        with pytest.raises(StoreError, match="days"):
            store.restore("a", days=0)

    # --- several at once -----------------------------------------------------------------------

    def test_of_concurrent_writers_of_different_content_one_wins(self, store, make_file):
        contents = [bytes([index]) * 300_000 for index in range(6)]
        sources = [make_file(content) for content in contents]
        barrier = threading.Barrier(len(sources))
        outcomes = [None] * len(sources)

        def write(index):
            barrier.wait()
            try:
                outcomes[index] = store.put(sources[index], "a/b").sha256
            except LabdataError as error:
                outcomes[index] = error

        _run_all(write, len(sources))
        won = [index for index, outcome in enumerate(outcomes) if isinstance(outcome, str)]
        assert len(won) == 1
        assert all(isinstance(o, IntegrityError) for i, o in enumerate(outcomes) if i not in won)
        stored = store.read_range("a/b", start_byte=0, size_bytes=300_000)
        assert stored == contents[won[0]]

    def test_concurrent_writers_of_equal_content_all_succeed(self, store, make_file):
        sources = [make_file(b"z" * 300_000) for _ in range(6)]
        outcomes = [None] * len(sources)

        def write(index):
            outcomes[index] = store.put(sources[index], "a/b").sha256

        _run_all(write, len(sources))
        assert outcomes == [sha256_of(b"z" * 300_000)] * len(sources)

    @pytest.mark.parametrize("known", [True, False])
    def test_concurrent_readers_to_one_place_all_get_the_whole(self, store, put, tmp_path, known):
        content = bytes(range(256)) * 40_000
        put(content, "a/b")
        target, outcomes = tmp_path / "got" / "b", [None] * 5
        expected = sha256_of(content) if known else None

        def read(index):
            outcomes[index] = store.get("a/b", target, sha256=expected).sha256

        for _ in range(4):
            target.unlink(missing_ok=True)
            _run_all(read, len(outcomes))
            assert outcomes == [sha256_of(content)] * len(outcomes)
            assert target.read_bytes() == content
        assert [path.name for path in target.parent.iterdir()] == ["b"]

    # --- a person's view -----------------------------------------------------------------------

    def test_check_access_finds_a_usable_store_and_leaves_no_object(self, store):
        report = store.check_access()
        assert report.ok, str(report)
        assert [step.name for step in report.steps] == ["write", "read", "keep", "list", "delete"]
        assert list(store.list()) == []

    def test_describe_is_one_line(self, store):
        assert store.describe()
        assert "\n" not in store.describe()

    def test_there_are_no_partials_after_success_or_refusal(self, store, put):
        put(b"voltages", "a/b")
        with pytest.raises(IntegrityError):
            put(b"other", "a/b")
        assert store.remove_partials(older_than_s=-1.0) == 0
        assert store.exists("a/b")

    # --- copy --------------------------------------------------------------------------------

    def test_a_copy_is_whole_and_stays_when_the_first_is_deleted(self, store, tmp_path):
        content = random.Random(5).randbytes(LARGE_BYTES)
        (tmp_path / "source").write_bytes(content)
        store.put(tmp_path / "source", "a/first")
        done = []
        info = store.copy("a/first", "b/c/second", sha256=sha256_of(content), progress=done.append)
        assert (info.path, info.sha256, info.size_bytes) == (
            "b/c/second",
            sha256_of(content),
            len(content),
        )
        assert sum(done) == len(content)
        store.delete("a/first")
        assert [found.path for found in store.list()] == ["b/c/second"]
        size = len(content)
        assert store.read_range("b/c/second", start_byte=0, size_bytes=size) == content

    def test_a_copy_overwrites_nothing_and_can_be_repeated(self, store, tmp_path):
        for name in ("one", "two"):
            (tmp_path / name).write_bytes(name.encode())
            store.put(tmp_path / name, name)
        with pytest.raises(IntegrityError):
            store.copy("one", "two")
        assert store.read_range("two", start_byte=0, size_bytes=3) == b"two"
        for _ in range(2):
            assert store.copy("one", "three").sha256 == sha256_of(b"one")
        with pytest.raises(MissingObjectError):
            store.copy("none", "four")
        assert [found.path for found in store.list()] == ["one", "three", "two"]

    def test_a_damaged_object_is_not_copied(self, store, tmp_path, tamper):
        (tmp_path / "source").write_bytes(b"right")
        store.put(tmp_path / "source", "a")
        tamper("a", b"wrong")
        with pytest.raises(IntegrityError):
            store.copy("a", "b", sha256=sha256_of(b"right"))
        assert [found.path for found in store.list()] == ["a"]


def _run_all(target, count):
    threads = [threading.Thread(target=target, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
