"""From a sorter's spike trains to units: amplitudes, positions, waveforms, and a snippet."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

MS_BEFORE, MS_AFTER = 1.0, 2.0
#: Spikes of a unit that its waveform is the median of.
MAX_WAVEFORMS = 300
SEGMENT_S = 0.5
#: A channel has a part in a waveform if it is this share of the largest.
WAVEFORM_SHARE = 0.1


@dataclass(frozen=True)
class SortedUnit:
    """One unit.

    Attributes
    ----------
    samples : ndarray of int64, shape (n,)
        Spike samples, in order.
    amplitudes_uv : ndarray of float32, shape (n,) or None
        Height of each spike on the unit's largest channel, uV, positive.
    positions_um : ndarray of float32, shape (n, 2) or None
        x and depth of each spike.
    waveform_uv : ndarray of float32, shape (n_samples, n_channels) or None
        Median waveform.
    waveform_channels : ndarray of int64, shape (n_channels,)
        Channels of the waveform.
    noise_uv : float or None
        Noise on the largest channel.
    unit_id : int or None
        Its number; by default its place among the units.
    in_uv : bool
        False: amplitudes and waveform are in a sorter's own unit. They are not stored then, and
        of the metrics only those that do not depend on the unit.
    """

    samples: np.ndarray
    amplitudes_uv: np.ndarray | None
    positions_um: np.ndarray | None
    waveform_uv: np.ndarray | None
    waveform_channels: np.ndarray
    noise_uv: float | None
    unit_id: int | None = None
    in_uv: bool = True

    def of_spikes(self, chosen: np.ndarray, *, first: int = 0) -> SortedUnit:
        """Return the unit with some of its spikes, and the same waveform.

        Parameters
        ----------
        chosen : ndarray of bool, shape (n,)
            Which spikes.
        first : int, optional
            Taken off their samples.
        """
        return replace(
            self,
            samples=self.samples[chosen] - first,
            amplitudes_uv=None if self.amplitudes_uv is None else self.amplitudes_uv[chosen],
            positions_um=None if self.positions_um is None else self.positions_um[chosen],
        )


@dataclass(frozen=True)
class SortedProbe:
    """A probe's channels, and once it is sorted its units.

    Attributes
    ----------
    coords_um : ndarray, shape (n_channels, 2)
        Positions.
    shank : ndarray, shape (n_channels,)
        Shanks.
    sampling_rate_hz : float
        Nominal.
    n_samples : int
        Length of the recording.
    units : tuple of SortedUnit
        In the order of the sorter.
    segment_uv : ndarray of float32, shape (n_samples, n_channels) or None
        A snippet of filtered voltage from the middle of the recording.
    segment_offset : int
        First sample of the snippet.
    n_pre_samples : int
        Samples of a waveform before the spike.
    sorted_channels : ndarray of int64, shape (n_sorted,) or None
        Rows of the channel table that were sorted; None: all.
    """

    coords_um: np.ndarray
    shank: np.ndarray
    sampling_rate_hz: float
    n_samples: int
    units: tuple[SortedUnit, ...] = field(default=())
    segment_uv: np.ndarray | None = None
    segment_offset: int = 0
    n_pre_samples: int = 0
    sorted_channels: np.ndarray | None = None


@contextlib.contextmanager
def quiet_third_party() -> Iterator[None]:
    """Keep SpikeInterface's notices to its own developers from the user."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"spikeinterface|sklearn|hdbscan|numba")
        yield


def extract_units(
    recording: Any,
    sorting: Any,
    probe: SortedProbe,
    n_jobs: int = 1,
    numbers: Mapping[Any, int] | None = None,
) -> SortedProbe:
    """Compute amplitudes, positions and median waveforms of sorted units.

    Parameters
    ----------
    recording : spikeinterface.BaseRecording
        The raw recording.
    sorting : spikeinterface.BaseSorting
        The sorter's result.
    probe : SortedProbe
        The channel table.
    n_jobs : int, optional
        Processes.
    numbers : mapping, optional
        Label of each unit in the sorting -> its number; by default they are counted.

    Returns
    -------
    SortedProbe
        The same probe with its units; spikes beyond the recording's ends and units without
        spikes are left out.
    """
    import spikeinterface.preprocessing as spre
    from spikeinterface.curation import remove_excess_spikes

    filtered = spre.common_reference(
        spre.bandpass_filter(recording, freq_min=300.0, freq_max=6000.0, dtype="float32")
    )
    sorting = remove_excess_spikes(sorting, recording).remove_empty_units()
    start = max(0, (probe.n_samples - int(SEGMENT_S * probe.sampling_rate_hz)) // 2)
    stop = min(probe.n_samples, start + int(SEGMENT_S * probe.sampling_rate_hz))
    snippet = filtered.get_traces(start_frame=start, end_frame=stop, return_in_uV=True)
    probe = replace(probe, segment_uv=snippet.astype("float32"), segment_offset=start)
    if len(sorting.unit_ids) == 0:
        return probe
    with quiet_third_party():
        units, n_pre_samples = _measure(sorting, filtered, n_jobs)
    if numbers is not None:
        labels = [numbers[label] for label in sorting.unit_ids]
        units = tuple(replace(u, unit_id=n) for u, n in zip(units, labels, strict=True))
    return replace(probe, units=units, n_pre_samples=n_pre_samples)


def _measure(sorting: Any, filtered: Any, n_jobs: int) -> tuple[tuple[SortedUnit, ...], int]:
    """Return the units of a sorting, and the samples of a waveform before the spike."""
    import spikeinterface as si
    from spikeinterface.core import get_noise_levels

    jobs = {"n_jobs": n_jobs, "chunk_duration": "1s", "progress_bar": False}
    analyzer = si.create_sorting_analyzer(sorting, filtered, sparse=False, return_in_uV=True)
    analyzer.compute("random_spikes", max_spikes_per_unit=MAX_WAVEFORMS, seed=0)
    analyzer.compute("waveforms", ms_before=MS_BEFORE, ms_after=MS_AFTER, **jobs)
    analyzer.compute("templates", operators=["average", "median"])
    analyzer.compute("noise_levels")
    analyzer.compute("spike_amplitudes", **jobs)
    analyzer.compute("spike_locations", method="center_of_mass", **jobs)
    noise = get_noise_levels(filtered, return_in_uV=True, method="mad")
    templates = analyzer.get_extension("templates")
    medians = templates.get_templates(operator="median")
    return _collect(analyzer, medians, noise), int(templates.nbefore)


def _collect(analyzer: Any, medians: np.ndarray, noise: np.ndarray) -> tuple[SortedUnit, ...]:
    spikes = analyzer.sorting.to_spike_vector()
    amplitudes = np.abs(analyzer.get_extension("spike_amplitudes").get_data()).astype("float32")
    located = analyzer.get_extension("spike_locations").get_data()
    positions = np.column_stack([located["x"], located["y"]]).astype("float32")
    units = []
    for index in range(len(analyzer.unit_ids)):
        mine = np.flatnonzero(spikes["unit_index"] == index)
        mine = mine[np.argsort(spikes["sample_index"][mine], kind="stable")]
        height = np.ptp(medians[index], axis=0)
        best = int(np.argmax(height))
        channels = np.flatnonzero(height >= WAVEFORM_SHARE * height[best])
        units.append(
            SortedUnit(
                samples=spikes["sample_index"][mine].astype("int64"),
                amplitudes_uv=amplitudes[mine],
                positions_um=positions[mine],
                waveform_uv=medians[index][:, channels].astype("float32"),
                waveform_channels=channels.astype("int64"),
                noise_uv=float(noise[best]),
            )
        )
    return tuple(units)
