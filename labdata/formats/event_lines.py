"""The events of one line and the trace of one analog input, from any acquisition program."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class DigitalLine:
    """The edges of one line.

    Parameters
    ----------
    event_name : str
        Number of the bit, as text; of an analog input its name, such as ``XA0``.
    samples : ndarray of int64, shape (n,)
        First sample that has the new value, ascending.
    values : ndarray of int8, shape (n,)
        1 for a rise, 0 for a fall.
    timestamps : ndarray of float64, shape (n,)
        ``samples`` over the stream's nominal rate, in seconds.
    """

    event_name: str
    samples: NDArray[np.int64]
    values: NDArray[np.int8]
    timestamps: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AnalogChannel:
    """The trace of one analog input.

    Parameters
    ----------
    channel_name : str
        Kind and number, such as ``XA0``.
    volts : ndarray of float32, shape (n_samples,)
        Voltage at the input, in volts.
    sampling_rate_hz : float
        Samples per second on the stream's own clock.
    """

    channel_name: str
    volts: NDArray[np.float32]
    sampling_rate_hz: float
