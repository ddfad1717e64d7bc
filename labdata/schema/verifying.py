"""Stores compared with the database: what is there, how large it is, and a part of it read.

Which objects are there, and how large, is seen in one listing a store; which content is read, see
:mod:`labdata.schema.verify_plan`. What a store does not answer is "cannot tell", never "missing".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any, TypeVar

from ..errors import (
    ArchivedObjectError,
    DatabaseError,
    LabdataError,
    MissingObjectError,
    StoreError,
)
from ..preferences import Preferences
from ..progress import Interruptible, Progress, ignore_progress
from ..stores import ObjectInfo, Store
from .files import open_store
from .garbage import garbage_among
from .stored_copies import StoredFile, find_copies, hash_object
from .verify_note import note_damage, note_report
from .verify_plan import DAYS, VerifyPlan, plan_verify
from .verify_report import Finding, Orphans, VerifyReport

#: Objects that are read at once.
N_WORKERS = 3
#: So many that a listing lacks are asked for one by one; a listing that lacks more is believed.
_MOST_ASKED = 1000

_T = TypeVar("_T")
_R = TypeVar("_R")


def verify_stores(
    lab: Any,
    *,
    stores: Sequence[str] | None = None,
    days: int = DAYS,
    today: date | None = None,
    everything: bool = False,
    progress: Progress | None = None,
    preferences: Preferences | None = None,
) -> VerifyReport:
    """Compare the stores with the database: whether all is there, and whether a part is right.

    Parameters
    ----------
    lab, stores, days, today, everything, preferences
        As of :func:`plan_verify`.
    progress : Progress, optional
        Told the bytes read.

    Returns
    -------
    VerifyReport
        What was found; it is also noted in the labdata folder, for ``labdata doctor``.

    Raises
    ------
    QueryError
        If ``days`` is no number of days, or there is no such store.
    """
    plan = plan_verify(
        lab,
        stores=stores,
        days=days,
        today=today,
        everything=everything,
        preferences=preferences,
    )
    return verify_planned(lab, plan, progress=progress)


def verify_planned(
    lab: Any, plan: VerifyPlan, *, progress: Progress | None = None
) -> VerifyReport:
    """Do what was planned; see :func:`verify_stores`.

    Parameters
    ----------
    lab : Lab
        As the plan was made with.
    plan : VerifyPlan
        From :func:`plan_verify`.
    progress : Progress, optional
        Told the bytes read.

    Returns
    -------
    VerifyReport
        What was found.
    """
    looks = [
        _look_at(lab, name, files, plan, progress or ignore_progress)
        for name, files in plan.files.items()
    ]
    findings = [found for look in looks for found in look.findings]
    told = tuple(_in_parallel(lambda one: _with_copies(one, plan.preferences), findings))
    report = VerifyReport(
        today=plan.today,
        days=plan.days,
        everything=plan.everything,
        findings=told,
        n_objects=sum(look.n_objects for look in looks),
        size_bytes=sum(look.size_bytes for look in looks),
        n_read=sum(look.n_read for look in looks),
        read_bytes=sum(look.read_bytes for look in looks),
        n_cold=sum(look.n_cold for look in looks),
        n_without_checksum=sum(not file.checksum for file in plan.due),
        n_right_again=sum(look.n_right_again for look in looks),
        full_round_by=plan.today + timedelta(days=0 if plan.everything else plan.days - 1),
        orphans=Orphans.sum_of(look.orphans for look in looks),
        stores=tuple(plan.files),
    )
    database = lab.connection._preferences.name
    note_report(report, known=plan.noted, whole=plan.whole, database=database)
    return report


@dataclass(frozen=True)
class _Look:
    """What one store gave."""

    findings: tuple[Finding, ...] = ()
    n_objects: int = 0
    size_bytes: int = 0
    n_read: int = 0
    read_bytes: int = 0
    n_cold: int = 0
    n_right_again: int = 0
    orphans: Orphans = field(default_factory=Orphans)


def _look_at(
    lab: Any, name: str, files: Sequence[StoredFile], plan: VerifyPlan, progress: Progress
) -> _Look:
    """Compare one store: its listing with all rows, and the content of the part of the day."""
    try:
        store = open_store(name, plan.preferences)
        objects = list(store.list())
    except LabdataError as error:
        return _Look((_cannot_tell(name, len(files), error.message),))
    if files and not objects:
        reason = (
            f"{store.describe()} has nothing in it; its disk is probably not mounted, or all is "
            "gone"
        )
        return _Look((_cannot_tell(name, len(files), reason),))
    sizes = {info.path: info.size_bytes for info in objects}
    orphans = _orphans(lab, name, store, objects, plan.preferences)
    found = list(_compare_listing(store, files, sizes))
    wrong = {id(finding.file) for finding in found}
    due = [f for f in files if f in plan.due and id(f) not in wrong and f.checksum]
    database = lab.connection._preferences.name
    report = Interruptible(progress)

    def read_one(file: StoredFile) -> Finding | None:
        finding = _read(store, file, report)
        if finding and finding.kind == "content":
            note_damage(finding, plan, database=database)
        return finding

    read = [finding for finding in _in_parallel(read_one, due, report.stop) if finding]
    cold = [finding.file for finding in read if finding.kind == "cold"]
    found += [_cold_damage(f) if f.kind == "cold" else f for f in read if _is_told(f, plan)]
    size, due_size, cold_size = (sum(f.size_bytes for f in part) for part in (files, due, cold))
    still_wrong = {id(finding.file) for finding in found}
    return _Look(
        findings=tuple(found),
        n_objects=len(files),
        size_bytes=size,
        n_read=len(due) - len(cold),
        read_bytes=due_size - cold_size,
        n_cold=len(cold),
        n_right_again=sum(f in plan.damaged and id(f) not in still_wrong for f in due),
        orphans=orphans,
    )


def _is_told(finding: Finding, plan: VerifyPlan) -> bool:
    return finding.kind != "cold" or finding.file in plan.damaged


def _cold_damage(finding: Finding) -> Finding:
    reason = "it was damaged when it was last read, and is in cold storage now"
    return replace(finding, kind="unreadable", found=reason)


def _cannot_tell(storage: str, n_files: int, reason: str) -> Finding:
    return Finding(StoredFile("", storage, "", n_files), "unreadable", n_files, reason)


def _compare_listing(
    store: Store, files: Iterable[StoredFile], sizes: dict[str, int]
) -> Iterator[Finding]:
    """Yield what the listing has not, or of another size.

    What it lacks is asked for: a path that may not be followed, a link, or a disk that does not
    tell cases apart are not the same as an object that is gone.
    """
    n_asked = 0
    for file in files:
        size = sizes.get(file.file_path)
        if size is None:
            n_asked += 1
            try:
                if n_asked <= _MOST_ASKED:
                    size = store.stat(file.file_path).size_bytes
            except MissingObjectError:
                pass
            except StoreError as error:
                yield Finding(file, "unreadable", file.size_bytes, error.message)
                continue
        if size is None:
            yield Finding(file, "missing", file.size_bytes, None)
        elif size != file.size_bytes:
            yield Finding(file, "size", file.size_bytes, size)


def _read(store: Store, file: StoredFile, progress: Progress) -> Finding | None:
    """Read an object; return what is wrong with it."""
    try:
        found = hash_object(store, file, progress)
    except MissingObjectError:
        reason = "it was listed, and is not there any more; look again"
        return Finding(file, "unreadable", file.checksum, reason)
    except ArchivedObjectError as error:
        return Finding(file, "cold", file.checksum, error.message)
    except StoreError as error:
        return Finding(file, "unreadable", file.checksum, error.message)
    return None if found == file.checksum else Finding(file, "content", file.checksum, found)


def _with_copies(finding: Finding, preferences: Preferences) -> Finding:
    """Add where verified copies are."""
    if not finding.file_path:
        return finding
    copies = tuple(str(copy) for copy in find_copies(finding.file, preferences))
    return replace(finding, copies=copies)


def _orphans(
    lab: Any, name: str, store: Store, objects: Sequence[ObjectInfo], preferences: Preferences
) -> Orphans:
    try:
        found = garbage_among(lab, name, store, objects, preferences)
    except (DatabaseError, StoreError) as error:
        return Orphans(unknown=error.message)
    left = [one for one in found if not one.in_use]
    return Orphans(len(left), sum(one.size_bytes for one in left))


def _in_parallel(
    work: Callable[[_T], _R], items: Sequence[_T], stop: Callable[[], None] = lambda: None
) -> list[_R]:
    """Do something to each, a few at once and few ahead; an interruption stops those in hand."""
    done: list[Future[_R]] = []
    with ThreadPoolExecutor(N_WORKERS, thread_name_prefix="labdata-verify") as pool:
        waiting: set[Future[_R]] = set()
        try:
            for item in items:
                done.append(pool.submit(work, item))
                waiting.add(done[-1])
                if len(waiting) >= 2 * N_WORKERS:
                    _, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            wait(waiting)
        finally:  # nothing is left to stop, unless this is interrupted
            stop()
            pool.shutdown(wait=False, cancel_futures=True)
    return [future.result() for future in done]
