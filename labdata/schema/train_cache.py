"""Spike times of whole sortings, kept on this computer once they are on their clock.

The unit of each spike is a file of its own, written the first time that somebody asks for it.

A file is used only while it says what the database says: the length and CRC-32 of every stored
train, as the server computes them of what it holds now, and a digest of all that the clock is made
of (:mod:`.clock_inputs`). It is read whole and compared with its own sums once after every start
of the computer, and whenever it is not the file that was compared. It is the user's alone, on a
disk of this computer; removing any of them, or the folder, costs the time to read them anew.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FormatError
from ..formats.train_file import TrainFile, TrainWriter, check_trains, open_trains
from ..preferences import absolute_folder, labdata_folder
from ..stores.mounts import is_on_block_device, list_mounts, network_mount

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..preferences import Preferences
    from .spike_trains import TrainHeads

logger = logging.getLogger(__name__)

#: Sortings of fewer spikes are read from the database as fast.
LEAST_SPIKES = 500_000
#: Kind of value -> bytes of a spike for which there must be room: a label follows its time.
_SPIKE_BYTES = {"time_s": 12, "label": 4}
#: What was used within this time is not removed to make room.
_IN_USE_S = 3600.0
_TRAINS, _LABELS, _CHECKED = ".trains", ".labels", ".checked"


def cache_file(lab: Any, sorting: Mapping[str, Any], preferences: Preferences) -> Path | None:
    """Return the file of a sorting's spikes, there or not; None where none are kept.

    Parameters
    ----------
    lab : Lab
        The tables.
    sorting : mapping
        Key of SpikeSorting.
    preferences : Preferences
        The user's.
    """
    if not preferences.spike_cache_gb:
        return None
    scratch = absolute_folder("scratch_path", preferences.scratch_path)
    database = lab.connection
    where = [database.conn_info["host"], database.conn_info["port"]]
    place = str(labdata_folder()) if database.embedded else where
    key = sorted(sorting.items())
    text = json.dumps([place, lab.SpikeSorting.full_table_name, key], default=str)
    name = hashlib.sha256(text.encode()).hexdigest()[:32]
    path = scratch / f"labdata-spikes-{_owner()}" / f"{name}{_TRAINS}"
    # what is there was not written to a network mount
    return path if path.exists() or not _is_on_network(scratch) else None


@functools.cache
def _is_on_network(scratch: Path) -> bool:
    """Return whether another computer may remove a file there: it ends who has mapped it."""
    if is_on_block_device(scratch):
        return False
    kind = network_mount(scratch / _TRAINS, list_mounts())
    if kind:
        logger.info("Spikes are not kept in %s, a network mount (%s).", scratch, kind)
    return bool(kind)


def read_cached(path: Path, heads: TrainHeads, clock_digest: str) -> TrainFile | None:
    """Return the file of a sorting if it holds what the database does, else None.

    Parameters
    ----------
    path : Path
        Of :func:`cache_file`.
    heads : TrainHeads
        Units that are wanted, as they are stored now.
    clock_digest : str
        Of what their clock is made of now.
    """
    return _open_if(
        path, lambda found: found.notes["clock_digest"] == clock_digest and _holds(found, heads)
    )


def keep_labels(path: Path, trains: TrainFile, limit_gb: float) -> NDArray[np.int32]:
    """Return the unit of each spike of a file, from a file beside it that is made if need be.

    Parameters
    ----------
    path : Path
        Of :func:`cache_file`.
    trains : TrainFile
        What is there.
    limit_gb : float
        What all files may take.

    Returns
    -------
    ndarray of int32, shape (n_spikes,)
        Mapped; in memory if no file can be made.
    """
    labels, n_spikes = path.with_suffix(_LABELS), np.diff(trains.offsets)

    def fits(found: TrainFile) -> bool:
        same_units = np.array_equal(found.unit_ids, trains.unit_ids)
        return same_units and np.array_equal(found.offsets, trains.offsets)

    found = _open_if(labels, fits)
    if found is None:
        with new_file(labels, trains.unit_ids, n_spikes, limit_gb, kind="label") as writer:
            if writer is not None:
                for number, unit in enumerate(trains.unit_ids):
                    writer.put(number, [np.full(n_spikes[number], unit, np.int32)])
                writer.finish({})
        found = _open_if(labels, fits)
    return np.repeat(trains.unit_ids, n_spikes) if found is None else found.values


def _open_if(path: Path, fits: Callable[[TrainFile], bool]) -> TrainFile | None:
    """Return a file that is whole and fits, else None."""
    try:
        if not is_own(path):
            return None
        found = open_trains(path)
        if not fits(found):
            return None
        _check_once(path)
        os.utime(_note(path))  # used now
    except FileNotFoundError:
        return None
    except (FormatError, OSError, KeyError, TypeError, ValueError) as error:
        logger.warning("Kept spikes are read anew from the database: %s", error)
        with suppress(OSError):
            path.unlink()
        return None
    return found


def _holds(found: TrainFile, heads: TrainHeads) -> bool:
    """Return whether all wanted units are in a file, each with the bytes that are stored now."""
    places = np.searchsorted(found.unit_ids, heads.unit_ids)
    if len(places) and places[-1] >= len(found.unit_ids):
        return False
    n_bytes, crc = (np.array(found.notes[name], np.int64) for name in ("n_bytes", "crc"))
    return (
        np.array_equal(found.unit_ids[places], heads.unit_ids)
        and np.array_equal(n_bytes[places], heads.n_bytes)
        and np.array_equal(crc[places], heads.crc)
    )


def _check_once(path: Path) -> None:
    """Compare a file with its own sums, unless this very file was since the computer's start."""
    note, facts = _note(path), _identity(path)
    with suppress(OSError, ValueError):
        if json.loads(note.read_text("utf-8")) == facts:
            return
    check_trains(path)
    _note_checked(path, facts)


def _note(path: Path) -> Path:
    return path.with_name(path.name + _CHECKED)


def _note_checked(path: Path, facts: list[Any]) -> None:
    _note(path).write_text(json.dumps(facts), "utf-8")


def _identity(path: Path) -> list[Any]:
    """Return what changes whenever a file does, or the computer was started again."""
    stat = path.stat()
    return [stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, _computer_start()]


def _computer_start() -> str:
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
    import psutil

    return str(round(psutil.boot_time(), -1))


@contextmanager
def new_file(
    path: Path,
    unit_ids: NDArray[np.int32],
    n_spikes: NDArray[np.int64],
    limit_gb: float,
    *,
    kind: str = "time_s",
) -> Iterator[TrainWriter | None]:
    """Write a file of spikes; it has its name at the end of the block, or there is none.

    Parameters
    ----------
    path : Path
        Of :func:`cache_file`, or beside it.
    unit_ids : ndarray of int32, shape (n_units,)
        All units of the sorting.
    n_spikes : ndarray of int64, shape (n_units,)
        Of each.
    limit_gb : float
        What all files may take.
    kind : {"time_s", "label"}, optional
        Of what is written.

    Yields
    ------
    TrainWriter or None
        None where no file can be made: too many spikes, or no room.
    """
    n_bytes = int(n_spikes.sum()) * _SPIKE_BYTES[kind]
    partial = path.with_suffix(f".{os.getpid()}-{secrets.token_hex(4)}.partial")
    yielded = False
    try:
        if _make_room(path.parent, n_bytes, limit_gb * 1e9):
            descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w+b") as file:
                writer = TrainWriter(file, unit_ids, n_spikes, kind)
                yielded = True
                yield writer
            partial.replace(path)
            _note_checked(path, _identity(path))
    except OSError as error:
        logger.warning("The spikes are not kept for the next time: %s", error)
    finally:
        with suppress(OSError):
            partial.unlink()
    if not yielded:
        yield None


def _make_room(folder: Path, n_bytes: int, limit_bytes: float) -> bool:
    """Remove the files that were not used for longest; return whether there is room for one."""
    import shutil

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if n_bytes > limit_bytes or not is_own(folder):
        return False
    now = time.time()
    kept = []
    for file in folder.iterdir():
        with suppress(OSError):
            if file.suffix in (_TRAINS, _LABELS):
                note = _note(file)
                used = (note if note.exists() else file).stat().st_mtime
                kept.append((used, file.stat().st_size, file))
            elif file.suffix == ".partial" and now - file.stat().st_mtime > _IN_USE_S:
                file.unlink()  # its writer was killed
    taken = sum(size for _, size, _ in kept)
    for used, size, file in sorted(kept):
        short = taken + n_bytes > limit_bytes or shutil.disk_usage(folder).free < 2 * n_bytes
        if not short or now - used < _IN_USE_S:
            break
        with suppress(OSError):  # Windows keeps a file that is mapped
            file.unlink()
            _note(file).unlink(missing_ok=True)
            taken -= size
    free = shutil.disk_usage(folder).free
    return taken + n_bytes <= limit_bytes and free >= 2 * n_bytes


def is_own(path: Path) -> bool:
    """Return whether a file or folder is the user's, as far as the system tells.

    Parameters
    ----------
    path : Path
        That is there.
    """
    return not hasattr(os, "getuid") or path.stat().st_uid == os.getuid()


def _owner() -> str:
    import getpass

    return str(os.getuid()) if hasattr(os, "getuid") else getpass.getuser()
