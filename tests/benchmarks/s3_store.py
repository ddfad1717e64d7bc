"""S3Store against boto3's own transfers, on the same SeaweedFS in the same run.

    python tests/benchmarks/s3_store.py [size in MB, 2000 if not given]

Equal part size and number of threads. boto3 checks nothing afterwards; S3Store hashes the file,
has each part checked by the server and the object confirmed at the end. Both are run in turns,
in processes of their own, so that the peak of memory is each one's.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))
from seaweed import ACCESS_KEY, SECRET_KEY, plain_client, run_seaweed

PART_BYTES = 16 * 1024 * 1024
WORKERS = 4
ROUNDS = 3
SMALL_COUNT = 300


def main(size_mb: int) -> None:
    """Print seconds, ratios and memory."""
    with tempfile.TemporaryDirectory(prefix="s3-benchmark-") as name:
        folder = Path(name)
        digest = write_file(folder / "file", size_mb)
        with run_seaweed(folder / "server") as server:  # needs ten times the size on disk
            server.make_bucket("bench")
            compare(folder, server.endpoint, digest, size_mb)
            say(f"small puts a second: {child('small', server.endpoint, str(folder))[0]}")


def compare(folder: Path, endpoint: str, digest: str, size_mb: int) -> None:
    for verb in ("put", "get"):
        times: dict[str, list[float]] = {"boto3": [], "store": []}
        peaks: dict[str, float] = {}
        for turn in range(ROUNDS):
            for who in times if turn % 2 else reversed(times):
                target = folder / "file" if verb == "put" else folder / "copy"
                key = f"{who}-{turn}" if verb == "put" else f"{who}-{ROUNDS - 1}"
                found = child(f"{verb}-{who}", endpoint, str(target), key, digest)
                times[who].append(float(found[0]))
                peaks[who] = max(peaks.get(who, 0.0), float(found[1]))
                (folder / "copy").unlink(missing_ok=True)
                if verb == "put" and turn < ROUNDS - 1:
                    plain_client(endpoint).delete_object(Bucket="bench", Key=key)
        seconds = {who: statistics.median(values) for who, values in times.items()}
        say(
            f"{verb} of {size_mb} MB: S3Store {seconds['store']:.1f} s, boto3 "
            f"{seconds['boto3']:.1f} s, ratio {seconds['store'] / seconds['boto3']:.2f}; "
            f"peak memory {peaks['store']:.0f} MB, boto3 {peaks['boto3']:.0f} MB; "
            f"all: {times}"
        )


def child(what: str, *arguments: str) -> list[str]:
    command = [sys.executable, __file__, "--child", what, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def run_child(what: str, endpoint: str, path: str, key: str = "", digest: str = "") -> None:
    import resource

    from labdata.stores import S3Settings, S3Store

    store = S3Store(
        S3Settings(
            bucket="bench",
            endpoint=endpoint,
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
            part_bytes=PART_BYTES,
            workers=WORKERS,
        )
    )
    if what == "small":
        say(f"{small_puts(store, Path(path)):.0f}")
        return
    list(store.list("warm"))
    client = plain_client(endpoint)
    client.list_buckets()
    config = transfer_config()
    start_s = time.perf_counter()
    if what == "put-store":
        store.put(path, key, sha256=digest)
    elif what == "get-store":
        store.get(key, path, sha256=digest)
    elif what == "put-boto3":
        client.upload_file(path, "bench", key, Config=config)
    else:
        client.download_file("bench", key, path, Config=config)
    took_s = time.perf_counter() - start_s
    say(f"{took_s:.2f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}")


def transfer_config() -> object:
    from boto3.s3.transfer import TransferConfig

    return TransferConfig(
        multipart_chunksize=PART_BYTES, multipart_threshold=PART_BYTES, max_concurrency=WORKERS
    )


def small_puts(store: object, folder: Path) -> float:
    from concurrent.futures import ThreadPoolExecutor

    for index in range(SMALL_COUNT):
        (folder / f"small-{index}").write_bytes(os.urandom(1000))
    store.put(folder / "small-0", "small/first")  # type: ignore[attr-defined]

    def put(index: int) -> None:
        store.put(folder / f"small-{index}", f"small/{index}")  # type: ignore[attr-defined]

    start_s = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(SMALL_COUNT)))
    return SMALL_COUNT / (time.perf_counter() - start_s)


def write_file(path: Path, size_mb: int) -> str:
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(size_mb):
            block = os.urandom(1_000_000)
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        run_child(*sys.argv[2:])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
