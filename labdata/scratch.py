"""A folder for the files of one upload or task while it runs, and never longer.

Its name has the claim's token: a worker that lost its claim without knowing (its connection broke)
and the one that took over never write into one folder. What killed workers left is removed by the
next worker that needs a folder.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .database.claims import Claim, has_worker
from .database.locks import is_young
from .preferences import Preferences, absolute_folder
from .stores.os_errors import explain_os_errors


@contextmanager
def scratch_folder(claim: Claim, preferences: Preferences) -> Iterator[Path]:
    """Hold an empty folder below ``scratch_path`` while the block runs.

    Parameters
    ----------
    claim : Claim
        Of the upload job or task that it is for.
    preferences : Preferences
        The user's.

    Yields
    ------
    Path
        The folder.

    Raises
    ------
    StoreError
        If it cannot be made.
    """
    scratch = absolute_folder("scratch_path", preferences.scratch_path)
    with explain_os_errors("make the scratch folder", scratch):
        scratch.mkdir(parents=True, exist_ok=True)
    prefix = f"labdata-{claim.prefix}-{claim.table.database}-"
    _remove_left(scratch, prefix, claim)
    folder = scratch / f"{prefix}{claim.job_id}-{claim.token}"
    with explain_os_errors("make the scratch folder", folder):
        folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_left(scratch: Path, prefix: str, claim: Claim) -> None:
    """Remove the folders of claims that no longer stand."""
    pattern = re.compile(re.escape(prefix) + r"(\d+)-(\w{32})")
    named = {path: pattern.fullmatch(path.name) for path in scratch.glob(f"{prefix}*")}
    # asked after looking: the claim of a folder that was seen was made before
    working = claim.table & {f"{claim.prefix}_status": "WORKING"}
    standing = set(working.fetch(f"{claim.prefix}_claim"))
    for path, match in named.items():
        if not match or match[2] in standing:
            continue
        # an account of one project does not see another's claims, but everybody sees the locks
        number = int(match[1])
        if number == claim.job_id or not (
            has_worker(claim.table, claim.prefix, number) or is_young(claim.table.connection)
        ):
            shutil.rmtree(path, ignore_errors=True)
