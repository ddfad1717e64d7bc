"""What a user reads when the settings of the lab's server are wrong: a cause, and what to do."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from labdata.database.connection import connect
from labdata.errors import DatabaseError, PreferenceError

pytestmark = [pytest.mark.database, pytest.mark.server]


def connect_with(monkeypatch: pytest.MonkeyPatch, **settings: object) -> DatabaseError:
    for name, value in settings.items():
        monkeypatch.setenv(f"LABDATA_DATABASE_{name}", str(value))
    start_s = time.monotonic()
    with pytest.raises(DatabaseError) as caught:
        connect()
    assert time.monotonic() - start_s < 15
    assert caught.value.hint
    return caught.value


def test_the_right_settings_connect_through_tls(server_lab: Path) -> None:
    cipher = connect().query("SHOW STATUS LIKE 'Ssl_cipher'").fetchone()
    assert cipher[1]


def test_nobody_listens(server_lab: Path, monkeypatch: pytest.MonkeyPatch, free_port) -> None:
    error = connect_with(monkeypatch, PORT=free_port)
    assert f"127.0.0.1:{free_port} cannot be reached" in error.message
    assert "database.port" in error.hint


def test_a_host_that_does_not_exist(server_lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = connect_with(monkeypatch, HOST="nowhere.invalid")
    assert "nowhere.invalid" in error.message
    assert "database.host" in error.hint


def test_something_that_never_answers(server_lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = connect_with(monkeypatch, PORT=silent.getsockname()[1])
    assert "cannot be reached" in error.message


def test_something_that_is_no_database(server_lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def greet() -> None:
            client, _ = other.accept()
            with client:
                client.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        error = connect_with(monkeypatch, PORT=other.getsockname()[1])
        thread.join()
    assert "127.0.0.1" in error.message


def test_wrong_password(server_lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = connect_with(monkeypatch, PASS="wrong-secret")
    assert "refused scientist" in error.message
    assert "wrong-secret" not in str(error)


def test_unknown_user(server_lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "refused nobody1" in connect_with(monkeypatch, USER="nobody1").message


def test_no_user_and_no_password(server_lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labdata.preferences.secrets.find_secret", lambda name: None)
    monkeypatch.delenv("LABDATA_DATABASE_PASS")
    assert "No password" in connect_with(monkeypatch).message
    monkeypatch.delenv("LABDATA_DATABASE_USER")
    assert "No user" in connect_with(monkeypatch).message


def test_a_server_without_tls_is_refused(
    server_lab: Path, monkeypatch: pytest.MonkeyPatch, mariadb_server_without_tls
) -> None:
    server = mariadb_server_without_tls
    error = connect_with(monkeypatch, PORT=server.port, PASS=server.password)
    assert "TLS" in error.message
    assert "database.use_tls" in error.hint


def test_a_server_without_tls_is_used_if_the_user_says_so(
    server_lab: Path, monkeypatch: pytest.MonkeyPatch, mariadb_server_without_tls
) -> None:
    monkeypatch.setenv("LABDATA_DATABASE_PORT", str(mariadb_server_without_tls.port))
    monkeypatch.setenv("LABDATA_DATABASE_PASS", mariadb_server_without_tls.password)
    monkeypatch.setenv("LABDATA_DATABASE_USE_TLS", "false")
    assert connect().query("SELECT 1").fetchone() == (1,)


def test_a_server_that_insists_on_tls_says_so(
    server_lab: Path, monkeypatch: pytest.MonkeyPatch, mariadb_server
) -> None:
    with mariadb_server.admin() as admin, admin.cursor() as cursor:
        cursor.execute("SET GLOBAL require_secure_transport=ON")
        try:
            error = connect_with(monkeypatch, USE_TLS="false")
        finally:
            cursor.execute("SET GLOBAL require_secure_transport=OFF")
    assert "use_tls" in error.hint


def test_a_schema_that_is_not_granted(server_lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from labdata.schema import Session

    monkeypatch.setenv("LABDATA_DATABASE", "forbidden")
    with pytest.raises(DatabaseError) as caught:
        len(Session())
    assert "forbidden" in caught.value.message
    assert caught.value.hint


def test_a_bad_port_is_named(server_lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABDATA_DATABASE_PORT", "high")
    with pytest.raises(PreferenceError, match=r"database\.port is 'high'"):
        connect()


@pytest.fixture(name="free_port")
def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
