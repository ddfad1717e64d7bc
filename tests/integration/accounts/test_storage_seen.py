"""What members of a project are told of the stores: of their own files, and of no others."""

from __future__ import annotations

import json

import pytest

from labdata.cli import main

pytestmark = [pytest.mark.database, pytest.mark.server]


def sums(capsys, *line):
    capsys.readouterr()
    assert main(["storage", *line, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_member_sees_the_room_of_the_own_project(accounts, capsys):
    with accounts.used_by("reader", "a_b"):
        for by in ("project", "store", "subject", "age", "type"):
            rows = sums(capsys, "--by", by)
            assert sum(row["raw_files"] for row in rows) == 1
            assert sum(row["result_files"] for row in rows) == 1
        (row,) = sums(capsys, "--by", "project")
        assert row["project"] == "a_b"


def test_the_administrator_sees_that_of_all(accounts, capsys):
    with accounts.used_by("chief"):
        rows = {row["project"]: row["raw_files"] for row in sums(capsys, "--by", "project")}
        assert rows == {"a_b": 1, "axb": 1, "(no project)": 1}


def test_a_member_verifies_the_own_files_and_is_told_of_no_others(accounts, capsys):
    other = accounts.folder / "stores" / "data" / "axb" / "raw.bin"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"x")
    with accounts.used_by("reader", "a_b"):
        capsys.readouterr()
        assert main(["verify", "--store", "data", "--json"]) == 1
        content = json.loads(capsys.readouterr().out)
    (found,) = content["findings"]
    assert (found["file_path"], found["kind"]) == ("a_b/raw.bin", "missing")
    assert "axb" not in json.dumps(content)
    # the objects of others are not taken for orphans, nor counted
    assert content["orphans"]["n_objects"] == 0
    assert "takes the lab's administrator" in content["orphans"]["unknown"]
