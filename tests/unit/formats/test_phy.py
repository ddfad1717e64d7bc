"""Folders of Kilosort and phy against what was written, and a real one against known numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from labdata.errors import FormatError
from labdata.formats.phy import read_params, read_phy
from labdata.testing import write_phy_folder

SHARED = Path(__file__).parents[3].parent / "shared" / "data"
TOY = SHARED / "kilosort" / "bombcell_toy"
TRAINS = {3: np.array([100, 900, 5000]), 7: np.array([50, 5000, 70000]), 12: np.array([4])}


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("whitened", [False, True])
def test_what_was_written_is_read(tmp_path: Path, sparse: bool, whitened: bool) -> None:
    templates = write_phy_folder(
        tmp_path, TRAINS, labels={3: "good", 7: "mua"}, sparse=sparse, whitened=whitened
    )
    found = read_phy(tmp_path)
    assert found.unit_ids.tolist() == [3, 7, 12]
    for unit, train in TRAINS.items():
        assert found.samples[found.clusters == unit].tolist() == train.tolist()
    assert np.all(np.diff(found.samples) >= 0) and found.samples.dtype == np.int64
    assert np.allclose(found.unwhitened(), templates)
    assert found.sampling_rate_hz == 30000.0 and found.n_channels_file == 9
    assert [found.label(u) for u in (3, 7, 12)] == ["good", "mua", None]
    assert found.missing == () and found.sorter() is None


def test_times_out_of_order_keep_their_clusters(tmp_path: Path) -> None:
    write_phy_folder(tmp_path, TRAINS)
    for name in ("spike_times", "spike_clusters", "spike_templates", "amplitudes"):
        np.save(tmp_path / f"{name}.npy", np.load(tmp_path / f"{name}.npy")[::-1].ravel())
    found = read_phy(tmp_path)
    assert found.samples[found.clusters == 7].tolist() == TRAINS[7].tolist()


def test_what_is_missing_is_told_and_replaced(tmp_path: Path) -> None:
    write_phy_folder(tmp_path, TRAINS)
    for name in ("spike_clusters.npy", "amplitudes.npy", "params.py", "whitening_mat_inv.npy"):
        (tmp_path / name).unlink()
    found = read_phy(tmp_path)
    assert set(found.missing) == {
        *("spike_clusters.npy", "amplitudes.npy", "params.py", "whitening_mat_inv.npy")
    }
    assert found.unit_ids.tolist() == [0, 1, 2]
    assert found.sampling_rate_hz is None and found.n_channels_file is None
    (tmp_path / "spike_templates.npy").unlink()
    with pytest.raises(FormatError, match="neither"):
        read_phy(tmp_path)


@pytest.mark.parametrize(
    "name,content,said",
    [
        ("spike_times", np.array([0.5]), "fractions"),
        ("spike_times", np.zeros((3, 2), int), "not one number"),
        ("spike_clusters", np.zeros(3, int), "3 values for 7 spikes"),
        ("spike_templates", np.full(7, 9), "template 9"),
        ("spike_times", np.array([{}], dtype=object), "cannot be read"),
        ("channel_positions", np.zeros((3, 2)), "shape"),
        ("templates", np.zeros((3, 61)), "three axes"),
    ],
)
def test_contradictions_are_refused(tmp_path, name, content, said) -> None:
    write_phy_folder(tmp_path, TRAINS)
    np.save(tmp_path / f"{name}.npy", content, allow_pickle=True)
    with pytest.raises(FormatError, match=said):
        read_phy(tmp_path)
    with pytest.raises(FormatError, match="no spike_times"):
        read_phy(tmp_path / "elsewhere")


def test_params_are_parsed_and_never_run(tmp_path: Path) -> None:
    path = tmp_path / "params.py"
    path.write_text(
        "import os\nos.mkdir('made')\nsample_rate = 2.5e4\ndat_path = r'C:\\x.bin'\n"
        "n_channels_dat = 192 + 192\nx = open('y', 'w')\n"
    )
    assert read_params(path) == {"sample_rate": 2.5e4, "dat_path": "C:\\x.bin"}
    assert list(tmp_path.iterdir()) == [path]
    path.write_text("sample_rate = = 3")
    with pytest.raises(FormatError, match="cannot be read"):
        read_params(path)


def test_labels_of_people_go_before_the_sorters(tmp_path: Path) -> None:
    write_phy_folder(tmp_path, TRAINS, labels={3: "noise", 7: "unsorted"})
    (tmp_path / "cluster_KSLabel.tsv").write_text("cluster_id\tKSLabel\n3\tgood\n7\tmua\n")
    (tmp_path / "cluster_info.tsv").write_text(
        "cluster_id\tamp\tgroup\tquality\n3\t1.5\tgood\tfine\n12\t2.0\t\t\n"
    )
    found = read_phy(tmp_path)
    assert [found.label(u) for u in (3, 7, 12)] == ["noise", "mua", None]
    assert found.labels["quality"] == {3: "fine"} and "amp" not in found.labels
    (tmp_path / "cluster_own.tsv").write_text("cell\tvalue\na\tb\n")
    with pytest.raises(FormatError, match=r"Line 2 of cluster_own\.tsv"):
        read_phy(tmp_path)


def test_the_sorter_is_told_by_its_files(tmp_path: Path) -> None:
    write_phy_folder(tmp_path, TRAINS)
    (tmp_path / "rez.mat").touch()
    assert read_phy(tmp_path).sorter() == "kilosort"
    (tmp_path / "kilosort4.log").touch()
    assert read_phy(tmp_path).sorter() == "kilosort4"


@pytest.mark.skipif(not TOY.is_dir(), reason="the real Kilosort folder is not here")
def test_a_real_folder() -> None:
    expected = json.loads((SHARED / "expected_other.json").read_text())["kilosort"]
    expected = expected["kilosort/bombcell_toy"]
    found = read_phy(TOY)
    assert len(found.samples) == expected["n_spikes"]
    assert found.templates is not None and found.channel_positions is not None
    n_templates, n_samples, n_channels = found.templates.shape
    assert (n_templates, n_samples) == (expected["n_templates"], expected["n_samples"])
    assert n_channels == expected["n_channels"]
    peaks = np.argmax(np.ptp(found.templates, axis=1), axis=1)
    assert peaks.tolist() == expected["template_peak_channel"]
    assert found.channel_positions[peaks].tolist() == expected["template_peak_xy"]
    counts = {str(u): int(np.sum(found.clusters == u)) for u in found.unit_ids}
    assert counts == {u: facts["n"] for u, facts in expected["units"].items()}
