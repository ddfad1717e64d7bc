"""Endpoints as people write them; values that cannot be used are refused at once."""

import pickle

import pytest

from labdata.errors import MissingPackageError, StoreError
from labdata.stores import S3Settings, S3Store, endpoint_note
from labdata.stores.s3.settings import MAX_PART_BYTES, endpoint_url


@pytest.mark.parametrize(
    "endpoint,use_tls,url",
    [
        ("s3.amazonaws.com", True, None),
        ("s3.amazonaws.com:9000", True, None),
        ("https://s3.amazonaws.com/", True, None),
        ("s3.eu-west-1.amazonaws.com", True, "https://s3.eu-west-1.amazonaws.com"),
        ("s3.eu-west-1.amazonaws.com:9000", True, "https://s3.eu-west-1.amazonaws.com"),
        ("http://s3.eu-west-1.amazonaws.com", False, "https://s3.eu-west-1.amazonaws.com"),
        ("notamazonaws.com:9000", True, "https://notamazonaws.com:9000"),
        ("server:9000", True, "https://server:9000"),
        ("server:9000", False, "http://server:9000"),
        ("http://server:9000", True, "http://server:9000"),
        ("https://server", False, "https://server"),
        (" server ", True, "https://server"),
        ("127.0.0.1:8333", False, "http://127.0.0.1:8333"),
        ("http://[::1]:8333", True, "http://[::1]:8333"),
    ],
)
def test_an_endpoint_is_taken_as_people_write_it(endpoint, use_tls, url):
    assert endpoint_url(endpoint, use_tls=use_tls) == url


@pytest.mark.parametrize(
    ("endpoint", "given", "region"),
    [
        ("s3.amazonaws.com", None, None),
        ("s3.eu-west-1.amazonaws.com", None, "eu-west-1"),
        ("s3-us-west-2.amazonaws.com:9000", None, "us-west-2"),
        ("s3.dualstack.ap-south-1.amazonaws.com", None, "ap-south-1"),
        ("s3.eu-west-1.amazonaws.com", "eu-west-3", "eu-west-3"),
        ("server:9000", None, None),
    ],
)
def test_the_name_of_a_server_tells_the_region(endpoint, given, region):
    settings = S3Settings(bucket="lab", endpoint=endpoint, region=given)
    assert settings.region_name == region
    assert settings.is_aws == ("amazonaws" in endpoint)


@pytest.mark.parametrize(
    "endpoint",
    ["", "http://", "ftp://server", "server:port", "server/bucket", "a b", "http://server?x=1"],
)
def test_what_is_no_endpoint_is_refused(endpoint):
    with pytest.raises(StoreError, match="endpoint") as caught:
        S3Settings(bucket="lab", endpoint=endpoint)
    assert caught.value.hint


def test_a_login_in_an_endpoint_is_refused_and_not_shown():
    with pytest.raises(StoreError, match="endpoint") as caught:
        endpoint_url("https://key:s3cret-word@server")
    assert "s3cret" not in str(caught.value)


def test_a_port_behind_aws_is_passed_over_and_said():
    assert "9000" in endpoint_note("s3.amazonaws.com:9000")
    assert "TLS" in endpoint_note("http://s3.amazonaws.com")
    assert "9000" in endpoint_note("s3.eu-west-1.amazonaws.com:9000")
    for plain in ("s3.amazonaws.com", "https://s3.amazonaws.com", "server:9000"):
        assert endpoint_note(plain) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"bucket": ""},
        {"bucket": "lab/raw"},
        {"folder": "../x"},
        {"folder": "/raw"},
        {"access_key": "key"},
        {"secret_key": "secret-word"},
        {"part_bytes": 1},
        {"part_bytes": MAX_PART_BYTES + 1},
        {"workers": 0},
    ],
)
def test_values_that_cannot_be_used(changes):
    with pytest.raises(StoreError) as caught:
        S3Settings(**{"bucket": "lab", **changes})
    assert caught.value.hint
    assert "secret-word" not in str(caught.value)


def test_secrets_are_not_shown_and_a_store_travels_to_other_processes():
    settings = S3Settings(bucket="lab", folder="raw", access_key="AK1", secret_key="secret-word")
    store = S3Store(settings)
    for text in (repr(settings), repr(store), store.describe()):
        assert "secret-word" not in text
        assert "AK1" not in text
    assert store.describe() == "bucket lab/raw at s3.amazonaws.com"
    assert pickle.loads(pickle.dumps(store)).settings == settings


def test_without_boto3_the_command_that_installs_it_is_said(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "boto3", None)
    with pytest.raises(MissingPackageError, match="boto3") as caught:
        S3Store(S3Settings(bucket="no-boto3")).exists("a/b")
    assert caught.value.hint == "pip install 'labdata-jupyter[s3]'"


def test_fault_38_the_endpoint_is_the_one_in_the_preferences(monkeypatch):
    """Not one of the environment: data go where labdata says that they go."""
    boto3 = pytest.importorskip("boto3")
    assert boto3
    from labdata.stores.s3.client import connect

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://elsewhere:1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://elsewhere:2")
    keys = {"access_key": "a", "secret_key": "b"}
    lab = connect(S3Settings(bucket="lab-38", endpoint="http://server:9000", **keys))
    assert lab.meta.endpoint_url == "http://server:9000"
    aws = connect(S3Settings(bucket="lab-38", region="eu-west-1", **keys))
    assert "amazonaws.com" in aws.meta.endpoint_url
    assert lab.meta.config.signature_version == "s3v4"
    assert lab.meta.config.s3["addressing_style"] == "path"


def test_one_client_for_all_folders_of_a_bucket():
    pytest.importorskip("boto3")
    from labdata.stores.s3.client import connect

    keys = {"access_key": "a", "secret_key": "b", "endpoint": "http://server:9000"}
    first, second = (
        connect(S3Settings(bucket="lab", folder=folder, **keys)) for folder in ("a", "b")
    )
    assert first is second


def test_an_unknown_profile_is_said():
    pytest.importorskip("boto3")
    with pytest.raises(StoreError, match="profile does not exist"):
        S3Store(S3Settings(bucket="lab", profile="no-such-profile-here")).exists("a/b")
