"""What stores say of an object, and the checks that every kind of store makes alike."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from labdata.errors import IntegrityError, StoreError


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store knows of an object.

    Attributes
    ----------
    path : str
        Path in the store, relative, with ``/``.
    size_bytes : int
        Length of the content.
    sha256 : str or None
        SHA-256 of the content, 64 lower-case hexadecimal digits. None if the store would have to
        read the object to know; ask ``stat(path, verify=True)``.
    modified : datetime.datetime
        When the content last changed as far as the store knows, in UTC.
    """

    path: str
    size_bytes: int
    sha256: str | None
    modified: datetime


@dataclass(frozen=True)
class RestoreState:
    """Whether an object is in cold storage, and what is known of its way back.

    Attributes
    ----------
    archived : bool
        It cannot be read now.
    in_progress : bool
        It was asked back and is on its way.
    available_until : datetime.datetime or None
        Until when a copy that was asked back can be read, in UTC.
    """

    archived: bool
    in_progress: bool = False
    available_until: datetime | None = None


def require_days(days: int) -> None:
    """Refuse what is no number of days.

    Parameters
    ----------
    days : int
        As given.

    Raises
    ------
    labdata.errors.StoreError
        If it is not a whole positive number.
    """
    if isinstance(days, bool) or not isinstance(days, int) or days < 1:
        raise StoreError(f"days is {days!r}.", hint="Give a whole number of days, 1 or more.")


def require_equal(info: ObjectInfo, sha256: str) -> ObjectInfo:
    """Return what a store says of an object, whose content must be as expected.

    Parameters
    ----------
    info : ObjectInfo
        Of the object, verified.
    sha256 : str
        What the content must hash to.

    Raises
    ------
    labdata.errors.IntegrityError
        If it is other content.
    """
    if info.sha256 != sha256:
        raise IntegrityError(
            f"The object {info.path!r} has the SHA-256 {info.sha256}, expected was {sha256}.",
            hint="It was changed or damaged in the store; restore it from a copy.",
        )
    return info


def validate_range(
    object_path: str, *, start_byte: int, size_bytes: int | None, object_size_bytes: int
) -> int:
    """Return the number of bytes of a range, which must lie within its object.

    Parameters
    ----------
    object_path : str
        For the message.
    start_byte : int
        First byte, counted from 0.
    size_bytes : int or None
        Number of bytes, None for all that follow.
    object_size_bytes : int
        Length of the object.

    Raises
    ------
    labdata.errors.StoreError
        If any byte of the range is not there.
    """
    size = object_size_bytes - start_byte if size_bytes is None else size_bytes
    if start_byte < 0 or size < 0 or start_byte + size > object_size_bytes:
        raise StoreError(
            f"{object_path} has {object_size_bytes} bytes; "
            f"{size_bytes} bytes from byte {start_byte} are not within it.",
            hint="The object is shorter than expected, or the range was computed wrongly.",
        )
    return size
