"""The objects of an old lab, verified where they are: nothing is uploaded, moved or rewritten.

Each object is read once, through its store; its MD5 is compared with the old lab's and its SHA-256
is recorded, by which this labdata knows it from then on. A row whose SHA-256 is there was verified
before, so that an interrupted verification goes on where it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..errors import LabdataError, MissingObjectError, PreferenceError, StoreError
from ..progress import Progress, ignore_progress
from ..stores import Store

_BLOCK_BYTES = 4 << 20


@dataclass
class ObjectReport:
    """What was found of the objects.

    Attributes
    ----------
    n_verified : int
        Objects whose size and MD5 are the old lab's; their SHA-256 is recorded.
    n_bytes : int
        Of these.
    n_without_md5 : int
        Those of them for which the old lab recorded no MD5, so that only the size was compared.
    missing, changed, unreachable : list of str
        Objects that their store does not have; that have another content; and that could not be
        looked at, with the reason. Their rows have no SHA-256.
    """

    n_verified: int = 0
    n_bytes: int = 0
    n_without_md5: int = 0
    missing: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unreachable: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every object was verified."""
        return not (self.missing or self.changed or self.unreachable)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each object that was not verified."""
        kinds = {
            "missing": self.missing,
            "changed": self.changed,
            "not verified": self.unreachable,
        }
        return [{"state": kind, "object": one} for kind, many in kinds.items() for one in many]


def unverified_bytes(lab: Any) -> int:
    """Return the bytes of the objects that are not verified yet.

    Parameters
    ----------
    lab : Lab
        Of any project; files are shared.
    """
    sizes = [row["file_size"] for _, row in _unverified(lab)]
    return sum(sizes)


def verify_objects(lab: Any = None, *, progress: Progress | None = None) -> ObjectReport:
    """Read the objects of files that have no SHA-256 yet, and record it where they are right.

    Parameters
    ----------
    lab : Lab, optional
        Of any project; files are shared. By default the lab in use.
    progress : Progress, optional
        Called with the bytes read.

    Returns
    -------
    ObjectReport
        What was verified, and what is missing, changed or could not be read.
    """
    from ..schema import default_lab

    lab = default_lab if lab is None else lab
    report = ObjectReport()
    stores: dict[str, Store | LabdataError] = {}
    for table, row in _unverified(lab):
        name = row["storage"]
        if name not in stores:
            stores[name] = _open(name)
        _verify(table, row, stores[name], report, progress or ignore_progress)
    return report


def _unverified(lab: Any) -> Iterator[tuple[Any, dict[str, Any]]]:
    for table in (lab.File, lab.AnalysisFile):
        rows: Iterable[dict[str, Any]] = (table & "file_sha256 IS NULL").fetch(as_dict=True)
        for row in rows:
            yield table, row


def _open(name: str) -> Store | LabdataError:
    from ..schema.files import open_store

    try:
        return open_store(name)
    except (PreferenceError, StoreError) as error:
        return error


def _verify(
    table: Any,
    row: dict[str, Any],
    store: Store | LabdataError,
    report: ObjectReport,
    progress: Progress,
) -> None:
    path, place = row["file_path"], f"{row['storage']}: {row['file_path']}"
    if isinstance(store, LabdataError):
        report.unreachable.append(f"{place} ({store.message})")
        return
    try:
        size_bytes, md5, sha256 = _read(store, path, progress)
    except MissingObjectError:
        report.missing.append(place)
        return
    except StoreError as error:
        report.unreachable.append(f"{place} ({error.message})")
        return
    if size_bytes != row["file_size"]:
        report.changed.append(f"{place} (has {size_bytes} bytes, of {row['file_size']})")
    elif row["file_md5"] and md5 != row["file_md5"].lower():
        report.changed.append(f"{place} (its MD5 is {md5}, on record is {row['file_md5']})")
    else:
        # names and value as they stand in the row; whoever else verified it wrote the same
        table.connection.query(
            f"UPDATE {table.full_table_name} SET file_sha256 = %s "
            "WHERE file_path = %s AND storage = %s AND file_sha256 IS NULL",
            (sha256, path, row["storage"]),
        )
        report.n_verified += 1
        report.n_bytes += size_bytes
        report.n_without_md5 += not row["file_md5"]


def _read(store: Store, path: str, progress: Progress) -> tuple[int, str, str]:
    """Return the size, MD5 and SHA-256 of an object, read once."""
    md5, sha256, size_bytes = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    with store.open_range(path) as reader:
        while block := reader.read(_BLOCK_BYTES):
            md5.update(block)
            sha256.update(block)
            size_bytes += len(block)
            progress(len(block))
    return size_bytes, md5.hexdigest(), sha256.hexdigest()
