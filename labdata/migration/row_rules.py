"""What the old package stored in another meaning than this one: rewritten row by row, and said.

- Events and channels: see :mod:`labdata.migration.event_rules` and
  :mod:`labdata.migration.channel_rules`.
- Water is in uL here, and was in mL.
- Uploads and tasks that had not ended are CANCELLED here, so that no worker of this labdata takes
  up the old one's work; how they were is in their log. Those that failed stay FAILED: they are
  tried again only by somebody who says so.
- The identities of probe configurations and parameter sets, which the old tables do not have, are
  computed as an upload or a sorter here computes them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np

from ..schema.ephys import hash_configuration
from ..schema.sorting import hash_parameters
from .channel_rules import order_spikes, place_merged, place_metrics, place_sorting, place_waveform
from .event_rules import settle_events
from .recordings import OldRow, Recordings
from .values import Misfit, Note

#: States in which nobody will touch a job again unless told to.
_ENDED = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
_LOG_LENGTH = 4000


Rule = Callable[[OldRow, Recordings, Note], OldRow]


def measure_water(row: OldRow, recordings: Recordings, note: Note) -> OldRow:
    """Return a watering in microlitres.

    Parameters
    ----------
    row : dict
        The old row, decoded.
    recordings : Recordings
        Not used.
    note : callable
        Told that it was in millilitres.
    """
    note("millilitres become microlitres")
    return {**row, "water_volume": float(Decimal(repr(row["water_volume"])) * 1000)}


def settle_job(prefix: str) -> Rule:
    """Return the rule for a table of jobs.

    Parameters
    ----------
    prefix : str
        ``job`` or ``task``.
    """

    def rule(row: OldRow, recordings: Recordings, note: Note) -> OldRow:
        before = row.get(f"{prefix}_status")
        state = "CANCELLED" if before == "CANCELED" else before
        found = {**row, f"{prefix}_waiting": 0, f"{prefix}_status": state}
        if state not in _ENDED:
            note(
                "uploads that had not ended become CANCELLED, their files may be in no store: end "
                "them in the old lab first, or put them again here"
                if prefix == "job"
                else "tasks that had not ended become CANCELLED, and their log says what they were"
            )
            word = f"Migrated from labdata 0.1, where it was {before or 'without a state'}."
            log = f"{word}\n{row.get(f'{prefix}_log') or ''}".strip()
            found |= {f"{prefix}_status": "CANCELLED", f"{prefix}_log": log[:_LOG_LENGTH]}
        return found

    return rule


def identify_configuration(row: OldRow, recordings: Recordings, note: Note) -> OldRow:
    """Return a probe configuration with the identity that the ephys rule gives it.

    Parameters
    ----------
    row : dict
        The old row, decoded.
    recordings : Recordings
        Not used.
    note : callable
        Not used.
    """
    index, shank = (_whole(row, name) for name in ("channel_idx", "channel_shank"))
    coords = np.ascontiguousarray(row["channel_coords"], dtype="float64")
    return {
        **row,
        "channel_idx": index,
        "channel_shank": shank,
        "channel_coords": coords,
        "configuration_hash": hash_configuration(index, shank, coords, row["probe_gain"]),
    }


def _whole(row: OldRow, name: str) -> np.ndarray:
    values = np.asarray(row[name])
    if values.dtype.kind not in "biuf" or not np.all(values % 1 == 0):
        raise Misfit(f"{name} are not whole numbers")
    return np.ascontiguousarray(values, dtype="int64")


def identify_parameters(row: OldRow, recordings: Recordings, note: Note) -> OldRow:
    """Return a parameter set with the identity that a sorter gives it.

    Parameters
    ----------
    row : dict
        The old row, decoded.
    recordings : Recordings
        Not used.
    note : callable
        Not used.
    """
    try:
        parameters = json.loads(row["parameters_dict"])
    except (TypeError, ValueError):
        parameters = row["parameters_dict"]
    return {**row, "parameters_hash": hash_parameters(row["algorithm_name"], parameters)}


#: Table -> its rule.
RULES: dict[str, Rule] = {
    "DatasetEvents.Digital": settle_events,
    "SpikeSorting.Unit": order_spikes,
    "SpikeSorting.MergedUnit": place_merged,
    "SpikeSorting": place_sorting,
    "SpikeSorting.Waveforms": place_waveform,
    "UnitMetrics": place_metrics,
    "Watering": measure_water,
    "UploadJob": settle_job("job"),
    "ComputeTask": settle_job("task"),
    "ProbeConfiguration": identify_configuration,
    "SpikeSortingParams": identify_parameters,
}

#: Table -> what cannot be known of its old rows, which are kept as they are.
UNKNOWN: dict[str, str] = {
    "File": "times are the rig's local time, as the old package kept them; here they are UTC",
    "ProcessedFile": "times are the rig's local time, as the old package kept them",
    "SpikeSorting.Unit": "amplitudes are those of the old sorter's templates, not always in uV",
    "ProbeInsertion": "the old tables do not say the units of coordinates; here they are um and "
    "degrees",
    "UnitMetrics": "numbers are as the old package computed them; UnitMetrics.populate() here "
    "computes some otherwise",
}

#: Columns that are computed here: table -> column, and the columns within which it is unique.
IDENTITIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "ProbeConfiguration": ("configuration_hash", ("probe_id",)),
    "SpikeSortingParams": ("parameters_hash", ()),
}


def other_identity(identity: str, key: tuple[Any, ...]) -> str:
    """Return the identity of a row whose content another row has already.

    The old package could store one content twice; both rows come along, as others refer to them.

    Parameters
    ----------
    identity : str
        Of the content.
    key : tuple
        Primary key of the row.
    """
    return hashlib.sha256(f"{identity} again as {key}".encode()).hexdigest()
