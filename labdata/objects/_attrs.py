"""Attributes that every object carries, and the loud mark of an unsynchronised one."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import xarray as xr

from labdata.errors import ObjectError

#: Version of the data model.
SCHEMA = 1

Attrs = dict[str, str | float | int]


class UnsyncedWarning(UserWarning):
    """Times are on a stream's own clock and cannot be compared with other streams."""


class PauseWarning(UserWarning):
    """Samples follow each other in an array though time passed between them unrecorded."""


@runtime_checkable
class HasSyncAttrs(Protocol):
    """Anything that describes a synchronisation, such as :class:`labdata.clocks.SyncReport`."""

    def to_attrs(self) -> Attrs:
        """Return flat attributes with at least ``clock`` and ``synced``."""
        ...


Sync = HasSyncAttrs | Mapping[str, str | float | int]


def base_attrs(
    kind: str,
    stream: str,
    sync: Sync | None,
    provenance: Mapping[str, Any] | str | None,
    more: Mapping[str, str | float | int | None],
) -> Attrs:
    """Return the attributes of an object; warn if its times are not synchronised.

    Parameters
    ----------
    kind : str
        Value of ``labdata_kind``.
    stream : str
        Stream whose times these are.
    sync : SyncReport or mapping, optional
        How the times came to their clock; None if they did not.
    provenance : mapping or str, optional
        Stored as JSON text.
    more : mapping
        Further attributes; None values are left out.

    Returns
    -------
    dict

    Raises
    ------
    ObjectError
        If a synchronisation does not name its clock.
    """
    attrs: Attrs = {"labdata_kind": kind, "labdata_schema": SCHEMA}
    if sync is None:
        note = (
            f"NOT SYNCHRONISED: times are on the clock of {stream} itself, sample number divided "
            "by the sampling rate; do not compare them with other streams."
        )
        attrs |= {"synced": 0, "sync_note": note, "clock": stream, "stream": stream}
        attrs["sync_method"] = "none"
        warn_user(note)
    else:
        found = dict(sync.to_attrs() if isinstance(sync, HasSyncAttrs) else sync)
        if "clock" not in found:
            raise ObjectError(
                f"The synchronisation of {stream} does not name its clock: {sorted(found)}.",
                hint='Pass a SyncReport, or a mapping with at least "clock".',
            )
        attrs |= {"synced": 1} | found | {"stream": stream}
    attrs |= {k: plain(v) for k, v in more.items() if v is not None}
    if provenance is not None:
        text = provenance if isinstance(provenance, str) else json.dumps(provenance, default=str)
        attrs["provenance"] = text
    return attrs


def plain(value: Any) -> str | float | int:
    """Return a scalar as the str, int or float that every file format keeps.

    Parameters
    ----------
    value : scalar
        Of Python or NumPy.
    """
    if isinstance(value, np.generic):
        value = value.item()
    return int(value) if isinstance(value, bool) else value


def same_clock(first: Mapping[str, Any], second: Mapping[str, Any], *, allow: bool) -> None:
    """Refuse two objects whose times are on different clocks.

    Parameters
    ----------
    first, second : mapping
        Attributes; an object that names no clock is not compared. Clocks of one name are
        different if ``clock_dataset`` is, where both name it: every rig has a ``nidq``.
    allow : bool
        Whether the caller accepts the difference.

    Raises
    ------
    ObjectError
        If the clocks differ and `allow` is False.
    """
    a, b = first.get("clock"), second.get("clock")
    if a is None or b is None or allow:
        return
    if "clock_dataset" in first and "clock_dataset" in second:
        a, b = whose_clock(first), whose_clock(second)
    if a == b:
        return
    raise ObjectError(
        f"The spikes are on clock {a!r} and the events on clock {b!r}.",
        hint="Synchronise both to one clock (insert a StreamSync), or pass "
        "allow_clock_mismatch=True if you know that the clocks agree.",
    )


def whose_clock(attrs: Mapping[str, Any]) -> str:
    """Return the name of an object's clock, with the dataset it belongs to where that is known.

    Parameters
    ----------
    attrs : mapping
        Attributes of the object.
    """
    dataset, clock = attrs.get("clock_dataset"), str(attrs.get("clock"))
    return f"{dataset}/{clock}" if dataset else clock


def clock_attrs(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a variable in seconds: alone, it can still be checked.

    Parameters
    ----------
    attrs : mapping
        Attributes of the object it belongs to.
    """
    found = {name: attrs[name] for name in ("clock", "clock_dataset") if name in attrs}
    return {"units": "s", **found}


def require_kind(ds: xr.Dataset, *kinds: str) -> None:
    """Refuse a dataset that is not one of some kinds.

    Parameters
    ----------
    ds : xarray.Dataset
        What the user gave.
    *kinds : str
        Values of ``labdata_kind`` that will do.

    Raises
    ------
    ObjectError
        With the kind found.
    """
    found = ds.attrs.get("labdata_kind") if isinstance(ds, xr.Dataset) else type(ds).__name__
    if found not in kinds:
        raise ObjectError(
            f"Expected a dataset of kind {' or '.join(kinds)}, got {found!r}.",
            hint="xarray drops attributes in arithmetic; use xr.set_options(keep_attrs=True).",
        )


def warn_user(text: str, kind: type[UserWarning] = UnsyncedWarning) -> None:
    """Warn at the line of the first caller outside labdata, so that it is shown there.

    Parameters
    ----------
    text : str
        What a user of the times must know.
    kind : type of UserWarning, optional
        Of the warning.
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("labdata."):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, kind, stacklevel=level)
