"""Steps that people and the program take in the world of :mod:`model`."""

from __future__ import annotations

import os

from model import (
    DONE,
    KILLED,
    REFUSED,
    SESSION,
    Model,
    files_of,
    may_need,
    place_of,
    sha_of,
)

from labdata.rules.cleaning import clean, plan_clean
from labdata.rules.putting import plan_put, put
from labdata.rules.renaming import plan_rename
from labdata.rules.upload_queue import retry_failed
from labdata.rules.uploading import upload_job
from labdata.schema.fetching import fetch_planned, plan_fetch
from labdata.schema.garbage import find_garbage, remove_garbage
from labdata.schema.repairing import plan_repair, repair_planned
from labdata.schema.verifying import verify_stores


class World(Model):
    """The model, with all that can happen in it."""

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
        self.retry(job)
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

    def retry(self, job: int) -> None:
        """Let a job that failed be taken again."""
        retry_failed(self.lab, [job])
        self.failed.discard(job)

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
        self.make_garbage_old()
        waiting = [self.jobs[job] for job in self.jobs.keys() - self.done]
        goes = {
            path
            for path, sha in self.disks["store"].items()
            if path not in self.stored and not any(may_need(job, path, sha) for job in waiting)
        }
        end = self.do(lambda: remove_garbage(self.lab, grace_days=1), kill)
        assert end != REFUSED, self.why
        self.expect(remove={"store": goes}, whole=end == DONE)

    def make_garbage_old(self) -> None:
        """What is garbage now was first seen 40 days ago."""
        base = self.lab.connection._preferences.name
        self.lab.connection.query(
            f"UPDATE `{base}`.`~labdata_garbage` SET first_seen = first_seen - INTERVAL 40 DAY"
        )

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
