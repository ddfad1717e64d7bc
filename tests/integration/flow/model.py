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
from labdata.rules.cleaning import clean, plan_clean
from labdata.rules.putting import plan_put, put
from labdata.rules.renaming import plan_rename
from labdata.rules.uploading import retry_failed, upload_job
from labdata.schema.fetching import fetch_planned, plan_fetch
from labdata.schema.garbage import find_garbage, remove_garbage
from labdata.schema.repairing import plan_repair, repair_planned
from labdata.schema.verifying import verify_stores

SESSION = "20240305_100000"
NAMES = ("task0", "task1")
PARTS = ("one", "two")
STATES = {"ON SERVER", "WAITING", "WORKING", "FAILED", "COMPLETED"}
DONE, REFUSED, KILLED = "done", "refused", "killed"
Files = dict[str, str]


def sha_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def files_of(folder: Path) -> Files:
    """Files under final names."""
    return {
        path.relative_to(folder).as_posix(): sha_of(path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".labdata-partial-")
    }


def place_of(name: str, part: str) -> str:
    return f"JC1/{SESSION}/{name}/{part}"


class World:
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
                assert self.in_the_way(job), f"job {job} failed for no reason: {self.why}"
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

    # -- steps of people ----------------------------------------------------------------------

    def record(self, rig: int, name: str, part: str, n_files: int) -> None:
        """New files at a rig, or others in the place of those that are there."""
        disk, place = f"rig{rig}", place_of(name, part)
        for number in range(n_files):
            path = f"{place}/{number}.bin"
            if not self.is_needed(disk, path):
                self.write(disk, path)

    def write(self, disk: str, path: str) -> None:
        self.n_contents += 1
        # mostly of one size, so that a size alone tells nothing
        content = f"{self.n_contents:06d} ".encode() * (500 + (self.n_contents % 5 == 0))
        target = self.folders[disk] / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.write_bytes(content)
        os.utime(target, (1.7e9 + self.n_contents,) * 2)
        self.disks[disk][path] = sha_of(content)
        self.known.add(sha_of(content))

    def change(self, rig: int, which: int) -> None:
        """Another content, mostly of the same size, at a rig under a name that is known."""
        disk = f"rig{rig}"
        known = self.stored.keys() | {path for job in self.jobs.values() for path in job}
        paths = sorted(path for path in known if not self.is_needed(disk, path))
        if paths:
            self.write(disk, paths[which % len(paths)])

    def remove(self, rig: int, name: str, part: str) -> None:
        """Someone deletes a folder of a rig, if nothing is lost by that."""
        disk = f"rig{rig}"
        for path in [p for p in self.disks[disk] if p.startswith(place_of(name, part) + "/")]:
            if not self.is_needed(disk, path):
                (self.folders[disk] / path).unlink()
                del self.disks[disk][path]

    def damage(self, which: int) -> None:
        """One bit of an object, of which the first rig or the inbox has a copy, goes wrong."""
        paths = [
            path
            for path, sha in sorted(self.stored.items())
            if path not in self.damaged and {"rig0", "server"} & set(self.copies(path, sha))
        ]
        if paths:
            path = paths[which % len(paths)]
            target = self.folders["store"] / path
            content = bytearray(target.read_bytes())
            self.n_contents += 1  # another bit each time: equal damage would be kept but once
            content[self.n_contents] ^= 4
            target.write_bytes(content)
            self.known.add(sha_of(content))
            self.disks["store"][path] = sha_of(content)
            self.damaged.add(path)

    # -- steps of the program -----------------------------------------------------------------

    def put(self, rig: int, name: str, part: str, kill: tuple[int, bool] | None) -> None:
        disk, place = f"rig{rig}", place_of(name, part)
        self.at(rig)
        files = {p: s for p, s in self.disks[disk].items() if p.startswith(place + "/")}
        taken = {p for job in self.jobs.values() for p in job} | self.stored.keys()
        inbox = self.disks["server"]
        reason = not files or taken & files.keys()
        reason = reason or any(inbox.get(p, s) != s for p, s in files.items())
        folder = self.folders[disk] / place
        end = self.do(lambda: put(plan_put(folder, rule="none")), kill)
        assert not (end == DONE and reason), ("put what was to be refused", place)
        assert end != REFUSED or reason, self.why
        new = self.assigned().keys() - self.jobs.keys()
        assert len(new) == 1 if end == DONE else len(new) <= (end == KILLED and not reason)
        for job in new:
            self.jobs[job], self.name_of[job] = files, name
        add = files if not reason or end == KILLED else {}
        add = {p: s for p, s in add.items() if inbox.get(p, s) == s}
        self.expect(add={"server": add}, whole=bool(new) or end != KILLED)

    def upload(self, which: int, kill: tuple[int, bool] | None) -> None:
        waiting = sorted(self.jobs.keys() - self.done)
        if waiting:
            self.upload_one(waiting[which % len(waiting)], kill)

    def upload_one(self, job: int, kill: tuple[int, bool] | None) -> None:
        self.at(0)
        reason = self.in_the_way(job)
        retry_failed(self.lab, [job])
        end = self.do(lambda: upload_job(job), kill)
        assert end != REFUSED or reason, self.why
        done = self.job_rows()[job][0] == "COMPLETED"
        assert done or end != DONE
        assert not (done and reason)
        if done:
            self.done.add(job)
            self.stored |= self.jobs[job]
            self.orphans -= self.jobs[job].keys()
        free = {p: s for p, s in self.jobs[job].items() if self.disks["store"].get(p, s) == s}
        self.expect(add={"store": free}, whole=done)

    def clean(self, rig: int, kill: tuple[int, bool] | None) -> None:
        self.at(rig)
        safe = {p: s for p, s in self.stored.items() if self.disks["store"].get(p) == s}
        goes = {
            disk: {p for p, s in self.disks[disk].items() if safe.get(p) == s}
            for disk in (f"rig{rig}", "server")
        }
        end = self.do(lambda: clean(plan_clean()), kill)
        assert end != REFUSED, self.why
        self.expect(remove=goes, whole=end == DONE)

    def get(self, rig: int, kill: tuple[int, bool] | None) -> None:
        """Fetch all: what a rig has under a name is never replaced, what is damaged not given."""
        self.at(rig)
        disk = f"rig{rig}"
        rows = self.lab.File.fetch(as_dict=True)
        if not rows:
            return
        here = self.disks[disk]
        lacking = {p: s for p, s in self.stored.items() if p not in here}
        comes = {p: s for p, s in lacking.items() if p not in self.damaged}
        other = {p for p, s in self.stored.items() if here.get(p, s) != s}
        end = self.do(lambda: fetch_planned(plan_fetch(rows), verify=True), kill)
        reason = other or len(comes) < len(lacking)
        assert end != REFUSED or reason, self.why
        assert not (end == DONE and reason), ("gave what differs", other)
        self.expect(add={disk: comes}, whole=end != KILLED)

    def repair(self) -> None:
        self.at(0)
        names = set(self.disks["store"])
        findings = verify_stores(self.lab, everything=True)
        assert {f.file_path for f in findings.findings} == self.damaged
        done = repair_planned(self.lab, plan_repair(self.lab, findings))
        restored = {one.finding.file_path for one in done if one.state == "restored"}
        wanted = {
            path
            for path in self.damaged
            if {"rig0", "server"} & set(self.copies(path, self.stored[path]))
        }
        assert restored == wanted
        now = files_of(self.folders["store"])
        kept = now.keys() - names
        assert len(kept) == len(restored) and all(".damaged-" in path for path in kept)
        self.orphans |= kept
        self.damaged -= restored
        add = {p: now[p] for p in kept} | {p: self.stored[p] for p in restored}
        self.expect(add={"store": add}, whole=True)

    def rename(self, which: int, to: str, kill: tuple[int, bool] | None) -> None:
        names = sorted(name for (name,) in self.rows("dataset_name", self.lab.Dataset))
        if self.renaming:
            self.rename_to(*self.renaming, kill)
        elif names:
            self.rename_to(names[which % len(names)], to, kill)

    def rename_to(self, old: str, new: str, kill: tuple[int, bool] | None) -> None:
        self.at(0)
        names = {name for (name,) in self.rows("dataset_name", self.lab.Dataset)}
        head, to = f"JC1/{SESSION}/{old}/", f"JC1/{SESSION}/{new}/"
        moves = {p: to + p.removeprefix(head) for p in self.stored if p.startswith(head)}
        moves = {} if old == new else moves
        copied = {moves[p]: self.stored[p] for p in moves if p not in self.damaged}
        jobs = self.job_rows().values()
        waiting = {p for job in self.jobs.keys() - self.done for p in self.jobs[job]}
        reason = old == new or new in names or self.damaged & moves.keys()
        reason = reason or any(status == "WORKING" for status, _ in jobs)
        reason = reason or (set(moves.values()) & (waiting | self.stored.keys()))
        store = self.disks["store"]
        reason = reason or any(store.get(p, s) != s for p, s in copied.items())
        key = {"subject_name": "JC1", "session_name": SESSION, "dataset_name": old}
        end = self.do(lambda: plan_rename(self.lab, key, new).apply(), kill)
        assert end != REFUSED or reason, self.why
        after = {name for (name,) in self.rows("dataset_name", self.lab.Dataset)}
        done = after != names
        assert done or end != DONE
        assert after in (names, names - {old} | {new})
        self.renaming = (old, new) if end == KILLED and not done else None
        if done:
            was = dict(self.stored)
            self.stored = {moves.get(p, p): s for p, s in was.items()}
            self.name_of = {j: new if n == old else n for j, n in self.name_of.items()}
            self.orphans = (self.orphans | moves.keys()) - self.stored.keys()
        else:
            self.orphans |= copied.keys() - self.stored.keys()
        came = {p: s for p, s in copied.items() if store.get(p, s) == s}
        self.expect(add={"store": came}, whole=done)

    def delete(self, which: int, kill: tuple[int, bool] | None) -> None:
        names = sorted(name for (name,) in self.rows("dataset_name", self.lab.Dataset))
        if not names or self.renaming:
            return
        self.at(0)
        name = names[which % len(names)]
        key = {"subject_name": "JC1", "session_name": SESSION, "dataset_name": name}
        links = self.lab.Dataset.DataFiles
        gone = {path for (path,) in self.rows("file_path", links, f"dataset_name = '{name}'")}
        jobs = {job for job, of in self.name_of.items() if of == name}
        reason = any(self.job_rows()[job][0] not in ("COMPLETED", "FAILED") for job in jobs)
        end = self.do(lambda: self.lab.Dataset.delete_plan(key).apply(), kill)
        assert (end == REFUSED) <= reason, self.why
        names_after = {name for (name,) in self.rows("dataset_name", self.lab.Dataset)}
        if name not in names_after:
            self.stored = {p: s for p, s in self.stored.items() if p not in gone}
            self.damaged -= gone
            self.orphans |= gone
            for job in jobs & self.done:  # its folder may be put again
                del self.jobs[job], self.name_of[job]
                self.done.discard(job)
        assert end == KILLED or (name in names_after) is reason
        self.expect(whole=True)

    def garbage(self, kill: tuple[int, bool] | None) -> None:
        """What was garbage for long enough goes, and nothing that a row or a job needs."""
        self.at(0)
        if self.renaming:
            return
        find_garbage(self.lab)
        base = self.lab.connection._preferences.name
        self.lab.connection.query(
            f"UPDATE `{base}`.`~labdata_garbage` SET first_seen = first_seen - INTERVAL 40 DAY"
        )
        waiting = [self.jobs[job] for job in self.jobs.keys() - self.done]
        goes = {
            path
            for path, sha in self.disks["store"].items()
            if path not in self.stored and not any(may_need(job, path, sha) for job in waiting)
        }
        end = self.do(lambda: remove_garbage(self.lab, grace_days=1), kill)
        assert end != REFUSED, self.why
        self.expect(remove={"store": goes}, whole=end == DONE)

    def finish(self) -> None:
        """Go on with all that is pending; then rows, objects and the model are one set."""
        for step in (self.repair, lambda: self.renaming and self.rename_to(*self.renaming, None)):
            step()
            self.check()
        for _ in range(2):  # what was in the way of the first is garbage before the second
            for job in sorted(self.jobs.keys() - self.done):
                self.upload_one(job, None)
                self.check()
            self.garbage(None)
        blocked = self.jobs.keys() - self.done
        assert all(self.in_the_way(job) for job in blocked)
        report = verify_stores(self.lab, everything=True)
        assert report.ok and not report.findings and not self.damaged
        self.garbage(None)
        self.check()
        if not blocked:
            assert self.registered() == self.stored == files_of(self.folders["store"])


def may_need(job: Files, path: str, sha: str) -> bool:
    """Whether an upload may have stored an object, or will find it: not if it is other content."""
    folder = os.path.commonpath([one.rpartition("/")[0] for one in job])
    return path.startswith(f"{folder}/") and job.get(path, sha) == sha


def diff(found: Files, wanted: Files) -> dict[str, Any]:
    names = found.keys() | wanted.keys()
    return {n: (found.get(n), wanted.get(n)) for n in names if found.get(n) != wanted.get(n)}
