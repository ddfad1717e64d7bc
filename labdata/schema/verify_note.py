"""What is kept of the last ``labdata verify``: for the doctor, and so that no damage is forgotten.

A day's run reads its part of the content. Damage that was found stays on this note, is read again
in every run whatever the day, and leaves it only when it was read and is right, or was put back.
"""

from __future__ import annotations

import json
import logging
import tempfile
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..preferences import labdata_folder
from .verify_report import Finding, VerifyReport

if TYPE_CHECKING:
    from .verify_plan import VerifyPlan

logger = logging.getLogger(__name__)

_NOTE = "verify.json"
#: Kinds that only reading finds; the others are seen in any listing.
_READ = ("content", "unreadable")
_one_writes = threading.Lock()


@dataclass(frozen=True)
class StoreNote:
    """What is kept of the last run on a store.

    Attributes
    ----------
    day : date
        When it was.
    days : int
        Number of parts that it went by.
    n_findings : int
        What it found and is not put back since.
    damaged : frozenset of str
        Paths whose content is read in every run until it is right.
    """

    day: date
    days: int
    n_findings: int
    damaged: frozenset[str] = frozenset()


def note_report(
    report: VerifyReport, *, known: Mapping[str, frozenset[str]], whole: bool, database: str
) -> None:
    """Keep a report, a part of it a store; one of some stores keeps the others'.

    Parameters
    ----------
    report : VerifyReport
        Of the run.
    known : mapping of str to frozenset of str
        By store, the damaged paths that stood on the note when the run was planned.
    whole : bool
        Whether it was of all stores.
    database : str
        Name of the database.
    """
    before = read_note(database)
    stores = {} if whole else dict(before)
    for name in report.stores:
        found = [finding for finding in report.findings if finding.storage == name]
        damaged = _still_damaged(found, known.get(name, frozenset()))
        # another run found it meanwhile, and this one has not read it
        others = before[name].damaged - known.get(name, frozenset()) if name in before else set()
        n_more = len(others - {finding.file_path for finding in found})
        note = StoreNote(report.today, report.days, len(found) + n_more, damaged | others)
        stores[name] = note
    _write_note(database, stores)


def _still_damaged(found: list[Finding], known: frozenset[str]) -> frozenset[str]:
    """Return what only reading tells to be right again; a store that could not tell keeps all."""
    if any(not finding.file_path for finding in found):
        return known
    return frozenset(
        finding.file_path
        for finding in found
        if finding.kind in _READ or finding.file_path in known
    )


def note_damage(finding: Finding, plan: VerifyPlan, *, database: str) -> None:
    """Keep damage as soon as it is found: the run may be interrupted, or killed.

    Parameters
    ----------
    finding : Finding
        Of one file.
    plan : VerifyPlan
        Of the run.
    database : str
        Name of the database.
    """
    with _one_writes:
        stores = read_note(database)
        # a store that was never compared to the end is as one that was compared long ago
        note = stores.get(finding.storage) or StoreNote(date.min, plan.days, 0)
        if finding.file_path not in note.damaged:
            damaged = note.damaged | {finding.file_path}
            n_findings = note.n_findings + 1
            stores[finding.storage] = replace(note, n_findings=n_findings, damaged=damaged)
            _write_note(database, stores)


def note_repairs(mended: Iterable[Finding], *, database: str) -> None:
    """Take what is right again out of the note.

    Parameters
    ----------
    mended : iterable of Finding
        What was put back.
    database : str
        Name of the database.
    """
    stores = read_note(database)
    for finding in mended:
        if note := stores.get(finding.storage):
            left = max(0, note.n_findings - 1)
            damaged = note.damaged - {finding.file_path}
            stores[finding.storage] = replace(note, n_findings=left, damaged=damaged)
    _write_note(database, stores)


def read_note(database: str) -> dict[str, StoreNote]:
    """Return what is kept of the last run on each store; nothing if that cannot be read.

    Parameters
    ----------
    database : str
        Name of the database.
    """
    try:
        return {
            str(name): StoreNote(
                date.fromisoformat(note["day"]),
                int(note["days"]),
                int(note["n_findings"]),
                frozenset(map(str, note.get("damaged", ()))),
            )
            for name, note in _read_notes().get(database, {}).items()
        }
    except (AttributeError, KeyError, TypeError, ValueError):
        return {}


def _write_note(database: str, stores: dict[str, StoreNote]) -> None:
    path = labdata_folder() / _NOTE
    noted = {
        name: vars(note) | {"day": note.day.isoformat(), "damaged": sorted(note.damaged)}
        for name, note in stores.items()
    }
    text = json.dumps(_read_notes() | {database: noted}, indent=2)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{_NOTE}-", delete=False, encoding="utf-8"
        ) as file:
            file.write(text)
        Path(file.name).replace(path)
    except OSError as error:
        logger.warning("The report could not be kept in %s: %s", path, error)


def _read_notes() -> dict[str, Any]:
    try:
        content = json.loads((labdata_folder() / _NOTE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
