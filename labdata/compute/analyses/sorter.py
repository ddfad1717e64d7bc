"""A sorter of SpikeInterface: its parameters, and a run of it that can be repeated.

Same recording, same parameters, same spikes: some sorters draw the chunks in which they measure
the noise without a seed, so that two runs give other units. Here those draws are seeded too.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...errors import MissingPackageError, TaskError
from .sorted_units import quiet_third_party
from .sorting_checks import SorterNeeds

logger = logging.getLogger(__name__)

DEFAULT_SORTER = "spykingcircus2"

#: Sorters that come by pip -> what to install.
_PIP = {"kilosort4": "kilosort", "mountainsort5": "mountainsort5"}

#: One sorting at a time in a process: two that end in another order than they began would leave
#: the generators of whatever comes after seeded.
_seeding = threading.Lock()

#: How a sorter is run, which does not change what it finds: not a part of its parameters.
_EXECUTION = (
    *("job_kwargs", "n_jobs", "chunk_duration", "progress_bar", "pool_engine"),
    *("max_threads_per_worker", "cache_preprocessing"),
)


def complete_parameters(sorter: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return a sorter's parameters, its defaults included.

    Parameters
    ----------
    sorter : str
        Its name in SpikeInterface.
    options : mapping
        ``params`` and ``param`` of the command line.

    Raises
    ------
    MissingPackageError
        If SpikeInterface is not installed.
    TaskError
        If the sorter is not installed, or has no parameter of a name.
    """
    defaults = {k: v for k, v in _default_parameters(sorter).items() if k not in _EXECUTION}
    given = _given_parameters(options)
    _refuse_unknown(sorter, given, defaults)
    return _merge(defaults, given)


def sorter_needs(sorter: str, parameters: Mapping[str, Any]) -> SorterNeeds:
    """Return what an installed sorter asks of the machine, as SpikeInterface tells it.

    Parameters
    ----------
    sorter : str
        Its name in SpikeInterface.
    parameters : mapping
        All of its parameters, of :func:`complete_parameters`.
    """
    from importlib.metadata import version

    from spikeinterface.sorters import sorter_dict

    described = sorter_dict[sorter]
    device = parameters.get("torch_device")
    return SorterNeeds(
        name=f"{sorter} of spikeinterface {version('spikeinterface')}",
        gpu=described.gpu_capability,
        device=None if device in (None, "auto") else str(device),
        n_copies=int(bool(parameters.get("use_binary_file", described.requires_binary_data))),
        caches="cache_preprocessing" in _default_parameters(sorter),
    )


def count_jobs(options: Mapping[str, Any]) -> int:
    """Return how many processes to use: as many as asked for, else one a core.

    Parameters
    ----------
    options : mapping
        ``n_jobs`` of the command line.
    """
    return options.get("n_jobs") or os.cpu_count() or 1


def sort_recording(
    recording: Any, folder: Path, sorter: str, parameters: Mapping[str, Any], n_jobs: int
) -> Any:
    """Run a sorter.

    Parameters
    ----------
    recording : spikeinterface.BaseRecording
        What to sort.
    folder : Path
        For its files; to be removed when the sorting has been read.
    sorter : str
        Its name in SpikeInterface.
    parameters : mapping
        All of its parameters, of :func:`complete_parameters`.
    n_jobs : int
        Processes. The spikes found do not depend on it.

    Returns
    -------
    spikeinterface.BaseSorting

    Raises
    ------
    TaskError
        What the sorter said when it failed.
    """
    import spikeinterface as si
    from spikeinterface.sorters import run_sorter
    from spikeinterface.sorters.utils import SpikeSortingError

    folder.mkdir(parents=True)
    si.set_global_job_kwargs(n_jobs=n_jobs, chunk_duration="1s", progress_bar=False)
    execution = {}
    if "cache_preprocessing" in _default_parameters(sorter):
        execution["cache_preprocessing"] = _choose_cache(recording, folder)
    said = io.StringIO()
    try:
        with (
            quiet_third_party(),
            repeatable_random(parameters.get("seed") or 0),
            contextlib.redirect_stdout(said),
        ):
            return run_sorter(
                sorter,
                recording,
                folder=folder / "sorter",
                verbose=False,
                raise_error=True,
                with_output=True,
                **parameters,
                **execution,
            )
    except SpikeSortingError as error:
        cause = error.__cause__ or error.__context__ or error
        last = [line for line in str(cause).splitlines() if line.strip()][-1:]
        raise TaskError(
            f"{sorter} failed: {' '.join(last)}",
            hint="Is the recording long enough, and does it hold spikes?",
        ) from error
    finally:
        logger.debug("%s said: %s", sorter, said.getvalue())


@contextlib.contextmanager
def repeatable_random(seed: int) -> Iterator[None]:
    """Seed the random generators that a block makes of numpy without a seed of their own.

    Parameters
    ----------
    seed : int
        For each of them.
    """
    import numpy as np

    with _seeding:
        make = np.random.default_rng
        try:
            np.random.default_rng = _seeded(make, seed)
            yield
        finally:
            np.random.default_rng = make


def _seeded(make: Any, seed: int) -> Any:
    def seeded(given: Any = None, **options: Any) -> Any:
        given = options.get("seed", given)
        return make(seed if given is None else given)

    return seeded


def _choose_cache(recording: Any, folder: Path) -> dict[str, Any]:
    """Say where a sorter keeps the filtered recording: in a file, if the disk has the room.

    Shared memory is not used: where it is small, as in containers, a process that fills it is
    killed, and one that is interrupted leaves it behind.
    """
    n_bytes = recording.get_num_samples() * recording.get_num_channels() * 4  # float32
    if n_bytes * 1.25 > shutil.disk_usage(folder).free:
        return {"mode": "no-cache"}
    return {"mode": "folder", "folder": str(folder / "filtered")}


def _default_parameters(sorter: str) -> dict[str, Any]:
    try:
        import spikeinterface.sorters as ss
    except ImportError:
        raise MissingPackageError("spikeinterface", "sorting") from None
    installed = ss.installed_sorters()
    if sorter not in installed:
        said = (
            "is not installed" if sorter in ss.sorter_dict else "is none that SpikeInterface has"
        )
        pip = _PIP.get(sorter)
        raise TaskError(
            f"The sorter {sorter!r} {said}.",
            hint=(f"To get it: pip install {pip}. " if pip else "")
            + f"Installed: {', '.join(installed)}.",
        )
    defaults: dict[str, Any] = json.loads(json.dumps(ss.get_default_sorter_params(sorter)))
    return defaults


def _given_json(text: str | None) -> dict[str, Any]:
    """Return the parameters of ``--params``: JSON, or the path of a file that holds it."""
    if not text:
        return {}
    if not text.lstrip().startswith("{"):
        path = Path(text).expanduser()
        if not path.is_file():
            raise TaskError(f"--params {text!r} is neither a JSON object nor a file.")
        text = path.read_text()
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise TaskError(f"--params is not valid JSON: {error}.") from None
    if not isinstance(given, dict):
        raise TaskError(
            f"--params holds a {type(given).__name__}, not parameters by their names.",
            hint='Write a JSON object: {"NAME": VALUE}.',
        )
    return given


def _given_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    given = _given_json(parameters.get("params"))
    for one in parameters.get("param") or []:
        name, equal, value = one.partition("=")
        if not equal:
            raise TaskError(f"--param {one!r} has no value.", hint="Write NAME=VALUE.")
        try:
            parsed = json.loads(value)
        except json.JSONDecodeError:
            parsed = value
        inner = given
        *parents, last = name.split(".")
        for parent in parents:
            inner = inner.setdefault(parent, {})
            if not isinstance(inner, dict):
                raise TaskError(
                    f"--param {one!r} sets a part of {parent!r}, which --params set to {inner!r}.",
                    hint="Give one of the two.",
                )
        inner[last] = parsed
    return given


def _refuse_unknown(
    sorter: str, given: Mapping[str, Any], defaults: Mapping[str, Any], prefix: str = ""
) -> None:
    import difflib

    for name, value in given.items():
        if name not in defaults:
            near = difflib.get_close_matches(name, defaults, n=1)
            raise TaskError(
                f"{sorter} has no parameter {prefix + name!r}.",
                hint=f"Did you mean {prefix + near[0]!r}?"
                if near
                else f"It has: {', '.join(defaults)}.",
            )
        if isinstance(value, Mapping) and isinstance(defaults[name], Mapping) and defaults[name]:
            _refuse_unknown(sorter, value, defaults[name], f"{prefix}{name}.")


def _merge(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(defaults)
    for name, value in given.items():
        nested = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _merge(merged[name], value) if nested else value
    return merged
