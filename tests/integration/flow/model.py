"""What must exist after any sequence of put, upload, get, clean, rename and delete, killed or not.

The world is two rigs, an inbox and a store. The model knows it as plain dicts of path to SHA-256,
made with hashlib and raw SQL, never with the code that is tested: what each rig recorded, what
each job promised, what must be registered. A step says which files it may add or remove and
whether it had a reason to refuse; one that is killed may have done any part of that, but nothing
else, and a job, a deletion or a change of name is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from effects import counted_effects

from labdata.errors import LabdataError
from labdata.stores.paths import original_name

SESSION = "20240305_100000"
NAMES = ("task0", "task1")
PARTS = ("one", "two")
STATES = {"ON SERVER", "WAITING", "WORKING", "FAILED", "COMPLETED"}
DONE, REFUSED, KILLED = "done", "refused", "killed"
Files = dict[str, str]


def sha_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def files_of(folder: Path) -> Files:
    """Files under final names; one that a killed clean left aside is still its file."""
    found: Files = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith(".labdata-partial-"):
            sha = sha_of(path.read_bytes())
            name = original_name(path.relative_to(folder).as_posix())
            assert found.setdefault(name, sha) == sha, ("two contents", name)
    return found


def place_of(name: str, part: str) -> str:
    return f"JC1/{SESSION}/{name}/{part}"


class Model:
    """Two rigs, an inbox, a store and a database, and what must be in them."""

    def __init__(self, rig: Any) -> None:
        self.rig, self.lab = rig, rig.lab
        self.folders = {
            "rig0": rig.rig,
            "rig1": rig.home / "rig1",
            "server": rig.server,
            "store": rig.store,
        }
        self.folders["rig1"].mkdir()
        (rig.home / "outside").mkdir()
        (rig.home / "outside" / "thesis.txt").write_bytes(b"not ours")
        self.disks: dict[str, Files] = {name: {} for name in self.folders}
        self.known: set[str] = set()  # of every content that was ever whole
        self.jobs: dict[int, Files] = {}
        self.name_of: dict[int, str] = {}  # job -> dataset
        self.done: set[int] = set()
        self.failed: set[int] = set()  # which had a reason
        self.stored: Files = {}  # what File must say
        self.damaged: set[str] = set()
        self.orphans: set[str] = set()  # objects that may be without a row
        self.renaming: tuple[str, str] | None = None
        self.n_contents = 0
        self.n_killed = 0
        self.end = DONE

    # -- the parts of a step ------------------------------------------------------------------

    def look(self) -> dict[str, Files]:
        return {name: files_of(folder) for name, folder in self.folders.items()}

    def rows(self, what: str, table: Any, where: str = "1") -> list[tuple[Any, ...]]:
        query = f"SELECT {what} FROM {table.full_table_name} WHERE {where}"
        return [tuple(row) for row in self.lab.connection.query(query).fetchall()]

    def registered(self) -> Files:
        return dict(self.rows("file_path, file_sha256", self.lab.File))

    def job_rows(self) -> dict[int, tuple[str, str]]:
        rows = self.rows("job_id, job_status, dataset_name", self.lab.UploadJob)
        return {job: (status, name) for job, status, name in rows}

    def assigned(self) -> dict[int, Files]:
        found: dict[int, Files] = {}
        rows = self.rows("job_id, src_path, src_sha256", self.lab.UploadJob.AssignedFiles)
        for job, path, sha in rows:
            found.setdefault(job, {})[path] = sha
        return found

    def at(self, number: int) -> None:
        """Use the computer of a rig; the server's store and inbox are mounted."""
        self.rig.prefer(local_paths=[str(self.folders[f"rig{number}"])])

    def do(self, work: Callable[[], Any], kill: tuple[int, bool] | None) -> str:
        """Run a piece of work here, or in a process that is killed at an effect."""
        if kill is None:
            try:
                work()
            except LabdataError as error:
                assert error.hint is not None
                self.why = str(error)
                return REFUSED
            return DONE
        before = self._connections()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                with counted_effects(kill[0], after=kill[1]):
                    work()
                code = 0
            except LabdataError:
                code = 3
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        while self._connections() - before:  # its transaction ends when the server sees it gone
            pass
        assert code in (0, 3, -signal.SIGKILL), code
        self.why = "in a process of its own"
        self.n_killed += code < 0
        return {0: DONE, 3: REFUSED}.get(code, KILLED)

    def _connections(self) -> set[int]:
        query = "SELECT id FROM information_schema.processlist WHERE user <> 'system user'"
        return {row[0] for row in self.lab.connection.query(query).fetchall()}

    def expect(
        self,
        *,
        add: dict[str, Files] | None = None,
        remove: dict[str, set[str]] | None = None,
        whole: bool,
    ) -> None:
        """Compare the disks: exactly these files came and went, or some if it was cut short."""
        now = self.look()
        for disk, before in self.disks.items():
            came, went = (add or {}).get(disk, {}), (remove or {}).get(disk, set())
            full = {path: sha for path, sha in before.items() if path not in went} | came
            if whole:
                assert now[disk] == full, (disk, diff(now[disk], full))
                continue
            for path in now[disk].keys() | before.keys():
                allowed = {before.get(path)}
                allowed |= {came[path]} if path in came else set()
                allowed |= {None} if path in went else set()
                assert now[disk].get(path) in allowed, (disk, path, now[disk].get(path))
        self.disks = now

    def copies(self, path: str, sha: str, *, besides: tuple[str, str] | None = None) -> list[str]:
        """Disks that have a path whole."""
        return [
            disk
            for disk, files in self.disks.items()
            if files.get(path) == sha and (disk, path) != besides
        ]

    def is_needed(self, disk: str, path: str) -> bool:
        """Whether a promise would be broken if a file were gone."""
        sha = self.disks[disk].get(path)
        promises = [(p, s) for p, s in self.stored.items()]
        promises += [i for j in self.jobs.keys() - self.done for i in self.jobs[j].items()]
        return (path, sha) in promises and not self.copies(path, sha, besides=(disk, path))

    def begin(self) -> None:
        """Folders in every state, or most steps of a short sequence would find nothing to do."""
        for name, part in itertools.product(NAMES, PARTS):
            self.record(0, name, part, 2)
        for name, part in [(NAMES[0], PARTS[0]), (NAMES[1], PARTS[0]), (NAMES[0], PARTS[1])]:
            self.put(0, name, part, None)
        for _ in range(2):
            self.upload(0, None)
        self.check()

    # -- what holds after every step ----------------------------------------------------------

    def check(self) -> None:
        assert self.assigned() == self.jobs
        found = self.job_rows()
        assert found.keys() == self.jobs.keys()
        for job, (status, name) in found.items():
            assert status in STATES and name == self.name_of[job]
            assert (status == "COMPLETED") == (job in self.done), (job, status, self.done)
            if status == "FAILED":
                # what was in the way may have been removed since, as garbage
                assert self.in_the_way(job) or job in self.failed, f"job {job}: {self.why}"
                self.failed.add(job)
            else:
                self.failed.discard(job)
        assert self.registered() == self.stored, diff(self.registered(), self.stored)
        for path, sha in self.stored.items():
            whole = self.disks["store"].get(path) == sha
            assert whole == (path not in self.damaged), ("store", path)
            assert self.copies(path, sha), ("lost", path)
        waiting = {p for job in self.jobs.keys() - self.done for p in self.jobs[job]}
        for job in self.jobs.keys() - self.done:
            for path, sha in self.jobs[job].items():
                assert self.copies(path, sha), ("lost before its upload", path)
        rest = self.disks["store"].keys() - self.stored.keys() - waiting - self.orphans
        assert not rest, ("objects without a row", rest)
        for disk, files in self.disks.items():
            for path, sha in files.items():
                assert sha in self.known, ("not whole", disk, path)
        assert files_of(self.rig.home / "outside") == {"thesis.txt": sha_of(b"not ours")}
        names = {"rig", "rig1", "server", "cache", "scratch", "labdata", "outside"}
        assert {p.name for p in self.rig.home.iterdir()} <= names

    def in_the_way(self, job: int) -> bool:
        """Whether an upload has a reason to fail: its paths are taken by other content or rows."""
        taken = self.disks["store"]
        return any(
            taken.get(path, sha) != sha or path in self.stored
            for path, sha in self.jobs[job].items()
        )


def may_need(job: Files, path: str, sha: str) -> bool:
    """Whether an upload may have stored an object, or will find it: not if it is other content."""
    folder = os.path.commonpath([one.rpartition("/")[0] for one in job])
    return path.startswith(f"{folder}/") and job.get(path, sha) == sha


def diff(found: Files, wanted: Files) -> dict[str, Any]:
    names = found.keys() | wanted.keys()
    return {n: (found.get(n), wanted.get(n)) for n in names if found.get(n) != wanted.get(n)}
