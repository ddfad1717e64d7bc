"""What the database refuses says which table, column and value, and what to write instead."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pymysql
import pytest

from labdata.database.datajoint_compat import dj
from labdata.errors import LabdataError
from labdata.schema import (
    LabMember,
    Session,
    Subject,
    Weighing,
    default_lab,
    load_project_schema,
)
from labdata.testing import insert_dataset

pytestmark = pytest.mark.database

ROW = {
    "subject_name": "JC1",
    "subject_dob": "2024-03-05",
    "subject_sex": "F",
    "strain_name": "C57BL/6J",
    "user_name": "couto",
}


FILE = {"file_path": "d", "storage": "data"}
CRITERIA = {"unit_criteria_id": 1, "sua_criteria": "snr > 1", "mua_criteria": "snr > 0"}


@pytest.fixture(scope="module", autouse=True)
def lab(make_embedded_lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with make_embedded_lab(tmp_path_factory.mktemp("teaching")):
        LabMember.insert1({"user_name": "couto"})
        Subject.insert1(ROW)
        insert_dataset(default_lab, "JC2")
        yield default_lab


def changed(**values: Any) -> dict[str, Any]:
    return {**ROW, "subject_name": "JC9", **values}


#: What is tried, the class it was, and the words of message and hint.
CASES: list[tuple[str, Callable[[], Any], type[Exception], list[str], list[str]]] = [
    (
        "a parent that is missing",
        lambda: Subject.insert1(changed(user_name="kim")),
        dj.errors.IntegrityError,
        ["LabMember has no user_name 'kim'", "Subject"],
        ["LabMember.insert1({'user_name': 'kim'})"],
    ),
    (
        "a parent that is written wrongly",
        lambda: Subject.insert1(changed(user_name="cuoto")),
        dj.errors.IntegrityError,
        ["LabMember has no user_name 'cuoto'"],
        ["Did you mean 'couto'?"],
    ),
    (
        "the second parent of many rows",
        lambda: Session.insert(
            {"subject_name": s, "session_name": "a", "session_datetime": "2024-01-01"}
            for s in ("JC1", "JC7")
        ),
        dj.errors.IntegrityError,
        ["Subject has no subject_name 'JC7'", "Session"],
        ["Did you mean 'JC", "Subject.insert1({'subject_name': 'JC7', 'subject_dob': ..."],
    ),
    (
        "a row twice",
        lambda: Subject.insert1(ROW),
        dj.errors.DuplicateError,
        ["Subject", "subject_name 'JC1'", "already"],
        ["skip_duplicates=True", "Subject.update1(row)"],
    ),
    (
        "a row of a frame twice",
        lambda: Subject.insert(pd.DataFrame([ROW])),
        dj.errors.DuplicateError,
        ["subject_name 'JC1'"],
        ["skip_duplicates=True"],
    ),
    (
        "an unknown column",
        lambda: Subject.insert1(changed(subject_sexx="F")),
        KeyError,
        ["Subject has no column 'subject_sexx'"],
        ["Did you mean 'subject_sex'?", "user_name", "ignore_extra_fields=True"],
    ),
    (
        "an unknown column to correct",
        lambda: Subject.update1({"subject_name": "JC1", "colour": "black"}),
        dj.errors.DataJointError,
        ["Subject has no column 'colour'"],
        ["strain_name"],
    ),
    (
        "a text that is too long",
        lambda: Subject.insert1(changed(subject_name="x" * 70)),
        pymysql.err.DataError,
        ["subject_name of Subject is too long: 70 characters, and 64 fit", "xxx"],
        ["64 characters"],
    ),
    (
        "a value that is not in the list",
        lambda: Subject.insert1(changed(subject_sex="X")),
        pymysql.MySQLError,
        ["subject_sex of Subject cannot be 'X'"],
        ["'M', 'F'"],
    ),
    (
        "a wrong value to correct",
        lambda: Subject.update1({"subject_name": "JC1", "subject_sex": "X"}),
        pymysql.MySQLError,
        ["subject_sex of Subject cannot be 'X'"],
        ["'M', 'F'"],
    ),
    (
        "a wrong date",
        lambda: Subject.insert1(changed(subject_dob="yesterday")),
        pymysql.MySQLError,
        ["subject_dob of Subject cannot be 'yesterday'"],
        ["2024-03-05"],
    ),
    (
        "a wrong time",
        lambda: Session.insert1(
            {"subject_name": "JC1", "session_name": "a", "session_datetime": "31.1.2024"}
        ),
        pymysql.MySQLError,
        ["session_datetime of Session cannot be '31.1.2024'"],
        ["2024-03-05 10:00:00"],
    ),
    (
        "a value that is missing",
        lambda: Subject.insert1({k: v for k, v in changed().items() if k != "subject_dob"}),
        dj.errors.MissingAttributeError,
        ["Subject needs a value for 'subject_dob'"],
        ["subject_name, subject_dob"],
    ),
    (
        "a value that is None",
        lambda: Subject.insert1(changed(subject_dob=None)),
        dj.errors.MissingAttributeError,
        ["Subject needs a value for 'subject_dob'"],
        ["subject_name, subject_dob"],
    ),
    (
        "a word for a number",
        lambda: Weighing.insert1(
            {"subject_name": "JC1", "weighing_datetime": "2024-01-01", "weight": "heavy"}
        ),
        ValueError,
        ["weight of Weighing cannot be 'heavy'"],
        ["number"],
    ),
    (
        "a fraction for a whole number",
        lambda: default_lab.UnitCountCriteria.insert1({**CRITERIA, "unit_criteria_id": 1.7}),
        ValueError,
        ["unit_criteria_id of UnitCountCriteria cannot be 1.7", "whole number"],
        ["round("],
    ),
    (
        "a fraction in a frame",
        lambda: default_lab.UnitCountCriteria.insert(
            pd.DataFrame([CRITERIA]).assign(unit_criteria_id=[2.5])
        ),
        ValueError,
        ["cannot be 2.5"],
        ["round("],
    ),
    (
        "a fraction as text",
        lambda: default_lab.UnitCountCriteria.insert1({**CRITERIA, "unit_criteria_id": "3.5"}),
        ValueError,
        ["cannot be '3.5'"],
        ["round("],
    ),
    *(
        (
            f"the name {name!r}",
            lambda name=name: Subject.insert1(changed(subject_name=name)),
            ValueError,
            [f"subject_name of Subject cannot be {name!r}"],
            ["slash"],
        )
        for name in ("JC9 ", " JC9", "", "..", "a/b", "a\\b", "a\tb", "a\n")
    ),
    (
        "a session's name",
        lambda: Session.insert1(
            {"subject_name": "JC1", "session_name": "../x", "session_datetime": "2024-01-01"}
        ),
        ValueError,
        ["session_name of Session cannot be '../x'"],
        ["folder"],
    ),
    (
        "an empty row",
        lambda: Subject.insert1({}),
        dj.errors.DataJointError,
        ["Subject did not take this"],
        ["Rows need subject_name"],
    ),
    (
        "a row to correct that is not there",
        lambda: Subject.update1({"subject_name": "JC7", "subject_sex": "F"}),
        dj.errors.DataJointError,
        ["Subject", "one existing entry"],
        ["subject_name"],
    ),
    (
        "rows that others refer to",
        lambda: (Subject & {"subject_name": "JC2"}).delete_quick(),
        dj.errors.IntegrityError,
        ["Rows of", "refer to this row of Subject"],
        ["labdata delete"],
    ),
]


@pytest.mark.parametrize(
    ("write", "kind", "message", "hint"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_it_says_what_and_what_to_do(
    write: Callable[[], Any], kind: type[Exception], message: list[str], hint: list[str]
) -> None:
    n_subjects = len(Subject())
    with pytest.raises(LabdataError) as refused:
        write()
    error = refused.value
    assert isinstance(error, kind)
    assert [words for words in message if words not in error.message] == []
    assert [words for words in hint if words not in (error.hint or "")] == []
    assert "foreign key constraint" not in str(error) and "ibfk" not in str(error)
    assert len(Subject()) == n_subjects


def test_whole_numbers_of_every_kind_and_odd_names_are_taken() -> None:
    criteria = default_lab.UnitCountCriteria
    for number in (1, 2.0, "3", np.float32(4), np.int8(5), Decimal(6)):
        criteria.insert1({**CRITERIA, "unit_criteria_id": number})
    assert sorted(criteria.fetch("unit_criteria_id")) == [1, 2, 3, 4, 5, 6]
    for name in ("JC 9", "Größe", "_9.a+b", "7"):
        Subject.insert1(changed(subject_name=name))
        (Subject & {"subject_name": name}).delete_quick()


@pytest.mark.parametrize("n_rows", [0, 2])
def test_fetch1_says_how_many_rows_there_are(n_rows: int) -> None:
    names = ["JC1", "JC2"][:n_rows]
    rows = Subject & [{"subject_name": name} for name in names]
    assert len(rows) == n_rows
    for columns in ([], ["KEY"], ["subject_sex"]):
        with pytest.raises(dj.errors.DataJointError, match=f"has {n_rows or 'none'}") as told:
            rows.fetch1(*columns)
        assert isinstance(told.value, LabdataError) and told.value.hint


def test_a_text_without_quotes_is_said_to_need_them() -> None:
    with pytest.raises(dj.errors.UnknownAttributeError, match="no column 'JC1'") as told:
        repr(Subject & "subject_name = JC1")
    assert isinstance(told.value, LabdataError)
    assert "put it in quotes" in told.value.hint


def test_tables_of_two_projects_are_said_to_be_so(lab: Any) -> None:
    other = load_project_schema("other")
    for combine in (lambda: other.Session & Session, lambda: other.Session * Session):
        with pytest.raises(dj.errors.DataJointError, match="tables of two projects") as told:
            combine()
        assert isinstance(told.value, LabdataError) and "lineage" not in str(told.value)
    assert len(other.Subject & Subject.fetch("KEY")) == 0  # as the hint says


def test_code_that_catches_datajoints_errors_goes_on_working() -> None:
    try:
        Subject.insert1(ROW)
    except dj.errors.DuplicateError as error:
        assert "JC1" in error.args[0]
        kept = pickle.loads(pickle.dumps(error))
    assert isinstance(kept, dj.errors.DuplicateError) and isinstance(kept, LabdataError)
    assert (kept.message, kept.hint) == (error_text(kept), kept.hint)
    assert "try less" in str(kept.suggest("try less"))


def error_text(error: Exception) -> str:
    return str(error.args[0])


def test_the_line_that_it_says_mends_it() -> None:
    with pytest.raises(LabdataError) as refused:
        Subject.insert1(changed(subject_name="JC8", user_name="ada"))
    line = refused.value.hint.partition(": ")[2]
    eval(line, {"LabMember": LabMember})
    Subject.insert1(changed(subject_name="JC8", user_name="ada"))
    assert Subject & {"subject_name": "JC8", "user_name": "ada"}


def test_errors_of_the_users_own_code_stay_what_they_are() -> None:
    def rows() -> Any:
        yield ROW
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Subject.insert(rows())


def test_a_part_is_named_with_its_master() -> None:
    with pytest.raises(dj.errors.IntegrityError, match=r"has no .*Dataset\.DataFiles"):
        default_lab.Dataset.DataFiles.insert1(
            {"subject_name": "a", "session_name": "b", "dataset_name": "c", **FILE}
        )


def kill_connection() -> None:
    """End this thread's connection at the server, as a restart of it does."""
    connection = default_lab.connection
    with pymysql.connect(**connection._arguments()) as other, other.cursor() as cursor:
        cursor.execute("KILL %s", (connection.connection_id,))


def test_a_connection_lost_in_a_transaction() -> None:
    with (
        pytest.raises(LabdataError, match="connection to the database was lost") as refused,
        default_lab.connection.transaction,
    ):
        Subject.insert1(changed(subject_name="JC5"))
        kill_connection()
        Subject.insert1(changed(subject_name="JC6"))
    assert isinstance(refused.value, dj.errors.LostConnectionError)
    assert "labdata doctor" in refused.value.hint
    assert not Subject & [{"subject_name": "JC5"}, {"subject_name": "JC6"}]


def test_a_server_that_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise pymysql.OperationalError(2003, "Can't connect")

    from labdata.database import connection

    kill_connection()
    # of labdata's own connections only: the embedded server is there, and would be asked
    driver = SimpleNamespace(connect=refuse, MySQLError=pymysql.MySQLError)
    monkeypatch.setattr(connection, "pymysql", driver)
    with pytest.raises(dj.errors.LostConnectionError) as refused:
        Subject.insert1(changed(subject_name="JC6"))
    monkeypatch.undo()
    assert isinstance(refused.value, LabdataError)
    assert "skip_duplicates=True" in refused.value.hint
    assert not Subject & {"subject_name": "JC6"}


@pytest.mark.parametrize(
    "ask",
    [
        lambda: Subject & 'subjct_name = "JC1"',
        lambda: Subject.proj("subjct_name"),
        lambda: Subject.fetch("subjct_name"),
        lambda: (Subject & "subjct_name IS NULL").fetch(),
    ],
)
def test_an_unknown_column_of_a_query_is_named_with_the_nearest(lab, ask) -> None:
    with pytest.raises(LabdataError, match=r"Subject has no column 'subjct_name'") as caught:
        ask()
    assert "Did you mean 'subject_name'?" in caught.value.hint
    assert isinstance(caught.value, dj.errors.DataJointError)


def test_a_query_that_cannot_be_read_says_from_where_on(lab) -> None:
    with pytest.raises(LabdataError, match="cannot read this query from") as caught:
        (Subject & 'subject_name = "JC1').fetch()
    assert isinstance(caught.value, dj.errors.QuerySyntaxError)
    assert "quotes" in caught.value.hint
