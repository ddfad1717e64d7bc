"""A labdata band as a SpikeInterface recording, read where it lies, compressed or not.

Workers of SpikeInterface receive the path and open the file themselves, so nothing is copied
between processes and no raw file is written out for the sorter's sake.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from spikeinterface.core import BaseRecording, BaseRecordingSegment

from ...formats.concatenation import concatenate_bands
from ...schema.ephys_events import open_stored_band


class BandRecording(BaseRecording):  # type: ignore[misc]
    """The voltage channels of one band.

    Parameters
    ----------
    paths : sequence of str
        Each a ``.zarr.zip``, or a raw file with what describes it; several are the segments of
        one stream, in order, which are sorted as one recording.
    positions_um : list of (float, float)
        Position of each channel.
    shank : list of int
        Shank of each channel.
    """

    def __init__(self, paths: Sequence[str], positions_um: Any, shank: Any) -> None:
        band = concatenate_bands([open_stored_band(Path(path)) for path in paths])
        columns = band.signal_channels
        super().__init__(band.sampling_rate_hz, np.arange(len(columns)), np.dtype("int16"))
        self.set_channel_gains(band.uv_per_bit[columns])
        self.set_channel_offsets(0.0)
        self.add_recording_segment(_BandSegment(band, columns))
        self._attach_probe(np.asarray(positions_um, dtype="float64"), np.asarray(shank))
        self._kwargs = {
            "paths": list(map(str, paths)),
            "positions_um": np.asarray(positions_um).tolist(),
            "shank": np.asarray(shank).tolist(),
        }

    def _attach_probe(self, positions_um: np.ndarray, shank: np.ndarray) -> None:
        from probeinterface import Probe

        probe = Probe(ndim=2, si_units="um")
        probe.set_contacts(
            positions=positions_um,
            shapes="square",
            shape_params={"width": 12},
            shank_ids=shank.astype(str),
        )
        probe.set_device_channel_indices(np.arange(len(positions_um)))
        self.set_probe(probe, group_mode="by_shank")


class _BandSegment(BaseRecordingSegment):  # type: ignore[misc]
    def __init__(self, band: Any, columns: np.ndarray) -> None:
        super().__init__(sampling_frequency=band.sampling_rate_hz)
        self._band, self._columns = band, columns

    def get_num_samples(self) -> int:
        return int(self._band.n_samples)

    def get_traces(
        self, start_frame: int | None, end_frame: int | None, channel_indices: Any
    ) -> np.ndarray:
        columns = self._columns if channel_indices is None else self._columns[channel_indices]
        start = 0 if start_frame is None else start_frame
        stop = self._band.n_samples if end_frame is None else end_frame
        return np.asarray(self._band.samples[start:stop])[:, columns]
