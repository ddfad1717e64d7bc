"""A run of a sorter of SpikeInterface that can be repeated.

Same recording, same parameters, same spikes: some sorters draw the chunks in which they measure
the noise without a seed, so that two runs give other units. Here those draws are seeded too.
"""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...errors import TaskError
from .sorted_units import quiet_third_party
from .sorter_parameters import default_parameters, restore_parameters

logger = logging.getLogger(__name__)

#: What SpikeInterface raises of parameters, probes and packages before the sorter itself runs.
_BEFORE_IT_RUNS = (
    *(AssertionError, AttributeError, ImportError, LookupError, NotImplementedError),
    *(RuntimeError, TypeError, ValueError),
)
#: One sorting at a time in a process: two that end in another order than they began would leave
#: the generators of whatever comes after seeded.
_seeding = threading.Lock()


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
    if "cache_preprocessing" in default_parameters(sorter):
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
                **restore_parameters(parameters),
                **execution,
            )
    except SpikeSortingError as error:
        cause = error.__cause__ or error.__context__ or error
        # SpikeInterface ends with the path of its log, which is in a folder that goes
        lines = [line for line in str(cause).splitlines() if line.strip()]
        last = [line for line in lines if not line.lstrip().startswith("Spike sorting ")][-1:]
        missing = isinstance(cause, ImportError) or "pip install" in str(cause)
        raise TaskError(
            f"{sorter} failed: {' '.join(last)}",
            hint="Install it, or choose another sorter or parameter."
            if missing
            else "Is the recording long enough, and does it hold spikes?",
        ) from error
    except _BEFORE_IT_RUNS as error:
        raise TaskError(
            f"SpikeInterface could not start {sorter}: {type(error).__name__}: {error}",
            hint="`labdata run --queue` keeps this with the task; check the parameters and probe.",
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
