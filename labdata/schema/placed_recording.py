"""The voltages of one probe on a clock, read when they are looked at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..errors import ObjectError, QueryError
from ..given import two_ends
from ..whole import whole_numbers

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from ..clocks import SampleMap
    from ..formats.bands import RecordedBand
    from .recorded_voltages import OpenBand
    from .synchrony import StreamClock


@dataclass(frozen=True, eq=False)
class OpenProbe:
    """A band of a probe, and the clock that its samples are on.

    Attributes
    ----------
    lab : Lab
        The tables.
    setting : dict
        Row of EphysRecording.ProbeSetting.
    opened : OpenBand
        The samples.
    clock : StreamClock
        The clock.
    sample_map : SampleMap
        From samples to seconds on it.
    """

    lab: Any
    setting: dict[str, Any]
    opened: OpenBand
    clock: StreamClock
    sample_map: SampleMap

    def recording(
        self,
        *,
        window_s: tuple[float, float] | None = None,
        channels: Sequence[int] | None = None,
    ) -> xr.Dataset:
        """Return the voltages as a dataset; see :func:`labdata.recording`.

        Parameters
        ----------
        window_s, channels
            As there.

        Raises
        ------
        QueryError
            If there is no such channel.
        ObjectError
            If the window is empty, or nothing was recorded in it.
        """
        import xarray as xr
        from xarray.core import indexing

        from ..objects import wrap_recording
        from .recorded_voltages import SampleTimes, Voltages
        from .spike_times import probe_stream

        samples, sample_map = self.opened.samples, self.sample_map
        start, stop = _samples_in(window_s, sample_map, samples.n_samples)
        labels, columns, coords = _channels(self.lab, self.setting, samples, channels)
        if window_s is None:
            times: Any = indexing.LazilyIndexedArray(SampleTimes(sample_map, start, stop))
        else:
            times = sample_map.apply(np.arange(start, stop))
        voltages = indexing.LazilyIndexedArray(Voltages(self.opened, start, stop, columns))
        return wrap_recording(
            xr.Variable(("time", "channel"), voltages),
            xr.Variable("time", times),
            stream=probe_stream(self.setting)[3],
            sync=self.clock.sync_attrs(),
            channel=labels,
            channel_coords=coords,
            sample_coords=_sample_coords(sample_map, start, stop),
            indexed=window_s is not None,
            provenance={"key": self.opened.key, "band": samples.name, "labdata": __version__},
            attrs=self._attrs(start, stop),
        )

    def _attrs(self, start: int, stop: int) -> dict[str, Any]:
        samples, axis = self.opened.samples, self.sample_map.axis
        attrs: dict[str, Any] = {
            "sampling_rate_hz": samples.sampling_rate_hz,
            "band": self.opened.band,
            "first_sample": start,
            "project": self.lab.project,
            "clock_dataset": self.clock.dataset,
            **_span(self.sample_map, start, stop),
        }
        if self.clock.clock_map is not None:
            whole_s = samples.n_samples / samples.sampling_rate_hz
            end_s = float(whole_s if axis is None else axis.end_s[-1])
            attrs["stream_extrapolated_s"] = _outside(self.clock.clock_map, end_s)
        return attrs


def open_probe(
    lab: Any, setting: dict[str, Any], *, band: str = "ap", own_clock: bool = False
) -> OpenProbe:
    """Open a band of one probe.

    Parameters
    ----------
    lab : Lab
        The tables.
    setting : dict
        Row of EphysRecording.ProbeSetting.
    band : str, optional
        ``ap`` or ``lf``.
    own_clock : bool, optional
        Leave the samples on the probe's own clock, for what does not depend on when they were;
        by default they are on the one that StreamSync names.

    Returns
    -------
    OpenProbe

    Raises
    ------
    QueryError
        If there is no such band, or its files are not the segments that are known.
    StoreError
        If they cannot be reached.
    ClockError
        If the pulses cannot be matched within the tolerance.
    """
    from ..clocks import tabulate
    from ..formats.concatenation import concatenate_bands
    from .recorded_bands import open_probe_pieces
    from .recorded_voltages import OpenBand
    from .segments import piece_axis
    from .spike_times import probe_stream
    from .synchrony import StreamClock, stream_clocks

    key = {k: setting[k] for k in lab.EphysRecording.ProbeSetting.primary_key}
    stream = probe_stream(setting)
    pieces = open_probe_pieces(lab.EphysRecording.ProbeSetting & key, band=band)
    samples = concatenate_bands(pieces)
    itself = StreamClock(stream, synced=True, clock_map=None)
    clock = itself if own_clock else stream_clocks(lab, [stream])[stream]
    axis = piece_axis(lab, stream, pieces)
    sample_map = tabulate(clock.clock_map, samples.sampling_rate_hz, axis)
    return OpenProbe(lab, setting, OpenBand(lab.project, key, band, samples), clock, sample_map)


def _span(sample_map: SampleMap, start: int, stop: int) -> dict[str, Any]:
    """Return the span of the samples on the clock, and all pauses of the stream."""
    if start == stop:
        first = last = float(sample_map.apply(np.array([start]))[0])
    else:
        first, last = sample_map.span_s(start, stop)
    pauses = sample_map.pauses_s().tolist()
    more = {"stream_pauses_s": json.dumps(pauses)} if pauses else {}
    return {"t_start": first, "t_stop": last, **more}


def _sample_coords(sample_map: SampleMap, start: int, stop: int) -> dict[str, xr.Variable]:
    """Return the number of each sample, and the segment that it is of where there are several."""
    import xarray as xr
    from xarray.core import indexing

    from .recorded_voltages import SampleNumbers, SegmentNumbers

    lazy: dict[str, Any] = {"sample_index": SampleNumbers(start, stop)}
    if sample_map.axis is not None:
        lazy["segment"] = SegmentNumbers(sample_map.axis, start, stop)
    return {n: xr.Variable("time", indexing.LazilyIndexedArray(x)) for n, x in lazy.items()}


def probe_geometry(lab: Any, setting: dict[str, Any]) -> tuple[NDArray[np.int32], dict[str, Any]]:
    """Return labels and coordinates of the channels that a probe saved.

    Parameters
    ----------
    lab : Lab
        The tables.
    setting : dict
        Row of EphysRecording.ProbeSetting.

    Returns
    -------
    labels : ndarray of int32, shape (n_channels,)
        Rows of the probe's configuration.
    coords : dict of str to (ndarray, dict)
        Of each: ``x``, ``depth``, ``shank`` and ``acquisition_channel``.
    """
    one = {k: setting[k] for k in lab.ProbeConfiguration.primary_key}
    row = (lab.ProbeConfiguration & one).fetch1()
    coords = np.asarray(row["channel_coords"], dtype="float64")
    return np.arange(len(coords), dtype="int32"), {
        "x": (coords[:, 0], {"units": "um"}),
        "depth": (coords[:, 1], {"units": "um"}),
        "shank": (np.asarray(row["channel_shank"], dtype="int64"), {"units": "1"}),
        "acquisition_channel": (np.asarray(row["channel_idx"], dtype="int64"), {"units": "1"}),
    }


def _channels(
    lab: Any, setting: dict[str, Any], samples: RecordedBand, wanted: Sequence[int] | None
) -> tuple[NDArray[np.int32], NDArray[np.int64], dict[str, Any]]:
    """Return labels, columns of the file and coordinates of the channels that are wanted."""
    labels, geometry = probe_geometry(lab, setting)
    columns = samples.signal_channels
    if len(columns) != len(labels):
        raise QueryError(
            f"{samples.name} has {len(columns)} channels; the probe's configuration has "
            f"{len(labels)}: which is where is not known.",
            hint="Read it without places: (EphysRecording.ProbeSetting & key).open(band=...).",
        )
    if wanted is None:
        return labels, columns, geometry
    chosen = whole_numbers(wanted, "labels of channels", QueryError)
    unknown = np.setdiff1d(chosen, labels)
    if len(unknown):
        raise QueryError(
            f"Channel {unknown[0]} is not among the {len(labels)} of {samples.name}.",
            hint=f"Channels are rows of the probe's configuration, 0 to {len(labels) - 1}.",
        )
    coords = {name: (values[chosen], notes) for name, (values, notes) in geometry.items()}
    return labels[chosen], columns[chosen], coords


def _samples_in(
    window_s: tuple[float, float] | None, sample_map: SampleMap, n_samples: int
) -> tuple[int, int]:
    """Return the samples inside a window: exactly, by the time of each at its ends."""
    if window_s is None:
        return 0, n_samples
    begin, end = two_ends(window_s, ObjectError, example="(10.0, 11.0)")
    low, high = (min(max(at, 0), n_samples) for at in sample_map.samples_around((begin, end)))
    times = sample_map.apply(np.arange(low, high))
    start, stop = low + np.searchsorted(times, [begin, end])
    if start == stop:
        first, last = sample_map.span_s(0, n_samples)
        pauses = [f"{a:.3f} to {b:.3f} s" for a, b in sample_map.pauses_s().tolist()]
        but = f", but for pauses: {', '.join(pauses)}" if pauses else ""
        raise ObjectError(
            f"Nothing was recorded between {begin} and {end} s.",
            hint=f"The recording is from {first:.3f} to {last:.3f} s on this clock{but}.",
        )
    return int(start), int(stop)


def _outside(clock_map: Any, end_s: float) -> float:
    """Return how many seconds of a band that ends at `end_s` are outside the pulses."""
    first, last = clock_map.covered_s
    return float(max(0.0, first) + max(0.0, end_s - last))
