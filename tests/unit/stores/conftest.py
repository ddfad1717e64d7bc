"""Helpers of the store tests: content, killed processes, small and read-only disks."""

import hashlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from labdata.stores import LocalStore

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def store(tmp_path):
    root = tmp_path / "store"
    root.mkdir()
    return LocalStore(root)


@pytest.fixture
def sha256_of():
    return lambda content: hashlib.sha256(content).hexdigest()


@pytest.fixture
def run_python(tmp_path):
    """Return a callable that runs code in a new interpreter; arguments arrive in sys.argv."""

    def run(code, *arguments):
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
        }
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def small_disk(tmp_path):
    """Return a callable that mounts a disk of a size, and one that makes it read-only."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(*options):
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("mounting a small disk needs the program mount")
        if done.returncode:
            pytest.skip(f"mounting a small disk needs root: {done.stderr.strip()}")
        return folder

    yield mount
    if os.path.ismount(folder):
        subprocess.run(["umount", "-l", str(folder)], check=True)
