"""Databases to test against: a private one as a laptop has, and a server as a lab has.

``embedded_lab`` gives a test a labdata folder of its own and an empty database on one embedded
server that all tests share; ``server_lab`` the same on a server program with TLS and an ordinary
account. Without a MariaDB program such tests are skipped by name; with CI set they fail.

``LABTEST_SERVER`` names a JSON file that describes a server that runs already, for instance one of
MySQL, for the tests marked ``server`` (:func:`_named_server`).
"""

from __future__ import annotations

import datetime
import functools
import getpass
import itertools
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest

from labdata.database.embedded import EmbeddedDatabase
from labdata.database.mariadb_program import MariaDBProgram, find_program, system_table_scripts
from labdata.errors import DatabaseError
from labdata.preferences import write_preferences

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
from database_pool import DatabasePool
from fresh_connection import forget_connection
from seaweed import seaweed  # noqa: F401

_numbers = itertools.count(1)
ORDINARY_ACCOUNT = "scientist"
LabMaker = Callable[..., AbstractContextManager[Path]]


@dataclass(frozen=True)
class Server:
    """A database server on the loopback address.

    Attributes
    ----------
    port : int
        Its TCP port.
    password : str
        Of the ordinary account, which may do anything in schemas named ``labtest...`` only.
    admin : callable
        Returns a new connection of the administrator, through the unix socket.
    """

    port: int
    password: str
    admin: Callable[[], Any]


@pytest.fixture(autouse=True)
def old_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a server that runs for seconds for one whose locks tell at once who has died."""
    monkeypatch.setattr("labdata.database.locks._YOUNG_S", 0)


@pytest.fixture(scope="session")
def mariadb_program() -> MariaDBProgram:
    """The server program; without one the test is skipped, or fails where CI is set."""
    try:
        return find_program(fetch=False)
    except DatabaseError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"MariaDB's server is not installed. {error.hint}")


@pytest.fixture(scope="session")
def embedded_server(
    mariadb_program: MariaDBProgram, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedDatabase]:
    """One embedded server for all tests, stopped at the end."""
    database = EmbeddedDatabase(tmp_path_factory.mktemp("embedded") / "database")
    database.start()
    yield database
    database.stop()


@contextmanager
def labdata_folder_in(folder: Path, **environment: str) -> Iterator[Path]:
    """Use a new labdata folder below ``folder``, with all paths of its preferences in there."""
    root = folder / "labdata"
    content = {
        "local_paths": [str(folder / "data")],
        "scratch_path": str(folder / "scratch"),
        "upload_path": str(folder / "inbox"),
        "upload_storage": "data",
        "storage": {
            name: {"protocol": "local", "path": str(folder / "stores" / name)}
            for name in ("data", "analysis")
        },
        "plugins_folder": str(folder / "plugins"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in [
            n for n in os.environ if n.startswith("LABDATA_") and n != "LABDATA_MARIADBD"
        ]:
            patch.delenv(name)
        patch.setenv("LABDATA_PATH", str(root))
        for name, value in environment.items():
            patch.setenv(name, value)
        write_preferences(content, root / "user_preferences.json")
        for name in ("data", "scratch", "inbox", "stores/data", "stores/analysis"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        forget_connection()
        yield root
        forget_connection()


@functools.cache
def _pool_of(server: str, projects: tuple[str, ...]) -> Any:
    # two processes of one run of the tests may share a server that was named for them
    name = f"labtest{os.environ.get('PYTEST_XDIST_WORKER', '')}"
    return DatabasePool(f"{name}p" if projects else name, projects)


@contextmanager
def on_embedded(
    server: EmbeddedDatabase, folder: Path, *, projects: tuple[str, ...] = ()
) -> Iterator[Path]:
    """Use an empty database on the embedded server; it is kept with the projects for others."""
    pool = _pool_of(str(server.folder), projects)
    name = pool.take()
    with labdata_folder_in(
        folder, LABDATA_DATABASE_FOLDER=str(server.folder), LABDATA_DATABASE=name
    ) as root:
        yield root
        forget_connection()
        pool.give_back(name)


@contextmanager
def on_server(server: Server, folder: Path, *, projects: tuple[str, ...] = ()) -> Iterator[Path]:
    """Use an empty database on the server, as its ordinary account."""
    pool = _pool_of(str(server.port), projects)
    name = pool.take()
    with labdata_folder_in(
        folder,
        LABDATA_DATABASE=name,
        LABDATA_DATABASE_HOST="127.0.0.1",
        LABDATA_DATABASE_PORT=str(server.port),
        LABDATA_DATABASE_USER=ORDINARY_ACCOUNT,
        LABDATA_DATABASE_PASS=server.password,
    ) as root:
        yield root
        forget_connection()
        pool.give_back(name)


@pytest.fixture(scope="session")
def make_embedded_lab(embedded_server: EmbeddedDatabase) -> LabMaker:
    """Call it with a folder: a context in which an empty embedded database is used."""
    return functools.partial(on_embedded, embedded_server)


@pytest.fixture(scope="session")
def make_server_lab(mariadb_server: Server) -> LabMaker:
    """Call it with a folder: a context in which an empty database on the server is used."""
    return functools.partial(on_server, mariadb_server)


@pytest.fixture
def embedded_lab(make_embedded_lab: LabMaker, tmp_path: Path) -> Iterator[Path]:
    """The labdata folder of a lab with an empty embedded database."""
    with make_embedded_lab(tmp_path) as root:
        yield root


@pytest.fixture
def server_lab(make_server_lab: LabMaker, tmp_path: Path) -> Iterator[Path]:
    """The labdata folder of a lab with an empty database on a server."""
    with make_server_lab(tmp_path) as root:
        yield root


@pytest.fixture(params=["embedded_lab", pytest.param("server_lab", marks=pytest.mark.server)])
def two_projects(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Any, Any]]:
    """The empty projects vision and attention, on either kind of database."""
    from labdata.schema import default_lab, load_project_schema
    from labdata.schema.project_admin import create_project

    names = ("vision", "attention")
    make_lab = request.getfixturevalue(f"make_{request.param}")
    with make_lab(tmp_path, projects=names):
        if len(default_lab.Project & [{"project_name": name} for name in names]) < len(names):
            for name in names:
                create_project(default_lab, name)
        vision, attention = map(load_project_schema, names)
        yield vision, attention


@pytest.fixture(scope="session")
def mariadb_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server with TLS; one that runs already, of MySQL perhaps, where it is named."""
    if named := os.environ.get("LABTEST_SERVER"):
        yield _named_server(Path(named))
        return
    mariadb_program = request.getfixturevalue("mariadb_program")
    with run_server(mariadb_program, tmp_path_factory.mktemp("server"), tls=True) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server_without_tls(
    mariadb_program: MariaDBProgram, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server that offers no TLS."""
    with run_server(mariadb_program, tmp_path_factory.mktemp("plain"), tls=False) as server:
        yield server


def _named_server(file: Path) -> Server:
    """Return the server that a JSON file describes: port, password, admin_socket, admin_password.

    Its account ``scientist`` may do anything in schemas named ``labtest...`` only.
    """
    about = json.loads(file.read_text())

    def connect_admin() -> Any:
        return pymysql.connect(
            unix_socket=about["admin_socket"],
            user="admin",
            password=about["admin_password"],
            autocommit=True,
        )

    return Server(about["port"], about["password"], connect_admin)


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def run_server(
    program: MariaDBProgram, folder: Path, *, tls: bool, buffer_mb: int = 64
) -> Iterator[Server]:
    """Make a database server in a folder, run it, and shut it down."""
    # a unix socket's path is short, a folder of pytest's may be long
    server_socket = Path("/tmp") / f"labtest-{os.getpid()}-{next(_numbers)}.sock"
    admin, password, port = secrets.token_hex(12), secrets.token_hex(12), free_port()
    data = folder / "data"
    data.mkdir()
    base = [str(program.executable), "--no-defaults", f"--datadir={data}"]
    base += [f"--basedir={program.share.parent.parent}", f"--lc-messages-dir={program.share}"]
    base += [f"--user={getpass.getuser()}"] if os.getuid() == 0 else []
    (folder / "tmp").mkdir()
    base += [f"--tmpdir={folder / 'tmp'}"]  # a starting server empties the one it is given
    _bootstrap(program, base, admin, password)
    command = [*base, f"--port={port}", "--bind-address=127.0.0.1", f"--socket={server_socket}"]
    command += [
        "--skip-name-resolve",
        f"--innodb-buffer-pool-size={buffer_mb}M",
        "--max-allowed-packet=1G",
    ]
    command += _make_certificate(folder) if tls else ["--skip-ssl"]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=program.environment(), stdout=log, stderr=log)

    def connect_admin() -> Any:
        return pymysql.connect(
            unix_socket=str(server_socket), user="admin", password=admin, autocommit=True
        )

    try:
        _wait_for(connect_admin, process, folder / "server.log")
        yield Server(port, password, connect_admin)
    finally:
        process.terminate()
        process.wait(60)
        server_socket.unlink(missing_ok=True)


def _bootstrap(program: MariaDBProgram, base: list[str], admin: str, password: str) -> None:
    script = "create database mysql;\nuse mysql;\nset @auth_root_socket=NULL;\n"
    script += "set @skip_auth_anonymous=1;\n"
    script += "".join(path.read_text() for path in system_table_scripts(program.share))
    script += (
        "\nFLUSH PRIVILEGES;\nDELETE FROM mysql.global_priv WHERE User='root';\n"
        f"CREATE USER 'admin'@'localhost' IDENTIFIED BY '{admin}';\n"
        "GRANT ALL PRIVILEGES ON *.* TO 'admin'@'localhost' WITH GRANT OPTION;\n"
        f"CREATE USER '{ORDINARY_ACCOUNT}'@'%' IDENTIFIED BY '{password}';\n"
        f"GRANT ALL PRIVILEGES ON `labtest%`.* TO '{ORDINARY_ACCOUNT}'@'%';\n"
    )
    subprocess.run(
        [*base, "--bootstrap", "--log-warnings=0", "--enforce-storage-engine="],
        input=script,
        env=program.environment(),
        text=True,
        check=True,
        capture_output=True,
    )


def _wait_for(connect: Callable[[], Any], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            connect().close()
            return
        except pymysql.MySQLError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"The server did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.05)


def _make_certificate(folder: Path) -> list[str]:
    """Write a self-signed certificate and return the server's options that name it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "labtest")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    (folder / "server.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    return [
        "--ssl",
        f"--ssl-cert={folder / 'server.crt'}",
        f"--ssl-key={folder / 'server.key'}",
        f"--ssl-ca={folder / 'server.crt'}",
    ]
