"""All that a session has, in one tree."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import QueryError
from ..keys import lab_of, one_row
from ._parts import DATASET, as_json
from .sorting import spikes
from .streams import events
from .trials import trials

if TYPE_CHECKING:
    import xarray as xr


def session_tree(key: Any, *, trials_stream: str | None = None, lab: Any = None) -> xr.DataTree:
    """Return the spikes, events and trials of all datasets of one session, in one tree.

    Parameters
    ----------
    key : dict or query
        What selects one session.
    trials_stream : str, optional
        Stream on whose clock the tasks wrote their times; see :func:`labdata.trials`.
    lab : Lab, optional
        Tables of another project.

    Returns
    -------
    xarray.DataTree
        ``/spikes/<stream>`` for each sorting, with its parameter set in the name
        (``imec0_p5``) where a stream was sorted several times, and its dataset
        (``<dataset>_imec0``) where several datasets have the stream; ``/events``, or
        ``/events/<dataset>`` where several have events, or a group a stream where streams are on
        several clocks; ``/trials/<set>``, or ``/trials/<dataset>/<set>`` where several datasets
        have trials. Each is what :func:`labdata.spikes`, :func:`labdata.events` and
        :func:`labdata.trials` return, with its own clock. What a session does not have is not
        there. ``labdata.save`` and ``labdata.load`` keep it whole.

    Raises
    ------
    QueryError
        If the key selects no session or several, or it has neither spikes, events nor trials.
    ClockError
        If the pulses cannot be matched within the tolerance.

    Examples
    --------
    >>> key = {"subject_name": "JC1", "session_name": "20240305_100000"}
    >>> tree = labdata.session_tree(key)  # doctest: +SKIP
    >>> tree["spikes/imec0"]["spike_time"]  # doctest: +SKIP
    >>> labdata.save(tree, "JC1.nc")  # doctest: +SKIP
    """
    import xarray as xr

    lab = lab_of(key, lab)
    session = one_row(lab.Session, key, "session", ("session_name",))
    session_key = {k: session[k] for k in lab.Session.primary_key}
    nodes = _spikes_of(lab, session_key) | _events_of(lab, session_key)
    nodes |= _trials_of(lab, session_key, trials_stream)
    if not nodes:
        raise QueryError(
            f"Session {'/'.join(map(str, session_key.values()))} has no spikes, events or trials.",
            hint="`labdata sessions -a SUBJECT` shows what its datasets have.",
        )
    provenance = as_json({"key": session_key, "labdata": __version__})
    root = xr.Dataset(
        attrs={"labdata_kind": "session", "labdata_schema": 1, "provenance": provenance}
    )
    return xr.DataTree.from_dict({"/": root, **nodes})


def _spikes_of(lab: Any, session_key: dict[str, Any]) -> dict[str, xr.Dataset]:
    keys = (lab.SpikeSorting & session_key).fetch("KEY")
    datasets: dict[int, set[str]] = {}
    for key in keys:
        datasets.setdefault(key["probe_num"], set()).add(key["dataset_name"])
    times_sorted = Counter((key["dataset_name"], key["probe_num"]) for key in keys)
    found = {}
    for key in keys:
        dataset, probe_num = key["dataset_name"], key["probe_num"]
        name = f"imec{probe_num}"
        if len(datasets[probe_num]) > 1:
            name = f"{dataset}_{name}"
        if times_sorted[dataset, probe_num] > 1:
            name += f"_p{key['parameter_set_num']}"
        found[f"/spikes/{name}"] = spikes(key, lab=lab)
    return found


def _events_of(lab: Any, session_key: dict[str, Any]) -> dict[str, xr.Dataset]:
    keys = (lab.Dataset & session_key & lab.DatasetEvents.proj()).fetch("KEY")
    found: dict[str, xr.Dataset] = {}
    for key in keys:
        dataset = {k: key[k] for k in DATASET}
        where = "/events" if len(keys) == 1 else f"/events/{key['dataset_name']}"
        try:
            found[where] = events(dataset, lab=lab)
        except QueryError:  # on several clocks: each stream by itself
            for stream in (lab.DatasetEvents & dataset).fetch("stream_name"):
                found[f"{where}/{stream}"] = events(dataset, stream=str(stream), lab=lab)
    return found


def _trials_of(lab: Any, session_key: dict[str, Any], stream: str | None) -> dict[str, xr.Dataset]:
    keys = (lab.DecisionTask.TrialSet & session_key).fetch("KEY")
    several = len({key["dataset_name"] for key in keys}) > 1
    found = {}
    for key in keys:
        name = str(key["trialset_description"]).replace("/", "_")
        where = f"/trials/{key['dataset_name']}/{name}" if several else f"/trials/{name}"
        while where in found:  # "a/b" beside "a_b": none takes the place of the other
            where += "_"
        dataset = {k: key[k] for k in DATASET}
        found[where] = trials(dataset, key["trialset_description"], stream=stream, lab=lab)
    return found
