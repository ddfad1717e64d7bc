"""Where units, channels and the pieces of a waveform are drawn: the same for paper and screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from labdata.errors import ObjectError
from labdata.given import one_number
from labdata.objects._attrs import require_kind

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class UnitDots:
    """Units on a probe, large ones first, so that no unit hides another.

    Attributes
    ----------
    unit : ndarray of int, shape (n,)
        Labels of those that have a position.
    x_um, depth_um : ndarray of float64, shape (n,)
        Where they are.
    amplitude_uv, rate_hz : ndarray of float64, shape (n,), or None
        What size and colour tell; None where the units have no such coordinate.
    said : str
        What is to be said beside them.
    """

    unit: NDArray[np.int32]
    x_um: Values
    depth_um: Values
    amplitude_uv: Values | None
    rate_hz: Values | None
    said: str


@dataclass(frozen=True, eq=False)
class WaveformTraces:
    """A waveform on the channels around its peak, in um.

    Attributes
    ----------
    channels : list of int
        Labels, one a trace.
    x_um, y_um : list of ndarray of float64
        Each trace, at its channel.
    is_peak : list of bool
        Which of them is the peak channel's.
    bar_um : tuple of float
        Left, bottom, right and top of the bars of scale: one upright, one level.
    bar_text : str
        What the bars are worth.
    """

    channels: list[int]
    x_um: list[Values]
    y_um: list[Values]
    is_peak: list[bool]
    bar_um: tuple[float, float, float, float]
    bar_text: str


def place_units(units: xr.Dataset) -> UnitDots:
    """Return where the units of a probe are drawn.

    Parameters
    ----------
    units : xarray.Dataset
        Kind ``spikes``.

    Raises
    ------
    ObjectError
        If the units have no positions.
    """
    require_kind(units, "spikes")
    missing = [name for name in ("x", "depth") if name not in units.coords]
    if missing:
        raise ObjectError(
            f"The units have no {' and no '.join(missing)}.",
            hint="UnitMetrics.populate(key) computes positions; call labdata.spikes again then.",
        )
    x, depth = units["x"].values, units["depth"].values
    drawn = np.isfinite(x) & np.isfinite(depth)
    amplitude = rate = None
    order = np.flatnonzero(drawn)
    said = []
    if "amplitude" in units.coords:
        amplitude = np.nan_to_num(units["amplitude"].values, nan=0.0)
        order = order[np.argsort(-amplitude[drawn], kind="stable")]
        amplitude = amplitude[order]
        said.append("size: amplitude")
    if "firing_rate" in units.coords:
        rate = units["firing_rate"].values[order]
    if n_without := int((~drawn).sum()):
        said.append(f"without a position, not drawn: {n_without}")
    labels = units["unit"].values[order]
    return UnitDots(labels, x[order], depth[order], amplitude, rate, "\n".join(said))


def trace_waveform(waveforms: xr.Dataset, unit: int, n_channels: int) -> WaveformTraces:
    """Return a unit's waveform on the channels around its peak, each where the channel is.

    Parameters
    ----------
    waveforms : xarray.Dataset
        Kind ``waveforms``.
    unit : int
        Label.
    n_channels : int
        How many channels, those nearest to the peak of the unit's own shank.

    Raises
    ------
    ObjectError
        If the unit is not there, or has no waveform.
    """
    require_kind(waveforms, "waveforms")
    if unit not in waveforms["unit"].values:
        raise ObjectError(
            f"Unit {unit} is not among the {waveforms.sizes['unit']} units with a waveform.",
            hint="waveforms.unit lists them; they are labels, not positions.",
        )
    if not np.isfinite(waveforms["waveform"].sel(unit=unit)).any():
        raise ObjectError(
            f"Unit {unit} has no waveform: none is stored, and the recording was not at hand.",
            hint="Where the recording can be read, labdata.waveforms(key, curated=True) has it.",
        )
    if one_number(n_channels, "n_channels", ObjectError) < 1:
        raise ObjectError(
            f"n_channels is {n_channels}; a waveform is drawn on 1 or more.",
            hint="Leave it out for the 12 nearest to the peak.",
        )
    near = _around_peak(waveforms.sel(unit=unit), n_channels)
    x, depth = near["x"].values, near["depth"].values
    width, height = _spacing(x), _spacing(depth)
    traces, time_ms = near["waveform"].values, near["time_ms"].values
    tallest = float(np.nanmax(np.abs(traces))) or 1.0
    span_ms = float(np.ptp(time_ms)) or 1.0
    shift = (time_ms - time_ms.mean()) / span_ms * 0.85 * width
    bar_uv = _round_down(tallest / 2)
    left, low = float(x.min() - 0.5 * width), float(depth.min() - 1.4 * height)
    bar = (left, low, left + 0.85 * width / span_ms, low + bar_uv / tallest * height)
    channels = near["channel"].values.tolist()
    return WaveformTraces(
        channels,
        [place + shift for place in x],
        [place + traces[:, k] / tallest * height for k, place in enumerate(depth)],
        [channel == near["peak_channel"].item() for channel in channels],
        bar,
        f"{bar_uv:g} µV, 1 ms",
    )


def _around_peak(one: xr.Dataset, n_channels: int) -> xr.Dataset:
    """Return the channels of a unit that are nearest to its peak and on its shank."""
    peak = one.sel(channel=one["peak_channel"].item())
    known = np.isfinite(one["waveform"].values).any(axis=0)
    mine = np.flatnonzero(known & (one["shank"].values == peak["shank"].item()))
    far = np.hypot(one["x"].values - peak["x"].item(), one["depth"].values - peak["depth"].item())
    return one.isel(channel=mine[np.argsort(far[mine], kind="stable")[:n_channels]])


def _spacing(places: Any) -> float:
    """Return the smallest distance between two places; 30 um where there is one only."""
    steps = np.diff(np.unique(places))
    return float(steps.min()) if len(steps) else 30.0


def _round_down(value: float) -> float:
    """Return the largest of 1, 2 and 5 times a power of ten that is not above."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(max(m * power for m in (1, 2, 5) if m * power <= value))
