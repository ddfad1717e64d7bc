"""What a notebook shows of datasets and tasks: the facts one wants, read by one query each."""

from __future__ import annotations

from typing import Any

from ..markup import badge, card, rows_table

_LIMIT = 50


def describe_datasets(query: Any) -> str:
    """Return HTML of datasets: files and bytes, streams, probes, sortings, synchronisation.

    Parameters
    ----------
    query : Dataset
        A restricted query.
    """
    lab = query.lab
    keys = query.fetch("KEY", limit=_LIMIT + 1)
    rows = [_dataset_facts(lab, key) for key in keys[:_LIMIT]]
    columns = ["subject", "session", "dataset", "type", "files", "MiB", "streams", "sorted"]
    notes = [
        badge("not synchronised", f"{row[2]}: its streams are on their own clocks.")
        for row in rows
        if row[-1]
    ]
    more = [f"<p>The first {_LIMIT} are shown.</p>"] if len(keys) > _LIMIT else []
    return card(rows_table("Datasets", columns, [r[:-1] for r in rows]), *notes[:1], *more)


def describe_tasks(query: Any) -> str:
    """Return HTML of tasks: what, on what, how it stands, and the last lines of its log.

    Parameters
    ----------
    query : ComputeTask
        A restricted query.
    """
    rows = query.fetch(as_dict=True, limit=_LIMIT, order_by="job_id DESC")
    columns = ["task", "analysis", "dataset", "state", "host", "ended (UTC)", "log"]
    table = [
        [
            str(row["job_id"]),
            row["task_name"],
            "/".join(str(row[k]) for k in ("subject_name", "session_name", "dataset_name")),
            row["task_status"],
            row["task_host"],
            row["task_endtime"].isoformat(" ", "seconds") if row["task_endtime"] else None,
            " · ".join((row["task_log"] or "").splitlines()[-2:])[:200],
        ]
        for row in rows
    ]
    return card(rows_table("Tasks", columns, table))


def _dataset_facts(lab: Any, key: dict[str, Any]) -> list[Any]:
    sizes = (lab.File & (lab.Dataset.DataFiles & key).proj()).fetch("file_size")
    streams = list((lab.DatasetEvents & key).fetch("stream_name"))
    synced = set((lab.StreamSync & key).fetch("stream_name"))
    sortings = (lab.SpikeSorting & key).fetch("probe_num", "n_sorted_units", as_dict=True)
    return [
        key["subject_name"],
        key["session_name"],
        key["dataset_name"],
        (lab.Dataset & key).fetch1("dataset_type"),
        len(sizes),
        round(float(sizes.sum()) / 2**20, 1),
        ", ".join(f"{s} ✓" if s in synced else s for s in streams),
        ", ".join(f"imec{s['probe_num']}: {s['n_sorted_units']} units" for s in sortings),
        len(streams) > 1 and not synced,
    ]
