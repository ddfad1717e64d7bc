"""The number of each sample of a stream, counted by its device since acquisition began.

GUI 0.6 and later write ``sample_numbers.npy``, and seconds in ``timestamps.npy``; before, the
numbers were in ``timestamps.npy``. They have no gap unless samples were lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labdata.errors import FormatError

_BLOCK = 1 << 22


@dataclass(frozen=True)
class SampleNumbers:
    """The numbers of a stream's samples.

    Parameters
    ----------
    path : Path
        The file they are in.
    first : int
        Of the first sample.
    n_samples : int
        How many there are.
    gaps : tuple of (int, int)
        Position of each sample that does not follow the one before, and how many are missing.
    """

    path: Path
    first: int
    n_samples: int
    gaps: tuple[tuple[int, int], ...]


def read_sample_numbers(folder: Path) -> SampleNumbers:
    """Read the numbers of a stream's samples, in bounded memory.

    Parameters
    ----------
    folder : Path
        The stream's folder.

    Returns
    -------
    SampleNumbers

    Raises
    ------
    FormatError
        When the file is absent, cut or empty, or the numbers go backwards.
    """
    path = numbers_path(folder)
    numbers = load_numbers(path)
    if not numbers.size:
        raise FormatError(
            f"{path} is empty: nothing was recorded.", hint="Leave this recording out."
        )
    first, last = int(numbers[0]), int(numbers[-1])
    gaps = () if last - first == numbers.size - 1 and _ascends(numbers) else _gaps(numbers, path)
    return SampleNumbers(path, first, int(numbers.size), gaps)


def numbers_path(folder: Path) -> Path:
    """Return the file that holds the sample numbers of a folder.

    Parameters
    ----------
    folder : Path
        Of a stream, or of its edges.
    """
    path = folder / "sample_numbers.npy"
    return path if path.is_file() else folder / "timestamps.npy"


def load_numbers(path: Path) -> NDArray[np.int64]:
    """Return an array of whole numbers, mapped and not read.

    Parameters
    ----------
    path : Path
        A ``.npy`` file.

    Returns
    -------
    ndarray of int64, shape (n,)

    Raises
    ------
    FormatError
        When it is absent, cut, or of other numbers.
    """
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise FormatError(
            f"{path} does not exist.",
            hint="Samples and edges have no time without it: copy the whole folder from the rig.",
        ) from error
    except (ValueError, EOFError, OSError) as error:
        raise FormatError(
            f"{path} is damaged: {error}.",
            hint="The copy was cut short, or the recording has not ended: copy it again.",
        ) from error
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise FormatError(
            f"{path} holds {found.dtype} of shape {found.shape}, not sample numbers.",
            hint="Files of GUI 0.6 and later have them in sample_numbers.npy; is it missing?",
        )
    return found  # type: ignore[no-any-return]


def _ascends(numbers: NDArray[np.int64]) -> bool:
    return all(
        bool((np.diff(numbers[i : i + _BLOCK + 1]) == 1).all())
        for i in range(0, numbers.size, _BLOCK)
    )


def _gaps(numbers: NDArray[np.int64], path: Path) -> tuple[tuple[int, int], ...]:
    found = []
    for start in range(0, numbers.size, _BLOCK):
        steps = np.diff(numbers[start : start + _BLOCK + 1])
        at = np.flatnonzero(steps != 1)
        back = at[steps[at] < 1]
        if back.size:
            raise FormatError(
                f"{path}: the numbers go backwards after sample {start + int(back[0])}.",
                hint="The device was reset while it recorded, or the file is damaged.",
            )
        found += [(start + int(i) + 1, int(steps[i]) - 1) for i in at]
    return tuple(found)
