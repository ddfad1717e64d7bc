"""Print how fast spikes are read and put around events, as ratios to others in the same run.

``python tests/benchmarks/spikes.py FOLDER [--peer PYTHON] [--plain]``. One MariaDB server on the
loopback address holds 600 units of 40,000 spikes twice: as labdata keeps them, and as the
published labdata 0.1.25 does, with the same pulses of a probe and an NI-DAQ. Each reading is a
process of its own; its seconds and its memory are those beyond its imports. What is read "again"
was kept on this computer by the reading before. The peer is a python that has
``labdata==0.1.25``, ``datajoint<2``, ``scipy`` and ``pynapple``; without it labdata runs alone.
Both connect with TLS, or with ``--plain`` without it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "integration"), str(Path(__file__).parent)]

ROUNDS = 5
OLD_NAME = "labtestold"


def main(folder: Path, peer: Path | None, *, use_tls: bool = True) -> None:
    """Fill both databases, measure, print."""
    import numpy as np
    import spikes_steps
    from conftest import run_server

    from labdata.database.mariadb_program import find_program

    shutil.rmtree(folder / "work", ignore_errors=True)
    work = folder / "work"
    (work / "server").mkdir(parents=True)
    # modules are compiled once, as an installation has them
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(work / "pyc")
    # as a lab's server is set up: what is used much stays in its memory
    with run_server(find_program(), work / "server", tls=True, buffer_mb=1024) as server:
        place = {"port": server.port, "password": server.password, "use_tls": use_tls}
        ours = _environment(work / "ours", _our_preferences(place, work / "scratch"))
        theirs = _environment(work / "theirs", _old_preferences(place))
        _run(Path(sys.executable), "fill", ours)
        if peer:
            _run(peer, "old_fill", theirs)
        found: dict[str, list[dict[str, float]]] = {}
        own = Path(sys.executable)
        for _ in range(ROUNDS):
            for name, step, python, env in (
                ("old_read", "old_read", peer, theirs),
                ("get_spike_times", "get_spike_times", own, ours),
                ("get_spike_times again", "get_spike_times", own, ours),
                ("spikes", "spikes", own, ours),
                ("spikes again", "spikes", own, ours),
            ):
                if not name.endswith("again"):
                    shutil.rmtree(work / "scratch", ignore_errors=True)
                if python:
                    found.setdefault(name, []).append(_run(python, step, env))
        large = {}
        for name, step in (("written", "large"), ("opened", "large_open"), ("touched", "large")):
            large[name] = _run(own, step, ours)
    _say_read(found, spikes_steps.N_UNITS * spikes_steps.N_SPIKES)
    for name, run in large.items():
        size = run["bytes"] / spikes_steps.N_LARGE
        _print(f"50 million spikes {name}: {run['seconds']:.3f} s, {run['bytes'] / 1e6:.0f} MB, "
               f"{size:.1f} bytes a spike beyond the imports")  # fmt: skip
    _say(_run(Path(sys.executable), "codec", os.environ.copy()))
    events = work / "events.npz"
    rng = np.random.default_rng(0)
    trains = [np.sort(rng.uniform(0, 3600.0, 20_000)) for _ in range(300)]
    np.savez(events, trains=np.stack(trains), events=np.sort(rng.uniform(2, 3590.0, 1000)))
    env = {**os.environ, "BENCH_EVENTS": str(events)}
    _say_events(
        _run(Path(sys.executable), "align", env), _run(peer, "pynapple", env) if peer else None
    )
    shutil.rmtree(work)


def _our_preferences(place: dict[str, Any], scratch: Path) -> dict[str, Any]:
    from labdata.preferences import default_preferences

    database = {f"database.{k}": v for k, v in place.items()}
    database |= {"database.host": "127.0.0.1", "database.user": "scientist"}
    database["database.name"] = "labtestnew"
    return default_preferences() | {"database": database, "scratch_path": str(scratch)}


def _old_preferences(place: dict[str, Any]) -> dict[str, Any]:
    stores = {name: {"protocol": "local", "folder": ""} for name in ("data", "analysis")}
    database = {f"database.{k}": v for k, v in place.items()}
    database |= {"database.host": "127.0.0.1", "database.user": "scientist"}
    return {"database": {**database, "database.name": OLD_NAME}, "storage": stores}


def _environment(folder: Path, preferences: dict[str, Any]) -> dict[str, str]:
    """Return an environment whose lab is in a folder."""
    folder.mkdir()
    file = folder / "user_preferences.json"
    file.write_text(json.dumps(preferences))
    file.chmod(0o600)
    env = {k: v for k, v in os.environ.items() if not k.startswith("LABDATA_")}
    return {**env, "LABDATA_PATH": str(folder)}


def _run(python: Path, step: str, env: dict[str, str]) -> dict[str, Any]:
    """Do a step of spikes_steps.py in a process of its own, and return what it found."""
    script = Path(__file__).with_name("spikes_steps.py")
    env = {k: v for k, v in env.items() if k != "PYTHONPATH" or python == Path(sys.executable)}
    done = subprocess.run(
        [str(python), str(script), step], env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{step} failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _say_read(found: dict[str, list[dict[str, float]]], n_spikes: int) -> None:
    best = {}
    for name, runs in found.items():
        took = [run["seconds"] for run in runs]
        memory = max(run["bytes"] for run in runs) / n_spikes
        best[name] = statistics.median(took)
        _print(f"{name}: {best[name]:.3f} s (all {[round(t, 3) for t in took]}), "
               f"{memory:.1f} bytes a spike beyond the imports")  # fmt: skip
    if "old_read" in best:
        for name in list(best)[1:]:
            _print(f"  {name}: {best['old_read'] / best[name]:.1f} times faster than before")


def _say_events(ours: dict[str, Any], theirs: dict[str, Any] | None) -> None:
    seconds, loop = ours["seconds"], ours["loop"]
    _print(f"align_spikes {seconds * 1e3:.0f} ms; the guide's loop {loop:.2f} s")
    _print(f"  {loop / seconds:.0f} times faster, equal to the bit: {ours['equal']}")
    if theirs:
        other = theirs["seconds"]
        _print(f"  pynapple {other:.2f} s: {other / seconds:.0f} times faster")


def _say(found: dict[str, Any]) -> None:
    _print(", ".join(f"{name} {value}" for name, value in found.items()))


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="what it holds in 'work' is removed")
    parser.add_argument("--peer", type=Path, help="a python with the peers")
    parser.add_argument("--plain", action="store_true", help="connect without TLS")
    given = parser.parse_args()
    main(given.folder.absolute(), given.peer, use_tls=not given.plain)
