"""The trials of one set of a session of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..errors import QueryError
from ..keys import lab_of, one_row
from ._parts import DATASET, as_json, on_clock

if TYPE_CHECKING:
    import xarray as xr

#: Column of DecisionTask.TrialSet -> variable, dtype, attributes.
_VARIABLES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "response_values": (
        "response",
        "int8",
        {"flag_values": "-1 0 1", "flag_meanings": "right none left"},
    ),
    "correct_values": ("correct", "float64", {"long_name": "1 correct, 0 wrong, NaN no choice"}),
    "assisted": ("assisted", "int8", {"flag_values": "0 1", "flag_meanings": "no yes"}),
    "intensity_values": ("intensity", "float64", {"long_name": "intensity of the stimulus"}),
    "reaction_times": (
        "reaction_duration",
        "float64",
        {"units": "s", "long_name": "from the initiation to the response"},
    ),
    "block_values": ("block", "float64", {"long_name": "number of the block"}),
}


def trials(
    key: Any, name: str | None = None, *, stream: str | None = None, lab: Any = None
) -> xr.Dataset:
    """Return the trials of one set of a decision task.

    Parameters
    ----------
    key : dict or query
        What selects one session of a task.
    name : str, optional
        ``trialset_description`` of the set, where there are several.
    stream : str, optional
        Stream of the dataset on whose clock the task wrote its times, as far as it has events;
        the times are then put on the clock that StreamSync names. The tables do not say which:
        without it times stay those of the task's own clock.
    lab : Lab, optional
        Tables of another project.

    Returns
    -------
    xarray.Dataset
        Kind ``trials``: dim ``trial``, the numbers of the trials in the session; ``start_time``
        (s, NaN where a trial was not initiated), and what is stored of ``response`` (1 left, 0
        none, -1 right), ``correct``, ``assisted``, ``intensity``, ``reaction_duration`` (s) and
        ``block``. Without a synchronised stream ``synced``, ``sync_note`` and a warning say so.

    Raises
    ------
    QueryError
        If the key selects no set of trials or several, or the dataset has no such stream.
    ClockError
        If the pulses cannot be matched within the tolerance.

    Examples
    --------
    >>> key = {"subject_name": "JC1", "session_name": "20240305_100000"}
    >>> visual = labdata.trials(key, "visual", stream="box")  # doctest: +SKIP
    >>> visual["start_time"].where(visual["response"] == 1, drop=True)  # doctest: +SKIP
    """
    from ..objects import build_trials

    lab = lab_of(key, lab)
    chosen = lab.DecisionTask.TrialSet & ({} if name is None else {"trialset_description": name})
    row = one_row(chosen, key, "trial set", ("trialset_description",))
    set_key = {k: row[k] for k in lab.DecisionTask.TrialSet.primary_key}
    numbers = np.asarray(row["trial_num"], dtype="int64")
    start_s = np.full(len(numbers), np.nan)
    if row["initiation_times"] is not None:
        start_s = np.asarray(row["initiation_times"], dtype="float64")
    start_s, sync = _placed(lab, row, start_s, stream)
    stored = {column: row[column] for column in _VARIABLES if row[column] is not None}
    return build_trials(
        start_s,
        stream=stream or f"task of {row['dataset_name']}",
        sync=sync,
        trial=numbers,
        variables={
            _VARIABLES[column][0]: (
                np.asarray(values, _VARIABLES[column][1]),
                _VARIABLES[column][2],
            )
            for column, values in stored.items()
        },
        provenance=as_json({"key": set_key, "labdata": __version__}),
        attrs={"trialset_description": row["trialset_description"], "project": lab.project or ""},
    )


def _placed(lab: Any, row: dict[str, Any], own_s: np.ndarray, stream: str | None) -> Any:
    """Return times on the clock of a stream, and how they came there; None: they did not."""
    from ..schema.synchrony import stream_clocks

    if stream is None:
        return own_s, None
    dataset = {k: row[k] for k in DATASET}
    names = [str(found) for found in (lab.DatasetEvents & dataset).fetch("stream_name")]
    if stream not in names:
        raise QueryError(
            f"{'/'.join(dataset.values())} has no stream {stream}.",
            hint=f"It has: {', '.join(names) or 'none with events'}.",
        )
    stream_key = (*dataset.values(), stream)
    clock = stream_clocks(lab, [stream_key])[stream_key]
    seconds, happened = own_s.copy(), np.isfinite(own_s)
    seconds[happened], _ = on_clock(own_s[happened], clock)
    return seconds, clock.sync_attrs()
