"""Numbers that no measurement gives: below what a column can hold, not a number, without end.

A scale that was not tared and a slip of the minus key give a negative weight, which the server
takes; it turns up years later as a wrong mean. What is bounded is written down here, once. Rows
that are copied past the tables, from an older lab, a dump or another project, stay as they are.

Not bounded, though never negative in most labs: depths that may be extrapolated beyond the tip of
a probe or that begin above the surface, coordinates, angles, offsets, gains of a sensor.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

#: Table -> columns in which a negative number is never right: masses, volumes, durations, rates,
#: sizes and counts, and the depth to which a probe was moved.
NOT_NEGATIVE: dict[str, tuple[str, ...]] = {
    "Weighing": ("weight",),
    "Watering": ("water_volume",),
    "ProbeInsertion": ("insertion_depth",),
    "File": ("file_size",),
    "AnalysisFile": ("file_size",),
    "ProcessedFile": ("file_size",),
    "UploadJob.AssignedFiles": ("src_size",),
    "Probe": ("probe_n_shanks", "probe_recording_channels"),
    "ProbeConfiguration": ("probe_n_channels",),
    "EphysRecording": ("n_probes", "recording_duration"),
    "EphysRecording.ProbeSetting": ("sampling_rate", "n_samples"),
    "EphysRecording.Segment": ("offset_samples", "n_samples", "epoch"),
    "DatasetEvents": ("sampling_rate", "n_samples", "first_sample"),
    "StreamSyncReport": (
        "n_matched",
        "n_dropped",
        "n_spurious",
        "residual_rms_s",
        "residual_max_s",
        "tolerance_s",
        "extrapolated_s",
    ),
    "DatasetVideo": ("frame_rate", "n_frames"),
    "DecisionTask": (
        "n_total_trials",
        "n_total_assisted",
        "n_total_performed",
        "n_total_initiated",
        "n_total_with_choice",
        "n_total_rewarded",
        "n_total_punished",
    ),
    "DecisionTask.TrialSet": (
        "n_trials",
        "n_performed",
        "n_with_choice",
        "n_correct",
        "performance_easy",
        "performance",
    ),
    "TwoPhoton": (
        "n_planes",
        "n_channels",
        "n_frames",
        "width",
        "height",
        "frame_rate",
        "magnification",
    ),
    "Widefield": ("n_channels", "n_frames", "width", "height", "frame_rate", "magnification"),
    "Miniscope": ("n_channels", "n_frames", "width", "height", "frame_rate"),
    "FixedBrain": ("num_channels", "width", "height"),
    "FixedBrain.Channel": ("channel_wavelength",),
    "CellSegmentation": ("n_rois",),
    "CellSegmentation.Plane": ("plane_n_rois",),
    "CellSegmentation.MotionCorrection": ("motion_block_size",),
    "CellSegmentation.Selection": ("likelihood",),
    "CellSegmentationMetrics": ("npix", "diameter", "noise_level", "std", "event_rate"),
    "SpikeSorting": ("n_pre_samples", "n_sorted_units", "n_detected_spikes"),
    "SpikeSorting.Segment": ("offset_samples",),
    "SpikeSorting.Waveforms": ("waveform_noise",),
    "SpikeSorting.MergedUnit": ("waveform_noise",),
    "UnitMetrics": (
        "num_spikes",
        "n_electrodes_spanned",
        "span_um",
        "firing_rate",
        "n_isi_violations",
    ),
    "UnitCount": ("all", "sua", "mua"),
    "CuratedUnitCount": ("all", "sua", "mua"),
}


def check_number(table: Any, column: str, value: Any) -> None:
    """Raise if a value is no number that the column can hold; other columns' values pass.

    Parameters
    ----------
    table : Table
        That is written to.
    column : str
        Of it.
    value : object
        As the user gave it.

    Raises
    ------
    DatabaseError
        Also a ``ValueError``: NaN where a number or a text is needed, an infinite number, or one
        below zero where none is.
    """
    from .tables import label_of

    attribute = table.heading.attributes.get(column)
    if value is None or attribute is None or attribute.codec or attribute.is_blob:
        return
    if attribute.string and _is_missing(value):
        raise _refused(
            table, column, value, "NaN", "it is a text", "Give None where there is no value."
        )
    number = _number(value) if attribute.numeric else None
    if number is None:
        return
    if math.isinf(number):
        hint = "Give None where the number is not known, if the column may be empty."
        raise _refused(table, column, value, str(value), "it is a number with an end", hint)
    if math.isnan(number) and not (attribute.nullable or attribute.autoincrement):
        hint = "Leave out the rows without this number, or find it."
        raise _refused(table, column, value, "NaN", "each row has a number there", hint)
    if number < 0 and column in NOT_NEGATIVE.get(label_of(type(table)), ()):
        unit = f" ({attribute.comment})" if attribute.comment else ""
        hint = "Is it a slip of the minus key, or measured from another zero?"
        raise _refused(table, column, value, str(value), f"it is 0 or more{unit}", hint)


def _refused(table: Any, column: str, value: Any, shown: str, reason: str, hint: str) -> Exception:
    from .tables import label_of
    from .teaching_errors import refused_class

    message = f"{column} of {label_of(type(table))} cannot be {shown}: {reason}."
    error = refused_class(ValueError)(message, hint=hint)
    error.cell = (column, value)
    return error


def _number(value: Any) -> float | None:
    """Return a value as a number, if it is one or a text of one; others are refused later."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _is_missing(value: Any) -> bool:
    """Whether a value stands for one that is not there, as in a column of a DataFrame."""
    is_number = isinstance(value, float | np.floating)
    return (is_number and math.isnan(value)) or type(value).__name__ == "NAType"
