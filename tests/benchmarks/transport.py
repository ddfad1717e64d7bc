"""Print how fast data move, each time as a ratio to what the machine itself can do in this run.

Run it by hand: ``python tests/benchmarks/transport.py FOLDER [GIB]``. The folder takes about four
times the size. Lines: ``put`` against ``cp && sync && sha256sum``; an upload to a real S3 server
(SeaweedFS) against plain boto3 with the same parts and as many at once; a fetch likewise; lossless
compression against mtscomp on one core; the fixed cost of putting eight tiny files.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1])]


def main(folder: Path, size_gib: float) -> None:
    """Make what is missing, measure, print."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["LABDATA_PATH"] = str(folder / "labdata")
    big = folder / "big.bin"
    size_bytes = round(size_gib * 1024**3)
    if not big.exists() or big.stat().st_size != size_bytes:
        with big.open("wb") as file:
            for _ in range(-(-size_bytes // 2**22)):
                file.write(os.urandom(2**22))
            file.truncate(size_bytes)
    measure_copy(folder, big)
    measure_compression(folder)
    measure_fixed_cost(folder)


def measure_copy(folder: Path, big: Path) -> None:
    """Copy and hash against what a shell does."""
    from labdata.stores import copy_hashed

    copy = folder / "copy.bin"

    def shell() -> None:
        script = 'cp "$1" "$2" && sync && sha256sum "$2"'
        words = ["sh", "-c", script, "sh", str(big), str(copy)]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)

    say(
        "put's copy / cp && sync && sha256sum",
        alternate(lambda: copy_hashed(big, copy), shell, lambda: copy.unlink(missing_ok=True)),
        big.stat().st_size,
    )
    copy.unlink(missing_ok=True)


def measure_compression(folder: Path) -> None:
    """Compress a synthetic recording on one core, and by mtscomp on one."""
    import mtscomp
    import numpy as np

    from labdata.formats.spikeglx import open_band
    from labdata.formats.zarr_band import compress_band
    from labdata.testing import write_spikeglx_run

    run = folder / "run"
    if not run.exists():
        write_spikeglx_run(run, run_name="bench", duration_s=20.0, n_channels=384, n_units=20)
    (raw,) = run.rglob("*.ap.bin")
    band = open_band(raw)
    ours, cbin = folder / "x.zarr.zip", folder / "x.cbin"

    def compress() -> None:
        compress_band(raw, ours, threads=1, overwrite=True)

    def theirs() -> None:
        for path in (cbin, cbin.with_suffix(".ch")):
            path.unlink(missing_ok=True)
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

    say("compression / mtscomp, one core", alternate(compress, theirs, n=2), raw.stat().st_size)
    sizes = [path.stat().st_size / raw.stat().st_size for path in (ours, cbin)]
    sys.stdout.write(f"  compressed to {sizes[0]:.3f} of the size, mtscomp to {sizes[1]:.3f}\n")


def measure_fixed_cost(folder: Path) -> None:
    """Put eight tiny files, and import datajoint, each in a new process."""
    from labdata.preferences import default_preferences, write_preferences
    from labdata.schema import LabMember, Subject

    rig = folder / "rig"
    content = default_preferences() | {
        "local_paths": [str(rig)],
        "upload_path": str(folder / "inbox"),
    }
    (folder / "inbox").mkdir(exist_ok=True)
    write_preferences(content, folder / "labdata" / "user_preferences.json")
    LabMember.insert1({"user_name": "bench"}, skip_duplicates=True)
    row = {"subject_name": "B1", "subject_dob": "2024-01-01", "subject_sex": "F"}
    row |= {"strain_name": "C57BL/6J", "user_name": "bench"}
    Subject.insert1(row, skip_duplicates=True)
    begun = time.strftime("%Y%m%d_%H%M")
    numbers = iter(range(60))

    def put() -> None:
        place = rig / "B1" / f"{begun}{next(numbers):02d}" / "task"
        place.mkdir(parents=True)
        for number in range(8):
            (place / f"{number}.csv").write_text("1,2\n")
            os.utime(place / f"{number}.csv", (1.7e9, 1.7e9))
        subprocess.run(
            [sys.executable, "-m", "labdata", "put", str(place)],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def bare() -> None:
        subprocess.run([sys.executable, "-c", "import datajoint"], check=True)

    times = alternate(put, bare, n=5)
    beyond = min(times[0]) - min(times[1])
    sys.stdout.write(
        f"put of 8 tiny files: {min(times[0]):.2f} s, {beyond:.2f} s beyond import datajoint\n"
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


def say(name: str, times: tuple[list[float], list[float]], size_bytes: int) -> None:
    """Print a line: both best times, their rates, and the ratio."""
    best = [min(took) for took in times]
    rates = [size_bytes / 2**20 / took for took in best]
    sys.stdout.write(
        f"{name}: {best[0]:.2f} / {best[1]:.2f} s, {rates[0]:.0f} / {rates[1]:.0f} MiB/s, "
        f"ratio {best[0] / best[1]:.2f}\n"
    )
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), float(sys.argv[2]) if len(sys.argv) > 2 else 2.0)
