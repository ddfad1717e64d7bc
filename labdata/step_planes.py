"""Steps from one sample to the next, as planes of their bytes.

The lowest byte of all steps, then the next, of as many bytes as the largest step has. Of spikes
the lowest is noise and the next few are small numbers: apart they are compressed to fewer bytes
than in turns, and read sooner.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import loops

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Bytes of a step at most.
MOST_PLANES = 4


def split_steps(steps: NDArray[Any]) -> tuple[NDArray[np.uint8], ...]:
    """Return the planes of steps.

    Parameters
    ----------
    steps : ndarray of int, shape (n,)
        From 0 to 2**32 - 1.

    Returns
    -------
    tuple of ndarray of uint8, shape (n,)
        1 to 4 planes, the lowest first; none of no steps.
    """
    if not steps.size:
        return ()
    n_planes = max(1, (int(steps.max()).bit_length() + 7) // 8)
    whole = steps.astype("<u4").view(np.uint8).reshape(-1, MOST_PLANES)
    return tuple(whole[:, number].copy() for number in range(n_planes))


def sum_steps(
    planes: Sequence[NDArray[np.uint8]], out: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Return the samples that steps add up to.

    Parameters
    ----------
    planes : sequence of ndarray of uint8, shape (n,)
        Of :func:`split_steps`.
    out : ndarray of int64, shape (n,), optional
        Filled and returned.

    Returns
    -------
    ndarray of int64, shape (n,)
    """
    n_steps = len(planes[0]) if planes else 0
    samples = np.empty(n_steps, np.int64) if out is None else out
    if loops.compiled is not None:
        loops.compiled.sum_steps(tuple(planes), samples)
        return samples
    # of one type and not in place: so NumPy sums without Python's lock, on all cores at once
    steps = np.zeros(n_steps, np.int64)
    for number, plane in enumerate(planes):
        steps |= plane.astype(np.int64) << (8 * number)
    return np.cumsum(steps, out=samples)
