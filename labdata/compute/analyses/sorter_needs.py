"""What a sorter asks of the computer, and whether it has it: GPU, memory, room on the disk.

Memory and disk are counted from what is known to be held at once. What must be there in any case
is refused when it is not; what depends on the number of units is a warning.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...counted import count_of, show_size
from ..preflight import Finding, MachineFacts
from .sorted_units import MAX_WAVEFORMS, MS_AFTER, MS_BEFORE

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
