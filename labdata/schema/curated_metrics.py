"""Metrics of curated units, computed as those of sorted units are.

A unit that no merge or split touched has the spikes and the waveform that it was sorted with, and
so its row of UnitMetrics. Of one that was made, the numbers are computed of its own spikes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .curated_units import CuratedUnits
from .curated_waveforms import curated_waveforms
from .unit_metrics import (
    UnitData,
    compute_unit_metrics,
    known_places,
    place_of_spikes,
    recording_data,
)


def curated_metrics(
    curated: CuratedUnits, units: Iterable[int] | None = None, *, measure: bool = False
) -> dict[int, dict[str, Any]]:
    """Return the metrics of curated units.

    Parameters
    ----------
    curated : CuratedUnits
        The units.
    units : iterable of int, optional
        Labels; by default all.
    measure : bool, optional
        Read the recording for the waveforms of parts of splits, which takes seconds a unit.

    Returns
    -------
    dict of int to dict
        Columns of UnitMetrics, in the order of the units. Those of units that were sorted so are
        the stored ones where there are some. Those of units that were made are computed of their
        spikes and waveforms (:func:`curated_waveforms`); what comes of a waveform is missing of a
        unit that has none, as a part of a split that was not measured.

    Warns
    -----
    UserWarning
        If a waveform is to be measured and the recording is not at hand.
    """
    wanted = curated.unit_ids.tolist() if units is None else list(units)
    key_names = frozenset(curated.lab.UnitMetrics.primary_key)
    rows = (curated.lab.UnitMetrics & curated.key).fetch(as_dict=True)
    stored = {row["unit_id"]: row for row in rows}
    found = {
        unit: {name: value for name, value in stored[unit].items() if name not in key_names}
        for unit in wanted
        if unit in stored  # made units have numbers that no sorted unit has
    }
    left = [unit for unit in wanted if unit not in found]
    found |= _computed(curated, left, measure) if left else {}
    for unit in left:  # a split moves no unit to another shank
        shanks = {stored.get(source, {}).get("shank") for source in curated.sources(unit)}
        if len(shanks) == 1 and None not in shanks:
            found[unit].setdefault("shank", shanks.pop())
    return {unit: found[unit] for unit in wanted}


def _computed(curated: CuratedUnits, units: list[int], measure: bool) -> dict[int, dict[str, Any]]:
    recording = recording_data(curated.lab, curated.key)
    waves = curated_waveforms(curated, units, measure=measure)
    names = ("spike_times", "spike_amplitudes", "spike_positions")
    columns = {name: curated.column(name, units) for name in names}
    found = {}
    for unit in units:
        samples, amplitudes, positions = (columns[name][unit] for name in names)
        one = waves.get(unit)
        waveform = None if one is None else one.waveform_uv
        channels = np.empty(0, "int64") if one is None else one.channels
        noise = None if one is None else one.noise_uv
        data = UnitData(samples, amplitudes, positions, waveform, channels, noise)
        found[unit] = compute_unit_metrics(data, recording)
        if (places := known_places(positions)) is not None:  # known without a waveform, too
            place = place_of_spikes(places)
            found[unit] |= {"position": place, "depth": float(place[1])}
    return found
