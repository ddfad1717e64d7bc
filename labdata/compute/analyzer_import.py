"""A sorting that SpikeInterface saved, from its folder into the tables.

Spikes, amplitudes, places, templates and noise are taken as they were computed there; the metrics
of UnitMetrics are labdata's own, of these spikes and templates, and the quality metrics of the
analyzer stay beside them in ``additional_params``. A unit keeps its number; one that has a name
is numbered, and its name kept. Channels are found by their places on the probe.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import TaskError
from ..formats.analyzer import AnalyzerFolder, read_analyzer
from .analyses.sorted_units import WAVEFORM_SHARE, SortedProbe, SortedUnit
from .sorting_import import ImportOptions, OutsideSorting, check_rate, hash_content, modified_at

#: Two contacts are one if they are no farther apart.
_SAME_PLACE_UM = 0.5
_MAX_UNIT_ID = 2**31 - 1


def read_outside(folder: Path, channels: SortedProbe, options: ImportOptions) -> OutsideSorting:
    """Return the sorting of a folder on the channels of its recording.

    Parameters
    ----------
    folder : Path
        Of a SortingAnalyzer, a sorter's output or a saved sorting; or the ``.zarr``.
    channels : SortedProbe
        The recording.
    options : ImportOptions
        How the folder is to be understood.

    Raises
    ------
    FormatError
        If the folder cannot be read.
    TaskError
        If it is not of this recording.
    """
    found = read_analyzer(folder)
    if options.uv_per_bit is not None:
        raise TaskError(
            "The scale of an analyzer is told by itself; --uv-per-bit is for folders of phy.",
            hint="Leave --uv-per-bit out.",
        )
    check_rate(found.sampling_rate_hz, channels, str(found.path))
    _check_length(found, channels)
    numbers = unit_numbers(found.unit_names)
    algorithm = options.algorithm or found.sorter or "spikeinterface"
    pairs = [(str(n), str(name)) for n, name in zip(numbers, found.unit_names, strict=True)]
    return OutsideSorting(
        kind=found.kind,
        algorithm=algorithm,
        algorithm_version=" ".join(filter(None, (algorithm, found.sorter_version))),
        probe=units_of_analyzer(found, channels),
        content_sha256=hash_content(
            json.dumps([found.unit_names, found.labels, found.metrics, found.in_uv]),
            (found.samples, found.units, found.amplitudes, found.locations_um),
            (found.templates, found.noise, found.positions_um),
        ),
        written_at=modified_at(found.path),
        parameters=found.parameters,
        labels={
            name: {numbers[place]: text for place, text in of.items()}
            for name, of in found.labels.items()
        },
        facts={
            "unit_names": {number: name for number, name in pairs if number != name},
            "quality_metrics": {
                name: dict(zip(map(str, numbers), values, strict=True))
                for name, values in found.metrics.items()
            },
        },
        notes=_notes(found, algorithm),
    )


def unit_numbers(names: tuple[int | str, ...]) -> list[int]:
    """Return the numbers of units: their own where all have one, else their places.

    Parameters
    ----------
    names : tuple of int or str
        Labels of the units, all different.
    """
    texts = [str(name) for name in names]
    own = [int(text) for text in texts if text.isascii() and text.isdigit()]
    all_own = len(own) == len(texts) == len(set(own)) and max(own, default=0) <= _MAX_UNIT_ID
    return own if all_own else list(range(len(texts)))


def units_of_analyzer(found: AnalyzerFolder, channels: SortedProbe) -> SortedProbe:
    """Return the units that have spikes, on the channel table of their recording.

    Parameters
    ----------
    found : AnalyzerFolder
        The folder.
    channels : SortedProbe
        The recording.

    Raises
    ------
    TaskError
        If its channels are not the recording's.
    """
    rows, shift_um = find_channels(found, channels)
    order = np.argsort(found.units, kind="stable")
    places, starts = np.unique(found.units[order], return_index=True)
    numbers = unit_numbers(found.unit_names)
    units = []
    for place, mine in zip(places, np.split(order, starts[1:]), strict=False):
        waveform, used, noise = _waveform(found, int(place))
        amplitudes, located = found.amplitudes, found.locations_um
        units.append(
            SortedUnit(
                samples=found.samples[mine],
                amplitudes_uv=None
                if amplitudes is None
                else np.abs(amplitudes[mine]).astype("float32"),
                positions_um=None
                if located is None
                else (located[mine] + shift_um).astype("float32"),
                waveform_uv=waveform,
                waveform_channels=rows[used],
                noise_uv=noise,
                unit_id=numbers[place],
                in_uv=found.in_uv,
            )
        )
    return replace(
        channels,
        units=tuple(units),
        n_pre_samples=found.n_pre_samples,
        sorted_channels=rows if len(rows) else None,
    )


def _waveform(
    found: AnalyzerFolder, place: int
) -> tuple[NDArray[np.float32] | None, NDArray[np.int64], float | None]:
    """Return a unit's waveform where it is not small, its channels, and its noise."""
    if found.templates is None:
        return None, np.arange(0), None
    whole = found.templates[place]
    height = np.ptp(whole, axis=0)
    best = int(np.argmax(height))
    used = np.flatnonzero(height >= WAVEFORM_SHARE * height[best])
    noise = None if found.noise is None else float(found.noise[best])
    return whole[:, used].astype("float32"), used, noise


def find_channels(
    found: AnalyzerFolder, channels: SortedProbe
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the row of the channel table of each of an analyzer's channels.

    Contacts are compared by their places. Where an analyzer counts them from another origin, the
    one shift that puts all of them on contacts of the probe is found.

    Parameters
    ----------
    found : AnalyzerFolder
        The folder.
    channels : SortedProbe
        The recording.

    Returns
    -------
    rows : ndarray of int64, shape (n_channels,)
        Empty where the folder tells of no channels.
    shift_um : ndarray of float64, shape (2,)
        What is added to places of the analyzer.

    Raises
    ------
    TaskError
        If they are contacts of another probe, or could be several.
    """
    none = np.zeros(2)
    if not found.channel_ids:
        return np.arange(0), none
    coords = np.asarray(channels.coords_um, dtype="float64")
    if found.positions_um is None:
        if len(found.channel_ids) != len(coords):
            raise TaskError(
                f"{found.path} has {len(found.channel_ids)} channels without a place, and the "
                f"recording has {len(coords)}.",
                hint="Make the analyzer of a recording with a probe: recording.set_probe(...).",
            )
        return np.arange(len(coords)), none
    matches = []
    # the first contact is one of the probe's: each of them gives a shift
    for shift in np.unique(np.round(coords - found.positions_um[0], 3), axis=0):
        rows = _rows_at(found.positions_um + shift, coords)
        if rows is not None:
            matches.append((float(np.abs(shift).sum()), rows, shift))
    if not matches:
        raise TaskError(
            f"The {len(found.positions_um)} channels of {found.path} are not at contacts of this "
            "probe.",
            hint="Is this the analyzer of another probe or session? Check -s, -d and --probe.",
        )
    matches.sort(key=lambda match: match[0])
    if len(matches) > 1 and matches[0][0] > _SAME_PLACE_UM:
        raise TaskError(
            f"The channels of {found.path} fit on this probe in {len(matches)} ways.",
            hint="Make the analyzer with the probe's own coordinates, or of all channels.",
        )
    return matches[0][1], matches[0][2]


def _rows_at(
    positions_um: NDArray[np.float64], coords_um: NDArray[np.float64]
) -> NDArray[np.int64] | None:
    """Return the contact at each position; None if a position has none, or two have one."""
    distances = np.abs(positions_um[:, None, :] - coords_um[None, :, :]).max(axis=2)
    rows = np.argmin(distances, axis=1)
    if distances[np.arange(len(rows)), rows].max() > _SAME_PLACE_UM:
        return None
    return rows.astype("int64") if len(np.unique(rows)) == len(rows) else None


def _check_length(found: AnalyzerFolder, channels: SortedProbe) -> None:
    if found.n_samples is not None and sum(found.n_samples) != channels.n_samples:
        raise TaskError(
            f"{found.path} is of {sum(found.n_samples)} samples, and the recording has "
            f"{channels.n_samples}.",
            hint="Is it of another recording? Of a part of one nobody knows where it began: "
            "sort the whole.",
        )


def _notes(found: AnalyzerFolder, algorithm: str) -> tuple[str, ...]:
    notes = [f"no {name}" for name in found.missing]
    if found.kind != "analyzer":
        notes.append(f"of a {found.kind} come the spikes alone: no amplitudes, places, waveforms")
    elif not found.in_uv:
        notes.append("not in uV: amplitudes and waveforms in uV are left empty")
    if algorithm == "spikeinterface":
        notes.append("nothing tells which program sorted; --algorithm names it")
    return tuple(notes)
