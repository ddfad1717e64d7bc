"""Names that the server takes for one and Python for two: refused wherever they could meet."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from labdata.database.datajoint_compat import dj
from labdata.errors import DatabaseError
from labdata.schema import default_lab
from labdata.schema.project_admin import create_project, plan_share
from labdata.testing import insert_dataset

pytestmark = pytest.mark.database
SUBJECT = {
    "subject_dob": "2025-01-01",
    "subject_sex": "F",
    "strain_name": "B6129SF1/J",
    "user_name": "couto",
}
START = datetime(2025, 6, 1)
#: One name to the server's collation.
LIKE = ["jc1", "Jc1", "JĆ1"]
#: Another name to it, however alike they look.
OTHER = "JC\u00b91"


@pytest.fixture(scope="module")
def lab(make_embedded_lab, tmp_path_factory) -> Any:
    with make_embedded_lab(tmp_path_factory.mktemp("alike")):
        insert_dataset(default_lab, "JC1")
        yield default_lab


def subject(name: str) -> dict[str, Any]:
    return {"subject_name": name, **SUBJECT}


def is_one(lab: Any, name: str) -> bool:
    """The oracle: whether the server finds JC1 by a name."""
    return len(lab.Subject & {"subject_name": name}) == 1


def names(lab: Any) -> list[str]:
    return sorted(lab.Subject.fetch("subject_name"))


WAYS = {
    "insert1": lambda t, row: t.insert1(row),
    "skip": lambda t, row: t.insert1(row, skip_duplicates=True),
    "insert": lambda t, row: t.insert([{**row, "subject_name": "NEW"}, row], skip_duplicates=True),
    "replace": lambda t, row: t.insert1(row, replace=True),
    "frame": lambda t, row: t.insert(pd.DataFrame([row]), skip_duplicates=True),
    "generator": lambda t, row: t.insert((r for r in [row]), skip_duplicates=True),
    "chunks": lambda t, row: t.insert([row], skip_duplicates=True, chunk_size=1),
    "update": lambda t, row: t.update1(row),
}


@pytest.mark.parametrize("name", LIKE)
@pytest.mark.parametrize("way", WAYS)
def test_a_subject_that_is_anothers_to_the_server(lab, way, name) -> None:
    assert is_one(lab, name)
    before = lab.Subject.fetch(as_dict=True)
    with pytest.raises(DatabaseError) as told:
        WAYS[way](lab.Subject, subject(name))
    assert repr(name) in told.value.message and "'JC1'" in told.value.message
    assert isinstance(told.value, dj.errors.DuplicateError)
    assert lab.Subject.fetch(as_dict=True) == before


@pytest.mark.parametrize("name", LIKE)
def test_a_session_of_a_subject_that_is_written_otherwise(lab, name) -> None:
    assert is_one(lab, name)
    row = {"subject_name": name, "session_name": "s1", "session_datetime": START}
    for options in ({}, {"skip_duplicates": True}, {"replace": True}):
        with pytest.raises(dj.errors.IntegrityError, match="Subject has no subject_name") as told:
            lab.Session.insert1(row, **options)
        assert repr(name) in str(told.value) and "Write 'JC1'" in told.value.hint
    assert set(lab.Session.fetch("subject_name")) == {"JC1"}


def test_another_name_to_the_server_is_let_in(lab) -> None:
    assert not is_one(lab, OTHER)
    lab.Subject.insert1(subject(OTHER))
    assert {"JC1", OTHER} <= set(names(lab))
    (lab.Subject & {"subject_name": OTHER}).delete_quick()


def test_any_column_that_refers_by_text(lab) -> None:
    with pytest.raises(DatabaseError, match="LabMember has no user_name 'COUTO', but 'couto'"):
        lab.Subject.insert1({**subject("JC9"), "user_name": "COUTO"})
    with pytest.raises(DatabaseError, match="'EPHYS', but 'ephys'"):
        key = (lab.Dataset & 'subject_name = "JC1"').fetch1("KEY")
        lab.Dataset.insert1({**key, "dataset_name": "d2", "dataset_type": "EPHYS"})
    with pytest.raises(DatabaseError, match="'COUTO', but 'couto'"):
        lab.Subject.update1({"subject_name": "JC1", "user_name": "COUTO"})
    assert "JC9" not in names(lab)


def test_a_session_written_otherwise_and_a_part(lab) -> None:
    key = (lab.Dataset & 'subject_name = "JC1"').fetch1("KEY")
    other = {**key, "session_name": f"{key['session_name']} "}
    with pytest.raises(DatabaseError, match="Session has no session_name"):
        lab.Dataset.insert1({**other, "dataset_name": "d3", "dataset_type": "ephys"})
    note = {"notetaker": "couto", "note_datetime": START}
    lab.Note.insert1({**note, "notes": "x"})
    image = {**note, "image_id": 1, "image": np.eye(2), "notetaker": "Couto"}
    with pytest.raises(DatabaseError, match="'Couto', but 'couto'"):
        lab.Note.Image.insert1(image)


def test_two_of_one_insert(lab) -> None:
    before = names(lab)
    with pytest.raises(DatabaseError, match=r"JC7.*jc7|jc7.*JC7"):
        lab.Subject.insert([subject("JC7"), subject("jc7")], skip_duplicates=True)
    assert names(lab) == before


def test_rows_of_a_query(lab) -> None:
    vision = create_project(lab, "vision")
    vision.Subject.insert1(subject("jc1"))
    with pytest.raises(DatabaseError, match="'JC1'"):
        lab.Subject.insert(vision.Subject, skip_duplicates=True)
    plan = plan_share(vision, lab, {"Subject": [("jc1",)]})
    with pytest.raises(DatabaseError, match=r"jc1|JC1"):
        plan.apply()
    assert len(lab.Subject & 'subject_name = "jc1"') == 1
    vision.Subject.insert1(subject("JC5"))
    lab.Subject.insert(vision.Subject & 'subject_name = "JC5"')  # others go as before
    assert "JC5" in names(lab)
    (lab.Subject & 'subject_name = "JC5"').delete(safemode=False)


def test_what_is_written_alike_goes_as_before(lab) -> None:
    n_rows = len(lab.Subject())
    lab.Subject.insert1(subject("JC1"), skip_duplicates=True)
    lab.Subject.insert([subject("JC2"), subject("JC1")], skip_duplicates=True)
    lab.Session.insert1({"subject_name": "JC2", "session_name": "s", "session_datetime": START})
    lab.Session.insert1({"subject_name": "JC2", "session_name": "t", "session_datetime": START})
    assert len(lab.Subject()) == n_rows + 1
    with pytest.raises(dj.errors.DuplicateError, match="already"):
        lab.Subject.insert1(subject("JC2"))
    with pytest.raises(dj.errors.IntegrityError, match="no subject_name 'none'"):
        lab.Session.insert1(
            {"subject_name": "none", "session_name": "t", "session_datetime": START}
        )


def test_an_insert_costs_one_query_more_and_none_without_text(lab, monkeypatch) -> None:
    connection, seen = lab.connection, []
    real = type(connection).query

    def counted(self: Any, query: str, *args: Any, **options: Any) -> Any:
        seen.append(query)
        return real(self, query, *args, **options)

    row = {"subject_name": "JC1", "session_datetime": START}
    lab.Session.insert1({**row, "session_name": "u0"})  # foreign keys are asked for once
    monkeypatch.setattr(type(connection), "query", counted)
    lab.Session.insert([{**row, "session_name": f"u{n}"} for n in range(1, 50)])
    assert sum("CAST(" in query for query in seen) == 1
    assert not any("information_schema" in query for query in seen)
    seen.clear()
    lab.SpikeSortingParams.insert1(
        {
            "parameter_set_num": 99,
            "algorithm_name": "a",
            "parameters_dict": {"x": 1},
            "parameters_hash": "0" * 64,
        },
        skip_duplicates=True,
    )
    assert not any("CAST(" in query for query in seen)


def test_a_put_of_a_name_written_otherwise_is_refused_before_it_copies(lab) -> None:
    from labdata.errors import UploadError
    from labdata.rules.known import check_spelling, check_subject, known_value

    key = (lab.Dataset & 'subject_name = "JC1"').fetch1("KEY")
    check_spelling(lab, key)
    check_spelling(lab, {**key, "session_name": "20990101", "dataset_name": "new"})
    with pytest.raises(UploadError, match=f"There is a dataset_name {key['dataset_name']!r}"):
        check_spelling(lab, {**key, "dataset_name": key["dataset_name"].upper()})
    with pytest.raises(UploadError, match="no subject 'jc1'"):
        check_subject(lab, "jc1")
    with pytest.raises(UploadError, match="'COUTO' is no user_name"):
        known_value(lab.LabMember, "user_name", "COUTO")
