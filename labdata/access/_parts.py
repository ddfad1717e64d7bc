"""What spikes and events are both put together with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..schema.synchrony import StreamClock

DATASET = ("subject_name", "session_name", "dataset_name")


def joined(arrays: Sequence[Any], dtype: str) -> np.ndarray:
    """Return arrays one after the other; none make an empty one.

    Parameters
    ----------
    arrays : sequence of array_like
        Vectors.
    dtype : str
        Of the result.
    """
    return np.concatenate(arrays).astype(dtype) if len(arrays) else np.empty(0, dtype)


def repeated(labels: np.ndarray, arrays: Sequence[Any]) -> np.ndarray:
    """Return the label of each value of :func:`joined` arrays.

    Parameters
    ----------
    labels : ndarray, shape (n,)
        One an array.
    arrays : sequence of array_like, length n
        Vectors.
    """
    return np.repeat(labels, np.array([len(array) for array in arrays], dtype="int64"))


def on_clock(own_s: np.ndarray, clock: StreamClock) -> tuple[np.ndarray, np.ndarray | None]:
    """Return times on a clock, and which of them lie outside the pulses that they were mapped by.

    Parameters
    ----------
    own_s : ndarray, shape (n,)
        Seconds on the stream's own clock.
    clock : StreamClock
        The clock.

    Returns
    -------
    seconds : ndarray, shape (n,)
    outside : ndarray of bool, shape (n,), or None
        None where the clock is the stream's own.
    """
    if clock.clock_map is None:
        return own_s, None
    return clock.clock_map.apply_with_flags(own_s)


def as_json(content: dict[str, Any] | list[Any]) -> str:
    """Return provenance and the like as the text that an attribute holds.

    Parameters
    ----------
    content : dict or list
        Of values that have a text.
    """
    import json

    return json.dumps(content, default=str)
