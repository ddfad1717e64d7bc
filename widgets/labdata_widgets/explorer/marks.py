"""Few enough marks for a browser: beyond a limit, counts in cells take the place of points.

Points that overlap hide how many they are; counts do not, and cost the same for any number.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Marks that are drawn one by one.
MAX_MARKS = 50_000


def count_cells(
    x: ArrayLike,
    y: ArrayLike,
    *,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    shape: tuple[int, int],
) -> NDArray[np.float32]:
    """Count points in the cells of a regular grid.

    Parameters
    ----------
    x, y : array_like, shape (n,)
        Points; those outside the ranges and those that are NaN do not count.
    x_range, y_range : tuple of float
        Extent of the grid; the upper edges are included.
    shape : tuple of int
        Rows (y) and columns (x).

    Returns
    -------
    ndarray of float32, shape `shape`
        Counts, NaN where there is none, so that an empty cell is left blank.
    """
    rows, columns = shape
    column = _cell(np.asarray(x, dtype=np.float64), x_range, columns)
    row = _cell(np.asarray(y, dtype=np.float64), y_range, rows)
    inside = (column >= 0) & (row >= 0)
    flat = np.bincount(row[inside] * columns + column[inside], minlength=rows * columns)
    counts = flat.reshape(shape).astype(np.float32)
    counts[counts == 0] = np.nan
    return counts


def _cell(values: NDArray[np.float64], span: tuple[float, float], n: int) -> NDArray[np.int64]:
    """Return the cell of each value, -1 outside."""
    low, high = span
    inside = (values >= low) & (values <= high)
    scaled = np.where(inside, (values - low) / (high - low) * n, -1.0)
    return np.where(inside, np.minimum(scaled.astype(np.int64), n - 1), -1)
