"""A look at the machine and the data before hours are spent: what is sure to fail is refused.

An analysis says what it finds (:meth:`Analysis.preflight`) from facts about the machine, which are
gathered here once and can be made up in tests. A finding is ``ok``, a ``warning`` (it may fail, or
the result has a limit), or ``refused`` (it cannot succeed), with what to do about it.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..cores import count_cores
from ..errors import LabdataError, TaskError
from ..preferences import absolute_folder, load_preferences

if TYPE_CHECKING:
    from .analysis import Analysis

#: Where Linux shows what a container or a job of Slurm may use.
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Gpu:
    """A graphics processor of NVIDIA, as its driver tells.

    Attributes
    ----------
    name : str
        Of the model.
    free_bytes : int
        Of its memory.
    """

    name: str
    free_bytes: int


@dataclass(frozen=True)
class MachineFacts:
    """What a computer has for an analysis.

    Attributes
    ----------
    gpus : tuple of Gpu
        Those that the driver sees.
    torch_sees_gpu : bool or None
        Whether PyTorch can use one; None without PyTorch.
    free_memory_bytes : int
        That could be taken now, within the limit of a container or job.
    scratch : Path
        Folder for files while an analysis runs.
    free_scratch_bytes : int
        On its disk.
    n_cores : int
        That this process may use.
    """

    gpus: tuple[Gpu, ...]
    torch_sees_gpu: bool | None
    free_memory_bytes: int
    scratch: Path
    free_scratch_bytes: int
    n_cores: int


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes
    ----------
    check : str
        What was looked at: ``memory``.
    state : {"ok", "warning", "refused"}
        How it is.
    message : str
        What was found.
    hint : str
        What to do about it.
    """

    check: str
    state: str
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Preflight:
    """What was found for one dataset.

    Attributes
    ----------
    key : dict
        subject_name, session_name, dataset_name.
    findings : tuple of Finding
        In the order of the checks.
    datasets : tuple of dict
        All that one task works on, `key` among them.
    """

    key: dict[str, Any]
    findings: tuple[Finding, ...]
    datasets: tuple[dict[str, Any], ...]

    @property
    def refused(self) -> tuple[Finding, ...]:
        """Findings for which nothing is begun."""
        return tuple(found for found in self.findings if found.state == "refused")

    def rows(self) -> list[dict[str, Any]]:
        """Return the findings as rows of a table, the dataset in each."""
        return [{**self.key, **vars(found)} for found in self.findings]


def run_preflight(
    analysis: Analysis,
    lab: Any,
    restrictions: Sequence[Mapping[str, Any]],
    options: Mapping[str, Any],
    machine: MachineFacts | None = None,
) -> list[Preflight]:
    """Check whether an analysis could run here, dataset by dataset; nothing changes.

    Parameters
    ----------
    analysis : Analysis
        What is to run.
    lab : Lab
        The tables.
    restrictions : sequence of mapping
        subject_name, session_name, dataset_name, as far as given.
    options : mapping
        Options of the analysis, as its parser made them.
    machine : MachineFacts, optional
        By default this computer.

    Returns
    -------
    list of Preflight
        One a dataset. Options that the analysis refuses are a finding too.

    Raises
    ------
    TaskError
        If a restriction has no dataset.
    """
    from .task import find_keys

    machine = machine or read_machine()
    keys = find_keys(analysis, lab, restrictions)
    try:
        parameters = analysis.check(options)
    except LabdataError as error:
        refused = Finding("options", "refused", error.message, error.hint or "")
        return [Preflight(key, (refused,), (key,)) for key in keys]
    return [
        Preflight(
            plan.key,
            tuple(analysis.preflight(lab, plan.key, plan.parameters, machine)),
            plan.datasets,
        )
        for plan in analysis.group(keys, parameters)
    ]


def raise_refused(findings: Iterable[Finding]) -> None:
    """Raise if an analysis is sure to fail.

    Parameters
    ----------
    findings : iterable of Finding
        Of one dataset.

    Raises
    ------
    TaskError
        With the first reason, and how many more there are.
    """
    refused = [found for found in findings if found.state == "refused"]
    if refused:
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        raise TaskError(f"{refused[0].message}{more}", hint=refused[0].hint or None)


def read_machine() -> MachineFacts:
    """Return the facts of this computer.

    Raises
    ------
    PreferenceError
        If ``scratch_path`` is no absolute path.
    """
    import psutil

    scratch = absolute_folder("scratch_path", load_preferences().scratch_path)
    there = next(folder for folder in (scratch, *scratch.parents) if folder.exists())
    gpus = read_gpus()
    own = Path("/proc/self/cgroup")
    limit = memory_limit(CGROUPS, own.read_text() if own.is_file() else "")
    free = int(psutil.virtual_memory().available)
    return MachineFacts(
        gpus=gpus,
        torch_sees_gpu=_torch_sees_gpu() if find_spec("torch") else None,
        free_memory_bytes=free if limit is None else min(free, limit),
        scratch=scratch,
        free_scratch_bytes=shutil.disk_usage(there).free,
        n_cores=count_cores(),
    )


def read_gpus(program: str = "nvidia-smi") -> tuple[Gpu, ...]:
    """Return the GPUs that NVIDIA's driver sees; none where it does not answer.

    Parameters
    ----------
    program : str, optional
        The driver's program.
    """
    if shutil.which(program) is None:
        return ()
    query = ("--query-gpu=name,memory.free", "--format=csv,noheader,nounits")
    try:
        done = subprocess.run([program, *query], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    pairs = [line.rpartition(",") for line in done.stdout.splitlines() if done.returncode == 0]
    return tuple(
        Gpu(name.strip(), int(free) * 2**20) for name, _, free in pairs if free.strip().isdigit()
    )


def memory_limit(root: Path, own: str) -> int | None:
    """Return how many bytes a process may still take by the limits of its control groups.

    Parameters
    ----------
    root : Path
        Where the groups are shown (version 2).
    own : str
        Content of ``/proc/self/cgroup``.

    Returns
    -------
    int or None
        The least of the group's and its parents'; None without a limit.
    """
    path = next((line[3:] for line in own.splitlines() if line.startswith("0::")), "/")
    group = root / path.strip("/")
    rooms = []
    for folder in (group, *group.parents):
        limit, used = (_read_number(folder / f"memory.{name}") for name in ("max", "current"))
        if limit is not None and used is not None:
            rooms.append(max(0, limit - used + _cached_bytes(folder / "memory.stat")))
        if folder == root:
            break
    return min(rooms, default=None)


def _cached_bytes(stat: Path) -> int:
    """Return what a group holds of files only to have them at hand, and would give back."""
    if not stat.is_file():
        return 0
    values = dict(line.split() for line in stat.read_text().splitlines() if line.strip())
    return int(values.get("inactive_file", 0))


def _read_number(path: Path) -> int | None:
    text = path.read_text().strip() if path.is_file() else ""
    return int(text) if text.isdigit() else None  # "max" is no limit


def _torch_sees_gpu() -> bool:
    """Ask PyTorch in a process of its own: its import takes seconds and hundreds of MB."""
    import sys

    code = "import torch, sys; sys.exit(0 if torch.cuda.is_available() else 3)"
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
