"""A rig, a server and a lab of its own for each test; one private database server for all."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import itertools
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from labdata.errors import DatabaseError
from labdata.preferences import default_preferences, write_preferences
from labdata.rules import quiet
from labdata.testing import GroundTruth, ProbeSpec, write_spikeglx_run

sys.path.insert(0, str(Path(__file__).parent))
from outcomes import outcomes  # noqa: F401  (a fixture)

#: <repo>/../shared: outside generator and real data, where they are at hand.
SHARED = Path(__file__).parents[3].parent / "shared"
SESSION = "20240305_100000"
_numbers = itertools.count()


@pytest.fixture
def interruptible():
    """Let Ctrl-C interrupt the test: what a shell runs in the background is deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@dataclass(frozen=True)
class Rig:
    """One computer that records, receives and uploads."""

    home: Path

    @property
    def rig(self) -> Path:
        return self.home / "rig"

    @property
    def server(self) -> Path:
        return self.home / "server"

    @property
    def store(self) -> Path:
        return self.home / "labdata" / "storage" / "data"

    @property
    def lab(self) -> Any:
        from labdata.schema import default_lab

        return default_lab

    def project(self, name: str) -> Any:
        from labdata.schema import load_project_schema

        return load_project_schema(name)

    def prefer(self, **changed: Any) -> None:
        content = default_preferences() | {
            "local_paths": [str(self.rig), str(self.home / "cache")],
            "upload_path": str(self.server),
            "scratch_path": str(self.home / "scratch"),
        }
        write_preferences(content | changed, self.home / "labdata" / "user_preferences.json")

    def folder(self, relative: str, files: dict[str, bytes]) -> Path:
        folder = self.rig / relative
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folder

    def record(self, run: Path, relative: str = f"JC1/{SESSION}/ephys_g0") -> Path:
        """Copy a run to the rig as the folder of a dataset."""
        folder = self.rig / relative
        shutil.copytree(run, folder)
        return folder

    def add_subjects(self, *names: str, lab: Any = None) -> None:
        lab = lab or self.lab
        lab.LabMember.insert1({"user_name": "couto"}, skip_duplicates=True)
        lab.Subject.insert(
            {
                "subject_name": name,
                "subject_dob": "2023-11-02",
                "subject_sex": "F",
                "strain_name": "C57BL/6J",
                "user_name": "couto",
            }
            for name in names
        )

    def put(self, folder: Path, **options: Any) -> int:
        from labdata.rules.putting import plan_put, put

        lab = options.get("lab")
        return put(plan_put(folder, **options), lab=lab)

    def upload(self, job_id: int, **options: Any) -> Any:
        from labdata.rules.uploading import upload_job

        return upload_job(job_id, **options)

    def job(self, job_id: int) -> dict[str, Any]:
        return dict((self.lab.UploadJob & {"job_id": job_id}).fetch1())

    def counts(self, lab: Any = None) -> dict[str, int]:
        """Rows of every table that a flow can fill."""
        lab = lab or self.lab
        tables = {}
        for name, cls in lab.tables.items():
            tables[name] = len(cls())
            for part in ("AssignedFiles", "DataFiles", "ProbeSetting", "ProbeFile", "Digital"):
                if hasattr(cls, part):
                    tables[f"{name}.{part}"] = len(getattr(cls, part)())
        return tables

    def state(self) -> tuple[Any, ...]:
        """All that a refused command must leave as it was."""
        return self.counts(), listing(self.server), listing(self.store), listing(self.rig)


def listing(folder: Path) -> dict[str, str]:
    """Relative path to SHA-256 (or ``folder``) of everything below a folder."""
    if not folder.exists():
        return {}
    return {
        path.relative_to(folder).as_posix(): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        )
        for path in sorted(folder.rglob("*"))
    }


def in_child(work: Callable[[], Any]) -> int:
    """Run something in a forked process; its exit code, negative for the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture(scope="session")
def own_program() -> None:
    """Have the server program, fetched if need be; else tests are skipped, or fail in CI."""
    from labdata.database.mariadb_program import find_program

    try:
        find_program()
    except DatabaseError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def database_folder(own_program: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    from labdata.database.embedded import EmbeddedDatabase

    folder = tmp_path_factory.mktemp("db")
    yield folder
    EmbeddedDatabase(folder).stop()


@functools.cache
def _pool_of(folder: str) -> Any:
    from database_pool import DatabasePool

    return DatabasePool(f"flow{os.getpid()}_")


@contextlib.contextmanager
def make_rig(home: Path, database_folder: Path) -> Iterator[Rig]:
    from labdata import schema
    from labdata.database.connection import reset_connection

    def forget() -> None:
        reset_connection()
        schema.default_lab.deactivate()
        schema._labs.clear()

    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("LABDATA_"):
                patch.delenv(name)
        patch.setenv("LABDATA_PATH", str(home / "labdata"))
        patch.setenv("LABDATA_DATABASE_FOLDER", str(database_folder))
        pool = _pool_of(str(database_folder))
        database = pool.take()
        patch.setenv("LABDATA_DATABASE", database)
        patch.setattr(quiet, "SETTLE_FRESH_S", 0.2)
        made = Rig(home)
        for folder in (made.rig, made.server, made.home / "cache", made.store):
            folder.mkdir(parents=True)
        made.prefer()
        forget()
        try:
            yield made
        finally:
            forget()
            pool.give_back(database)


@pytest.fixture
def rig(tmp_path: Path, database_folder: Path) -> Iterator[Rig]:
    with make_rig(tmp_path / "home", database_folder) as made:
        yield made


@pytest.fixture
def lab_rig(rig: Rig) -> Rig:
    """A rig whose lab has the subjects JC1 and JC2."""
    rig.add_subjects("JC1", "JC2")
    return rig


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> GroundTruth:
    """Three seconds of one four-shank probe."""
    return write_spikeglx_run(
        tmp_path_factory.mktemp("small"), run_name="ephys", duration_s=3.0, n_channels=8, n_units=2
    )


@pytest.fixture(scope="session")
def two_probe_run(tmp_path_factory: pytest.TempPathFactory) -> GroundTruth:
    """Four seconds of imec0 and of imec1, a Neuropixels 1.0 with LF that started later."""
    probes = [
        ProbeSpec(n_channels=8, n_units=2, ppm=12.0),
        ProbeSpec("NP1000", n_channels=8, n_units=2, ppm=-9.0, start_s=0.05, probe_num=1),
    ]
    return write_spikeglx_run(
        tmp_path_factory.mktemp("two"), run_name="ephys", probes=probes, duration_s=4.0, seed=3
    )


def needs(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(importlib.util.find_spec(package) is None, reason=f"needs {package}")


@pytest.fixture(scope="session")
def shared() -> Path:
    return SHARED


@pytest.fixture
def run_child() -> Callable[[Callable[[], Any]], int]:
    return in_child


@pytest.fixture(scope="session")
def rig_maker() -> Callable[[Path, Path], contextlib.AbstractContextManager[Rig]]:
    """For rigs that live longer than a test."""
    return make_rig


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Type a command, which must end with the code given; what it said is returned."""
    from labdata.cli import main

    def run(*line: object, code: int = 0) -> Any:
        got = main([str(word) for word in line])
        said = capsys.readouterr()
        assert got == code, said.err
        assert "Traceback" not in said.err
        return said

    return run


@pytest.fixture
def told(typed: Callable[..., Any]) -> Callable[..., Any]:
    """Type a command and return the JSON that it prints."""
    return lambda *line: json.loads(typed(*line, "--json").out)


@pytest.fixture
def own_lab_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's other labs are those of other tests: they have files of the same paths."""
    from labdata.schema import garbage

    real = garbage._tables_like

    def own(connection: Any, names: tuple[str, ...]) -> list[tuple[str, str, str]]:
        base = connection._preferences.name
        return [row for row in real(connection, names) if row[0] == base]

    monkeypatch.setattr(garbage, "_tables_like", own)


@pytest.fixture
def stored(lab_rig: Rig, own_lab_only: None) -> Rig:
    """Thirteen files that only the store has, and one of results in the other store."""
    from verify_lab import CONTENT, FOLDER

    folder = lab_rig.folder(FOLDER, CONTENT)
    lab_rig.upload(lab_rig.put(folder))
    shutil.rmtree(folder)
    shutil.rmtree(lab_rig.server / "JC1")
    result = lab_rig.home / "labdata" / "storage" / "analysis" / "JC1" / "model.bin"
    result.parent.mkdir(parents=True)
    result.write_bytes(b"model")
    row = {"file_path": "JC1/model.bin", "storage": "analysis", "file_size": 5}
    sha256 = hashlib.sha256(b"model").hexdigest()
    lab_rig.lab.AnalysisFile.insert1({**row, "file_datetime": "2026-01-01", "file_sha256": sha256})
    return lab_rig
