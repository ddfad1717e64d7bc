"""What the tests of ``verify`` know of the lab of the fixture ``stored``."""

from __future__ import annotations

import hashlib
import os
from datetime import date, timedelta

from labdata.schema.repairing import plan_repair, repair_planned
from labdata.schema.verify_plan import DAYS
from labdata.schema.verifying import verify_stores

SESSION = "20240305_100000"
FOLDER = f"JC1/{SESSION}/task"
CONTENT = {f"{n}.bin": os.urandom(3000 + n) for n in range(12)} | {"log.csv": b"1,2\n"}
SIZE_BYTES = sum(map(len, CONTENT.values()))
DAY = date(2026, 3, 1)


def sha(content):
    return hashlib.sha256(content).hexdigest()


def path_of(rig, name):
    return rig.store / FOLDER / name


def flip(path, byte=1234):
    """Change one bit, as a disk does: neither size nor time tell."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[byte % len(content)] ^= 4
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return bytes(content)


def day_of(name, days=DAYS, storage="data"):
    """The first day from DAY on whose part has a file of the dataset, by a count of its own."""
    named = f"{storage}\0{FOLDER}/{name}".encode()
    part = int(hashlib.sha256(named).hexdigest()[:16], 16) % days
    return next(
        day
        for day in (DAY + timedelta(days=n) for n in range(days))
        if day.toordinal() % days == part
    )


def facts(report):
    return [(f.storage, f.file_path, f.kind, f.recorded, f.found) for f in report.findings]


def check(rig, **options):
    return verify_stores(rig.lab, **{"today": DAY, **options})


def repair(rig, **options):
    report = check(rig, everything=True, **options)
    return repair_planned(rig.lab, plan_repair(rig.lab, report))


def put_copy(folder, name, content=None):
    path = folder / FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(CONTENT[name] if content is None else content)
    return path


def second_store(rig):
    """A second store that the preferences name, for copies."""
    folder = rig.home / "labdata" / "storage"
    names = {"data": "data", "analysis": "analysis", "mirror": "mirror"}
    rig.prefer(
        storage={n: {"protocol": "local", "path": str(folder / f)} for n, f in names.items()}
    )
    (folder / "mirror").mkdir()
    return folder / "mirror"


def kept(rig):
    """Content of what is kept beside objects."""
    found = sorted((rig.store / FOLDER).glob("*.damaged-*"))
    return {path.name: path.read_bytes() for path in found}


def stored_content(rig):
    folder = rig.store / FOLDER
    return {p.name: p.read_bytes() for p in folder.iterdir() if ".damaged-" not in p.name}
