"""Reports of synchronisations, kept beside them, and written anew when what they are of changed.

A report is of all that its numbers are made of: the edges of both lines, what their streams say of
themselves, the same of every further link to the last clock, and the version of the algorithm. Of
these a hash is kept with it, so that a report that is read is told from one of before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

import numpy as np

from ..clocks import ALGORITHM_VERSION, ChainReport, SyncReport, join_maps
from ..database.archived import find_archived
from ..database.claims import utc_now
from ..database.own_roles import has_role
from ..errors import ClockError, QueryError
from .sync_lines import SyncLine, clock_key, line_keys
from .synchrony import find_chain, fit_link, fit_stream


def make_report(lab: Any, key: dict[str, Any]) -> dict[str, Any]:
    """Return the row of StreamSyncReport of a synchronisation.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : dict
        Of StreamSync.

    Raises
    ------
    ClockError
        If the pulses cannot be matched, even with a raised tolerance.
    """
    found, forced = fit_link(lab, key, force=True)
    return _row_of(lab, key, found, forced=forced)


def keep_report(lab: Any, key: dict[str, Any], found: Any, *, forced: bool) -> None:
    """Store the report of a map that was just made, unless it is there, or this account may not.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : dict
        Of StreamSync.
    found : ClockMap
        The map.
    forced : bool
        Whether its tolerance had to be raised.
    """
    stored = (lab.StreamSyncReport & key).fetch("inputs_hash", "forced", as_dict=True)
    now = {"inputs_hash": hash_inputs(lab, _links(lab, key)), "forced": int(forced)}
    if stored != [now] and may_keep(lab):
        _write(lab, _row_of(lab, key, found, forced=forced))


def current_report(lab: Any, key: dict[str, Any]) -> dict[str, Any]:
    """Return the row of StreamSyncReport as it is of the pulses of today.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : dict
        Of StreamSync.

    Returns
    -------
    dict
        The stored row; or one that was computed now, and stored if this account may, where there
        is none or what it is of changed.
    """
    stored = (lab.StreamSyncReport & key).fetch(as_dict=True)
    if stored and stored[0]["inputs_hash"] == hash_inputs(lab, _links(lab, key)):
        return dict(stored[0])
    row = make_report(lab, key)
    if may_keep(lab):
        _write(lab, row)
    return row


def report_of(row: dict[str, Any]) -> SyncReport | ChainReport:
    """Return the report of a stored row: of the whole chain, where there are several links.

    Parameters
    ----------
    row : dict
        Of StreamSyncReport.
    """
    if row["chain_report"] is not None:
        return ChainReport.from_dict(_facts(row["chain_report"]))
    return SyncReport.from_dict(_facts(row["report"]))


def may_keep(lab: Any) -> bool:
    """Return whether this account may write results in the project; it is not asked of the server.

    Parameters
    ----------
    lab : Lab
        The tables.
    """
    return has_role(lab, ("analyst", "admin")) and lab.project not in find_archived(lab.connection)


def hash_inputs(lab: Any, links: Sequence[dict[str, Any]]) -> str:
    """Return the identity of all that a report is made of.

    Parameters
    ----------
    lab : Lab
        The tables.
    links : sequence of dict
        Rows of StreamSync, from the stream to its last clock.
    """
    found = hashlib.sha256(f"clocks {ALGORITHM_VERSION}".encode())
    for row in links:
        found.update(json.dumps(sorted(row.items()), default=str).encode())
        for line in line_keys(row):
            for value in astuple(SyncLine.read(lab, line)):
                array = isinstance(value, np.ndarray)
                found.update(repr((str(value.dtype), value.shape) if array else value).encode())
                found.update(np.ascontiguousarray(value).tobytes() if array else b"")
    return found.hexdigest()


def _links(lab: Any, key: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a synchronisation and those that lead on; it alone where they lead round."""
    session = {name: key[name] for name in ("subject_name", "session_name")}
    rows = (lab.StreamSync & session).fetch(as_dict=True)
    mine = {name: key[name] for name in lab.StreamSync.primary_key}
    try:
        return [mine, *find_chain(clock_key(mine), rows)]
    except QueryError:
        return [mine]


def _row_of(lab: Any, key: dict[str, Any], found: Any, *, forced: bool) -> dict[str, Any]:
    from .. import __version__

    links, report = _links(lab, key), found.report
    return {
        **links[0],
        "n_matched": report.n_matched,
        "n_dropped": report.n_dropped,
        "n_spurious": report.n_spurious,
        "residual_rms_s": report.residual_rms_s,
        "residual_max_s": report.residual_max_s,
        "tolerance_s": report.tolerance_s,
        "drift_ppm": report.drift_ppm,
        "offset_s": report.offset_s,
        "extrapolated_s": sum(stop - start for start, stop in report.extrapolated_spans_s),
        "forced": int(forced),
        "chain": " > ".join([*(row["stream_name"] for row in links), links[-1]["clock_stream"]]),
        "report": report.to_dict(),
        "chain_report": _chain_facts(lab, links, found),
        "clock_algorithm_version": ALGORITHM_VERSION,
        "labdata_version": __version__,
        "inputs_hash": hash_inputs(lab, links),
        "computed_datetime": utc_now(),
    }


def _chain_facts(lab: Any, links: list[dict[str, Any]], found: Any) -> dict[str, Any] | None:
    """Return the report of a whole chain; None of one link, or where a later one fails."""
    if len(links) == 1:
        return None
    try:
        joined = join_maps(found, *(fit_stream(lab, row) for row in links[1:]))
    except ClockError:
        return None
    facts: dict[str, Any] = joined.report.to_dict()
    return facts


def _write(lab: Any, row: dict[str, Any]) -> None:
    lab.StreamSyncReport.insert1(row, replace=True, allow_direct_insert=True)


def _facts(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
