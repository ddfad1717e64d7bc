"""Indexing of samples that are read by ranges, with the results that numpy would give.

All kinds of files keep the channels of a sample together, so rows are what is read, and columns
are chosen from them afterwards by numpy itself.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labdata.errors import FormatError

if TYPE_CHECKING:
    from labdata.formats.bands import Samples

#: Samples read at once when only some of them are wanted: 50 MB of 385 channels.
_BLOCK_SAMPLES = 65536


class SampleIndexError(FormatError, IndexError):
    """An index that is not within the samples, or of a kind that is not read."""


def index_samples(samples: Samples, key: Any, *, name: str = "the band") -> Any:
    """Return ``samples[key]`` as of a numpy array, reading the rows from first to last.

    Parameters
    ----------
    samples : Samples
        int16 (n_samples, n_channels).
    key : int, slice, ``...`` or tuple
        Rows by a number or a slice (steps may be negative); columns as numpy has them: a number, a
        slice, a list, a mask.
    name : str, optional
        Of the band, for messages.

    Returns
    -------
    ndarray of int16 or int16
        As numpy: a number takes its dimension away.

    Raises
    ------
    SampleIndexError
        If the key is outside the samples, or takes rows otherwise than by a number or a slice.
    """
    rows, columns = _split(key, name)
    if isinstance(rows, slice):
        start, stop, step = rows.indices(samples.shape[0])
        wanted = range(start, stop, step)
        block = _read_rows(samples, wanted if step > 0 else wanted[::-1])
        return _choose((slice(None), columns), block if step > 0 else block[::-1], key, name)
    number = _row_number(rows, samples.shape[0], name)
    return _choose((0, columns), np.asarray(samples[number : number + 1]), key, name)


def _read_rows(samples: Samples, wanted: range) -> NDArray[np.int16]:
    """Return rows in ascending order; of wide steps no more is held at once than a block."""
    n_rows = max(1, len(wanted) if wanted.step == 1 else _BLOCK_SAMPLES // wanted.step)
    parts = [wanted[i : i + n_rows] for i in range(0, len(wanted), n_rows)] or [range(0, 0)]
    blocks = [
        np.asarray(samples[p[0] : p[-1] + 1] if p else samples[0:0])[:: wanted.step] for p in parts
    ]
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _split(key: Any, name: str) -> tuple[Any, Any]:
    """Return the parts of a key for rows and for columns."""
    parts = list(key) if isinstance(key, tuple) else [key]
    at = [i for i, part in enumerate(parts) if part is Ellipsis]
    if at:
        parts[at[0] : at[0] + 1] = [slice(None)] * (3 - len(parts))
    parts += [slice(None)] * (2 - len(parts))
    if len(parts) != 2 or any(part is None or part is Ellipsis for part in parts):
        raise SampleIndexError(
            f"{name} has 2 dimensions, samples and channels; {key!r} asks for others.",
            hint="Write band[start:stop] or band[start:stop, channels].",
        )
    return parts[0], parts[1]


def _row_number(row: Any, n_samples: int, name: str) -> int:
    try:
        number = operator.index(row)
    except TypeError:
        number = None
    if number is None or isinstance(row, bool | np.bool_):
        raise SampleIndexError(
            f"Samples of {name} are read by a number or a range, not by {row!r}.",
            hint="Write band[start:stop], and choose from what it gives.",
        )
    if not -n_samples <= number < n_samples:
        raise SampleIndexError(
            f"Sample {number} is not within {name}, which has {n_samples}.",
            hint=f"Ask for 0 to {n_samples - 1}.",
        )
    return number % n_samples


def _choose(where: tuple[Any, Any], block: NDArray[np.int16], key: Any, name: str) -> Any:
    try:
        return block[where]
    except IndexError as error:
        raise SampleIndexError(
            f"{key!r} does not fit {name}: {error}.",
            hint=f"It has {block.shape[1]} channels, counted from 0.",
        ) from error
