"""Steps of the model that run at once: what may be true after, and what must be after a rerun.

Each command may end in one of few ways, by what it was beside: of two folders with one path one
is put and the other refused; of two uploads of a job one does it; a file that two fetch is fetched
once. Which files may have come and gone is the union of what the commands may do. Afterwards all
that was killed or refused is done again, alone, by the steps of :mod:`model_steps`, which hold the
exact outcome.

A change that falls between a command's last look and its act cannot be seen by any program; such
are not tried: nobody writes to a file that clean has just compared.

What these steps are for was tried by taking it out of labdata. Within the default number of
examples they notice that a copy gets its name by a rename that replaces; that the lock of a claim,
or that of put, is not taken; that a copy is accepted under a name that has other content; that
clean does not look again; and that an object is not read back after it was stored. They did not
notice that an upload does not look at its claim where it makes rows, that garbage is not looked at
once more before it goes, that put does not look at its copies once more before it registers them,
nor that a put which finds other content in the inbox leaves its copies there. The first would need
a step that breaks a worker's connection; for the others switches are needed that seldom come.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from at_once import DONE, KILLED, REFUSED, Kill, Pause, Process, run_at_once
from model import Files, place_of, sha_of
from model_steps import World, may_need

from labdata.preferences import load_preferences
from labdata.rules.cleaning import clean, plan_clean
from labdata.rules.putting import plan_put, put
from labdata.rules.uploading import upload_job
from labdata.schema.fetching import fetch_planned, plan_fetch
from labdata.schema.garbage import find_garbage, remove_garbage
from labdata.schema.verifying import verify_stores

SAME, OTHER, PARTLY = "same", "other", "partly"


@dataclass
class Command:
    """One of those that run at once."""

    kind: str
    rig: int
    pause: Pause | None
    kill: Kill | None
    job: int = 0
    files: Files = field(default_factory=dict)
    process: Any = None

    @property
    def end(self) -> str:
        return str(self.process.end)

    @property
    def value(self) -> Any:
        return self.process.value

    @property
    def said(self) -> str:
        return f"{self.kind}: {self.process.said}"


class Race(World):
    """The world, with commands at once."""

    n_races = 0
    place = ("", "")
    planned: Any = None

    def at_once(
        self,
        commands: Iterable[tuple[str, int, Pause | None, Kill | None]],
        name: str,
        sizes: tuple[int, int],
        alike: str,
        which: int,
    ) -> None:
        """Run commands together, hold what each may have done, then do again what did not end."""
        race = [Command(*one) for one in commands]
        if self.renaming:
            race = [one for one in race if one.kind != "garbage"]
        self.n_races += 1
        self.place = (name, f"race{self.n_races}")
        self._prepare(race, sizes, alike, which)
        before = self.look(), dict(self.stored), self._garbage_now(), self._partials()
        for one in race:
            self.at(one.rig)
            one.process = Process(self.lab, self._work_of(one), one.pause, one.kill)
        run_at_once([one.process for one in race])
        self.n_killed += sum(one.end == KILLED for one in race)
        self._judge_puts([one for one in race if one.kind == "put"], alike)
        for job in {one.job for one in race if one.kind == "upload"}:
            of_job = [one for one in race if (one.kind, one.job) == ("upload", job)]
            self._judge_uploads(job, of_job, any(one.kind == "garbage" for one in race))
        self._judge_disks(race, *before)
        self.check()
        self._again(race)

    # -- before -------------------------------------------------------------------------------

    def _prepare(
        self, race: list[Command], sizes: tuple[int, int], alike: str, which: int
    ) -> None:
        kinds = {one.kind for one in race}
        if "upload" in kinds and not self.jobs.keys() - self.done:
            self.record(0, *self.place, 2)
            self.put(0, *self.place, None)
            self.place = (self.place[0], self.place[1] + "b")
        if "put" in kinds:
            for rig, size in enumerate(sizes):
                self.record(rig, *self.place, size)
            if alike != OTHER:
                self._copy_between_rigs(1 if alike == PARTLY else 2)
        waiting = sorted(self.jobs.keys() - self.done)
        for one in race:
            self._prepare_one(one, waiting, which)
        if "garbage" in kinds:
            find_garbage(self.lab)
            self.make_garbage_old()

    def _prepare_one(self, one: Command, waiting: list[int], which: int) -> None:
        disk = f"rig{one.rig}"
        if one.kind == "upload":
            one.job = waiting[(which + one.rig) % len(waiting)]
            self.retry(one.job)
        if one.kind == "put":
            one.files = files_in(self.disks[disk], place_of(*self.place))
        if one.kind == "get":
            for path in [p for p in self.disks[disk] if p in self.stored]:
                self._drop(disk, path)

    def _drop(self, disk: str, path: str) -> None:
        if not self.is_needed(disk, path):
            (self.folders[disk] / path).unlink()
            del self.disks[disk][path]

    def _copy_between_rigs(self, n_files: int) -> None:
        for number in range(n_files):
            path = f"{place_of(*self.place)}/{number}.bin"
            if path in self.disks["rig0"] and path in self.disks["rig1"]:
                target = self.folders["rig1"] / path
                target.write_bytes((self.folders["rig0"] / path).read_bytes())
                os.utime(target, (1.7e9, 1.7e9))
                self.disks["rig1"][path] = self.disks["rig0"][path]

    def _garbage_now(self) -> set[str]:
        """Objects that nothing needs, of the model."""
        waiting = [self.jobs[job] for job in self.jobs.keys() - self.done]
        return {
            path
            for path, sha in self.disks["store"].items()
            if path not in self.stored and not any(may_need(job, path, sha) for job in waiting)
        }

    def _partials(self) -> set[str]:
        return {str(p) for p in self.rig.home.rglob(".labdata-partial-*")}

    def _work_of(self, one: Command) -> Callable[[], Any]:
        """Return what a process does; its preferences are those of its rig."""
        lab, of_rig = self.lab, load_preferences()
        folder = self.folders[f"rig{one.rig}"] / place_of(*self.place)
        rows = lab.File.fetch(as_dict=True) if one.kind == "get" else []

        def verify() -> list[list[str]]:
            report = verify_stores(lab, everything=True, preferences=of_rig)
            return sorted([found.kind, found.file_path] for found in report.findings)

        def get() -> int:
            return len(fetch_planned(plan_fetch(rows, preferences=of_rig), verify=True))

        return {
            "put": lambda: put(plan_put(folder, rule="none", preferences=of_rig)),
            "upload": lambda: upload_job(one.job, preferences=of_rig) is not None,
            "get": get,
            "clean": lambda: len(clean(plan_clean(preferences=of_rig), preferences=of_rig)),
            "verify": verify,
            "garbage": lambda: len(remove_garbage(lab, grace_days=1, preferences=of_rig)),
        }[one.kind]

    # -- after --------------------------------------------------------------------------------

    def _judge_puts(self, puts: list[Command], alike: str) -> None:
        """One folder is registered, as it is in the inbox; the others were told."""
        found = self.assigned()
        new = found.keys() - self.jobs.keys()
        assert len(new) <= bool(puts), ("one path in two jobs", new)
        done = [one for one in puts if one.end == DONE]
        killed = [one for one in puts if one.end == KILLED]
        assert len(done) <= 1, "two puts of one path were told that they are done"
        for one in done:
            assert {one.value} == new and found[one.value] == one.files
        inbox = files_in(self.look()["server"], place_of(*self.place))
        for job in new:
            assert done or any(one.files == found[job] for one in killed)
            self.jobs[job], self.name_of[job] = found[job], self.place[0]
            assert inbox.items() >= found[job].items(), "registered, and not in the inbox"
        if puts and not killed:
            assert done or (alike == PARTLY and len(puts) > 1), [one.said for one in puts]
            assert inbox == (done[0].files if done else {}), "a refused put left its copies"
        for one in puts:
            assert one.end != REFUSED or len(puts) > 1, one.said

    def _judge_uploads(self, job: int, uploads: list[Command], is_cleared: bool) -> None:
        """One worker does the job; the others see that it is not theirs.

        What is in its way may go as garbage, before or after it is met.
        """
        reason = self.in_the_way(job)
        done = self.job_rows()[job][0] == "COMPLETED"
        told = [one for one in uploads if one.end == DONE and one.value]
        killed = [one for one in uploads if one.end == KILLED]
        assert len(told) <= 1, "two workers were told that they did it"
        assert done or not told
        for one in uploads:
            assert one.end != REFUSED or reason, one.said
        if any(one.end == REFUSED for one in uploads):
            self.failed.add(job)
        if not killed:
            assert len(told) == done
            assert done is not reason or (is_cleared and reason)
        if done:
            assert not reason or is_cleared
            self.done.add(job)
            self.stored |= self.jobs[job]
            self.orphans -= self.jobs[job].keys()

    def _judge_disks(
        self,
        race: list[Command],
        before: dict[str, Files],
        stored: Files,
        garbage: set[str],
        partials: set[str],
    ) -> None:
        came: dict[str, dict[str, set[str]]] = {disk: {} for disk in before}
        went: dict[str, set[str]] = {disk: set() for disk in before}
        self.disks = self.look()
        gets = {one.rig for one in race if one.kind == "get"}
        cleans = {one.rig for one in race if one.kind == "clean"}
        for one in race:
            rig = f"rig{one.rig}"
            if one.kind == "put":
                add_to(came["server"], one.files)
            if one.kind == "upload":
                add_to(came["store"], self.jobs[one.job])
            if one.kind == "get":
                self._judge_get(one, before[rig], stored, one.rig in cleans)
                lacking = {p: s for p, s in stored.items() if p not in before[rig]}
                add_to(came[rig], {p: s for p, s in lacking.items() if p not in self.damaged})
            if one.kind == "clean":
                assert one.end != REFUSED, one.said
                for disk in (rig, "server"):
                    went[disk] |= {p for p in self.stored if p not in self.damaged}
            if one.kind == "verify":
                wanted = [["content", path] for path in sorted(self.damaged)]
                assert one.end == KILLED or one.value == wanted, (one.said, one.value)
            if one.kind == "garbage":
                alone = sum(other.kind == "garbage" for other in race) == 1
                assert one.end != REFUSED or not alone, one.said
                went["store"] |= garbage | self._garbage_of(before["store"])
        self._compare(before, came, went)
        self._judge_removed(race, before, stored, garbage, gets, cleans)
        if not any(one.end == KILLED for one in race):
            assert self._partials() <= partials, "half files were left"

    def _judge_get(self, one: Command, here: Files, stored: Files, cleaned: bool) -> None:
        lacking = stored.keys() - here.keys()
        reason = any(here.get(p, s) != s for p, s in stored.items())
        reason = reason or bool(lacking & self.damaged)
        assert one.end != REFUSED or reason or cleaned, one.said
        assert not (one.end == DONE and reason)
        if one.end != KILLED and not cleaned:
            now = self.disks[f"rig{one.rig}"]
            assert all(now.get(p) == stored[p] for p in lacking - self.damaged)

    def _judge_removed(
        self,
        race: list[Command],
        before: dict[str, Files],
        stored: Files,
        garbage: set[str],
        gets: set[int],
        cleans: set[int],
    ) -> None:
        """Hold that what nobody wanted kept is gone, if a command was told that all went well."""
        # a file that a killed clean held aside is what another one saw come, or did not see
        killed = any(one.end == KILLED and one.kind == "clean" for one in race)
        for one in race:
            if one.end == DONE and one.kind == "clean" and not killed:
                disks = ["server"] + [f"rig{one.rig}"] * (one.rig not in gets)
                for disk in disks:
                    for path, sha in before[disk].items():
                        safe = stored.get(path) == sha and path not in self.damaged
                        assert not (safe and path in self.disks[disk]), ("not cleaned", path)
            if one.end == DONE and one.kind == "garbage":
                left = garbage & self._garbage_of(before["store"]) & self.disks["store"].keys()
                assert not left or any(o.kind == "garbage" and o is not one for o in race), left

    def _garbage_of(self, store: Files) -> set[str]:
        kept, self.disks = self.disks, self.disks | {"store": store}
        try:
            return self._garbage_now()
        finally:
            self.disks = kept

    def _compare(
        self,
        before: dict[str, Files],
        came: dict[str, dict[str, set[str]]],
        went: dict[str, set[str]],
    ) -> None:
        """Hold that nothing happened to the disks but what one of the commands may do."""
        for disk, now in self.disks.items():
            for path in now.keys() | before[disk].keys():
                was = before[disk].get(path)
                allowed: set[str | None] = {was}
                if was is None or path in went["store"]:  # garbage makes room
                    allowed |= came[disk].get(path, set())
                if path in went[disk] and (disk == "store" or self.stored.get(path) == was):
                    allowed.add(None)
                assert now.get(path) in allowed, (disk, path, was, now.get(path))

    def _again(self, race: list[Command]) -> None:
        """Do again, alone, what was killed or refused: now each ends as if it had been alone."""
        for one in race:
            if one.end == DONE:
                continue
            if one.kind == "put":
                self.put(one.rig, *self.place, None)
            elif one.kind == "upload" and one.job not in self.done:
                self.upload_one(one.job, None)
            elif one.kind == "get":
                self.get(one.rig, None)
            elif one.kind == "clean":
                self.clean(one.rig, None)
            elif one.kind == "garbage":
                self.garbage(None)
            self.check()
        if any(one.kind == "put" for one in race):
            start = place_of(*self.place) + "/"
            jobs = [j for j, files in self.jobs.items() if any(p.startswith(start) for p in files)]
            assert len(jobs) == 1, "nobody could put the folder"

    # -- one command in two parts -------------------------------------------------------------

    def plan_a_clean(self, rig: int) -> None:
        """Someone looks at what would go, and answers later."""
        self.at(rig)
        self.planned = rig, plan_clean(), dict(self.stored)

    def clean_as_planned(self) -> None:
        """What has changed since it was planned is seen: only what the store has now goes."""
        if self.planned is None:
            return
        (rig, plan, stored), self.planned = self.planned, None
        self.at(rig)
        listed = {one.path for one in plan if not one.kept}
        safe = {p: s for p, s in stored.items() if self.disks["store"].get(p) == s}
        goes = {
            disk: {
                p
                for p, s in self.disks[disk].items()
                if safe.get(p) == s and self.folders[disk] / p in listed
            }
            for disk in (f"rig{rig}", "server")
        }
        assert self.do(lambda: clean(plan), None) == DONE, self.why
        self.expect(remove=goes, whole=True)

    def rot_in_the_act(self, which: int, nth: int) -> None:
        """A bit of an object goes wrong right after it was written: the upload sees it."""
        waiting = sorted(self.jobs.keys() - self.done)
        if not waiting:
            return
        job = waiting[which % len(waiting)]
        if self.in_the_way(job):
            return
        self.at(0)
        self.retry(job)
        process = Process(self.lab, lambda: upload_job(job) is not None, ("link", nth, True), None)
        process.go_on()
        process.wait()
        now = self.look()["store"]
        written = now.keys() - self.disks["store"].keys()
        add = dict(self.jobs[job])
        if not process.end:
            path = max(written)  # they are stored in the order of their paths
            target = self.folders["store"] / path
            content = bytearray(target.read_bytes())
            content[3] ^= 1
            target.write_bytes(content)
            self.known.add(sha_of(content))
            add[path] = sha_of(content)
            process.go_on()
            process.wait()
            assert process.end == REFUSED, "stored other bytes than it was given"
            self.orphans |= {path}
        self.why = process.said
        if self.job_rows()[job][0] == "COMPLETED":
            assert process.end == DONE and add == self.jobs[job]
            self.done.add(job)
            self.stored |= self.jobs[job]
            self.orphans -= self.jobs[job].keys()
        self.expect(add={"store": add}, whole=False)


def files_in(files: Files, folder: str) -> Files:
    return {p: s for p, s in files.items() if p.startswith(folder + "/")}


def add_to(came: dict[str, set[str]], files: Files) -> None:
    for path, sha in files.items():
        came.setdefault(path, set()).add(sha)
