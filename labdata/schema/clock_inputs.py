"""A digest of all that the clocks of a session are made of, without fetching it.

Pulses are compared by the CRC-32 that the server computes; the rest are a few small rows. The
digest also covers the code that fits clocks, so that a better fit is never passed over for times
that an older one made.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SESSION = ("subject_name", "session_name")
#: Modules beside this one that decide how pulses and samples become seconds.
_READERS = ("placed_trains", "segments", "spike_times", "sync_lines", "synchrony")
#: What clocks are made of: table to columns. Of pulses the sums that the server computes.
_COLUMNS = {
    "StreamSync": "dataset_name, stream_name, event_name, clock_dataset, clock_stream, "
    "clock_stream_event",
    "DatasetEvents.Digital": "dataset_name, stream_name, event_name, CRC32(event_timestamps), "
    "LENGTH(event_timestamps), CRC32(event_values)",
    "DatasetEvents": "dataset_name, stream_name, sampling_rate, n_samples, first_sample",
    "EphysRecording.ProbeSetting": "dataset_name, probe_num, sampling_rate, n_samples",
    "EphysRecording.Segment": "dataset_name, stream_name, segment_num, offset_samples, n_samples, "
    "start_s, epoch",
}


def digest_clocks(lab: Any, key: Mapping[str, Any]) -> str:
    """Return a digest of what the times of a session's streams depend on.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : mapping
        With the session's key.
    """
    session = [key[name] for name in _SESSION]
    questions = []
    for name, columns in _COLUMNS.items():
        part, _, inner = name.partition(".")
        table = getattr(lab, part)
        table = getattr(table, inner) if inner else table
        questions.append(
            f"SELECT '{name}', JSON_ARRAY({columns}) FROM {table.full_table_name} "
            "WHERE subject_name = %s AND session_name = %s"
        )
    # one question, as this is asked whenever spikes are read; JSON has all digits of a number
    rows = lab.connection.query(" UNION ALL ".join(questions), session * len(questions)).fetchall()
    return hashlib.sha256(json.dumps([_digest_code(), *sorted(rows)]).encode()).hexdigest()


@functools.cache
def _digest_code() -> str:
    """Return a digest of the source of the clocks, and of what reads their pulses here."""
    from .. import clocks, loops

    here = Path(__file__).parent
    paths = sorted(Path(clocks.__file__).parent.glob("*.py"))
    paths += sorted(one for one in Path(loops.__file__).parent.iterdir() if one.is_file())
    digest = hashlib.sha256()
    for path in [*paths, *(here / f"{name}.py" for name in _READERS)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()
