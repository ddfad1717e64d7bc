"""``upload``: take a registered folder through its rule into the store and the database.

A worker claims a job with one conditional UPDATE whose row count decides, and holds a named lock
of the database server while it works; the server drops the lock when the worker dies, however it
dies, so a job whose worker is gone is known at once and can be taken over. The claim's token is
checked again in the one transaction that makes File, Dataset.DataFiles, the rule's rows and the
job's state true together. Nothing is deleted, nothing stored is overwritten, and each step can be
repeated.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..database.claims import Claim, claim_row
from ..database.datajoint_compat import dj
from ..database.locks import server_lock
from ..errors import IntegrityError, PathTakenError, StoreAwayError, StoreError, UploadError
from ..preferences import Preferences, absolute_folder, load_preferences
from ..progress import Progress, ignore_progress
from ..schema.files import open_store
from ..scratch import scratch_folder
from ..stores import ObjectInfo, Store, hash_file, resolve_inside
from ..stores.os_errors import explain_os_errors
from .base import PutFile, RuleOutput, UploadContext, UploadRule, find_rule
from .job_progress import JobProgress
from .putting import utc
from .store_guard import require_mounted
from .upload_queue import CLAIMABLE, MOST_DEATHS, check_may_upload, check_uploadable

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class UploadResult:
    """What an upload did.

    Attributes
    ----------
    job_id : int
        The upload job.
    key : dict
        subject_name, session_name, dataset_name.
    n_files : int
        Files now in the store.
    raw_bytes, stored_bytes : int
        Bytes that were put, and bytes that were stored for them.
    """

    job_id: int
    key: dict[str, str]
    n_files: int
    raw_bytes: int
    stored_bytes: int


def upload_job(
    job_id: int,
    *,
    lab: Any = None,
    preferences: Preferences | None = None,
    progress: Progress = ignore_progress,
    on_size: Callable[[int], None] = ignore_progress,
) -> UploadResult | None:
    """Upload one job.

    Parameters
    ----------
    job_id : int
        The job.
    lab : Lab, optional
        Tables of another project.
    preferences : Preferences, optional
        By default the user's.
    progress : Progress, optional
        Called with bytes of work done; the work is three passes over the originals.
    on_size : callable, optional
        Told the bytes of work in all once they are known.

    Returns
    -------
    UploadResult or None
        ``None`` if another worker has the job, or it is done.

    Raises
    ------
    UploadError
        If there is no such job, it belongs to another project, or it failed before.
    StoreAwayError
        If the store or the inbox cannot be reached; the job then waits, and says why.
    LabdataError
        Why the job failed; the job then says so too.
    """
    if lab is None:
        from ..schema import default_lab as lab
    preferences = preferences or load_preferences()
    check_uploadable(lab, job_id)
    check_may_upload(lab)  # before it is claimed: the job waits, its folder stays in the inbox
    with claim_row(
        lab.UploadJob,
        "job",
        job_id,
        states=CLAIMABLE,
        only={"project_name": lab.project},
        deaths=MOST_DEATHS,
    ) as claim:
        if claim is None:
            return None
        try:
            with JobProgress(claim, progress, on_size) as told:
                return _Upload(lab, preferences, claim, told).run()
        except StoreAwayError as error:
            claim.finish("WAITING", str(error))  # nobody has to say --retry when it is back
            raise


class _Upload:
    """One claimed job on its way."""

    def __init__(
        self, lab: Any, preferences: Preferences, claim: Claim, told: JobProgress
    ) -> None:
        self.lab, self.preferences, self.claim, self.told = lab, preferences, claim, told
        job_id = claim.job_id
        self.job: dict[str, Any] = (lab.UploadJob & {"job_id": job_id}).fetch1()
        self.assigned = (lab.UploadJob.AssignedFiles & {"job_id": job_id}).fetch(as_dict=True)
        self.key = {k: self.job[k] for k in ("subject_name", "session_name", "dataset_name")}
        self.raw_bytes = sum(row["src_size"] for row in self.assigned)

    def run(self) -> UploadResult:
        """Do all of it."""
        try:
            self._store_that_answers()
            return self._run()
        except StoreError as error:
            self._raise_if_away(error)
            raise

    def _run(self) -> UploadResult:
        progress = self.told.advance
        rule = find_rule(self.job["job_rule"])
        self.told.set_total((3 if rule.reads_files else 1) * self.raw_bytes)
        files = self._find_sources(progress, verify=rule.reads_files)
        with scratch_folder(self.claim, self.preferences) as staging:
            context = UploadContext(files, self.key, staging, progress)
            with explain_os_errors(f"apply the rule {rule.name!r} in", staging):
                output = rule.apply(context)
            rows = self._store(output, progress)
            self.told.end()
            self._register(rule, context, output, rows)
        stored = sum(row["file_size"] for row in rows)
        return UploadResult(self.job["job_id"], self.key, len(rows), self.raw_bytes, stored)

    def _find_sources(self, progress: Progress, *, verify: bool) -> tuple[PutFile, ...]:
        """Find every source and, to verify, read it: what was put is what is uploaded.

        All come from one folder: the inbox, or, where that lacks one or has a damaged one, a local
        path that has them all, as the rig's own does where rig and server are one computer.
        """
        inbox = self.preferences.upload_path
        folders = [absolute_folder("upload_path", inbox)] if inbox else []
        away = [folder for folder in folders if _is_away(folder)]
        folders = list(dict.fromkeys([*folders, *self.preferences.local_folders()]))
        problems: list[IntegrityError | UploadError] = []
        for folder in folders:
            try:
                found = self._sources_in(folder, folders, progress, verify=verify)
            except (IntegrityError, UploadError) as problem:
                problems.append(problem)
                continue
            for damage in (p for p in problems if isinstance(p, IntegrityError)):
                self.claim.notes.append(f"Read from {folder} instead: {damage.message}")
                logger.warning("Read from %s instead: %s", folder, damage)
            return found
        damaged = [p for p in problems if isinstance(p, IntegrityError)]
        if away and not damaged:
            raise StoreAwayError(
                f"The inbox {away[0]} is empty or not there: its disk is probably not mounted.",
                hint="Mount it. If the files are gone, copy them there from the rig, or take the "
                f"put back: `labdata upload {self.job['job_id']} --cancel`.",
            )
        raise (damaged or problems)[0]

    def _sources_in(
        self, folder: Path, folders: list[Path], progress: Progress, *, verify: bool
    ) -> tuple[PutFile, ...]:
        """Return the files of a folder; to verify, each read and found to be what was put."""
        paths = [resolve_inside(folder, row["src_path"]) for row in self.assigned]
        again = f"`labdata upload {self.job['job_id']} --retry`"
        for path, row in zip(paths, self.assigned, strict=True):
            with explain_os_errors("look for", path):
                is_there = path.is_file()
            if not is_there:
                raise UploadError(
                    f"{row['src_path']} is not in the inbox of this host.",
                    hint=f"Looked in {', '.join(map(str, folders))}. Copy it there from the rig "
                    f"and {again}.",
                )
        if not verify:
            return tuple(
                PutFile(path, row["src_path"], row["src_sha256"])
                for path, row in zip(paths, self.assigned, strict=True)
            )
        files = []
        for path, row in zip(paths, self.assigned, strict=True):
            found = hash_file(path, progress=progress)
            if found.sha256 != row["src_sha256"]:
                raise IntegrityError(
                    f"{path} differs from what was put: {found.size_bytes} bytes with SHA-256 "
                    f"{found.sha256[:12]}, {row['src_size']} with {row['src_sha256'][:12]} put.",
                    hint="It was changed or damaged in the inbox. Put the original in its place "
                    f"and {again}.",
                )
            files.append(PutFile(path, row["src_path"], found.sha256))
        return tuple(files)

    def _store(self, output: RuleOutput, progress: Progress) -> list[dict[str, Any]]:
        store = self._store_that_answers()
        known = {row["src_path"]: row for row in self.assigned}
        rows = []
        # in one order everywhere: of two jobs that differ in a file, one stops at the first such
        for file in sorted(output.files, key=lambda file: file.file_path):
            original = known.get(file.file_path)
            expected = original["src_sha256"] if original else file.sha256
            expected = expected or hash_file(file.path).sha256
            info = self._put(store, file, expected, progress)
            rows.append(
                {
                    "file_path": file.file_path,
                    "storage": self.job["upload_storage"],
                    "file_datetime": utc(file.path.stat().st_mtime),
                    "file_size": info.size_bytes,
                    "file_sha256": expected,
                }
            )
        return rows

    def _store_that_answers(self) -> Store:
        """Return the store; asked before the work, too, as that can take hours."""
        name = self.job["upload_storage"]
        store = open_store(name, self.preferences)
        require_mounted(self.lab, name, store)
        for row in self.assigned[:1]:
            store.exists(row["src_path"])
        return store

    def _raise_if_away(self, error: StoreError) -> None:
        """Say that the store is away if it is, whatever of its going was met first."""
        if isinstance(error, StoreAwayError):
            return
        try:
            self._store_that_answers()
        except StoreAwayError as away:
            raise StoreAwayError(f"{error.message} {away.message}", hint=away.hint) from error
        except StoreError:  # it answers, and the first error says more
            return

    def _put(self, store: Store, file: PutFile, expected: str, progress: Progress) -> ObjectInfo:
        """Store a file that is what was put; a damaged one is looked for in the other folders."""
        try:
            return store.put(file.path, file.file_path, sha256=expected, progress=progress)
        except PathTakenError as error:
            raise PathTakenError(
                f"{error.message} Another upload job may have stored it; the files in the inbox "
                "are kept.",
                hint="If both are wanted, rename this folder on the rig and `labdata put` it "
                "again. If no dataset has the one in the store, `labdata garbage` lists it. If it "
                "is damaged, `labdata verify` says so.",
            ) from error
        except IntegrityError:
            sound = self._find_sources(ignore_progress, verify=True)
            other = next((one for one in sound if one.file_path == file.file_path), file)
            if other.path == file.path:
                raise  # it is as it was put, or made by the rule: the store objects
            return store.put(other.path, file.file_path, sha256=expected, progress=progress)

    def _register(
        self,
        rule: UploadRule,
        context: UploadContext,
        output: RuleOutput,
        rows: list[dict[str, Any]],
    ) -> None:
        lab, key = self.lab, self.key
        known = {row["src_path"]: row for row in self.assigned}
        with self._registering() as require_held, lab.connection.transaction:
            require_held()
            # first, as the rows of whoever took the job over would be refused as duplicates
            if not self.claim.is_held():
                raise self._taken_over()
            self._insert_dataset()
            self._insert_files(rows)
            lab.Dataset.DataFiles.insert(
                [{**key, "file_path": r["file_path"], "storage": r["storage"]} for r in rows]
            )
            lab.ProcessedFile.insert(
                {
                    "file_path": file.file_path,
                    "file_datetime": known[file.file_path]["src_datetime"],
                    "file_size": known[file.file_path]["src_size"],
                    "file_sha256": known[file.file_path]["src_sha256"],
                }
                for file in output.replaced
            )
            rule.insert(lab, context, output)
            if not self.claim.finish("COMPLETED"):
                raise self._taken_over()

    def _insert_files(self, rows: list[dict[str, Any]]) -> None:
        try:
            self.lab.File.insert(rows)
        except dj.errors.DuplicateError:
            # put looks for this, but an ordinary account does not see other projects' files
            raise UploadError(
                f"A file of upload job {self.claim.job_id} has the path of one that is in the "
                "database already, maybe as another project's.",
                hint="Put the folder again under a subject, session or dataset name of its own.",
            ) from None

    def _taken_over(self) -> UploadError:
        return UploadError(
            f"Upload job {self.job['job_id']} was taken over by another worker.",
            hint="Nothing was registered here.",
        )

    def _registering(self) -> AbstractContextManager[Callable[[], None]]:
        """Register one job at a time: a new probe configuration gets the next free number."""
        return server_lock(
            self.lab.connection,
            f"register.{self.lab.Dataset.database}",
            timeout_s=600,
            refused=UploadError(
                "Another upload has been registering for ten minutes.",
                hint=f"`labdata upload {self.job['job_id']} --retry` when it has ended.",
            ),
            may_be_silent=False,
        )

    def _insert_dataset(self) -> None:
        lab, job = self.lab, self.job
        session = {k: self.key[k] for k in ("subject_name", "session_name")}
        if not lab.Session & session:
            if job["session_datetime"] is None:
                raise UploadError(
                    f"Session {session['session_name']!r} vanished after the folder was put.",
                    hint="Add it to Session again, or put the folder with --session-datetime.",
                )
            lab.Session.insert1(
                {
                    **session,
                    "session_datetime": job["session_datetime"],
                    "experimenter": job["experimenter"],
                }
            )
        lab.Dataset.insert1(
            {
                **self.key,
                "dataset_type": job["dataset_type"],
                "setup_name": job["setup_name"],
            },
            skip_duplicates=True,
        )


def _is_away(inbox: Path) -> bool:
    """Return whether an inbox is not mounted, as far as can be seen: what waits is not in it."""
    with explain_os_errors("look into", inbox):
        return not inbox.is_dir() or not any(inbox.iterdir())
