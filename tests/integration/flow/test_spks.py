"""``labdata run spks``, with a package that writes what spks and Kilosort write.

The package itself is on no registry and needs Kilosort; a module of its name stands in, which
keeps its calls. What is compared is what labdata hands over, and what becomes of such a folder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest

from labdata.testing import write_phy_folder, write_spikeglx_run

pytest.importorskip("spikeinterface", reason="needs SpikeInterface")
pytestmark = [pytest.mark.sorting, pytest.mark.slow]

KEY = {"subject_name": "JC1", "session_name": "20240305_100000", "dataset_name": "ephys_g0"}
RUN = ["run", "spks", "-a", "JC1", "--n-jobs", "1", "--device", "cpu"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return write_spikeglx_run(folder, run_name="ephys", duration_s=8.0, n_channels=8, n_units=3)


class FakeSpks:
    """Finds the planted units, one spike of each twice, under clusters 4, 7 and 11."""

    clusters: ClassVar = (4, 7, 11)

    def __init__(self, run: Any) -> None:
        probe = run.probes[0]
        self.trains = {c: probe.unit_samples(u) for u, c in enumerate(self.clusters)}
        self.calls: list[dict[str, Any]] = []
        self.raw: list[bytes] = []
        self.removed: list[dict[str, Any]] = []
        self.fails = False

    def run_kilosort(self, **given: Any) -> str:
        self.calls.append(given)
        for name in given["sessionfiles"]:
            self.raw.append(Path(name).read_bytes())
            assert Path(name).with_suffix(".meta").is_file()
        folder = Path(given["foldername"])
        folder.mkdir(parents=True)
        (folder / "filtered_recording.None.bin").write_bytes(b"\0" * 32)
        (folder / "filtered_recording.None.metadata.hdf").write_bytes(b"hdf")
        if self.fails:
            sys.stdout.write("no CUDA for Kilosort\n")
            return str(folder)
        twice = {c: np.sort(np.append(t, t[:1])) for c, t in self.trains.items()}
        write_phy_folder(folder, twice, n_channels=8)
        labels = "".join(f"{c}\tgood\n" for c in self.clusters[:2])
        (folder / "cluster_KSLabel.tsv").write_text(f"cluster_id\tKSLabel\n{labels}")
        return str(folder)

    def remove(self, folder: Path, **given: Any) -> None:
        """As Clusters.remove_duplicate_spikes: the files are written anew."""
        self.removed.append(given)
        write_phy_folder(folder, self.trains, n_channels=8)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fake = self

        class Clusters:
            def __init__(self, folder: Path, **given: Any) -> None:
                assert given["load_template_features"]
                self.folder = folder

            def remove_duplicate_spikes(self, **given: Any) -> None:
                fake.remove(self.folder, **given)

        package, sorting, clusters = map(ModuleType, ("spks", "spks.sorting", "spks.clusters"))
        package.__spec__ = json.__spec__  # found by find_spec
        sorting.run_kilosort = self.run_kilosort  # type: ignore[attr-defined]
        clusters.Clusters = Clusters  # type: ignore[attr-defined]
        for module in (package, sorting, clusters):
            monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.fixture
def recorded(lab_rig, run):
    lab_rig.upload(lab_rig.put(lab_rig.record(run.run_folder)))
    return lab_rig


@pytest.fixture
def spks(recorded, run, monkeypatch):
    fake = FakeSpks(run)
    fake.install(monkeypatch)
    return fake


def test_without_spks_it_is_said_how_to_get_it(recorded, typed, told):
    assert "spks" not in sys.modules
    said = typed(*RUN, code=1).err
    assert "spks is not installed" in said and "github.com/spkware/spks" in said
    assert "--sorter kilosort4" in said
    assert len(recorded.lab.ComputeTask()) == 0


def test_clusters_become_units_measured_on_the_raw_recording(recorded, run, spks, typed, told):
    typed(*RUN, "--remove-cross-unit-duplicates", "--motion-correction", "0")
    lab = recorded.lab
    units = lab.SpikeSorting.Unit.fetch(as_dict=True, order_by="unit_id")
    assert [u["unit_id"] for u in units] == [4, 7, 11]
    n_samples = run.probes[0].clock.n_samples
    for unit in units:
        train = spks.trains[unit["unit_id"]]
        assert unit["spike_times"].tolist() == train[train < n_samples].tolist()
        assert unit["spike_amplitudes"].min() > 0
    probe = run.probes[0]
    for number, cluster in enumerate(FakeSpks.clusters):
        row = (lab.UnitMetrics & {"unit_id": cluster}).fetch1()
        assert abs(row["depth"] - probe.unit_positions_um[number][1]) < 40
    assert len(lab.SpikeSorting.Waveforms()) == 3
    sorting = (lab.SpikeSorting * lab.SpikeSortingParams).fetch1()
    assert sorting["algorithm_name"] == "spks_kilosort4.0"
    # as older labs recorded it
    assert sorting["parameters_dict"] == {
        "motion_correction": False,
        "low_pass": 300.0,
        "high_pass": 13000.0,
        "thresholds": [9.0, 8.0],
        "remove_cross_duplicates": True,
    }
    # spks is handed the raw file as it was recorded, and told all that was asked
    (path,) = Path(run.run_folder).rglob("*.ap.bin")
    assert spks.raw == [path.read_bytes()]
    (call,) = spks.calls
    assert Path(call["sessionfiles"][0]).name == path.name
    asked = {k: call[k] for k in ("version", "device", "motion_correction", "thresholds")}
    assert asked == {
        "version": "4.0",
        "device": "cpu",
        "motion_correction": False,
        "thresholds": [9.0, 8.0],
    }
    assert (call["lowpass"], call["highpass"], call["do_post_processing"]) == (
        300.0,
        13000.0,
        False,
    )
    assert spks.removed == [{"overwrite_phy": True, "remove_cross_duplicates": True}]
    assert list((recorded.home / "scratch").glob("labdata-*")) == []
    assert (
        "sorted already"
        in told(*RUN, "--remove-cross-unit-duplicates", "--motion-correction", "0")[0]["result"]
    )


def test_labels_of_kilosort_are_kept(recorded, spks, typed):
    spks.remove = lambda folder, **_: None  # nothing was found twice
    typed(*RUN)
    facts = recorded.lab.SpikeSorting.fetch1("additional_params")
    assert facts["labels"]["KSLabel"] == {"4": "good", "7": "good"}


def test_kilosort_without_a_result_fails_and_says_what_it_said(recorded, spks, typed):
    spks.fails = True
    said = typed(*RUN, code=1).err
    assert "Kilosort ended without a result: no CUDA for Kilosort" in said
    assert len(recorded.lab.SpikeSorting()) == 0
    assert recorded.lab.ComputeTask.fetch1("task_status") == "FAILED"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--low-pass", "9000", "--high-pass", "300"], ["are no band"]),
        (["--method", "ks2.5"], ["No GPU"]),
    ],
)
def test_what_cannot_be_is_refused(recorded, spks, typed, options, words):
    said = typed(*RUN, *options, code=1).err
    assert all(word in said for word in words), said
    assert len(recorded.lab.ComputeTask()) == 0 and spks.calls == []


def test_matlab_or_the_compiled_kilosort_is_looked_for(recorded, spks, told, capsys):
    from labdata.cli import main

    assert main([*RUN, "--method", "ks2.5", "--check", "--json"]) == 1
    found = {row["check"]: row for row in json.loads(capsys.readouterr().out)}
    assert "kilosort2_5" in found["program"]["message"]
    assert found["GPU"]["state"] == "refused"
