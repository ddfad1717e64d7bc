"""Rows copied from one project to another: planned, whole or not at all, equal byte for byte."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import numpy as np
import pytest
from lab_rows import dataset_of, insert_file, insert_sorted_dataset, read_rows

from labdata.cli import main
from labdata.database.row_copy import plan_copy
from labdata.errors import DatabaseError
from labdata.schema import default_lab, load_project_schema
from labdata.schema.project_admin import archive_project, plan_share
from labdata.testing import insert_dataset, insert_unit

pytestmark = pytest.mark.database

TIMES = np.array([0, 5, 299_999, 2**40])
SESSION = ("JC1", "20250601_100000")


@pytest.fixture
def labs(two_projects) -> tuple[Any, Any]:
    """Two projects: in the first JC1 with a sorted session, and JC2."""
    vision, attention = two_projects
    insert_file(vision, dataset_of(insert_sorted_dataset(vision, TIMES)), "JC1/a.bin")
    other = insert_dataset(vision, "JC2")
    vision.ComputeTask.insert1({**other, "task_name": "spikeinterface"})
    return vision, attention


def rows_of(lab: Any) -> dict[str, list[tuple]]:
    """Every row of a project's own tables, as the server keeps it."""
    own = read_rows(lab, with_shared=False)
    return {
        name: sorted((tuple(r.values()) for r in rows), key=repr) for name, rows in own.items()
    }


def test_a_session_comes_with_all_below_and_all_it_refers_to(labs) -> None:
    source, target = labs
    plan = plan_share(source, target, {"Session": [SESSION]})
    assert plan.n_different == 0
    before = rows_of(target)
    assert plan.apply() == plan.n_new > 0
    copied, original = rows_of(target), rows_of(source)
    for name, rows in copied.items():
        if name in ("Subject", "Session", "Dataset"):
            assert rows == [row for row in original[name] if row[0] == "JC1"]
        elif name == "ComputeTask":
            assert rows == []
        elif before[name] != original[name]:
            assert rows == original[name]
    train = (target.SpikeSorting.Unit & {"subject_name": "JC1"}).fetch1("spike_times")
    np.testing.assert_array_equal(train, TIMES)
    assert {"Probe", "ProbeConfiguration", "SpikeSortingParams"} <= {t.name for t in plan.tables}
    assert not {"File", "LabMember", "Strain"} & {t.name for t in plan.tables}


def test_what_is_only_referred_to_brings_nothing_else(labs) -> None:
    """The other subjects of a lab member, the other recordings of a probe stay where they are."""
    source, target = labs
    key = insert_dataset(source, "JC2", session="20250602_100000")
    insert_unit(source, key, spike_times=TIMES)
    plan_share(source, target, {"Session": [SESSION]}).apply()
    assert set(target.Subject.fetch("subject_name")) == {"JC1"}
    assert len(target.EphysRecording()) == 1


def test_again_it_copies_nothing_and_what_came_since_is_added(labs) -> None:
    source, target = labs
    plan_share(source, target, {"Session": [SESSION]}).apply()
    again = plan_share(source, target, {"Session": [SESSION]})
    assert (again.n_new, again.n_different, again.apply()) == (0, 0, 0)
    insert_dataset(source, dataset="task")
    added = plan_share(source, target, {"Session": [SESSION]})
    assert [t.name for t in added.tables if t.new] == ["Dataset"]


@pytest.mark.parametrize(
    "row",
    [{"subject_name": "JC1", "subject_sex": "F"}, {"subject_name": "jc1", "subject_sex": "M"}],
    ids=["other content", "other letters"],
)
def test_a_row_with_other_content_stops_the_copy(labs, row) -> None:
    source, target = labs
    more = {"subject_dob": date(2025, 4, 8), "strain_name": "B6129SF1/J", "user_name": "couto"}
    target.Subject.insert1({**row, **more})
    before = rows_of(target)
    plan = plan_share(source, target, {"Session": [SESSION]})
    assert plan.n_different == 1
    with pytest.raises(DatabaseError, match="other content"):
        plan.apply()
    assert rows_of(target) == before


def test_a_failure_in_the_middle_leaves_nothing(labs, monkeypatch) -> None:
    from labdata.database import row_copy

    source, target = labs
    plan = plan_share(source, target, {"Session": [SESSION]})
    before, real, n_calls = rows_of(target), row_copy.insert_rows, []

    def fail(connection, table, rows):
        n_calls.append(table.name)
        if len(n_calls) == 9:
            raise DatabaseError("The disk of the database is full.")
        real(connection, table, rows)

    monkeypatch.setattr(row_copy, "insert_rows", fail)
    with pytest.raises(DatabaseError, match="full"):
        plan.apply()
    assert rows_of(target) == before


def test_a_row_deleted_or_added_since_the_plan_is_an_error(labs) -> None:
    source, target = labs
    plan = plan_share(source, target, {"Session": [SESSION]})
    (source.Dataset.DataFiles & {"subject_name": "JC1"}).delete_quick()
    with pytest.raises(DatabaseError, match="deleted since"):
        plan.apply()
    assert len(target.Subject()) == 0


def test_of_two_at_once_one_copies_and_the_other_says_so(labs) -> None:
    source, target = labs
    first, second = (plan_share(source, target, {"Session": [SESSION]}) for _ in range(2))
    first.apply()
    copied = rows_of(target)
    with pytest.raises(DatabaseError, match="added since the plan") as told:
        second.apply()
    assert "Duplicate" not in str(told.value) and "Repeat" in told.value.hint
    assert rows_of(target) == copied


def test_a_value_that_changes_on_the_way_is_found(labs, monkeypatch) -> None:
    from labdata.database import row_copy

    source, target = labs
    real = row_copy.insert_rows

    def change(connection, table, rows):
        if table.name == "subject":
            rows = [tuple("F" if value == "M" else value for value in row) for row in rows]
        real(connection, table, rows)

    monkeypatch.setattr(row_copy, "insert_rows", change)
    with pytest.raises(DatabaseError, match="came out differently"):
        plan_share(source, target, {"Session": [SESSION]}).apply()
    assert len(target.Subject()) == 0


def test_parts_of_what_is_referred_to_come_too(labs) -> None:
    source, target = labs
    note = {"notetaker": "couto", "note_datetime": "2025-06-01 12:00:00"}
    source.Note.insert1({**note, "notes": "calm"})
    source.Note.Image.insert1({**note, "image_id": 1, "image": np.eye(3), "caption": "eye"})
    dataset = {**dict(zip(("subject_name", "session_name"), SESSION, strict=True)),
               "dataset_name": "noted"}  # fmt: skip
    source.Dataset.insert1({**dataset, **note})
    plan_copy(source, target, {"Dataset": [tuple(dataset.values())]}).apply()
    np.testing.assert_array_equal(target.Note.Image.fetch1("image"), np.eye(3))


def test_an_archived_project_takes_nothing(labs) -> None:
    source, target = labs
    archive_project(default_lab, "attention")
    with pytest.raises(DatabaseError, match="archived"):
        plan_share(source, target, {"Session": [SESSION]})
    archive_project(default_lab, "attention", reopen=True)
    assert plan_share(source, target, {"Session": [SESSION]}).n_new
    with pytest.raises(DatabaseError, match="Name another"):
        plan_share(source, load_project_schema("vision"), {"Session": [SESSION]})


def test_the_command_shows_the_plan_and_copies_when_told_to(labs, capsys) -> None:
    _, target = labs
    line = ["share", "--from", "vision", "--to", "attention", "-a", "JC1"]
    assert main([*line, "--json"]) == 0
    plan = {row["table"]: row for row in json.loads(capsys.readouterr().out)}
    assert plan["Subject"] == {"table": "Subject", "new": 1, "same": 0, "different": 0}
    assert len(target.Subject()) == 0
    assert main([*line, "--apply"]) == 0
    assert "Copied" in capsys.readouterr().err
    assert set(target.Subject.fetch("subject_name")) == {"JC1"}
    assert main(["share", "--from", "vision", "--to", "atention", "-a", "JC1"]) == 1
    assert "Did you mean 'attention'?" in capsys.readouterr().err
    for wrong, guess in (("nothing", None), ("20250601_10000", "20250601_100000")):
        assert main([*line, "-s", wrong]) == 1
        said = capsys.readouterr().err
        assert f"There is no session {wrong!r} of JC1." in said
        assert (f"Did you mean {guess!r}?" in said) == bool(guess)
        assert "`labdata sessions -a JC1` lists them." in said
    assert main([*line, "-d", "ephys_g1"]) == 1
    assert "Did you mean 'ephys_g0'?" in capsys.readouterr().err


def test_equal_subject_names_side_by_side(labs: Any) -> None:
    """Two projects with equal subject names do not see each other's rows."""
    source, target = labs
    insert_dataset(target, "JC1", dataset="theirs")
    assert set((source.Dataset & {"subject_name": "JC1"}).fetch("dataset_name")) == {"ephys_g0"}
    assert set((target.Dataset & {"subject_name": "JC1"}).fetch("dataset_name")) == {"theirs"}
    assert len((source.Dataset & source.Session) & {"dataset_name": "theirs"}) == 0
