"""Lists of S3 servers say the same of an object as the object's own HEAD."""

from __future__ import annotations

from datetime import UTC, datetime

from labdata.stores.s3.bucket import _head
from labdata.stores.s3.listing import list_objects

STORED = datetime(2026, 3, 1, 10, 20, 30, 123_000, tzinfo=UTC)


class FineClock:
    """A bucket of a server that lists times in milliseconds, as MinIO does; HTTP has seconds."""

    prefix = ""

    def call(self, action, operation, **arguments):
        return {"Contents": [{"Key": "JC1/a.bin", "Size": 7, "LastModified": STORED}]}


def test_an_object_in_a_list_has_the_time_that_its_head_has() -> None:
    """Garbage whose time differs counts as changed meanwhile, and would never be removed."""
    (listed,) = list_objects(FineClock(), "")
    head = {"ContentLength": 7, "LastModified": STORED.replace(microsecond=0), "Metadata": {}}
    assert listed == _head(head).info("JC1/a.bin")
