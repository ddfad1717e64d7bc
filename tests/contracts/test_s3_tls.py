"""A bucket behind TLS with the certificates of a lab's own authority, named in path or host."""

from __future__ import annotations

import itertools
import socket

import pytest
import trustme
from seaweed import ACCESS_KEY, SECRET_KEY, run_seaweed
from store_contract import StoreContract

from labdata.errors import MissingObjectError, StoreError
from labdata.stores import S3Settings, S3Store
from labdata.stores.s3.settings import MIN_PART_BYTES

_numbers = itertools.count()
HOST = "s3.lab.test"
pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority, tmp_path_factory):
    path = tmp_path_factory.mktemp("ca") / "lab.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture(scope="module")
def server(authority, tmp_path_factory):
    """A server with a certificate for its name and for those of its buckets."""
    folder = tmp_path_factory.mktemp("tls")
    issued = authority.issue_cert(HOST, f"*.{HOST}")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    options = [f"-s3.cert.file={folder / 'cert.pem'}", f"-s3.key.file={folder / 'key.pem'}"]
    with run_seaweed(folder / "server", *options, f"-s3.domainName={HOST}") as running:
        running.make_bucket("tests")
        yield running


@pytest.fixture(autouse=True)
def lab_names(monkeypatch):
    """The lab's name server: all names of the server are this computer; it notes who was asked."""
    asked, real = [], socket.getaddrinfo

    def look_up(host, *rest, **options):
        if str(host).endswith(HOST):
            asked.append(str(host))
            host = "127.0.0.1"
        return real(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def store_at(server, folder, **changes):
    given = {
        "bucket": "tests",
        "endpoint": f"{HOST}:{server.port}",
        "folder": folder,
        "access_key": ACCESS_KEY,
        "secret_key": SECRET_KEY,
        "part_bytes": MIN_PART_BYTES,
        "workers": 2,
    }
    return S3Store(S3Settings(**{**given, **changes}))


@pytest.mark.parametrize("addressing", ["path", "virtual"])
def test_a_file_there_and_back(server, ca_file, tmp_path, addressing, lab_names):
    store = store_at(server, addressing, ca_file=ca_file, addressing=addressing)
    content = bytes(range(256)) * 30_000  # two parts
    (tmp_path / "file").write_bytes(content)
    assert store.put(tmp_path / "file", "a/b").size_bytes == len(content)
    store.get("a/b", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content
    assert [found.path for found in store.list()] == ["a/b"]
    assert all(step.ok for step in store.check_access().steps)
    with pytest.raises(MissingObjectError):
        store.stat("none")
    named = {"path": HOST, "virtual": f"tests.{HOST}"}[addressing]
    assert set(lab_names) == {named}
    assert store.describe() == f"bucket tests/{addressing} at https://{HOST}:{server.port}"


class TestS3StoreBehindTls(StoreContract):
    @pytest.fixture
    def store(self, server, ca_file):
        return store_at(server, f"contract/{next(_numbers)}", ca_file=ca_file)

    @pytest.fixture
    def tamper(self, server, store):
        return server.tamper_with(store)


def test_a_certificate_of_an_unknown_authority_is_refused(server):
    with pytest.raises(StoreError, match="certificate") as caught:
        store_at(server, "none", attempts=1).exists("a")
    assert "ca_file" in caught.value.hint


def test_a_certificate_of_another_server_is_refused(server, ca_file):
    endpoint = f"https://localhost:{server.port}"
    with pytest.raises(StoreError, match="certificate"):
        store_at(server, "none", endpoint=endpoint, ca_file=ca_file, attempts=1).exists("a")


def test_unchecked_only_if_it_is_said(server):
    assert not store_at(server, "none", verify_tls=False).exists("a")


def test_plain_words_to_a_server_of_tls_are_an_error(server):
    with pytest.raises(StoreError) as caught:
        store_at(server, "none", use_tls=False, attempts=1).exists("a")
    assert not isinstance(caught.value, MissingObjectError)
    assert caught.value.hint
