"""What comparing the stores with the database found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from ..counted import count_of, show_size
from .stored_copies import StoredFile

Kind = Literal["missing", "size", "content", "unreadable", "cold"]


@dataclass(frozen=True)
class Finding:
    """A file that is not as it was recorded, or of which nobody can tell.

    Attributes
    ----------
    file : StoredFile
        What was recorded; of a whole store that does not answer, without a path.
    kind : str
        ``missing``: the store answers and has it not. ``size``, ``content``: it is another.
        ``unreadable``: the store cannot tell. ``cold``: not read, as it is in cold storage; no
        report has these.
    recorded : int or str
        Bytes, or of ``content`` the checksum. Of a whole store, the number of its files.
    found : int, str or None
        The same of what is there; of ``unreadable`` the reason; None if it is missing.
    copies : tuple of str
        Where copies are that were read and are right.
    """

    file: StoredFile
    kind: Kind
    recorded: int | str
    found: int | str | None
    copies: tuple[str, ...] = ()

    @property
    def storage(self) -> str:
        """Name of the store."""
        return self.file.storage

    @property
    def file_path(self) -> str:
        """Path in it; empty if the finding is about the whole store."""
        return self.file.file_path

    def row(self) -> dict[str, Any]:
        """Return it as plain values."""
        names = ("storage", "file_path", "kind", "recorded", "found")
        return {name: getattr(self, name) for name in names} | {"copies": list(self.copies)}

    def say(self) -> str:
        """Return in words what was found."""
        if self.kind == "missing":
            return f"missing; {show_size(int(self.recorded))} recorded"
        if self.kind == "size":
            return f"{self.found} bytes, {self.recorded} recorded"
        if self.kind == "content":
            name = self.file.kind.upper()
            return f"{name} {str(self.found)[:12]}..., {str(self.recorded)[:12]}... recorded"
        if self.file_path:
            return f"cannot tell: {self.found}"
        return f"cannot tell of {count_of(int(self.recorded), 'file')}: {self.found}"


@dataclass(frozen=True)
class Orphans:
    """Objects that no file refers to.

    Attributes
    ----------
    n_objects : int
    size_bytes : int
    unknown : str
        Why they could not be counted; empty if they were.
    """

    n_objects: int = 0
    size_bytes: int = 0
    unknown: str = ""

    @classmethod
    def sum_of(cls, parts: Iterable[Orphans]) -> Orphans:
        """Return the sum.

        Parameters
        ----------
        parts : iterable of Orphans
            One a store.
        """
        known = list(parts)
        unknown = next((one.unknown for one in known if one.unknown), "")
        return cls(sum(o.n_objects for o in known), sum(o.size_bytes for o in known), unknown)


@dataclass(frozen=True)
class VerifyReport:
    """What a run compared and found.

    Attributes
    ----------
    today : date
        The day whose part was read.
    days : int
        Number of parts.
    everything : bool
        Whether all was read.
    findings : tuple of Finding
    n_objects, size_bytes : int
        Files that were compared, and their recorded sizes; those of a store that could not tell
        are not among them.
    n_read, read_bytes : int
        Those of them whose content was read.
    n_cold : int
        Those in cold storage, whose content was due and not read.
    n_without_checksum : int
        Files of the part without a recorded checksum, whose content says nothing.
    n_right_again : int
        Files that an earlier run found damaged and this one right.
    full_round_by : date
        Day of the last run of daily ones after which everything has been read.
    orphans : Orphans
        Objects that no file refers to.
    stores : tuple of str
        Names of the stores.
    """

    today: date
    days: int
    everything: bool
    findings: tuple[Finding, ...]
    n_objects: int
    size_bytes: int
    n_read: int
    read_bytes: int
    n_without_checksum: int
    full_round_by: date
    n_cold: int = 0
    n_right_again: int = 0
    orphans: Orphans = field(default_factory=Orphans)
    stores: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong and every store could tell."""
        return not self.findings

    def rows(self) -> list[dict[str, Any]]:
        """Return a row a finding."""
        return [finding.row() for finding in self.findings]

    def summary(self) -> str:
        """Return the line that says what was done."""
        text = (
            f"{count_of(self.n_objects, 'object')}, {show_size(self.size_bytes)}: all compared "
            f"by size; {self.n_read} of them read ({show_size(self.read_bytes)}), "
        )
        if self.everything:
            return text + "everything."
        return text + f"next full round by {self.full_round_by.isoformat()}."

    def notes(self) -> list[str]:
        """Return what else is to be said, a sentence each."""
        said = []
        left = self.orphans
        if left.n_objects:
            said.append(
                f"{count_of(left.n_objects, 'object')} with {show_size(left.size_bytes)} that no "
                "file refers to: `labdata garbage` lists them."
            )
        if left.unknown:
            said.append(f"Objects that no file refers to were not counted: {left.unknown}")
        if self.n_right_again:
            files = count_of(self.n_right_again, "file")
            said.append(f"{files} that an earlier run found damaged: read again, and right.")
        if self.n_cold:
            files = count_of(self.n_cold, "file")
            said.append(f"{files} to be read in cold storage: only the size was compared.")
        if self.n_without_checksum:
            files = count_of(self.n_without_checksum, "file")
            said.append(f"{files} to be read without a recorded checksum: only the size is known.")
        return said

    def _repr_html_(self) -> str:
        from ..markup import card, rows_table

        cells = [[f.storage, f.file_path, f.say(), ", ".join(f.copies)] for f in self.findings]
        head = ["store", "path", "found", "copies"]
        return card(rows_table(self.summary(), head, cells))
