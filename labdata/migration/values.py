"""From what an old database stores to what a column here takes, with nothing lost or guessed.

- Old blobs are decoded by DataJoint itself, and stored by the column's own codec here.
- Single-precision numbers become the shortest decimal that is the same single-precision number:
  a weight entered as 23.4 stays 23.4, and is not 23.399999618530273.
- Numbers change their type only where they stay equal; what does not fit is a :class:`Misfit`.
- Text in a column of JSON that is no JSON is kept as a text, and said.
- Times are taken as they stand. The old package wrote the local time of the rig into File and
  ProcessedFile, and UTC into AnalysisFile. Which rig, and so which zone, is not on record: the
  times cannot be put right here, and the plan says so.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np

from ..errors import DatabaseError, LabdataError
from .columns import Column

#: Told of everything that is kept in another form than one might expect.
Note = Callable[[str], None]

_BLOB_STARTS = (b"ZL123\0", b"mYm\0", b"dj0\0")
_NUMBERS = "biufc"


class Misfit(DatabaseError):
    """A value that the column here does not take."""


def decode_old(column: Column, raw: Any) -> Any:
    """Return what an old value meant.

    Parameters
    ----------
    column : Column
        The old column.
    raw : object
        As the driver gives it.

    Raises
    ------
    Misfit
        If a blob is damaged, or none of DataJoint's.
    """
    if raw is None:
        return None
    if column.is_blob:
        return _unpack(raw)
    return _shortest(raw) if column.kind == "float" else raw


def fit(column: Column, value: Any, note: Note) -> Any:
    """Return an old value as it will be read here.

    Parameters
    ----------
    column : Column
        Our column.
    value : object
        Of :func:`decode_old`.
    note : callable
        Told of what is kept in another form.

    Raises
    ------
    Misfit
        If the column does not take it.
    """
    if value is None:
        if column.nullable:
            return None
        raise Misfit("is empty, where a value is needed here")
    if column.codec:
        fits = {"array": _fit_array, "spiketrain": _fit_train, "json": _fit_json}
        return fits[column.codec](value, note) if column.codec in fits else value
    if column.is_integer:
        return _fit_integer(column, value)
    if column.kind in ("double", "float"):
        number = _fit_float(value)
        return number if column.kind == "double" else _shortest(number)
    if column.kind in ("varchar", "char", "enum", "text", "mediumtext", "longtext"):
        return _fit_text(column, value)
    if column.kind == "datetime":
        return _require(isinstance(value, datetime), value, "is no time")
    if column.kind == "date":
        ok = isinstance(value, date) and not isinstance(value, datetime)
        return _require(ok, value, "is no date")
    return value


def store(column: Column, value: Any) -> Any:
    """Return what the driver writes for a value of :func:`fit`.

    Parameters
    ----------
    column : Column
        Our column.
    value : object
        What it will read as.

    Raises
    ------
    Misfit
        If its codec refuses it.
    """
    if value is None or not column.codec:
        return value
    if column.codec == "json":
        return json.dumps(value, allow_nan=False)
    try:
        return _codec(column.codec).encode(value)
    except LabdataError as error:
        raise Misfit(error.message) from None


def load(column: Column, raw: Any) -> Any:
    """Return what our database reads, through the column's codec.

    Parameters
    ----------
    column : Column
        Our column.
    raw : object
        As the driver gives it.
    """
    if raw is not None and column.kind == "float":
        return _shortest(raw)
    if raw is None or not column.codec:
        return raw
    return json.loads(raw) if column.codec == "json" else _codec(column.codec).decode(raw)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal in type, shape and every element; NaN equals NaN.

    Parameters
    ----------
    one, other : object
        Values of :func:`fit` and :func:`load`.
    """
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return _same_arrays(one, other)
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(v, other[k]) for k, v in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other)


def plain_json(value: Any) -> Any:
    """Return a value with its arrays and numpy's numbers as JSON has them.

    Parameters
    ----------
    value : object
        Numbers, texts, arrays, lists and dicts of such.
    """
    if isinstance(value, np.ndarray):
        return plain_json(value.tolist())
    if isinstance(value, np.generic):
        return plain_json(value.item())
    if isinstance(value, dict):
        return {str(key): plain_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(one) for one in value]
    return value


def _shortest(number: float) -> float:
    """Return the shortest decimal that is the same number in single precision."""
    return float(str(np.float32(number)))


def _same_arrays(one: Any, other: Any) -> bool:
    if not (isinstance(one, np.ndarray) and isinstance(other, np.ndarray)):
        return False
    if one.dtype.newbyteorder("=") != other.dtype.newbyteorder("=") or one.shape != other.shape:
        return False
    if one.dtype.names:
        return all(_same_arrays(one[n], other[n]) for n in one.dtype.names)
    if one.dtype.kind == "O":
        return all(map(same, one.ravel().tolist(), other.ravel().tolist()))
    return bool(np.array_equal(one, other, equal_nan=one.dtype.kind in "fc"))


def _unpack(raw: bytes) -> Any:
    from datajoint import blob
    from datajoint.errors import DataJointError

    if not raw.startswith(_BLOB_STARTS):
        raise Misfit("holds bytes that DataJoint did not write")
    try:
        return blob.unpack(raw)
    except (
        *(DataJointError, AssertionError, zlib.error, ValueError, LookupError, TypeError),
        *(MemoryError, OverflowError),
    ) as error:
        raise Misfit(f"holds a damaged blob: {error or type(error).__name__}") from None


def _fit_array(value: Any, note: Note) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError:
        raise Misfit("holds lists of unequal length, and an array is needed") from None
    if array.dtype.kind not in _NUMBERS or array.dtype.names:
        raise Misfit(f"holds {_name(value)}, and an array of numbers is needed")
    if array.dtype.kind == "c" and not np.all(np.isfinite(array)):
        # DataJoint reads 0 + inf j as nan + inf j
        raise Misfit("holds complex numbers that are not finite, which a blob does not keep")
    if not isinstance(value, np.ndarray):
        note(f"{_name(value)} becomes an array")
    return array


def _fit_train(value: Any, note: Note) -> np.ndarray:
    array = _fit_array(value, note)
    if array.ndim == 2 and 1 in array.shape:
        note("a column of spike times becomes one row")
        array = array.reshape(-1)
    if array.ndim != 1:
        raise Misfit(f"holds an array of shape {array.shape}, and a spike train is needed")
    if array.dtype.kind not in "iu":
        if array.size:
            raise Misfit(f"holds {array.dtype} numbers, and samples are needed")
        return array.astype("int64")
    if array.size and int(array.max()) > np.iinfo("int64").max:
        raise Misfit("holds samples beyond the range of int64")
    samples = array.astype("int64")
    if np.any(samples[1:] < samples[:-1]):
        raise Misfit("holds samples that are not in order")
    return samples


def _fit_json(value: Any, note: Note) -> Any:
    if isinstance(value, str):
        try:
            found = json.loads(value)
            json.dumps(found, allow_nan=False)
        except ValueError:
            note("text that is no JSON is kept as text")
            return value
        return found
    value = plain_json(value)
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise Misfit(f"holds {_name(value)} that JSON cannot hold") from None
    return value


def _fit_integer(column: Column, value: Any) -> int:
    whole = isinstance(value, int | float | Decimal) and math.isfinite(value) and value % 1 == 0
    if not whole:
        raise Misfit(f"is {value!r}, and a whole number is needed")
    low, high = column.limits
    if not low <= value <= high:
        raise Misfit(f"is {value}, outside {low} to {high}")
    return int(value)


def _fit_float(value: Any) -> float:
    if not isinstance(value, int | float | Decimal):
        raise Misfit(f"is {value!r}, and a number is needed")
    return float(value)


def _fit_text(column: Column, value: Any) -> str:
    if not isinstance(value, str):
        raise Misfit(f"is {value!r}, and text is needed")
    if column.length is not None and len(value) > column.length:
        raise Misfit(f"has {len(value)} characters, and {column.length} fit")
    if column.choices and value not in column.choices:
        raise Misfit(f"is {value!r}, and the choices are {', '.join(column.choices)}")
    return value


def _require(ok: bool, value: Any, otherwise: str) -> Any:
    if not ok:
        raise Misfit(f"is {value!r}, which {otherwise}")
    return value


def _name(value: Any) -> str:
    names = {dict: "named values", str: "text", list: "a list", tuple: "a list", bool: "yes or no"}
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype.kind!r} type"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "one number"
    return names.get(type(value), type(value).__name__)


def _codec(name: str) -> Any:
    from datajoint.codecs import get_codec

    from ..database import codecs as _registered  # noqa: F401

    return get_codec(name)
