"""A probe's samples are read where they are: on the rig, in a local store, in a distant one."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from labdata.errors import QueryError, StoreError
from labdata.formats import zip_ranges
from labdata.formats.spikeglx import open_band
from labdata.schema import files
from labdata.stores import LocalStore

DATASET = {
    "subject_name": "JC1",
    "session_name": "20240305_100000",
    "dataset_name": "ephys_g0",
}


def probe_key(probe_num):
    return {**DATASET, "probe_num": probe_num}


class Distant:
    """A store that is not on this computer: it gives ranges, and counts them."""

    def __init__(self, real: LocalStore) -> None:
        self.real, self.asked = real, []

    def describe(self) -> str:
        return "far away"

    def stat(self, path, **options):
        return self.real.stat(path, **options)

    def get(self, path, destination, **options):
        return self.real.get(path, destination, **options)

    def read_range(self, path, *, start_byte, size_bytes):
        self.asked.append((Path(path).name, size_bytes))
        return self.real.read_range(path, start_byte=start_byte, size_bytes=size_bytes)


@pytest.fixture(scope="module")
def world(rig_maker, tmp_path_factory, database_folder, two_probe_run):
    with rig_maker(tmp_path_factory.mktemp("open"), database_folder) as rig:
        rig.add_subjects("JC1")
        folder = rig.record(two_probe_run.run_folder)
        rig.upload(rig.put(folder))
        shutil.rmtree(folder)  # only the store has it now
        yield rig, two_probe_run


@pytest.fixture
def distant(world, monkeypatch):
    rig, _ = world
    store = Distant(LocalStore(rig.store))
    monkeypatch.setattr(files, "open_store", lambda name, preferences=None: store)
    return store


def raw_band(run, probe_num, band="ap"):
    (path,) = Path(run.run_folder).rglob(f"*imec{probe_num}.{band}.bin")
    return open_band(path)


@pytest.mark.parametrize(("probe_num", "band"), [(0, "ap"), (1, "ap"), (1, "lf")])
def test_from_a_local_store(world, probe_num, band):
    rig, run = world
    opened = (rig.lab.EphysRecording.ProbeSetting & probe_key(probe_num)).open(band=band)
    raw = raw_band(run, probe_num, band)
    assert opened.name == raw.name
    assert opened.sampling_rate_hz == raw.sampling_rate_hz
    np.testing.assert_array_equal(opened.samples[:], raw.samples[:])
    np.testing.assert_array_equal(opened[-100:, [0, 3]], raw.samples[-100:][:, [0, 3]])
    np.testing.assert_array_equal(opened[70], raw[70])
    np.testing.assert_array_equal(opened.read_uv(10, 900), raw.read_uv(10, 900))


def test_from_a_distant_store_only_what_is_sliced(world, distant, monkeypatch):
    monkeypatch.setattr(zip_ranges, "_TAIL_BYTES", 20_000)  # the recording is small
    rig, run = world
    opened = (rig.lab.EphysRecording.ProbeSetting & probe_key(0)).open()
    distant.asked.clear()
    raw = raw_band(run, 0)
    np.testing.assert_array_equal(opened[31_000:46_000, :4], raw.samples[31_000:46_000][:, :4])
    ((name, size_bytes),) = distant.asked  # neighbouring chunks are one range
    whole = next(rig.store.rglob(name)).stat().st_size
    assert 0.2 * whole < size_bytes < 0.4 * whole, "2 of 8 chunks"
    assert not list(rig.rig.rglob("*.zarr.zip")), "nothing was fetched"


def test_the_whole_of_it_on_request(world, distant):
    rig, run = world
    setting = rig.lab.EphysRecording.ProbeSetting & probe_key(0)
    opened = setting.open(download=True)
    (fetched,) = rig.rig.rglob("*imec0.ap.zarr.zip")
    distant.asked.clear()
    np.testing.assert_array_equal(opened.samples[:], raw_band(run, 0).samples[:])
    assert distant.asked == []
    shutil.rmtree(fetched.parents[2])


def test_an_object_of_another_size_is_refused(world, distant):
    rig, _ = world
    (path,) = rig.store.rglob("*imec1.ap.zarr.zip")
    size = path.stat().st_size
    content = path.read_bytes()
    os.truncate(path, size - 1)
    try:
        with pytest.raises(StoreError, match=f"has {size - 1} bytes in far away, {size} were"):
            (rig.lab.EphysRecording.ProbeSetting & probe_key(1)).open()
    finally:
        path.write_bytes(content)


def test_exactly_one_probe_and_a_band_that_it_has(world):
    rig, _ = world
    settings = rig.lab.EphysRecording.ProbeSetting
    with pytest.raises(QueryError, match="Several probes are chosen"):
        settings().open()
    with pytest.raises(QueryError, match="No probe is chosen"):
        (settings & "probe_num = 7").open()
    with pytest.raises(QueryError, match="no 'lf' band; its files are of: ap"):
        (settings & probe_key(0)).open(band="lf")


def test_of_two_files_of_one_band_none_is_chosen(world):
    """Labs of before may have several triggers in one dataset: the first is not the recording."""
    rig, _ = world
    setting = rig.lab.EphysRecording.ProbeSetting & probe_key(0)
    probe_files = rig.lab.EphysRecording.ProbeFile & setting
    (one,) = (probe_files & 'file_path LIKE "%%.ap.zarr.zip"').fetch(as_dict=True)
    other = one | {"file_path": one["file_path"].replace("_t0.", "_t1.")}
    row = (rig.lab.File & one).fetch1() | other
    rig.lab.File.insert1({name: row[name] for name in rig.lab.File.heading.names if name in row})
    rig.lab.Dataset.DataFiles.insert1({**DATASET, **row}, ignore_extra_fields=True)
    rig.lab.EphysRecording.ProbeFile.insert1(other)
    try:
        with pytest.raises(QueryError, match="2 files of the band 'ap'") as caught:
            setting.open()
        assert "_t0." in caught.value.message and "_t1." in caught.value.message
    finally:
        (rig.lab.EphysRecording.ProbeFile & other).delete_quick()
        key = {name: other[name] for name in ("file_path", "storage")}
        (rig.lab.Dataset.DataFiles & key).delete_quick()
        (rig.lab.File & key).delete_quick()


@pytest.mark.parametrize("kind", ["bin", "cbin"])
def test_kept_as_they_were_recorded(lab_rig, two_probe_run, kind):
    """Recordings of older labs: raw, or compressed by mtscomp with a description beside."""
    run = raw_band(two_probe_run, 0).meta.path
    stem = f"JC1/20240305_100000/ephys_g0/{run.stem}"
    folder = lab_rig.rig / Path(stem).parent
    folder.mkdir(parents=True)
    shutil.copy(run, folder)
    shutil.copy(run.with_suffix(".bin"), folder)
    if kind == "cbin":
        mtscomp = pytest.importorskip("mtscomp")
        raw = folder / run.with_suffix(".bin").name
        options = {"sample_rate": 30000.0, "n_channels": raw_band(two_probe_run, 0).n_channels}
        packed, about = raw.with_suffix(".cbin"), raw.with_suffix(".ch")
        mtscomp.compress(raw, packed, about, dtype=np.int16, n_threads=1, **options)
        raw.unlink()
    lab_rig.upload(lab_rig.put(folder, rule="none", dataset_type="ephys"))
    lab, key = lab_rig.lab, probe_key(0)
    rows = lab.Dataset.DataFiles.fetch("file_path", "storage", as_dict=True)
    insert_probe(lab, key, rows)
    shutil.rmtree(folder)
    opened = (lab.EphysRecording.ProbeSetting & key).open()
    raw = raw_band(two_probe_run, 0)
    np.testing.assert_array_equal(opened.samples[500:90_500], raw.samples[500:90_500])
    np.testing.assert_array_equal(opened.uv_per_bit, raw.uv_per_bit)


def insert_probe(lab, key, rows):
    probe = {"probe_id": "1", "probe_type": "NP2013", "probe_n_shanks": 4}
    lab.Probe.insert1({**probe, "probe_recording_channels": 384})
    lab.ProbeConfiguration.insert1(
        {
            "probe_id": "1",
            "configuration_id": 1,
            "probe_n_channels": 1,
            "probe_gain": 1.0,
            "channel_idx": [0],
            "channel_shank": [0],
            "channel_coords": [[0.0, 0.0]],
            "configuration_hash": "0" * 64,
        }
    )
    lab.EphysRecording.insert1({**DATASET, "n_probes": 1, "recording_duration": 4.0,
                                "recording_software": "SpikeGLX"})  # fmt: skip
    lab.EphysRecording.ProbeSetting.insert1(
        {**key, "probe_id": "1", "configuration_id": 1, "sampling_rate": 30000.0}
    )
    lab.EphysRecording.ProbeFile.insert({**key, **row} for row in rows)
