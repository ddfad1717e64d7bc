"""What SpikeInterface saved of a sorting: an analyzer, a sorter's output, or the spikes alone.

Read from the files themselves, so that SpikeInterface need not be installed, of the version that
wrote them or at all. Nothing that is pickled is opened: a pickle runs what it holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError
from ._saved_tree import SavedTree, open_tree

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: What is told of each spike.
_SPIKE = ("sample_index", "unit_index", "segment_index")
#: Texts of units that place them, and say nothing of their quality.
_NO_LABELS = ("main_channel_id", "original_cluster_id", "channel_group")


@dataclass(frozen=True, eq=False)
class AnalyzerFolder:
    """What a folder holds.

    Attributes
    ----------
    path : Path
        The folder.
    kind : {"analyzer", "sorter output", "sorting"}
        What was saved.
    unit_names : tuple of int or str
        Labels of the units.
    samples : ndarray of int64, shape (n_spikes,)
        Spike times in samples of the segments one after another, ascending.
    units : ndarray of int64, shape (n_spikes,)
        Place of each spike's unit in `unit_names`.
    sampling_rate_hz : float
        Their rate.
    n_samples : tuple of int or None
        Length of each segment, where it is told.
    channel_ids : tuple of str
        Names of the recording's channels; empty where they are not told.
    positions_um : ndarray of float64, shape (n_channels, 2) or None
        Their places.
    in_uv : bool
        Whether amplitudes, templates and noise are in uV.
    amplitudes : ndarray of float64, shape (n_spikes,) or None
        As stored: negative for a trough.
    locations_um : ndarray of float64, shape (n_spikes, 2) or None
        x and depth of each spike.
    templates : ndarray of float64, shape (n_units, n_times, n_channels) or None
        Medians, else means.
    n_pre_samples : int
        Samples of a template before the spike.
    noise : ndarray of float64, shape (n_channels,) or None
        Noise of each channel.
    labels : dict of str to dict of int to str
        Name of a property -> place of a unit -> its text.
    metrics : dict of str to list of float or None
        Name of a quality metric -> its value of each unit.
    sorter, sorter_version : str or None
        What sorted.
    parameters : dict
        Of the sorter.
    missing : tuple of str
        Extensions that are usual and not there.
    """

    path: Path
    kind: str
    unit_names: tuple[int | str, ...]
    samples: IntArray
    units: IntArray
    sampling_rate_hz: float
    n_samples: tuple[int, ...] | None = None
    channel_ids: tuple[str, ...] = ()
    positions_um: FloatArray | None = None
    in_uv: bool = False
    amplitudes: FloatArray | None = None
    locations_um: FloatArray | None = None
    templates: FloatArray | None = None
    n_pre_samples: int = 0
    noise: FloatArray | None = None
    labels: dict[str, dict[int, str]] = field(default_factory=dict)
    metrics: dict[str, list[float | None]] = field(default_factory=dict)
    sorter: str | None = None
    sorter_version: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


def read_analyzer(folder: str | Path) -> AnalyzerFolder:
    """Read a SortingAnalyzer (``binary_folder`` or ``zarr``), a sorter's output, or saved spikes.

    Parameters
    ----------
    folder : str or Path
        The folder.

    Returns
    -------
    AnalyzerFolder

    Raises
    ------
    FormatError
        If it is none of them, or its files contradict each other.
    """
    path = Path(folder)
    tree = open_tree(path)
    if tree.record("recording_info/recording_attributes"):
        return _read_analyzer(tree)
    if (path / "spikeinterface_log.json").is_file():
        return _read_sorter_output(path)
    if (path / "numpysorting_info.json").is_file():
        spikes = _read_spikes(open_tree(path.parent), path.name, None)
        return AnalyzerFolder(path=path, kind="sorting", **spikes)
    raise FormatError(
        f"{path} is no SortingAnalyzer, no output of a sorter and no saved sorting of "
        "SpikeInterface.",
        hint="Name the folder that was given to create_sorting_analyzer, run_sorter or "
        "sorting.save. For a folder of Kilosort or phy it is `labdata import phy`.",
    )


def _read_analyzer(tree: SavedTree) -> AnalyzerFolder:
    described = tree.record("recording_info/recording_attributes")
    settings = tree.record("settings")
    n_samples = tuple(int(n) for n in described["num_samples"])
    spikes = _read_spikes(tree, "sorting", n_samples)
    n_spikes, n_units = len(spikes["samples"]), len(spikes["unit_names"])
    channel_ids = tuple(str(name) for name in described["channel_ids"])
    order = spikes.pop("order")
    found: dict[str, Any] = {
        "amplitudes": _floats(tree, "spike_amplitudes/amplitudes", (n_spikes,)),
        "locations_um": _locations(tree, n_spikes),
        "noise": _floats(tree, "noise_levels/noise_levels", (len(channel_ids),)),
        "templates": _templates(tree, n_units, len(channel_ids)),
    }
    for name in ("amplitudes", "locations_um"):
        if found[name] is not None:
            found[name] = found[name][order]
    metrics = _metrics(tree, spikes["unit_names"])
    usual = {
        "spike_amplitudes": found["amplitudes"],
        "spike_locations": found["locations_um"],
        "templates": found["templates"],
        "noise_levels": found["noise"],
        "quality_metrics": metrics or None,
    }
    before_ms = tree.record("extensions/templates/params").get("ms_before", 0.0)
    return AnalyzerFolder(
        path=tree.path,
        kind="analyzer",
        n_samples=n_samples,
        channel_ids=channel_ids,
        positions_um=_positions(tree, len(channel_ids)),
        in_uv=bool(settings.get("return_in_uV", settings.get("return_scaled", False))),
        n_pre_samples=int(before_ms * spikes["sampling_rate_hz"] / 1000.0),
        metrics=metrics,
        missing=tuple(name for name, content in usual.items() if content is None),
        **spikes,
        **found,
    )


def _read_sorter_output(path: Path) -> AnalyzerFolder:
    tree = open_tree(path)
    log, described = tree.record("spikeinterface_log"), tree.record("recording_attributes")
    if log.get("error"):
        raise FormatError(f"The sorter failed in {path}; there is no result to import.")
    if not (path / "sorter_output" / "sorting" / "numpysorting_info.json").is_file():
        kilosort = (path / "sorter_output" / "spike_times.npy").is_file()
        raise FormatError(
            f"{path} holds the output of {log.get('sorter_name')} in the sorter's own form.",
            hint=f"`labdata import phy {path / 'sorter_output'}` reads it."
            if kilosort
            else "Save what spikeinterface reads of it: read_sorter_folder(...).save(folder=...)",
        )
    lengths = described.get("num_samples")
    n_samples = tuple(int(n) for n in lengths) if isinstance(lengths, list) else None
    spikes = _read_spikes(tree, "sorter_output/sorting", n_samples)
    spikes.pop("order", None)
    return AnalyzerFolder(
        path=path,
        kind="sorter output",
        n_samples=n_samples,
        sorter=log.get("sorter_name"),
        sorter_version=log.get("sorter_version"),
        parameters=dict(tree.record("spikeinterface_params").get("sorter_params", {})),
        **spikes,
    )


def _read_spikes(tree: SavedTree, group: str, n_samples: tuple[int, ...] | None) -> dict[str, Any]:
    """Return spikes, units and their labels; with ``order``, how the stored ones were sorted."""
    info = tree.record(f"{group}/numpysorting_info")
    if info:
        names = info["unit_ids"]
        stored = tree.array(f"{group}/spikes")
        fields = {} if stored is None else {n: stored[n] for n in stored.dtype.names or ()}
        wanted = [fields.get(name) for name in _SPIKE]
    else:
        names = tree.array(f"{group}/unit_ids")
        info = tree.record(group)
        wanted = [tree.array(f"{group}/spikes/{name}") for name in _SPIKE[:2]]
        wanted.append(_segment_of(tree.array(f"{group}/spikes/segment_slices")))
    if names is None or any(column is None for column in wanted):
        raise FormatError(
            f"{tree.path} has no spikes in {group}.", hint="Was it copied while it was written?"
        )
    own, units, segments = (np.asarray(column).astype("int64") for column in wanted)
    unit_names = tuple(name.item() if hasattr(name, "item") else name for name in names)
    if len(units) and (units.min() < 0 or units.max() >= len(unit_names)):
        raise FormatError(f"{tree.path} has a spike of unit {units.max()}, of {len(unit_names)}.")
    samples = own + _offsets(tree.path, int(info["num_segments"]), n_samples)[segments]
    order = np.argsort(samples, kind="stable")
    found = {
        "unit_names": unit_names,
        "samples": samples[order],
        "units": units[order],
        "sampling_rate_hz": float(info["sampling_frequency"]),
        "labels": _labels(tree, f"{group}/properties", len(unit_names)),
    }
    return found | ({"order": order} if n_samples is not None else {})


def _segment_of(slices: NDArray[Any] | None) -> NDArray[Any] | None:
    if slices is None:
        return None
    return np.repeat(np.arange(len(slices)), slices[:, 1] - slices[:, 0])


def _offsets(path: Path, n_segments: int, n_samples: tuple[int, ...] | None) -> IntArray:
    """Return where each segment begins in all of them one after another."""
    if n_segments > 1 and (n_samples is None or len(n_samples) != n_segments):
        raise FormatError(
            f"{path} has spikes of {n_segments} segments, and does not tell how long they are.",
            hint="Import the SortingAnalyzer of it, which does.",
        )
    lengths = n_samples[:-1] if n_samples else ()
    return np.concatenate([[0], np.cumsum(lengths, dtype="int64")]).astype("int64")


def _floats(tree: SavedTree, name: str, shape: tuple[int, ...]) -> FloatArray | None:
    stored = tree.array(f"extensions/{name}")
    if stored is None:
        return None
    if stored.shape != shape:
        raise FormatError(
            f"{name} of {tree.path} has shape {stored.shape}, not {shape}.",
            hint="Was the analyzer changed after this was computed? Compute it again.",
        )
    return stored.astype("float64")


def _locations(tree: SavedTree, n_spikes: int) -> FloatArray | None:
    stored = tree.array("extensions/spike_locations/spike_locations")
    if stored is None:
        return None
    if stored.dtype.names is None or len(stored) != n_spikes:
        raise FormatError(f"spike_locations of {tree.path} are not those of {n_spikes} spikes.")
    return np.column_stack([stored["x"], stored["y"]]).astype("float64")


def _templates(tree: SavedTree, n_units: int, n_channels: int) -> FloatArray | None:
    for kind in ("median", "average"):
        stored = tree.array(f"extensions/templates/{kind}")
        if stored is not None:
            return _floats(tree, f"templates/{kind}", (n_units, stored.shape[1], n_channels))
    return None


def _positions(tree: SavedTree, n_channels: int) -> FloatArray | None:
    from probeinterface import ProbeGroup

    described = tree.record("recording_info/probegroup")
    if not described:
        return None
    contacts = ProbeGroup.from_dict(described).to_numpy(complete=True)
    contacts = contacts[np.argsort(contacts["device_channel_indices"])]
    if len(contacts) != n_channels:
        raise FormatError(f"{tree.path} has {len(contacts)} contacts for {n_channels} channels.")
    return np.column_stack([contacts["x"], contacts["y"]]).astype("float64")


def _labels(tree: SavedTree, group: str, n_units: int) -> dict[str, dict[int, str]]:
    """Return the properties of units that are texts, without the empty ones."""
    labels = {}
    for name in tree.names(group):
        values = None if name in _NO_LABELS else tree.array(f"{group}/{name}")
        if values is not None and values.dtype.kind == "U" and values.shape == (n_units,):
            labels[name] = {place: str(text) for place, text in enumerate(values) if text}
    return labels


def _metrics(tree: SavedTree, names: tuple[int | str, ...]) -> dict[str, list[float | None]]:
    columns = tree.table("extensions/quality_metrics/metrics")
    index = columns.pop("index", None)
    if index is None or [str(one) for one in index] != [str(one) for one in names]:
        return {}
    return {name: [_number(value) for value in column] for name, column in columns.items()}


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return {"True": 1.0, "False": 0.0}.get(str(value))
    return number if np.isfinite(number) else None
