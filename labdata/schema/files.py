"""From rows of File to files: local folders first, then the store that has them."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import (
    IntegrityError,
    MissingObjectError,
    PathTakenError,
    PreferenceError,
    QueryError,
    StoreError,
)
from ..formats.byte_ranges import ByteRanges, FileRanges, RangeFile
from ..preferences import (
    Preferences,
    StoragePreferences,
    absolute_folder,
    labdata_folder,
    load_preferences,
)
from ..progress import Progress, ignore_progress
from ..stores import LocalStore, S3Settings, S3Store, Store, hash_file, resolve_inside
from ..stores.durable import publish
from ..stores.os_errors import explain_os_errors
from ..stores.paths import PARTIAL_PREFIX

#: What a reader of a file in a store asks for at least, in bytes.
_BUFFER_BYTES = 1024 * 1024


def open_store(name: str, preferences: Preferences | None = None) -> Store:
    """Return the store of a name in the preferences.

    Parameters
    ----------
    name : str
        A key of ``storage``.
    preferences : Preferences, optional
        By default the user's.

    Raises
    ------
    PreferenceError
        If there is no such store, or its settings are not enough.
    """
    preferences = preferences or load_preferences()
    settings = preferences.storage.get(name)
    if settings is None:
        known = ", ".join(preferences.storage) or "none"
        raise PreferenceError(
            f"There is no store {name!r}; the preference file has: {known}.",
            hint=f"Describe it under storage in {preferences.file}.",
        )
    if settings.protocol == "s3":
        return _open_bucket(name, settings)
    if settings.path is None:
        raise PreferenceError(
            f"Store {name!r} is local and has no path.", hint=f"Set storage.{name}.path."
        )
    root = absolute_folder(f"storage.{name}.path", settings.path)
    if root.is_relative_to(labdata_folder()):
        # labdata's own place; any other root must be there, or an unmounted disk would go unseen
        root.mkdir(parents=True, exist_ok=True)
    return LocalStore(root, settings.folder)


def _open_bucket(name: str, settings: StoragePreferences) -> Store:
    if settings.bucket is None:
        raise PreferenceError(
            f"Store {name!r} is on S3 and has no bucket.", hint=f"Set storage.{name}.bucket."
        )
    secrets = {
        key: secret.get_secret_value()
        for key in ("access_key", "secret_key")
        if (secret := getattr(settings, key)) is not None
    }
    if settings.ca_file and not Path(settings.ca_file).expanduser().is_file():
        raise PreferenceError(
            f"storage.{name}.ca_file is {settings.ca_file!r}, and there is no such file.",
            hint="Name the file with the certificate of the server's authority.",
        )
    try:
        return S3Store(
            S3Settings(
                bucket=settings.bucket,
                endpoint=settings.endpoint,
                folder=settings.folder.strip("/"),
                region=settings.region,
                addressing=settings.addressing,
                profile=settings.profile,
                use_tls=settings.use_tls,
                verify_tls=settings.verify_tls,
                ca_file=str(Path(settings.ca_file).expanduser()) if settings.ca_file else None,
                conditional_writes=settings.conditional_writes,
                **secrets,
            )
        )
    except StoreError as error:
        raise PreferenceError(f"storage.{name}: {error.message}", hint=error.hint) from error


def find_local(file_path: str, size_bytes: int, folders: Sequence[Path]) -> Path | None:
    """Return the first local copy of a file that has its size.

    Parameters
    ----------
    file_path : str
        Relative path, as in File.
    size_bytes : int
        Its recorded size; a copy of another size is passed over.
    folders : sequence of Path
        Searched in order.
    """
    for folder in folders:
        if not folder.is_dir():
            continue
        path = resolve_inside(folder, file_path)
        if path.is_file() and path.stat().st_size == size_bytes:
            return path
    return None


def get_files(
    query: Any,
    *,
    local_paths: Sequence[str | Path] | None = None,
    download: bool | None = None,
    verify: bool = False,
    progress: Progress | None = None,
) -> list[Path]:
    """Return the files of a query of File on this computer; see :meth:`File.get`."""
    from .fetching import fetch_planned, plan_fetch

    folders = None
    if local_paths is not None:
        folders = [absolute_folder("local_paths", str(p)) for p in local_paths]
    plan = plan_fetch(query.fetch(as_dict=True), folders=folders)
    return fetch_planned(plan, download=download, verify=verify, progress=progress)


def open_file(query: Any, *, download: bool = False) -> BinaryIO:
    """Open the file of a query of File; see :meth:`File.open`."""
    rows = query.fetch(as_dict=True, limit=2)
    if len(rows) != 1:
        raise QueryError(
            f"{'No file is' if not rows else 'Several files are'} chosen; one is opened.",
            hint="Restrict by file_path, and by storage where two stores have one of that name.",
        )
    if download:
        (path,) = get_files(query, download=True)
        return path.open("rb")
    return io.BufferedReader(RangeFile(open_ranges(rows[0])), _BUFFER_BYTES)


def verify_local(path: Path, row: dict[str, Any], progress: Progress = ignore_progress) -> None:
    """Raise if a local copy is not what was recorded; files of older labs have only an MD5.

    Parameters
    ----------
    path : Path
        The copy.
    row : dict
        A row of File.
    progress : Progress, optional
        Told the bytes read.

    Raises
    ------
    IntegrityError
        If it is other content.
    """
    if row["file_sha256"]:
        kind, found = "sha256", hash_file(path, progress=progress).sha256
    else:
        with explain_os_errors("read", path), path.open("rb") as file:
            kind, found = "md5", hashlib.file_digest(file, "md5").hexdigest()
    recorded = row[f"file_{kind}"]
    if found != recorded:
        raise IntegrityError(
            f"{path} differs from what was recorded: its {kind.upper()} is {found}, recorded is "
            f"{recorded}.",
            hint="Move this copy away, and get the file again.",
        )


def open_in_place(row: dict[str, Any], preferences: Preferences | None = None) -> Path:
    """Return a path to read a file at: a local copy, else the object in a local store itself.

    Analyses read through this, so that a store on this computer or a file server is not copied.
    Nothing may be written there.

    Parameters
    ----------
    row : dict
        A row of File.
    preferences : Preferences, optional
        By default the user's.

    Raises
    ------
    StoreError
        If the file is nowhere to be read, or has another size than recorded.
    """
    preferences = preferences or load_preferences()
    folders = preferences.local_folders()
    path = find_local(row["file_path"], row["file_size"], folders)
    if path:
        return path
    store = open_store(row["storage"], preferences)
    if isinstance(store, LocalStore):
        _require_size(store.stat(row["file_path"]).size_bytes, row, store)
        return resolve_inside(store.root / store.folder, row["file_path"])
    check_may_fetch(row, preferences.allow_s3_download, preferences)
    return fetch_file(row, folders[0], preferences)


class StoreRanges:
    """Ranges of an object in a store, each asked for when it is wanted.

    Parameters
    ----------
    store : Store
        Where it is.
    file_path : str
        Its path there.
    size_bytes : int
        As it was recorded.
    """

    def __init__(self, store: Store, file_path: str, size_bytes: int) -> None:
        self.store, self.file_path, self._size_bytes = store, file_path, size_bytes

    @property
    def name(self) -> str:
        """The object's path."""
        return self.file_path

    @property
    def size_bytes(self) -> int:
        """Size of the object as it was recorded."""
        return self._size_bytes

    def read(self, start_byte: int, size_bytes: int) -> bytes:
        """Return exactly these bytes; see :meth:`labdata.stores.Store.read_range`.

        Parameters
        ----------
        start_byte, size_bytes : int
            Within the object.

        Raises
        ------
        StoreError
            If the store does not give them all.
        """
        return self.store.read_range(self.file_path, start_byte=start_byte, size_bytes=size_bytes)


def open_ranges(
    row: dict[str, Any], preferences: Preferences | None = None, *, local: bool = True
) -> ByteRanges:
    """Return a file to read parts of: a local copy, else the object where it is.

    Nothing is fetched but the parts that are read, so ``allow_s3_download`` is not asked.

    Parameters
    ----------
    row : dict
        A row of File.
    preferences : Preferences, optional
        By default the user's.
    local : bool, optional
        Whether a local copy will do; else it is the store that is read.

    Raises
    ------
    StoreError
        If it is nowhere to be read, or has another size than recorded.
    """
    preferences = preferences or load_preferences()
    folders = preferences.local_folders() if local else []
    path = find_local(row["file_path"], row["file_size"], folders)
    if path:
        return FileRanges(path)
    store = open_store(row["storage"], preferences)
    _require_size(store.stat(row["file_path"]).size_bytes, row, store)
    if isinstance(store, LocalStore):
        return FileRanges(resolve_inside(store.root / store.folder, row["file_path"]))
    return StoreRanges(store, row["file_path"], int(row["file_size"]))


def _require_size(size_bytes: int, row: dict[str, Any], store: Store) -> None:
    if size_bytes != row["file_size"]:
        raise StoreError(
            f"{row['file_path']} has {size_bytes} bytes in {store.describe()}, "
            f"{row['file_size']} were recorded.",
            hint="The object was changed or cut; restore it from a copy.",
        )


def _require_folder(folder: Path) -> None:
    """Make the folder to fetch to if it is at home; elsewhere a disk may not be mounted."""
    if folder.is_dir():
        return
    if not folder.is_relative_to(Path.home()):
        raise StoreError(
            f"The first of local_paths, {folder}, does not exist.",
            hint=f"Mount its disk, or make it: mkdir -p '{folder}'",
        )
    with explain_os_errors("make", folder):
        folder.mkdir(parents=True, exist_ok=True)


def check_may_fetch(row: dict[str, Any], allowed: bool, preferences: Preferences) -> None:
    """Raise if a file is in an S3 store, and such may not be read unasked.

    Parameters
    ----------
    row : dict
        A row of File.
    allowed : bool
        Whether S3 stores may be read; local ones always are.
    preferences : Preferences
        With the stores.

    Raises
    ------
    StoreError
        Which says how to allow it.
    """
    settings = preferences.storage.get(row["storage"])
    if settings and settings.protocol == "s3" and not allowed:
        raise StoreError(
            f"{row['file_path']} is on no local path, and allow_s3_download is false.",
            hint="Use `labdata get`, say download=True, or set allow_s3_download to true.",
        )


def fetch_file(
    row: dict[str, Any],
    folder: Path,
    preferences: Preferences,
    progress: Progress = ignore_progress,
) -> Path:
    """Fetch a file from its store, verified; see :meth:`labdata.stores.Store.get`.

    Parameters
    ----------
    row : dict
        A row of File.
    folder : Path
        Local path that receives it.
    preferences : Preferences
        With the stores.
    progress : Progress, optional
        Told the bytes as they come.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    LabdataError
        If it cannot be had, or is not what was recorded; then there is no file.
    """
    store = open_store(row["storage"], preferences)
    _require_folder(folder)
    destination = resolve_inside(folder, row["file_path"])
    try:
        if row["file_sha256"]:
            store.get(row["file_path"], destination, sha256=row["file_sha256"], progress=progress)
        else:
            _get_by_md5(store, row, destination, progress)
    except MissingObjectError as error:
        raise MissingObjectError(
            error.message,
            hint="Was the store changed by hand, or is it another one? `labdata verify --repair` "
            "looks for a copy to put back.",
        ) from error
    except PathTakenError as error:
        raise PathTakenError(
            f"{destination} is there and differs from what was recorded; it was left as it is.",
            hint="Move it away if it is wanted, remove it if not, and get the file again.",
        ) from error
    return destination


def _get_by_md5(store: Store, row: dict[str, Any], destination: Path, progress: Progress) -> None:
    """Get a file of an older lab, whose SHA-256 nobody knows: named once its MD5 is right."""
    if not os.path.lexists(destination):
        # of the same name each time, so that what was interrupted goes on
        named = hashlib.sha256(destination.name.encode()).hexdigest()[:32]
        partial = destination.with_name(f"{PARTIAL_PREFIX}md5-{named}")
        try:
            store.get(row["file_path"], partial, progress=progress)
            verify_local(partial, row)
        except IntegrityError as error:
            partial.unlink(missing_ok=True)
            raise IntegrityError(
                f"{row['file_path']} in {store.describe()} is not what was recorded, by its MD5.",
                hint="It was damaged or replaced in the store; nothing was kept. Find another "
                "copy.",
            ) from error
        with explain_os_errors("write", destination):
            if publish(partial, destination):
                return
    try:
        verify_local(destination, row)
    except IntegrityError as error:
        raise PathTakenError(error.message, hint=error.hint) from error
