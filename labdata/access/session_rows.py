"""What a listing of sessions is made of, as plain records that a page, a cell or JSON can show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

SessionOrder = Literal[
    "subject", "session", "start", "experimenter", "datasets", "type", "sorted", "synced", "size"
]


@dataclass(frozen=True)
class DatasetRow:
    """A dataset of a listed session.

    Attributes
    ----------
    name : str
        ``dataset_name``.
    dataset_type : str or None
        Kind of data.
    n_probes : int or None
        Probes of the recording; None if it is none.
    n_sorted : int
        Probes with a sorting.
    is_synced : bool
        Whether one of its streams has a StreamSync.
    n_files : int or None
        Its files; None if sizes were not asked for.
    size_bytes : int or None
        Of all its files.
    """

    name: str
    dataset_type: str | None
    n_probes: int | None
    n_sorted: int
    is_synced: bool
    n_files: int | None
    size_bytes: int | None


@dataclass(frozen=True)
class SessionRow:
    """A listed session.

    Attributes
    ----------
    subject, session : str
        ``subject_name`` and ``session_name``.
    start : datetime
        Local time of the rig.
    experimenter : str or None
        Lab member.
    datasets : tuple of DatasetRow
        By name; empty for a session without data.
    """

    subject: str
    session: str
    start: datetime
    experimenter: str | None
    datasets: tuple[DatasetRow, ...]

    @property
    def key(self) -> dict[str, str]:
        """Restriction of the tables to this session."""
        return {"subject_name": self.subject, "session_name": self.session}

    @property
    def types(self) -> tuple[str, ...]:
        """Kinds of data, each once, sorted."""
        return tuple(sorted({d.dataset_type for d in self.datasets if d.dataset_type}))

    @property
    def n_sorted(self) -> int:
        """Probes with a sorting."""
        return sum(d.n_sorted for d in self.datasets)

    @property
    def is_synced(self) -> bool:
        """Whether a stream of one of its datasets has a StreamSync."""
        return any(d.is_synced for d in self.datasets)

    @property
    def n_files(self) -> int:
        """Files of all datasets; 0 also where sizes were not asked for."""
        return sum(d.n_files or 0 for d in self.datasets)

    @property
    def size_bytes(self) -> int:
        """Bytes of all files; 0 also where sizes were not asked for."""
        return sum(d.size_bytes or 0 for d in self.datasets)


@dataclass(frozen=True)
class PageMark:
    """Where a page ended, for the next one.

    Attributes
    ----------
    order_by : str
        Order of the listing.
    descending : bool
        Its direction.
    values : tuple
        The last session's value of the order, subject, start and name.
    """

    order_by: SessionOrder
    descending: bool
    values: tuple[Any, ...]


@dataclass(frozen=True)
class SessionsPage:
    """Sessions in the order asked for.

    Attributes
    ----------
    sessions : tuple of SessionRow
        At most as many as the limit.
    next : PageMark or None
        ``after`` of the next page; None if there are no more sessions.
    """

    sessions: tuple[SessionRow, ...]
    next: PageMark | None
