"""Waveforms of units as they are after curation.

A unit that no merge or split touched has the one that its sorting stored. A merged unit's is the
mean of its sources', weighted by their spikes. A part of a split is measured on its own spikes in
the recording, where that is at hand: which of the spikes made the stored waveform is not known.
What was measured is kept on this computer (:mod:`.waveform_cache`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import LabdataError, warn_user
from .curated_units import CuratedUnits
from .placed_recording import open_probe
from .waveform_cache import KeptWaveforms

#: Of a waveform for which no stored one says how long it is: before and after the spike.
_WINDOW_S = (1e-3, 2e-3)
#: A channel has a part in a waveform if it is this share of the largest.
_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class UnitWaveform:
    """The waveform of one unit.

    Attributes
    ----------
    waveform_uv : ndarray of float32, shape (n_samples, n_channels)
        Microvolts.
    channels : ndarray of int64, shape (n_channels,)
        Rows of the probe's configuration.
    noise_uv : float or None
        Noise on the channel where it is tallest; of a made unit that of its largest source.
    made_of : {"sorting", "sources", "recording"}
        Stored with the sorting, the mean of those of its sources, or measured on its own spikes.
    """

    waveform_uv: NDArray[Any]
    channels: NDArray[np.int64]
    noise_uv: float | None
    made_of: Literal["sorting", "sources", "recording"] = "sorting"


def stored_waveforms(
    lab: Any, key: Mapping[str, Any], units: Iterable[int]
) -> dict[int, UnitWaveform]:
    """Return the waveforms that a sorting stored of some units, of those that have one.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : mapping
        Of SpikeSorting.
    units : iterable of int
        The sorter's labels.

    Returns
    -------
    dict of int to UnitWaveform
        In the order of the units.
    """
    wanted = [int(unit) for unit in units]
    chosen = lab.SpikeSorting.Waveforms & dict(key) & [{"unit_id": unit} for unit in wanted]
    rows = {int(row["unit_id"]): row for row in chosen.fetch(as_dict=True)} if wanted else {}
    if not rows:
        return {}
    sorted_channels = (lab.SpikeSorting & dict(key)).fetch1("sorting_channel_indices")
    return {unit: _of_row(rows[unit], sorted_channels) for unit in wanted if unit in rows}


def _of_row(row: Mapping[str, Any], sorted_channels: Any) -> UnitWaveform:
    waveform, own = np.asarray(row["waveform_median"]), row["waveform_channels"]
    if own is None:
        own = sorted_channels
    if own is None or len(own) != waveform.shape[1]:
        own = np.arange(waveform.shape[1])
    return UnitWaveform(waveform, np.asarray(own, dtype="int64"), row["waveform_noise"])


def curated_waveforms(
    curated: CuratedUnits, units: Iterable[int], *, measure: bool = False
) -> dict[int, UnitWaveform]:
    """Return the waveforms of curated units, of those that have one.

    Parameters
    ----------
    curated : CuratedUnits
        The units. What is measured stays with them in ``measured``.
    units : iterable of int
        Their labels.
    measure : bool, optional
        Measure those that only the recording can tell. Else they are there only if they have been
        measured before.

    Returns
    -------
    dict of int to UnitWaveform
        In the order of the units.

    Warns
    -----
    UserWarning
        If a waveform cannot be measured, as the recording is not at hand.
    """
    units = list(units)
    sources = {unit: curated.sources(unit) for unit in units}
    wanted = sorted({source for found in sources.values() for source in found})
    stored = stored_waveforms(curated.lab, curated.key, wanted)
    made = set(curated.made_by)
    found: dict[int, UnitWaveform] = {}
    left = []
    for unit in units:
        own = [stored[source] for source in sources[unit] if source in stored]
        if unit not in made:
            found |= {unit: own[0]} if own else {}
        elif len(own) == len(sources[unit]) and curated.is_whole(unit) and _alike(own):
            found[unit] = _mean(own, [_n_spikes(curated, s) for s in sources[unit]])
        elif unit not in curated.measured:
            left.append(unit)
    if measure and left:
        curated.measured |= _measured(curated, left, stored)
    found |= {unit: one for unit, one in curated.measured.items() if unit in sources}
    return {unit: found[unit] for unit in units if unit in found}


def _alike(waveforms: list[UnitWaveform]) -> bool:
    return len({len(one.waveform_uv) for one in waveforms}) == 1


def _n_spikes(curated: CuratedUnits, source: int) -> int:
    return int(curated.stored.n_spikes[curated.stored.unit_ids == source][0])


def _mean(waveforms: list[UnitWaveform], n_spikes: list[int]) -> UnitWaveform:
    """Return the mean over units, weighted; where one has no such channel it counts as 0."""
    channels = np.unique(np.concatenate([one.channels for one in waveforms]))
    total = np.zeros((len(waveforms[0].waveform_uv), len(channels)))
    for one, n in zip(waveforms, n_spikes, strict=True):
        total[:, np.searchsorted(channels, one.channels)] += n * one.waveform_uv
    largest = waveforms[int(np.argmax(n_spikes))]
    mean = (total / sum(n_spikes)).astype("float32")
    return UnitWaveform(mean, channels, largest.noise_uv, "sources")


def _measured(
    curated: CuratedUnits, units: list[int], stored: Mapping[int, UnitWaveform]
) -> dict[int, UnitWaveform]:
    """Measure units in the recording; where that fails, say so of all that are left."""
    found: dict[int, UnitWaveform] = {}
    why = "their spikes are too near the ends of the recording"
    try:
        found.update(_each_measured(curated, units, stored))
    except LabdataError as error:
        why = f"the recording cannot be read: {error}"
    if left := [str(unit) for unit in units if unit not in found]:
        several = len(left) > 1
        warn_user(
            f"Unit{'s' * several} {', '.join(left)} of the curation ha{'ve' if several else 's'} "
            f"no waveform, nor the metrics that come of it, as {why}",
            UserWarning,
        )
    return found


def _each_measured(
    curated: CuratedUnits, units: list[int], stored: Mapping[int, UnitWaveform]
) -> Iterator[tuple[int, UnitWaveform]]:
    from ..objects.unit_waveforms import measure_waveform

    lab, key = curated.lab, curated.key
    setting = (lab.EphysRecording.ProbeSetting & key).fetch1()
    kept = KeptWaveforms(lab, key)
    recording = None  # opened for the first that is not kept
    n_before = (lab.SpikeSorting & key).fetch1("n_pre_samples")
    for unit in units:
        own = [source for source in curated.sources(unit) if source in stored]
        own.sort(key=lambda source: -_n_spikes(curated, source))
        known = [stored[source] for source in own]
        before, n_samples = _window(known, n_before, float(setting["sampling_rate"]))
        samples = curated.state.samples[curated.state.spikes[unit]]
        measured = kept.read(samples, before, n_samples)
        if measured is None:
            if recording is None:
                recording = open_probe(lab, setting, own_clock=True).recording()
            measured = measure_waveform(recording, samples, n_before=before, n_samples=n_samples)
            kept.keep(samples, before, n_samples, measured)
        whole, n_used = measured
        if n_used:
            height = np.ptp(whole, axis=0)
            channels = np.flatnonzero(height >= _SHARE * height.max())
            noise = known[0].noise_uv if known else None
            yield unit, UnitWaveform(whole[:, channels], channels, noise, "recording")


def _window(known: list[UnitWaveform], n_before: int | None, rate_hz: float) -> tuple[int, int]:
    """Return the samples before the spike and in all, as of the waveforms that are stored."""
    if not known:
        before, after = (round(span * rate_hz) for span in _WINDOW_S)
        return n_before or before, (n_before or before) + after
    waveform = known[0].waveform_uv
    if n_before:
        return int(n_before), len(waveform)
    # not written down: a spike is where the waveform is farthest from zero
    return int(np.unravel_index(np.argmax(np.abs(waveform)), waveform.shape)[0]), len(waveform)
