"""A sorting that was made outside of labdata, from its Kilosort or phy folder into the tables.

The number of a unit is the number of its cluster.

Scale: what ``amplitudes.npy`` and ``templates.npy`` hold is in the sorter's own unit. Of Kilosort
1 to 3, and of what follows them, a spike is its amplitude times its template with the whitening
undone, in units of the raw samples, so that the uV of one such unit make it uV; this is given as
`uv_per_bit`. Kilosort 4's amplitudes are norms and no factors of templates. Without a known scale
no waveform and no amplitude is stored, and of the metrics those alone that no scale changes.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import TaskError
from ..formats.phy import PhyFolder, read_phy
from .analyses.sorted_units import WAVEFORM_SHARE, SortedProbe, SortedUnit
from .sorting_import import ImportOptions, OutsideSorting, check_rate, hash_content, modified_at


def read_outside(folder: Path, channels: SortedProbe, options: ImportOptions) -> OutsideSorting:
    """Return the sorting of a folder on the channels of its recording.

    Parameters
    ----------
    folder : Path
        Of Kilosort or phy.
    channels : SortedProbe
        The recording.
    options : ImportOptions
        How the folder is to be understood.

    Raises
    ------
    FormatError
        If the folder cannot be read.
    TaskError
        If it is not of this recording, or has not what a scale needs.
    """
    found = read_phy(folder)
    check_recording(found, channels)
    algorithm = options.algorithm or found.sorter() or "phy"
    _check_scale(found, algorithm, options.uv_per_bit)
    return OutsideSorting(
        kind="phy",
        algorithm=algorithm,
        algorithm_version=algorithm,
        probe=units_of_phy(found, channels, algorithm, options.uv_per_bit),
        content_sha256=hash_content(
            json.dumps([found.labels, options.uv_per_bit], sort_keys=True),
            (found.samples, found.clusters, found.spike_templates, found.amplitudes),
            (found.templates, found.channel_map, found.whitening_inverse),
        ),
        written_at=modified_at(found.path / "spike_times.npy"),
        labels=found.labels,
        notes=_notes(found, algorithm, options.uv_per_bit),
    )


def check_recording(found: PhyFolder, channels: SortedProbe) -> None:
    """Raise if a folder cannot be of a recording.

    Parameters
    ----------
    found : PhyFolder
        The folder.
    channels : SortedProbe
        Channel table, rate and length of the recording.

    Raises
    ------
    TaskError
        What differs.
    """
    check_rate(found.sampling_rate_hz, channels, "params.py")
    n_channels = len(channels.coords_um)
    n_file = found.n_channels_file
    if n_file is not None and n_file not in (n_channels, n_channels + 1):
        raise TaskError(
            f"params.py says that the sorted file had {n_file} channels; the recording has "
            f"{n_channels}, and one for the sync line.",
            hint="A file with other columns was sorted, so that the channel map is of that file.",
        )
    rows = found.channel_map
    if rows is None and found.templates is not None and found.templates.shape[2] != n_channels:
        raise TaskError(
            f"The templates are of {found.templates.shape[2]} channels, the recording has "
            f"{n_channels}, and there is no channel_map.npy to say which.",
            hint="Add channel_map.npy of the sorter's folder.",
        )
    if rows is not None and len(rows) and (rows.min() < 0 or rows.max() >= n_channels):
        raise TaskError(
            f"channel_map.npy names channel {rows.max()}; the recording has {n_channels}.",
            hint="Is this the folder of another probe? Check --probe.",
        )


def units_of_phy(
    found: PhyFolder, channels: SortedProbe, algorithm: str, uv_per_bit: float | None
) -> SortedProbe:
    """Return the units of a folder on the channel table of their recording.

    A unit's waveform is the mean of its spikes' templates, whitening undone, each times its
    spike's amplitude where the scale is known. Its position is the centre of mass of the
    waveform's peak-to-peak on its shank; single spikes have none.

    Parameters
    ----------
    found : PhyFolder
        The folder.
    channels : SortedProbe
        The recording.
    algorithm : str
        What sorted.
    uv_per_bit : float or None
        uV of one unit of raw samples.
    """
    rows = np.arange(len(channels.coords_um)) if found.channel_map is None else found.channel_map
    templates, amplitudes = found.unwhitened(), found.amplitudes
    if templates is not None and amplitudes is not None and algorithm != "kilosort4":
        amplitudes = amplitudes * np.abs(templates).max(axis=(1, 2))[found.spike_templates]
    scaled = amplitudes if amplitudes is None else amplitudes * (uv_per_bit or 1.0)
    order = np.argsort(found.clusters, kind="stable")
    ids, starts = np.unique(found.clusters[order], return_index=True)
    units = []
    for unit_id, mine in zip(ids, np.split(order, starts[1:]), strict=False):
        waveform, used = _waveform(found, templates, mine, uv_per_bit)
        units.append(
            SortedUnit(
                samples=found.samples[mine],
                amplitudes_uv=None if scaled is None else scaled[mine].astype("float32"),
                positions_um=None,
                waveform_uv=waveform,
                waveform_channels=rows[used],
                noise_uv=None,
                unit_id=int(unit_id),
                in_uv=uv_per_bit is not None,
            )
        )
    heights = [np.abs(u.waveform_uv).max(axis=1) for u in units if u.waveform_uv is not None]
    return replace(
        channels,
        units=tuple(units),
        n_pre_samples=int(np.median(np.argmax(heights, axis=1))) if heights else 0,
        sorted_channels=rows,
    )


def _waveform(
    found: PhyFolder,
    templates: NDArray[np.float32] | None,
    mine: NDArray[np.int64],
    uv_per_bit: float | None,
) -> tuple[NDArray[np.float32] | None, NDArray[np.int64]]:
    """Return a unit's waveform where it is not small, and its places among the sorted channels."""
    if templates is None:
        return None, np.arange(0)
    factors = None if uv_per_bit is None else found.amplitudes
    whole = mean_template(templates, found.spike_templates, factors, mine) * (uv_per_bit or 1.0)
    height = np.ptp(whole, axis=0)
    used = np.flatnonzero(height >= WAVEFORM_SHARE * height.max())
    return whole[:, used].astype("float32"), used


def mean_template(
    templates: NDArray[np.float32],
    spike_templates: NDArray[np.int64],
    factors: NDArray[np.float64] | None,
    mine: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the mean of the templates of some spikes, each times its factor.

    Parameters
    ----------
    templates : ndarray, shape (n_templates, n_samples, n_channels)
        The templates.
    spike_templates : ndarray of int64, shape (n_spikes,)
        Template of each spike.
    factors : ndarray, shape (n_spikes,) or None
        None: each counts once.
    mine : ndarray of int64
        Which spikes.

    Returns
    -------
    ndarray of float64, shape (n_samples, n_channels)
    """
    of = spike_templates[mine]
    weights = np.bincount(of, None if factors is None else factors[mine]) / len(mine)
    used = np.flatnonzero(weights)
    mean: NDArray[np.float64] = np.tensordot(weights[used], templates[used], axes=1)
    return mean


def _check_scale(found: PhyFolder, algorithm: str, uv_per_bit: float | None) -> None:
    if uv_per_bit is None:
        return
    if algorithm == "kilosort4":
        raise TaskError(
            "The amplitudes of Kilosort 4 are no factors of its templates: uV cannot be made of "
            "them.",
            hint="Leave --uv-per-bit out.",
        )
    needed = {
        "amplitudes.npy": found.amplitudes,
        "templates.npy": found.templates,
        "whitening_mat_inv.npy": found.whitening_inverse,
    }
    for name, content in needed.items():
        if content is None:
            raise TaskError(f"--uv-per-bit needs {name}, which {found.path} has not.")


def _notes(found: PhyFolder, algorithm: str, uv_per_bit: float | None) -> tuple[str, ...]:
    notes = [f"no {name}" for name in found.missing]
    if uv_per_bit is None:
        notes.append("no scale: amplitudes and waveforms in uV are left empty")
    if found.templates is not None and found.whitening_inverse is None:
        notes.append("the shapes and places of units are of whitened templates")
    if algorithm == "phy":
        notes.append("nothing tells which program sorted; --algorithm names it")
    return tuple(notes)
