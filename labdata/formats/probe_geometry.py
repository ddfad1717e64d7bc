"""The contacts of a probe that a recording was made with, from any acquisition program."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ProbeGeometry:
    """The contacts of one probe that a file recorded.

    Parameters
    ----------
    probe_id : str
        Serial number.
    part_number : str
        Manufacturer's part number, such as ``NP2013`` (phase 3A, which states none: ``NP1010``).
    probe_type : str
        SpikeGLX probe type, such as ``0``, ``24``, ``2013``; ``3A`` for phase 3A. Of Open Ephys
        the part number.
    n_shanks : int
        Shanks of the probe, recorded from or not.
    positions_um : ndarray of float64, shape (n, 2)
        (x, depth) of each contact in probeinterface's frame, in micrometres.
    shank : ndarray of int64, shape (n,)
        Shank of each contact, from 0.
    channel_idx : ndarray of int64, shape (n,)
        Acquisition channel of each contact, within its band.
    uv_per_bit : dict of str to ndarray of float64, shape (n,)
        Microvolts a bit of each contact, for ``ap`` and, where the probe has it, ``lf``.
    """

    probe_id: str
    part_number: str
    probe_type: str
    n_shanks: int
    positions_um: NDArray[np.float64]
    shank: NDArray[np.int64]
    channel_idx: NDArray[np.int64]
    uv_per_bit: dict[str, NDArray[np.float64]]

    @property
    def n_channels(self) -> int:
        """Number of contacts recorded."""
        return int(self.channel_idx.size)
