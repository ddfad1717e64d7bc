"""A bucket of a real server keeps a store's promises, also where the server helps less."""

import pytest
from s3_proxy import ignore_conditions, refuse_batches
from store_contract import StoreContract

from labdata.stores import S3Store
from labdata.stores.s3.probe import forget_probes
from labdata.stores.s3.settings import MIN_PART_BYTES


class TestS3Store(StoreContract):
    """Small files in one request, the large one of the contract in two parts."""

    @pytest.fixture
    def store(self, seaweed, s3_settings):
        return S3Store(s3_settings(seaweed.endpoint, part_bytes=MIN_PART_BYTES, workers=2))

    @pytest.fixture
    def tamper(self, seaweed, store):
        return seaweed.tamper_with(store)


class TestS3StoreWithoutConditions(TestS3Store):
    """On a server that overwrites though it was asked not to, and deletes one by one."""

    @pytest.fixture
    def store(self, proxy, s3_settings):
        proxy.before += [refuse_batches, ignore_conditions]
        forget_probes()
        yield S3Store(s3_settings(proxy.endpoint, part_bytes=MIN_PART_BYTES, workers=2))
        forget_probes()
