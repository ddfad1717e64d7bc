"""What a sorting of a probe needs of the machine, the files and the clocks; see preflight.

Memory and disk are counted from what is known to be held at once. What must be there in any case
is refused when it is not; what depends on the number of units is a warning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...counted import count_of, show_size
from ...errors import LabdataError, QueryError
from ..preflight import Finding, MachineFacts
from .sorted_units import MAX_WAVEFORMS, MS_AFTER, MS_BEFORE

_PROBE = ("subject_name", "session_name", "dataset_name", "probe_num")
#: Of a worker process with what it imports, before it holds any voltage.
_PROCESS_BYTES = 250 * 2**20
#: Seconds of voltage that a worker has in hand, and copies of it: raw, filtered, referenced.
_CHUNK_S, _CHUNK_COPIES = 1, 4


@dataclass(frozen=True)
class SorterNeeds:
    """What a sorter asks for.

    Attributes
    ----------
    name : str
        Its name and version, as they are shown.
    gpu : {"not-supported", "nvidia-optional", "nvidia-required"}
        What it can do with a GPU, in SpikeInterface's words.
    device : str or None
        The device that its parameters ask for: ``cuda``, ``cpu``; None: what there is.
    n_copies : int
        Copies of the recording in int16 that it writes in any case.
    caches : bool
        It is faster if the filtered recording, in float32, has room on the disk.
    """

    name: str
    gpu: str = "not-supported"
    device: str | None = None
    n_copies: int = 0
    caches: bool = False


@dataclass(frozen=True)
class RecordingSize:
    """What is sorted at once.

    Attributes
    ----------
    n_samples, n_channels : int
        Its size.
    sampling_rate_hz : float
        Its rate.
    """

    n_samples: int
    n_channels: int
    sampling_rate_hz: float

    @property
    def raw_bytes(self) -> int:
        """Of the samples as int16."""
        return 2 * self.n_samples * self.n_channels


def check_gpu(needs: SorterNeeds, machine: MachineFacts) -> Finding:
    """Return whether there is the GPU that a sorter asks for.

    Parameters
    ----------
    needs : SorterNeeds
        Of the sorter.
    machine : MachineFacts
        With its GPUs.
    """
    if needs.gpu == "not-supported" or needs.device == "cpu":
        return Finding("GPU", "ok", "none is used")
    must = needs.gpu == "nvidia-required" or (needs.device or "").startswith("cuda")
    if not machine.gpus:
        said = "No GPU: no NVIDIA driver answers on this computer"
        if must:
            return Finding("GPU", "refused", f"{said}.", "Run it on a computer that has one.")
        hint = (
            "It takes several times the length of the recording; a computer with a GPU is faster."
        )
        return Finding("GPU", "warning", f"{said}; it runs on the CPU.", hint)
    shown = ", ".join(f"{gpu.name}, {show_size(gpu.free_bytes)} free" for gpu in machine.gpus)
    if machine.torch_sees_gpu is False:
        said = f"{shown}, but PyTorch cannot use it"
        hint = "Install a build of torch for this driver; see pytorch.org."
        if must:
            return Finding("GPU", "refused", f"{said}.", hint)
        return Finding("GPU", "warning", f"{said}; it runs on the CPU.", hint)
    return Finding("GPU", "ok", shown)


def check_memory(size: RecordingSize, n_jobs: int, machine: MachineFacts) -> Finding:
    """Return whether free memory suffices for the workers and the waveforms of units.

    Parameters
    ----------
    size : RecordingSize
        What is sorted.
    n_jobs : int
        Processes.
    machine : MachineFacts
        With its memory.
    """
    chunk = _CHUNK_S * size.sampling_rate_hz * size.n_channels * 4
    least = int(n_jobs * (_PROCESS_BYTES + _CHUNK_COPIES * chunk))
    n_wave = (MS_BEFORE + MS_AFTER) / 1e3 * size.sampling_rate_hz
    # a unit a channel is a rich recording
    waveforms = int(size.n_channels * MAX_WAVEFORMS * n_wave * size.n_channels * 4)
    free = machine.free_memory_bytes
    said = (
        f"{show_size(free)} free; {count_of(n_jobs, 'process')} needs {show_size(least)}"
        if n_jobs == 1
        else f"{show_size(free)} free; {n_jobs} processes need {show_size(least)}"
    )
    if free < least:
        return Finding(
            "memory",
            "refused",
            f"Not enough memory: {said}.",
            "End other programs, or take fewer processes: --n-jobs 1.",
        )
    said += f", waveforms of {count_of(size.n_channels, 'unit')} {show_size(waveforms)}"
    if free < least + waveforms:
        hint = (
            "It may end for want of memory if there are many units; fewer --n-jobs help a little."
        )
        return Finding("memory", "warning", f"{said}.", hint)
    return Finding("memory", "ok", f"{said}.")


def check_disk(needs: SorterNeeds, size: RecordingSize, machine: MachineFacts) -> Finding:
    """Return whether the scratch folder has room for the copies that a sorter writes.

    Parameters
    ----------
    needs : SorterNeeds
        Of the sorter.
    size : RecordingSize
        What is sorted.
    machine : MachineFacts
        With the scratch folder.
    """
    free, least = machine.free_scratch_bytes, needs.n_copies * size.raw_bytes
    said = f"{show_size(free)} free in {machine.scratch}, {show_size(least)} needed"
    if free < least:
        hint = "Free some room, or set scratch_path in the preference file to a larger disk."
        return Finding("scratch disk", "refused", f"Not enough room: {said}.", hint)
    # as sort_recording chooses
    if needs.caches and 1.25 * 2 * size.raw_bytes > free:
        hint = f"With {show_size(int(2.5 * size.raw_bytes))} the filtered recording is kept there."
        return Finding("scratch disk", "warning", f"{said}; it will be slower.", hint)
    return Finding("scratch disk", "ok", f"{said}.")


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
