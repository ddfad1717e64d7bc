"""Voltages of a probe and waveforms of its units, by key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..errors import QueryError
from ..keys import lab_of, one_row
from ._parts import as_json
from .units import choose_units, curation_attrs, unit_coords

if TYPE_CHECKING:
    import xarray as xr


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
    from ..schema.placed_recording import open_probe

    lab = lab_of(key, lab)
    setting = one_row(lab.EphysRecording.ProbeSetting, key, "probe", ("probe_num",))
    found = open_probe(lab, setting, band=band).recording(window_s=window_s, channels=channels)
    _warn_of_pauses(found)
    return found


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
    key: Any,
    *,
    units: str | Sequence[int] | None = None,
    curated: bool = False,
    lab: Any = None,
) -> xr.Dataset:
    """Return the waveform of each unit of one sorting.

    Parameters
    ----------
    key : dict or query
        What selects one sorting, as in :func:`labdata.spikes`.
    units : str or sequence of int, optional
        Labels, or an expression of the units' coordinates such as ``"depth > 500"``.
    curated : bool, optional
        The units as they are after manual curation, those of ``labdata.spikes(curated=True)`` in
        the same order. A merged unit's waveform is the mean of its sources' (medians of their
        spikes), weighted by how many spikes each has. A part of a split is measured in the
        recording, which takes seconds: the median of up to 300 of its own spikes, evenly over the
        train, from 300 to 6000 Hz and less the median of all channels. That is how `labdata run`
        makes waveforms; those of an imported sorting may have been filtered otherwise.
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

        Of curated units those without one stay, all NaN, with -1 as their ``peak_channel``.
        ``unit_waveform_of`` says how each was made: ``sorting`` (stored), ``sources`` (their
        mean), ``recording`` (measured), or nothing; the attribute ``waveform_note`` the same in
        words. Metrics that come of the waveform are those of the one that is shown.

    Raises
    ------
    QueryError
        If the key selects no sorting or several, `units` names one that is not there, or no unit
        has a waveform.

    Warns
    -----
    UserWarning
        If parts of splits have no waveform as the recording is not at hand; it names them.

    Examples
    --------
    >>> key = {"subject_name": "JC1", "session_name": "20240305_100000", "probe_num": 0}
    >>> waveforms = labdata.waveforms(key, units=[3])  # doctest: +SKIP
    >>> waveforms["waveform"].sel(unit=3, channel=12).plot()  # doctest: +SKIP
    """
    from ..objects import build_waveforms
    from ..schema.placed_recording import probe_geometry
    from ..schema.spike_times import probe_stream

    lab = lab_of(key, lab)
    sorting = one_row(lab.SpikeSorting, key, "sorting", ("probe_num", "parameter_set_num"))
    sorting_key = {k: sorting[k] for k in lab.SpikeSorting.primary_key}
    setting = (lab.EphysRecording.ProbeSetting & sorting_key).fetch1()
    find = _curated_waveforms if curated else _sorted_waveforms
    found, coords, attrs = find(lab, sorting_key, units)
    labels, geometry = probe_geometry(lab, setting)
    return build_waveforms(
        found,
        sampling_rate_hz=setting["sampling_rate"],
        n_before=sorting["n_pre_samples"],
        stream=probe_stream(setting)[3],
        channel=labels,
        channel_coords=geometry,
        unit_coords=coords,
        provenance=as_json({"key": sorting_key, "labdata": __version__}),
        attrs=attrs,
    )


#: What is found of the units that are wanted: waveforms with their channels, coordinates, attrs.
_Found = tuple[dict[int, tuple[Any, Any]], dict[str, Any], dict[str, Any]]


def _sorted_waveforms(lab: Any, key: dict[str, Any], units: str | Sequence[int] | None) -> _Found:
    """Return the waveforms of the sorter's units; those without one are left out."""
    from ..schema.curated_waveforms import stored_waveforms

    ids = np.array((lab.SpikeSorting.Unit & key).fetch("unit_id"), dtype="int32")
    coords = unit_coords(lab, key, ids, None)
    chosen = np.arange(len(ids)) if units is None else choose_units(units, ids, coords)
    waves = stored_waveforms(lab, key, ids[chosen])
    _check_any(waves, len(chosen))
    with_one = [at for at in chosen if int(ids[at]) in waves]
    attrs = {"units_without_waveform": len(chosen) - len(with_one), **curation_attrs(None)}
    found = {unit: (one.waveform_uv, one.channels) for unit, one in waves.items()}
    return found, _taken(coords, with_one), attrs


def _curated_waveforms(lab: Any, key: dict[str, Any], units: str | Sequence[int] | None) -> _Found:
    """Return the waveforms of the units as they are now; empty of those that have none."""
    from ..schema.curated_units import CuratedUnits
    from ..schema.curated_waveforms import curated_waveforms

    of_log = CuratedUnits(lab, key)
    ids = of_log.unit_ids
    # an expression may be of what is measured; labels say whose recording is to be read
    if units is None or isinstance(units, str):
        chosen = np.arange(len(ids))
    else:
        chosen = choose_units(units, ids, {})
    waves = curated_waveforms(of_log, ids[chosen].tolist(), measure=True)
    coords = unit_coords(lab, key, ids, None, of_log)
    if isinstance(units, str):
        chosen = choose_units(units, ids, coords)
    wanted = ids[chosen].tolist()
    waves = {unit: waves[unit] for unit in wanted if unit in waves}
    _check_any(waves, len(wanted))
    made_of = np.array([waves[u].made_of if u in waves else "" for u in wanted], dtype=str)
    notes = {"long_name": "what the waveform is made of; empty: there is none"}
    empty = (np.empty((0, 0), "float32"), np.empty(0, "int64"))
    attrs = {
        "units_without_waveform": len(wanted) - len(waves),
        "waveform_note": _HOW_MADE,
        **curation_attrs(of_log),
    }
    found = {
        unit: (waves[unit].waveform_uv, waves[unit].channels) if unit in waves else empty
        for unit in wanted
    }
    return found, _taken(coords, chosen) | {"waveform_of": (made_of, notes)}, attrs


_HOW_MADE = (
    "sorting: median, as stored with the sorting; sources: mean of the medians of the merged "
    "units, weighted by their spikes; recording: median of up to 300 of the unit's own spikes, "
    "300 to 6000 Hz, less the median of all channels"
)


def _taken(coords: dict[str, Any], chosen: Any) -> dict[str, Any]:
    return {name: (values[chosen], notes) for name, (values, notes) in coords.items()}


def _check_any(waves: dict[int, Any], n_chosen: int) -> None:
    if not waves:
        raise QueryError(
            f"None of the {n_chosen} units chosen has a waveform.",
            hint="SpikeSorting.Waveforms has those that the sorting stored.",
        )
