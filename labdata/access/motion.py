"""The motion of the tissue along a probe, as it was estimated with a sorting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import QueryError
from ..keys import lab_of, one_row

if TYPE_CHECKING:
    import xarray as xr


def motion(key: Any, *, method: str | None = None, lab: Any = None) -> xr.Dataset:
    """Return how the tissue moved along a probe, on the clock that StreamSync names.

    It is estimated by ``labdata run spikeinterface ... --motion ESTIMATOR``, which adds it to a
    sorting that is there.

    Parameters
    ----------
    key : dict or query
        What selects one sorting of one probe.
    method : str, optional
        The estimator; needed where several were used.
    lab : Lab, optional
        Tables of another project.

    Returns
    -------
    xarray.Dataset
        ``displacement`` (um, towards larger depths positive; only differences in time have a
        meaning) over ``shank``, ``time`` (s) and ``depth`` (um; one of a rigid estimate). A shank
        of -1 stands for the whole probe. Where shanks have depths of their own, the others are
        NaN.

    Raises
    ------
    QueryError
        If the key selects no sorting or several, or no motion of one method is stored with it.
    ClockError
        If the pulses cannot be matched within the tolerance.

    Examples
    --------
    >>> moved = labdata.motion(key)  # doctest: +SKIP
    >>> moved["displacement"].isel(shank=0).plot(x="time")  # doctest: +SKIP
    """
    import xarray as xr

    from ..schema.spike_times import probe_stream
    from ..schema.synchrony import stream_clocks, warn_unsynced

    lab = lab_of(key, lab)
    sorting = one_row(lab.SpikeSorting, key, "sorting", ("probe_num", "parameter_set_num"))
    own = {name: sorting[name] for name in lab.SpikeSorting.primary_key}
    rows = (lab.SpikeSorting.Motion & own).fetch(as_dict=True, order_by="motion_num")
    chosen = _of_one_method(rows, method)
    stream = probe_stream(own)
    clock = stream_clocks(lab, [stream])[stream]
    if not clock.synced:
        warn_unsynced([stream])
    shanks = [
        _shank(row, np.asarray(clock.apply(np.asarray(row["displacement_times"], "float64"))))
        for row in chosen
    ]
    whole = xr.concat(shanks, "shank", join="outer").sortby("shank")
    attrs = {
        "kind": "motion",
        "method": chosen[0]["motion_method"],
        "stream": stream[3],
        "clock": clock.name,
        "clock_dataset": clock.dataset,
        "synced": int(clock.synced),
        **(clock.sync_attrs() or {}),
    }
    return whole.to_dataset(name="displacement").assign_attrs(attrs)


def _of_one_method(rows: list[dict[str, Any]], method: str | None) -> list[dict[str, Any]]:
    methods = list(dict.fromkeys(str(row["motion_method"]) for row in rows))
    if not methods:
        raise QueryError(
            "No motion is stored with this sorting.",
            hint="Estimate it: `labdata run spikeinterface -a SUBJECT -s SESSION --motion "
            "kilosort_like`, with the parameters of the sorting.",
        )
    if method is None and len(methods) == 1:
        method = methods[0]
    if method not in methods:
        said = "Several methods were used" if method is None else f"There is no method {method!r}"
        raise QueryError(f"{said}.", hint=f"Choose with method=: {', '.join(methods)}.")
    return [row for row in rows if row["motion_method"] == method]


def _shank(row: dict[str, Any], times_s: Any) -> xr.DataArray:
    import xarray as xr

    moved = np.asarray(row["displacement"], "float64").reshape(len(times_s), -1)
    depths = row["displacement_depths"]
    depths = np.zeros(moved.shape[1]) if depths is None else np.asarray(depths, "float64")
    array = xr.DataArray(
        moved,
        dims=("time", "depth"),
        coords={
            "time": ("time", times_s, {"units": "s"}),
            "depth": ("depth", depths, {"units": "um"}),
        },
        attrs={"units": "um", "long_name": "displacement of the tissue"},
    )
    return array.expand_dims(shank=[-1 if row["shank"] is None else int(row["shank"])])
