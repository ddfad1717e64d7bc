"""The number of each sample of a stream, counted by its device since acquisition began.

GUI 0.6 and later write ``sample_numbers.npy``, and seconds in ``timestamps.npy``; before, the
numbers were in ``timestamps.npy``. They have no gap unless samples were lost.
"""

from __future__ import annotations

import io
import operator
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
    """

    path: Path
    first: int
    n_samples: int

    def gaps(self) -> list[tuple[int, int]]:
        """Return where samples were lost, reading all numbers in bounded memory.

        Returns
        -------
        list of (int, int)
            Position of each sample that does not follow the one before, and how many are missing.

        Raises
        ------
        FormatError
            When the numbers go backwards.
        """
        numbers = load_numbers(self.path)
        found = []
        for start in range(0, numbers.size, _BLOCK):
            steps = np.diff(numbers[start : start + _BLOCK + 1])
            at = np.flatnonzero(steps != 1)
            back = at[steps[at] < 1]
            if back.size:
                raise FormatError(
                    f"{self.path}: the numbers go backwards after sample {start + int(back[0])}.",
                    hint="The device was reset while it recorded, or the file is damaged.",
                )
            found += [(start + int(i) + 1, int(steps[i]) - 1) for i in at]
        return found


def read_sample_numbers(folder: Path) -> SampleNumbers:
    """Look up the numbers of a stream's samples; they are mapped and not read.

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
        When the file is absent, cut or empty.
    """
    path = numbers_path(folder)
    numbers = load_numbers(path)
    if not numbers.size:
        raise FormatError(
            f"{path} is empty: nothing was recorded.", hint="Leave this recording out."
        )
    return SampleNumbers(path, int(numbers[0]), int(numbers.size))


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


def first_number(head: bytes) -> int:
    """Return the first number of a ``.npy`` file of which only the beginning was read.

    Parameters
    ----------
    head : bytes
        The first few hundred bytes of the file.

    Raises
    ------
    FormatError
        When it is no array of whole numbers, or an empty one.
    """
    file = io.BytesIO(head)
    try:
        np.lib.format.read_magic(file)
        _, _, dtype = np.lib.format.read_array_header_1_0(file)
        (number,) = np.frombuffer(file.read(dtype.itemsize), dtype)
        return operator.index(number)
    except (ValueError, TypeError) as error:
        raise FormatError(
            f"The sample numbers of a stream cannot be read: {error}.",
            hint="Files of GUI 0.6 and later have them in sample_numbers.npy.",
        ) from error
