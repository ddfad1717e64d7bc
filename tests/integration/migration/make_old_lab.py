"""Fill a database with the published labdata 0.1, as its users do; run by that package's python.

``python make_old_lab.py FOLDER``, with LABDATA_PATH (and LABDATA_DATABASE_PROJECT for a project)
in the environment. Every row that goes in is also written to FOLDER/oracle.json, its arrays to
FOLDER/arrays.npz and its objects to FOLDER/objects/<store>, so that a migration is compared with
what was typed, not with what some reader makes of the database.
"""

import hashlib
import json
import os
import sys
from datetime import date, datetime
from pathlib import Path

import numpy as np

from labdata import schema as old

FOLDER = Path(sys.argv[1])
PROJECT = os.environ.get("LABDATA_DATABASE_PROJECT") or None
SEED = len(PROJECT or "")
RNG = np.random.default_rng(SEED)
SUBJECT = f"JC{SEED}"
SESSION = {"subject_name": SUBJECT, "session_name": "20250601_100000"}
EPHYS = {**SESSION, "dataset_name": "ephys_g0"}
IMAGING = {**SESSION, "dataset_name": "two_photon"}
TASK = {**SESSION, "dataset_name": "task"}
RATE = 30000.123456789012
NOTE = {"notetaker": "couto", "note_datetime": datetime(2025, 6, 1, 12, 30, 5)}

rows, arrays, objects = {}, {}, {}


def describe(name, value):
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return {"array": name}
    if isinstance(value, dict):
        return {"dict": {k: describe(f"{name}/{k}", v) for k, v in value.items()}}
    if isinstance(value, (datetime, date)):
        return {"time": value.isoformat()}
    return {"value": value}


def add(table, *new, **shared):
    """Insert rows, and keep them for the oracle."""
    cls = old
    for part in table.split("."):
        cls = getattr(cls, part)
    full = [{**shared, **row} for row in new] or [shared]
    for row in full:
        cls.insert1(row, skip_duplicates=True, allow_direct_insert=True)
    kept = rows.setdefault(table, [])
    for row in full:
        place = f"{table}/{len(kept)}"
        kept.append({k: describe(f"{place}/{k}", v) for k, v in row.items()})


def add_object(table, store, path, content):
    """Write an object below the store's folder, and its row."""
    file = FOLDER / "objects" / store / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    objects[f"{store}/{path}"] = hashlib.sha256(content).hexdigest()
    add(
        table,
        file_path=path,
        storage=store,
        file_datetime=datetime(2025, 6, 1, 10, 0, 7),
        file_size=len(content),
        file_md5=hashlib.md5(content).hexdigest(),
    )


def fill_people():
    add(
        "LabMember",
        {"user_name": "couto", "first_name": "João", "date_joined": date(2019, 4, 1)},
        {"user_name": "left", "date_joined": date(2018, 1, 1), "is_active": 0},
    )
    if PROJECT:
        add(
            "Project",
            project_name=PROJECT,
            project_description="vision of mice",
            project_contact="couto",
        )
        add("Project.User", {"user_name": "couto"}, {"user_name": "left"}, project_name=PROJECT)
    add("Species", species_name="mouse", species_scientific_name="Mus musculus")
    add("Strain", strain_name="Ai14", species_name="mouse", strain_description="reporter")
    add("SetupLocation", setup_location="room 1")
    add("Setup", setup_name="rig1", setup_location="room 1", setup_description=None)
    add(
        "Subject",
        subject_name=SUBJECT,
        subject_dob=date(2025, 1, 2),
        subject_sex="F",
        strain_name="Ai14",
        user_name="couto",
    )


def fill_sessions():
    add("Session", **SESSION, session_datetime=datetime(2025, 6, 1, 10, 0), experimenter="couto")
    add("Note", **NOTE, notes="naïve 'quotes' \\ and 5 µm")
    for key, kind in ((EPHYS, "ephys"), (IMAGING, "imaging-2p"), (TASK, "task-training")):
        add("Dataset", **key, dataset_type=kind, setup_name="rig1")
    add(
        "Note.Image",
        {"image_id": 0, "image": RNG.integers(0, 255, (7, 5, 3)).astype("uint8")},
        {"image_id": 1, "image": {"a": np.eye(2), "words": ["x", None]}, "caption": "no image"},
        **NOTE,
    )
    base = f"{PROJECT + '/' if PROJECT else ''}{SUBJECT}/20250601_100000"
    for name, size in (("ephys_g0/run.ap.cbin", 70_000), ("ephys_g0/run.ap.ch", 0)):
        path = f"{base}/{name}"
        add_object("File", "data", path, RNG.bytes(size))
        add("Dataset.DataFiles", **EPHYS, file_path=path, storage="data")
    stack = f"{base}/two_photon/stack.zarr.zip"
    add_object("File", "data", stack, RNG.bytes(30_000))
    add("Note.Attachment", **NOTE, file_path=stack, storage="data", caption="the stack")
    add_object("AnalysisFile", "analysis", f"{base}/waveforms0.hdf5", RNG.bytes(11_111))
    add(
        "ProcessedFile",
        file_path=f"{base}/ephys_g0/run.ap.bin",
        file_datetime=datetime(2025, 6, 1, 9),
        file_size=3e10,
        file_md5="0" * 32,
    )
    add(
        "TwoPhoton",
        **IMAGING,
        n_planes=1, n_channels=2, n_frames=1000, width=512, height=256, frame_rate=30.98,
        file_path=stack, storage="data", um_per_pixel=np.array([1.2, 1.3]),
        imaging_software="scanbox",
    )  # fmt: skip
    add("TwoPhoton.Plane", **IMAGING, plane_num=0, plane_depth=123.4567)
    return base


def fill_husbandry():
    key = {"subject_name": SUBJECT, "weighing_datetime": datetime(2025, 5, 1, 9)}
    add("Weighing", **key, weight=23.4)
    add("Weighing", subject_name=SUBJECT, weighing_datetime=datetime(2025, 5, 2), weight=123456.79)
    watering = {"subject_name": SUBJECT, "watering_datetime": datetime(2025, 5, 1, 10)}
    add("Watering", **watering, water_volume=612.35)
    add(
        "WaterRestriction",
        **key,
        water_restriction_start_date=date(2025, 5, 1),
        water_restriction_end_date=date(2025, 5, 9),
        user_name="couto",
    )
    add(
        "Procedure",
        subject_name=SUBJECT,
        procedure_type="surgery",
        procedure_datetime=datetime(2025, 4, 1),
        user_name="couto",
        procedure_metadata={"drug": "isoflurane", "times": np.arange(3)},
    )
    add("DecisionTask", **{**TASK, **watering}, n_total_trials=9, n_total_rewarded=4)
    add(
        "DecisionTask.TrialSet",
        **TASK,
        trialset_description="visual",
        n_trials=9, n_performed=8, n_with_choice=7, n_correct=6,
        performance_easy=0.9, performance=0.857142857,
        trial_num=np.arange(9), response_values=np.array([1, 0, -1] * 3),
        correct_values=np.array([1, np.nan, 0] * 3), reaction_times=RNG.random(9),
    )  # fmt: skip


def fill_events():
    add("DatasetEvents", {"stream_name": "imec0"}, {"stream_name": "nidq"}, **EPHYS)
    onsets = np.arange(20) * 30000 + 17
    add(
        "DatasetEvents.Digital",
        **EPHYS,
        stream_name="imec0",
        event_name="file0_sync_onsets",
        event_timestamps=onsets.astype("uint64"),
    )
    edges = np.sort(np.concatenate([onsets, onsets + 15000])) / 30000 + 0.0123
    add(
        "DatasetEvents.Digital",
        **EPHYS,
        stream_name="nidq",
        event_name="7",
        event_timestamps=edges,
        event_values=np.tile([1, 0], 20).astype("uint8"),
    )
    add(
        "DatasetEvents.AnalogChannel",
        **EPHYS,
        stream_name="nidq",
        channel_name="photodiode",
        channel_values=RNG.normal(size=100).astype("float32"),
    )
    add(
        "StreamSync",
        **EPHYS,
        stream_name="imec0",
        event_name="file0_sync_onsets",
        clock_dataset="ephys_g0",
        clock_stream="nidq",
        clock_stream_event="7",
    )


def fill_ephys():
    add("Probe", probe_id="1234", probe_type="24", probe_n_shanks=4, probe_recording_channels=384)
    config = {"probe_id": "1234", "configuration_id": 1}
    add(
        "ProbeConfiguration",
        **config,
        probe_n_channels=8,
        probe_gain=2.34375,
        channel_idx=np.arange(8),
        channel_shank=np.zeros(8),
        channel_coords=RNG.random((8, 2)) * 100,
    )
    add("EphysRecording", **EPHYS, n_probes=1, recording_duration=601.25,
        recording_software="SpikeGLX")  # fmt: skip
    add("EphysRecording.ProbeSetting", **EPHYS, probe_num=0, **config, sampling_rate=RATE)
    stats = {f"channel_{n}": RNG.random((8, 2)) for n in ("median", "max", "mad")}
    add("EphysRecordingNoiseStats", **EPHYS, probe_num=0, **stats)


def fill_sorting(base):
    add(
        "SpikeSortingParams",
        parameter_set_num=1,
        algorithm_name="spks_kilosort2.5",
        parameters_dict=json.dumps({"thresholds": [9, 3], "motion": True, "x": None}),
    )
    key = {**EPHYS, "probe_num": 0, "parameter_set_num": 1}
    add(
        "SpikeSorting",
        **key,
        algorithm_version="2.5",
        sorting_datetime=datetime(2025, 6, 2),
        n_pre_samples=45,
        n_sorted_units=3,
        n_detected_spikes=3000,
        sorting_channel_indices=np.arange(8),
        waveforms_file=f"{base}/waveforms0.hdf5",
        waveforms_storage="analysis",
    )
    for unit in range(3):
        times = np.sort(RNG.integers(0, 18_000_000, 1000 * unit)).astype("uint64")
        one = {**key, "unit_id": unit}
        add(
            "SpikeSorting.Unit",
            **one,
            spike_times=times,
            spike_positions=RNG.random((len(times), 2)).astype("float32"),
            spike_amplitudes=RNG.random(len(times)).astype("float32"),
        )
        add("SpikeSorting.Waveforms", **one, waveform_median=RNG.random((60, 4)).astype("float32"),
            waveform_channels=np.array([0, 2, 4, 6]), waveform_noise=3.3)  # fmt: skip
        add("UnitMetrics", **one, num_spikes=len(times), depth=1234.5678901234, polarity=-1,
            position=np.array([1.5, 2.5]), isi_contamination=0.0123456, snr=None)  # fmt: skip
    add("UnitCountCriteria", unit_criteria_id=1, sua_criteria="isi_contamination < 0.1")
    count = {**key, "unit_criteria_id": 1}
    add("UnitCount", **count, all=3, sua=2, mua=1)
    add("UnitCount.Unit", *({"unit_id": u, "passes": 1 - u} for u in range(3)), **count)


def fill_segmentation():
    add(
        "CellSegmentationParams",
        parameter_set_num=1,
        algorithm_name="suite2p",
        parameters_dict="{'tau': 1.5}",
    )  # fmt: skip  (python text, which is no JSON)
    key = {**IMAGING, "parameter_set_num": 1}
    add("CellSegmentation", **key, algorithm_version="0.14", n_rois=2,
        crop_region=np.array([[0, 256], [0, 512]]))  # fmt: skip
    plane = {**key, "plane_num": 0}
    add("CellSegmentation.Plane", **plane, plane_n_rois=2, dims=np.array([256, 512]))
    add("CellSegmentation.Projection", **plane, proj_name="mean",
        proj_im=np.asfortranarray(RNG.random((9, 4)).astype("float32")))  # fmt: skip
    for roi in range(2):
        one = {**plane, "roi_num": roi}
        add("CellSegmentation.ROI", **one, roi_pixels=RNG.integers(0, 99, 6).astype("int32"))
        add("CellSegmentation.RawTraces", **one, f_trace=RNG.random(50).astype("float32"))
        add("CellSegmentation.Traces", **one, dff=np.append(RNG.random(50), np.nan))
        add("CellSegmentation.Selection", **one, selection_method="auto", selection=roi,
            likelihood=0.1)  # fmt: skip


def fill_rest(base):
    """The tables that have few rows in most labs."""
    procedure = {
        "subject_name": SUBJECT,
        "procedure_type": "surgery",
        "procedure_datetime": datetime(2025, 4, 1),
    }
    add("ProbeInsertion", **procedure, probe_id="1234", insertion_ap=-2100.5, insertion_ml=1500,
        insertion_depth=3000.25, insertion_el=60, insertion_az=0.1)  # fmt: skip
    add("ProbeExtraction", **procedure, probe_id="1234", extraction_successful=1)
    add("Death", subject_name=SUBJECT, death_date=datetime(2025, 8, 1, 11), **NOTE)
    video = {**TASK, "video_name": "side"}
    add("DatasetVideo", **video, frame_times=RNG.random(20), frame_rate=59.94, n_frames=20.0)
    add("DatasetVideo.Frame", **video, frame_num=3,
        frame=RNG.integers(0, 255, (4, 6, 3)).astype("uint8"))  # fmt: skip
    add("PoseEstimationLabelSet", pose_label_set_num=1, description="paws", labeler="couto")
    add("PoseEstimationLabelSet.Label", pose_label_set_num=1, **video, frame_num=3,
        label_name="paw", x=10.25, y=0.1)  # fmt: skip
    add("PoseEstimationModel", model_num=1, algorithm_name="dlc", pose_label_set_num=1,
        file_path=f"{base}/waveforms0.hdf5", storage="analysis",
        parameters_dict='{"n": 3}')  # fmt: skip
    add("PoseEstimation", model_num=1, **video, label_name="paw", x=RNG.random(20),
        y=RNG.random(20), likelihood=RNG.random(20).astype("float32"))  # fmt: skip
    add("Atlas", atlas_id="allen_10um")
    add("Atlas.Region", atlas_id="allen_10um", region_acronym="VISp", region_name="primary visual",
        region_id=385, region_atlas_id=1, region_level=7,
        structure_id_path="/997/385/")  # fmt: skip
    add("ProbeBrainRegion", **procedure, probe_id="1234", configuration_id=1,
        atlas_id="allen_10um", region_acronym="VISp", min_depth=0.5,
        electrodes=np.arange(3))  # fmt: skip
    add("FixedBrain", **IMAGING, num_channels=2, um_per_pixel=np.array([5.0, 5.0, 10.0]))
    add("FixedBrain.Channel", **IMAGING, channel_index=0, channel_wavelength=488.5)
    add("FixedBrainTransformParameters", **IMAGING, transform_id=0, downsample=[1, 1, 0.5, 0.5],
        crop=[[0, 10, 1], None], rotate=np.array([90, 0, 0.5]))  # fmt: skip


def fill_part_of_a_probe():
    """A sorting of some of the probe's channels, in another order, and what a merge kept."""
    add("SpikeSortingParams", parameter_set_num=2, algorithm_name="ks4", parameters_dict="{}")
    key = {**EPHYS, "probe_num": 0, "parameter_set_num": 2}
    add("SpikeSorting", **key, sorting_channel_indices=np.array([6, 2, 4]),
        additional_params='{"x": 1}')  # fmt: skip
    wave = RNG.random((60, 2)).astype("float32")
    unit = {**key, "unit_id": 5}
    add("SpikeSorting.Unit", **unit, spike_times=np.array([7, 9], "uint64"))
    add("SpikeSorting.Waveforms", **unit, waveform_median=wave,
        waveform_channels=np.array([0, 2], "int16"), waveform_ptp=np.arange(3.0))  # fmt: skip
    add("UnitMetrics", **unit, num_spikes=2, channel_index=1, active_electrodes=np.array([[1, 2]]))
    for source in (5, 6):
        add("SpikeSorting.MergedUnit", **key, merged_unit_id=5, source_unit_id=source,
            spike_times=np.array([9, 7], "uint64"), spike_amplitudes=np.array([0.9, 0.7]),
            merge_datetime=datetime(2025, 7, 1))  # fmt: skip
    add("SpikeSorting.Motion", **key, motion_num=0, motion_method="dredge",
        displacement=RNG.random((5, 2)), displacement_times=np.arange(5.0))  # fmt: skip
    add("SpikeSorting.Segment", **key, segment_num=1, offset_samples=30000,
        segment=RNG.integers(-99, 99, (50, 3)).astype("int16"))  # fmt: skip
    add("SpikeSorting.LinkedDatasets", **key, linked_session_name=SESSION["session_name"],
        linked_dataset_session="task")  # fmt: skip


def fill_jobs():
    project = {"project_name": PROJECT} if PROJECT else {}
    for number, status, waiting in ((1, "COMPLETED", 0), (2, "ON SERVER", 1), (3, "FAILED", 0)):
        job = 10 * SEED + number
        add("UploadJob", job_id=job, job_status=status, job_waiting=waiting, job_rule="ephys",
            job_host="server", job_log="log", **EPHYS, **project)  # fmt: skip
        add(
            "UploadJob.AssignedFiles",
            job_id=job,
            src_path=f"{SUBJECT}/run{number}.bin",
            src_datetime=datetime(2025, 6, 1, 9),
            src_size=12345.0,
            src_md5="1" * 32,
        )
    for number, status in ((1, "COMPLETED"), (2, "WORKING"), (3, "CANCELED")):
        add("ComputeTask", job_id=number, task_name="spks", task_status=status, task_waiting=1,
            task_cmd="run spks", task_parameters='{"a": [1, 2.5]}', **EPHYS)  # fmt: skip


def main():
    fill_people()
    base = fill_sessions()
    fill_husbandry()
    fill_ephys()
    fill_events()
    fill_sorting(base)
    fill_segmentation()
    fill_jobs()
    fill_part_of_a_probe()
    fill_rest(base)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "oracle.json").write_text(json.dumps({"rows": rows, "objects": objects}))
    np.savez(FOLDER / "arrays.npz", **arrays)


main()
