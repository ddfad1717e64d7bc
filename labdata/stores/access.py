"""Whether a store can be used, found by using it: what ``labdata doctor`` shows.

Permissions cannot be read off a store reliably (bucket policies, mount options, quotas), so a
small object of a random name is written, read, listed and deleted. The probe also writes other
content to the same path: some storage servers overwrite where they should refuse, and on those
labdata must not rely on the server.
"""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labdata.errors import IntegrityError, MissingObjectError, StoreError

if TYPE_CHECKING:
    from labdata.stores.base import Store

_FOLDER = "labdata-access-check"


@dataclass(frozen=True)
class AccessStep:
    """One thing that was tried.

    Attributes
    ----------
    name : str
        ``write``, ``read``, ``keep`` (other content is refused), ``list`` or ``delete``.
    ok : bool
        Whether it worked.
    message, hint : str
        What went wrong and what to do; empty if nothing did.
    """

    name: str
    ok: bool
    message: str = ""
    hint: str = ""


@dataclass(frozen=True)
class AccessReport:
    """What a store let us do just now.

    Attributes
    ----------
    store : str
        The store, described.
    steps : tuple of AccessStep
        In the order tried. What could not be tried, because writing failed, is not there.
    duration_s : float
        How long it took.
    """

    store: str
    steps: tuple[AccessStep, ...]
    duration_s: float

    @property
    def ok(self) -> bool:
        """Whether everything worked."""
        return all(step.ok for step in self.steps)

    def __str__(self) -> str:
        lines = [
            f"{self.store}: {'usable' if self.ok else 'NOT usable'} ({self.duration_s:.2f} s)"
        ]
        lines += [
            f"  {step.name}: {'ok' if step.ok else f'{step.message} {step.hint}'.rstrip()}"
            for step in self.steps
        ]
        return "\n".join(lines)


def probe_access(store: Store) -> AccessReport:
    """Write, read, list and delete a small object; see :meth:`Store.check_access`.

    Parameters
    ----------
    store : Store
        The store to try.

    Returns
    -------
    AccessReport
    """
    start_s = time.monotonic()
    probe = _Probe(store)
    steps = [_attempt("write", probe.write)]
    if steps[0].ok:
        steps += [
            _attempt("read", probe.read),
            _attempt("keep", probe.keep),
            _attempt("list", probe.find),
            _attempt("delete", probe.delete),
        ]
    return AccessReport(store.describe(), tuple(steps), time.monotonic() - start_s)


def _attempt(name: str, action: Callable[[], None]) -> AccessStep:
    try:
        action()
    except StoreError as error:
        return AccessStep(name, False, error.message, error.hint or "")
    return AccessStep(name, True)


class _Probe:
    """A small object of a random name, in a folder of its own so that listing it is quick."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._path = f"{_FOLDER}/{secrets.token_hex(8)}"
        self._content = secrets.token_bytes(64)

    def write(self) -> None:
        self._put(self._content)

    def read(self) -> None:
        found = self._store.read_range(self._path, start_byte=0, size_bytes=len(self._content))
        if found != self._content:
            raise IntegrityError("Other bytes came back than were written.")

    def keep(self) -> None:
        try:
            self._put(secrets.token_bytes(64))
        except IntegrityError:
            self.read()
        else:
            raise StoreError("An existing object was overwritten.")

    def find(self) -> None:
        if self._path not in (info.path for info in self._store.list(_FOLDER)):
            raise StoreError("An object that was just written is not listed.")

    def delete(self) -> None:
        self._store.delete(self._path)
        try:
            self._store.stat(self._path)
        except MissingObjectError:
            return
        raise StoreError("An object that was just deleted is still there.")

    def _put(self, content: bytes) -> None:
        with tempfile.TemporaryDirectory(prefix="labdata-access-") as folder:
            source = Path(folder, "probe")
            source.write_bytes(content)
            self._store.put(source, self._path)
