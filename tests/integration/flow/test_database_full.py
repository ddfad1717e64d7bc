"""The disk of the database is full: what cannot be written is refused whole, and said.

The server runs on a small disk of its own, filled by a file that is then taken away. Rows are
wide and many, as the server writes small ones into room that it took before.
"""

from __future__ import annotations

import pytest
from faults import KIB, MIB, all_is_right, refused, small_disk

from labdata.database.embedded import EmbeddedDatabase
from labdata.errors import DatabaseError
from labdata.rules.putting import plan_put, put

pytestmark = [pytest.mark.usefixtures("own_lab_only"), pytest.mark.slow]
PLACE = "JC1/20240305_100000/task"
N_FILES = 400


@pytest.fixture
def on_small_disk(own_program, tmp_path, rig_maker):
    with small_disk(tmp_path / "disk", 320 * MIB) as disk:
        folder = disk / "database"
        try:
            with rig_maker(tmp_path / "home", folder) as rig:
                rig.add_subjects("JC1")
                yield rig, disk
        finally:
            EmbeddedDatabase(folder).stop()


def fill(disk):
    """Leave no room at all."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (MIB, KIB, 1):
            try:
                while True:
                    file.write(b"\1" * size)
            except OSError:
                continue
    return ballast


def test_put_and_upload(on_small_disk, outcomes):
    rig, disk = on_small_disk
    names = {f"{n:04d}-{'x' * 200}.csv": b"%d" % n for n in range(N_FILES)}
    folder = rig.folder(PLACE, names)
    plan = plan_put(folder)
    ballast = fill(disk)
    error = refused(lambda: put(plan), DatabaseError)
    assert "full" in error.message.lower(), error.message
    ballast.unlink()
    assert len(rig.lab.UploadJob()) == len(rig.lab.UploadJob.AssignedFiles()) == 0
    job_id = put(plan_put(folder))
    ballast = fill(disk)
    refused(lambda: rig.upload(job_id), DatabaseError)
    ballast.unlink()
    assert len(rig.lab.File()) == len(rig.lab.Dataset()) == 0
    from labdata.rules.upload_queue import retry_failed

    retry_failed(rig.lab, [job_id])
    rig.upload(job_id)
    assert len(rig.lab.File()) == len(rig.lab.Dataset.DataFiles()) == N_FILES
    all_is_right(rig, N_FILES)
    outcomes("put, upload", "the database's disk is full", 2, "DatabaseError", "completes")
