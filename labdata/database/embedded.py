"""The embedded database: a private MariaDB that labdata starts for its user.

It listens on a unix socket only, keeps its data in the user's labdata folder, outlives the process
that started it and is shared by all of the user's processes. The truth about whether it runs is
whether its socket answers with this server's data folder; process ids are never trusted. Whoever
finds it silent takes one lock and starts it, so that any number of processes may try at once.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DatabaseError
from .locks import hold_lock
from .mariadb_program import MariaDBProgram, find_program, system_table_scripts

logger = logging.getLogger(__name__)

USER = "labdata"
_MOUNTS = Path("/proc/self/mountinfo")
#: A socket's path may have at most 107 bytes on Linux, 103 on macOS.
_SOCKET_BYTES = 100
_NETWORK = frozenset(
    [
        "nfs",
        "cifs",
        "smb",
        "smbfs",
        "smb2",
        "smb3",
        "9p",
        "afs",
        "afpfs",
        "webdav",
        "lustre",
        "gpfs",
        "beegfs",
        "ceph",
        "glusterfs",
        "sshfs",
        "ncpfs",
        "orangefs",
        "pvfs2",
        "fuse.sshfs",
        "fuse.glusterfs",
        "fuse.ceph",
        "fuse.s3fs",
        "fuse.rclone",
    ]
)


@dataclass(frozen=True)
class EmbeddedDatabase:
    """A private MariaDB in a folder of the user's.

    Attributes
    ----------
    folder : Path
        Holds ``data``, ``password`` (mode 0600), ``server.log`` and the lock.
    """

    folder: Path

    @property
    def socket(self) -> Path:
        """Path of its unix socket; in the temporary folder where this one's path is too long."""
        near = self.folder / "mariadb.sock"
        if len(os.fsencode(near)) <= _SOCKET_BYTES:
            return near
        name = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"labdata-{os.getuid()}" / f"{name}.sock"

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.folder / "server.log"

    def password(self) -> str:
        """Return the password of the database's only account.

        Raises
        ------
        DatabaseError
            If its file is missing.
        """
        try:
            return (self.folder / "password").read_text().strip()
        except FileNotFoundError:
            raise DatabaseError(
                f"{self.folder} has no password file.",
                hint="Was the database started? `labdata doctor` starts it.",
            ) from None

    def is_running(self) -> bool:
        """Whether this database, and no other, answers on its socket."""
        import pymysql

        try:
            with self._connect() as connection, connection.cursor() as cursor:
                cursor.execute("SELECT @@datadir")
                data = cursor.fetchone()[0]
        except (OSError, pymysql.MySQLError, DatabaseError):
            return False
        return Path(data).resolve() == (self.folder / "data").resolve()

    def start(self, *, timeout_s: float = 60.0) -> None:
        """Make the database if it is new, start it if it is down, and wait until it answers.

        Parameters
        ----------
        timeout_s : float, optional
            How long to wait for an answer; recovery after a crash can take a while.

        Raises
        ------
        DatabaseError
            If the folder is on a network file system, there is no server program, or the server
            does not start; the message quotes its log.
        """
        if self.is_running():
            return
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        refuse_network_folder(self.folder)
        with hold_lock(self.folder / "lock", timeout_s=timeout_s + 60):
            if self.is_running():
                return
            if self._is_held():
                # its starter was killed, or it is recovering or shutting down: one server only
                self._await(timeout_s)
                if self.is_running():
                    return
            program = find_program()
            if not (self.folder / "data").is_dir():
                self._make(program)
            self.password()  # without it the server would answer to nobody
            self._launch(program, timeout_s)

    def stop(self, *, timeout_s: float = 60.0) -> None:
        """Shut the server down and wait until its socket is silent.

        Parameters
        ----------
        timeout_s : float, optional
            How long to wait.

        Raises
        ------
        DatabaseError
            If it still answers then.
        """
        if not self.is_running():
            return
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute("SHUTDOWN")
        deadline = time.monotonic() + timeout_s
        while self._is_held():
            if time.monotonic() > deadline:
                raise DatabaseError(
                    f"The database in {self.folder} did not stop in {timeout_s:.0f} s.",
                    hint=f"It may be writing still; its log is {self.log}.",
                )
            time.sleep(0.02)

    def _is_held(self) -> bool:
        """Whether a server runs on the data, answering or not: it inherited a lock from its start.

        MariaDB's own locks on its files come too late for this: between the start of a server and
        its first lock a second one could be started, which then would fail or, worse, not.
        """
        import fcntl

        with self._server_lock.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    @property
    def _server_lock(self) -> Path:
        return self.folder / "server.lock"

    def _await(self, timeout_s: float) -> None:
        """Wait until the server that has the data open answers, or lets go of them."""
        deadline = time.monotonic() + timeout_s
        while self._is_held() and not self.is_running():
            if time.monotonic() > deadline:
                raise DatabaseError(
                    f"The server of {self.folder} has not answered for {timeout_s:.0f} s: "
                    f"{self._reason()}",
                    hint=f"It may be recovering, so wait; its log is {self.log}.",
                )
            time.sleep(0.02)

    def _connect(self) -> Any:
        import pymysql

        try:
            return pymysql.connect(
                unix_socket=str(self.socket),
                user=USER,
                password=self.password(),
                autocommit=True,
                read_timeout=10,
                ssl_disabled=True,  # nobody else hears what goes through a socket file
            )
        except pymysql.MySQLError as error:
            raise DatabaseError(
                f"The database in {self.folder} does not answer: {error}"
            ) from None

    def _make(self, program: MariaDBProgram) -> None:
        """Make the system tables and the account beside their place, then move them there."""
        logger.info("Making a database in %s", self.folder)
        # a new name, as the server of a killed starter may still be writing to the old one
        partial = Path(tempfile.mkdtemp(prefix="data.partial.", dir=self.folder))
        password = secrets.token_urlsafe(24)
        lines = ["create database mysql;", "use mysql;", "set @auth_root_socket=NULL;"]
        lines.append("set @skip_auth_anonymous=1;")
        script = "\n".join(lines) + "\n"
        script += "".join(p.read_text() for p in system_table_scripts(program.share))
        script += (
            "\nFLUSH PRIVILEGES;\nDELETE FROM mysql.global_priv WHERE User='root';\n"
            f"CREATE USER '{USER}'@'localhost' IDENTIFIED BY '{password}';\n"
            f"GRANT ALL PRIVILEGES ON *.* TO '{USER}'@'localhost' WITH GRANT OPTION;\n"
        )
        command = [*self._command(program, partial), "--bootstrap", "--log-warnings=0"]
        done = subprocess.run(
            [*command, "--enforce-storage-engine="],
            input=script,
            env=program.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DatabaseError(
                f"MariaDB could not make a database in {self.folder}: {_last_line(done.stderr)}",
                hint="Is the disk full, or the folder not yours?",
            )
        password_file = self.folder / "password"
        password_file.unlink(missing_ok=True)
        descriptor = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(password + "\n")
        partial.rename(self.folder / "data")

    def _launch(self, program: MariaDBProgram, timeout_s: float) -> None:
        for left in self.folder.glob("data.partial.*"):  # of starters that were killed
            shutil.rmtree(left, ignore_errors=True)
        log_start = self.log.stat().st_size if self.log.exists() else 0
        self.socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.socket.parent.stat().st_uid != os.getuid():
            raise DatabaseError(f"{self.socket.parent} belongs to another user.")
        command = self._command(program, self.folder / "data")
        command += [
            f"--socket={self.socket}",
            "--skip-networking",
            f"--pid-file={self.folder / 'pid'}",
            f"--log-error={self.log}",
            "--innodb-buffer-pool-size=128M",
            "--max-allowed-packet=1G",
            "--performance-schema=OFF",
            "--skip-log-bin",
            "--character-set-server=utf8mb4",
        ]
        process = self._spawn(command, program)
        deadline = time.monotonic() + timeout_s
        while not self.is_running():
            if process.poll() is not None or time.monotonic() > deadline:
                raise DatabaseError(
                    f"The database in {self.folder} did not start: {self._reason(log_start)}",
                    hint=f"Its log is {self.log}.",
                )
            time.sleep(0.02)
        _running.append(process)

    def _spawn(self, command: list[str], program: MariaDBProgram) -> subprocess.Popen[bytes]:
        """Start the server with the lock that says so, which ends with it and not with us."""
        import fcntl

        with self._server_lock.open("a") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            return subprocess.Popen(
                command,
                env=program.environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
                pass_fds=[held.fileno()],
            )

    def _command(self, program: MariaDBProgram, data: Path) -> list[str]:
        command = [str(program.executable), "--no-defaults", f"--datadir={data}"]
        command += [f"--basedir={program.share.parent.parent}"]
        command += [f"--lc-messages-dir={program.share}"]
        # of its own: a starting server removes the temporary tables it finds, whosever they are
        scratch = self.folder / "tmp"
        scratch.mkdir(exist_ok=True, mode=0o700)
        command += [f"--tmpdir={scratch}"]
        if os.getuid() == 0:
            command.append("--user=root")
        return command

    def _reason(self, log_start: int = 0) -> str:
        data = self.log.read_bytes()[log_start:] if self.log.exists() else b""
        text = data.decode(errors="replace")
        errors = [line for line in text.splitlines() if "[ERROR]" in line]
        return errors[-1].split("[ERROR]")[1].strip() if errors else "its log says nothing"


#: Servers started by this process; kept so that their ends are not reported as forgotten children.
_running: list[subprocess.Popen[bytes]] = []


def refuse_network_folder(folder: Path) -> None:
    """Refuse a folder on a network file system, where a database is not safe.

    Parameters
    ----------
    folder : Path
        An existing folder.

    Raises
    ------
    DatabaseError
        If its file system is one of the known network file systems.
    """
    kind = file_system_type(folder)
    if kind.lower() in _NETWORK:
        raise DatabaseError(
            f"{folder} is on a network file system ({kind}), where a database can be damaged.",
            hint="Set LABDATA_DATABASE_FOLDER to a folder on a local disk, or name the lab's "
            "server as database.host in the preference file.",
        )


def file_system_type(folder: Path) -> str:
    """Return the type of the file system that holds a folder, for instance ``ext4`` or ``nfs4``.

    Parameters
    ----------
    folder : Path
        An existing folder.
    """
    if sys.platform == "linux":
        device = folder.stat().st_dev
        wanted = f"{os.major(device)}:{os.minor(device)}"
        for line in _MOUNTS.read_text().splitlines():
            fields = line.split()
            if fields[2] == wanted:
                kind = fields[fields.index("-") + 1]
                return "nfs" if kind.startswith("nfs") else kind
        return "unknown"
    shown = subprocess.run(["mount"], capture_output=True, text=True, check=False).stdout
    best, kind = "", "unknown"
    for line in shown.splitlines():
        point, _, rest = line.partition(" on ")[2].partition(" (")
        if rest and folder.is_relative_to(point) and len(point) > len(best):
            best, kind = point, rest.split(",")[0].rstrip(")")
    return kind


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
