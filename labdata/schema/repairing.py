"""Missing and damaged objects put back from a verified copy: planned first, repeatable if killed.

Nothing is deleted that is not kept: a damaged object is first given a second name in its store and
keeps it, for what is in it may be the best that is left. Then its own name is freed, the copy,
which was read and compared just before, is put there, and the store reads it back. Killed between
any two of these, the object is damaged, or missing, or right, and the same command goes on.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from ..counted import show_size
from ..database.locks import worker_lock
from ..errors import DatabaseError, IntegrityError, LabdataError, MissingObjectError, StoreError
from ..preferences import Preferences, absolute_folder, load_preferences
from ..progress import Progress, ignore_progress
from ..stores import Store
from .file_origin import say_origin
from .files import open_store
from .stored_copies import StoredCopy, StoredFile, find_copies, hash_object, verify_file
from .verify_note import note_repairs
from .verify_report import Finding, VerifyReport

logger = logging.getLogger(__name__)

#: Kinds of findings that a copy mends.
_MENDED = ("missing", "size", "content")
_MOST_NAMES = 100


@dataclass(frozen=True)
class Repair:
    """What will be, or was, done about a finding.

    Attributes
    ----------
    finding : Finding
    state : str
        ``planned``, ``restored``; ``right`` if there was nothing to do any more; ``no copy``;
        ``refused`` if it cannot be done, or failed.
    message : str
        From where, and what is kept under which name; or why not, with what is known of the file.
    """

    finding: Finding
    state: str
    message: str

    def row(self) -> dict[str, Any]:
        """Return it as plain values."""
        place = {"storage": self.finding.storage, "file_path": self.finding.file_path}
        return {**place, "state": self.state, "message": self.message}


@dataclass(frozen=True)
class RepairPlan:
    """What can be done about the findings of a report.

    Attributes
    ----------
    repairs : tuple of Repair
        One a finding.
    today : date
        In the names under which damaged objects are kept.
    preferences : Preferences
        With the stores and the places of copies.
    """

    repairs: tuple[Repair, ...]
    today: date
    preferences: Preferences = field(repr=False)

    @property
    def n_planned(self) -> int:
        """How many objects can be put back."""
        return sum(repair.state == "planned" for repair in self.repairs)

    @property
    def size_bytes(self) -> int:
        """Recorded sizes of those."""
        planned = [repair for repair in self.repairs if repair.state == "planned"]
        return sum(repair.finding.file.size_bytes for repair in planned)


def plan_repair(
    lab: Any, report: VerifyReport, *, preferences: Preferences | None = None
) -> RepairPlan:
    """Find out what can be done about findings; nothing is done.

    Parameters
    ----------
    lab : Lab
        As the report was made with.
    report : VerifyReport
        Of :func:`labdata.schema.verifying.verify_stores`.
    preferences : Preferences, optional
        By default the user's.

    Returns
    -------
    RepairPlan
        For :func:`repair_planned`.
    """
    preferences = preferences or load_preferences()
    planned = tuple(_plan_one(lab, finding, preferences) for finding in report.findings)
    return RepairPlan(planned, report.today, preferences)


def repair_planned(
    lab: Any, plan: RepairPlan, *, progress: Progress | None = None
) -> tuple[Repair, ...]:
    """Put back what was planned, one after another; one that fails does not stop the others.

    Parameters
    ----------
    lab : Lab
        As the plan was made with.
    plan : RepairPlan
        From :func:`plan_repair`.
    progress : Progress, optional
        Told the bytes put back.

    Returns
    -------
    tuple of Repair
        How each ended.

    Raises
    ------
    DatabaseError
        If files are renamed, garbage is removed or something is repaired at the same time.
    """
    done = []
    with _nobody_moves(lab) as require_held:
        for repair in plan.repairs:
            if repair.state != "planned":
                done.append(repair)
                continue
            try:
                require_held()
                state, message = _mend(lab, repair.finding, plan, progress or ignore_progress)
            except LabdataError as error:
                state, message = "refused", error.message
            logger.info("%s in %s: %s, %s", *_named(repair.finding), state, message)
            done.append(Repair(repair.finding, state, message))
    mended = [repair.finding for repair in done if repair.state in ("restored", "right")]
    if mended:
        note_repairs(mended, database=lab.connection._preferences.name)
    return tuple(done)


def _named(finding: Finding) -> tuple[str, str]:
    return finding.file_path, finding.storage


def _plan_one(lab: Any, finding: Finding, preferences: Preferences) -> Repair:
    if finding.kind not in _MENDED:
        text = f"{finding.say().rstrip('.')}; nothing is done before the store can tell"
        if finding.copies:
            text += f". Copies: {', '.join(finding.copies)}"
        return Repair(finding, "refused", text)
    if not finding.file.checksum:
        return Repair(finding, "refused", "no checksum was recorded that a copy could be held to")
    if not finding.copies:
        return Repair(finding, "no copy", say_origin(lab, finding.file, preferences))
    kept = "" if finding.kind == "missing" else "; the damaged object is kept under another name"
    size = show_size(finding.file.size_bytes)
    return Repair(finding, "planned", f"restore {size} from {finding.copies[0]}{kept}")


def _mend(lab: Any, finding: Finding, plan: RepairPlan, progress: Progress) -> tuple[str, str]:
    """Put one object back; return how it ended and what to say of it."""
    file = finding.file
    if not _still_recorded(lab, file):
        return "refused", "the database's row changed meanwhile; verify again"
    store = open_store(file.storage, plan.preferences)
    there = _content(store, file)
    if there == file.checksum:
        return "right", "it is right now"
    copy = next(find_copies(file, plan.preferences), None)
    if copy is None:
        return "no copy", say_origin(lab, file, plan.preferences)
    with _at_hand(copy, file, plan.preferences) as source:
        kept = "" if there is None else _keep(store, file, plan.today)
        sha256 = verify_file(file, source)  # right before what it replaces loses its name
        if kept:
            store.delete(file.file_path)
        try:
            store.put(source, file.file_path, sha256=sha256, progress=progress)
        except StoreError:
            if kept:  # a full disk, for instance: all is as it was
                with suppress(StoreError):
                    store.copy(kept, file.file_path)
            raise
    info = store.stat(file.file_path, verify=True)
    if info.sha256 != sha256 or info.size_bytes != file.size_bytes:
        raise IntegrityError(
            f"{file.file_path} was put back, and the store reads back something else.",
            hint="Check the disk of the store; the copy is untouched.",
        )
    text = f"from {copy}"
    return "restored", f"{text}; what was there is kept as {kept}" if kept else text


def _content(store: Store, file: StoredFile) -> str | None:
    """Return the checksum of what is there now; None if nothing is."""
    try:
        return hash_object(store, file)
    except MissingObjectError:
        return None


def _keep(store: Store, file: StoredFile, today: date) -> str:
    """Give what is there a second name that is not deleted; return that name.

    A name that has the same content, of a run that was killed, is used again.
    """
    found = store.stat(file.file_path, verify=True)
    base = f"{file.file_path}.damaged-{today:%Y%m%d}"
    for number in range(1, _MOST_NAMES):
        name = base if number == 1 else f"{base}-{number}"
        try:
            if store.stat(name).size_bytes != found.size_bytes:
                continue
            if store.stat(name, verify=True).sha256 == found.sha256:
                return name
        except MissingObjectError:
            store.copy(file.file_path, name, sha256=found.sha256)
            return name
    raise StoreError(
        f"{_MOST_NAMES} damaged objects are kept beside {file.file_path}.",
        hint="Check the disk of the store before anything else is put there.",
    )


@contextmanager
def _at_hand(copy: StoredCopy, file: StoredFile, preferences: Preferences) -> Iterator[Path]:
    """Hold a copy as a file of this computer; one from another store is fetched for the while."""
    if copy.path:
        yield copy.path
        return
    scratch = absolute_folder("scratch_path", preferences.scratch_path)
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch, prefix="labdata-repair-") as folder:
        path = Path(folder, "object")
        other = open_store(copy.storage, preferences)
        other.get(file.file_path, path, sha256=copy.sha256)
        yield path


def _still_recorded(lab: Any, file: StoredFile) -> bool:
    table = getattr(lab, file.table)
    rows: Sequence[Any] = lab.connection.query(
        "SELECT file_path, storage, file_size, file_sha256, file_md5 "
        f"FROM {table.full_table_name} WHERE file_path = %s AND storage = %s",
        (file.file_path, file.storage),
    ).fetchall()
    recorded = (file.file_path, file.storage, file.size_bytes, file.sha256, file.md5)
    return any(
        (path, storage, int(size), (sha256 or "").lower(), md5 or "") == recorded
        for path, storage, size, sha256, md5 in rows
    )


@contextmanager
def _nobody_moves(lab: Any) -> Iterator[Callable[[], None]]:
    """While the block runs, no files are renamed, no garbage removed, nothing else repaired."""
    lab.activate()
    connection = lab.connection
    with worker_lock(connection, f"objects.{connection._preferences.name}") as alone:
        if not alone:
            raise DatabaseError(
                "Somebody is renaming, repairing or removes garbage.",
                hint="Repeat the command when they have ended.",
            )
        yield alone.require_held
