"""``labdata verify`` where a store is a bucket: faults are found, and mended from copies."""

from __future__ import annotations

import json
import shutil

import pytest
from seaweed import ACCESS_KEY, SECRET_KEY

PLACE = "JC1/20240305_100000/task"
FILES = {f"{n}.bin": bytes([n]) * (1000 + n) for n in range(5)}


@pytest.fixture
def bucket(lab_rig, seaweed, request):
    """Five files in a bucket; a client that knows nothing of labdata; their keys."""
    folder = f"verify/{request.node.name}"
    keys = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY}
    place = {"protocol": "s3", "endpoint": seaweed.endpoint, "bucket": "tests", "folder": folder}
    lab_rig.prefer(storage={"data": place | keys})
    lab_rig.upload(lab_rig.put(lab_rig.folder(PLACE, FILES)))
    return Outside(seaweed.client(), f"{folder}/{PLACE}/")


class Outside:
    def __init__(self, client, prefix):
        self.client, self.prefix = client, prefix

    def write(self, name, content):
        self.client.put_object(Bucket="tests", Key=self.prefix + name, Body=content)

    def remove(self, name):
        self.client.delete_object(Bucket="tests", Key=self.prefix + name)

    def content(self):
        found = self.client.list_objects_v2(Bucket="tests", Prefix=self.prefix).get("Contents", [])
        return {
            one["Key"].removeprefix(self.prefix): self.client.get_object(
                Bucket="tests", Key=one["Key"]
            )["Body"].read()
            for one in found
        }


def harm(bucket):
    bucket.remove("1.bin")
    bucket.write("2.bin", b"x" * len(FILES["2.bin"]))
    bucket.write("3.bin", b"short")


def verify(typed, *words, code=1):
    return json.loads(typed("verify", "--everything", "--json", *words, code=code).out)


def test_all_is_found_and_put_back(lab_rig, bucket, typed):
    assert verify(typed, code=0)["ok"]
    harm(bucket)
    found = {row["file_path"][-5:]: row for row in verify(typed)["findings"]}
    assert {name: row["kind"] for name, row in found.items()} == {
        "1.bin": "missing",
        "2.bin": "content",
        "3.bin": "size",
    }
    assert all(str(lab_rig.rig / PLACE / name) in row["copies"] for name, row in found.items())
    verify(typed, "--repair", "--apply", code=0)
    after = bucket.content()
    damaged = {name: content for name, content in after.items() if "damaged" in name}
    assert sorted(damaged.values()) == sorted([b"x" * len(FILES["2.bin"]), b"short"])
    assert {name: after[name] for name in after.keys() - damaged.keys()} == FILES
    again = verify(typed, code=0)
    assert again["ok"] and again["orphans"]["n_objects"] == 2


def test_without_a_copy_it_stays_as_it_is_and_is_said(lab_rig, bucket, typed):
    for root in (lab_rig.rig, lab_rig.server):
        shutil.rmtree(root / "JC1")
    harm(bucket)
    before = bucket.content()
    said = verify(typed, "--repair", "--apply")
    assert {one["state"] for one in said["repairs"]} == {"no copy"}
    assert bucket.content() == before


def test_a_bucket_with_nothing_in_it_is_not_a_thousand_losses(bucket, typed):
    for name in FILES:
        bucket.remove(name)
    (finding,) = verify(typed)["findings"]
    assert (finding["kind"], finding["recorded"]) == ("unreadable", len(FILES))
    assert "nothing in it" in finding["found"]
