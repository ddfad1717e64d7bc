"""A sorting made outside of labdata is compared with its recording and comes into the tables.

It goes the way of labdata's own sortings, in one transaction. What wrote it is a matter of its
reader (``read_outside`` of a module in :data:`READERS`), which makes an :class:`OutsideSorting` of
it; the rest is the same for all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import TaskError
from ..keys import one_row
from .analyses.sorted_units import SortedProbe
from .analyses.sorting_rows import NewSorting, SortingFacts, insert_sortings
from .analyses.sorting_tables import channel_table, find_parameter_set
from .analysis import package_versions
from .task import check_may_run

#: What wrote a folder, and the module that reads it.
READERS = {"phy": "phy_import", "analyzer": "analyzer_import"}
#: How much the rate of a sorting may differ from its recording's: they are rounded differently.
RATE_TOLERANCE = 1e-3


@dataclass(frozen=True)
class ImportedSorting:
    """What was imported, or would be.

    Attributes
    ----------
    key : dict
        Of SpikeSorting.
    n_units, n_spikes : int
        How many.
    notes : tuple of str
        What the user must know: missing files, no scale, spikes left out.
    done : str
        ``imported``, ``there already``, or ``planned``.
    """

    key: dict[str, Any]
    n_units: int
    n_spikes: int
    notes: tuple[str, ...]
    done: str


@dataclass(frozen=True)
class ImportOptions:
    """How a folder is to be understood.

    Attributes
    ----------
    algorithm : str or None
        What sorted; by default as the files tell, else ``phy``.
    parameters : mapping
        Parameters of the sorter, as far as they are known.
    uv_per_bit : float or None
        uV of one unit of the raw samples, where amplitudes and templates are in those.
    drop_outside : bool
        Leave spikes out that lie before the recording or after its end.
    """

    algorithm: str | None = None
    parameters: Mapping[str, Any] | None = None
    uv_per_bit: float | None = None
    drop_outside: bool = False


@dataclass(frozen=True)
class OutsideSorting:
    """What a reader made of a folder, on the channels of the recording.

    Attributes
    ----------
    kind : str
        What wrote it: ``phy``.
    algorithm, algorithm_version : str
        What sorted.
    probe : SortedProbe
        The recording with the units.
    parameters : dict
        Of the sorter, as far as the folder tells.
    content_sha256 : str
        Identity of the content.
    written_at : datetime
        UTC.
    labels : dict of str to dict of int to str
        Name of a label -> number of a unit -> its text.
    facts : dict
        What else is to be kept of it, as JSON has it.
    notes : tuple of str
        What the user must know.
    """

    kind: str
    algorithm: str
    algorithm_version: str
    probe: SortedProbe
    content_sha256: str
    written_at: datetime
    parameters: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def import_sorting(
    kind: str,
    folder: str | Path,
    key: Any,
    options: ImportOptions | None = None,
    *,
    parameter_set_num: int | None = None,
    dry_run: bool = False,
    lab: Any = None,
) -> ImportedSorting:
    """Import a folder that a sorter or a curation program wrote as the sorting of a probe.

    Parameters
    ----------
    kind : {"phy", "analyzer"}
        What wrote it: Kilosort or phy; or SpikeInterface, whose SortingAnalyzer, sorter's output
        or saved sorting it may be.
    folder : str or Path
        The folder, or the ``.zarr``.
    key : dict or query
        What selects one probe of one recording.
    options : ImportOptions, optional
        How the folder is to be understood.
    parameter_set_num : int, optional
        A parameter set that is there; by default one is found or made of algorithm and parameters.
    dry_run : bool, optional
        Read and check all, insert nothing.
    lab : Lab, optional
        Tables of another project.

    Returns
    -------
    ImportedSorting
        The same folder imported again, or twice at once, is success, and is there once.

    Raises
    ------
    FormatError
        If the folder cannot be read.
    QueryError
        If the key selects no probe or several.
    TaskError
        If there is no such kind, the folder is not of this recording, or another sorting has the
        parameter set.
    """
    if kind not in READERS:
        raise TaskError(
            f"Sortings of {kind!r} cannot be imported.", hint=f"Kinds are {', '.join(READERS)}."
        )
    if lab is None:
        from ..schema import default_lab as lab
    options = options or ImportOptions()
    check_may_run(lab)
    setting = one_row(lab.EphysRecording.ProbeSetting, key, "probe", ("probe_num",))
    probe_key = {k: setting[k] for k in lab.EphysRecording.ProbeSetting.primary_key}
    reader = import_module(f".{READERS[kind]}", __package__)
    found: OutsideSorting = reader.read_outside(
        Path(folder), channel_table(lab, probe_key), options
    )
    probe, left_out = _inside(found.probe, drop=options.drop_outside)
    notes = left_out + found.notes
    n_spikes = sum(len(unit.samples) for unit in probe.units)
    plan = ImportedSorting(probe_key, len(probe.units), n_spikes, notes, "planned")
    if dry_run:
        return plan
    number = _parameter_set(lab, found, options.parameters, parameter_set_num)
    sorting_key = {**probe_key, "parameter_set_num": number}
    digest = found.content_sha256
    if _is_there(lab, sorting_key, digest):
        return replace(plan, key=sorting_key, done="there already")
    facts = {
        "imported_from": found.kind,
        "content_sha256": digest,
        "labels": {n: {str(c): v for c, v in of.items()} for n, of in found.labels.items()},
        "notes": list(notes),
        **found.facts,
    }
    made = SortingFacts(
        algorithm_version=found.algorithm_version,
        package_versions=package_versions(("labdata-jupyter", "numpy")),
        sorted_at=found.written_at,
        additional_params=facts,
    )
    try:
        insert_sortings(lab, [NewSorting(sorting_key, probe)], made, confirm=lambda: None)
    except TaskError:
        # another import was faster; what it brought decides
        if _is_there(lab, sorting_key, digest):
            return replace(plan, key=sorting_key, done="there already")
        raise
    return replace(plan, key=sorting_key, done="imported")


def check_rate(told_hz: float | None, channels: SortedProbe, where: str) -> None:
    """Raise if a sorting is of another sampling rate than the recording.

    Parameters
    ----------
    told_hz : float or None
        As the folder tells.
    channels : SortedProbe
        The recording.
    where : str
        What tells it, for the error.

    Raises
    ------
    TaskError
        With both rates.
    """
    own = channels.sampling_rate_hz
    if told_hz is not None and abs(told_hz - own) > RATE_TOLERANCE * own:
        raise TaskError(
            f"{where} says {told_hz:g} Hz, and the recording has {own:g} Hz.",
            hint="Is this the folder of another recording or probe? Check -s, -d and --probe.",
        )


def hash_content(facts: str, *arrays: Sequence[np.ndarray | None]) -> str:
    """Return the identity of what a folder brings.

    Parameters
    ----------
    facts : str
        What is not in arrays: labels, scale.
    *arrays : sequence of ndarray or None
        Spikes, units, templates, ...; None for what the folder has not.
    """
    digest = hashlib.sha256(facts.encode())
    for content in chain(*arrays):
        digest.update(b"-" if content is None else str(content.shape).encode())
        digest.update(b"" if content is None else np.ascontiguousarray(content).tobytes())
    return digest.hexdigest()


def modified_at(path: Path) -> datetime:
    """Return when a file was written, UTC.

    Parameters
    ----------
    path : Path
        The file.
    """
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).replace(tzinfo=None)


def _inside(probe: SortedProbe, *, drop: bool) -> tuple[SortedProbe, tuple[str, ...]]:
    """Return the spikes inside the recording; those outside are an error unless dropped."""
    trains = [unit.samples for unit in probe.units]
    samples = np.concatenate([np.empty(0, "int64"), *trains])
    n_outside = int(np.sum((samples < 0) | (samples >= probe.n_samples)))
    if n_outside == 0:
        return probe, ()
    said = (
        f"{n_outside} of {len(samples)} spikes lie outside the recording of {probe.n_samples} "
        f"samples: the first at {samples.min()}, the last at {samples.max()}"
    )
    if not drop:
        raise TaskError(
            f"{said}.",
            hint="Is it the folder of another recording? If Kilosort only padded the ends, "
            "--drop-outside leaves them out.",
        )
    units = []
    for unit in probe.units:
        inside = (unit.samples >= 0) & (unit.samples < probe.n_samples)
        if inside.any():
            units.append(unit.of_spikes(inside))
    return replace(probe, units=tuple(units)), (f"{said}; they were left out",)


def _parameter_set(
    lab: Any, found: OutsideSorting, given: Mapping[str, Any] | None, number: int | None
) -> int:
    if number is None:
        parameters = {"imported_from": found.kind, **found.parameters, **(given or {})}
        return find_parameter_set(lab, found.algorithm, parameters)
    if not lab.SpikeSortingParams & {"parameter_set_num": number}:
        raise TaskError(
            f"There is no parameter set {number}.",
            hint="Leave --parameter-set out to make one, or insert it into SpikeSortingParams.",
        )
    return number


def _is_there(lab: Any, key: dict[str, Any], digest: str) -> bool:
    """Whether the same content is stored under a key; other content there is an error."""
    rows = (lab.SpikeSorting & key).fetch("additional_params")
    if len(rows) == 0:
        return False
    stored = json.loads(rows[0]) if isinstance(rows[0], str) else rows[0] or {}
    if stored.get("content_sha256") == digest:
        return True
    raise TaskError(
        f"Probe {key['probe_num']} has another sorting of parameter set "
        f"{key['parameter_set_num']} already.",
        hint="Tell the two apart by --params (what was set, or who curated), or delete the other "
        "with `labdata delete --table SpikeSorting`.",
    )
