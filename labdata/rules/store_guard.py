"""A disk that is not mounted leaves an empty folder, which looks like a new store.

What was uploaded to it would lie on the disk below, and be hidden once the right disk is back.
That a folder is the right one cannot be seen in it, but the database knows whether a store has
files; one that should have some and is empty is taken for not mounted.
"""

from __future__ import annotations

from typing import Any

from ..errors import StoreAwayError
from ..stores import LocalStore, Store
from ..stores.os_errors import explain_os_errors
from ..stores.paths import STORE_MARK


def require_mounted(lab: Any, name: str, store: Store) -> None:
    """Raise if a store has files by the database, and its folder has nothing in it.

    Parameters
    ----------
    lab : Lab
        The tables; an account of some projects goes by the files that it sees.
    name : str
        The store's name in the preferences.
    store : Store
        The store; only one in a folder is looked at.

    Raises
    ------
    StoreAwayError
        If it is probably not mounted.
    """
    if not isinstance(store, LocalStore):
        return
    folder = store.root / store.folder
    with explain_os_errors("look into", folder):
        if folder.is_dir() and any(folder.iterdir()):
            return
    tables = (lab.File, lab.AnalysisFile)
    recorded = sum(len(table & {"storage": name}) for table in tables)
    if recorded:
        raise StoreAwayError(
            f"{store.describe()}, store {name!r}, is empty, and the database has {recorded} of "
            "its files: its disk is probably not mounted.",
            hint=f"Mount it, then upload again. If all is gone and the store begins anew: "
            f"touch '{folder / STORE_MARK}'",
        )
