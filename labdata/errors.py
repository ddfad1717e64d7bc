"""The errors that leave labdata: what happened, the offending value, and what to do about it.

Every fault that a user can cause or meet is a :class:`LabdataError`. The command line prints its
message on one line and its hint on the next; a notebook shows both. Anything else that escapes is
a defect of labdata itself.
"""

from __future__ import annotations

import sys
import traceback
import warnings


class LabdataError(Exception):
    """Base of all errors that labdata raises on purpose.

    Parameters
    ----------
    message : str
        What happened, with the offending value.
    hint : str, optional
        What the user can do about it.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows in place of a traceback: what, what to do, and where."""
        lines = [f"{type(self).__name__}: {self.message}"]
        lines += [f"  {self.hint}"] if self.hint else []
        frames = traceback.extract_tb(self.__traceback__)
        cells = [f for f in frames if "ipython-input" in f.filename or "ipykernel_" in f.filename]
        return lines + [f"  at line {f.lineno} of the cell: {f.line}" for f in cells[:1]]


class LabdataWarning(UserWarning):
    """What was done is probably not what was meant; the text says how to undo it."""


class PreferenceError(LabdataError):
    """A preference file, or one of its values, cannot be used."""


class DatabaseError(LabdataError):
    """The database cannot be reached, started or used."""


class QueryError(LabdataError):
    """A restriction or fetch that cannot mean what was written."""


class FormatError(LabdataError):
    """A raw or derived file does not have the content that its format requires."""


class ClockError(LabdataError):
    """Two clocks cannot be related within the tolerance."""


class ObjectError(LabdataError):
    """A labelled object breaks its data model, or two objects do not fit together."""


class StoreError(LabdataError):
    """A store refused, lacks or contradicts an object."""


class IntegrityError(StoreError):
    """Bytes differ from what was recorded of them."""


class PathTakenError(IntegrityError):
    """Something else is there already under the path; it was left as it is."""


class MissingObjectError(StoreError):
    """A store that answers does not have the object; not the same as a store that is away."""


class StoreAwayError(StoreError):
    """A store does not answer, or its disk is not mounted: what needs it can be tried again."""


class ArchivedObjectError(StoreError):
    """An object is in cold storage, and must be asked back before it can be read."""


class RuleError(LabdataError):
    """An upload rule cannot handle the files given to it."""


class UploadError(LabdataError):
    """A folder cannot be put or uploaded."""


class NotUploadableError(UploadError):
    """An upload job is not begun: there is none, or it failed before or was cancelled."""


class TaskError(LabdataError):
    """A compute task cannot be made, claimed or run."""


class MissingPackageError(LabdataError):
    """An optional package is needed and not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is needed for this and is not installed.",
            hint=f"pip install 'labdata-jupyter[{extra}]'",
        )


class UnsyncedWarning(UserWarning):
    """Times are on a stream's own clock and cannot be compared with other streams."""


class PauseWarning(UserWarning):
    """Samples follow each other in an array though time passed between them unrecorded."""


def warn_user(text: str, kind: type[UserWarning] = UnsyncedWarning) -> None:
    """Warn at the line of the first caller outside labdata, so that it is shown there.

    Parameters
    ----------
    text : str
        What a user of the times must know.
    kind : type of UserWarning, optional
        Of the warning.
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("labdata."):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, kind, stacklevel=level)
