"""Which probes of which datasets are sorted together, and whether they are sorted already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import TaskError
from .sorting_tables import choose_probes


def set_content(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes a set of SpikeSortingParams; sorted together is another than alone.

    Parameters
    ----------
    parameters : mapping
        Of a task.
    """
    more = {"multisession": True} if parameters.get("together") else {}
    return {**parameters["sorter_parameters"], **more}


def probe_groups(
    lab: Any, key: Mapping[str, Any], parameters: Mapping[str, Any]
) -> list[list[dict[str, Any]]]:
    """Return the probes that a task sorts; a list of those that are sorted together.

    Parameters
    ----------
    lab : Lab
        The tables.
    key : mapping
        Of the task's dataset.
    parameters : mapping
        Of the task.

    Raises
    ------
    TaskError
        If a probe is not there, not in all of the datasets, or another one in some.
    """
    datasets = [key, *parameters.get("together", ())]
    probes = [choose_probes(lab, one, parameters.get("probe")) for one in datasets]
    numbers = [[one["probe_num"] for one in of] for of in probes]
    for dataset, found in zip(datasets, numbers, strict=True):
        if found != numbers[0]:
            raise TaskError(
                f"{dataset['session_name']}/{dataset['dataset_name']} has the probes {found}, "
                f"and {datasets[0]['session_name']}/{datasets[0]['dataset_name']} {numbers[0]}.",
                hint="Choose one that all have, with --probe.",
            )
    groups = [list(group) for group in zip(*probes, strict=True)]
    for group in groups:
        serials = (lab.EphysRecording.ProbeSetting & group).fetch("probe_id")
        if len(set(serials)) > 1:
            raise TaskError(
                f"Probe {group[0]['probe_num']} is not one probe in these datasets: "
                f"{', '.join(sorted(set(map(str, serials))))}.",
                hint="Sort together what was recorded with one probe, in one place.",
            )
    return groups


def all_there(lab: Any, keys: list[dict[str, Any]]) -> bool:
    """Return whether all of these are sorted, and together.

    Parameters
    ----------
    lab : Lab
        The tables.
    keys : list of dict
        Of SpikeSorting: the probe in each dataset.

    Raises
    ------
    TaskError
        If some are sorted alone, or with others.
    """
    there = [key for key in keys if lab.SpikeSorting & key]
    for key in there:
        linked = (lab.SpikeSorting.LinkedDatasets & key).fetch(
            "linked_session_name", "linked_dataset_session"
        )
        others = {(k["session_name"], k["dataset_name"]) for k in keys if k is not key}
        if set(zip(*linked, strict=True)) != others or len(there) < len(keys):
            raise TaskError(
                f"{key['session_name']}/{key['dataset_name']} was sorted with parameter set "
                f"{key['parameter_set_num']} already, together with other datasets.",
                hint="Sort the same ones, or delete its sorting with `labdata delete --table "
                "SpikeSorting`.",
            )
    return bool(there)
