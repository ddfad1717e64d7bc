"""Runs that another program wrote are read to the last sample of its own ground truth."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from labdata.formats.spikeglx import (
    find_runs,
    open_band,
    read_analog_channels,
    read_digital_events,
    read_probe,
)
from labdata.formats.zarr_band import compress_band, restore_bin, verify_band

SHARED = Path(__file__).resolve().parents[3].parent / "shared"
TOOL = SHARED / "tools" / "make_spikeglx.py"
FOUR_SHANK = SHARED / "data/spikeglx_meta/probeinterface/NP2_4_shanks.imec0.ap.meta"

pytestmark = [
    pytest.mark.sorting,
    pytest.mark.slow,
    pytest.mark.skipif(not TOOL.is_file(), reason="make_spikeglx.py (shared/tools) is not here"),
    pytest.mark.skipif(
        importlib.util.find_spec("spikeinterface") is None,
        reason="SpikeInterface is not installed: pip install 'labdata-jupyter[sorting]'",
    ),
]

CASES = {
    "np1 with lf": [],
    "np2 four shanks": ["--template", str(FOUR_SHANK), "--channels", "48"],
    "lost pulses": ["--drop-sync-pulses", "2", "--seed", "3", "--no-lf"],
}


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES.keys())
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("outside")
    arguments = ["--duration", "12", "--channels", "24", "--units", "4", *request.param]
    done = subprocess.run(
        [sys.executable, str(TOOL), str(out), *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return next(out.iterdir())


def lines_of(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {
        line.event_name: (line.samples[line.values == 1], line.samples[line.values == 0])
        for line in read_digital_events(path)
    }


def test_events(folder: Path) -> None:
    truth = np.load(folder / "ground_truth.npz")
    (run,) = find_runs(folder)
    imec = lines_of(run.stream("imec0.ap").bin_path)
    assert list(imec) == ["6"]
    np.testing.assert_array_equal(imec["6"][0], truth["sync_rise_imec"])
    np.testing.assert_array_equal(imec["6"][1], truth["sync_fall_imec"])
    nidq = lines_of(run.stream("nidq").bin_path)
    assert list(nidq) == ["1", "2", "7"]
    for bit, rise, fall in (
        ("7", "sync_rise_nidq", "sync_fall_nidq"),
        ("1", "stim_on_nidq", "stim_off_nidq"),
        ("2", "cam_on_nidq", None),
    ):
        np.testing.assert_array_equal(nidq[bit][0], truth[rise])
        if fall:
            np.testing.assert_array_equal(nidq[bit][1], truth[fall])


def test_stream_facts(folder: Path) -> None:
    truth = np.load(folder / "ground_truth.npz")
    (run,) = find_runs(folder)
    ap, nidq = run.stream("imec0.ap"), run.stream("nidq")
    assert (ap.n_samples, nidq.n_samples) == (truth["n_imec_samples"], truth["n_nidq_samples"])
    assert ap.sampling_rate_hz == truth["fs_imec_nominal"]
    assert nidq.sampling_rate_hz == truth["fs_nidq_nominal"]
    probe = read_probe(ap)
    np.testing.assert_array_equal(probe.positions_um, truth["channel_positions_um"])
    np.testing.assert_allclose(probe.uv_per_bit["ap"], truth["uv_per_bit_ap"])
    if np.isfinite(truth["uv_per_bit_lf"]):
        np.testing.assert_allclose(probe.uv_per_bit["lf"], truth["uv_per_bit_lf"])
        lf = open_band(run.stream("imec0.lf").bin_path)
        np.testing.assert_allclose(lf.uv_per_bit[:-1], truth["uv_per_bit_lf"])
        assert lf.sampling_rate_hz * 12 == ap.sampling_rate_hz


def test_photodiode(folder: Path) -> None:
    truth = np.load(folder / "ground_truth.npz")
    (run,) = find_runs(folder)
    (diode,) = read_analog_channels(run.stream("nidq").bin_path)
    rises = np.flatnonzero(np.diff((diode.volts > 1.5).astype(int)) == 1) + 1
    np.testing.assert_array_equal(rises, truth["stim_on_nidq"])


def test_spikes(folder: Path) -> None:
    """Averages at the true samples have the true size in microvolts."""
    truth = np.load(folder / "ground_truth.npz")
    (run,) = find_runs(folder)
    band = open_band(run.stream("imec0.ap").bin_path)
    uv = band.read_uv(0, band.n_samples)
    for unit, (peak, size) in enumerate(
        zip(truth["unit_peak_channel"], truth["unit_peak_to_peak_uv"], strict=True)
    ):
        at = truth["spike_sample_imec"][truth["spike_unit"] == unit] - 30
        average = uv[at[:, None] + np.arange(120), peak].mean(axis=0)
        assert np.ptp(average) == pytest.approx(size, abs=0.1 * size + 40 / np.sqrt(at.size))


def test_compression(folder: Path, tmp_path: Path) -> None:
    (run,) = find_runs(folder)
    for meta in run.streams:
        path = compress_band(meta.bin_path, tmp_path / f"{meta.name}.zarr.zip").path
        verify_band(meta.bin_path, path)
        restored = restore_bin(path, tmp_path / "out")
        assert restored.read_bytes() == meta.bin_path.read_bytes()
        assert restored.with_suffix(".meta").read_bytes() == meta.path.read_bytes()
