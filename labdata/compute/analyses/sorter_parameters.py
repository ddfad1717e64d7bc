"""The parameters of a sorter of SpikeInterface, complete and as a database keeps them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import MissingPackageError, TaskError
from .sorter_needs import SorterNeeds

DEFAULT_SORTER = "spykingcircus2"

#: Numbers that JSON does not have, as Python writes them.
_NOT_FINITE = ("inf", "-inf", "nan")

#: Sorters that come by pip -> what to install, and what decides which spikes they find.
_PACKAGES = {"kilosort4": ("kilosort", "torch"), "mountainsort5": ("mountainsort5",)}

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
        If the sorter is not installed, has no parameter of a name, or takes another kind of value.
    """
    defaults = {k: v for k, v in default_parameters(sorter).items() if k not in _EXECUTION}
    given = _given_parameters(options)
    _refuse_unknown(sorter, given, defaults)
    merged: dict[str, Any] = _storable(_merge(defaults, given))
    return merged


def default_parameters(sorter: str) -> dict[str, Any]:
    """Return what a sorter takes unless it is told otherwise.

    Parameters
    ----------
    sorter : str
        Its name in SpikeInterface.

    Raises
    ------
    MissingPackageError
        If SpikeInterface is not installed.
    TaskError
        If the sorter is not installed.
    """
    try:
        import spikeinterface.sorters as ss
    except ImportError:
        raise MissingPackageError("spikeinterface", "sorting") from None
    installed = ss.installed_sorters()
    if sorter not in installed:
        said = (
            "is not installed" if sorter in ss.sorter_dict else "is none that SpikeInterface has"
        )
        pip = sorter_packages(sorter)
        raise TaskError(
            f"The sorter {sorter!r} {said}.",
            hint=(f"To get it: pip install {pip[0]}. " if pip else "")
            + f"Installed: {', '.join(installed)}.",
        )
    defaults: dict[str, Any] = json.loads(json.dumps(ss.get_default_sorter_params(sorter)))
    return defaults


def restore_parameters(value: Any) -> Any:
    """Return parameters as a sorter takes them, from those of :func:`complete_parameters`.

    Parameters
    ----------
    value : object
        The parameters, or a part of them.
    """
    if isinstance(value, Mapping):
        return {name: restore_parameters(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [restore_parameters(inner) for inner in value]
    return float(value) if value in _NOT_FINITE else value


def sorter_packages(sorter: str) -> tuple[str, ...]:
    """Return the distributions that a sorter is of, beside SpikeInterface.

    Parameters
    ----------
    sorter : str
        Its name in SpikeInterface.
    """
    return _PACKAGES.get(sorter, ())


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
        caches="cache_preprocessing" in default_parameters(sorter),
    )


def _storable(value: Any) -> Any:
    """Return parameters as JSON of a database has them: it knows no infinity, which is text."""
    if isinstance(value, Mapping):
        return {name: _storable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_storable(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


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
        usual = defaults[name]
        _refuse_kind(f"{prefix}{name} of {sorter}", f"{prefix}{name}", value, usual)
        if isinstance(value, Mapping) and isinstance(usual, Mapping) and usual:
            _refuse_unknown(sorter, value, usual, f"{prefix}{name}.")


def _refuse_kind(said: str, name: str, value: Any, usual: Any) -> None:
    """Raise if a value cannot be what the usual one is; found by the sorter, it costs hours."""
    if isinstance(usual, Mapping) and usual and value is not None:
        if not isinstance(value, Mapping):
            hint = f"Give one of them: {name}.{next(iter(usual))}=VALUE."
            raise TaskError(f"{said} is a group of parameters, not {value!r}.", hint=hint)
    elif isinstance(usual, bool | int | float):
        is_text = isinstance(value, str) and value not in _NOT_FINITE
        if is_text or isinstance(value, Mapping | list):
            kind = "true or false" if isinstance(usual, bool) else "a number"
            raise TaskError(f"{said} is {kind}, not {value!r}.", hint=f"By default {usual}.")


def _merge(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(defaults)
    for name, value in given.items():
        nested = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _merge(merged[name], value) if nested else value
    return merged
