"""Waveforms that were measured in a recording, kept on this computer beside the spikes.

A file's name is a digest of all that its numbers come of: what the recording's files hold, the
spikes, the window and the code that measures. So one that is there is right, whatever was curated
or put since, and nothing is ever invalidated; other spikes have another name. Its sums are
compared whenever it is read; removing any, or the folder, costs the time to measure anew.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import logging
import os
import secrets
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..preferences import load_preferences
from .train_cache import cache_file, is_own

logger = logging.getLogger(__name__)

#: Waveforms that are kept, of about 80 kB each; those that were not used for longest go.
MOST_KEPT = 2000
_SUFFIX = ".waveform"
_STREAM = ("subject_name", "session_name", "dataset_name")

Measured = tuple[NDArray[np.float32], int]


class KeptWaveforms:
    """Measured waveforms of the spikes of one sorting.

    Parameters
    ----------
    lab : Lab
        The tables.
    sorting : mapping
        Key of SpikeSorting.
    """

    def __init__(self, lab: Any, sorting: Mapping[str, Any]) -> None:
        beside = cache_file(lab, sorting, load_preferences())
        recording = None if beside is None else _digest_recording(lab, sorting)
        self._folder = None if beside is None or recording is None else beside.parent
        self._recording = recording

    def read(self, samples: NDArray[np.int64], n_before: int, n_samples: int) -> Measured | None:
        """Return what was measured of some spikes, if it is kept.

        Parameters
        ----------
        samples : ndarray of int64, shape (n_spikes,)
            The spikes.
        n_before, n_samples : int
            Samples of the waveform before the spike, and in all.

        Returns
        -------
        tuple or None
            As of :func:`labdata.objects.unit_waveforms.measure_waveform`.
        """
        path = self._file(samples, n_before, n_samples)
        if path is None:
            return None
        try:
            if not is_own(path):
                return None
            with np.load(path, allow_pickle=False) as found:
                measured = found["waveform"], int(found["n_spikes"])
            os.utime(path)  # used now
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            logger.warning("A kept waveform is measured anew: %s", error)
            return None
        return measured

    def keep(
        self, samples: NDArray[np.int64], n_before: int, n_samples: int, measured: Measured
    ) -> None:
        """Keep what was measured of some spikes, where there is room for it.

        Parameters
        ----------
        samples, n_before, n_samples
            As of :meth:`read`.
        measured : tuple
            What it returns the next time.
        """
        path = self._file(samples, n_before, n_samples)
        if path is None:
            return
        content = io.BytesIO()
        np.savez(content, waveform=measured[0], n_spikes=measured[1])
        partial = path.with_suffix(f".{os.getpid()}-{secrets.token_hex(4)}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not is_own(path.parent):
                return
            with os.fdopen(
                os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
            ) as f:
                f.write(content.getbuffer())
            partial.replace(path)
            _remove_oldest(path.parent)
        except OSError as error:
            logger.warning("A measured waveform is not kept for the next time: %s", error)
            with suppress(OSError):
                partial.unlink()

    def _file(self, samples: NDArray[np.int64], n_before: int, n_samples: int) -> Path | None:
        if self._folder is None:
            return None
        what = [self._recording, _digest_code(), n_before, n_samples]
        digest = hashlib.sha256(json.dumps(what).encode())
        digest.update(np.ascontiguousarray(samples, "<i8").tobytes())
        return self._folder / f"{digest.hexdigest()[:32]}{_SUFFIX}"


def _remove_oldest(folder: Path) -> None:
    files = [path for path in folder.iterdir() if path.suffix == _SUFFIX]
    if len(files) > MOST_KEPT:
        used = sorted((path.stat().st_mtime, path) for path in files)
        for _, path in used[: len(files) - MOST_KEPT]:
            path.unlink(missing_ok=True)


def _digest_recording(lab: Any, sorting: Mapping[str, Any]) -> str | None:
    """Return a digest of what a probe's recording holds; None where no sum of it is known."""
    probe = {name: sorting[name] for name in (*_STREAM, "probe_num")}
    stream = {name: sorting[name] for name in _STREAM}
    stream["stream_name"] = f"imec{sorting['probe_num']}"
    files = (lab.File & (lab.EphysRecording.ProbeFile & probe).proj()).fetch(
        "file_path", "file_sha256", "file_md5", as_dict=True, order_by="file_path"
    )
    segments = (lab.EphysRecording.Segment & stream).fetch(as_dict=True, order_by="segment_num")
    if not files or not all(row["file_sha256"] or row["file_md5"] for row in files):
        return None
    facts = json.dumps([probe, files, segments], default=str, sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()


@functools.cache
def _digest_code() -> str:
    """Return a digest of the code that measures, so that no older one's numbers are taken."""
    from .. import __version__
    from ..objects import snippets, unit_waveforms

    digest = hashlib.sha256(__version__.encode())
    for module in (snippets, unit_waveforms):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()
