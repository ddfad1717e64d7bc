"""``upload``: stored, verified and described together, or not at all, killed wherever it is."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import threading
import time
from datetime import UTC
from pathlib import Path

import numpy as np
import pytest

from labdata.database import claims
from labdata.errors import IntegrityError, RuleError, UploadError
from labdata.formats import spikeglx
from labdata.formats.zarr_band import restore_bin
from labdata.rules import ephys, uploading
from labdata.rules.upload_queue import claimable_jobs, failed_jobs, retry_failed
from labdata.rules.uploading import upload_job
from labdata.testing import ProbeSpec, write_spikeglx_run

DATASET = "JC1/20240305_100000/ephys_g0"
KEY = {"subject_name": "JC1", "session_name": "20240305_100000", "dataset_name": "ephys_g0"}
PLAIN = "JC1/20240305_100000/task"
FILES = {"a.csv": b"1,2\n", "b.bin": os.urandom(50_000)}


def sha(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def files_of(folder):
    folder = Path(folder)
    return {p.relative_to(folder).as_posix(): sha(p) for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def put_run(lab_rig, small_run):
    return lab_rig.put(lab_rig.record(small_run.run_folder))


@pytest.fixture
def put_plain(lab_rig):
    return lab_rig.put(lab_rig.folder(PLAIN, FILES))


# --- what is there afterwards --------------------------------------------------------------------


def test_every_stored_object_has_its_row_and_every_row_its_object(lab_rig, put_run):
    result = lab_rig.upload(put_run)
    rows = lab_rig.lab.File.fetch(as_dict=True)
    stored = files_of(lab_rig.store)
    assert {r["file_path"]: r["file_sha256"] for r in rows} == stored
    assert {r["file_path"]: r["file_size"] for r in rows} == {
        p: (lab_rig.store / p).stat().st_size for p in stored
    }
    assert {r["storage"] for r in rows} == {"data"}
    linked = lab_rig.lab.Dataset.DataFiles & KEY
    assert set(linked.fetch("file_path")) == set(stored)
    assert (result.n_files, result.key) == (len(stored), KEY)
    assert result.stored_bytes == sum(r["file_size"] for r in rows)
    assert result.raw_bytes == sum(
        p.stat().st_size for p in (lab_rig.rig / DATASET).rglob("*") if p.is_file()
    )
    job = lab_rig.job(put_run)
    assert (job["job_status"], job["job_waiting"], job["job_log"]) == ("COMPLETED", 0, "")
    assert job["job_starttime"] < job["job_endtime"]


def test_files_that_are_no_bands_are_stored_as_they_are(lab_rig, put_run):
    lab_rig.upload(put_run)
    originals = files_of(lab_rig.rig)
    stored = files_of(lab_rig.store)
    kept = {p for p in originals if not p.endswith(".ap.bin")}
    assert {p: stored[p] for p in kept} == {p: originals[p] for p in kept}
    assert {p for p in stored if p not in kept} == {
        f"{DATASET}/ephys_g0_imec0/ephys_g0_t0.imec0.ap.zarr.zip"
    }


def test_the_compressed_band_gives_the_original_back_to_the_last_byte(lab_rig, put_run, tmp_path):
    lab_rig.upload(put_run)
    (original,) = (lab_rig.rig / DATASET).rglob("*.ap.bin")
    (zipped,) = lab_rig.store.rglob("*.zarr.zip")
    assert sha(restore_bin(zipped, tmp_path / "back")) == sha(original)
    row = lab_rig.lab.ProcessedFile.fetch1()
    assert row["file_path"] == original.relative_to(lab_rig.rig).as_posix()
    assert (row["file_sha256"], row["file_size"]) == (sha(original), original.stat().st_size)


def test_the_recording_and_its_probe_are_described(lab_rig, put_run, small_run):
    lab_rig.upload(put_run)
    lab, truth = lab_rig.lab, small_run.probes[0]
    recording = (lab.EphysRecording & KEY).fetch1()
    assert recording["n_probes"] == 1
    assert recording["recording_duration"] == pytest.approx(
        truth.clock.n_samples / truth.clock.nominal_rate_hz
    )
    setting = (lab.EphysRecording.ProbeSetting & KEY).fetch1()
    assert (setting["probe_num"], setting["n_samples"]) == (0, truth.clock.n_samples)
    assert setting["sampling_rate"] == truth.clock.nominal_rate_hz
    probe = lab.Probe.fetch1()
    assert probe["probe_id"] == truth.serial
    assert probe["probe_type"] == truth.part_number
    configuration = lab.ProbeConfiguration.fetch1()
    np.testing.assert_array_equal(configuration["channel_idx"], truth.channels)
    np.testing.assert_array_equal(configuration["channel_shank"], truth.shank)
    np.testing.assert_allclose(configuration["channel_coords"], truth.positions_um)
    assert configuration["probe_gain"] == pytest.approx(truth.uv_per_bit)
    paths = set((lab.EphysRecording.ProbeFile & KEY).fetch("file_path"))
    assert {Path(p).name for p in paths} == {
        "ephys_g0_t0.imec0.ap.zarr.zip",
        "ephys_g0_t0.imec0.ap.meta",
    }
    session = lab.Session.fetch1()
    assert session["session_datetime"].isoformat() == "2024-03-05T10:00:00"


def test_every_line_of_every_stream_has_both_edges(lab_rig, put_run, small_run):
    lab_rig.upload(put_run)
    digital = lab_rig.lab.DatasetEvents.Digital & KEY
    truth = small_run
    probe = truth.probes[0]
    expected = {
        ("nidq", "1"): (truth.stim_rise_samples, truth.stim_fall_samples),
        ("nidq", "2"): (truth.camera_rise_samples, truth.camera_fall_samples),
        ("nidq", "7"): (truth.sync_rise_samples, truth.sync_fall_samples),
        ("imec0", "6"): (probe.sync_rise_samples, probe.sync_fall_samples),
    }
    rows = digital.fetch(as_dict=True)
    assert {(r["stream_name"], r["event_name"]) for r in rows} == set(expected)
    rates = {"nidq": truth.nidq.nominal_rate_hz, "imec0": probe.clock.nominal_rate_hz}
    for row in rows:
        rises, falls = expected[row["stream_name"], row["event_name"]]
        samples, values = row["event_samples"], row["event_values"]
        np.testing.assert_array_equal(samples[values == 1], rises)
        np.testing.assert_array_equal(samples[values == 0], falls)
        np.testing.assert_allclose(
            row["event_timestamps"], samples / rates[row["stream_name"]], atol=1e-12
        )
        assert row["event_timestamps"].dtype == np.float64
    streams = (lab_rig.lab.DatasetEvents & KEY).fetch(as_dict=True)
    assert {s["stream_name"]: s["sampling_rate"] for s in streams} == rates
    (run,) = spikeglx.find_runs(lab_rig.rig / DATASET)
    assert {s["stream_name"]: s["first_sample"] for s in streams} == {
        m.stream_name: m.first_sample for m in run.streams
    }
    starts_s = {s["stream_name"]: s["first_sample"] / s["sampling_rate"] for s in streams}
    assert starts_s["imec0"] - starts_s["nidq"] == pytest.approx(
        probe.clock.start_s - truth.nidq.start_s, abs=2e-3
    )
    assert {s["stream_name"]: s["n_samples"] for s in streams} == {
        "nidq": truth.nidq.n_samples,
        "imec0": probe.clock.n_samples,
    }


@pytest.mark.parametrize(
    ("stated", "stored"), [((0, 0), (None, None)), ((0, 21930), (0, 21930)), ((5, 0), (5, 0))]
)
def test_a_first_sample_of_0_means_0_only_beside_another(lab_rig, small_run, stated, stored):
    folder = lab_rig.record(small_run.run_folder)
    for meta, first in zip(("nidq", "imec0.ap"), stated, strict=True):
        (path,) = folder.rglob(f"*.{meta}.meta")
        text = re.sub("firstSample=.*", f"firstSample={first}", path.read_text())
        path.write_text(text)
    lab_rig.upload(lab_rig.put(folder))
    rows = lab_rig.lab.DatasetEvents.fetch("stream_name", "first_sample", as_dict=True)
    assert {r["stream_name"]: r["first_sample"] for r in rows} == dict(
        zip(("nidq", "imec0"), stored, strict=True)
    )


def test_streams_are_never_synchronised_by_an_upload(lab_rig, put_run):
    lab_rig.upload(put_run)
    assert len(lab_rig.lab.StreamSync()) == 0


def test_fault_09_a_probe_keeps_its_number(lab_rig, tmp_path):
    probes = [ProbeSpec(n_channels=4, n_units=1, probe_num=1)]
    run = write_spikeglx_run(tmp_path, run_name="only1", probes=probes, duration_s=2.0)
    lab_rig.upload(lab_rig.put(lab_rig.record(run.run_folder)))
    assert (lab_rig.lab.EphysRecording.ProbeSetting & KEY).fetch("probe_num").tolist() == [1]
    assert set(lab_rig.lab.DatasetEvents.fetch("stream_name")) == {"imec1", "nidq"}
    paths = (lab_rig.lab.EphysRecording.ProbeFile & {"probe_num": 1}).fetch("file_path")
    assert all(".imec1.ap." in path for path in paths)
    assert len(paths) == 2


def test_two_probes_and_an_lf_band(lab_rig, two_probe_run):
    lab_rig.upload(lab_rig.put(lab_rig.record(two_probe_run.run_folder)))
    lab = lab_rig.lab
    settings = lab.EphysRecording.ProbeSetting.fetch(as_dict=True)
    assert {s["probe_num"]: s["n_samples"] for s in settings} == {
        p.probe_num: p.clock.n_samples for p in two_probe_run.probes
    }
    names = {
        Path(p).name for p in (lab.EphysRecording.ProbeFile & "probe_num=1").fetch("file_path")
    }
    assert names == {
        f"ephys_g0_t0.imec1.{band}.{kind}"
        for band in ("ap", "lf")
        for kind in ("zarr.zip", "meta")
    }
    assert len(lab.ProcessedFile()) == 3
    assert set(lab.DatasetEvents.fetch("stream_name")) == {"imec0", "imec1", "nidq"}
    gains = dict(zip(*lab.ProbeConfiguration.fetch("probe_id", "probe_gain"), strict=True))
    assert gains == pytest.approx({p.serial: p.uv_per_bit for p in two_probe_run.probes})


def test_fault_28_one_configuration_serves_every_session_with_it(lab_rig, small_run, tmp_path):
    lab = lab_rig.lab
    for day in ("20240305_100000", "20240306_100000"):
        folder = lab_rig.record(small_run.run_folder, f"JC1/{day}/ephys_g0")
        lab_rig.upload(lab_rig.put(folder))
    assert len(lab.EphysRecording.ProbeSetting()) == 2
    assert len(lab.ProbeConfiguration()) == len(lab.Probe()) == 1
    spec = ProbeSpec(n_channels=8, n_units=2, shanks=(0, 1))
    other = write_spikeglx_run(tmp_path, run_name="ephys", probes=[spec], duration_s=1.0)
    lab_rig.upload(lab_rig.put(lab_rig.record(other.run_folder, "JC1/20240307_100000/ephys_g0")))
    assert len(lab.Probe()) == 1
    numbers, shanks = lab.ProbeConfiguration.fetch("configuration_id", "channel_shank")
    assert numbers.tolist() == [1, 2]
    assert not np.array_equal(*shanks)


def test_events_of_a_recording_that_came_another_way_can_be_added(lab_rig, put_run):
    lab_rig.upload(put_run)
    lab = lab_rig.lab
    before = lab.DatasetEvents.Digital.fetch(as_dict=True)
    assert lab.EphysRecording().add_nidq_events() == 0
    lab.DatasetEvents.delete(prompt=False)
    assert lab.EphysRecording().add_nidq_events() == len(before)
    after = lab.DatasetEvents.Digital.fetch(as_dict=True)
    for old, new in zip(before, after, strict=True):
        assert old.keys() == new.keys()
        assert all(np.array_equal(old[k], new[k]) for k in old)


def test_fault_10_events_of_several_sessions_are_added_at_once(lab_rig, small_run):
    for day in ("20240305_100000", "20240306_100000"):
        folder = lab_rig.record(small_run.run_folder, f"JC1/{day}/ephys_g0")
        lab_rig.upload(lab_rig.put(folder))
    lab_rig.lab.DatasetEvents.delete(prompt=False)
    assert lab_rig.lab.EphysRecording().add_nidq_events() == 8


# --- damage --------------------------------------------------------------------------------------


def flip(path):
    with Path(path).open("r+b") as file:
        file.seek(100)
        byte = file.read(1)
        file.seek(100)
        file.write(bytes([byte[0] ^ 1]))


def nothing_registered(rig):
    counts = rig.counts()
    return {n for n in ("File", "Dataset", "Session", "ProcessedFile") if counts[n]} == set()


def test_a_flipped_byte_in_the_inbox_fails_with_the_reason(lab_rig, put_run):
    (damaged,) = lab_rig.server.rglob("*.ap.bin")
    flip(damaged)
    lab_rig.prefer(local_paths=[str(lab_rig.home / "cache")])
    with pytest.raises(IntegrityError, match=r"ap\.bin differs from what was put"):
        lab_rig.upload(put_run)
    job = lab_rig.job(put_run)
    assert job["job_status"] == "FAILED"
    assert "differs from what was put" in job["job_log"]
    assert nothing_registered(lab_rig)
    assert files_of(lab_rig.store) == {}
    # the way out that the error names
    flip(damaged)
    with pytest.raises(UploadError, match="failed before"):
        lab_rig.upload(put_run)
    assert retry_failed(lab_rig.lab, [put_run]) == 1
    assert lab_rig.upload(put_run).n_files
    assert lab_rig.job(put_run)["job_status"] == "COMPLETED"


@pytest.mark.parametrize("harm", [flip, Path.unlink])
def test_where_the_inbox_is_damaged_an_intact_local_folder_serves(
    lab_rig, put_run, small_run, harm
):
    """All files come from one folder, as a band is read with the meta beside it."""
    (damaged,) = lab_rig.server.rglob("*.ap.bin")
    harm(damaged)
    result = lab_rig.upload(put_run)
    assert result.n_files == lab_rig.counts()["File"] == 5
    (original,) = Path(small_run.run_folder).rglob("*.ap.bin")
    (processed,) = lab_rig.lab.ProcessedFile.fetch("file_sha256")
    assert processed == sha(original)
    log = lab_rig.job(put_run)["job_log"]
    assert (str(damaged) in log) == (harm is flip)


def test_a_worker_that_came_back_never_shares_a_folder(lab_rig, put_run, monkeypatch):
    """It lost its connection, and with it the job, while another works on the same job."""
    folders = []
    real = ephys.EphysRule.apply

    def twice(self, context):
        folders.append(context.staging)
        if len(folders) == 1:
            table = lab_rig.lab.UploadJob
            ask = f"SELECT IS_USED_LOCK('labdata.job.{table.database}.{put_run}')"
            table.connection.query(f"KILL CONNECTION {table.connection.query(ask).fetchone()[0]}")
            while table.connection.query(ask).fetchone()[0]:
                pass  # until the server has seen to it
            lab_rig.upload(put_run)
        return real(self, context)

    monkeypatch.setattr(ephys.EphysRule, "apply", twice)
    with pytest.raises(UploadError, match="taken over"):
        lab_rig.upload(put_run)
    assert len(set(folders)) == 2
    assert lab_rig.job(put_run)["job_status"] == "COMPLETED"
    assert lab_rig.counts()["File"] == 5
    assert not any(folder.exists() for folder in folders)


def test_a_byte_that_flips_after_the_sources_were_verified_is_caught(
    lab_rig, put_run, monkeypatch
):
    """The band is compressed in a second reading; what it reads must be what was put."""
    real = ephys.compress_band

    def late(source, destination, **options):
        flip(source)
        return real(source, destination, **options)

    monkeypatch.setattr(ephys, "compress_band", late)
    with pytest.raises(IntegrityError, match="changed after it was verified"):
        lab_rig.upload(put_run)
    assert nothing_registered(lab_rig)
    assert files_of(lab_rig.store) == {}


def test_a_file_missing_from_the_inbox_is_named(lab_rig, put_run):
    (gone,) = lab_rig.server.rglob("*.nidq.meta")
    gone.unlink()
    # the rig's own copy serves where the two are one computer
    lab_rig.prefer(local_paths=[str(lab_rig.home / "cache")])
    with pytest.raises(UploadError, match=r"nidq\.meta is not in the inbox"):
        lab_rig.upload(put_run)
    assert nothing_registered(lab_rig)


def test_fault_02_an_object_with_other_content_is_never_overwritten(lab_rig, put_plain):
    there = lab_rig.store / PLAIN / "b.bin"
    there.parent.mkdir(parents=True)
    there.write_bytes(b"older data")
    with pytest.raises(IntegrityError, match=r"b\.bin exists with other content"):
        lab_rig.upload(put_plain)
    assert there.read_bytes() == b"older data"
    assert nothing_registered(lab_rig)
    assert lab_rig.job(put_plain)["job_status"] == "FAILED"


def test_an_object_with_equal_content_is_taken_as_stored(lab_rig, put_plain):
    there = lab_rig.store / PLAIN / "b.bin"
    there.parent.mkdir(parents=True)
    there.write_bytes(FILES["b.bin"])
    assert lab_rig.upload(put_plain).n_files == 2


def test_a_compressed_recording_is_as_old_as_its_original(lab_rig, put_run):
    (original,) = lab_rig.server.rglob("*.ap.bin")
    when_s = 1.6e9
    os.utime(original, (when_s, when_s))
    lab_rig.upload(put_run)
    (row,) = (lab_rig.lab.File & 'file_path LIKE "%.zarr.zip"').fetch("file_datetime")
    assert row.replace(tzinfo=UTC).timestamp() == when_s
    (stored,) = lab_rig.store.rglob("*.zarr.zip")
    assert stored.stat().st_mtime == when_s


def test_a_store_that_loses_bytes_is_found_out_before_anything_is_registered(
    lab_rig, put_plain, monkeypatch
):
    from labdata.stores import local

    real = local.copy_hashed

    def lossy(source, destination, **options):
        found = real(source, destination, **options)
        if destination.name == "b.bin":
            destination.chmod(0o644)
            flip(destination)
        return found

    monkeypatch.setattr(local, "copy_hashed", lossy)
    with pytest.raises(IntegrityError, match="expected was"):
        lab_rig.upload(put_plain)
    assert nothing_registered(lab_rig)


def test_a_file_row_that_exists_already_leaves_the_old_one_alone(lab_rig, put_plain):
    old = {
        "file_path": f"{PLAIN}/b.bin",
        "storage": "data",
        "file_datetime": "2020-01-01",
        "file_size": 3,
        "file_sha256": "0" * 64,
    }
    lab_rig.lab.File.insert1(old)
    (lab_rig.store / "other.bin").touch()  # an empty store is taken for one that is not mounted
    with pytest.raises(UploadError, match="has the path of one that is in the database already"):
        lab_rig.upload(put_plain)
    assert lab_rig.job(put_plain)["job_status"] == "FAILED"
    assert lab_rig.lab.File.fetch1("file_sha256") == "0" * 64
    assert len(lab_rig.lab.Dataset()) == 0


def test_a_defect_in_a_rule_is_a_failure_and_not_tried_for_ever(lab_rig, put_run, monkeypatch):
    def broken(self, lab, context, output):
        raise KeyError("gain")

    monkeypatch.setattr(ephys.EphysRule, "insert", broken)
    with pytest.raises(KeyError):
        lab_rig.upload(put_run)
    assert lab_rig.job(put_run)["job_status"] == "FAILED"
    assert "KeyError: 'gain'" in lab_rig.job(put_run)["job_log"]
    assert nothing_registered(lab_rig)
    assert claimable_jobs(lab_rig.lab) == []
    monkeypatch.undo()


# --- killed, interrupted, two at once ------------------------------------------------------------


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def after(owner, name):
    """Make a function end the process once it has done its work."""
    real = getattr(owner, name)

    def wrapped(*args, **options):
        real(*args, **options)
        die()

    setattr(owner, name, wrapped)


def before(owner, name):
    setattr(owner, name, die)


STEPS = {
    "after the claim": lambda: after(claims, "_take"),
    "after verifying the sources": lambda: after(uploading._Upload, "_find_sources"),
    "during compression": lambda: before(ephys, "compress_band"),
    "before the comparison": lambda: before(ephys, "verify_band"),
    "before the first object": lambda: before(
        uploading.open_store.__globals__["LocalStore"], "put"
    ),
    "after the first object": lambda: after(uploading.open_store.__globals__["LocalStore"], "put"),
    "when all is stored": lambda: before(uploading._Upload, "_register"),
    "within the transaction": lambda: before(ephys.EphysRule, "insert"),
    "before the commit": lambda: before_completed(),
    "after the commit": lambda: after(uploading._Upload, "_register"),
}


def before_completed():
    real = claims.Claim.finish

    def finish(self, status, *rest, **columns):
        done = real(self, status, *rest, **columns)
        if status == "COMPLETED":
            die()
        return done

    claims.Claim.finish = finish


@pytest.mark.parametrize("step", STEPS)
def test_killed_anywhere_and_repeated_there_is_one_set_of_rows(
    lab_rig, put_run, step, run_child, small_run
):
    originals = files_of(lab_rig.server)

    def work():
        STEPS[step]()
        upload_job(put_run)

    assert run_child(work) == -signal.SIGKILL
    committed = step == "after the commit"
    # every raw file is verified in a place that the database knows: the inbox, named by the job
    assert files_of(lab_rig.server) == originals
    rows = (lab_rig.lab.UploadJob.AssignedFiles & {"job_id": put_run}).fetch(as_dict=True)
    assert {r["src_path"]: r["src_sha256"] for r in rows} == originals
    assert nothing_registered(lab_rig) is not committed
    assert lab_rig.job(put_run)["job_status"] == ("COMPLETED" if committed else "WORKING")
    deadline = time.monotonic() + 10  # for the server to notice that the worker is gone
    while (result := upload_job(put_run)) is None and not committed:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (result is None) is committed
    assert lab_rig.job(put_run)["job_status"] == "COMPLETED"
    counts = lab_rig.counts()
    assert counts["File"] == len(originals) == counts["Dataset.DataFiles"]
    assert [counts[n] for n in ("Session", "Dataset", "EphysRecording", "ProcessedFile")] == [
        1
    ] * 4
    assert counts["DatasetEvents.Digital"] == 4
    stored = {p: s for p, s in files_of(lab_rig.store).items() if "partial" not in p}
    assert dict(zip(*lab_rig.lab.File.fetch("file_path", "file_sha256"), strict=True)) == stored
    lab_rig.upload(lab_rig.put(lab_rig.folder("JC2/20240305_100000/task", FILES)))
    assert not list((lab_rig.home / "scratch").glob("*"))


def test_interrupted_it_waits_for_anybody(lab_rig, put_run, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as now:
        now.setattr(ephys, "compress_band", interrupt)
        with pytest.raises(KeyboardInterrupt):
            lab_rig.upload(put_run)
    job = lab_rig.job(put_run)
    assert (job["job_status"], job["job_waiting"]) == ("WAITING", 1)
    assert nothing_registered(lab_rig)
    assert claimable_jobs(lab_rig.lab) == [put_run]
    assert lab_rig.upload(put_run).n_files


def test_fault_01_of_two_workers_one_uploads_a_job(lab_rig, put_plain, run_child):
    gate = lab_rig.home / "gate"

    def work():
        while not gate.exists():
            time.sleep(0.001)
        os._exit(10 if upload_job(put_plain) else 20)

    codes: list[int] = []
    workers = [threading.Thread(target=lambda: codes.append(run_child(work))) for _ in range(3)]
    for worker in workers:
        worker.start()
    time.sleep(0.5)
    gate.touch()
    for worker in workers:
        worker.join()
    assert sorted(codes) == [10, 20, 20]
    assert lab_rig.counts()["File"] == 2


def test_a_worker_that_is_alive_keeps_its_job(lab_rig, put_plain, run_child, monkeypatch):
    codes = []

    def meanwhile(*_):
        codes.append(run_child(lambda: os._exit(10 if upload_job(put_plain) else 20)))

    lab_rig.upload(put_plain, on_size=meanwhile)
    assert codes == [20]
    assert lab_rig.job(put_plain)["job_status"] == "COMPLETED"


def test_a_job_taken_over_is_not_registered_twice(lab_rig, put_plain, monkeypatch):
    """A worker whose connection broke may come back when another has its job."""
    real = uploading._Upload._store

    def stolen(self, output, progress):
        rows = real(self, output, progress)
        self.lab.connection.query(
            f"UPDATE {self.lab.UploadJob.full_table_name} SET job_claim='another'"
        )
        return rows

    monkeypatch.setattr(uploading._Upload, "_store", stolen)
    with pytest.raises(UploadError, match="taken over"):
        lab_rig.upload(put_plain)
    assert nothing_registered(lab_rig)
    assert lab_rig.job(put_plain)["job_status"] == "WORKING"


# --- which jobs ----------------------------------------------------------------------------------


def test_a_job_that_is_done_or_unknown(lab_rig, put_plain):
    assert lab_rig.upload(put_plain)
    assert lab_rig.upload(put_plain) is None
    with pytest.raises(UploadError, match="no upload job 999"):
        lab_rig.upload(999)


def test_fault_23_jobs_of_other_hosts_are_left_to_them(lab_rig, put_plain):
    lab, files = lab_rig.lab, {"x": b"1"}
    assert claimable_jobs(lab) == [put_plain]  # a null upload_host means this host
    lab_rig.prefer(upload_host="server2")
    other = lab_rig.put(lab_rig.folder("JC2/20240305_100000/task", files))
    assert claimable_jobs(lab) == [other]
    assert claimable_jobs(lab, all_hosts=True) == [put_plain, other]
    lab_rig.prefer()
    lab.connection.query(f"UPDATE {lab.UploadJob.full_table_name} SET job_status='FAILED'")
    assert failed_jobs(lab) == [put_plain]
    assert failed_jobs(lab, all_hosts=True) == [put_plain, other]


def test_a_job_is_never_uploaded_into_another_project(lab_rig, put_plain):
    shared, lab = lab_rig.lab, lab_rig.project("P")
    lab_rig.add_subjects("JC1", lab=lab)
    folder = lab_rig.folder("JC1/20240306_100000/task", FILES)
    job_id = lab_rig.put(folder, lab=lab)
    assert claimable_jobs(shared) == [put_plain]
    assert claimable_jobs(lab) == [job_id]
    for number, wrong, owner in ((job_id, shared, "project 'P'"), (put_plain, lab, "no project")):
        with pytest.raises(UploadError, match=f"belongs to {owner}"):
            lab_rig.upload(number, lab=wrong)
        only = {"project_name": wrong.project}
        states = ("ON SERVER", "WAITING")
        with claims.claim_row(wrong.UploadJob, "job", number, states=states, only=only) as claim:
            assert claim is None
    assert nothing_registered(lab_rig)
    lab_rig.upload(job_id, lab=lab)
    assert len(lab.Dataset()) == 1
    assert len(shared.Dataset()) == 0
    assert len(shared.File()) == 2  # raw files are the lab's
    shared.connection.query(f"UPDATE {lab.UploadJob.full_table_name} SET job_status='FAILED'")
    assert retry_failed(shared, [job_id]) == 0


def test_a_second_recording_of_a_dataset_is_a_clear_failure(lab_rig, put_run, small_run):
    lab_rig.upload(put_run)
    folder = lab_rig.record(small_run.run_folder, "JC1/20240305_100000/again")
    with pytest.raises(RuleError, match="ephys_g0 has a recording already"):
        lab_rig.put(folder, dataset="ephys_g0", rule="ephys")


def test_two_recordings_put_for_one_dataset_fail_at_the_second_upload(lab_rig, put_run, small_run):
    folder = lab_rig.record(small_run.run_folder, "JC1/20240305_100000/again")
    second = lab_rig.put(folder, dataset="ephys_g0", rule="ephys")
    lab_rig.upload(put_run)
    counts = lab_rig.counts()
    with pytest.raises(RuleError, match="ephys_g0 has a recording already"):
        lab_rig.upload(second)
    assert lab_rig.counts() == counts
    assert "has a recording already" in lab_rig.job(second)["job_log"]
