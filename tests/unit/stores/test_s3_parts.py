"""Parts and ETags, against boto3's rule spelled out with hashlib, and against published values."""

import hashlib
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labdata.errors import IntegrityError, StoreError
from labdata.stores import S3Settings
from labdata.stores.s3.parts import (
    MEMORY_BYTES,
    PartHasher,
    choose_part_bytes,
    count_workers,
    hash_parts,
)

MIB = 1024 * 1024
SETTINGS = S3Settings(bucket="lab", workers=8)


def etag_by_hand(content, part_bytes):
    if part_bytes is None:
        return hashlib.md5(content).hexdigest()
    parts = [content[at : at + part_bytes] for at in range(0, len(content), part_bytes)]
    md5s = b"".join(hashlib.md5(part).digest() for part in parts)
    return f"{hashlib.md5(md5s).hexdigest()}-{len(parts)}"


@given(
    content=st.binary(max_size=200),
    part_bytes=st.one_of(st.none(), st.integers(1, 70)),
    cuts=st.lists(st.integers(0, 200), max_size=6),
)
def test_an_etag_does_not_depend_on_how_the_bytes_come(content, part_bytes, cuts):
    hasher = PartHasher(part_bytes)
    edges = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    for start, end in itertools.pairwise(edges):
        hasher.update(memoryview(content)[start:end])
    found = hasher.finish()
    assert found.etag == etag_by_hand(content, part_bytes)
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert found.size_bytes == len(content)


def test_a_file_is_hashed_as_its_bytes_are(tmp_path):
    content = random.Random(0).randbytes(9 * MIB + 5)
    (tmp_path / "file").write_bytes(content)
    steps = []
    found = hash_parts(tmp_path / "file", part_bytes=5 * MIB, progress=steps.append)
    assert found.etag == etag_by_hand(content, 5 * MIB)
    assert found.etag.endswith("-2")
    assert sum(steps) == len(content)


def test_a_file_that_changes_while_it_is_hashed_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(5 * MIB))

    def append(count):
        with path.open("ab") as writer:
            writer.write(b"x")

    with pytest.raises(IntegrityError, match="changed"):
        hash_parts(path, part_bytes=None, progress=append)


@pytest.mark.parametrize("size", [0, 1, 10**9, 10**11, 1024**4, 2 * 10**12])
def test_10000_parts_are_enough_and_memory_is_bounded_for_any_size(size):
    part_bytes = choose_part_bytes(size, SETTINGS)
    assert -(-size // part_bytes) <= 10_000
    assert part_bytes >= SETTINGS.part_bytes
    workers = count_workers(part_bytes, SETTINGS)
    assert 1 <= workers <= SETTINGS.workers
    assert workers * part_bytes <= MEMORY_BYTES < 300e6


def test_parts_that_would_not_fit_into_memory_are_refused():
    with pytest.raises(StoreError, match=r"TB") as caught:
        choose_part_bytes(3 * 10**12, SETTINGS)
    assert "Split" in caught.value.hint
