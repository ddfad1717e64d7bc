"""What every continuous recording looks like to the rest of labdata, wherever its samples live.

A band is one stream of equally spaced samples of many channels: the AP band of a probe, its LF
band, an NI-DAQ. Raw ``.bin`` files and compressed ``.zarr.zip`` files give the same
:class:`Band`, so that an analysis, a viewer or a test cannot tell them apart. Voltages are only
made where they are asked for: samples stay int16 until then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from labdata.errors import FormatError
from labdata.formats.indexing import index_samples

if TYPE_CHECKING:
    from labdata.formats.stream_description import StreamDescription

#: Columns of a band: none given, one number, or several.
Channels = Sequence[int] | NDArray[np.integer[Any]] | None


class Samples(Protocol):
    """A lazy int16 array (n_samples, n_channels) that is read by slicing."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_samples, n_channels)."""
        ...

    def __getitem__(self, key: Any, /) -> NDArray[np.int16]:
        """Return the samples of ``[start:stop]`` or ``[start:stop, columns]``."""
        ...


@runtime_checkable
class Band(Protocol):
    """One continuously sampled stream; see :class:`RecordedBand` for the meaning of each name."""

    @property
    def name(self) -> str:
        """Stream and band, such as ``imec0.ap``."""
        ...

    @property
    def meta(self) -> StreamDescription:
        """The stream's description."""
        ...

    @property
    def samples(self) -> Samples:
        """The samples, int16 (n_samples, n_channels)."""
        ...

    @property
    def uv_per_bit(self) -> NDArray[np.float64]:
        """Microvolts a bit (n_channels,); NaN for digital words."""
        ...

    @property
    def sampling_rate_hz(self) -> float:
        """Samples per second on the stream's own clock."""
        ...

    @property
    def n_samples(self) -> int:
        """Number of samples a channel."""
        ...

    @property
    def n_channels(self) -> int:
        """Number of columns, digital words included."""
        ...

    def read_uv(self, start: int, stop: int, channels: Channels = None) -> NDArray[np.float32]:
        """Voltages in microvolts, float32 (stop - start, n).

        Parameters
        ----------
        start, stop : int
            Half-open range of samples.
        channels : sequence of int, optional
            Columns; by default all that are voltages.

        Returns
        -------
        ndarray of float32, shape (stop - start, n)
            Microvolts.
        """
        ...

    def sync_words(self, start: int, stop: int) -> NDArray[np.uint16]:
        """Digital words, uint16 (stop - start, n_words).

        Parameters
        ----------
        start, stop : int
            Half-open range of samples.

        Returns
        -------
        ndarray of uint16, shape (stop - start, n_words)
            One bit a line.
        """
        ...


@dataclass(frozen=True, eq=False, repr=False)
class RecordedBand:
    """A band backed by any :class:`Samples`; itself an array of int16 that is read by indexing.

    ``band[start:stop, channels]`` gives what a numpy array would, and reads only those samples.

    Parameters
    ----------
    name : str
        Stream and band, such as ``imec0.ap`` or ``nidq``.
    meta : StreamDescription
        The description that came with the samples.
    samples : Samples
        int16 (n_samples, n_channels), read by slicing; nothing is copied before.
    uv_per_bit : ndarray of float64, shape (n_channels,)
        Microvolts a bit; NaN in the columns that hold digital words.
    sampling_rate_hz : float
        Samples per second on the stream's own clock, as its description states it.
    """

    name: str
    meta: StreamDescription
    samples: Samples
    uv_per_bit: NDArray[np.float64]
    sampling_rate_hz: float

    @property
    def n_samples(self) -> int:
        """Number of samples a channel."""
        return int(self.samples.shape[0])

    @property
    def n_channels(self) -> int:
        """Number of columns, digital words included."""
        return int(self.samples.shape[1])

    @property
    def shape(self) -> tuple[int, int]:
        """(n_samples, n_channels)."""
        return self.n_samples, self.n_channels

    @property
    def dtype(self) -> np.dtype[np.int16]:
        """int16: bits, not volts; see :attr:`uv_per_bit`."""
        return np.dtype(np.int16)

    @property
    def ndim(self) -> int:
        """2: samples and channels."""
        return 2

    @property
    def size(self) -> int:
        """Number of values."""
        return self.n_samples * self.n_channels

    @property
    def nbytes(self) -> int:
        """Bytes that all of it takes in memory."""
        return self.size * self.dtype.itemsize

    def __repr__(self) -> str:
        duration_s = self.n_samples / self.sampling_rate_hz
        return (
            f"<{self.name}: {self.n_samples} samples of {self.n_channels} channels, int16, "
            f"{duration_s:.3f} s at {self.sampling_rate_hz:g} Hz>"
        )

    def __len__(self) -> int:
        return self.n_samples

    def __getitem__(self, key: Any) -> Any:
        return index_samples(self.samples, key, name=self.name)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise FormatError(
                f"{self.name} is in a file: an array of it is a copy.",
                hint="Leave copy=False away, or read a range with band[start:stop].",
            )
        return np.asarray(self[:], dtype=dtype)

    @property
    def signal_channels(self) -> NDArray[np.int64]:
        """Columns that hold voltages, int64 (n_signals,)."""
        return np.flatnonzero(np.isfinite(self.uv_per_bit)).astype(np.int64)

    @property
    def digital_channels(self) -> NDArray[np.int64]:
        """Columns that hold digital words, int64 (n_words,)."""
        return np.flatnonzero(np.isnan(self.uv_per_bit)).astype(np.int64)

    def read_uv(self, start: int, stop: int, channels: Channels = None) -> NDArray[np.float32]:
        """Read voltages.

        Parameters
        ----------
        start, stop : int
            Half-open range of samples, within ``0 <= start <= stop <= n_samples``.
        channels : sequence of int, optional
            Columns of the band; by default all that hold voltages.

        Returns
        -------
        ndarray of float32, shape (stop - start, n)
            Microvolts.

        Raises
        ------
        FormatError
            When the range or a column is outside the band, or a column is a digital word or no
            whole number.
        """
        self._check_range(start, stop)
        columns = self.signal_channels if channels is None else _columns(channels)
        if columns.size and (columns.min() < 0 or columns.max() >= self.n_channels):
            raise FormatError(
                f"{self.name} has channels 0 to {self.n_channels - 1}, "
                f"asked for {columns.min()} to {columns.max()}.",
                hint="Channels are columns of the file, counted from 0.",
            )
        gains = self.uv_per_bit[columns]
        if np.isnan(gains).any():
            word = int(columns[np.isnan(gains)][0])
            raise FormatError(
                f"Column {word} of {self.name} holds a digital word, not a voltage.",
                hint="Read it with sync_words(start, stop).",
            )
        block = np.asarray(self.samples[start:stop])[:, columns]
        return np.multiply(block, gains.astype(np.float32), dtype=np.float32)

    def sync_words(self, start: int, stop: int) -> NDArray[np.uint16]:
        """Read digital words.

        Parameters
        ----------
        start, stop : int
            Half-open range of samples, within ``0 <= start <= stop <= n_samples``.

        Returns
        -------
        ndarray of uint16, shape (stop - start, n_words)
            One column a 16-bit word, in file order.

        Raises
        ------
        FormatError
            When the range is outside the band.
        """
        self._check_range(start, stop)
        block = np.asarray(self.samples[start:stop])[:, self.digital_channels]
        return np.ascontiguousarray(block).view(np.uint16)

    def _check_range(self, start: int, stop: int) -> None:
        if not 0 <= start <= stop <= self.n_samples:
            raise FormatError(
                f"Samples {start} to {stop} are not within {self.name}, "
                f"which has {self.n_samples}.",
                hint=f"Ask for 0 <= start <= stop <= {self.n_samples}.",
            )


def _columns(channels: Sequence[int] | NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    columns = np.atleast_1d(np.asarray(channels))
    if columns.size and columns.dtype.kind not in "iu":
        raise FormatError(
            f"Voltages are read by numbers of columns, not by {columns.dtype} values.",
            hint="Of a mask, write numpy.flatnonzero(mask).",
        )
    return columns.astype(np.int64)
