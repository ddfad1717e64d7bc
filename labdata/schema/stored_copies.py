"""Files as they were recorded, their objects' content, and the places where copies of them are.

A copy is one only if it was read just now and is what was recorded: of two places that hold a
file, the one that is asked for help may be the damaged one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import IntegrityError, LabdataError, MissingObjectError, PreferenceError, StoreError
from ..preferences import Preferences, absolute_folder
from ..progress import Progress, ignore_progress
from ..stores import Store, resolve_inside, validate_object_path
from ..stores.os_errors import explain_os_errors
from .files import open_store

_BLOCK_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A row of File or AnalysisFile.

    Attributes
    ----------
    table : str
        ``File`` or ``AnalysisFile``.
    storage, file_path : str
        Its store's name and its path there.
    size_bytes : int
        As it was recorded.
    sha256, md5 : str
        As they were recorded, empty if they were not; files of older labs have an MD5 only.
    """

    table: str
    storage: str
    file_path: str
    size_bytes: int
    sha256: str = ""
    md5: str = ""

    @property
    def checksum(self) -> str:
        """The checksum to go by; empty if none was recorded."""
        return self.sha256 or self.md5.lower()

    @property
    def kind(self) -> str:
        """``sha256`` or ``md5``."""
        return "md5" if self.md5 and not self.sha256 else "sha256"


@dataclass(frozen=True)
class StoredCopy:
    """A copy that was compared with what was recorded.

    Attributes
    ----------
    path : Path or None
        On this computer.
    storage : str
        Else in this store, under the same path.
    sha256 : str
        Of its content, as it was just read; also where only an MD5 was recorded.
    """

    path: Path | None
    storage: str
    sha256: str

    def __str__(self) -> str:
        return str(self.path) if self.path else f"store {self.storage}"


def hash_object(store: Store, file: StoredFile, progress: Progress = ignore_progress) -> str:
    """Return the checksum of an object's content, read now, of the kind that was recorded.

    Parameters
    ----------
    store : Store
        Where it is.
    file : StoredFile
        Which.
    progress : Progress, optional
        Told the bytes read.

    Raises
    ------
    StoreError
        If it cannot be read.
    """
    if file.kind == "sha256":
        return str(store.stat(file.file_path, verify=True, progress=progress).sha256)
    return _hash_both(store, file.file_path, progress)[1]


def find_copies(file: StoredFile, preferences: Preferences) -> Iterator[StoredCopy]:
    """Yield the verified copies of a file, on this computer first.

    Parameters
    ----------
    file : StoredFile
        What is wanted. Without a recorded checksum nothing is a verified copy.
    preferences : Preferences
        Their local paths, inbox and stores are looked through; what cannot be read is passed over.
    """
    try:
        validate_object_path(file.file_path)
    except StoreError:
        return
    if not file.checksum:
        return
    for folder in _folders(preferences):
        path = _verified_file(file, folder)
        if path:
            yield path
    for name in preferences.storage:
        if name != file.storage:
            try:
                store = open_store(name, preferences)
                sha256 = _verified_object(file, store)
            except LabdataError:
                continue
            if sha256:
                yield StoredCopy(None, name, sha256)


def verify_file(file: StoredFile, path: Path) -> str:
    """Return the SHA-256 of a local copy, which must be what was recorded.

    Parameters
    ----------
    file : StoredFile
        What was recorded.
    path : Path
        The copy.

    Raises
    ------
    IntegrityError
        If it is not.
    StoreError
        If it cannot be read.
    """
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with explain_os_errors("read", path), path.open("rb") as reader:
        while block := reader.read(_BLOCK_BYTES):
            sha256.update(block)
            if file.kind == "md5":
                md5.update(block)
    found = sha256.hexdigest() if file.kind == "sha256" else md5.hexdigest()
    if found != file.checksum:
        raise IntegrityError(
            f"{path} differs from what was recorded of {file.file_path}.",
            hint="Find another copy.",
        )
    return sha256.hexdigest()


def _folders(preferences: Preferences) -> Iterator[Path]:
    named = [("local_paths", text) for text in preferences.local_paths]
    if preferences.upload_path:
        named.append(("upload_path", preferences.upload_path))
    for key, text in named:
        try:
            folder = absolute_folder(key, text)
        except PreferenceError:
            continue
        yield folder


def _verified_file(file: StoredFile, folder: Path) -> StoredCopy | None:
    try:
        if not folder.is_dir():
            return None
        path = resolve_inside(folder, file.file_path)
        if not path.is_file() or path.stat().st_size != file.size_bytes:
            return None
        return StoredCopy(path, "", verify_file(file, path))
    except (LabdataError, OSError):
        return None


def _verified_object(file: StoredFile, store: Store) -> str:
    try:
        if store.stat(file.file_path).size_bytes != file.size_bytes:
            return ""
    except MissingObjectError:
        return ""
    if file.kind == "sha256":
        sha256 = str(store.stat(file.file_path, verify=True).sha256)
        return sha256 if sha256 == file.sha256 else ""
    sha256, md5 = _hash_both(store, file.file_path, ignore_progress)
    return sha256 if md5 == file.checksum else ""


def _hash_both(store: Store, path: str, progress: Progress) -> tuple[str, str]:
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with store.open_range(path) as reader, explain_os_errors("read", path):
        while block := reader.read(_BLOCK_BYTES):
            sha256.update(block)
            md5.update(block)
            progress(len(block))
    return sha256.hexdigest(), md5.hexdigest()
