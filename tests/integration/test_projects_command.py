"""``labdata project``: made, listed, described, archived, taken up again."""

from __future__ import annotations

import json

import pytest

from labdata.cli import main
from labdata.errors import DatabaseError
from labdata.schema import default_lab, load_project_schema
from labdata.testing import insert_dataset

pytestmark = pytest.mark.database


@pytest.fixture(params=["embedded_lab", pytest.param("server_lab", marks=pytest.mark.server)])
def told(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]):
    request.getfixturevalue(request.param)

    def run(*line: str, code: int = 0) -> str:
        assert main(["project", *line]) == code
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return said.err if code else said.out

    return run


def test_from_the_first_to_the_last_day(told) -> None:
    assert "no projects" in told("list")
    default_lab.LabMember.insert1({"user_name": "couto"})
    told("create", "vision", "--description", "Visual cortex", "--contact", "couto")
    insert_dataset(load_project_schema("vision"))
    (row,) = json.loads(told("list", "--json"))
    assert {k: row[k] for k in ("project_name", "state", "subjects", "sessions", "datasets")} == {
        "project_name": "vision", "state": "open", "subjects": 1, "sessions": 1, "datasets": 1,
    }  # fmt: skip
    assert (row["project_description"], row["project_contact"]) == ("Visual cortex", "couto")
    assert "Visual cortex" in told("describe", "vision")
    told("archive", "vision")
    assert json.loads(told("describe", "vision", "--json"))[0]["state"] == "archived"
    told("reopen", "vision")
    assert json.loads(told("list", "--json"))[0]["state"] == "open"


def test_wrong_names_are_one_error(told) -> None:
    told("create", "vision")
    assert "already" in told("create", "vision", code=1)
    assert "'vision' already" in told("create", "VISION", code=1)
    with pytest.raises(DatabaseError, match="no project 'Vision', but 'vision'"):
        load_project_schema("Vision").Subject()
    assert "Did you mean 'vision'?" in told("describe", "visoin", code=1)
    assert "Did you mean 'vision'?" in told("archive", "visoin", code=1)
    assert "no lab member 'x'" in told("create", "p2", "--contact", "x", code=1)
    assert "cannot be the name" in told("create", "a b", code=1)
    assert "cannot be the name" in told("create", "x_computed", code=1)
    assert "Which project?" in told("create", code=2)
    assert [row["project_name"] for row in json.loads(told("list", "--json"))] == ["vision"]
