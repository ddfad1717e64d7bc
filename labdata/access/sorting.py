"""The spikes of one sorting of one probe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..database.quick_rows import select_rows
from ..errors import ObjectError, QueryError
from ..given import two_ends
from ..keys import lab_of, one_row
from ._parts import as_json
from .units import choose_units, curation_attrs, unit_coords

if TYPE_CHECKING:
    import xarray as xr

    from ..schema.placed_sorting import PlacedSpikes
    from .columns import StoredTrains

#: ``with_`` -> variable of a spikes dataset.
_SPIKE_VARS = {"amplitude": "spike_amplitude", "depth": "spike_depth"}


def spikes(
    key: Any,
    *,
    criteria: int | None = None,
    units: str | Sequence[int] | None = None,
    window_s: tuple[float, float] | None = None,
    with_: Sequence[str] = (),
    curated: bool = False,
    lab: Any = None,
) -> xr.Dataset:
    """Return the sorted spikes of one probe, on the clock that StreamSync names.

    Parameters
    ----------
    key : dict or query
        What selects one sorting of one probe: a subject, session and, where there are several,
        a dataset_name, probe_num and parameter_set_num. The key of a unit selects its sorting,
        all units of it; `units` chooses among them.
    criteria : int, optional
        ``unit_criteria_id`` whose verdict becomes the coordinates ``passes_sua`` and
        ``passes_mua``; by default the only one there is for this sorting, if it is the only one.
    units : str or sequence of int, optional
        Which units to read: an expression of the coordinates such as
        ``"passes_sua == 1 & depth > 500"``, or labels. The spikes of others are not fetched.
    window_s : (float, float), optional
        Keep what happened in ``[start, stop)``, seconds on the clock. All chosen units stay,
        silent ones included.
    with_ : sequence of {"amplitude", "depth"}, optional
        Read these columns at once. Without it they are read when they are looked at.
    curated : bool, optional
        The units as they are after manual curation (``labdata curate``,
        ``SpikeSorting.curation()``): merged units in place of their sources, the parts of split
        ones, without a log the sorter's. `criteria` then judge these units by their own metrics:
        the verdict is that of CuratedUnitCount, where it was counted of this entry of the log.
    lab : Lab, optional
        Tables of another project.

    Returns
    -------
    xarray.Dataset
        Kind ``spikes``: dims ``unit`` and ``spike``; times are float64 seconds. Without a
        StreamSync they are on the probe's own clock, and ``synced``, ``sync_note`` and a warning
        say so. ``sample_index`` and, where they are stored of every unit, ``spike_amplitude``
        (uV), ``spike_depth`` and ``spike_x`` (um) are lazy: 12 bytes a spike are held.

        The attribute ``curated`` says whose units they are. Curated ones have the coordinates
        ``curation_label``, ``made_by`` (``"sorter"``, ``"merge"`` or ``"split"``) and
        ``source_units``; ``curation_entries`` is how many entries of the log are in them,
        ``curation_by`` and ``curation_datetime`` (UTC) whose and when the last was.

    Raises
    ------
    QueryError
        If the key selects no sorting or several (the message lists them), `units` names one that
        is not there, or what ``with_`` asks for is not stored for every spike.
    ObjectError
        If the window is empty or outside the recording, or the expression cannot be read.
    ClockError
        If the pulses cannot be matched within the tolerance.

    Warns
    -----
    UnsyncedWarning
        If the probe is not synchronised.
    UserWarning
        If criteria need the waveforms of curated units that nobody has measured yet.

    Examples
    --------
    >>> key = {"subject_name": "JC1", "session_name": "20240305_100000"}
    >>> spikes = labdata.spikes(key)  # doctest: +SKIP
    >>> spikes.attrs["clock"], spikes.attrs["synced"]  # doctest: +SKIP
    ('nidq', 1)
    """
    from .columns import SPIKE_COLUMNS

    lab = lab_of(key, lab)
    wanted = _chosen_vars(with_)
    sorting = one_row(lab.SpikeSorting, key, "sorting", ("probe_num", "parameter_set_num"))
    if window_s is not None:
        window_s = two_ends(window_s, ObjectError, example="(10.0, 20.0)")
    found, columns = _sorted_spikes(lab, sorting, criteria, units, window_s, curated=curated)
    for name in wanted:
        if name not in found:
            attribute = SPIKE_COLUMNS[name][0]
            raise QueryError(
                f"Unit {columns.unit_without(attribute)} has no {attribute}.",
                hint="Leave with_ out, or sort again.",
            )
        found[name].load()
    return found


def _sorted_spikes(
    lab: Any,
    sorting: dict[str, Any],
    criteria: int | None,
    units: str | Sequence[int] | None,
    window_s: tuple[float, float] | None,
    *,
    curated: bool,
) -> tuple[xr.Dataset, StoredTrains]:
    """Build the spikes of one sorting: of the chosen units, inside the window."""
    from ..objects import wrap_spikes
    from ..schema.curated_units import CuratedUnits
    from ..schema.placed_sorting import place_sorting
    from ..schema.spike_times import probe_stream
    from ..schema.spike_trains import read_heads
    from .columns import StoredTrains

    sorting_key = {k: sorting[k] for k in lab.SpikeSorting.primary_key}
    of_log = CuratedUnits(lab, sorting_key) if curated else None
    heads = read_heads(lab.SpikeSorting.Unit & sorting_key) if of_log is None else of_log.heads()
    coords = unit_coords(lab, sorting_key, heads.unit_ids, criteria, of_log)
    if units is not None:
        chosen = choose_units(units, heads.unit_ids, coords)
        heads = heads.take(chosen)
        coords = {name: (values[chosen], notes) for name, (values, notes) in coords.items()}
    trains = None if of_log is None else of_log.trains(heads)
    placed = place_sorting(lab, sorting_key, heads, window_s=window_s, trains=trains)
    kept = [len(part) for part in placed.trains.seconds]
    columns = StoredTrains(
        lab,
        sorting_key,
        heads.unit_ids,
        n_stored=placed.trains.n_stored,
        first=placed.trains.first,
        offsets=np.concatenate([[0], np.cumsum(kept)]).astype("int64"),
        curated=of_log,
    )
    found = wrap_spikes(
        placed.times_s,
        placed.make_labels(),
        stream=probe_stream(sorting)[3],
        sync=placed.clock.sync_attrs,
        unit=heads.unit_ids,
        unit_coords=coords,
        spike_vars=columns.lazy_variables(),
        provenance=_provenance(lab, sorting),
        attrs={
            **_span(placed, window_s),
            "sampling_rate_hz": placed.clock.sampling_rate_hz,
            "project": lab.project,
            **_attrs(sorting, placed),
            **curation_attrs(of_log),
        },
    )
    return found, columns


def _span(placed: PlacedSpikes, window_s: tuple[float, float] | None) -> dict[str, float]:
    """Return the time that the spikes are of: the recording, or the window inside it."""
    start, stop = placed.clock.recorded_s
    if start == stop:
        stop = float(placed.times_s.max(initial=start))
    if window_s is not None:
        first, last = start, stop
        start, stop = max(start, window_s[0]), min(stop, window_s[1])
        if start >= stop and first < last:
            raise ObjectError(
                f"Nothing was recorded between {window_s[0]} and {window_s[1]} s.",
                hint=f"The recording is from {first:.3f} to {last:.3f} s on this clock.",
            )
        stop = max(start, stop)
    return {"t_start": start, "t_stop": stop}


def _chosen_vars(with_: Sequence[str]) -> list[str]:
    names = [with_] if isinstance(with_, str) else list(with_)
    unknown = [name for name in names if name not in _SPIKE_VARS]
    if unknown:
        raise QueryError(
            f"with_ has {unknown[0]!r}, which is not kept for each spike.",
            hint=f"Choose from: {', '.join(_SPIKE_VARS)}.",
        )
    return [_SPIKE_VARS[name] for name in names]


def _attrs(sorting: dict[str, Any], placed: PlacedSpikes) -> dict[str, Any]:
    attrs: dict[str, Any] = {"clock_dataset": placed.clock.dataset}
    if placed.clock.mapped:
        attrs["stream_n_extrapolated"] = int(placed.trains.n_extrapolated.sum())
    return attrs | {"parameter_set_num": int(sorting["parameter_set_num"])}


def _provenance(lab: Any, sorting: dict[str, Any]) -> str:
    (params,) = select_rows(
        lab.SpikeSortingParams,
        ("algorithm_name", "parameters_hash"),
        [{"parameter_set_num": sorting["parameter_set_num"]}],
    )
    return as_json(
        {
            "key": {k: sorting[k] for k in lab.SpikeSorting.primary_key},
            "algorithm": params["algorithm_name"],
            "algorithm_version": sorting["algorithm_version"],
            "parameters_hash": params["parameters_hash"],
            "sorting_datetime": sorting["sorting_datetime"],
            "container": sorting["container_version"],
            "labdata": __version__,
        }
    )
