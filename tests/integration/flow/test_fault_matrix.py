"""SIGKILL between all effects of put, upload, get and clean: repeated, all is right.

The effects of a run are counted first (:mod:`effects`), then it is run once for each of them and
killed before it, which is after the one before; and once after the last. In between, each raw
file is whole in a place that the database, or the rig, knows.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from labdata.rules.cleaning import clean, plan_clean
from labdata.rules.putting import plan_put, put
from labdata.rules.uploading import upload_job
from labdata.schema.fetching import fetch_planned, plan_fetch
from labdata.stores.paths import original_name

sys.path.insert(0, str(Path(__file__).parent))
from effects import counted_effects

pytestmark = pytest.mark.slow
FILES = {"a.csv": b"1,2\n", "deep/b.bin": os.urandom(70_000)}


def sums(folder):
    """SHA-256 of the files of a folder, unfinished ones left out."""
    return {
        original_name(p.relative_to(folder).as_posix()): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file() and "partial" not in p.name
    }


class Matrix:
    """Runs a piece of work killed at each of its effects, on new data each time."""

    def __init__(self, rig, run_child, tmp_path):
        self.rig, self.run_child, self.tmp = rig, run_child, tmp_path
        self.n_days = 0

    def new_dataset(self):
        self.n_days += 1
        return f"JC1/2024{1 + self.n_days // 28:02d}{1 + self.n_days % 28:02d}_100000/task"

    def run(self, prepare, work, check):
        """Prepare data, do the work killed at an effect, check and repeat; for each effect."""
        # the first makes folders that are there ever after, and lets this process import and
        # look up what each child, as its copy, would have to
        work(prepare())
        names = self.count(prepare, work)
        moments = [(number, False) for number in range(len(names))]
        for number, after in [*moments, (len(names) - 1, True)]:
            given = prepare()

            def killed(given=given, number=number, after=after):
                with counted_effects(number, after=after):
                    work(given)

            assert self.run_child(killed) == -signal.SIGKILL, (number, names)
            check(given, f"{'after' if after else 'before'} {number} ({names[number]})")
        return names

    def count(self, prepare, work):
        given, told = prepare(), self.tmp / "names"

        def counting():
            with counted_effects() as effects:
                work(given)
            told.write_text("\n".join(effects.names))

        assert self.run_child(counting) == 0
        return told.read_text().splitlines()


@pytest.fixture
def matrix(lab_rig, run_child, tmp_path, monkeypatch):
    monkeypatch.setattr("labdata.rules.quiet.SETTLE_FRESH_S", 0.0)  # nobody else writes here
    return Matrix(lab_rig, run_child, tmp_path)


def jobs_of(rig, place):
    """Upload jobs of a folder, with the checksums of their files."""
    rows = (rig.lab.UploadJob.AssignedFiles & f'src_path LIKE "{place}/%"').fetch(as_dict=True)
    found = {}
    for row in rows:
        name = row["src_path"].removeprefix(f"{place}/")
        found.setdefault(row["job_id"], {})[name] = row["src_sha256"]
    return found


def test_put(matrix, lab_rig, outcomes):
    def prepare():
        place = matrix.new_dataset()
        return place, lab_rig.folder(place, FILES)

    def work(given):
        put(plan_put(given[1]))

    def check(given, step):
        place, folder = given
        whole = sums(folder)
        assert len(whole) == 2, step
        for wanted in jobs_of(lab_rig, place).values():
            assert wanted == whole == sums(lab_rig.server / place), step
        if not jobs_of(lab_rig, place):
            work(given)
        assert list(jobs_of(lab_rig, place).values()) == [whole], step
        assert sums(lab_rig.server / place) == whole, step

    names = matrix.run(prepare, work, check)
    # both files: opened, times kept, forced to disk, named; then the transaction
    assert names.count("open") == names.count("link") == 2
    assert names.count("fsync") >= 4
    assert any(name.startswith("INSERT") for name in names) and "COMMIT" in names
    outcomes("put", "SIGKILL between effects", len(names) + 1, "whole files or none", "completes")


def upload_again(rig, job_id):
    deadline = time.monotonic() + 20  # for the server to notice that the worker is gone
    while rig.job(job_id)["job_status"] != "COMPLETED":
        assert time.monotonic() < deadline
        upload_job(job_id)
        time.sleep(0.02)


def registered(rig, place):
    rows = (rig.lab.File & f'file_path LIKE "{place}/%"').fetch(as_dict=True)
    return {row["file_path"].removeprefix(f"{place}/"): row["file_sha256"] for row in rows}


@pytest.mark.parametrize("kind", ["plain", "ephys"])
def test_upload(matrix, lab_rig, small_run, kind, outcomes):
    def prepare():
        place = matrix.new_dataset()
        if kind == "plain":
            folder = lab_rig.folder(place, FILES)
        else:
            place = place.replace("task", "ephys_g0")
            folder = lab_rig.record(small_run.run_folder, place)
        return place, lab_rig.put(folder)

    def work(given):
        upload_job(given[1])

    def check(given, step):
        place, job_id = given
        (originals,) = jobs_of(lab_rig, place).values()
        assert sums(lab_rig.server / place) == originals, step
        done = lab_rig.job(job_id)["job_status"] == "COMPLETED"
        assert bool(registered(lab_rig, place)) is done, step
        upload_again(lab_rig, job_id)
        assert registered(lab_rig, place) == sums(lab_rig.store / place), step
        assert len(registered(lab_rig, place)) == len(originals), step
        files = lab_rig.lab.Dataset.DataFiles & f'file_path LIKE "{place}/%"'
        assert len(files) == len(originals), step

    names = matrix.run(prepare, work, check)
    assert "COMMIT" in names and names.count("link") >= 2
    outcomes(
        f"upload, {kind}",
        "SIGKILL between effects",
        len(names) + 1,
        "all rows or none, inbox whole",
        "completes",
    )


def test_get(matrix, lab_rig, outcomes):
    def prepare():
        place = matrix.new_dataset()
        folder = lab_rig.folder(place, FILES)
        lab_rig.upload(lab_rig.put(folder))
        shutil.rmtree(folder)
        rows = (lab_rig.lab.File & f'file_path LIKE "{place}/%"').fetch(as_dict=True)
        return place, rows[:1]

    def work(given):
        fetch_planned(plan_fetch(given[1]))

    def check(given, step):
        place, rows = given
        wanted = {Path(row["file_path"]).name: row["file_sha256"] for row in rows}
        found = sums(lab_rig.rig / place) if (lab_rig.rig / place).exists() else {}
        assert found.items() <= wanted.items(), step
        work(given)
        assert sums(lab_rig.rig / place) == wanted, step

    names = matrix.run(prepare, work, check)
    assert names.count("link") == 1 and names.count("fsync") >= 2
    outcomes(
        "get", "SIGKILL between effects", len(names) + 1, "the whole file or none", "completes"
    )


def test_clean(matrix, lab_rig, outcomes):
    def prepare():
        place = matrix.new_dataset()
        lab_rig.upload(lab_rig.put(lab_rig.folder(place, FILES)))
        return place

    def work(place):
        clean(plan_clean(names=[place]))

    def check(place, step):
        assert sums(lab_rig.store / place) == registered(lab_rig, place), step
        for where in (lab_rig.rig, lab_rig.server):
            if (where / place).exists():
                assert sums(where / place).items() <= registered(lab_rig, place).items(), step
        work(place)
        for where in (lab_rig.rig, lab_rig.server):  # an empty folder may stay
            assert sums(where / place) == {}, step
        assert sums(lab_rig.store / place) == registered(lab_rig, place), step

    names = matrix.run(prepare, work, check)
    assert names.count("unlink") == 8  # each file, and what was made beside it
    outcomes(
        "clean",
        "SIGKILL between effects",
        len(names) + 1,
        "store whole, the rest right or gone",
        "completes",
    )
