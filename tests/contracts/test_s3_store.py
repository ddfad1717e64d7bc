"""A bucket of a real S3 server keeps the promises of a store, with and without a folder."""

import contextlib
import itertools

import pytest
from seaweed import ACCESS_KEY, SECRET_KEY
from store_contract import StoreContract

from labdata.stores import S3Settings, S3Store

_numbers = itertools.count(1)


@contextlib.contextmanager
def new_bucket(seaweed, **more):
    """Settings of an empty bucket, which is removed afterwards: each takes some of the server.

    An emptied one would not do: the server keeps folders for a while, and their names are taken.
    """
    client, bucket = seaweed.client(), f"labtest-{next(_numbers)}"
    client.create_bucket(Bucket=bucket)
    keys = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY, "addressing": "path"}
    yield S3Settings(bucket=bucket, endpoint=seaweed.endpoint, **{**keys, **more})
    for one in client.list_multipart_uploads(Bucket=bucket).get("Uploads", ()):
        client.abort_multipart_upload(Bucket=bucket, Key=one["Key"], UploadId=one["UploadId"])
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for one in page.get("Contents", ()):
            client.delete_object(Bucket=bucket, Key=one["Key"])
    client.delete_bucket(Bucket=bucket)


class TestS3Store(StoreContract):
    folder = ""

    @pytest.fixture
    def store(self, seaweed):
        with new_bucket(seaweed) as settings:
            yield S3Store(settings, self.folder)

    @pytest.fixture
    def tamper(self, store, seaweed):
        def write(object_path, content):
            client, bucket = seaweed.client(), store.settings.bucket
            key = store._key(object_path)
            metadata = client.head_object(Bucket=bucket, Key=key)["Metadata"]
            client.put_object(Bucket=bucket, Key=key, Body=content, Metadata=metadata)

        return write


class TestS3StoreInAFolder(TestS3Store):
    folder = "lab/raw"
