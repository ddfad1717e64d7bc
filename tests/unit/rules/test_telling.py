"""Failures reach a command and a web address, and telling them never fails anything itself."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from labdata.preferences import Preferences
from labdata.rules import telling
from labdata.rules.telling import tell_failure

MESSAGE = "Upload job 7 failed on server: b.bin differs; 'quoted' $(rm -rf x)"
FACTS = {"job_id": 7, "project": None}


class Chat(HTTPServer):
    """A chat program that takes messages."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.answer = 200
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook/very-secret"


class _Handler(BaseHTTPRequestHandler):
    server: Chat

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.headers["Content-Type"], json.loads(content)))
        self.send_response(self.server.answer)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def chat() -> Iterator[Chat]:
    with Chat() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def preferences(**on_failure: Any) -> Preferences:
    return Preferences.model_validate({"on_failure": on_failure})


def test_nobody_is_told_by_default() -> None:
    assert tell_failure(Preferences.model_validate({}), MESSAGE, FACTS) == []


def test_a_web_address_gets_text_and_facts(chat: Chat) -> None:
    assert tell_failure(preferences(webhook=chat.address), MESSAGE, FACTS) == []
    assert chat.got == [("application/json", {"text": MESSAGE, **FACTS})]


def test_a_command_gets_them_and_no_shell_reads_them(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    program = (
        "import json, os, sys; "
        "json.dump([os.environ['LABDATA_MESSAGE'], json.load(sys.stdin)], open(sys.argv[1], 'w'))"
    )
    command = [sys.executable, "-c", program, str(out)]
    assert tell_failure(preferences(command=command), MESSAGE, FACTS) == []
    assert json.loads(out.read_text()) == [MESSAGE, FACTS]


def test_what_goes_wrong_with_it_is_returned_without_secrets(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat.answer = 500
    (said,) = tell_failure(preferences(webhook=chat.address), MESSAGE, FACTS)
    assert "500" in said and "very-secret" not in said
    (said,) = tell_failure(preferences(webhook="http://127.0.0.1:1/secret"), MESSAGE, FACTS)
    assert "did not take" in said and "secret" not in said
    (said,) = tell_failure(preferences(command=["/no/such/program"]), MESSAGE, FACTS)
    assert "could not be run" in said
    fails = [sys.executable, "-c", "import sys; sys.exit('no mail server')"]
    (said,) = tell_failure(preferences(command=fails), MESSAGE, FACTS)
    assert "ended with 1: no mail server" in said
    monkeypatch.setattr(telling, "_TIMEOUT_S", 0.3)
    hangs = [sys.executable, "-c", "import time; time.sleep(60)"]
    (said,) = tell_failure(preferences(command=hangs), MESSAGE, FACTS)
    assert "could not be run" in said


def test_a_port_that_is_another_programs_and_words_of_any_encoding_fail_nothing() -> None:
    """A mail server's greeting is no HTTP; a program of another language speaks no UTF-8."""
    with socket.create_server(("127.0.0.1", 0)) as mail:

        def greet() -> None:
            client, _ = mail.accept()
            with client:
                client.recv(4096)
                client.sendall(b"220 mail.lab ESMTP\r\n")

        threading.Thread(target=greet, daemon=True).start()
        address = f"http://127.0.0.1:{mail.getsockname()[1]}/very-secret"
        (said,) = tell_failure(preferences(webhook=address), MESSAGE, FACTS)
    assert "did not answer as a web server" in said and "secret" not in said
    for address in ("http://127.0.0.1:80a/very-secret", "http://127.0.0.1:1/very secret"):
        (said,) = tell_failure(preferences(webhook=address), MESSAGE, FACTS)
        assert "no address" in said and "secret" not in said
    program = "import sys; sys.stderr.buffer.write(b'Fehler f\\xfcr'); sys.exit(1)"
    (said,) = tell_failure(preferences(command=[sys.executable, "-c", program]), MESSAGE, FACTS)
    assert "ended with 1: Fehler f" in said
    (said,) = tell_failure(preferences(command=["true"]), "of a plugin \0", FACTS)
    assert "could not be run" in said


def test_the_address_is_a_secret_and_an_address() -> None:
    made = preferences(webhook="https://chat.example.org/hook/very-secret")
    assert "very-secret" not in repr(made)
    assert "very-secret" not in str(list(made.items()))
    with pytest.raises(ValueError, match="a web address is expected"):
        preferences(webhook="chat.example.org")
    with pytest.raises(ValueError, match="at least 1"):
        preferences(command=[])
