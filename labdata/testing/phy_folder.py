"""A small folder as Kilosort and phy write it, with known spikes, templates and labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def write_phy_folder(
    folder: str | Path,
    trains: dict[int, NDArray[np.int64]],
    *,
    n_channels: int = 8,
    sampling_rate_hz: float = 30000.0,
    labels: dict[int, str] | None = None,
    sparse: bool = False,
    whitened: bool = False,
) -> NDArray[np.float32]:
    """Write a folder; unit number `k` in order has its largest template on channel `k`.

    Parameters
    ----------
    folder : str or Path
        Made if need be.
    trains : dict of int to ndarray of int64
        Cluster to its spike samples.
    n_channels : int, optional
        Channels, 20 um apart in a column.
    sampling_rate_hz : float, optional
        Told by params.py.
    labels : dict of int to str, optional
        Written to ``cluster_group.tsv``.
    sparse : bool, optional
        Keep three channels a template, named by ``templates_ind.npy``; unused ones are -1.
    whitened : bool, optional
        Halve the templates and say so by ``whitening_mat_inv.npy``.

    Returns
    -------
    ndarray of float32, shape (n_units, 61, n_channels)
        The templates, whitening undone.
    """
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    ids = sorted(trains)
    times = np.concatenate([np.empty(0, "int64"), *(trains[k] for k in ids)])
    which = np.repeat(np.arange(len(ids)), [len(trains[k]) for k in ids])
    order = np.argsort(times, kind="stable")
    templates = make_templates(len(ids), n_channels)
    stored = templates * np.float32(0.5 if whitened else 1.0)
    arrays = {
        "spike_times": times[order].astype("uint64")[:, None],
        "spike_templates": which[order].astype("uint32")[:, None],
        "spike_clusters": np.array(ids, "int32")[which[order]],
        "amplitudes": np.linspace(0.9, 1.1, len(times))[:, None],
        "templates": stored,
        "channel_map": np.arange(n_channels, dtype="int32")[:, None],
        "channel_positions": np.column_stack([np.zeros(n_channels), 20.0 * np.arange(n_channels)]),
        "whitening_mat_inv": np.eye(n_channels) * (2.0 if whitened else 1.0),
    }
    if sparse:
        arrays |= _keep_three(stored)
    for name, content in arrays.items():
        np.save(path / f"{name}.npy", content)
    (path / "params.py").write_text(
        f"dat_path = ['run.ap.bin']\nn_channels_dat = {n_channels + 1}\ndtype = 'int16'\n"
        f"offset = 0\nsample_rate = {sampling_rate_hz!r}\nhp_filtered = False\n"
    )
    if labels:
        lines = [f"{cluster}\t{label}" for cluster, label in labels.items()]
        (path / "cluster_group.tsv").write_text("\n".join(["cluster_id\tgroup", *lines]) + "\n")
    return templates


def make_templates(n_units: int, n_channels: int) -> NDArray[np.float32]:
    """Return templates of 61 samples: a trough at sample 20, a peak at 30, on three channels.

    Parameters
    ----------
    n_units, n_channels : int
        How many; unit ``k`` is largest on channel ``k % n_channels``.
    """
    course = np.zeros(61)
    course[18:23] = [-20.0, -60.0, -100.0, -60.0, -20.0]
    course[28:33] = [5.0, 20.0, 30.0, 20.0, 5.0]
    distance = np.abs(np.arange(n_channels) - (np.arange(n_units) % n_channels)[:, None])
    weights = np.select([distance == 0, distance == 1], [1.0, 0.4])
    made: NDArray[np.float32] = np.einsum("t,uc->utc", course, weights).astype("float32")
    return made


def _keep_three(templates: NDArray[np.float32]) -> dict[str, NDArray[np.generic]]:
    height = np.ptp(templates, axis=1)
    columns = np.argsort(-height, axis=1, kind="stable")[:, :3]
    kept = np.take_along_axis(templates, columns[:, None, :], axis=2)
    columns = np.where(np.take_along_axis(height, columns, axis=1) > 0, columns, -1)
    return {"templates": kept, "templates_ind": columns.astype("float64")}
