"""A real HTTP proxy before the S3 server, for what no server does on demand.

It plays a server without conditional writes, an archive, and the faults of networks: cut, late,
changed. ``before`` are callables that get each request and may change it, or return a
:class:`Reply` in the server's place; ``after`` get request and reply and may change the reply.
``Host`` is passed on as it came, because signatures cover it.
"""

from __future__ import annotations

import http.client
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from seaweed import ACCESS_KEY, SECRET_KEY, plain_client


@dataclass
class Request:
    """What a client sent."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.url).path)

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.url).query, keep_blank_values=True)

    @property
    def is_part(self) -> bool:
        return self.method == "PUT" and "partNumber" in self.query

    @property
    def is_partial(self) -> bool:
        """Whether it is about a record, a claim or a probe."""
        return ".labdata-partial-" in self.path


@dataclass
class Reply:
    """What the client gets; of a cut one only the first bytes arrive."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut_after: int | None = None


@dataclass
class Proxy:
    """A running proxy."""

    port: int
    target_port: int
    before: list[Callable[[Request], Reply | None]] = field(default_factory=list)
    after: list[Callable[[Request, Reply], None]] = field(default_factory=list)
    seen: list[Request] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reset(self) -> None:
        self.before.clear()
        self.after.clear()
        self.seen.clear()

    def answer(self, request: Request) -> Reply:
        self.seen.append(request)
        for rule in list(self.before):
            reply = rule(request)
            if reply is not None:
                return reply
        reply = self._forward(request)
        for change in list(self.after):
            change(request, reply)
        return reply

    def _forward(self, request: Request) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.target_port, timeout=60)
        try:
            connection.putrequest(
                request.method, request.url, skip_host=True, skip_accept_encoding=True
            )
            for name, value in request.headers.items():
                if name.lower() not in ("expect", "connection"):
                    connection.putheader(name, value)
            connection.endheaders(request.body or None)
            answer = connection.getresponse()
            return Reply(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()


@contextmanager
def run_proxy(target_port: int) -> Iterator[Proxy]:
    """Run a proxy before a port of this computer until the end of the block."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.proxy = Proxy(server.server_address[1], target_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ignore_conditions(request: Request) -> None:
    """Play a server that overwrites whatever it is asked: drop If-None-Match and sign anew."""
    if not any(name.lower() == "if-none-match" for name in request.headers):
        return
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    signing = ("if-none-match", "authorization", "x-amz-date", "content-length", "expect")
    kept = {name: value for name, value in request.headers.items() if name.lower() not in signing}
    unsigned = {n: v for n, v in kept.items() if n.lower() not in ("accept-encoding",)}
    signed = AWSRequest(
        method=request.method,
        url=f"http://{request.headers['Host']}{request.url}",
        headers=unsigned,
        data=request.body,
    )
    S3SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "s3", "us-east-1").add_auth(signed)
    request.headers = {**kept, **dict(signed.headers.items())}
    request.headers["Content-Length"] = str(len(request.body))


@dataclass
class CheckThenWrite:
    """Play a server that looks first whether an object may be completed, and writes later.

    ``between`` is called after the look. SeaweedFS is like this, but not every time.
    """

    between: Callable[[], None]

    def __call__(self, request: Request) -> Reply | None:
        if request.method != "POST" or "uploadId" not in request.query:
            return None
        client = plain_client(f"http://{request.headers['Host']}")
        bucket, _, key = request.path.removeprefix("/").partition("/")
        if client.list_objects_v2(Bucket=bucket, Prefix=key)["KeyCount"]:
            return error_reply(412, "PreconditionFailed")
        self.between()
        return ignore_conditions(request)


def refuse_batches(request: Request) -> Reply | None:
    """Play a server that cannot delete several objects at once."""
    return Reply(501) if "delete" in request.query else None


def refuse_conditions(request: Request) -> Reply | None:
    """Play a server that does not know If-None-Match and says so."""
    if any(name.lower() == "if-none-match" for name in request.headers):
        return error_reply(501, "NotImplemented")
    return None


def error_reply(status: int, code: str) -> Reply:
    """Return an error as S3 words it."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>played</Message></Error>"
    return Reply(status, {"Content-Type": "application/xml"}, body.encode())


class Archive:
    """Cold storage: objects that are there and not to be read before they are asked back."""

    def __init__(self, proxy: Proxy) -> None:
        self.cold: dict[str, str] = {}  #: path -> the header x-amz-restore
        self.asked: list[bytes] = []
        proxy.before.append(self._refuse)
        proxy.after.append(self._describe)

    def _refuse(self, request: Request) -> Reply | None:
        if request.path not in self.cold:
            return None
        restore = self.cold[request.path]
        if request.method == "POST" and "restore" in request.query:
            self.asked.append(request.body)
            if 'ongoing-request="true"' in restore:
                return error_reply(409, "RestoreAlreadyInProgress")
            self.cold[request.path] = 'ongoing-request="true"'
            return Reply(202)
        if request.method == "GET" and 'ongoing-request="false"' not in restore:
            return error_reply(403, "InvalidObjectState")
        return None

    def _describe(self, request: Request, reply: Reply) -> None:
        if request.method == "HEAD" and request.path in self.cold:
            reply.headers["x-amz-storage-class"] = "GLACIER"
            if self.cold[request.path]:
                reply.headers["x-amz-restore"] = self.cold[request.path]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    proxy: Proxy

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed or hung up is what many tests are about."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        pass

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, self.path, dict(self.headers.items()), body)
        try:
            reply = self.server.proxy.answer(request)
            if self.command == "HEAD":
                reply.body = b""
            self._send(reply)
        except OSError:
            self.close_connection = True

    def _send(self, reply: Reply) -> None:
        if reply.status == 0:  # hang up without a word
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response_only(reply.status)
        names = {name.lower() for name in reply.headers}
        for name, value in reply.headers.items():
            if name.lower() not in ("transfer-encoding", "connection"):
                self.send_header(name, value)
        if "content-length" not in names:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if reply.cut_after is None:
            self.wfile.write(reply.body)
            return
        self.wfile.write(reply.body[: reply.cut_after])
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve
