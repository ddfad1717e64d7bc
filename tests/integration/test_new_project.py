"""A project that a wrong letter made: said at once, and removed if it is empty."""

from __future__ import annotations

import subprocess
import sys
import warnings

import pytest
from fresh_connection import forget_connection

from labdata.cli import main
from labdata.database.connection import connect
from labdata.errors import DatabaseError, LabdataWarning
from labdata.preferences import load_preferences
from labdata.schema import default_lab, load_project_schema
from labdata.schema.project_admin import create_project, plan_project_removal, remove_project
from labdata.testing import insert_dataset

pytestmark = pytest.mark.database


def schemas() -> set[str]:
    base = load_preferences().database.name
    names = {name for (name,) in connect().query("SHOW DATABASES").fetchall()}
    return {name for name in names if name == base or name.startswith(f"{base}_")}


def test_a_wrong_letter_in_a_call_is_said_once_and_undone(embedded_lab, capsys) -> None:
    create_project(default_lab, "Vision")
    before = schemas()
    with pytest.warns(LabdataWarning) as told:
        len(load_project_schema("Visoin").Subject())
        len(load_project_schema("Visoin").Session())
    (one,) = told
    said = str(one.message)
    assert "no project 'Visoin'" in said and "Did you mean 'Vision'?" in said
    assert "labdata project delete Visoin" in said and "LABDATA_DATABASE_PROJECT" not in said
    assert one.filename == __file__  # at the user's line
    assert main(["project", "delete", "Visoin"]) == 0
    assert "Nothing is deleted yet" in capsys.readouterr().err
    assert schemas() > before
    assert main(["project", "delete", "Visoin", "--apply"]) == 0
    assert schemas() == before
    assert list(default_lab.Project.fetch("project_name")) == ["Vision"]
    forget_connection()
    with pytest.warns(LabdataWarning):  # it was wholly gone
        len(load_project_schema("Visoin").Subject())


def test_a_wrong_letter_in_the_environment(embedded_lab, monkeypatch) -> None:
    create_project(default_lab, "Vision")
    monkeypatch.setenv("LABDATA_DATABASE_PROJECT", "Visoin")
    command = [sys.executable, "-m", "labdata", "subjects"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert said.count("Did you mean 'Vision'?") == 1
    assert "correct LABDATA_DATABASE_PROJECT" in said
    assert "Did you mean" not in subprocess.run(command, capture_output=True, text=True).stderr


def test_the_first_project_and_those_that_are_meant_make_no_noise(embedded_lab) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", LabdataWarning)
        len(load_project_schema("first").Subject())
        create_project(default_lab, "second")
        forget_connection()
        len(load_project_schema("second").Subject())


def test_only_an_empty_project_is_removed(two_projects, capsys) -> None:
    vision, attention = two_projects
    insert_dataset(vision)
    before = schemas()
    assert main(["project", "delete", "vision", "--apply"]) == 1
    said = capsys.readouterr().err
    assert "is not empty" in said and "1 row of subject" in said and "archive vision" in said
    assert main(["project", "delete", "atention", "--apply"]) == 1
    assert "Did you mean 'attention'?" in capsys.readouterr().err
    plan = plan_project_removal(default_lab, "attention")
    assert plan.rows == {}
    insert_dataset(attention)  # since the plan
    with pytest.raises(DatabaseError, match="not empty"):
        remove_project(plan)
    assert schemas() == before
    assert len(vision.Subject()) == len(attention.Subject()) == 1
    for table in (attention.Dataset, attention.Session, attention.Subject):
        table.delete_quick(table())
    remove_project(plan_project_removal(default_lab, "attention"))
    assert not any("attention" in name for name in schemas())
    assert len(vision.Subject()) == 1
