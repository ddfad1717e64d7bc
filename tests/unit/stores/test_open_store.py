"""From the preference file to a store in a bucket."""

import json

import pytest

from labdata.errors import PreferenceError
from labdata.preferences import load_preferences
from labdata.schema.files import open_store
from labdata.stores import S3Store

BUCKET = {"protocol": "s3", "bucket": "lab-data"}
KEYS = {"access_key": "AK1", "secret_key": "secret-word"}


@pytest.fixture
def write(tmp_path, monkeypatch):
    for name in ("ACCESS_KEY", "SECRET_KEY"):
        monkeypatch.delenv(f"LABDATA_STORAGE_DATA_{name}", raising=False)
    monkeypatch.setattr("labdata.preferences.secrets.find_secret", lambda name: None)

    def write(**settings):
        path = tmp_path / "preferences.json"
        path.write_text(json.dumps({"storage": {"data": {**BUCKET, **settings}}}))
        return load_preferences(path)

    return write


def test_all_settings_arrive(write, tmp_path):
    (tmp_path / "ca.pem").write_text("certificate")
    settings = {
        "endpoint": "server:9000",
        "folder": "raw/",
        "region": "eu-west-1",
        "addressing": "virtual",
        "use_tls": False,
        "verify_tls": False,
        "ca_file": str(tmp_path / "ca.pem"),
        "conditional_writes": "no",
        "profile": "lab",
        **KEYS,
    }
    store = open_store("data", write(**settings))
    assert isinstance(store, S3Store)
    found = store.settings
    assert (found.bucket, found.url, found.folder) == ("lab-data", "http://server:9000", "raw")
    assert (found.region, found.addressing, found.verify_tls) == ("eu-west-1", "virtual", False)
    assert (found.ca_file, found.profile) == (str(tmp_path / "ca.pem"), "lab")
    assert (found.access_key, found.secret_key) == ("AK1", "secret-word")
    assert found.conditional_writes == "no"


def test_keys_may_be_left_to_the_aws_settings_or_come_from_the_environment(write, monkeypatch):
    assert open_store("data", write()).settings.access_key is None
    monkeypatch.setenv("LABDATA_STORAGE_DATA_ACCESS_KEY", "AK2")
    monkeypatch.setenv("LABDATA_STORAGE_DATA_SECRET_KEY", "other")
    assert open_store("data", write(**KEYS)).settings.access_key == "AK2"


def test_keys_may_come_from_the_keyring(write, monkeypatch):
    monkeypatch.setattr("labdata.preferences.secrets.find_secret", lambda name: f"<{name}>")
    found = open_store("data", write()).settings
    assert found.secret_key == "<storage.data.secret_key>"


@pytest.mark.parametrize(
    "settings,said",
    [
        ({"bucket": None}, "has no bucket"),
        ({"bucket": ""}, "has no bucket"),
        ({"endpoint": "ftp://server"}, "endpoint"),
        ({"folder": "../up"}, "folder|path"),
        ({"access_key": "AK1"}, "two keys"),
        ({"ca_file": "/no/such/file.pem"}, "ca_file"),
    ],
)
def test_what_is_not_enough_is_said_with_what_to_do(write, settings, said):
    with pytest.raises(PreferenceError, match=said) as caught:
        open_store("data", write(**settings))
    assert caught.value.hint


@pytest.mark.parametrize(
    "settings,said",
    [
        ({"addressing": "both"}, "storage.data.addressing"),
        ({"conditional_writes": "perhaps"}, "storage.data.conditional_writes"),
        ({"bucket": "a/b"}, "storage.data.bucket"),
        ({"use_tls": "perhaps"}, "storage.data.use_tls"),
        ({"buckte": "lab"}, "bucket"),
    ],
)
def test_a_wrong_value_in_the_file_is_named(write, settings, said):
    with pytest.raises(PreferenceError) as caught:
        write(**settings)
    assert said in str(caught.value)


def test_settings_are_shown_and_secrets_masked(write):
    shown = {key: value for key, value, _ in write(**KEYS, region="eu-west-1").items()}
    assert shown["storage.data.region"] == "eu-west-1"
    assert shown["storage.data.conditional_writes"] == "auto"
    assert "secret-word" not in str(shown)
    assert shown["storage.data.access_key"] != "AK1"


def test_a_local_store_does_not_show_settings_of_buckets(tmp_path):
    path = tmp_path / "preferences.json"
    path.write_text(json.dumps({"storage": {"data": {"path": "/disk"}}}))
    keys = {key for key, _, _ in load_preferences(path).items() if key.startswith("storage.")}
    assert keys == {"storage.data.protocol", "storage.data.path", "storage.data.folder"}
