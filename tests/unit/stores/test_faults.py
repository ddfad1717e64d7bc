"""Killed writers, rival processes, full and read-only disks: the store stays true."""

import signal
import subprocess
import sys
import textwrap

import pytest

from labdata.errors import StoreError
from labdata.stores import LocalStore

#: Kill this process, as a power cut would, at the n-th call of a system call.
PUT_AND_DIE = """
    import os, signal, sys
    from labdata.stores import LocalStore
    root, source, call, when = sys.argv[1:]
    def die(*arguments, **options):
        if when == "after":
            real(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)
    if call == "progress":
        steps = []
        def progress(advance):
            steps.append(advance)
            if len(steps) == int(when):
                os.kill(os.getpid(), signal.SIGKILL)
    else:
        from labdata.progress import ignore_progress as progress
        real = getattr(os, call)
        setattr(os, call, die)
    LocalStore(root).put(source, "a/b.bin", progress=progress)
"""

POINTS = [
    ("progress", "1"),
    ("progress", "2"),
    ("utime", "before"),
    ("utime", "after"),
    ("link", "before"),
    ("link", "after"),
    ("unlink", "before"),
    ("unlink", "after"),
]

LARGE_BYTES = 9 * 1024 * 1024


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.bin"
    path.write_bytes(bytes(range(256)) * (LARGE_BYTES // 256))
    return path


@pytest.mark.parametrize("call,when", POINTS)
def test_a_put_killed_at_any_step_leaves_a_whole_object_or_none(
    run_python, store, source, call, when
):
    done = run_python(PUT_AND_DIE, store.root, source, call, when)
    assert done.returncode == -signal.SIGKILL, done.stderr
    final = store.root / "a" / "b.bin"
    complete = call == "unlink" or (call, when) == ("link", "after")
    assert final.exists() == complete
    assert [info.path for info in store.list()] == (["a/b.bin"] if complete else [])
    if complete:
        assert final.read_bytes() == source.read_bytes()
    left = [path for path in (store.root / "a").iterdir() if path != final]
    assert all(path.name.startswith(".labdata-partial-") for path in left)
    assert len(left) == (0 if (call, when) == ("unlink", "after") else 1)

    store.put(source, "a/b.bin")
    assert final.read_bytes() == source.read_bytes()
    assert store.remove_partials() == 0  # it is young: its writer might live
    assert store.remove_partials(older_than_s=-1.0) == len(left)
    assert [path.name for path in (store.root / "a").iterdir()] == ["b.bin"]
    assert final.read_bytes() == source.read_bytes()


def test_a_kill_at_any_moment_leaves_a_whole_object_or_none(tmp_path, store, source):
    """Killed from outside at moments that nobody chose."""
    code = textwrap.dedent("""
        import sys
        from labdata.stores import LocalStore
        store = LocalStore(sys.argv[1])
        print("ready", flush=True)
        for index in range(10_000):
            store.put(sys.argv[2], f"run/{index}")
    """)
    for moment_s in (0.003, 0.02, 0.055, 0.13):
        writer = subprocess.Popen(
            [sys.executable, "-c", code, str(store.root), str(source)], stdout=subprocess.PIPE
        )
        assert writer.stdout.readline() == b"ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(moment_s)
        writer.kill()
        writer.communicate()
        for info in store.list():
            assert (store.root / info.path).read_bytes() == source.read_bytes()
    store.remove_partials(older_than_s=-1.0)
    assert not [p for p in store.root.rglob("*") if p.name.startswith(".labdata-partial-")]


@pytest.mark.parametrize("links", [True, False])
def test_of_rival_processes_one_wins(tmp_path, store, links):
    """Several rounds: each process writes its own content to the same paths."""
    code = textwrap.dedent("""
        import errno, os, sys
        from labdata.errors import IntegrityError
        from labdata.stores import LocalStore
        root, source, links = sys.argv[1:]
        if links == "False":
            def refuse(one, two):
                raise OSError(errno.EOPNOTSUPP, "no links here")
            os.link = refuse
        store = LocalStore(root)
        print("ready", flush=True)
        sys.stdin.readline()
        for index in range(40):
            try:
                store.put(source, f"a/{index}")
                print("won", flush=True)
            except IntegrityError:
                print("lost", flush=True)
    """)
    contents = [bytes([65 + index]) * 50_000 for index in range(3)]
    writers = []
    for index, content in enumerate(contents):
        source = tmp_path / f"source{index}"
        source.write_bytes(content)
        writers.append(
            subprocess.Popen(
                [sys.executable, "-c", code, str(store.root), str(source), str(links)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    outcomes = [writer.communicate(timeout=120)[0].split() for writer in writers]
    for index in range(40):
        won = [number for number, outcome in enumerate(outcomes) if outcome[index] == "won"]
        assert len(won) == 1
        assert (store.root / "a" / str(index)).read_bytes() == contents[won[0]]
    assert store.remove_partials(older_than_s=-1.0) == 0


def test_a_limit_on_file_size_is_explained_and_leaves_nothing(run_python, store, source):
    done = run_python(
        """
        import resource, sys
        from labdata.errors import StoreError
        from labdata.stores import LocalStore
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, 5_000_000))
        try:
            LocalStore(sys.argv[1]).put(sys.argv[2], "a/b")
        except StoreError as error:
            print(error)
        """,
        store.root,
        source,
    )
    assert "File too large" in done.stdout, done.stderr
    assert "ulimit" in done.stdout
    assert [path for path in store.root.rglob("*") if path.is_file()] == []


def test_a_full_disk_is_explained_and_leaves_nothing(small_disk, source, tmp_path):
    disk = small_disk("size=4m")
    store = LocalStore(disk)
    small = tmp_path / "small"
    small.write_bytes(b"x" * 1000)
    store.put(small, "before")
    with pytest.raises(StoreError, match="No space left") as caught:
        store.put(source, "a/b")
    assert "Free some space" in caught.value.hint
    assert [info.path for info in store.list()] == ["before"]
    assert store.remove_partials(older_than_s=-1.0) == 0
    assert store.put(small, "after").size_bytes == 1000


def test_a_full_disk_at_the_receiving_end_of_get(small_disk, store, source):
    store.put(source, "a/b")
    disk = small_disk("size=4m")
    with pytest.raises(StoreError, match="No space left"):
        store.get("a/b", disk / "copy")
    assert list(disk.iterdir()) == []


def test_a_read_only_disk_is_explained(small_disk, source):
    store = LocalStore(small_disk("size=4m", "ro"))
    with pytest.raises(StoreError, match="Read-only") as caught:
        store.put(source, "a/b")
    assert "permissions" in caught.value.hint
    report = store.check_access()
    assert not report.ok
    assert [step.name for step in report.steps] == ["write"]
    assert "Read-only" in str(report)
    assert "NOT usable" in str(report)


def test_a_folder_without_permission_is_explained(run_python, tmp_path):
    """As root nothing is refused, so the test becomes an ordinary user if it has to."""
    done = run_python(
        """
        import os, sys, tempfile
        from labdata.errors import StoreError
        from labdata.stores import LocalStore
        if os.geteuid() == 0:
            os.seteuid(65534)
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            root, source = f"{folder}/root", f"{folder}/source"
            os.mkdir(root)
            open(source, "wb").close()
            os.chmod(root, 0o500)
            try:
                LocalStore(root).put(source, "b")
            except StoreError as error:
                print(error)
        """
    )
    assert "Permission denied" in done.stdout, done.stderr
    assert "who owns" in done.stdout
