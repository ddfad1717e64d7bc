"""A written run holds what its ground truth says, by our readers and by outside ones."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labdata.errors import FormatError
from labdata.formats.spikeglx import (
    SpikeGLXRun,
    channel_uv_per_bit,
    find_runs,
    open_band,
    read_analog_channels,
    read_digital_events,
    read_probe,
)
from labdata.testing import GroundTruth, ProbeSpec, write_spikeglx_run
from labdata.testing.metas import ranges

PROBES = (
    ProbeSpec(n_channels=32, n_units=4, ppm=18.0),
    ProbeSpec("NP1000", n_channels=24, n_units=3, ppm=-9.0, start_s=0.05, probe_num=3),
)


def write(folder: Path, **options: object) -> GroundTruth:
    arguments = {
        "probes": PROBES, "duration_s": 8.0, "seed": 7, "sync_jitter_s": 0.1,
        "drop_sync_pulses": 1, "spurious_sync_pulses": 2, **options,
    }  # fmt: skip
    return write_spikeglx_run(folder, **arguments)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> GroundTruth:
    return write(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def run(truth: GroundTruth) -> SpikeGLXRun:
    (found,) = find_runs(truth.run_folder)
    return found


def test_streams(run: SpikeGLXRun) -> None:
    names = [meta.name for meta in run.streams]
    assert names == ["imec0.ap", "imec3.ap", "imec3.lf", "nidq"]
    assert all(meta.warnings == () for meta in run.streams)


def test_clocks(truth: GroundTruth, run: SpikeGLXRun) -> None:
    for probe, spec in zip(truth.probes, PROBES, strict=True):
        meta = run.stream(f"imec{probe.probe_num}.ap")
        assert meta.sampling_rate_hz == probe.clock.nominal_rate_hz == 30000.0
        assert meta.n_samples == probe.clock.n_samples
        assert probe.clock.true_rate_hz / 30000.0 - 1 == pytest.approx(spec.ppm * 1e-6)
    assert run.stream("nidq").sampling_rate_hz == truth.nidq.nominal_rate_hz
    assert run.stream("nidq").n_samples == truth.nidq.n_samples
    assert run.stream("imec3.lf").n_samples * 12 == run.stream("imec3.ap").n_samples


def lines_of(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {
        line.event_name: (line.samples[line.values == 1], line.samples[line.values == 0])
        for line in read_digital_events(path)
    }


def test_edges(truth: GroundTruth, run: SpikeGLXRun) -> None:
    for probe in truth.probes:
        edges = lines_of(run.stream(f"imec{probe.probe_num}.ap").bin_path)
        assert list(edges) == ["6"]
        np.testing.assert_array_equal(edges["6"][0], probe.sync_rise_samples)
        np.testing.assert_array_equal(edges["6"][1], probe.sync_fall_samples)
    edges = lines_of(run.stream("nidq").bin_path)
    assert list(edges) == ["1", "2", "7"]
    for bit, name in (("1", "stim"), ("2", "camera"), ("7", "sync")):
        np.testing.assert_array_equal(edges[bit][0], getattr(truth, f"{name}_rise_samples"))
        np.testing.assert_array_equal(edges[bit][1], getattr(truth, f"{name}_fall_samples"))


def test_edges_are_where_true_time_puts_them(truth: GroundTruth) -> None:
    """Within a sample after the event, on each stream's own clock."""
    late = truth.nidq.true_at(truth.stim_rise_samples / truth.nidq.nominal_rate_hz)
    late = late - truth.stim_on_s
    assert late.min() >= 0 and late.max() < 1 / truth.nidq.true_rate_hz
    assert truth.stim_rise_samples.size == truth.stim_on_s.size == truth.stim.size
    assert truth.camera_rise_samples.size == truth.camera_on_s.size
    kept = np.delete(truth.sync_on_s, truth.dropped_sync)
    expected = np.sort(np.concatenate([kept, truth.spurious_sync_s]))
    seen = truth.nidq.true_at(truth.sync_rise_samples / truth.nidq.nominal_rate_hz)
    nearest = expected[np.abs(expected[None] - seen[:, None]).argmin(axis=1)]
    assert np.abs(seen - nearest).max() < 1 / truth.nidq.true_rate_hz
    assert truth.dropped_sync.size == 1 and truth.spurious_sync_s.size == 2


def test_stimulus_log_has_a_row_a_rise(truth: GroundTruth, run: SpikeGLXRun) -> None:
    (path,) = Path(truth.run_folder).glob("*orientation*.csv")
    log = pd.read_csv(path)
    rises = lines_of(run.stream("nidq").bin_path)["1"][0]
    log["stim_times"] = rises / run.stream("nidq").sampling_rate_hz
    assert (log.groupby("stim").size() == log.trial.max() + 1).all()
    np.testing.assert_array_equal(log["stim"], truth.stim)
    np.testing.assert_array_equal(log["orientation_deg"], truth.stim_orientation_deg)


def test_photodiode_follows_the_stimulus_line(run: SpikeGLXRun) -> None:
    path = run.stream("nidq").bin_path
    (diode,) = read_analog_channels(path)
    assert diode.channel_name == "XA0"
    rise, fall = lines_of(path)["1"]
    above = np.diff((diode.volts > 1.5).astype(int))
    np.testing.assert_array_equal(np.flatnonzero(above == 1) + 1, rise)
    np.testing.assert_array_equal(np.flatnonzero(above == -1) + 1, fall)
    assert np.median(diode.volts[diode.volts > 1.5]) == pytest.approx(3.32, abs=0.01)


def test_geometry_and_gains(truth: GroundTruth, run: SpikeGLXRun) -> None:
    import probeinterface

    for probe in truth.probes:
        meta = run.stream(f"imec{probe.probe_num}.ap")
        ours, theirs = read_probe(meta), probeinterface.read_spikeglx(meta.path)
        np.testing.assert_array_equal(ours.positions_um, probe.positions_um)
        np.testing.assert_array_equal(theirs.contact_positions, probe.positions_um)
        np.testing.assert_array_equal(ours.channel_idx, probe.channels)
        np.testing.assert_array_equal(ours.shank, probe.shank)
        assert ours.probe_id == probe.serial == theirs.serial_number
        assert ours.part_number == probe.part_number == theirs.annotations["part_number"]
        assert ours.uv_per_bit["ap"] == pytest.approx(probe.uv_per_bit)


def test_neo_reads_the_same(truth: GroundTruth, run: SpikeGLXRun) -> None:
    """Rates, gains, channel names, samples and events as neo sees them."""
    from neo.rawio import SpikeGLXRawIO

    reader = SpikeGLXRawIO(truth.run_folder)
    reader.parse_header()
    streams = reader.header["signal_streams"]
    for i, (name, stream_id) in enumerate(zip(streams["name"], streams["id"], strict=True)):
        if name.endswith("-SYNC"):
            continue
        band = open_band(run.stream(name).bin_path)
        signals = reader.header["signal_channels"]
        signals = signals[signals["stream_id"] == stream_id]
        assert set(signals["sampling_rate"]) == {band.sampling_rate_hz}
        ours = channel_uv_per_bit(band.meta)[band.signal_channels]
        to_uv = {"uV": 1.0, "V": 1e6}[str(signals["units"][0])]
        np.testing.assert_allclose(signals["gain"][: ours.size] * to_uv, ours)
        assert reader.get_signal_size(0, 0, i) == band.n_samples
        theirs = reader.get_analogsignal_chunk(0, 0, 1000, 1500, i)
        np.testing.assert_array_equal(
            theirs[:, : ours.size], band.samples[1000:1500][:, : ours.size]
        )


def test_spikes_are_where_the_truth_says(truth: GroundTruth, run: SpikeGLXRun) -> None:
    """The spike-triggered average of the file is the template, to the noise of the mean."""
    for probe in truth.probes:
        band = open_band(run.stream(f"imec{probe.probe_num}.ap").bin_path)
        uv = band.read_uv(0, band.n_samples)
        length = probe.templates_uv.shape[1]
        for unit in range(probe.n_units):
            at = probe.unit_samples(unit) - probe.n_pre_samples
            peak = probe.unit_peak_channels[unit]
            average = uv[at[:, None] + np.arange(length), peak].mean(axis=0)
            template = probe.templates_uv[unit, :, peak]
            error_uv = np.abs(average - template).max()
            # noise of the mean, other units' spikes, and the 5 % spread of amplitudes
            limit_uv = (8 * 6 + probe.unit_amplitudes_uv[unit] * 0.3) / np.sqrt(at.size)
            assert error_uv < limit_uv, (unit, error_uv, limit_uv, at.size)
            assert average.argmin() == probe.n_pre_samples
            assert np.ptp(template) == pytest.approx(probe.unit_amplitudes_uv[unit], rel=1e-5)


def test_noise_is_seven_microvolts(truth: GroundTruth, run: SpikeGLXRun) -> None:
    band = open_band(run.stream("imec0.ap").bin_path)
    uv = band.read_uv(0, 60000)
    robust = np.median(np.abs(uv), axis=0) / 0.6745
    assert 6.5 < np.median(robust) < 9.0


def test_spike_samples_are_the_nearest_to_true_time(truth: GroundTruth) -> None:
    for probe in truth.probes:
        exact = probe.clock.samples_at(probe.spike_times_s)
        assert np.abs(exact - probe.spike_samples).max() <= 0.5
        assert (np.diff(probe.spike_samples) >= 0).all()
        assert set(probe.spike_units) == set(range(probe.n_units))


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_files_depend_on_the_seed_only(tmp_path: Path) -> None:
    options = {"probes": PROBES[:1], "duration_s": 2.5}
    for name, threads, seed in (("a", 1, 7), ("b", 3, 7), ("c", 2, 8)):
        write(tmp_path / name, threads=threads, seed=seed, **options)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    one, other = digests(tmp_path / "a"), digests(tmp_path / "c")
    assert all(one[name] != other[name] for name in one if name.endswith((".bin", ".meta")))


def test_complete_files_are_left_alone(tmp_path: Path) -> None:
    options = {"probes": PROBES[:1], "duration_s": 2.5}
    first = write(tmp_path, **options)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.bin")}
    content = digests(tmp_path)
    again = write(tmp_path, **options)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.bin")} == before
    np.testing.assert_array_equal(first.probes[0].spike_samples, again.probes[0].spike_samples)
    cut = next(tmp_path.rglob("*.ap.bin"))
    cut.write_bytes(cut.read_bytes()[:1000])
    write(tmp_path, **options)
    assert digests(tmp_path) == content
    write(tmp_path, **options, nidq_ppm=50.0)
    assert digests(tmp_path) != content


def test_sha1_in_the_meta_is_that_of_the_file(run: SpikeGLXRun) -> None:
    for meta in run.streams:
        digest = hashlib.sha1(meta.bin_path.read_bytes(), usedforsecurity=False).hexdigest()
        assert meta.fields["fileSHA1"] == digest.upper()


def test_truth_round_trip(truth: GroundTruth, tmp_path: Path) -> None:
    import dataclasses

    def same(a: object, b: object) -> None:
        assert type(a) is type(b)
        if dataclasses.is_dataclass(a):
            for field in dataclasses.fields(a):
                same(getattr(a, field.name), getattr(b, field.name))
        elif isinstance(a, tuple):
            assert isinstance(b, tuple) and len(a) == len(b)
            for x, y in zip(a, b, strict=True):
                same(x, y)
        elif isinstance(a, np.ndarray):
            assert isinstance(b, np.ndarray) and a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
        else:
            assert a == b

    same(truth, GroundTruth.load(truth.save(tmp_path / "truth.npz")))
    np.savez(tmp_path / "other.npz", x=1)
    with pytest.raises(FormatError, match="not a ground truth"):
        GroundTruth.load(tmp_path / "other.npz")
    with pytest.raises(FormatError, match="no probe 1"):
        truth.probe(1)


def test_probe_numbers_must_differ(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="not distinct"):
        write_spikeglx_run(tmp_path, probes=[ProbeSpec(probe_num=1), ProbeSpec()])


def test_ranges() -> None:
    assert ranges([0, 1, 2, 48, 50, 51, 384]) == "0:2,48,50:51,384"
