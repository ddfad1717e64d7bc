"""Open Ephys recordings give the samples, edges and contacts that outside readers give, too."""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from labdata.errors import FormatError, IntegrityError
from labdata.formats import openephys
from labdata.formats.byte_ranges import FileRanges
from labdata.formats.raw_bands import open_raw_band
from labdata.formats.zarr_band import compress_band, open_zarr_band, restore_bin, verify_band
from labdata.testing import OpenEphysTruth, ProbeSpec, write_openephys_recording
from labdata.testing.openephys_run import VOLTS_PER_BIT

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"
REAL = DATA / "openephys_raw"
SETTINGS = sorted((DATA / "openephys_settings").rglob("settings.xml")) if DATA.is_dir() else []
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="real data (shared/data) are not here")

NP1, NP2 = ProbeSpec("NP1000", n_channels=12), ProbeSpec("NP2013", n_channels=16)
FOLDERS = {
    "imec0.ap": "Neuropix-PXI-100.ProbeA-AP",
    "imec0.lf": "Neuropix-PXI-100.ProbeA-LFP",
    "imec1.ap": "Neuropix-PXI-100.ProbeB",
    "nidq": "NI-DAQmx-103.PXIe-6341",
}


@pytest.fixture
def truth(tmp_path: Path) -> OpenEphysTruth:
    return write_openephys_recording(tmp_path / "run", probes=(NP1, NP2), message="tired today")


@pytest.fixture
def recording(truth: OpenEphysTruth) -> openephys.OpenEphysRecording:
    (found,) = openephys.find_recordings(truth.folder.parent)
    return found


def stream(recording: openephys.OpenEphysRecording, name: str) -> openephys.OpenEphysStream:
    return next(s for s in recording.streams if s.name == name)


# --- what was written ---------------------------------------------------------------------------


def test_streams_have_the_names_of_probes_and_bands(truth, recording) -> None:
    assert {s.name: s.entry.folder_name for s in recording.streams} == FOLDERS
    assert recording.name == "experiment1/recording1"
    recording.check()
    for one in recording.streams:
        assert one.n_samples == len(truth.samples[one.entry.folder_name])
        assert one.first_sample == truth.first_samples[one.entry.folder_name]
        assert one.software == "Open Ephys GUI 0.6.7"
        assert one.recorded == datetime(2024, 3, 5, 10, 0, 0)
    assert stream(recording, "imec0.lf").duration_s == pytest.approx(2.0)


@pytest.mark.parametrize("name", FOLDERS)
def test_samples_are_those_written(truth, recording, name) -> None:
    data = truth.samples[FOLDERS[name]]
    band = openephys.band_of_stream(stream(recording, name))
    np.testing.assert_array_equal(band[:], data)
    np.testing.assert_array_equal(band[40:90, [0, 1]], data[40:90, :2])
    by_range = openephys.band_of_ranges(FileRanges(band.meta.bin_path), band.meta)
    np.testing.assert_array_equal(by_range[7:1000], data[7:1000])
    gain = 1e6 * VOLTS_PER_BIT if name == "nidq" else 0.195
    np.testing.assert_allclose(band.read_uv(0, 50, [0])[:, 0], data[:50, 0] * gain, rtol=1e-6)
    n_words = 0 if name == "nidq" else 1
    np.testing.assert_array_equal(
        band.sync_words(0, 500), data[:500, -1:].astype("u2") if n_words else np.empty((500, 0))
    )


@pytest.mark.parametrize("name", FOLDERS)
def test_edges_count_from_the_first_sample_of_their_stream(truth, recording, name) -> None:
    one = stream(recording, name)
    lines = recording.digital_lines(one)
    wanted = truth.edges[FOLDERS[name]]
    assert [line.event_name for line in lines] == [str(bit) for bit in sorted(wanted)]
    for line in lines:
        samples, values = wanted[int(line.event_name)]
        np.testing.assert_array_equal(line.samples, samples)
        np.testing.assert_array_equal(line.values, values)
        np.testing.assert_array_equal(line.timestamps, samples / one.sampling_rate_hz)
        assert (line.samples.dtype, line.values.dtype) == (np.int64, np.int8)


@pytest.mark.parametrize(("name", "number"), [("imec0.ap", 0), ("imec1.ap", 1)])
def test_contacts_are_where_the_data_sheet_has_them(truth, recording, name, number) -> None:
    probe, wiring = recording.probe(stream(recording, name)), truth.wirings[number]
    away = probe.positions_um - wiring.positions_um
    np.testing.assert_allclose(away, np.broadcast_to(away[0], away.shape))
    np.testing.assert_array_equal(probe.shank, wiring.shank)
    assert probe.probe_id == truth.serials[number]
    assert probe.n_shanks == (1, 4)[number]
    assert set(probe.uv_per_bit) == ({"ap", "lf"}, {"ap"})[number]
    np.testing.assert_allclose(probe.uv_per_bit["ap"], 0.195)
    with pytest.raises(FormatError, match="no AP band"):
        recording.probe(stream(recording, "nidq"))


@pytest.mark.filterwarnings("ignore:Unable to compute saturation")
def test_neo_reads_the_same(truth, recording) -> None:
    from spikeinterface.extractors import read_openephys

    for name, folder in FOLDERS.items():
        found = read_openephys(truth.folder, stream_name=f"Record Node 104#{folder}")
        voltages = openephys.band_of_stream(stream(recording, name))
        columns = voltages.signal_channels
        np.testing.assert_array_equal(found.get_traces(), voltages[:][:, columns])
        gains = found.get_channel_gains()
        expected = voltages.uv_per_bit[columns]
        if name == "nidq":  # without a unit neo takes the inputs of an NI-DAQ for microvolts
            gains = gains * 1e6
        np.testing.assert_allclose(gains, expected)


def test_what_the_user_wrote(recording) -> None:
    said = recording.said()
    assert said["A message in text.npy"] == "tired today"
    assert "D:\\data" in said["A folder in settings.xml"]


# --- compressed ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["imec0.ap", "imec0.lf"])
def test_a_compressed_band_is_the_raw_one_and_gives_it_back(recording, name, tmp_path) -> None:
    raw = stream(recording, name).bin_path
    path = compress_band(raw, tmp_path / "x.zarr.zip").path
    verify_band(raw, path)
    packed, opened = open_zarr_band(path), open_raw_band(raw)
    np.testing.assert_array_equal(packed[:], opened[:])
    np.testing.assert_array_equal(packed.uv_per_bit, opened.uv_per_bit)
    assert packed.name == name
    assert packed.meta.text == opened.meta.text
    assert (packed.meta.first_sample, packed.meta.recorded) == (
        opened.meta.first_sample,
        opened.meta.recorded,
    )
    assert packed.meta.channel_name(0) == opened.meta.channel_name(0)
    again = compress_band(raw, tmp_path / "y.zarr.zip", threads=1).path
    assert again.read_bytes() == path.read_bytes()
    back = restore_bin(path, tmp_path / "back")
    assert back.name == "continuous.dat" and back.read_bytes() == raw.read_bytes()
    assert [p.name for p in back.parent.iterdir()] == ["continuous.dat"]


def test_a_changed_sample_is_found(recording, tmp_path) -> None:
    raw = stream(recording, "imec0.ap").bin_path
    path = compress_band(raw, tmp_path / "x.zarr.zip").path
    data = bytearray(raw.read_bytes())
    data[1000] ^= 1
    raw.write_bytes(data)
    with pytest.raises(IntegrityError, match="sample 38 of channel 6"):
        verify_band(raw, path)


# --- other versions -----------------------------------------------------------------------------


def test_files_of_old_versions(truth) -> None:
    """Before 0.6 numbers were in timestamps.npy, states in channel_states.npy."""
    for path in truth.recording.rglob("sample_numbers.npy"):
        path.replace(path.with_name("timestamps.npy"))
    for path in truth.recording.rglob("states.npy"):
        path.replace(path.with_name("channel_states.npy"))
    (found,) = openephys.find_recordings(truth.folder)
    found.check()
    for one in found.streams:
        folder = one.entry.folder_name
        assert one.first_sample == truth.first_samples[folder]
        for line in found.digital_lines(one):
            np.testing.assert_array_equal(
                line.samples, truth.edges[folder][int(line.event_name)][0]
            )


def test_the_unit_that_a_file_states(truth) -> None:
    path = truth.recording / "structure.oebin"
    content = json.loads(path.read_text())
    for entry in content["continuous"]:
        for channel in entry["channels"]:
            channel["units"] = "V" if channel["channel_name"].startswith("AI") else "uV"
    path.write_text(json.dumps(content))
    (found,) = openephys.find_recordings(truth.folder)
    np.testing.assert_allclose(stream(found, "nidq").uv_per_bit, 1e6 * VOLTS_PER_BIT)
    np.testing.assert_allclose(stream(found, "imec1.ap").uv_per_bit[:-1], 0.195)


def test_each_experiment_has_its_settings_and_recordings_their_time(tmp_path) -> None:
    write_openephys_recording(tmp_path, probes=(NP2,), nidq=False)
    write_openephys_recording(tmp_path, probes=(NP2,), nidq=False, recording=2, start_s=100.5)
    write_openephys_recording(tmp_path, probes=(NP1,), nidq=False, experiment=2)
    found = openephys.find_recordings(tmp_path)
    assert [one.name for one in found] == [
        "experiment1/recording1",
        "experiment1/recording2",
        "experiment2/recording1",
    ]
    assert [s.name for s in found[2].streams] == ["imec0.ap", "imec0.lf"]
    assert found[1].streams[0].recorded == datetime(2024, 3, 5, 10, 1, 28)


# --- refused ------------------------------------------------------------------------------------


def test_cut_samples_are_refused(truth, recording) -> None:
    path = stream(recording, "imec1.ap").bin_path
    path.write_bytes(path.read_bytes()[:-34])
    with pytest.raises(FormatError, match=r"59999.00 frames .* sample numbers are 60000"):
        recording.check()
    with pytest.raises(FormatError, match=r"59999\.00 frames"):
        open_raw_band(path)
    path.unlink()
    with pytest.raises(FormatError, match="does not exist"):
        recording.check()


def test_a_recording_cut_with_its_numbers_is_known_by_its_edges(tmp_path) -> None:
    truth = write_openephys_recording(tmp_path, probes=(NP2,), nidq=False, duration_s=4.0)
    place = truth.recording / "continuous" / "Neuropix-PXI-100.ProbeA"
    (place / "continuous.dat").write_bytes((place / "continuous.dat").read_bytes()[: 34 * 3000])
    np.save(place / "sample_numbers.npy", np.load(place / "sample_numbers.npy")[:3000])
    (found,) = openephys.find_recordings(tmp_path)
    with pytest.raises(FormatError, match=r"go on for 3\.\d s after its last sample"):
        found.check()


def test_lost_samples_are_refused_with_their_place(truth) -> None:
    path = truth.recording / "continuous" / FOLDERS["imec0.ap"] / "sample_numbers.npy"
    numbers = np.load(path)
    numbers[500:] += 7
    np.save(path, numbers)
    (found,) = openephys.find_recordings(truth.folder)
    with pytest.raises(FormatError, match="7 samples were lost before sample 500, 1 gaps"):
        found.check()
    numbers[600:] -= 300
    np.save(path, numbers)
    with pytest.raises(FormatError, match="backwards after sample 599"):
        found.check()


def remove(name: str):
    return lambda recording: next(recording.rglob(name)).unlink()


def rewrite(name: str, old: str, new: str):
    def change(recording: Path) -> None:
        path = next(recording.parents[1].rglob(name))
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return change


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda r: (r / "structure.oebin").unlink(), "has no structure.oebin"),
        (lambda r: (r.parents[1] / "settings.xml").unlink(), "settings.xml does not exist"),
        (lambda r: r.rename(r.with_name("other")), "experimentN/recordingN"),
        (rewrite("structure.oebin", '"sample_rate"', '"rate"'), "lacks 'sample_rate'"),
        (rewrite("structure.oebin", "0.195", "0.0"), "bit_volts of AP1 is 0"),
        (rewrite("structure.oebin", '"units": ""', '"units": "A"'), "AP1 is in 'A'"),
        (rewrite("structure.oebin", '"GUI version"', "GUI"), "is no JSON"),
        (rewrite("structure.oebin", '"num_channels": 13', '"num_channels": 9'), "num_channels=9"),
        (rewrite("structure.oebin", "30000.0", "-1"), "is -1.0"),
        (rewrite("settings.xml", "</SETTINGS>", ""), "is no XML"),
        (rewrite("settings.xml", 'probe_part_number="NP1000"', ""), "without part number"),
        (rewrite("settings.xml", '<STREAM name="ProbeB"/>', ""), "2 probes and 1 names"),
        (remove("continuous/*AP/sample_numbers.npy"), "not sample numbers"),
    ],
)
def test_a_faulty_recording_is_refused(truth, fault, message) -> None:
    fault(truth.recording)
    with pytest.raises(FormatError, match=message):
        openephys.find_recordings(truth.folder)


def test_a_probe_that_is_not_known_is_refused(truth) -> None:
    rewrite("settings.xml", "NP2013", "NP9999")(truth.recording)
    (found,) = openephys.find_recordings(truth.folder)
    with pytest.raises(FormatError, match=r"\(NP9999\) are not known to probeinterface"):
        found.probe(stream(found, "imec1.ap"))


def test_edges_that_contradict_one_another_are_refused(truth, recording) -> None:
    folder = truth.recording / "events" / FOLDERS["nidq"] / "TTL"
    states = np.load(folder / "states.npy")
    np.save(folder / "states.npy", states[:-1])
    with pytest.raises(FormatError, match="edges"):
        recording.digital_lines(stream(recording, "nidq"))
    np.save(folder / "states.npy", np.zeros_like(states))
    with pytest.raises(FormatError, match="line 0"):
        recording.digital_lines(stream(recording, "nidq"))
    shutil.rmtree(folder)
    with pytest.raises(FormatError, match="does not exist"):
        recording.digital_lines(stream(recording, "nidq"))


def test_a_stream_of_two_nodes_is_refused(truth) -> None:
    shutil.copytree(truth.folder, truth.folder.with_name("Record Node 105"))
    with pytest.raises(FormatError, match=r"are both imec0\.ap"):
        openephys.find_recordings(truth.folder.parent)


def test_samples_elsewhere_are_not_opened(tmp_path) -> None:
    path = tmp_path / "a" / "b" / "continuous.dat"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"12")
    with pytest.raises(FormatError, match="not in a recording"):
        open_raw_band(path)
    with pytest.raises(FormatError, match=r"has no structure\.oebin"):
        openephys.find_recordings(tmp_path)


# --- real recordings ----------------------------------------------------------------------------


@needs_real
def test_a_real_recording() -> None:
    from spikeinterface.extractors import read_openephys

    (found,) = openephys.find_recordings(REAL)
    (one,) = found.streams
    assert (one.name, one.n_samples, one.first_sample) == ("imec0.ap", 1000, 21836244)
    assert one.recorded == datetime(2023, 8, 30, 23, 41, 36)
    band = openephys.band_of_stream(one)
    outside = read_openephys(
        REAL, stream_name="Record Node 104#Neuropix-PXI-100.ProbeA-AP", load_sync_timestamps=False
    )
    np.testing.assert_array_equal(band[:, :384], outside.get_traces())
    np.testing.assert_allclose(band.uv_per_bit[:384], outside.get_channel_gains())
    np.testing.assert_allclose(
        found.probe(one).positions_um, outside.get_probe().contact_positions
    )
    (line,) = found.digital_lines(one)
    folder = REAL / "Record Node 104/experiment1/recording1/events" / one.entry.folder_name / "TTL"
    np.testing.assert_array_equal(line.samples, np.load(folder / "sample_numbers.npy") - 21836244)
    words = np.load(folder / "full_words.npy")
    np.testing.assert_array_equal(line.values, words & 1)
    with pytest.raises(FormatError, match=r"go on for 1571\.2 s"):  # 1000 samples are here
        found.check()


@pytest.mark.parametrize("path", SETTINGS, ids=lambda path: path.parent.name)
def test_real_probes_have_their_contacts_where_the_settings_say(path: Path) -> None:
    settings = openephys.read_settings(path)
    (probe,) = settings.probes
    entry = next(ElementTree.parse(path).iter("NP_PROBE"))
    keys = [f"CH{i}" for i in range(384)]
    stated = np.array(
        [
            [float(entry.find(f"ELECTRODE_{axis}POS").get(key)) for axis in "XY"]  # type: ignore
            for key in keys
        ]
    )
    from labdata.formats.openephys.settings import read_probe

    found = read_probe(
        settings, probe, f"Neuropix-PXI-100.{probe.stream}", {"ap": np.full(384, 0.195)}
    )
    away = found.positions_um - stated
    np.testing.assert_allclose(away, np.broadcast_to(away[0], away.shape), atol=1e-6)
    assert probe.serial == entry.get("probe_serial_number")
    assert found.n_shanks == {"NP2010": 4, "NP2014": 4}.get(probe.part_number, 1)


needs_settings = pytest.mark.skipif(not SETTINGS, reason="real data (shared/data) are not here")


@needs_settings
def test_the_units_and_names_of_a_real_structure_of_gui_1() -> None:
    (path,) = (DATA / "openephys_settings").rglob("structure.oebin")
    structure = openephys.parse_structure(path.read_text(), path)
    (entry,) = structure.streams
    assert (structure.gui_version, entry.gui_name) == ("1.0.1", "ProbeA")
    np.testing.assert_allclose(entry.uv_per_bit, 0.195, rtol=1e-6)
    assert len(entry.channel_names) == 384
