"""Windows and numbers that a user gave: two ascending ends, one number; said in words if not."""

from __future__ import annotations

import math
from typing import Any

from labdata.errors import LabdataError


def one_number(value: Any, what: str, error: type[LabdataError]) -> float:
    """Return one number; NaN and infinity are numbers, the text ``"3"`` is none.

    Parameters
    ----------
    value : object
        What was given.
    what : str
        What it is, for the error: ``"bin_s"``.
    error : type
        Of the error.

    Returns
    -------
    float

    Raises
    ------
    LabdataError
        Of the type given, if it is no number, or more than one.
    """
    try:
        if isinstance(value, str | bytes | bool):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise error(f"{what} is {value!r}, which is no number.") from None


def two_ends(
    window: Any,
    error: type[LabdataError],
    *,
    name: str = "window_s",
    example: str = "(-0.5, 1.5)",
    endless: bool = True,
) -> tuple[float, float]:
    """Return the start and the stop of a window, the earlier first.

    Parameters
    ----------
    window : object
        What was given.
    error : type
        Of the error.
    name : str, optional
        Of the argument; it ends in the units: ``"window_s"``, ``"window_ms"``.
    example : str, optional
        One that is right.
    endless : bool, optional
        Whether an end may be infinite.

    Returns
    -------
    start, stop : float

    Raises
    ------
    LabdataError
        Of the type given, if it is no two numbers, empty or backwards, or endless if it may not.
    """
    try:
        start, stop = (one_number(end, name, error) for end in tuple(window))
    except (TypeError, ValueError, error):
        raise error(
            f"{name} is {window!r}, not two numbers: start and stop.",
            hint=f"Write them as {name}={example}.",
        ) from None
    if not (start < stop and (endless or math.isfinite(stop - start))):
        ending = "" if endless else " or without end"
        raise error(
            f"The window from {start:g} to {stop:g} {name.rpartition('_')[2]} is empty{ending}.",
            hint=f"Give the earlier time first, such as {example}.",
        )
    return start, stop
