"""Cross- and autocorrelograms of many units at once.

Lags are whole numbers: times are rounded to microseconds, a bin is a whole number of them, and the
lag ``L`` (other unit's spike minus unit's) belongs to the bin ``round(L / bin)``, half away from
zero. Hence a correlogram read backwards is exactly that of the units exchanged, and no rounding of
float seconds moves a pair to the next bin.

Spikes of all units are put in one order of time, and each is paired with those after it, as far as
the window reaches. Only pairs in that order are looked at; the other half is its mirror.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from labdata import loops
from labdata.cores import count_cores
from labdata.errors import ObjectError
from labdata.given import one_number
from labdata.objects._attrs import clock_attrs, require_kind
from labdata.objects._groups import group, unit_labels
from labdata.whole import whole_numbers

IntArray = NDArray[np.int64]

#: Whole numbers a second that times are rounded to.
_TICKS_HZ = 1_000_000
#: Spikes a step: what is worked on stays in the processor's cache.
_BLOCK = 1 << 15


def correlogram(
    spikes: xr.Dataset,
    units: Sequence[int] | None = None,
    others: Sequence[int] | None = None,
    *,
    bin_s: float = 0.001,
    window_s: float = 0.05,
    normalise: Literal["count", "rate", "chance"] = "rate",
) -> xr.Dataset:
    """Count the spikes of other units at each lag from the spikes of a unit.

    Parameters
    ----------
    spikes : xarray.Dataset
        Kind ``spikes``.
    units, others : sequence of int, optional
        Labels; default all units, and `others` as `units`. 300 units with 101 lags make 36 MB of
        counts.
    bin_s : float
        Width of a bin, a whole number of microseconds.
    window_s : float
        The largest lag that is a bin's centre, a whole number of bins.
    normalise : {"count", "rate", "chance"}
        ``"rate"`` adds ``rate``, Hz: how fast the other unit fires at this lag from a spike of
        the unit. ``"chance"`` adds also ``ratio``: the rate over the other unit's mean rate in
        the recording, 1 for independent units that fire steadily.

    Returns
    -------
    xarray.Dataset
        Kind ``correlogram``: ``count`` (uint32) over unit, other_unit and lag (s, the centres of
        ``2 * window_s / bin_s + 1`` bins); positive lags: the other unit fires later. Times are
        rounded to microseconds; a lag halfway between two centres belongs to the one farther from
        zero, so that exchanging units mirrors the lags exactly. A spike is not paired with
        itself. ``n_spikes`` and ``other_n_spikes`` are what was counted.

    Raises
    ------
    ObjectError
        If a unit is not there, or the bins do not fit.

    Examples
    --------
    >>> found = labdata.correlogram(spikes, [8], bin_s=0.5, window_s=1.0)
    >>> found["lag"].values.tolist(), found["count"].values[0, 0].tolist()
    ([-1.0, -0.5, 0.0, 0.5, 1.0], [2, 0, 0, 0, 2])
    """
    require_kind(spikes, "spikes")
    bin_ticks, n_side = _lags(bin_s, window_s)
    if normalise not in ("count", "rate", "chance"):
        raise ObjectError(f"normalise is {normalise!r}.", hint="Use 'count', 'rate' or 'chance'.")
    known = unit_labels(spikes)
    first = _chosen(units, known)
    second = first if others is None else _chosen(others, known)
    ticks, number, n_spikes = _in_time(spikes, np.union1d(first, second))
    later = _count_later(ticks, number, len(n_spikes), bin_ticks, n_side)
    at = np.searchsorted(np.union1d(first, second), first)
    other_at = np.searchsorted(np.union1d(first, second), second)
    count = _both_sides(later, at, other_at)
    lag_s = np.arange(-n_side, n_side + 1) * bin_ticks / _TICKS_HZ
    attrs = {k: v for k, v in spikes.attrs.items() if k not in ("labdata_kind",)}
    found = xr.Dataset(
        {"count": (("unit", "other_unit", "lag"), count, {"units": "1"})},
        {
            "unit": ("unit", known[first], {"long_name": "unit label"}),
            "other_unit": ("other_unit", known[second], {"long_name": "label of the other unit"}),
            "lag": ("lag", lag_s, {"long_name": "other unit's spike minus unit's"}),
            "n_spikes": ("unit", n_spikes[at], {"units": "1"}),
            "other_n_spikes": ("other_unit", n_spikes[other_at], {"units": "1"}),
        },
        {"labdata_kind": "correlogram", **attrs, "bin_s": bin_ticks / _TICKS_HZ},
    )
    found["lag"].attrs |= clock_attrs(attrs)
    return _normalised(found, normalise)


def _lags(bin_s: float, window_s: float) -> tuple[int, int]:
    """Return a bin in ticks, and how many bins there are on either side of the middle one."""
    bin_s = one_number(bin_s, "bin_s", ObjectError)
    window_s = one_number(window_s, "window_s, the largest lag,", ObjectError)
    ticks = bin_s * _TICKS_HZ
    if not (ticks > 0.5 and abs(ticks - round(ticks)) < 1e-6 * ticks):
        raise ObjectError(
            f"A bin of {bin_s} s is no whole number of microseconds.",
            hint="Choose one such as 0.001 s.",
        )
    n = window_s / bin_s
    if not (n > -1e-6 and abs(n - round(n)) <= 1e-6 * max(n, 1.0)):
        raise ObjectError(
            f"The largest lag, {window_s} s, is no whole number of bins of {bin_s} s.",
            hint="Lags are centres of bins: choose a multiple of the bin.",
        )
    return round(ticks), round(n)


def _chosen(labels: Sequence[int] | None, known: NDArray[np.int32]) -> IntArray:
    """Return the places of units."""
    if labels is None:
        return np.arange(len(known), dtype=np.int64)
    wanted = whole_numbers(labels, "labels of units", ObjectError)
    unknown = np.setdiff1d(wanted, known)
    if len(unknown):
        raise ObjectError(
            f"Unit {unknown[0]} is not among the {len(known)} units of this dataset.",
            hint="spikes.unit lists them; they are labels, not positions.",
        )
    order = np.argsort(known)
    return order[np.searchsorted(known, wanted, sorter=order)].astype(np.int64)


def _in_time(spikes: xr.Dataset, places: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Return ticks and number of unit of all spikes of some units, by time; spikes a unit."""
    groups = group(spikes)
    start, stop = groups.start[places], groups.stop[places]
    parts = [groups.time_s[a:b] for a, b in zip(start, stop, strict=True)]
    times = np.concatenate([np.empty(0), *parts])
    ticks = np.rint(times * _TICKS_HZ).astype(np.int64)
    number = np.repeat(np.arange(len(places)), stop - start)
    order = np.argsort(ticks, kind="stable")
    return ticks[order], number[order], stop - start


def _count_later(
    ticks: IntArray, number: IntArray, n_units: int, bin_ticks: int, n_side: int
) -> NDArray[np.uint32]:
    """Count pairs in order of time, by unit of the earlier, unit of the later, and bin."""
    shape = (n_units, n_units, n_side + 1)
    if loops.compiled is None:
        return _count_by_shifts(ticks, number, shape, bin_ticks)
    count = np.zeros(shape, dtype=np.uint32)
    unit = number.astype(np.int32)
    by_unit = np.argsort(unit.astype(np.min_scalar_type(n_units)), kind="stable")
    ends = np.cumsum(np.bincount(unit, minlength=n_units))

    def count_one(one: int, begin: int, end: int) -> None:
        mine = by_unit[begin:end], n_side + 1, bin_ticks, count[one]
        loops.compiled.count_pairs(ticks, unit, *mine)

    with ThreadPoolExecutor(count_cores()) as pool:
        list(pool.map(count_one, range(n_units), [0, *ends[:-1]], ends))
    return count


def _count_by_shifts(
    ticks: IntArray, number: IntArray, shape: tuple[int, int, int], bin_ticks: int
) -> NDArray[np.uint32]:
    """Count pairs: each spike is compared with the next, then with the one after that, and so on.

    Whole vectors a step, until no pair is within the window.
    """
    n_units, _, n_lags = shape
    count = np.zeros(shape, dtype=np.uint32)
    cells = count.reshape(-1)
    most = (2 * n_lags - 1) * bin_ticks  # twice the lag that is no longer inside
    row = number * (n_units * n_lags)
    column = number * n_lags
    for begin in range(0, len(ticks), _BLOCK):
        stop = min(begin + _BLOCK, len(ticks))
        for shift in range(1, len(ticks) - begin):
            n = min(stop, len(ticks) - shift) - begin
            early = slice(begin, begin + n)
            late = slice(begin + shift, begin + shift + n)
            twice = 2 * (ticks[late] - ticks[early])
            inside = twice < most
            if not inside.any():
                break  # the next but one is later still
            cell = (twice + bin_ticks) // (2 * bin_ticks)
            cell += row[early]
            cell += column[late]
            np.add.at(cells, cell[inside], np.uint32(1))
    return count


def _both_sides(later: NDArray[np.uint32], at: IntArray, other_at: IntArray) -> NDArray[np.uint32]:
    """Put the mirror image before it; the middle bin is of both."""
    forward = later[np.ix_(at, other_at)]
    backward = later[np.ix_(other_at, at)].transpose(1, 0, 2)
    middle = forward[:, :, :1] + backward[:, :, :1]
    return np.concatenate([backward[:, :, :0:-1], middle, forward[:, :, 1:]], axis=2)


def _normalised(found: xr.Dataset, normalise: str) -> xr.Dataset:
    """Add what the counts are compared with."""
    if normalise == "count":
        return found
    count: Any = found["count"].values.astype(np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = count / (found["n_spikes"].values * found.attrs["bin_s"])[:, None, None]
        rate = rate.astype(np.float32)
        found["rate"] = (found["count"].dims, rate, {"units": "Hz"})
        if normalise == "chance":
            duration_s = found.attrs["t_stop"] - found.attrs["t_start"]
            mean_hz = found["other_n_spikes"].values / duration_s
            ratio = (rate / mean_hz[None, :, None]).astype(np.float32)
            found["ratio"] = (found["count"].dims, ratio, {"units": "1"})
    return found
