"""Arrays in the database: exact, whatever their type and shape, never made of damaged bytes."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from labdata.database.codecs import (
    HEAD_BYTES,
    ArrayCodec,
    SpikeTrainCodec,
    count_values,
    decode_array,
    encode_array,
    read_steps,
)
from labdata.errors import FormatError

DTYPES = st.one_of(
    npst.boolean_dtypes(),
    npst.integer_dtypes(endianness="?"),
    npst.unsigned_integer_dtypes(endianness="?"),
    npst.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    npst.complex_number_dtypes(endianness="?", sizes=(64, 128)),
)
ARRAYS = npst.arrays(DTYPES, npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))


@given(ARRAYS)
def test_arrays_come_back_bit_for_bit(array: np.ndarray) -> None:
    back = decode_array(encode_array(array))
    assert back.shape == array.shape
    assert back.dtype == array.dtype.newbyteorder("<")
    assert back.tobytes() == array.astype(back.dtype).tobytes()
    assert back.flags.writeable


@given(ARRAYS.filter(lambda a: a.ndim == 2))
def test_transposed_and_sliced_arrays(array: np.ndarray) -> None:
    for view in (array.T, array[::-1, ::2]):
        np.testing.assert_array_equal(decode_array(encode_array(view)), view)


TRAINS = st.lists(st.integers(-(2**62), 2**62), max_size=50).map(sorted)


@given(TRAINS)
def test_spike_trains_come_back(samples: list[int]) -> None:
    back = ArrayCodec().decode(SpikeTrainCodec().encode(np.array(samples, dtype="int64")))
    assert back.dtype == np.int64
    assert back.tolist() == samples


@pytest.mark.parametrize("kind", ["int32", "uint32", "int64", "uint64", "uint8"])
def test_spike_trains_of_other_integers(kind: str) -> None:
    samples = np.array([0, 0, 7, 120], dtype=kind)
    back = decode_array(SpikeTrainCodec().encode(samples))
    assert (back.dtype, back.tolist()) == (np.int64, [0, 0, 7, 120])


def test_a_train_without_spikes() -> None:
    for empty in ([], np.array([]), np.zeros(0, "uint64")):
        back = decode_array(SpikeTrainCodec().encode(empty))
        assert (back.dtype, back.shape) == (np.int64, (0,))


@pytest.mark.parametrize(
    "value,words",
    [
        (np.array([0.5, 1.0]), "float64"),
        (np.zeros((2, 2), int), r"\(2, 2\)"),
        (np.array([3, 2]), "not in order"),
        (np.array([0, 2**63], dtype="uint64"), "beyond the range"),
        (np.array([2**63], dtype="uint64"), "beyond the range"),
        (["a", "b"], "<U1"),
    ],
)
def test_what_is_no_spike_train(value: object, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        SpikeTrainCodec().encode(value)


@pytest.mark.parametrize(
    "value",
    [["a"], [None, 1.0], [[1, 2], [3]], {"a": 1}, np.array(["2020"], "datetime64[Y]")],
    ids=["text", "missing", "ragged", "dict", "dates"],
)
def test_what_is_no_array_of_numbers(value: object) -> None:
    with pytest.raises(FormatError) as caught:
        encode_array(value)
    assert caught.value.hint


@settings(max_examples=300)
@given(ARRAYS, st.data())
def test_bytes_cut_off_or_appended_are_refused(array: np.ndarray, data: st.DataObject) -> None:
    whole = encode_array(array)
    cut = data.draw(st.integers(0, len(whole) - 1))
    for damaged in (whole[:cut], whole + b"\0"):
        with pytest.raises(FormatError):
            decode_array(damaged)


@settings(max_examples=500)
@given(ARRAYS, st.data())
def test_a_changed_byte_is_refused_or_changes_numbers_only(
    array: np.ndarray, data: st.DataObject
) -> None:
    damaged = bytearray(encode_array(array))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        back = decode_array(bytes(damaged))
    except FormatError:
        return
    assert back.dtype.kind in "biufc"
    assert back.nbytes <= 1 << 30


@given(st.binary(max_size=60))
def test_other_bytes_are_refused(data: bytes) -> None:
    for damaged in (data, b"LDA1" + data, b"LDA1\x00\x03<f8" + data):
        try:
            decode_array(damaged)
        except FormatError:
            continue
        assert decode_array(damaged).size == 0


TRAINS = st.lists(st.integers(0, 2**33), max_size=50).map(lambda gaps: np.cumsum(gaps, dtype="i8"))


@given(st.lists(TRAINS, max_size=6))
def test_the_beginnings_of_trains_tell_their_lengths(trains: list[np.ndarray]) -> None:
    """Alike or not: of long trains, of some without spikes, of arrays of another kind."""
    heads = [SpikeTrainCodec().encode(train)[:HEAD_BYTES] for train in trains]
    counts = [len(train) for train in trains]
    assert count_values(heads).tolist() == counts
    others = [encode_array(np.zeros((3, 4)))[:HEAD_BYTES], encode_array(np.arange(7.0))]
    assert count_values([*heads, *others]).tolist() == [*counts, 12, 7]
    assert count_values([*others, *heads]).tolist() == [12, 7, *counts]


@pytest.mark.parametrize("place", [0, 4, 5, 7, 9, 17])
def test_a_damaged_beginning_is_no_length(place: int) -> None:
    """Of the magic, the kind, the type and the number of values, in one of many."""
    heads = [SpikeTrainCodec().encode(np.arange(n))[:HEAD_BYTES] for n in range(900, 910)]
    damaged = bytearray(heads[6])
    damaged[place] ^= 0x80
    with pytest.raises(FormatError):
        count_values([*heads[:6], bytes(damaged), *heads[7:]])
    with pytest.raises(FormatError):
        count_values([bytes(damaged), *heads])


@given(TRAINS)
def test_a_train_is_the_same_however_its_differences_are_kept(train: np.ndarray) -> None:
    data = SpikeTrainCodec().encode(train)
    assert count_values([data]).tolist() == [len(train)]
    out = np.full(len(train), -1)
    assert decode_array(data, out=out) is out
    np.testing.assert_array_equal(out, train)
    np.testing.assert_array_equal(decode_array(data), train)
    whole = encode_array(train, differences=True)
    np.testing.assert_array_equal(decode_array(whole), train)


def test_a_train_is_not_decoded_into_another_shape() -> None:
    data = SpikeTrainCodec().encode([1, 2, 3])
    for out in (np.zeros(2, "int64"), np.zeros(3, "int32")):
        with pytest.raises(FormatError, match="not what is expected"):
            decode_array(data, out=out)


@pytest.mark.parametrize(("mode", "dtype"), [(1, "<i8"), (2, "<u4")])
def test_trains_written_before_are_read(mode: int, dtype: str) -> None:
    """As 0.2's first databases hold them: differences of 8 bytes, then of 4."""
    from numcodecs import blosc

    train = np.array([7, 7, 90, 3_000_000_000])
    steps = np.diff(train, prepend=0).astype(dtype)
    data = header(mode, b"<i8", (4,)) + bytes(blosc.compress(steps, b"zstd", 5, blosc.BITSHUFFLE))
    np.testing.assert_array_equal(decode_array(data), train)
    assert read_steps(data) is None
    assert count_values([data]).tolist() == [4]


@pytest.mark.usefixtures("loops_either_way")
@pytest.mark.parametrize("most", [1, 255, 256, 65_535, 1 << 24, (1 << 32) - 1])
@pytest.mark.parametrize("n", [1, 2, 3000])
def test_planes_are_the_bytes_of_the_steps(most: int, n: int) -> None:
    rng = np.random.default_rng(most)
    steps = rng.integers(0, most, n, endpoint=True)
    steps[-1] = most
    train = np.cumsum(steps)
    data = SpikeTrainCodec().encode(train)
    planes = read_steps(data)
    assert planes is not None and len(planes) == len(f"{most:x}") // 2 + len(f"{most:x}") % 2
    whole = sum(plane.astype(object) * 256**k for k, plane in enumerate(planes))
    assert whole.tolist() == steps.tolist()  # type: ignore[union-attr]
    np.testing.assert_array_equal(decode_array(data), train)


def test_damaged_planes_are_refused() -> None:
    rng = np.random.default_rng(3)
    data = SpikeTrainCodec().encode(np.cumsum(rng.geometric(1 / 2700, 2000)))
    start = len(header(3, b"<i8", (2000,))) + 1
    assert data[start - 1] == 2  # planes
    assert data[start : start + 4] == struct.pack("<I", 2000)  # the lowest bytes are noise
    (second,) = struct.unpack_from("<I", data, start + 2004)
    assert start + 2008 + second == len(data)
    plane = struct.pack("<I", 2000) + bytes(2000)
    for damaged in (
        data[:-1],
        data + b"\0",
        data[: start + 2004],  # a plane is missing
        data + plane,
        header(3, b"<i8", (2001,)) + data[start - 1 :],
        header(3, b"<i8", (2000,)) + b"\5" + plane * 5,
        header(3, b"<i8", (2000,)) + b"\0",
        header(3, b"<i8", (2000,)) + b"\2" + struct.pack("<I", 1 << 31) + data[start + 4 :],
    ):
        for read in (decode_array, read_steps):
            with pytest.raises(FormatError, match="no array"):
                read(damaged)


def test_a_large_train_is_small() -> None:
    """Spikes of a steady unit, and the bound that is promised: 1.8 bytes a spike."""
    rng = np.random.default_rng(4)
    train = np.sort(rng.integers(0, 3600 * 30_000, 40_000))
    assert len(SpikeTrainCodec().encode(train)) / len(train) < 1.65


def header(mode: int, dtype: bytes, shape: tuple[int, ...]) -> bytes:
    start = b"LDA1" + bytes([mode, len(dtype)]) + dtype + bytes([len(shape)])
    return start + struct.pack(f"<{len(shape)}q", *shape)


def test_the_layout_is_as_stated() -> None:
    data = encode_array(np.arange(6, dtype=">i4").reshape(2, 3))
    assert data.startswith(header(0, b"<i4", (2, 3)))
    assert encode_array(np.zeros((0, 4), "float32")) == header(0, b"<f4", (0, 4))
    short = b"\1" + struct.pack("<I", 2) + b"\1\1"
    assert SpikeTrainCodec().encode([1, 2]) == header(3, b"<i8", (2,)) + short
    assert SpikeTrainCodec().encode([1, 2 + 2**32]).startswith(header(1, b"<i8", (2,)))


@pytest.mark.parametrize(
    "start",
    [
        header(0, b"|O", (6,)),
        header(0, b"<i4", (7,)),
        header(0, b"<i4", (5,)),
        header(0, b"<i4", (-6,)),
        header(0, b"<i4", (1 << 40, 1 << 40)),
        header(0, b"<i8", (6,)),
        header(1, b"<f4", (6,)),
        header(2, b"<i4", (6,)),
        header(3, b"<i4", (6,)),
        header(3, b"<i8", (6,)),
        header(4, b"<i4", (6,)),
        header(0, b"nonsense", (6,)),
    ],
    ids=[
        "objects",
        "more",
        "fewer",
        "negative",
        "huge",
        "wider",
        "differences",
        "short",
        "planes of another type",
        "no planes",
        "mode",
        "type",
    ],
)
def test_a_header_that_does_not_fit_its_data_is_refused(start: bytes) -> None:
    whole = encode_array(np.arange(6, dtype="<i4"))
    block = whole[len(header(0, b"<i4", (6,))) :]
    assert decode_array(header(0, b"<i4", (6,)) + block).tolist() == list(range(6))
    with pytest.raises(FormatError) as caught:
        decode_array(start + block)
    assert "damaged" in (caught.value.hint or "")
