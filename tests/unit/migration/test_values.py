"""Old values and what our columns take: equal after the way there and back, or refused by name."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from datajoint import blob
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from labdata.migration.columns import Column
from labdata.migration.values import Misfit, decode_old, fit, load, same, store

KINDS = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
         "float32", "float64", "complex128"]  # fmt: skip


def column(kind: str, codec: str | None = None, **more: Any) -> Column:
    facts = {"choices": (), "unsigned": False, "nullable": True, "optional": True, "length": None}
    return Column(name="x", kind=kind, codec=codec, **(facts | more))


OLD_BLOB = column("longblob")
ARRAY = column("longblob", "array")
TRAIN = column("longblob", "spiketrain")
JSON = column("longtext", "json")
ANY = column("longblob", "blob")


def there_and_back(ours: Column, old: Any) -> tuple[Any, list[str]]:
    notes: list[str] = []
    value = fit(ours, old, notes.append)
    assert same(load(ours, store(ours, value)), value)
    return value, notes


@given(
    arrays.arrays(
        st.sampled_from(KINDS), arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    )
)
def test_an_array_is_what_it_was(array: np.ndarray) -> None:
    if array.dtype.kind == "c":  # others are refused: DataJoint's blobs lose them
        array = np.where(np.isfinite(array), array, 0)
    old = decode_old(OLD_BLOB, blob.pack(array))
    value, _ = there_and_back(ARRAY, old)
    # what was packed is the oracle: type, shape, every element, NaN
    assert (value.dtype, value.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(value, array)


@given(st.lists(st.integers(0, 2**62), max_size=50))
def test_a_spike_train_becomes_int64(samples: list[int]) -> None:
    old = np.sort(np.array(samples, "uint64"))
    value, _ = there_and_back(TRAIN, decode_old(OLD_BLOB, blob.pack(old)))
    assert value.dtype == np.int64
    assert value.tolist() == sorted(samples)


@pytest.mark.parametrize(
    "value",
    [
        {"a": np.eye(2), "b": [None, "x"]},
        ("x", 1),
        2.5,
        True,
        b"bytes",
        {"t": {1: datetime(2025, 1, 1)}},
    ],
)
def test_a_blob_of_any_kind_is_what_it_was(value: Any) -> None:
    found, _ = there_and_back(ANY, decode_old(OLD_BLOB, blob.pack(value)))
    assert same(found, value)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_single_precision_is_kept_to_the_bit_and_as_it_was_typed(number: float) -> None:
    found = decode_old(column("float"), number)
    assert np.float32(found) == np.float32(number)
    assert decode_old(column("float"), float(np.float32(23.4))) == 23.4


@pytest.mark.parametrize(
    ("ours", "old", "found"),
    [
        (column("bigint"), 3e10, 30_000_000_000),
        (column("tinyint"), True, 1),
        (column("double"), Decimal("30000.12345678901200"), 30000.123456789012),
        (JSON, '{"a": [1, 2.5, null]}', {"a": [1, 2.5, None]}),
        (JSON, {"a": np.arange(2)}, {"a": [0, 1]}),
        (JSON, "{'a': 1}", "{'a': 1}"),
        (JSON, '{"a": NaN}', '{"a": NaN}'),
        (column("varchar", length=3), "abc", "abc"),
        (column("enum", choices=("M", "F")), "M", "M"),
    ],
)
def test_what_fits(ours: Column, old: Any, found: Any) -> None:
    value, _ = there_and_back(ours, old)
    assert (type(value), value) == (type(found), found)


@pytest.mark.parametrize(
    ("ours", "old"),
    [
        (column("bigint"), 10.5),
        (column("bigint"), float("nan")),
        (column("tinyint"), 128),
        (column("bigint", unsigned=True), -1),
        (column("bigint"), "ten"),
        (column("varchar", length=3), "abcd"),
        (column("enum", choices=("M", "F")), "x"),
        (column("datetime"), "0000-00-00 00:00:00"),
        (column("date"), "0000-00-00"),
        (column("double", nullable=False), None),
        (ARRAY, {"a": 1}),
        (ARRAY, "text"),
        (ARRAY, [[1, 2], [3]]),
        (ARRAY, np.array(["a", None], object)),
        (ARRAY, np.array([complex(0, float("inf"))])),
        (TRAIN, np.array([1.5])),
        (TRAIN, np.array([2, 1])),
        (TRAIN, np.array([2**63], "uint64")),
        (TRAIN, np.zeros((2, 2), int)),
        (JSON, {"a": float("inf")}),
    ],
)
def test_what_does_not_fit_is_refused(ours: Column, old: Any) -> None:
    with pytest.raises(Misfit):
        fit(ours, old, lambda word: None)


@pytest.mark.parametrize("damage", [b"", b"text", b"mYm\0", blob.pack(np.arange(9))[:-5]])
def test_damaged_blobs_are_refused(damage: bytes) -> None:
    with pytest.raises(Misfit):
        decode_old(OLD_BLOB, damage)
    packed = blob.pack(np.arange(9999))
    with pytest.raises(Misfit):
        decode_old(OLD_BLOB, packed[:-5])


def test_like_values_are_told_apart() -> None:
    assert not same(np.arange(2), np.arange(2.0))
    assert not same(np.zeros(2), np.zeros((1, 2)))
    assert not same(1, 1.0)
    assert not same({"a": 1}, {"a": 1, "b": 2})
    assert same(np.array([np.nan]), np.array([np.nan]))
    assert same(float("nan"), float("nan"))
