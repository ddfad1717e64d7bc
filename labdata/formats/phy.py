"""A folder of Kilosort or phy: spikes, templates, channels and the labels that people gave.

All versions of Kilosort, and what exports for phy, write the same files with small differences:
times as a column or flat, templates of all channels or of some (``templates_ind``), labels in one
file or in several. Here they come out in one form, and what was missing is told. ``params.py`` is
parsed, never run; arrays that hold Python objects are refused.
"""

from __future__ import annotations

import ast
import csv
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError

#: Files that only one sorter writes -> its name.
_SIGNS = {
    "kilosort4.log": "kilosort4",
    "spike_detection_templates.npy": "kilosort4",
    "kept_spikes.npy": "kilosort4",
    "full_st.npy": "kilosort4",
    "rez2.mat": "kilosort3",
    "rez.mat": "kilosort",
}
#: Columns of cluster_info.tsv that phy computes; the others are labels.
_COMPUTED = frozenset({"id", "cluster_id", "n_spikes", "fr", "ch", "sh", "depth", "amp"})

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PhyFolder:
    """What a folder holds.

    Attributes
    ----------
    path : Path
        The folder.
    params : dict
        The simple assignments of ``params.py``.
    samples : ndarray of int64, shape (n_spikes,)
        Spike times in samples, ascending.
    clusters, spike_templates : ndarray of int64, shape (n_spikes,)
        Cluster of each spike, after curation, and the template that found it.
    amplitudes : ndarray of float64, shape (n_spikes,) or None
        In the sorter's own unit, which is not uV.
    templates : ndarray of float32, shape (n_templates, n_samples, n_channels) or None
        Of all channels, as stored: whitened, of unknown scale.
    channel_map : ndarray of int64, shape (n_channels,) or None
        Columns of the recording that were sorted.
    channel_positions : ndarray of float64, shape (n_channels, 2) or None
        um, in the coordinates of the sorter.
    channel_shanks : ndarray of int64, shape (n_channels,) or None
        Shanks.
    whitening_inverse : ndarray of float64, shape (n_channels, n_channels) or None
        ``template @ whitening_inverse`` undoes the whitening.
    labels : dict of str to dict of int to str
        Name of a label (``group``, ``KSLabel``, ...) -> cluster -> its value.
    missing : tuple of str
        Files that a folder usually has and this one has not.
    """

    path: Path
    params: dict[str, Any]
    samples: IntArray
    clusters: IntArray
    spike_templates: IntArray
    amplitudes: NDArray[np.float64] | None = None
    templates: FloatArray | None = None
    channel_map: IntArray | None = None
    channel_positions: NDArray[np.float64] | None = None
    channel_shanks: IntArray | None = None
    whitening_inverse: NDArray[np.float64] | None = None
    labels: dict[str, dict[int, str]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    @property
    def sampling_rate_hz(self) -> float | None:
        """The rate that params.py tells; None without it."""
        rate = self.params.get("sample_rate")
        is_rate = isinstance(rate, int | float) and not isinstance(rate, bool) and rate > 0
        return float(rate) if is_rate else None  # type: ignore[arg-type]

    @property
    def n_channels_file(self) -> int | None:
        """Columns of the raw file that params.py tells; None without it."""
        count = self.params.get("n_channels_dat")
        return count if isinstance(count, int) and not isinstance(count, bool) else None

    @property
    def unit_ids(self) -> IntArray:
        """Clusters that have spikes, ascending."""
        return np.unique(self.clusters)

    def sorter(self) -> str | None:
        """Return the sorter that the folder's files tell of; None if they do not."""
        found = (name for sign, name in _SIGNS.items() if (self.path / sign).exists())
        return next(found, None)

    def label(self, cluster: int) -> str | None:
        """Return a cluster's label: what a person said (``group``), else the sorter (``KSLabel``).

        Parameters
        ----------
        cluster : int
            Its number.
        """
        for name in ("group", "KSLabel"):
            value = self.labels.get(name, {}).get(cluster)
            if value and value != "unsorted":
                return value
        return None

    def unwhitened(self) -> FloatArray | None:
        """Return the templates with the whitening undone, as stored where it is not known.

        Returns
        -------
        ndarray of float32, shape (n_templates, n_samples, n_channels) or None
        """
        if self.templates is None or self.whitening_inverse is None:
            return self.templates
        undone: FloatArray = self.templates @ self.whitening_inverse.astype("float32")
        return undone


def read_phy(folder: str | Path) -> PhyFolder:
    """Read a folder of Kilosort or phy.

    Parameters
    ----------
    folder : str or Path
        With ``spike_times.npy`` and ``spike_clusters.npy`` or ``spike_templates.npy``.

    Returns
    -------
    PhyFolder

    Raises
    ------
    FormatError
        If what is necessary is missing, or files contradict each other.
    """
    path = Path(folder)
    times = _column(path, "spike_times")
    if times is None:
        raise FormatError(
            f"{path} has no spike_times.npy.",
            hint="Name the folder that Kilosort or phy wrote to.",
        )
    clusters, templates_of = _column(path, "spike_clusters"), _column(path, "spike_templates")
    if clusters is None and templates_of is None:
        raise FormatError(f"{path} has neither spike_clusters.npy nor spike_templates.npy.")
    of_spikes = {
        "spike_clusters": clusters,
        "spike_templates": templates_of,
        "amplitudes": _column(path, "amplitudes", whole=False),
    }
    missing = [f"{name}.npy" for name, content in of_spikes.items() if content is None]
    order = np.argsort(times, kind="stable")
    for name, content in of_spikes.items():
        _check_length(path, name, content, len(times))
        of_spikes[name] = None if content is None else content[order]
    found = PhyFolder(
        path=path,
        params=read_params(path / "params.py"),
        samples=times[order],
        clusters=_first_of(of_spikes, "spike_clusters", "spike_templates"),
        spike_templates=_first_of(of_spikes, "spike_templates", "spike_clusters"),
        amplitudes=of_spikes["amplitudes"],
        labels=read_labels(path),
        **_channels(path),
    )
    _check_fit(found)
    return replace(found, missing=(*missing, *_absent(found)))


def _first_of(columns: dict[str, NDArray[Any] | None], first: str, other: str) -> NDArray[Any]:
    found = columns[first] if columns[first] is not None else columns[other]
    assert found is not None, "one of the two was checked to be there"
    return found


def read_params(path: Path) -> dict[str, Any]:
    """Return the simple assignments of a ``params.py``, which is parsed and never run.

    Parameters
    ----------
    path : Path
        The file; one that is not there has none.

    Returns
    -------
    dict
        Names to numbers, texts, lists. What is no literal is left out.

    Raises
    ------
    FormatError
        If it is not Python.
    """
    if not path.is_file():
        return {}
    try:
        tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
    except (SyntaxError, ValueError) as error:
        raise FormatError(f"{path} cannot be read: {error}.") from None
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                found[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue  # an expression; nothing is computed here
    return found


def read_labels(folder: Path) -> dict[str, dict[int, str]]:
    """Return the labels of clusters, from ``cluster_info.tsv`` and every ``cluster_*.tsv``.

    Parameters
    ----------
    folder : Path
        The folder.

    Returns
    -------
    dict of str to dict of int to str
        Name of the label -> cluster -> value. A file of its own counts more than cluster_info,
        which phy writes only now and then.

    Raises
    ------
    FormatError
        If a file does not begin with the number of a cluster in each line.
    """
    paths = sorted(p for end in ("csv", "tsv") for p in folder.glob(f"cluster_*.{end}"))
    paths.sort(key=lambda p: p.stem != "cluster_info")
    labels: dict[str, dict[int, str]] = {}
    for path in paths:
        for cluster, name, value in _label_rows(path):
            labels.setdefault(name, {})[cluster] = value
    return labels


def _label_rows(path: Path) -> Iterator[tuple[int, str, str]]:
    text = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    # old versions of phy wrote tabs in files named .csv
    tab = "\t" if text and "\t" in text[0] else ","
    for number, row in enumerate(csv.DictReader(text, delimiter=tab), 2):
        cluster = row.get("cluster_id") or row.get("id") or ""
        if not cluster.strip().isdigit():
            raise FormatError(
                f"Line {number} of {path.name} has no number of a cluster: {cluster!r}.",
                hint="Its first line names the columns: cluster_id and a label, a tab between.",
            )
        for name, value in row.items():
            if name and name not in _COMPUTED and isinstance(value, str) and value.strip():
                yield int(cluster), name, value.strip()


def _load(folder: Path, name: str) -> NDArray[Any] | None:
    path = folder / f"{name}.npy"
    if not path.is_file():
        return None
    try:
        loaded: NDArray[Any] = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise FormatError(f"{path} cannot be read: {error}.") from None
    return loaded


def _column(folder: Path, name: str, *, whole: bool = True) -> NDArray[Any] | None:
    """Return a file of one value a spike or channel, flat; whole numbers as int64."""
    loaded = _load(folder, name)
    if loaded is None:
        return None
    flat = loaded.reshape(-1)
    if loaded.size != max(loaded.shape, default=0) or flat.dtype.kind not in "iuf":
        raise FormatError(
            f"{name}.npy of {folder} is {loaded.dtype} of shape {loaded.shape}, not one number "
            "for each."
        )
    if not whole:
        return flat.astype("float64")
    if flat.dtype.kind == "f" and not np.array_equal(flat, np.rint(flat)):
        raise FormatError(
            f"{name}.npy of {folder} has fractions; it must hold whole numbers.",
            hint="Times are in samples there, not in seconds." if name == "spike_times" else None,
        )
    return flat.astype("int64")


def _channels(folder: Path) -> dict[str, Any]:
    positions = _load(folder, "channel_positions")
    shanks = _column(folder, "channel_shanks")
    return {
        "templates": _dense_templates(folder),
        "channel_map": _column(folder, "channel_map"),
        "channel_positions": None if positions is None else positions.astype("float64"),
        "channel_shanks": shanks,
        "whitening_inverse": _load(folder, "whitening_mat_inv"),
    }


def _dense_templates(folder: Path) -> FloatArray | None:
    """Return the templates on all channels, those of some channels filled up by zeros."""
    stored, columns = _load(folder, "templates"), _load(folder, "templates_ind")
    if stored is None:
        return None
    if stored.ndim != 3:
        raise FormatError(f"templates.npy of {folder} has shape {stored.shape}, not three axes.")
    mapped = _column(folder, "channel_map")
    if columns is None or mapped is None:
        return stored.astype("float32")
    if columns.shape != (stored.shape[0], stored.shape[2]):
        raise FormatError(
            f"templates_ind.npy of {folder} has shape {columns.shape}, which does not fit "
            f"templates.npy of shape {stored.shape}."
        )
    columns = columns.astype("int64")
    dense = np.zeros((*stored.shape[:2], len(mapped)), "float32")
    for number, used in enumerate((columns >= 0) & (columns < len(mapped))):
        dense[number][:, columns[number, used]] = stored[number][:, used]
    return dense


def _check_length(path: Path, name: str, content: NDArray[Any] | None, n_spikes: int) -> None:
    if content is not None and len(content) != n_spikes:
        raise FormatError(
            f"{name}.npy of {path} has {len(content)} values for {n_spikes} spikes.",
            hint="Was the folder copied while it was written, or mixed from two sortings?",
        )


def _absent(found: PhyFolder) -> list[str]:
    content = {
        "params.py": found.params or None,
        "templates.npy": found.templates,
        "channel_map.npy": found.channel_map,
        "channel_positions.npy": found.channel_positions,
        "whitening_mat_inv.npy": found.whitening_inverse,
    }
    return [name for name, value in content.items() if value is None]


def _check_fit(found: PhyFolder) -> None:
    """Raise if files of channels and templates are of different sizes."""
    n_channels = None if found.templates is None else found.templates.shape[2]
    square = found.whitening_inverse
    for name, content, axes in (
        ("channel_map", found.channel_map, 1),
        ("channel_positions", found.channel_positions, 2),
        ("channel_shanks", found.channel_shanks, 1),
        ("whitening_mat_inv", square, 2),
    ):
        if content is not None and (
            content.ndim != axes or n_channels not in (None, len(content))
        ):
            raise FormatError(
                f"{name}.npy of {found.path} has shape {content.shape} for templates of "
                f"{n_channels} channels."
            )
    if found.templates is not None and len(found.samples):
        used = found.spike_templates
        if used.min() < 0 or used.max() >= len(found.templates):
            raise FormatError(
                f"spike_templates.npy of {found.path} names template {used.max()}, and there are "
                f"{len(found.templates)}."
            )
