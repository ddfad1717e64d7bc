"""What SpikeInterface saved, read without it, against SpikeInterface on the same objects."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labdata.errors import FormatError
from labdata.formats.analyzer import read_analyzer

si = pytest.importorskip("spikeinterface", reason="needs SpikeInterface")
pytestmark = pytest.mark.sorting
LENGTHS = (60_000, 45_000)
EXTENSIONS = ["random_spikes", "noise_levels", "waveforms", "templates", "spike_amplitudes"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, Path]]:
    """An analyzer of two segments in memory, and saved in both ways."""
    folder = tmp_path_factory.mktemp("analyzer")
    recording, sorting = si.generate_ground_truth_recording(
        durations=[n / 30000 for n in LENGTHS],
        num_channels=6,
        num_units=4,
        seed=1,
        sampling_frequency=30000.0,
    )
    sorting.set_property("quality", ["good", "", "mua", "noise"])
    sorting.set_property("depth_rank", [1, 2, 3, 4])
    analyzer = si.create_sorting_analyzer(sorting, recording, sparse=True, return_in_uV=True)
    analyzer.compute([*EXTENSIONS, "spike_locations"])
    analyzer.compute("quality_metrics", metric_names=["num_spikes", "snr", "amplitude_cutoff"])
    saved = {
        "binary_folder": folder / "analyzer",
        "zarr": folder / "analyzer.zarr",
    }
    for how, path in saved.items():
        analyzer.save_as(format=how, folder=path)
    return analyzer, saved


@pytest.mark.parametrize("how", ["binary_folder", "zarr"])
def test_an_analyzer_is_read_as_spikeinterface_has_it(made, how) -> None:
    analyzer, saved = made
    found = read_analyzer(saved[how])
    assert (found.kind, found.in_uv, found.missing) == ("analyzer", True, ())
    assert found.n_samples == LENGTHS and found.sampling_rate_hz == 30000.0
    assert np.all(np.diff(found.samples) >= 0)
    spikes = analyzer.sorting.to_spike_vector()
    samples = spikes["sample_index"] + np.array([0, LENGTHS[0]])[spikes["segment_index"]]
    for place, name in enumerate(analyzer.unit_ids):
        assert str(found.unit_names[place]) == str(name)
        theirs, mine = spikes["unit_index"] == place, found.units == place
        np.testing.assert_array_equal(found.samples[mine], samples[theirs])
        amplitudes = analyzer.get_extension("spike_amplitudes").get_data()[theirs]
        np.testing.assert_array_equal(found.amplitudes[mine], amplitudes)
        located = analyzer.get_extension("spike_locations").get_data()[theirs]
        np.testing.assert_array_equal(found.locations_um[mine, 1], located["y"])
    templates = analyzer.get_extension("templates")
    np.testing.assert_allclose(found.templates, templates.get_templates(operator="average"))
    assert found.n_pre_samples == templates.nbefore
    np.testing.assert_array_equal(found.noise, analyzer.get_extension("noise_levels").get_data())
    np.testing.assert_array_equal(found.positions_um, analyzer.get_channel_locations())
    assert found.labels == {"quality": {0: "good", 2: "mua", 3: "noise"}}
    metrics = analyzer.get_extension("quality_metrics").get_data()
    for name in ("num_spikes", "snr"):
        np.testing.assert_allclose(found.metrics[name], metrics[name].to_numpy(float))
    assert found.metrics["amplitude_cutoff"] == [None] * 4  # too few spikes: NaN


def test_what_was_not_computed_is_told(made, tmp_path) -> None:
    shutil.copytree(made[1]["binary_folder"], tmp_path / "a")
    shutil.rmtree(tmp_path / "a" / "extensions")
    found = read_analyzer(tmp_path / "a")
    assert found.missing == (
        *("spike_amplitudes", "spike_locations", "templates", "noise_levels", "quality_metrics"),
    )
    assert found.templates is found.amplitudes is found.locations_um is found.noise is None


def test_a_sorters_output_and_saved_spikes(made, tmp_path) -> None:
    analyzer, _ = made
    one = si.select_segment_sorting(analyzer.sorting, 0)
    one.save(folder=tmp_path / "saved")
    found = read_analyzer(tmp_path / "saved")
    assert (found.kind, found.n_samples) == ("sorting", None)
    vector = one.to_spike_vector()
    np.testing.assert_array_equal(found.samples, vector["sample_index"])
    np.testing.assert_array_equal(found.units, vector["unit_index"])
    output = tmp_path / "out"
    shutil.copytree(tmp_path / "saved", output / "sorter_output" / "sorting")
    log = {"sorter_name": "simple", "sorter_version": "2025.12", "error": False}
    (output / "spikeinterface_log.json").write_text(json.dumps(log))
    parameters = {"sorter_name": "simple", "sorter_params": {"detect_threshold": 5.0}}
    (output / "spikeinterface_params.json").write_text(json.dumps(parameters))
    found = read_analyzer(output)
    assert (found.kind, found.sorter) == ("sorter output", "simple")
    assert found.sorter_version == "2025.12"
    assert found.parameters == {"detect_threshold": 5.0}
    np.testing.assert_array_equal(found.samples, vector["sample_index"])
    (output / "spikeinterface_log.json").write_text(json.dumps(log | {"error": True}))
    with pytest.raises(FormatError, match="The sorter failed"):
        read_analyzer(output)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda p: (p / "sorting" / "spikes.npy").unlink(), "no spikes in sorting"),
        (lambda p: (p / "settings.json").write_text("{"), "settings.json cannot be read"),
        (
            lambda p: np.save(p / "extensions/spike_amplitudes/amplitudes.npy", np.zeros(3)),
            r"amplitudes of .* has shape \(3,\)",
        ),
        (
            lambda p: (p / "sorting" / "spikes.npy").write_bytes(b"no array"),
            "spikes.npy cannot be read",
        ),
        (lambda p: shutil.rmtree(p / "recording_info"), "is no SortingAnalyzer"),
    ],
    ids=["no spikes", "broken JSON", "other spikes", "no array", "no recording"],
)
def test_what_cannot_be_right_is_refused(made, tmp_path, harm, said) -> None:
    shutil.copytree(made[1]["binary_folder"], tmp_path / "a")
    harm(tmp_path / "a")
    with pytest.raises(FormatError, match=said):
        read_analyzer(tmp_path / "a")


def test_spikes_of_segments_of_unknown_length_are_refused(made, tmp_path) -> None:
    made[0].sorting.save(folder=tmp_path / "saved")
    with pytest.raises(FormatError, match="2 segments"):
        read_analyzer(tmp_path / "saved")


class _Trap:
    def __reduce__(self) -> Any:
        return os.mkdir, (os.environ["LABTEST_TRAP"],)


def test_nothing_that_is_pickled_is_opened(made, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("LABTEST_TRAP", str(tmp_path / "sprung"))
    folder = tmp_path / "a"
    shutil.copytree(made[1]["binary_folder"], folder)
    trap = pickle.dumps(_Trap())
    (folder / "recording.pickle").write_bytes(trap)
    (folder / "sorting_provenance.pickle").write_bytes(trap)
    np.save(folder / "sorting" / "properties" / "trap.npy", np.array([_Trap()] * 4, object))
    assert "trap" not in read_analyzer(folder).labels
    assert not (tmp_path / "sprung").exists()
