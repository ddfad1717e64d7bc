"""A folder keeps the promises of a store, with and without hard links and inside a folder."""

import errno
import os

import pytest
from store_contract import StoreContract

from labdata.stores import LocalStore, Store


class TestLocalStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        root = tmp_path / "store root"
        root.mkdir()
        return LocalStore(root)

    @pytest.fixture
    def tamper(self, store):
        def write(object_path, content):
            (store.root / store.folder / object_path).write_bytes(content)

        return write


class _Fetching(LocalStore):
    """A store that cannot copy in place: what the base class does for all kinds."""

    copy = Store.copy


class TestStoreThatFetchesToCopy(TestLocalStore):
    @pytest.fixture
    def store(self, tmp_path):
        root = tmp_path / "store root"
        root.mkdir()
        return _Fetching(root)


class TestLocalStoreInAFolder(TestLocalStore):
    @pytest.fixture
    def store(self, tmp_path):
        root = tmp_path / "store root"
        (root / "lab" / "raw").mkdir(parents=True)
        return LocalStore(root, "lab/raw")


class TestLocalStoreWithoutHardLinks(TestLocalStore):
    """As on FAT, exFAT and some network mounts."""

    @pytest.fixture(autouse=True)
    def no_links(self, monkeypatch):
        def refuse(source, destination):
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

        monkeypatch.setattr(os, "link", refuse)
