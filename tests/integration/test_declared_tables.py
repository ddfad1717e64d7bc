"""The declared tables: names, keys and references, on the embedded database and on a server.

What is expected are the names that notebooks of older labs rely on, written down here and not
taken from the declarations.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labdata.database.connection import LabConnection, connect
from labdata.schema import default_lab

pytestmark = pytest.mark.database

SUBJECT = ["subject_name"]
SESSION = [*SUBJECT, "session_name"]
DATASET = [*SESSION, "dataset_name"]
EVENTS = [*DATASET, "stream_name"]
PROBE = [*DATASET, "probe_num"]
SORTING = [*PROBE, "parameter_set_num"]
UNIT = [*SORTING, "unit_id"]
FILE = ["file_path", "storage"]
METRICS = (
    "num_spikes depth position shank channel_index n_electrodes_spanned span_um firing_rate "
    "isi_contamination isi_contamination_hill n_isi_violations amplitude_cutoff presence_ratio "
    "depth_drift_range depth_drift_fluctuation depth_drift_start_to_end firing_range "
    "amplitude_drift spike_amplitude snr spike_duration trough_time trough_amplitude fw3m "
    "trough_gradient peak_gradient peak_time peak_amplitude polarity active_electrodes"
)
SPIKES = "spike_times spike_positions spike_amplitudes"

#: level, table, SQL name, primary key, other attributes, parents as (table, renamed attributes)
EXPECTED: list[tuple[str, str, str, list[str], str, list[str]]] = [
    ("global", "LabMember", "lab_member", ["user_name"],
     "email first_name last_name date_joined is_active", []),
    ("global", "Project", "project", ["project_name"],
     "project_description project_startdate project_enddate project_contact", ["LabMember"]),
    ("global", "Project.User", "project__user", ["project_name", "user_name"], "",
     ["Project", "LabMember"]),
    ("global", "File", "file", FILE, "file_datetime file_size file_md5", []),
    ("global", "AnalysisFile", "analysis_file", FILE, "file_datetime file_size file_md5", []),
    ("global", "ProcessedFile", "processed_file", ["file_path"],
     "file_datetime file_size file_md5", []),
    ("global", "Species", "#species", ["species_name"],
     "species_scientific_name species_description", []),
    ("global", "Strain", "#strain", ["strain_name"], "species_name strain_description",
     ["Species"]),
    ("global", "SetupLocation", "#setup_location", ["setup_location"], "", []),
    ("global", "Setup", "#setup", ["setup_name"], "setup_location setup_description",
     ["SetupLocation"]),
    ("data", "Subject", "subject", SUBJECT, "subject_dob subject_sex strain_name user_name",
     ["Strain", "LabMember"]),
    ("data", "Note", "note", ["notetaker", "note_datetime"], "notes", ["LabMember"]),
    ("data", "Note.Image", "note__image", ["notetaker", "note_datetime", "image_id"],
     "image caption", ["Note"]),
    ("data", "Note.Attachment", "note__attachment", ["notetaker", "note_datetime", *FILE],
     "caption", ["Note", "File"]),
    ("data", "Session", "session", SESSION, "session_datetime experimenter",
     ["Subject", "LabMember"]),
    ("data", "DatasetType", "#dataset_type", ["dataset_type"], "", []),
    ("data", "Dataset", "dataset", DATASET,
     "dataset_type setup_name notetaker note_datetime",
     ["Session", "DatasetType", "Setup", "Note"]),
    ("data", "Dataset.DataFiles", "dataset__data_files", [*DATASET, *FILE], "",
     ["Dataset", "File"]),
    ("data", "DatasetEvents", "_dataset_events", EVENTS, "stream_time", ["Dataset"]),
    ("data", "DatasetEvents.Digital", "_dataset_events__digital", [*EVENTS, "event_name"],
     "event_timestamps event_values", ["DatasetEvents"]),
    ("data", "DatasetEvents.AnalogChannel", "_dataset_events__analog_channel",
     [*EVENTS, "channel_name"], "channel_values", ["DatasetEvents"]),
    ("computed", "StreamSync", "stream_sync",
     [*EVENTS, "event_name", "clock_dataset", "clock_stream", "clock_stream_event"], "",
     ["Dataset", "DatasetEvents.Digital"]),
    ("global", "UploadJob", "upload_job", ["job_id"],
     "job_waiting job_status job_host job_rule job_log job_starttime job_endtime subject_name "
     "session_name dataset_name upload_storage project_name", ["Project"]),
    ("global", "UploadJob.AssignedFiles", "upload_job__assigned_files", ["job_id", "src_path"],
     "src_datetime src_size src_md5", ["UploadJob"]),
    ("computed", "ComputeTask", "compute_task", ["job_id"],
     "task_waiting task_name task_status task_target task_host task_cmd task_parameters task_log "
     "task_starttime task_endtime subject_name session_name dataset_name", ["Dataset"]),
    ("computed", "ComputeTask.AssignedFiles", "compute_task__assigned_files", ["job_id", *FILE],
     "", ["ComputeTask", "File"]),
    ("data", "Probe", "probe", ["probe_id"],
     "probe_type probe_n_shanks probe_recording_channels", []),
    ("data", "ProbeConfiguration", "probe_configuration", ["probe_id", "configuration_id"],
     "probe_n_channels probe_gain channel_idx channel_shank channel_coords", ["Probe"]),
    ("data", "EphysRecording", "_ephys_recording", DATASET,
     "n_probes recording_duration recording_software", ["Dataset"]),
    ("data", "EphysRecording.ProbeSetting", "_ephys_recording__probe_setting", PROBE,
     "probe_id configuration_id sampling_rate", ["EphysRecording", "ProbeConfiguration"]),
    ("data", "EphysRecording.ProbeFile", "_ephys_recording__probe_file", [*PROBE, *FILE], "",
     ["EphysRecording.ProbeSetting", "File"]),
    ("data", "EphysRecording.Segment", "_ephys_recording__segment",
     [*DATASET, "stream_name", "segment_num"],
     "offset_samples n_samples start_s epoch first_sample", ["EphysRecording"]),
    ("computed", "SpikeSortingParams", "spike_sorting_params", ["parameter_set_num"],
     "algorithm_name parameter_description parameters_dict code_link", []),
    ("computed", "SpikeSorting", "spike_sorting", SORTING,
     "algorithm_version sorting_datetime n_pre_samples n_sorted_units n_detected_spikes "
     "sorting_channel_indices sorting_channel_coords additional_params features_file "
     "features_storage waveforms_file waveforms_storage container_version",
     ["EphysRecording.ProbeSetting", "SpikeSortingParams", "AnalysisFile"]),
    ("computed", "SpikeSorting.Segment", "spike_sorting__segment", [*SORTING, "segment_num"],
     "offset_samples segment channel_median channel_mad channel_max channel_min "
     "channel_peak_to_peak", ["SpikeSorting"]),
    ("computed", "SpikeSorting.Unit", "spike_sorting__unit", UNIT, SPIKES, ["SpikeSorting"]),
    ("computed", "SpikeSorting.Waveforms", "spike_sorting__waveforms", UNIT,
     "waveform_median waveform_channels waveform_ptp waveform_noise", ["SpikeSorting.Unit"]),
    ("computed", "UnitMetrics", "__unit_metrics", UNIT, METRICS, ["SpikeSorting.Unit"]),
    ("computed", "UnitCountCriteria", "unit_count_criteria", ["unit_criteria_id"],
     "sua_criteria mua_criteria", []),
    ("computed", "UnitCount", "__unit_count", [*SORTING, "unit_criteria_id"], "all sua mua",
     ["SpikeSorting", "UnitCountCriteria"]),
    ("computed", "UnitCount.Unit", "__unit_count__unit",
     [*SORTING, "unit_criteria_id", "unit_id"], "passes", ["UnitCount", "UnitMetrics"]),
    ("data", "Atlas", "atlas", ["atlas_id"],
     "atlas_description atlas_url atlas_citation", []),
    ("data", "Atlas.Region", "atlas__region", ["atlas_id", "region_acronym"],
     "region_name region_id region_atlas_id region_level region_graph_depth "
     "region_graph_order structure_id_path color_hex", ["Atlas"]),
    ("data", "Weighing", "weighing", [*SUBJECT, "weighing_datetime"],
     "weight", ["Subject"]),
    ("data", "ProcedureType", "#procedure_type", ["procedure_type"],
     "", []),
    ("data", "Procedure", "procedure", [*SUBJECT, "procedure_type", "procedure_datetime"],
     "user_name procedure_metadata weighing_datetime notetaker note_datetime",
     ["Subject", "ProcedureType", "LabMember", "Weighing", "Note"]),
    ("data", "Watering", "watering", [*SUBJECT, "watering_datetime"],
     "water_volume", ["Subject"]),
    ("data", "WaterRestriction", "water_restriction", [*SUBJECT, "water_restriction_start_date"],
     "user_name water_restriction_end_date weighing_datetime",
     ["Subject", "LabMember", "Weighing"]),
    ("data", "Death", "death", SUBJECT,
     "death_date notetaker note_datetime", ["Subject", "Note"]),
    ("data", "ProbeInsertion", "probe_insertion",
     [*SUBJECT, "procedure_type", "procedure_datetime", "probe_id"],
     "insertion_ap insertion_ml insertion_depth insertion_el insertion_az insertion_spin",
     ["Procedure", "Probe"]),
    ("data", "ProbeExtraction", "probe_extraction",
     [*SUBJECT, "procedure_type", "procedure_datetime", "probe_id"],
     "extraction_successful", ["Procedure", "Probe"]),
    ("data", "EphysRecordingNoiseStats", "__ephys_recording_noise_stats", PROBE,
     "channel_median channel_max channel_min channel_peak_to_peak channel_mad",
     ["EphysRecording.ProbeSetting"]),
    ("computed", "SpikeSorting.MergedUnit", "spike_sorting__merged_unit",
     [*SORTING, "merged_unit_id", "source_unit_id"],
     "spike_times spike_positions spike_amplitudes waveform_median waveform_channels "
     "waveform_ptp waveform_noise merge_datetime", ["SpikeSorting"]),
    ("computed", "UnitCuration", "unit_curation", [*SORTING, "entry_num"],
     "curated_by account entry_datetime action unit_ids new_unit_ids label spike_groups undoes "
     "note",
     ["SpikeSorting"]),
    ("computed", "StreamSyncReport", "__stream_sync_report",
     [*EVENTS, "event_name", "clock_dataset", "clock_stream", "clock_stream_event"],
     "n_matched n_dropped n_spurious residual_rms_s residual_max_s tolerance_s drift_ppm offset_s "
     "extrapolated_s forced chain report chain_report clock_algorithm_version labdata_version "
     "inputs_hash computed_datetime", ["StreamSync"]),
    ("computed", "CuratedUnitCount", "__curated_unit_count",
     [*SORTING, "entry_num", "unit_criteria_id"], "all sua mua",
     ["UnitCuration", "UnitCountCriteria"]),
    ("computed", "CuratedUnitCount.Unit", "__curated_unit_count__unit",
     [*SORTING, "entry_num", "unit_criteria_id", "unit_id"], "passes curation_label made_by",
     ["CuratedUnitCount"]),
    ("computed", "SpikeSorting.IntermediateFiles", "spike_sorting__intermediate_files",
     [*SORTING, "file_path", "storage"],
     "", ["SpikeSorting", "AnalysisFile"]),
    ("computed", "SpikeSorting.LinkedDatasets", "spike_sorting__linked_datasets",
     [*SORTING, "linked_session_name", "linked_dataset_session"],
     "", ["SpikeSorting", "Dataset"]),
    ("computed", "SpikeSorting.Motion", "spike_sorting__motion", [*SORTING, "motion_num"],
     "motion_method shank displacement displacement_times displacement_depths", ["SpikeSorting"]),
    ("computed", "ProbeBrainRegion", "probe_brain_region",
     [*SUBJECT, "procedure_type", "procedure_datetime", "probe_id", "configuration_id",
      "atlas_id", "region_acronym"],
     "min_depth max_depth shanks electrodes",
     ["ProbeInsertion", "ProbeConfiguration", "Atlas.Region"]),
    ("data", "TwoPhoton", "_two_photon", DATASET,
     "n_planes n_channels n_frames width height frame_rate file_path storage magnification "
     "objective_angle objective um_per_pixel scanning_mode pmt_gain imaging_software "
     "atlas_id region_acronym", ["Dataset", "File", "Atlas.Region"]),
    ("data", "TwoPhoton.Plane", "_two_photon__plane", [*DATASET, "plane_num"],
     "plane_depth", ["TwoPhoton"]),
    ("computed", "CellSegmentationParams", "cell_segmentation_params", ["parameter_set_num"],
     "algorithm_name parameter_description parameters_dict code_link", []),
    ("computed", "CellSegmentation", "_cell_segmentation", [*DATASET, "parameter_set_num"],
     "algorithm_version n_rois crop_region segmentation_datetime file_path storage "
     "container_version", ["Dataset", "CellSegmentationParams", "AnalysisFile"]),
    ("computed", "CellSegmentation.Plane", "_cell_segmentation__plane",
     [*DATASET, "parameter_set_num", "plane_num"],
     "plane_n_rois dims", ["CellSegmentation"]),
    ("computed", "CellSegmentation.MotionCorrection", "_cell_segmentation__motion_correction",
     [*DATASET, "parameter_set_num", "plane_num"],
     "motion_block_size displacement", ["CellSegmentation.Plane"]),
    ("computed", "CellSegmentation.Projection", "_cell_segmentation__projection",
     [*DATASET, "parameter_set_num", "plane_num", "proj_name"],
     "proj_im", ["CellSegmentation.Plane"]),
    ("computed", "CellSegmentation.ROI", "_cell_segmentation__r_o_i",
     [*DATASET, "parameter_set_num", "plane_num", "roi_num"],
     "roi_pixels roi_pixels_values neuropil_pixels", ["CellSegmentation.Plane"]),
    ("computed", "CellSegmentation.RawTraces", "_cell_segmentation__raw_traces",
     [*DATASET, "parameter_set_num", "plane_num", "roi_num"],
     "f_trace f_neuropil", ["CellSegmentation.ROI"]),
    ("computed", "CellSegmentation.Traces", "_cell_segmentation__traces",
     [*DATASET, "parameter_set_num", "plane_num", "roi_num"],
     "dff neuropil_coeff", ["CellSegmentation.ROI"]),
    ("computed", "CellSegmentation.Deconvolved", "_cell_segmentation__deconvolved",
     [*DATASET, "parameter_set_num", "plane_num", "roi_num"],
     "deconv", ["CellSegmentation.ROI"]),
    ("computed", "CellSegmentation.Selection", "_cell_segmentation__selection",
     [*DATASET, "parameter_set_num", "plane_num", "roi_num", "selection_method"],
     "selection likelihood", ["CellSegmentation.ROI"]),
    ("computed", "CellSegmentation.LinkedDatasets", "_cell_segmentation__linked_datasets",
     [*DATASET, "parameter_set_num", "linked_session_id"],
     "linked_session_name linked_dataset_session", ["CellSegmentation", "Dataset"]),
    ("computed", "CellSegmentationMetrics", "__cell_segmentation_metrics",
     [*DATASET, "parameter_set_num", "plane_num", "roi_num"],
     "x_pos y_pos npix diameter roi_skewness compactness aspect_ratio snr noise_level std "
     "trace_skewness max_dff activity_fraction event_rate neuropil_coeff "
     "correlation_neuropil", ["CellSegmentation.ROI"]),
    ("data", "Widefield", "_widefield", DATASET,
     "n_channels n_frames width height frame_rate file_path storage magnification "
     "objective_angle objective um_per_pixel imaging_software", ["Dataset", "File"]),
    ("data", "Widefield.Projection", "_widefield__projection", [*DATASET, "proj_name"],
     "proj", ["Widefield"]),
    ("data", "Miniscope", "_miniscope", DATASET,
     "n_channels n_frames width height frame_rate file_path storage device power lens_tuning "
     "sensor_gain um_per_pixel atlas_id region_acronym", ["Dataset", "File", "Atlas.Region"]),
    ("computed", "DecisionTask", "_decision_task", DATASET,
     "n_total_trials n_total_assisted n_total_performed n_total_initiated "
     "n_total_with_choice n_total_rewarded n_total_punished watering_datetime",
     ["Dataset", "Watering"]),
    ("computed", "DecisionTask.TrialSet", "_decision_task__trial_set",
     [*DATASET, "trialset_description"],
     "n_trials n_performed n_with_choice n_correct performance_easy performance trial_num "
     "initiation_times assisted response_values correct_values intensity_values "
     "reaction_times block_values", ["DecisionTask"]),
    ("data", "DatasetVideo", "dataset_video", [*DATASET, "video_name"],
     "frame_times frame_rate n_frames", ["Dataset"]),
    ("data", "DatasetVideo.File", "dataset_video__file",
     [*DATASET, "video_name", "file_path", "storage"],
     "", ["DatasetVideo", "File"]),
    ("data", "DatasetVideo.Frame", "dataset_video__frame", [*DATASET, "video_name", "frame_num"],
     "frame", ["DatasetVideo"]),
    ("computed", "PoseEstimationLabelSet", "pose_estimation_label_set", ["pose_label_set_num"],
     "description labeler", ["LabMember"]),
    ("computed", "PoseEstimationLabelSet.Frame", "pose_estimation_label_set__frame",
     ["pose_label_set_num", *DATASET, "video_name", "frame_num"],
     "frame", ["PoseEstimationLabelSet", "DatasetVideo"]),
    ("computed", "PoseEstimationLabelSet.Label", "pose_estimation_label_set__label",
     ["pose_label_set_num", *DATASET, "video_name", "frame_num", "label_name"],
     "x y z", ["PoseEstimationLabelSet", "DatasetVideo"]),
    ("computed", "PoseEstimationModel", "pose_estimation_model", ["model_num"],
     "algorithm_name file_path storage pose_label_set_num parameters_dict training_datetime "
     "container_name code_link", ["AnalysisFile", "PoseEstimationLabelSet"]),
    ("computed", "PoseEstimation", "pose_estimation",
     ["model_num", "subject_name", "session_name", "dataset_name", "video_name", "label_name"],
     "x y z likelihood", ["PoseEstimationModel", "DatasetVideo"]),
    ("data", "FixedBrain", "_fixed_brain", DATASET,
     "file_path storage num_channels width height um_per_pixel hardware", ["Dataset", "File"]),
    ("data", "FixedBrain.Channel", "_fixed_brain__channel", [*DATASET, "channel_index"],
     "channel_wavelength channel_description", ["FixedBrain"]),
    ("computed", "FixedBrainTransformParameters", "fixed_brain_transform_parameters",
     [*DATASET, "transform_id"],
     "downsample rotate crop transpose cast", ["FixedBrain"]),
    ("computed", "FixedBrainTransform", "__fixed_brain_transform", [*DATASET, "transform_id"],
     "file_path storage um_per_pixel shape hemisphere",
     ["FixedBrain", "FixedBrainTransformParameters", "AnalysisFile"]),
    ("computed", "FixedBrainTransformAnnotation", "fixed_brain_transform_annotation",
     [*DATASET, "transform_id", "annotation_id"],
     "annotation_name annotation_type xyz", ["FixedBrainTransform"]),
]  # fmt: skip
IDS = [row[1] for row in EXPECTED]

NULLABLE = {
    "Session": ["experimenter"],
    "Setup": ["setup_location", "setup_description"],
    "Dataset": ["dataset_type", "setup_name", "notetaker", "note_datetime"],
    "UploadJob": ["project_name", "job_status", "subject_name"],
    "ComputeTask": ["subject_name", "session_name", "dataset_name", "task_parameters"],
    "SpikeSorting": ["features_file", "features_storage", "waveforms_file", "algorithm_version"],
    "UnitMetrics": [name for name in METRICS.split() if name != "num_spikes"],
    "DatasetEvents.Digital": ["event_timestamps", "event_values"],
    "UnitCountCriteria": ["mua_criteria"],
    "Atlas": ["atlas_description", "atlas_url", "atlas_citation"],
    "Atlas.Region": ["region_graph_depth", "region_graph_order", "color_hex"],
    "Procedure": ["procedure_metadata", "weighing_datetime", "notetaker", "note_datetime"],
    "Death": ["notetaker", "note_datetime"],
    "EphysRecording.Segment": ["first_sample"],
    "EphysRecordingNoiseStats": [
        "channel_median",
        "channel_max",
        "channel_min",
        "channel_peak_to_peak",
        "channel_mad",
    ],
    "SpikeSorting.MergedUnit": [
        "spike_positions",
        "spike_amplitudes",
        "waveform_median",
        "waveform_channels",
        "waveform_ptp",
        "waveform_noise",
    ],
    "SpikeSorting.Motion": ["shank", "displacement_depths"],
    "ProbeBrainRegion": ["min_depth", "max_depth", "shanks", "electrodes"],
    "TwoPhoton": [
        "magnification",
        "objective_angle",
        "objective",
        "um_per_pixel",
        "scanning_mode",
        "pmt_gain",
        "atlas_id",
        "region_acronym",
    ],
    "TwoPhoton.Plane": ["plane_depth"],
    "CellSegmentationParams": ["parameter_description", "code_link"],
    "CellSegmentation": [
        "crop_region",
        "segmentation_datetime",
        "file_path",
        "storage",
        "container_version",
    ],
    "CellSegmentation.Plane": ["dims"],
    "CellSegmentation.ROI": ["roi_pixels_values", "neuropil_pixels"],
    "CellSegmentation.RawTraces": ["f_neuropil"],
    "CellSegmentation.Traces": ["neuropil_coeff"],
    "CellSegmentation.Selection": ["likelihood"],
    "CellSegmentationMetrics": [
        "x_pos",
        "y_pos",
        "npix",
        "diameter",
        "roi_skewness",
        "compactness",
        "aspect_ratio",
        "snr",
        "noise_level",
        "std",
        "trace_skewness",
        "max_dff",
        "activity_fraction",
        "event_rate",
        "neuropil_coeff",
        "correlation_neuropil",
    ],
    "Widefield": [
        "file_path",
        "storage",
        "magnification",
        "objective_angle",
        "objective",
        "um_per_pixel",
    ],
    "Miniscope": ["device", "power", "sensor_gain", "um_per_pixel", "atlas_id", "region_acronym"],
    "DecisionTask": [
        "n_total_assisted",
        "n_total_performed",
        "n_total_initiated",
        "n_total_with_choice",
        "n_total_rewarded",
        "n_total_punished",
        "watering_datetime",
    ],
    "DecisionTask.TrialSet": [
        "performance_easy",
        "performance",
        "initiation_times",
        "assisted",
        "response_values",
        "correct_values",
        "intensity_values",
        "reaction_times",
        "block_values",
    ],
    "DatasetVideo": ["frame_times", "frame_rate", "n_frames"],
    "PoseEstimationLabelSet": ["description", "labeler"],
    "PoseEstimationLabelSet.Label": ["z"],
    "PoseEstimationModel": [
        "file_path",
        "storage",
        "pose_label_set_num",
        "parameters_dict",
        "training_datetime",
        "container_name",
        "code_link",
    ],
    "PoseEstimation": ["z", "likelihood"],
    "FixedBrain": [
        "file_path",
        "storage",
        "num_channels",
        "width",
        "height",
        "um_per_pixel",
        "hardware",
    ],
    "FixedBrain.Channel": ["channel_wavelength", "channel_description"],
    "FixedBrainTransformParameters": ["downsample", "rotate", "crop", "transpose", "cast"],
    "FixedBrainTransform": ["um_per_pixel", "shape", "hemisphere"],
}


@pytest.fixture(
    scope="module", params=["embedded", pytest.param("server", marks=pytest.mark.server)]
)
def declared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """The names, keys and references of all tables as the database itself states them."""
    make = request.getfixturevalue(f"make_{request.param}_lab")
    with make(tmp_path_factory.mktemp("declared")):
        default_lab.activate()
        yield Declared(connect())


class Declared:
    """What information_schema says."""

    def __init__(self, connection: LabConnection) -> None:
        base = connection._preferences.name
        self.schemas = {"global": base, "data": base, "computed": f"{base}_computed"}
        self.columns: dict[tuple[str, str], dict[str, tuple[str, str]]] = {}
        for schema_name, table, column, key, null in connection.query(
            "SELECT table_schema, table_name, column_name, column_key, is_nullable "
            "FROM information_schema.columns WHERE table_schema IN (%s, %s)",
            (base, f"{base}_computed"),
        ):
            self.columns.setdefault((schema_name, table), {})[column] = (key, null)
        self.parents: dict[tuple[str, str], set[tuple[str, str]]] = {}
        for row in connection.query(
            "SELECT table_schema, table_name, referenced_table_schema, referenced_table_name "
            "FROM information_schema.key_column_usage "
            "WHERE table_schema IN (%s, %s) AND referenced_table_name IS NOT NULL",
            (base, f"{base}_computed"),
        ):
            self.parents.setdefault((row[0], row[1]), set()).add((row[2], row[3]))

    def place(self, name: str) -> tuple[str, str]:
        (row,) = [row for row in EXPECTED if row[1] == name]
        return self.schemas[row[0]], row[2]


@pytest.mark.parametrize("level,name,sql_name,primary,others,parents", EXPECTED, ids=IDS)
def test_table(declared, level, name, sql_name, primary, others, parents) -> None:
    columns = declared.columns[declared.schemas[level], sql_name]
    keyed = [column for column, (key, _) in columns.items() if key == "PRI"]
    assert sorted(keyed) == sorted(primary)
    assert set(others.split()) <= set(columns) - set(primary)
    found = declared.parents.get((declared.schemas[level], sql_name), set())
    assert {declared.place(parent) for parent in parents} <= found


@pytest.mark.parametrize("name", NULLABLE)
def test_nullable(declared, name: str) -> None:
    columns = declared.columns[declared.place(name)]
    assert {c: columns[c][1] for c in NULLABLE[name]} == dict.fromkeys(NULLABLE[name], "YES")


@pytest.mark.parametrize("name", IDS)
def test_a_class_stands_for_its_table(declared, name: str) -> None:
    table = default_lab
    for part in name.split("."):
        table = getattr(table, part)
    assert table.full_table_name == "`{}`.`{}`".format(*declared.place(name))
    assert len(table()) >= 0


def test_no_table_is_left_out() -> None:
    declared = set()
    for name, table in default_lab.tables.items():
        parts = [part for part in vars(table).values() if isinstance(part, type)]
        declared |= {name, *(f"{name}.{part.__name__}" for part in parts)}
    assert declared == set(IDS)
