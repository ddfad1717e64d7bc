"""Fetching files: what is where is found first and can be shown; then several come at once.

Each file is whole and verified under its name, or not there, so an interrupted fetch is repeated
and goes on with what is missing. One file that cannot be had does not stop the others; all that
failed are named at the end.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..counted import count_of
from ..errors import LabdataError
from ..preferences import Preferences, labdata_folder, load_preferences
from ..progress import Interruptible, Progress, ignore_progress
from .files import check_may_fetch, fetch_file, find_local, verify_local

logger = logging.getLogger(__name__)

#: Files that come at once.
N_WORKERS = 4
#: Fetches of fewer bytes say nothing about the speed.
_TELLING_BYTES = 10 * 1024 * 1024
_RATES = "transfer_rates.json"


@dataclass(frozen=True)
class FetchPlan:
    """Files that are wanted on this computer, and where they are now.

    Attributes
    ----------
    rows : tuple of dict
        Rows of File.
    found : tuple of (Path or None)
        The local copy of each; None if it has to be fetched.
    folder : Path
        Where fetched files go.
    preferences : Preferences
        With the stores.
    """

    rows: tuple[dict[str, Any], ...]
    found: tuple[Path | None, ...]
    folder: Path
    preferences: Preferences = field(repr=False)

    @property
    def missing(self) -> tuple[dict[str, Any], ...]:
        """Rows whose file has to be fetched."""
        pairs = zip(self.rows, self.found, strict=True)
        return tuple(row for row, path in pairs if path is None)

    @property
    def size_bytes(self) -> int:
        """Bytes to be fetched."""
        return sum(int(row["file_size"]) for row in self.missing)

    @property
    def distant_bytes(self) -> int:
        """Of these, bytes that come from S3 stores."""
        stores = self.preferences.storage
        distant = {name for name, store in stores.items() if store.protocol == "s3"}
        return sum(int(row["file_size"]) for row in self.missing if row["storage"] in distant)

    @property
    def expected_s(self) -> float | None:
        """How long the fetch will take, by how fast earlier ones were; None if there were none."""
        rates = _read_rates()
        sizes: dict[str, int] = {}
        for row in self.missing:
            sizes[row["storage"]] = sizes.get(row["storage"], 0) + int(row["file_size"])
        if not sizes.keys() <= rates.keys():
            return None
        return sum(size / rates[name] for name, size in sizes.items())

    def without(self, rows: Iterable[Mapping[str, Any]]) -> FetchPlan:
        """Return the plan of all but some rows.

        Parameters
        ----------
        rows : iterable of mapping
            Rows of this plan.
        """
        left_out = {(row["storage"], row["file_path"]) for row in rows}
        pairs = [
            (row, path)
            for row, path in zip(self.rows, self.found, strict=True)
            if (row["storage"], row["file_path"]) not in left_out
        ]
        return FetchPlan(
            tuple(row for row, _ in pairs),
            tuple(path for _, path in pairs),
            self.folder,
            self.preferences,
        )


def plan_fetch(
    rows: Iterable[Mapping[str, Any]],
    *,
    folders: Sequence[Path] | None = None,
    preferences: Preferences | None = None,
) -> FetchPlan:
    """Look for files on this computer; nothing changes.

    Parameters
    ----------
    rows : iterable of mapping
        Whole rows of File.
    folders : sequence of Path, optional
        Searched in order; the first receives what is fetched. By default ``local_paths``.
    preferences : Preferences, optional
        By default the user's.

    Returns
    -------
    FetchPlan
    """
    preferences = preferences or load_preferences()
    folders = preferences.local_folders() if folders is None else list(folders)
    wanted = tuple(dict(row) for row in rows)
    found = tuple(find_local(row["file_path"], row["file_size"], folders) for row in wanted)
    return FetchPlan(wanted, found, folders[0], preferences)


def fetch_planned(
    plan: FetchPlan,
    *,
    download: bool | None = None,
    verify: bool = False,
    progress: Progress | None = None,
) -> list[Path]:
    """Fetch what a plan lacks, several files at once.

    Parameters
    ----------
    plan : FetchPlan
        From :func:`plan_fetch`.
    download : bool, optional
        Whether S3 stores may be read; by default ``allow_s3_download`` of the preferences.
    verify : bool, optional
        Compare local copies with what was recorded, too; what is fetched always is.
    progress : Progress, optional
        Told the bytes of each file as they come, or are compared.

    Returns
    -------
    list of Path
        One a row.

    Raises
    ------
    StoreError
        If an S3 store would have to be read and may not; then nothing was fetched.
    LabdataError
        If a file could not be had or is not what was recorded: the first one's error, which says
        how many more there are. The others came.
    """
    report = Interruptible(progress or ignore_progress)
    allowed = plan.preferences.allow_s3_download if download is None else download
    for row in plan.missing:
        check_may_fetch(row, allowed, plan.preferences)
    began_s = time.monotonic()

    def bring(row: dict[str, Any], path: Path | None) -> Path:
        if path is None:
            return fetch_file(row, plan.folder, plan.preferences, report)
        if verify:
            verify_local(path, row, report)
        return path

    paths = _all_of(bring, list(zip(plan.rows, plan.found, strict=True)), report.stop)
    _note_rate(plan, time.monotonic() - began_s)
    return paths


def _all_of(
    bring: Any, items: list[tuple[dict[str, Any], Path | None]], stop: Callable[[], None]
) -> list[Path]:
    """Bring all, a few at once; an interruption stops those in hand."""
    if len(items) <= 1:
        return [bring(*item) for item in items]
    done: list[Future[Path]] = []
    with ThreadPoolExecutor(N_WORKERS, thread_name_prefix="labdata-get") as pool:
        waiting: set[Future[Path]] = set()
        try:
            for item in items:
                row, found = item
                done.append(pool.submit(bring, row, found))
                waiting.add(done[-1])
                if len(waiting) >= 2 * N_WORKERS:
                    _, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            wait(waiting)
        finally:  # nothing is left to stop, unless this is interrupted
            stop()
            for future in waiting:
                future.cancel()
    problems = [future.exception() for future in done]
    failed = [problem for problem in problems if problem is not None]
    if failed:
        raise _first_of(failed)
    return [future.result() for future in done]


def _first_of(failed: Sequence[BaseException]) -> BaseException:
    first = next((p for p in failed if not isinstance(p, LabdataError)), failed[0])
    if isinstance(first, LabdataError) and len(failed) > 1:
        more = count_of(len(failed) - 1, "other file")
        return type(first)(f"{first.message} So it is with {more}.", hint=first.hint)
    return first


def _read_rates() -> dict[str, float]:
    try:
        content = json.loads((labdata_folder() / _RATES).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {k: float(v) for k, v in content.items() if isinstance(v, int | float) and v > 0}


def _note_rate(plan: FetchPlan, took_s: float) -> None:
    """Remember how fast a store was, in bytes a second, to say next time how long it takes."""
    stores = {row["storage"] for row in plan.missing}
    if len(stores) == 1 and plan.size_bytes >= _TELLING_BYTES and took_s > 0:
        rates = _read_rates() | {stores.pop(): plan.size_bytes / took_s}
        with suppress(OSError):  # a note only
            (labdata_folder() / _RATES).write_text(json.dumps(rates), "utf-8")
