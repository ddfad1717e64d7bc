"""The embedded database: started by whoever needs it, one a folder, and never in the way."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from labdata.database import embedded
from labdata.database.embedded import USER, EmbeddedDatabase, file_system_type
from labdata.database.mariadb_program import MariaDBProgram, find_program
from labdata.errors import DatabaseError

pytestmark = pytest.mark.database

REPOSITORY = Path(__file__).resolve().parents[2]
START = """
import sys
from pathlib import Path
from labdata.database.embedded import EmbeddedDatabase
database = EmbeddedDatabase(Path(sys.argv[1]))
database.start()
with database._connect() as connection, connection.cursor() as cursor:
    cursor.execute("SELECT @@datadir")
    print(cursor.fetchone()[0])
"""


@pytest.fixture
def database(mariadb_program: MariaDBProgram, tmp_path: Path) -> Iterator[EmbeddedDatabase]:
    made = EmbeddedDatabase(tmp_path / "database")
    yield made
    end_servers(made)


def end_servers(database: EmbeddedDatabase) -> None:
    for pid in server_pids(database):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not server_pids(database))


def server_pids(database: EmbeddedDatabase) -> list[int]:
    """Return the processes whose command line names this database's folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        inside = f"--datadir={database.folder}/data".encode()
        if any(word.startswith(inside) for word in words):
            found.append(int(folder.name))
    return found


def wait_until(condition, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def run(database: EmbeddedDatabase, *statements: str) -> tuple:
    with database._connect() as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall()


def starter(database: EmbeddedDatabase, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", START, str(database.folder)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_first_start_makes_stop_ends_and_data_stay(database: EmbeddedDatabase) -> None:
    assert not database.is_running()
    database.start()
    assert database.is_running()
    assert len(server_pids(database)) == 1
    run(database, "CREATE DATABASE d", "CREATE TABLE d.t (x INT)", "INSERT INTO d.t VALUES (7)")
    database.start()
    assert len(server_pids(database)) == 1
    database.stop()
    assert not database.is_running()
    wait_until(lambda: not [p for p in server_pids(database) if not is_zombie(p)])
    database.stop()
    database.start()
    assert run(database, "SELECT x FROM d.t") == ((7,),)


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def test_only_the_owner_can_read(database: EmbeddedDatabase) -> None:
    database.start()
    assert stat.S_IMODE((database.folder / "password").stat().st_mode) == 0o600
    assert stat.S_IMODE(database.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((database.folder / "data").stat().st_mode) == 0o700
    with pytest.raises(pymysql.OperationalError):
        pymysql.connect(unix_socket=str(database.socket), user=USER, password="guess")
    for user in ("root", "", "mysql"):
        with pytest.raises(pymysql.OperationalError):
            pymysql.connect(unix_socket=str(database.socket), user=user)


def test_it_listens_on_no_network(database: EmbeddedDatabase) -> None:
    database.start()
    assert run(database, "SELECT @@skip_networking") == ((1,),)


def test_large_values_pass(database: EmbeddedDatabase) -> None:
    database.start()
    assert run(database, "SELECT @@max_allowed_packet") == ((1 << 30,),)


@pytest.mark.slow
def test_eight_processes_at_once_start_one_server(database: EmbeddedDatabase) -> None:
    starters = [starter(database) for _ in range(8)]
    answers = [process.communicate(timeout=120) for process in starters]
    assert [process.returncode for process in starters] == [0] * 8, answers
    assert {Path(out.strip()) for out, _ in answers} == {database.folder / "data"}
    assert len(server_pids(database)) == 1


def test_threads_at_once_start_one_server(database: EmbeddedDatabase) -> None:
    threads = [threading.Thread(target=database.start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert database.is_running()
    assert len(server_pids(database)) == 1


def test_the_server_outlives_its_starter(database: EmbeddedDatabase) -> None:
    process = starter(database)
    process.communicate(timeout=60)
    assert database.is_running()


def kill_when(process: subprocess.Popen[str], condition) -> None:
    """Kill a starter as soon as something is the case."""
    deadline = time.monotonic() + 30
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.kill()
    process.wait()


def test_a_starter_killed_while_making_the_database(database: EmbeddedDatabase) -> None:
    process = starter(database)
    kill_when(process, lambda: any(database.folder.glob("data.partial.*/ibdata1")))
    assert not (database.folder / "data").exists()
    database.start()
    assert run(database, "SELECT 1") == ((1,),)
    # what the killed one had begun may have ended only now: the next start removes it
    wait_until(lambda: len([p for p in server_pids(database) if not is_zombie(p)]) == 1)
    database.stop()
    database.start()
    assert not list(database.folder.glob("data.partial*"))


def test_a_starter_killed_just_after_launching(database: EmbeddedDatabase) -> None:
    database.start()
    database.stop()
    wait_until(lambda: not [p for p in server_pids(database) if not is_zombie(p)])
    process = starter(database)
    kill_when(process, lambda: [p for p in server_pids(database) if not is_zombie(p)])
    database.start()
    assert run(database, "SELECT 1") == ((1,),)
    assert len([p for p in server_pids(database) if not is_zombie(p)]) == 1


def test_a_killed_server_recovers_with_its_data(database: EmbeddedDatabase) -> None:
    database.start()
    run(
        database, "CREATE DATABASE d", "CREATE TABLE d.t (x INT)", "INSERT INTO d.t VALUES (1),(2)"
    )
    end_servers(database)
    assert database.socket.exists(), "a killed server leaves its socket; that must not matter"
    assert not database.is_running()
    database.start()
    assert run(database, "SELECT x FROM d.t ORDER BY x") == ((1,), (2,))


def test_a_stopped_server_is_waited_for(database: EmbeddedDatabase) -> None:
    database.start()
    with database._connect() as connection, connection.cursor() as cursor:
        cursor.execute("SHUTDOWN")
    database.start()  # at once, while the old one still has the files open
    assert run(database, "SELECT 1") == ((1,),)


def test_a_foreign_process_named_in_the_pid_file_is_left_alone(
    database: EmbeddedDatabase,
) -> None:
    database.start()
    end_servers(database)
    with subprocess.Popen(["sleep", "60"]) as bystander:
        (database.folder / "pid").write_text(f"{bystander.pid}\n")
        database.start()
        assert database.is_running()
        database.stop()
        assert bystander.poll() is None
        bystander.kill()


@pytest.mark.parametrize("name", ["with spaces and ü", "x" * 60 + "/" + "y" * 80])
def test_any_path_will_do(mariadb_program: MariaDBProgram, tmp_path: Path, name: str) -> None:
    database = EmbeddedDatabase(tmp_path / name / "database")
    try:
        database.start()
        assert len(os.fsencode(database.socket)) <= 107
        assert run(database, "SELECT 1") == ((1,),)
        near = database.socket.parent == database.folder
        assert near == (len(os.fsencode(database.folder / "mariadb.sock")) <= 100)
        assert stat.S_IMODE(database.socket.parent.stat().st_mode) == 0o700
    finally:
        end_servers(database)


def test_a_socket_folder_of_somebody_else_is_refused(
    database: EmbeddedDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a folder to another user")
    long = EmbeddedDatabase(tmp_path / ("z" * 100) / "database")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    long.socket.parent.mkdir(parents=True)
    os.chown(long.socket.parent, 12345, 12345)
    with pytest.raises(DatabaseError, match="belongs to another user"):
        long.start()


def test_another_server_on_the_socket_is_not_taken_for_ours(
    database: EmbeddedDatabase, tmp_path: Path
) -> None:
    database.start()
    other = EmbeddedDatabase(tmp_path / "other")
    other.folder.mkdir()
    shutil.copy(database.folder / "password", other.folder / "password")
    other.socket.symlink_to(database.socket)
    assert not other.is_running()


def test_something_silent_on_the_socket_is_not_waited_for_forever(
    database: EmbeddedDatabase,
) -> None:
    database.folder.mkdir()
    (database.folder / "password").write_text("x")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(database.socket))
        silent.listen()
        start_s = time.monotonic()
        assert not database.is_running()
        assert time.monotonic() - start_s < 15


def test_a_lost_password_file_is_named(database: EmbeddedDatabase) -> None:
    database.start()
    database.stop()
    (database.folder / "password").unlink()
    with pytest.raises(DatabaseError, match="no password file"):
        database.start()
    assert not [p for p in server_pids(database) if not is_zombie(p)]


def test_a_server_that_cannot_start_says_why(database: EmbeddedDatabase) -> None:
    database.start()
    database.stop()
    (database.folder / "data" / "ibdata1").write_bytes(b"damaged")
    with pytest.raises(DatabaseError, match="did not start: ") as caught:
        database.start(timeout_s=20)
    assert "says nothing" not in caught.value.message
    assert str(database.log) in caught.value.hint


def mountinfo(path: Path, folder: Path, kind: str) -> None:
    device = folder.stat().st_dev
    path.write_text(
        "22 1 7:99 / /elsewhere rw shared:1 - ext4 /dev/x rw\n"
        f"36 35 {os.major(device)}:{os.minor(device)} / / rw,noatime shared:2 master:1 - "
        f"{kind} server:/home rw\n"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's mountinfo")
@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "fuse.sshfs", "lustre", "9p"])
def test_a_network_file_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    mountinfo(tmp_path / "mountinfo", tmp_path, kind)
    monkeypatch.setattr(embedded, "_MOUNTS", tmp_path / "mountinfo")
    database = EmbeddedDatabase(tmp_path / "database")
    with pytest.raises(DatabaseError, match="network file system") as caught:
        database.start()
    assert "LABDATA_DATABASE_FOLDER" in caught.value.hint
    assert not (database.folder / "data").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's mountinfo")
def test_a_local_file_system_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mountinfo(tmp_path / "mountinfo", tmp_path, "ext4")
    monkeypatch.setattr(embedded, "_MOUNTS", tmp_path / "mountinfo")
    assert file_system_type(tmp_path) == "ext4"
    embedded.refuse_network_folder(tmp_path)


@pytest.mark.slow
def test_an_ordinary_user_needs_no_root(mariadb_program: MariaDBProgram, tmp_path: Path) -> None:
    if os.getuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("needs root and setpriv to become another user; others run all tests so")
    nobody = pwd.getpwnam("nobody")
    home = Path(f"/tmp/labtest-home-{os.getpid()}")
    home.mkdir(mode=0o755)
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    database = EmbeddedDatabase(home / "database")
    become = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    command = [*become, sys.executable, "-c", START, str(database.folder)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(REPOSITORY)}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    try:
        if subprocess.run([*become, "test", "-r", __file__], check=False).returncode:
            pytest.skip("the ordinary user may not read this repository")
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, cwd=home
        )
        assert done.returncode == 0, done.stderr
        assert (database.folder / "data").stat().st_uid == nobody.pw_uid
    finally:
        end_servers(database)
        shutil.rmtree(home)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("apt-get"), reason="fetching is for Debian and Ubuntu only")
def test_a_fetched_program_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABDATA_MARIADBD", "fetch")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    try:
        program = find_program()
    except DatabaseError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the packages could not be fetched: {error.message}")
    assert program.origin == "fetched"
    assert program.executable.is_relative_to(tmp_path)
    database = EmbeddedDatabase(tmp_path / "database")
    try:
        database.start()
        (pid,) = server_pids(database)
        assert Path(f"/proc/{pid}/exe").resolve() == program.executable.resolve()
    finally:
        end_servers(database)


def test_no_program_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labdata.database.mariadb_program._FOLDERS", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("LABDATA_MARIADBD", raising=False)
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
    with pytest.raises(DatabaseError, match="No MariaDB server") as caught:
        find_program()
    assert "apt install mariadb-server-core" in caught.value.hint


def test_a_named_program_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABDATA_MARIADBD", sys.executable)
    with pytest.raises(DatabaseError, match="LABDATA_MARIADBD names"):
        find_program()


def test_servers_leave_each_other_their_temporary_tables(tmp_path: Path) -> None:
    """A starting server removes the temporary tables in its folder; none may be another's."""
    import pymysql

    first = EmbeddedDatabase(tmp_path / "first")
    ended = threading.Event()
    errors: list[str] = []

    def ask(cursor: Any) -> None:
        while not ended.is_set():
            try:
                cursor.execute(
                    "SELECT table_name, column_name, COUNT(*) FROM information_schema.columns "
                    "GROUP BY 1, 2 ORDER BY 3 DESC"
                )
                cursor.fetchall()
            except pymysql.MySQLError as error:
                errors.append(str(error))
                return

    try:
        first.start()
        with (
            pymysql.connect(
                unix_socket=str(first.socket), user="labdata", password=first.password()
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SET tmp_memory_table_size = 0")  # temporary tables go to disk
            asking = threading.Thread(target=ask, args=(cursor,))
            asking.start()
            for number in range(3):
                other = EmbeddedDatabase(tmp_path / f"other {number}")
                other.start()
                other.stop()
            ended.set()
            asking.join()
        assert errors == []
    finally:
        ended.set()
        first.stop()
