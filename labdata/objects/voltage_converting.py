"""Voltages to SpikeInterface, so that its preprocessing and its widgets take a window of ours."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import xarray as xr

from labdata.errors import MissingPackageError, ObjectError


def recording_to_spikeinterface(recording: xr.Dataset) -> Any:
    """Return voltages as a SpikeInterface recording; its samples are read into memory.

    Parameters
    ----------
    recording : xarray.Dataset
        Kind ``recording``.

    Returns
    -------
    spikeinterface.core.NumpyRecording
        Microvolts (gain 1), the labels and places of the channels, the seconds of each sample as
        its times, and a segment for each that the recording has.

    Raises
    ------
    ObjectError
        If samples are missing between others, or the sampling rate is: SpikeInterface counts on
        samples that follow each other.
    MissingPackageError
        If SpikeInterface is not installed.
    """
    try:
        from spikeinterface import core
    except ImportError as missing:
        raise MissingPackageError("spikeinterface", "sorting") from missing

    rate_hz = recording.attrs.get("sampling_rate_hz")
    if rate_hz is None or "sample_index" not in recording.coords:
        raise ObjectError(
            f"The recording has no {'sampling_rate_hz' if rate_hz is None else 'sample_index'}.",
            hint="Ask labdata.recording for it again.",
        )
    spans = _segments(recording)
    voltage = recording["voltage"].transpose("time", "channel")
    traces = [np.ascontiguousarray(voltage.isel(time=span).values) for span in spans]
    found = core.NumpyRecording(traces, float(rate_hz), channel_ids=recording["channel"].values)
    found.set_channel_gains(1.0)
    found.set_channel_offsets(0.0)
    if {"x", "depth"} <= set(recording.coords):
        found.set_dummy_probe_from_locations(
            np.column_stack([recording[name].values for name in ("x", "depth")]).astype(float)
        )
    if "shank" in recording.coords:
        found.set_property("group", recording["shank"].values)
    for number, span in enumerate(spans):
        times_s = recording["time"].isel(time=span).values
        found.set_times(times_s, segment_index=number)
    return found


def _segments(recording: xr.Dataset) -> list[slice]:
    """Return where each segment is; its samples follow each other."""
    samples = np.asarray(recording["sample_index"].values)
    begins = np.zeros(len(samples), bool)
    if "segment" in recording.coords:
        begins[1:] = np.diff(recording["segment"].values) != 0
    gaps = np.flatnonzero((np.diff(samples) != 1) & ~begins[1:])
    if len(gaps):
        k = int(gaps[0])
        raise ObjectError(
            f"Sample {samples[k + 1]} follows sample {samples[k]}: others are left out.",
            hint="Choose a window of the recording, not every n-th sample of it.",
        )
    edges = [0, *np.flatnonzero(begins).tolist(), len(samples)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]
