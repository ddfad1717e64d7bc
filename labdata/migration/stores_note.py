"""Whether the stores of an old lab's files can be opened here, said before anything is copied."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..errors import PreferenceError, StoreError
from .old_database import OldDatabase
from .pairing import Finding, TablePair


def find_stores(old: OldDatabase, pairs: Iterable[TablePair]) -> list[Finding]:
    """Return a finding for each store whose objects would not be found or verified.

    Parameters
    ----------
    old : OldDatabase
        The old database.
    pairs : iterable of TablePair
        Tables that come along.
    """
    found = []
    for pair in pairs:
        if pair.name not in ("File", "AnalysisFile"):
            continue
        for name, n_rows in old.query(
            f"SELECT storage, COUNT(*) FROM {pair.source.sql} {pair.where} GROUP BY storage"
        ):
            what, advice = _look_at(str(name), old.address.stores.get(name))
            if what:
                found.append(Finding(None, pair.name, what, n_rows, "", advice, blocks=False))
    return found


def _look_at(name: str, before: Any) -> tuple[str, str]:
    from ..preferences import load_preferences
    from ..schema.files import open_store

    advice = f"Describe storage.{name} in your preference file as it was; the rows come anyway"
    try:
        open_store(name)
    except (PreferenceError, StoreError) as error:
        return f"files are in a store that cannot be verified: {error.message}", advice
    folder = load_preferences().storage[name].folder.strip("/")
    old_folder = str((before or {}).get("folder") or "").strip("/")
    if isinstance(before, dict) and folder != old_folder:
        what = (
            f"files of store {name!r} were below {old_folder!r}, and are looked for in {folder!r}"
        )
        return what, f"Set storage.{name}.folder to {old_folder!r}"
    return "", ""
