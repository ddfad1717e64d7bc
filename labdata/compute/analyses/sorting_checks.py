"""The look before probes are sorted: computer, raw files, clocks; see preflight."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...counted import count_of, show_size
from ...errors import LabdataError, QueryError
from ..preflight import Finding, MachineFacts
from .sorter_needs import RecordingSize, SorterNeeds, check_disk, check_gpu, check_memory

_PROBE = ("subject_name", "session_name", "dataset_name", "probe_num")


def check_files(lab: Any, key: Mapping[str, Any], band: str = "ap") -> list[Finding]:
    """Return whether the raw files of a probe can be read, and what would be fetched.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : mapping
        Of EphysRecording.ProbeSetting.
    band : str, optional
        The band that is sorted.
    """
    from ...schema.fetching import plan_fetch
    from ...schema.recorded_bands import find_band_files

    probe = {name: key[name] for name in _PROBE}
    rows = (lab.File & (lab.EphysRecording.ProbeFile & probe).proj()).fetch(as_dict=True)
    if not find_band_files({row["file_path"]: row for row in rows}, band):
        message = f"Probe {probe['probe_num']} has no {band.upper()} file."
        hint = "`labdata sessions -a SUBJECT --include-size` lists the files."
        return [Finding("raw files", "refused", message, hint)]
    plan = plan_fetch(rows)
    size = sum(int(row["file_size"]) for row in rows)
    there = f"{count_of(len(rows), 'file')}, {show_size(size)}"
    wrong = [found for found in (_look(plan, row) for row in plan.missing) if found]
    if wrong:
        return wrong[:1]
    if plan.distant_bytes:
        return [_check_fetch(plan, there)]
    return [Finding("raw files", "ok", f"{there}; nothing to fetch.")]


def _look(plan: Any, row: Mapping[str, Any]) -> Finding | None:
    """Return what is wrong with a file that is not on this computer; None if it can be read."""
    from ...schema.files import check_may_fetch, open_store

    try:
        store = open_store(row["storage"], plan.preferences)
        distant = plan.preferences.storage[row["storage"]].protocol == "s3"
        if distant:
            check_may_fetch(dict(row), plan.preferences.allow_s3_download, plan.preferences)
        archived = store.restore_state(row["file_path"]).archived
    except LabdataError as error:
        return Finding("raw files", "refused", error.message, error.hint or "")
    if archived:
        message = f"{row['file_path']} is in cold storage."
        hint = f"Ask it back: `labdata get -a {row['file_path'].split('/')[0]} --restore --wait`."
        return Finding("raw files", "refused", message, hint)
    return None


def _check_fetch(plan: Any, there: str) -> Finding:
    import shutil

    said = f"{there}; {show_size(plan.distant_bytes)} are fetched to {plan.folder}"
    folder = next(f for f in (plan.folder, *plan.folder.parents) if f.exists())
    free = shutil.disk_usage(folder).free
    if free < plan.distant_bytes:
        hint = "Free some room there, or put a larger disk first in local_paths."
        return Finding("raw files", "refused", f"{said}, where {show_size(free)} are free.", hint)
    return Finding("raw files", "ok", f"{said}.")


def check_sync(lab: Any, key: Mapping[str, Any]) -> Finding:
    """Return whether a probe is synchronised, or could be; unsynchronised it can be sorted.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : mapping
        Of EphysRecording.ProbeSetting.
    """
    from ...schema.spike_times import probe_stream
    from ...schema.sync_suggestion import suggest_sync
    from ...schema.synchrony import stream_clocks

    stream = probe_stream(dict(key))
    try:
        clock = stream_clocks(lab, [stream])[stream]
    except LabdataError as error:
        return Finding("sync", "warning", error.message, error.hint or "")
    if clock.synced:
        return Finding("sync", "ok", f"{stream[3]} is on the clock of {clock.name}.")
    said = f"{stream[3]} is not synchronised: spikes stay on its own clock."
    try:
        suggested = suggest_sync(lab, stream)
    except QueryError:
        suggested = None
    if suggested is None:
        hint = "No line of another stream in this session has the same pulses."
        return Finding("sync", "warning", said, hint)
    shown = ", ".join(f"{name}='{value}'" for name, value in suggested.row.items())
    return Finding("sync", "warning", said, f"The pulses match: StreamSync.insert1(dict({shown}))")


def check_probes(
    lab: Any,
    groups: Sequence[Sequence[Mapping[str, Any]]],
    needs: SorterNeeds,
    n_jobs: int,
    machine: MachineFacts,
) -> Iterable[Finding]:
    """Yield what is found for the probes of a dataset, which are sorted one after another.

    Parameters
    ----------
    lab : Lab
        The tables.
    groups : sequence of sequence of mapping
        Keys of EphysRecording.ProbeSetting; those of a group are sorted together.
    needs : SorterNeeds
        Of the sorter.
    n_jobs : int
        Processes.
    machine : MachineFacts
        The computer.
    """
    yield check_gpu(needs, machine)
    largest = max((_size_of(lab, keys) for keys in groups), key=lambda size: size.raw_bytes)
    yield check_memory(largest, n_jobs, machine)
    yield check_disk(needs, largest, machine)
    for key in (key for keys in groups for key in keys):
        yield from check_files(lab, key)
        yield check_sync(lab, key)


def _size_of(lab: Any, keys: Sequence[Mapping[str, Any]]) -> RecordingSize:
    """Return the size of recordings one after another."""
    sizes = [recording_size(lab, key) for key in keys]
    return replace(sizes[0], n_samples=sum(size.n_samples for size in sizes))


def recording_size(lab: Any, key: Mapping[str, Any]) -> RecordingSize:
    """Return the size of the recording of a probe.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : mapping
        Of EphysRecording.ProbeSetting.
    """
    from ...schema.unit_metrics import recording_data

    data = recording_data(lab, {name: key[name] for name in _PROBE})
    return RecordingSize(data.n_samples, len(data.coords_um), data.sampling_rate_hz)
