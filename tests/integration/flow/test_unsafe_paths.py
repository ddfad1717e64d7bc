"""Paths in the database that lead elsewhere: nothing outside of the roots is touched by them.

Rows are written past the checks of ``put``, as a hand, an old program or a damaged dump could.
"""

from __future__ import annotations

import builtins
import hashlib
import io
import os
import shutil
from contextlib import suppress

import pytest
from faults import all_is_right, findings, listing
from verify_lab import repair

from labdata.cli import main
from labdata.errors import LabdataError
from labdata.rules.cleaning import clean, plan_clean
from labdata.schema.fetching import fetch_planned, plan_fetch
from labdata.schema.files import open_in_place, open_ranges
from labdata.schema.garbage import find_garbage, remove_garbage

PLACE = "JC1/20240305_100000/task"
CONTENT = b"of the rig"
SECRET = b"of nobody's business"
ROW = {
    "storage": "data",
    "file_datetime": "2024-03-05",
    "file_size": len(SECRET),
    "file_sha256": hashlib.sha256(SECRET).hexdigest(),
}

pytestmark = pytest.mark.usefixtures("own_lab_only")


@pytest.fixture
def secret(lab_rig):
    """A file beside all roots, and one in each place that a wrong join would reach."""
    folder = lab_rig.home / "outside"
    folder.mkdir()
    (folder / "secret.txt").write_bytes(SECRET)
    return folder / "secret.txt"


def written(secret):
    """Ways to write the path of the secret, or one that is no path."""
    return {
        "dots": "../outside/secret.txt",
        "dots of the store": "../../../outside/secret.txt",
        "dots within": "JC1/../../outside/secret.txt",
        "absolute": str(secret),
        "drive": f"C:{secret}",
        "drive with backslashes": "C:\\outside\\secret.txt",
        "backslashes": "..\\outside\\secret.txt",
        "NUL": "JC1/a\0b.txt",
        "home": "~/secret.txt",
        "link": "linked/secret.txt",
    }


WAYS = tuple(written("/secret.txt"))


@pytest.fixture
def opened(monkeypatch):
    """Paths that are opened while a test runs."""
    seen = []

    def watched(real):
        return lambda file, *args, **options: (
            seen.append(str(file)) or real(file, *args, **options)
        )

    for module in (io, builtins, os):
        monkeypatch.setattr(module, "open", watched(module.open))
    return seen


def nothing_outside(rig, before, opened):
    read = [path for path in opened if "outside" in path or path.endswith("b.txt")]
    assert read == []
    assert listing(rig.home / "outside") == before
    assert not list(rig.home.parent.glob("secret*"))


@pytest.mark.parametrize("way", WAYS)
def test_a_row_of_file(lab_rig, secret, way, opened, outcomes):
    """Read by get and in place, verified, repaired, cleaned and looked for as garbage."""
    lab_rig.upload(lab_rig.put(lab_rig.folder(PLACE, {"a.bin": CONTENT})))
    roots = (lab_rig.rig, lab_rig.server, lab_rig.store, lab_rig.home / "cache")
    path = written(secret)[way]
    if way == "link":
        for root in roots:
            (root / "linked").symlink_to(secret.parent)
    before = listing(secret.parent)
    lab_rig.lab.File.insert1(ROW | {"file_path": path})
    row = (lab_rig.lab.File & {"file_path": path}).fetch1()
    opened.clear()
    for use in (
        lambda: fetch_planned(plan_fetch([row])),
        lambda: fetch_planned(plan_fetch([row]), verify=True),
        lambda: open_in_place(row),
        lambda: open_ranges(row),
        lambda: open_ranges(row, local=False),
    ):
        with pytest.raises(LabdataError) as caught:
            use()
        assert caught.value.hint
    # "~" is a name like any other; all the rest are no paths
    kind = "missing" if way == "home" else "unreadable"
    assert [kind for kind, _ in findings(lab_rig)] == [kind]
    repair(lab_rig)
    clean(plan_clean())
    find_garbage(lab_rig.lab)
    remove_garbage(lab_rig.lab)
    nothing_outside(lab_rig, before, opened)
    # only taking the row away mends it
    (lab_rig.lab.File & {"file_path": path}).delete_quick()
    all_is_right(lab_rig, 1)
    outcomes("get, open, verify, clean, garbage", f"path: {way}", 9, "refused", "row goes")


@pytest.mark.parametrize("way", WAYS)
def test_a_row_of_a_job(lab_rig, secret, way, opened, outcomes):
    """Not read by upload, though its checksum is right; other commands work on."""
    folder = lab_rig.folder(PLACE, {"a.bin": CONTENT, "b.bin": CONTENT * 2})
    job_id = lab_rig.put(folder)
    path = written(secret)[way]
    if way == "link":
        (lab_rig.server / "linked").symlink_to(secret.parent)
        (lab_rig.rig / "linked").symlink_to(secret.parent)
    before = listing(secret.parent)
    files = lab_rig.lab.UploadJob.AssignedFiles
    row = (files & {"src_path": f"{PLACE}/b.bin"}).fetch1()
    wrong = row | {
        "src_path": path,
        "src_size": ROW["file_size"],
        "src_sha256": ROW["file_sha256"],
    }
    (files & row).delete_quick()
    files.insert1(wrong)
    opened.clear()
    with pytest.raises(LabdataError) as caught:
        lab_rig.upload(job_id)
    assert caught.value.hint
    assert lab_rig.job(job_id)["job_status"] == "FAILED"
    assert len(lab_rig.lab.File()) == len(lab_rig.lab.Dataset()) == 0
    find_garbage(lab_rig.lab)
    assert findings(lab_rig) == []
    clean(plan_clean())
    nothing_outside(lab_rig, before, opened)
    (files & {"src_path": path}).delete_quick()
    files.insert1(row)
    for root in (lab_rig.server, lab_rig.rig):
        with suppress(FileNotFoundError):
            (root / "linked").unlink()
    assert main(["upload", str(job_id), "--retry"]) == 0
    all_is_right(lab_rig, 2)
    outcomes("upload", f"path: {way}", 1, "FAILED", "completes once the row is right")


def test_a_link_in_the_place_of_a_dataset(lab_rig, secret, opened, outcomes):
    """A folder of the store, the inbox or a local path that leads out of it."""
    folder = lab_rig.folder(PLACE, {"a.bin": CONTENT})
    lab_rig.upload(lab_rig.put(folder))
    row = lab_rig.lab.File.fetch1()
    away = {}
    for name, root in (("rig", lab_rig.rig), ("server", lab_rig.server), ("store", lab_rig.store)):
        away[root] = lab_rig.home / "outside" / name
        (root / "JC1").rename(away[root])
        (root / "JC1").symlink_to(away[root])
    before = listing(lab_rig.home / "outside")
    opened.clear()
    clean(plan_clean())
    with pytest.raises(LabdataError):
        fetch_planned(plan_fetch([row]))
    with pytest.raises(LabdataError):
        open_in_place(row)
    assert [kind for kind, _ in findings(lab_rig)] == ["unreadable"]
    repair(lab_rig)
    remove_garbage(lab_rig.lab)
    nothing_outside(lab_rig, before, opened)
    for root, folder in away.items():
        (root / "JC1").unlink()
        shutil.move(folder, root / "JC1")
    all_is_right(lab_rig, 1)
    outcomes("all", "a dataset's folder is a link out", 6, "refused", "right once it is gone")
