"""Voltages of a probe and waveforms of its units, by key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..errors import ObjectError, QueryError
from ..keys import lab_of, one_row
from ._parts import as_json

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from ..clocks import SampleMap
    from ..formats.bands import RecordedBand


def recording(
    key: Any,
    *,
    band: str = "ap",
    window_s: tuple[float, float] | None = None,
    channels: Sequence[int] | None = None,
    lab: Any = None,
) -> xr.Dataset:
    """Return the voltages of one probe, on the clock that StreamSync names; read when used.

    Parameters
    ----------
    key : dict or query
        What selects one probe of one recording; the key of a sorting or a unit selects its probe.
    band : {"ap", "lf"}
        Which band.
    window_s : (float, float), optional
        Only the samples in ``[start, stop)``, seconds on the clock, as far as they were recorded.
    channels : sequence of int, optional
        Labels: rows of the probe's configuration, as ``channel`` of the spikes' units. Default
        all.
    lab : Lab, optional
        Tables of another project.

    Returns
    -------
    xarray.Dataset
        Kind ``recording``: ``voltage`` (uV, float32, lazy) over ``time`` (s, each sample's own)
        and ``channel``, with ``x`` and ``depth`` (um) and ``shank`` a channel. Nothing is read
        before it is looked at, and then only the samples that are touched, a second of the file
        at a time. With a window the times are in memory and ``sel(time=...)`` works; of the whole
        recording they are lazy as well, and are chosen by ``isel``. Without a StreamSync they are
        on the probe's own clock, and ``synced``, ``sync_note`` and a warning say so.
        ``sample_index`` counts the samples of the file, as that of spikes does.

        Of a recording in several segments ``time`` goes on with a leap at each pause, in which
        there are no samples, and ``segment`` numbers the segment of each; the attribute
        ``stream_pauses_s`` lists all pauses as JSON, and a warning tells those inside what is
        returned. ``groupby("segment")`` takes the pieces apart.

    Raises
    ------
    QueryError
        If the key selects no probe or several, or it has no such band, or no such channel.
    ObjectError
        If the window is empty, or nothing was recorded in it, as in a pause.
    ClockError
        If the pulses cannot be matched within the tolerance.

    Warns
    -----
    PauseWarning
        If samples on both sides of a pause follow each other in what is returned.

    Examples
    --------
    >>> key = {"subject_name": "JC1", "session_name": "20240305_100000", "probe_num": 0}
    >>> second = labdata.recording(key, window_s=(10.0, 11.0))  # doctest: +SKIP
    >>> second["voltage"].sel(channel=12).plot()  # doctest: +SKIP
    """
    import xarray as xr
    from xarray.core import indexing

    from ..clocks import tabulate
    from ..formats.concatenation import concatenate_bands
    from ..objects import wrap_recording
    from ..schema.recorded_bands import open_probe_pieces
    from ..schema.segments import piece_axis
    from ..schema.spike_times import probe_stream
    from ..schema.synchrony import stream_clocks
    from .voltages import OpenBand, SampleTimes, Voltages

    lab = lab_of(key, lab)
    setting = one_row(lab.EphysRecording.ProbeSetting, key, "probe", ("probe_num",))
    probe_key = {k: setting[k] for k in lab.EphysRecording.ProbeSetting.primary_key}
    stream = probe_stream(setting)
    pieces = open_probe_pieces(lab.EphysRecording.ProbeSetting & probe_key, band=band)
    samples = concatenate_bands(pieces)
    clock = stream_clocks(lab, [stream])[stream]
    axis = piece_axis(lab, stream, pieces)
    sample_map = tabulate(clock.clock_map, samples.sampling_rate_hz, axis)
    start, stop = _samples_in(window_s, sample_map, samples.n_samples)
    labels, columns, coords = _channels(lab, setting, samples, channels)
    opened = OpenBand(lab.project, probe_key, band, samples)
    voltages = indexing.LazilyIndexedArray(Voltages(opened, start, stop, columns))
    if window_s is None:
        times: Any = indexing.LazilyIndexedArray(SampleTimes(sample_map, start, stop))
    else:
        times = sample_map.apply(np.arange(start, stop))
    attrs: dict[str, Any] = {
        "sampling_rate_hz": samples.sampling_rate_hz,
        "band": band,
        "first_sample": start,
        "project": lab.project,
        "clock_dataset": clock.dataset,
        **_span(sample_map, start, stop),
    }
    if clock.clock_map is not None:
        end_s = samples.n_samples / samples.sampling_rate_hz if axis is None else axis.end_s[-1]
        attrs["stream_extrapolated_s"] = _outside(clock.clock_map, float(end_s))
    found = wrap_recording(
        xr.Variable(("time", "channel"), voltages),
        xr.Variable("time", times),
        stream=stream[3],
        sync=clock.sync_attrs(),
        channel=labels,
        channel_coords=coords,
        sample_coords=_sample_coords(sample_map, start, stop),
        indexed=window_s is not None,
        provenance=as_json({"key": probe_key, "band": samples.name, "labdata": __version__}),
        attrs=attrs,
    )
    _warn_of_pauses(found)
    return found


def _span(sample_map: SampleMap, start: int, stop: int) -> dict[str, Any]:
    """Return the span of the samples on the clock, and all pauses of the stream."""
    if start == stop:
        first = last = float(sample_map.apply(np.array([start]))[0])
    else:
        first, last = sample_map.span_s(start, stop)
    pauses = sample_map.pauses_s().tolist()
    more = {"stream_pauses_s": as_json(pauses)} if pauses else {}
    return {"t_start": first, "t_stop": last, **more}


def _sample_coords(sample_map: SampleMap, start: int, stop: int) -> dict[str, xr.Variable]:
    """Return the number of each sample, and the segment that it is of where there are several."""
    import xarray as xr
    from xarray.core import indexing

    from .voltages import SampleNumbers, SegmentNumbers

    lazy: dict[str, Any] = {"sample_index": SampleNumbers(start, stop)}
    if sample_map.axis is not None:
        lazy["segment"] = SegmentNumbers(sample_map.axis, start, stop)
    return {n: xr.Variable("time", indexing.LazilyIndexedArray(x)) for n, x in lazy.items()}


def _warn_of_pauses(found: xr.Dataset) -> None:
    """Warn of the pauses inside a recording, over which its samples follow each other."""
    import json

    from ..errors import PauseWarning, warn_user

    pauses = json.loads(str(found.attrs.get("stream_pauses_s", "[]")))
    start, stop = found.attrs["t_start"], found.attrs["t_stop"]
    inside = [f"{a:.3f} to {b:.3f} s" for a, b in pauses if start < a and b < stop]
    if inside:
        warn_user(
            f"Nothing was recorded from {', '.join(inside)}: the samples before and after follow "
            "each other in the array. `segment` tells them apart, `time` is each sample's own.",
            PauseWarning,
        )


def waveforms(
    key: Any, *, units: str | Sequence[int] | None = None, lab: Any = None
) -> xr.Dataset:
    """Return the median waveform of each unit of one sorting.

    Parameters
    ----------
    key : dict or query
        What selects one sorting, as in :func:`labdata.spikes`.
    units : str or sequence of int, optional
        Labels, or an expression of the units' coordinates such as ``"depth > 500"``.
    lab : Lab, optional
        Tables of another project.

    Returns
    -------
    xarray.Dataset
        Kind ``waveforms``: ``waveform`` (uV, float32) over unit, sample and channel, NaN on
        channels that a unit's waveform does not have; ``time_ms`` a sample, from the spike;
        ``peak_channel`` and what is known of each unit (``unit_depth``, ...);
        ``x`` and ``depth`` (um) and ``shank`` a channel. Units without a waveform are left out;
        the attribute ``units_without_waveform`` says how many.

    Raises
    ------
    QueryError
        If the key selects no sorting or several, `units` names one that is not there, or no unit
        has a waveform.

    Examples
    --------
    >>> key = {"subject_name": "JC1", "session_name": "20240305_100000", "probe_num": 0}
    >>> waveforms = labdata.waveforms(key, units=[3])  # doctest: +SKIP
    >>> waveforms["waveform"].sel(unit=3, channel=12).plot()  # doctest: +SKIP
    """
    from ..objects import build_waveforms
    from ..schema.spike_times import probe_stream
    from .units import choose_units, unit_coords

    lab = lab_of(key, lab)
    sorting = one_row(lab.SpikeSorting, key, "sorting", ("probe_num", "parameter_set_num"))
    sorting_key = {k: sorting[k] for k in lab.SpikeSorting.primary_key}
    setting = (lab.EphysRecording.ProbeSetting & sorting_key).fetch1()
    query = lab.SpikeSorting.Waveforms & sorting_key
    ids = np.array((lab.SpikeSorting.Unit & sorting_key).fetch("unit_id"), dtype="int32")
    coords = unit_coords(lab, sorting_key, ids, None)
    chosen = np.arange(len(ids)) if units is None else choose_units(units, ids, coords)
    wanted = [{"unit_id": int(label)} for label in ids[chosen]]
    rows = {row["unit_id"]: row for row in (query & wanted).fetch(as_dict=True)} if wanted else {}
    if not rows:
        raise QueryError(
            f"None of the {len(chosen)} units chosen has a waveform.",
            hint="SpikeSorting.Waveforms has those that the sorting stored.",
        )
    with_one = [at for at in chosen if int(ids[at]) in rows]
    labels, geometry = _geometry(lab, setting)
    found = {u: _of_unit(sorting, rows[u]) for u in ids[with_one].tolist()}
    return build_waveforms(
        found,
        sampling_rate_hz=setting["sampling_rate"],
        n_before=sorting["n_pre_samples"],
        stream=probe_stream(setting)[3],
        channel=labels,
        channel_coords=geometry,
        unit_coords={n: (values[with_one], notes) for n, (values, notes) in coords.items()},
        provenance=as_json({"key": sorting_key, "labdata": __version__}),
        attrs={"units_without_waveform": len(chosen) - len(with_one)},
    )


def _of_unit(
    sorting: dict[str, Any], row: dict[str, Any]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return a unit's waveform and its channels, rows of the probe's configuration."""
    waveform = np.asarray(row["waveform_median"])
    own = row["waveform_channels"]
    if own is None:
        own = sorting["sorting_channel_indices"]
    if own is None or len(own) != waveform.shape[1]:
        own = np.arange(waveform.shape[1])
    return waveform, np.asarray(own, dtype="int64")


def _geometry(lab: Any, setting: dict[str, Any]) -> tuple[NDArray[np.int32], dict[str, Any]]:
    """Return labels and coordinates of the channels that a probe saved."""
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
    labels, geometry = _geometry(lab, setting)
    columns = samples.signal_channels
    if len(columns) != len(labels):
        raise QueryError(
            f"{samples.name} has {len(columns)} channels; the probe's configuration has "
            f"{len(labels)}: which is where is not known.",
            hint="Read it without places: (EphysRecording.ProbeSetting & key).open(band=...).",
        )
    if wanted is None:
        return labels, columns, geometry
    chosen = np.asarray(wanted, dtype="int64").reshape(-1)
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
    begin, end = map(float, window_s)
    if not begin < end:
        raise ObjectError(
            f"The window from {begin} to {end} s is empty.", hint="Give the earlier time first."
        )
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
