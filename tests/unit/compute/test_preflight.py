"""What a preflight finds, from facts that are made up and from this computer."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from labdata.compute import Finding, MachineFacts, Preflight, run_preflight
from labdata.compute.analyses.sorter_parameters import complete_parameters
from labdata.compute.analysis import TaskPlan
from labdata.compute.preflight import Gpu, memory_limit, raise_refused, read_gpus, read_machine
from labdata.errors import TaskError

GIB = 2**30
MACHINE = MachineFacts(
    gpus=(),
    torch_sees_gpu=None,
    free_memory_bytes=16 * GIB,
    scratch=Path("/scratch"),
    free_scratch_bytes=100 * GIB,
    n_cores=4,
)
WITH_GPU = replace(MACHINE, gpus=(Gpu("RTX 4090", 20 * GIB),), torch_sees_gpu=True)


@pytest.fixture
def checks():
    return pytest.importorskip("labdata.compute.analyses.sorter_needs")


@pytest.mark.parametrize(
    ("gpu", "device", "machine", "state", "said"),
    [
        ("not-supported", None, MACHINE, "ok", "none is used"),
        ("nvidia-required", None, MACHINE, "refused", "no NVIDIA driver"),
        ("nvidia-optional", None, MACHINE, "warning", "runs on the CPU"),
        ("nvidia-optional", "cpu", MACHINE, "ok", "none is used"),
        ("nvidia-optional", "cuda", MACHINE, "refused", "no NVIDIA driver"),
        ("nvidia-optional", "cuda:1", MACHINE, "refused", "no NVIDIA driver"),
        ("nvidia-required", None, WITH_GPU, "ok", "RTX 4090, 20.0 GiB free"),
        ("nvidia-optional", None, replace(WITH_GPU, torch_sees_gpu=False), "warning", "PyTorch"),
        ("nvidia-required", None, replace(WITH_GPU, torch_sees_gpu=False), "refused", "PyTorch"),
        # Kilosort 2.5 runs in Matlab, and asks no PyTorch
        ("nvidia-required", None, replace(WITH_GPU, torch_sees_gpu=None), "ok", "RTX 4090"),
    ],
)
def test_a_gpu_that_is_asked_for_must_be_there(checks, gpu, device, machine, state, said):
    found = checks.check_gpu(checks.SorterNeeds("a sorter", gpu, device), machine)
    assert (found.check, found.state) == ("GPU", state)
    assert said in found.message
    assert bool(found.hint) == (state != "ok")


def test_memory_is_compared_with_what_is_surely_held_and_with_what_may_be(checks):
    size = checks.RecordingSize(n_samples=30000 * 3600, n_channels=384, sampling_rate_hz=30000.0)
    chunk = 30000 * 384 * 4 * 4  # a second, float32, four copies
    least = 2 * (250 * 2**20 + chunk)
    waveforms = 384 * 300 * 90 * 384 * 4  # 300 spikes of 3 ms a unit, a unit a channel
    for free, state in (
        (least - 1, "refused"),
        (least, "warning"),
        (least + waveforms - 1, "warning"),
        (least + waveforms, "ok"),
    ):
        found = checks.check_memory(size, 2, replace(MACHINE, free_memory_bytes=free))
        assert found.state == state, free
    small = replace(MACHINE, free_memory_bytes=400 * 2**20)
    assert "--n-jobs 1" in checks.check_memory(size, 8, small).hint


def test_the_disk_must_hold_the_copies_that_a_sorter_writes(checks):
    size = checks.RecordingSize(n_samples=30000 * 3600, n_channels=384, sampling_rate_hz=30000.0)
    raw = 30000 * 3600 * 384 * 2
    assert size.raw_bytes == raw
    for needs, free, state in (
        (dict(), 0, "ok"),
        (dict(n_copies=1), raw - 1, "refused"),
        (dict(n_copies=1), raw, "ok"),
        (dict(caches=True), int(2.5 * raw) - 1, "warning"),
        (dict(caches=True), int(2.5 * raw), "ok"),
    ):
        machine = replace(MACHINE, free_scratch_bytes=free)
        assert checks.check_disk(checks.SorterNeeds("x", **needs), size, machine).state == state


def test_what_spikeinterface_tells_of_its_sorters():
    pytest.importorskip("spikeinterface")
    from labdata.compute.analyses.sorter_parameters import complete_parameters, sorter_needs

    def needs(sorter):
        return sorter_needs(sorter, complete_parameters(sorter, {}))

    assert (needs("spykingcircus2").caches, needs("simple").caches) == (True, False)
    for sorter in ("spykingcircus2", "simple"):
        assert (needs(sorter).gpu, needs(sorter).n_copies) == ("not-supported", 0)
    with pytest.raises(TaskError, match="none that SpikeInterface has"):
        complete_parameters("kilosort99", {})


def test_a_sorter_that_is_known_but_not_installed_says_how_to_get_it(monkeypatch):
    ss = pytest.importorskip("spikeinterface.sorters")
    from labdata.compute.analyses.sorter_parameters import complete_parameters

    monkeypatch.setattr(ss, "installed_sorters", lambda: ["simple"])
    with pytest.raises(TaskError, match="pip install kilosort"):
        complete_parameters("kilosort4", {})


class _Analysis:
    """Two datasets, of which one cannot be computed."""

    name = "x"

    def find_datasets(self, lab, restriction):
        return [{"dataset_name": name} for name in ("good", "bad")]

    def check(self, options):
        if "wrong" in options:
            raise TaskError("There is no option 'wrong'.", hint="Leave it out.")
        return options

    def group(self, datasets, parameters):
        return [TaskPlan(key, parameters, (key,)) for key in datasets]

    def preflight(self, lab, key, parameters, machine):
        yield Finding("GPU", "ok", "none is used")
        if key["dataset_name"] == "bad":
            yield Finding("disk", "refused", "No room.", "Free some.")
            yield Finding("files", "refused", "No files.", "Get some.")


def test_each_dataset_has_its_findings_and_wrong_options_are_one():
    good, bad = run_preflight(_Analysis(), None, [{}], {}, MACHINE)
    assert (good.refused, [f.check for f in bad.refused]) == ((), ["disk", "files"])
    raise_refused(good.findings)
    with pytest.raises(TaskError, match=r"No room\. \(and 1 more\)") as caught:
        raise_refused(bad.findings)
    assert caught.value.hint == "Free some."
    for one in run_preflight(_Analysis(), None, [{}], {"wrong": 1}, MACHINE):
        (found,) = one.refused
        assert (found.check, found.hint) == ("options", "Leave it out.")


def test_findings_are_rows_with_their_dataset():
    row = Preflight({"dataset_name": "d"}, (Finding("GPU", "ok", "none"),), ()).rows()[0]
    assert row == dict(dataset_name="d", check="GPU", state="ok", message="none", hint="")


# --- facts ---------------------------------------------------------------------------------------


def test_this_computer(tmp_path, monkeypatch):
    monkeypatch.setenv("LABDATA_PATH", str(tmp_path))
    machine = read_machine()
    assert 0 < machine.free_memory_bytes <= psutil.virtual_memory().total
    assert machine.free_scratch_bytes == pytest.approx(psutil.disk_usage("/").free, rel=0.5)
    assert machine.n_cores >= 1
    assert not machine.scratch.is_relative_to(tmp_path) or not machine.scratch.exists()


def program(folder: Path, text: str) -> str:
    path = folder / "smi"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_gpus_are_those_that_the_driver_lists(tmp_path):
    listed = "echo 'NVIDIA A100, PCIe, 40320'; echo 'Tesla T4, [N/A]'; echo 'Tesla T4, 15000'"
    gpus = read_gpus(program(tmp_path, listed))
    assert [(g.name, g.free_bytes // 2**20) for g in gpus] == [
        ("NVIDIA A100, PCIe", 40320),
        ("Tesla T4", 15000),
    ]
    assert read_gpus(program(tmp_path, "echo 'no driver'; exit 9")) == ()
    assert read_gpus(str(tmp_path / "none")) == ()


def test_the_limit_of_a_job_counts_and_that_of_its_parents(tmp_path):
    own = "1:name=x:/other\n0::/slurm/job\n"

    def group(path, limit, used, cached):
        folder = tmp_path / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 5\ninactive_file {cached}\n")

    assert memory_limit(tmp_path, own) is None
    group("slurm/job", "max", 10, 0)
    assert memory_limit(tmp_path, own) is None
    group("slurm/job", 1000, 600, 50)
    assert memory_limit(tmp_path, own) == 450
    group("slurm", 2000, 1900, 0)
    assert memory_limit(tmp_path, own) == 100
    group("slurm", 2000, 2100, 0)
    assert memory_limit(tmp_path, own) == 0
    assert memory_limit(tmp_path, "") is None


def test_parameters_without_end_are_kept_as_text_and_given_as_numbers():
    """JSON of a database has no infinity; Kilosort 4 has one among its defaults."""
    from labdata.compute.analyses import sorter_parameters as module

    given = {"tmax": float("inf"), "a": {"b": [-float("inf"), 1.5, "inf-like", None]}, "n": 3}
    stored = module._storable(given)
    assert stored == {"tmax": "inf", "a": {"b": ["-inf", 1.5, "inf-like", None]}, "n": 3}
    assert module.restore_parameters(stored) == given


@pytest.fixture
def motion(monkeypatch):
    pytest.importorskip("spikeinterface")
    found = pytest.importorskip("labdata.compute.analyses.motion")
    monkeypatch.setattr(found, "find_spec", lambda name: None)  # without torch
    return found


def columns(n_channels, width_um):
    """Return two columns of channels."""
    at = np.arange(n_channels)
    return np.column_stack([at % 2 * width_um, at // 2 * 20.0])


@pytest.mark.parametrize("sorter", ["spykingcircus2", "tridesclous2"])
def test_a_sorter_that_cannot_correct_motion_here_is_refused_before_it_runs(motion, sorter):
    """By default spykingcircus2 corrects it, with torch; on one shank it failed at the end."""
    given = ["apply_motion_correction=true"]
    parameters = complete_parameters(sorter, {"param": given})
    found = motion.check_correction(sorter, parameters, [columns(384, 32.0)])
    assert found.state == "refused" and f"{sorter} corrects motion by dredge_fast" in found.message
    option = found.hint.split("--param ")[1].split(";")[0]
    for change in (option, "apply_motion_correction=false"):
        other = complete_parameters(sorter, {"param": [*given, change]})
        assert motion.check_correction(sorter, other, [columns(384, 32.0)]) is None


@pytest.mark.parametrize(("n_channels", "width_um"), [(32, 32.0), (384, 750.0)])
def test_probes_on_which_no_motion_is_corrected_need_nothing(motion, n_channels, width_um):
    """As SpikeInterface itself says."""
    from probeinterface import Probe
    from spikeinterface.core import NumpyRecording
    from spikeinterface.sortingcomponents.tools import check_probe_for_drift_correction

    for n, width, corrected in ((n_channels, width_um, False), (33, 60.0, True)):
        places = columns(n, width)
        probe = Probe(ndim=2)
        probe.set_contacts(positions=places, shapes="circle", shape_params={"radius": 5})
        probe.set_device_channel_indices(np.arange(n))
        recording = NumpyRecording([np.zeros((10, n), "int16")], 30000.0)
        recording.set_probe(probe, in_place=True)
        assert bool(check_probe_for_drift_correction(recording)) == corrected
        parameters = complete_parameters("spykingcircus2", {"param": []})
        found = motion.check_correction("spykingcircus2", parameters, [places])
        assert (found is not None) == corrected
