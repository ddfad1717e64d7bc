"""Garbage in a bucket: stores that lie in each other share objects, and what is old goes."""

from __future__ import annotations

import pytest
from seaweed import ACCESS_KEY, SECRET_KEY

from labdata.schema.garbage import find_garbage, remove_garbage

PLACE = "JC1/20240305_100000/task"
FILES = {"a.bin": b"abc", "b.bin": b"other"}


@pytest.fixture
def place(seaweed, request, own_lab_only):
    """Settings of a store in a folder of this test's own in the bucket."""

    def make(inner="", endpoint=seaweed.endpoint):
        own = request.node.name.replace("[", "/").rstrip("]")
        folder = "/".join(filter(None, ("garbage", own, inner)))
        keys = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY}
        settings = {"protocol": "s3", "endpoint": endpoint, "bucket": "tests", "folder": folder}
        return settings | keys

    return make


def found(rig):
    return {f"{one.storage}/{one.object_path}" for one in find_garbage(rig.lab).objects}


@pytest.mark.parametrize("recorded_in", ["inner", "outer", "host"])
def test_an_object_of_one_store_is_no_garbage_of_another_in_the_same_bucket(
    lab_rig, seaweed, place, recorded_in
):
    """One has a folder within the other's, or the server by another name."""
    by_name = seaweed.endpoint.replace("127.0.0.1", "localhost")
    stores = {
        "inner": {"data": place("raw"), "analysis": place()},
        "outer": {"data": place(), "analysis": place("JC1")},
        "host": {"data": place(), "analysis": place(endpoint=by_name)},
    }
    lab_rig.prefer(storage=stores[recorded_in])
    lab_rig.upload(lab_rig.put(lab_rig.folder(PLACE, FILES)))
    assert found(lab_rig) == set()


def test_what_is_old_goes(lab_rig, seaweed, place):
    lab_rig.prefer(storage={"data": place()})
    lab_rig.upload(lab_rig.put(lab_rig.folder(PLACE, FILES)))
    key = f"{place()['folder']}/JC1/left.bin"
    seaweed.client().put_object(Bucket="tests", Key=key, Body=b"left")
    assert found(lab_rig) == {"data/JC1/left.bin"}
    base = lab_rig.lab.connection._preferences.name
    table = f"`{base}`.`~labdata_garbage`"
    lab_rig.lab.connection.query(f"UPDATE {table} SET first_seen = first_seen - INTERVAL 15 DAY")
    assert [one.object_path for one in remove_garbage(lab_rig.lab)] == ["JC1/left.bin"]
    assert found(lab_rig) == set()


def test_a_folder_may_be_a_mount_that_shows_the_bucket(lab_rig, place):
    """What is removed there is removed in the bucket: nothing in the folder tells."""
    mount = lab_rig.home / "mount"
    lab_rig.prefer(storage={"data": place(), "shown": {"protocol": "local", "path": str(mount)}})
    lab_rig.upload(lab_rig.put(lab_rig.folder(PLACE, FILES)))
    for name in (*FILES, "left.bin"):
        (mount / PLACE).mkdir(parents=True, exist_ok=True)
        (mount / PLACE / name).write_bytes(FILES.get(name, b"left"))
    assert found(lab_rig) == {f"shown/{PLACE}/left.bin"}
