"""Print how fast the commands move data, as ratios to what the machine can do in the same run.

The folder takes about eight times the size. ``labdata put`` of one large file against
``cp && sync && sha256sum``; ``labdata upload`` of it to a real S3 server (SeaweedFS) and
``labdata get`` against plain boto3 with the same parts and as many at once; each in a process of
its own, with its peak memory; what ``import datajoint`` alone takes is taken off the commands, and
the import of boto3 off boto3's. Then lossless compression against mtscomp on one core, and the
fixed cost of putting eight tiny files.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1])]

ROUNDS = 3
PYTHON = sys.executable
SHELL = 'cp "$1" "$2" && sync && sha256sum "$2"'
BOTO3 = """
import sys
from boto3.s3.transfer import TransferConfig
from seaweed import plain_client
verb, endpoint, path, key, part, workers = sys.argv[1:]
config = TransferConfig(
    multipart_threshold=int(part), multipart_chunksize=int(part), max_concurrency=int(workers)
)
client = plain_client(endpoint)
if verb == "upload":
    client.upload_file(path, "lab", key, Config=config)
else:
    client.download_file("lab", key, path, Config=config)
"""


def main(folder: Path, size_gib: float) -> None:
    """Make what is missing, measure, print."""
    from seaweed import ACCESS_KEY, SECRET_KEY, run_seaweed

    shutil.rmtree(folder / "work", ignore_errors=True)
    work = folder / "work"
    work.mkdir(parents=True)
    os.environ["LABDATA_PATH"] = str(work / "labdata")
    # modules are compiled once, as an installation has them
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(work / "pyc")
    os.environ["PYTHONPATH"] = os.pathsep.join([sys.path[0], os.environ.get("PYTHONPATH", "")])
    with run_seaweed(work / "weed") as server:
        server.make_bucket("lab")
        place = {"protocol": "s3", "endpoint": server.endpoint, "bucket": "lab"}
        place |= {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY}
        # in a process of its own: memory that this one has would count as its children's
        process = multiprocessing.get_context("fork").Process(
            target=prepare_lab, args=(work, place)
        )
        process.start()
        process.join()
        measure_large(work, server.endpoint, round(size_gib * 1024**3))
        measure_fixed_cost(work)
        compressed = measure_compression(work)
        measure_random_access(compressed, place)
    shutil.rmtree(work)


def prepare_lab(work: Path, store: dict[str, str]) -> None:
    """Make a lab on the embedded database with one subject."""
    from labdata.preferences import default_preferences, write_preferences
    from labdata.schema import LabMember, Subject

    for name in ("rig", "inbox", "scratch"):
        (work / name).mkdir()
    content = default_preferences() | {
        "local_paths": [str(work / "rig")],
        "upload_path": str(work / "inbox"),
        "storage": {"data": store},
        "upload_storage": "data",
    }
    write_preferences(content, work / "labdata" / "user_preferences.json")
    LabMember.insert1({"user_name": "bench"}, skip_duplicates=True)
    row = {"subject_name": "B1", "subject_dob": "2024-01-01", "subject_sex": "F"}
    row |= {"strain_name": "C57BL/6J", "user_name": "bench"}
    Subject.insert1(row, skip_duplicates=True)


def measure_large(work: Path, endpoint: str, size_bytes: int) -> None:
    """Put, upload and get one large file, each in turn with its rival."""
    limits = [str(16 * 2**20), "4"]  # as S3Settings has them
    bare = min(timed([PYTHON, "-c", "import datajoint"])[0] for _ in range(ROUNDS))
    boto3 = min(timed([PYTHON, "-c", BOTO3.split("verb")[0]])[0] for _ in range(ROUNDS))
    sys.stdout.write(f"import datajoint {bare:.2f} s, boto3 {boto3:.2f} s\n")
    found: dict[str, list[tuple[float, float]]] = {}

    def note(name: str, command: list[str]) -> None:
        os.sync()
        found.setdefault(name, []).append(timed(command))

    for number in range(ROUNDS):
        place = work / "rig" / "B1" / f"20240305_10000{number}" / "task"
        place.mkdir(parents=True)
        big, copy = place / "big.bin", work / "copy.bin"
        write_random(big, size_bytes)
        labdata = [PYTHON, "-m", "labdata"]
        note("put", [*labdata, "put", str(place)])
        note("shell", ["sh", "-c", SHELL, "sh", str(big), str(copy)])
        copy.unlink()
        note("upload", [*labdata, "upload"])
        script = [PYTHON, "-c", BOTO3]
        note("boto3 up", [*script, "upload", endpoint, str(big), "big", *limits])
        big.unlink()
        note("get", [*labdata, "get", "-a", "B1", "-s", place.parent.name, "--yes"])
        note("boto3 get", [*script, "download", endpoint, str(copy), "big", *limits])
        copy.unlink()
        shutil.rmtree(place.parent)
        shutil.rmtree(work / "inbox" / "B1")
    for ours, theirs, off in (("put", "shell", 0.0), ("upload", "boto3 up", boto3),
                              ("get", "boto3 get", boto3)):  # fmt: skip
        report(ours, theirs, found[ours], found[theirs], bare, off, size_bytes)


def report(
    ours: str,
    theirs: str,
    found: list[tuple[float, float]],
    other: list[tuple[float, float]],
    bare: float,
    off: float,
    size_bytes: int,
) -> None:
    """Print the best times of two, without their imports, and all of them."""
    took = [min(seconds for seconds, _ in times) for times in (found, other)]
    net = [took[0] - bare, took[1] - off]
    peaks = [max(peak for _, peak in times) for times in (found, other)]
    say(
        f"{ours} / {theirs}: {net[0]:.2f} / {net[1]:.2f} s, "
        f"{size_bytes / 2**20 / net[0]:.0f} MiB/s, ratio {net[0] / net[1]:.2f}; "
        f"peak {peaks[0]:.0f} / {peaks[1]:.0f} MiB; all {[round(s, 2) for s, _ in found]} / "
        f"{[round(s, 2) for s, _ in other]}"
    )


def timed(command: list[str]) -> tuple[float, float]:
    """Run a command; return its seconds and its peak memory in MiB."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, usage = os.wait4(process.pid, 0)
    took = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command}: {process.stderr.read().decode()}")  # type: ignore[union-attr]
    return took, usage.ru_maxrss / 1024


def write_random(path: Path, size_bytes: int) -> None:
    """Write bytes that nothing can compress, and let them be older than a recording."""
    with path.open("wb") as file:
        for start in range(0, size_bytes, 2**22):
            file.write(os.urandom(min(2**22, size_bytes - start)))
    os.utime(path, (1.7e9, 1.7e9))


def measure_fixed_cost(work: Path) -> None:
    """Put eight tiny files, and import datajoint, each in a new process."""
    numbers = iter(range(60))

    def put() -> None:
        place = work / "rig" / "B1" / f"20240306_1000{next(numbers):02d}" / "task"
        place.mkdir(parents=True)
        for number in range(8):
            (place / f"{number}.csv").write_text("1,2\n")
            os.utime(place / f"{number}.csv", (1.7e9, 1.7e9))
        timed([PYTHON, "-m", "labdata", "put", str(place)])

    def bare() -> None:
        timed([PYTHON, "-c", "import datajoint"])

    times = alternate(put, bare, n=5)
    beyond = min(times[0]) - min(times[1])
    say(f"put of 8 tiny files: {min(times[0]):.2f} s, {beyond:.2f} s beyond import datajoint")


def measure_compression(work: Path) -> Path:
    """Compress a synthetic recording on one core, and by mtscomp on one; return ours."""
    import mtscomp
    import numpy as np

    from labdata.formats.spikeglx import open_band
    from labdata.formats.zarr_band import compress_band
    from labdata.testing import write_spikeglx_run

    run = work / "run"
    if not run.exists():
        write_spikeglx_run(run, run_name="bench", duration_s=20.0, n_channels=384, n_units=20)
    (raw,) = run.rglob("*.ap.bin")
    band = open_band(raw)
    ours, cbin = work / "x.zarr.zip", work / "x.cbin"

    def compress() -> None:
        compress_band(raw, ours, threads=1, overwrite=True)

    def theirs() -> None:
        for path in (cbin, cbin.with_suffix(".ch")):
            path.unlink(missing_ok=True)
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
            shrink()

    def shrink() -> None:
        mtscomp.compress(
            raw,
            cbin,
            cbin.with_suffix(".ch"),
            sample_rate=band.sampling_rate_hz,
            n_channels=band.n_channels,
            dtype=np.int16,
            n_threads=1,
            check_after_compress=False,
        )

    times = [min(took) for took in alternate(compress, theirs, n=2)]
    rates = [raw.stat().st_size / 2**20 / took for took in times]
    say(
        f"compression / mtscomp, one core: {rates[0]:.0f} / {rates[1]:.0f} MiB/s, "
        f"{rates[0] / rates[1]:.1f} times"
    )
    sizes = [path.stat().st_size / raw.stat().st_size for path in (ours, cbin)]
    say(f"  compressed to {sizes[0]:.3f} of the size, mtscomp to {sizes[1]:.3f}")
    return ours


def measure_random_access(compressed: Path, place: dict[str, str]) -> None:
    """Read seconds of all channels at random times from the bucket, where nothing is cached."""
    import random

    from labdata.formats.zarr_band import open_zarr_band
    from labdata.schema.files import StoreRanges
    from labdata.stores import S3Settings, S3Store

    given = {name: value for name, value in place.items() if name != "protocol"}
    store = S3Store(S3Settings(**given))
    info = store.put(compressed, "random/x.zarr.zip")
    took = []
    for _ in range(20):
        began = time.perf_counter()
        band = open_zarr_band(StoreRanges(store, info.path, info.size_bytes))
        opened = time.perf_counter()
        second = round(band.sampling_rate_hz)
        start = random.randrange(band.n_samples - second)
        assert band.samples[start : start + second].shape == (second, band.n_channels)
        took.append((opened - began, time.perf_counter() - opened))
    opening, reading = (sorted(times) for times in zip(*took, strict=True))
    say(
        f"from the bucket: open {opening[10]:.3f} s, 1 s of {band.n_channels} channels "
        f"{reading[10]:.3f} s (medians of 20; most {reading[-1]:.3f} s)"
    )


def alternate(
    one: Callable[[], object],
    other: Callable[[], object],
    between: Callable[[], object] = lambda: None,
    n: int = 3,
) -> tuple[list[float], list[float]]:
    """Time two things in turn, so that both meet the same weather."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(n):
        for took, work in zip(times, (one, other), strict=True):
            between()
            os.sync()
            began = time.perf_counter()
            work()
            took.append(time.perf_counter() - began)
    return times


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="what it holds in 'work' is removed")
    parser.add_argument("gib", type=float, nargs="?", default=2.0, help="size of the large file")
    given = parser.parse_args()
    main(given.folder.absolute(), given.gib)
