"""Whole numbers that a user gave as labels: never cut, wrapped, or made of a mask.

NumPy turns 4.7 into 4, True into 1 and 2**32 + 3 into 3 where an integer type is asked for. As a
label each would be another unit, channel or trial.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labdata.errors import LabdataError


def whole_numbers(
    values: ArrayLike, what: str, error: type[LabdataError], *, dtype: str = "int64"
) -> NDArray[Any]:
    """Return numbers as a vector of a type, each exactly what it was.

    Parameters
    ----------
    values : array_like
        Integers, or floats without a fraction.
    what : str
        What they are, for the error: ``"unit labels"``.
    error : type
        Of the error.
    dtype : str, optional
        An integer type.

    Returns
    -------
    ndarray of `dtype`, shape (n,)

    Raises
    ------
    LabdataError
        Of the type given, if one is no whole number, or does not fit.
    """
    given = np.asarray(values).reshape(-1)
    if given.dtype.kind == "O":
        given = np.array(given.tolist()).reshape(-1)
    if given.size == 0:
        return np.empty(0, dtype)
    if given.dtype.kind == "b":
        raise error(
            f"A mask of true and false was given where {what} are needed.",
            hint="Choose the labels with it first: labels[mask].",
        )
    if given.dtype.kind not in "iuf":
        raise error(f"{given[0]!r} is no whole number; {what} are.")
    limits = np.iinfo(dtype)
    if given.dtype == limits.dtype:
        return given
    fits = (given >= limits.min) & (given <= limits.max)
    if given.dtype.kind == "f":
        fits &= given == np.floor(given)
    if not fits.all():
        raise error(
            f"{given[~fits][0]} is no whole number of {limits.bits} bits; {what} are.",
            hint="Number them anew if they are longer.",
        )
    return given.astype(dtype)
