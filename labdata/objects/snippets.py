"""Snippets of voltage around spikes."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from labdata.errors import ObjectError
from labdata.given import two_ends
from labdata.objects._attrs import require_kind

#: Spikes whose snippets are read together.
_BLOCK_SPIKES = 512
#: Attributes that are not true of snippets.
_OF_RECORDING = ("first_sample", "t_start", "t_stop")


def cut_waveforms(
    recording: xr.Dataset,
    spikes: xr.Dataset | ArrayLike,
    *,
    window_ms: tuple[float, float] = (-1.0, 2.0),
    partial: Literal["nan", "drop", "raise"] = "nan",
) -> xr.Dataset:
    """Cut the voltage around each spike out of a recording.

    Parameters
    ----------
    recording : xarray.Dataset
        Kind ``recording``, with ``sample_index``; of some channels or a window, if it is wanted.
        Only the samples that are cut are read.
    spikes : xarray.Dataset or array_like of int, shape (n_spikes,)
        Kind ``spikes`` of the same stream, with ``sample_index``; or sample numbers, as
        ``recording["sample_index"]`` counts them, in any order.
    window_ms : (float, float), optional
        From and until when around the spike, milliseconds, each rounded to a sample; the end is
        not included.
    partial : {"nan", "drop", "raise"}, optional
        What is done with a snippet that goes beyond an end of the recording or over a pause:
        fill what was not recorded with NaN, leave the snippet out, or refuse. Nothing is ever
        taken from the other side of a pause.

    Returns
    -------
    xarray.Dataset
        Kind ``spike_waveforms``: ``waveform`` (uV, float32) over spike, sample and channel, in
        the order of the spikes; ``spike_sample``, ``spike_time`` (s) and, of a spikes dataset,
        ``spike_unit`` a spike; ``is_whole`` (1 all samples were recorded, 0 not) a spike;
        ``time_ms`` a sample, from the spike. Spikes outside the recording are left out;
        the attributes ``cut_n_outside`` and ``cut_n_partial`` say how many those were, and how
        many snippets were not whole.

    Raises
    ------
    ObjectError
        If the recording or the spikes have no sample numbers, streams or rates differ, the window
        holds no sample, or a snippet is not whole and `partial` is ``"raise"``.

    Examples
    --------
    >>> second = labdata.recording(key, window_s=(10, 11), channels=[3, 4])  # doctest: +SKIP
    >>> snippets = labdata.cut_waveforms(second, labdata.spikes(key))  # doctest: +SKIP
    >>> snippets["waveform"].groupby("spike_unit").mean()  # doctest: +SKIP
    """
    require_kind(recording, "recording")
    if partial not in ("nan", "drop", "raise"):
        raise ObjectError(f"partial is {partial!r}.", hint='Give "nan", "drop" or "raise".')
    offsets = _offsets(recording, window_ms)
    samples, units = _samples_of(recording, spikes)
    centre = _rows_of(recording, samples)
    inside = centre >= 0
    n_outside = int((~inside).sum())
    samples, centre = samples[inside], centre[inside]
    units = None if units is None else units[inside]
    is_whole = _are_whole(recording, centre, offsets)
    n_partial = int((~is_whole).sum())
    if n_partial and partial == "raise":
        at = int(np.flatnonzero(~is_whole)[0])
        raise ObjectError(
            f"{n_partial} of {len(centre)} snippets go beyond the recording or over a pause, the "
            f"first that of sample {samples[at]}.",
            hint='partial="drop" leaves them out, "nan" fills what was not recorded.',
        )
    if partial == "drop":
        samples, centre = samples[is_whole], centre[is_whole]
        units = None if units is None else units[is_whole]
        is_whole = is_whole[is_whole]
    coords: dict[str, Any] = {
        "spike_sample": ("spike", samples, {"long_name": "sample of the spike"}),
        "spike_time": ("spike", _take(recording["time"], centre), dict(recording["time"].attrs)),
        "is_whole": ("spike", is_whole.astype("int8"), {"units": "1"}),
        "time_ms": ("sample", offsets * 1e3 / _rate(recording), {"units": "ms"}),
        **{str(n): c.variable for n, c in recording.coords.items() if c.dims == ("channel",)},
    }
    if units is not None:
        coords["spike_unit"] = ("spike", units, {"long_name": "unit of the spike"})
    attrs = {k: v for k, v in recording.attrs.items() if k not in _OF_RECORDING}
    attrs |= {"labdata_kind": "spike_waveforms"}
    attrs |= {"cut_n_outside": n_outside, "cut_n_partial": n_partial}
    voltage = (("spike", "sample", "channel"), _cut(recording, centre, offsets), {"units": "uV"})
    return xr.Dataset({"waveform": voltage}, coords, attrs)


def _rate(recording: xr.Dataset) -> float:
    return float(recording.attrs["sampling_rate_hz"])


def _offsets(recording: xr.Dataset, window_ms: tuple[float, float]) -> NDArray[np.int64]:
    ends = two_ends(window_ms, ObjectError, name="window_ms", example="(-1.0, 2.0)", endless=False)
    start, stop = (round(t * 1e-3 * _rate(recording)) for t in ends)
    if not start < stop:
        raise ObjectError(
            f"The window from {ends[0]} to {ends[1]} ms holds no sample at "
            f"{_rate(recording):g} Hz.",
            hint="Leave a sample's length at least between them.",
        )
    return np.arange(start, stop, dtype=np.int64)


def _samples_of(
    recording: xr.Dataset, spikes: xr.Dataset | ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int32] | None]:
    """Return the samples of the spikes, and their units where they have some."""
    if not isinstance(spikes, xr.Dataset):
        samples = np.asarray(spikes).reshape(-1)
        if samples.size and samples.dtype.kind not in "iu":
            raise ObjectError(
                f"Spikes are {samples.dtype}, not sample numbers.",
                hint='Give samples, as spikes["sample_index"] has them; not seconds.',
            )
        return samples.astype(np.int64), None
    require_kind(spikes, "spikes")
    for name in ("stream", "sampling_rate_hz"):
        mine, theirs = recording.attrs.get(name), spikes.attrs.get(name)
        if None not in (mine, theirs) and mine != theirs:
            raise ObjectError(
                f"The {name.partition('_')[0]}s differ: the recording has {mine}, the spikes "
                f"{theirs}.",
                hint='Spikes count the samples of the band "ap" of their own probe.',
            )
    if "sample_index" not in spikes:
        raise ObjectError(
            "The spikes have no sample_index.", hint="labdata.spikes(key) gives them with it."
        )
    return (
        np.asarray(spikes["sample_index"].values, dtype=np.int64),
        np.asarray(spikes["spike_unit"].values, dtype=np.int32),
    )


def _rows_of(recording: xr.Dataset, samples: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the row of each sample in the recording; -1 of those that are not in it."""
    if "sample_index" not in recording.coords:
        raise ObjectError(
            "The recording has no sample_index.",
            hint="labdata.recording(key) gives it; in another, add it as a coordinate of time.",
        )
    n_rows = recording.sizes["time"]
    if n_rows == 0 or len(samples) == 0:
        return np.full(len(samples), -1, dtype=np.int64)
    first, last = _take(recording["sample_index"], np.array([0, n_rows - 1])).tolist()
    if last - first + 1 != n_rows:
        raise ObjectError(
            f"The recording has {n_rows} samples from number {first} to {last}.",
            hint="Cut waveforms before samples are left out or repeated.",
        )
    rows = samples - first
    return np.where((rows >= 0) & (rows < n_rows), rows, -1)


def _are_whole(
    recording: xr.Dataset, centre: NDArray[np.int64], offsets: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return which snippets were recorded whole and in one piece."""
    begin, end = centre + offsets[0], centre + offsets[-1]
    n_rows = recording.sizes["time"]
    whole = (begin >= 0) & (end < n_rows)
    if "segment" in recording.coords and len(centre):
        ends = np.clip(np.concatenate([begin, end, centre]), 0, n_rows - 1)
        first, last, own = np.split(_take(recording["segment"], ends), 3)
        whole &= (first == own) & (last == own)
    return np.asarray(whole, dtype=np.bool_)


def _cut(
    recording: xr.Dataset, centre: NDArray[np.int64], offsets: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Read the snippets a block of spikes at a time, in the order of the recording."""
    voltage = recording["voltage"].variable
    if voltage.dims != ("time", "channel"):
        voltage = voltage.transpose("time", "channel")
    n_rows, segment = recording.sizes["time"], recording.coords.get("segment")
    found = np.full((len(centre), len(offsets), voltage.shape[1]), np.nan, dtype=np.float32)
    order = np.argsort(centre, kind="stable")
    for at in range(0, len(order), _BLOCK_SPIKES):
        block = order[at : at + _BLOCK_SPIKES]
        rows = centre[block, None] + offsets
        there = (rows >= 0) & (rows < n_rows)
        if segment is not None:
            of_rows = _take(segment, np.clip(rows, 0, n_rows - 1).ravel()).reshape(rows.shape)
            there &= of_rows == _take(segment, centre[block])[:, None]
        wanted, place = np.unique(rows[there], return_inverse=True)
        _check_order(recording, wanted)
        values = np.asarray(voltage.isel(time=wanted).values, dtype=np.float32)
        snippets = np.full((*rows.shape, voltage.shape[1]), np.nan, dtype=np.float32)
        snippets[there] = values[place]
        found[block] = snippets
    return found


def _check_order(recording: xr.Dataset, rows: NDArray[np.int64]) -> None:
    """Refuse a recording whose samples were moved; a snippet would be of other samples."""
    first = int(_take(recording["sample_index"], np.array([0]))[0])
    if not np.array_equal(_take(recording["sample_index"], rows), rows + first):
        raise ObjectError(
            "The samples of the recording are not in order.",
            hint="Cut waveforms before samples are moved.",
        )


def _take(array: xr.DataArray, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Return some values of a coordinate of time, without reading the others."""
    return np.asarray(array.variable.isel(time=rows).values)
