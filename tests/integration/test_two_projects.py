"""Two projects whose subjects have the same names, written at once: neither touches the other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from labdata.schema import default_lab, load_project_schema
from labdata.schema.project_admin import create_project
from labdata.testing import insert_dataset, insert_streams, insert_unit

pytestmark = pytest.mark.database

NAMES = ("A", "B")
N = 200
START = datetime(2025, 6, 1)
SEX = {"A": "F", "B": "M"}


def together(work: Callable[[str], None]) -> None:
    """Do something for both projects, in a thread each, both at the same time."""
    barrier, faults = threading.Barrier(2), list[BaseException]()

    def run(project: str) -> None:
        try:
            barrier.wait(60)
            work(project)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=run, args=(name,)) for name in NAMES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    if faults:
        raise faults[0]


def fill(project: str) -> None:
    """200 subjects of equal names, each with a session; what differs tells the projects apart."""
    lab = load_project_schema(project)
    for n in range(N):
        subject = {"subject_name": f"JC{n}"}
        lab.Subject.insert1(
            {
                **subject,
                "subject_dob": "2024-01-01",
                "subject_sex": SEX[project],
                "strain_name": "C57BL/6J",
                "user_name": "couto",
            }
        )
        start = START + timedelta(days=n)
        lab.Session.insert1(
            {**subject, "session_name": f"{project}{n}", "session_datetime": start}
        )


@pytest.fixture(
    scope="module", params=["embedded", pytest.param("server", marks=pytest.mark.server)]
)
def labs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    make = request.getfixturevalue(f"make_{request.param}_lab")
    with make(tmp_path_factory.mktemp(request.param)):
        default_lab.LabMember.insert1({"user_name": "couto"})
        for name in NAMES:
            create_project(default_lab, name)
        together(fill)
        yield {name: load_project_schema(name) for name in NAMES}


def raw(labs: dict[str, Any], project: str, table: str) -> list[tuple[Any, ...]]:
    """Rows as they stand in the project's schema, past all classes."""
    connection = labs["A"].connection
    base = connection._preferences.name
    query = f"SELECT * FROM `{base}_{project}`.`{table}` ORDER BY 1, 2"
    return list(connection.query(query).fetchall())


def test_each_has_its_own_rows(labs: dict[str, Any]) -> None:
    for name, lab in labs.items():
        subjects = raw(labs, name, "subject")
        assert len(subjects) == N == len(lab.Subject())
        assert {row[0] for row in subjects} == {f"JC{n}" for n in range(N)}
        assert {row[2] for row in subjects} == {SEX[name]}
        assert {row[1] for row in raw(labs, name, "session")} == {f"{name}{n}" for n in range(N)}
    assert not len(default_lab.Subject())


def test_restrictions_and_joins_stay_in_their_project(labs: dict[str, Any]) -> None:
    def ask(name: str) -> None:
        lab, other = labs[name], NAMES[name == "A"]
        for n in range(0, N, 10):
            key = {"subject_name": f"JC{n}"}
            assert list((lab.Session & key).fetch("session_name")) == [f"{name}{n}"]
            row = (lab.Subject * lab.Session & key).fetch1()
            assert (row["subject_sex"], row["session_name"]) == (SEX[name], f"{name}{n}")
            assert len(lab.Subject & (lab.Session & f'session_name = "{name}{n}"')) == 1
            assert not lab.Session & {"session_name": f"{other}{n}"}
        counted = lab.Subject.aggr(lab.Session, n="count(session_name)").fetch("n")
        assert list(counted) == [1] * N

    together(ask)


def test_keys_of_one_choose_the_rows_of_the_other(labs: dict[str, Any]) -> None:
    few = labs["B"].Subject & 'subject_name in ("JC1", "JC2")'
    found = labs["A"].Subject & few.fetch("KEY")
    assert sorted(found.fetch("subject_name")) == ["JC1", "JC2"]
    assert set(found.fetch("subject_sex")) == {"F"}


def test_corrections_and_deletes_stay_in_their_project(labs: dict[str, Any]) -> None:
    before = {name: (raw(labs, name, "subject"), raw(labs, name, "session")) for name in NAMES}

    def change(name: str) -> None:
        lab = labs[name]
        if name == "A":
            (lab.Subject & [{"subject_name": f"JC{n}"} for n in range(50)]).delete(safemode=False)
            lab.Subject.delete_plan({"subject_name": "JC50"}).apply()
        else:
            for n in range(50):
                lab.Subject.update1({"subject_name": f"JC{n}", "subject_dob": "2023-02-03"})

    together(change)
    gone = {f"JC{n}" for n in range(51)}
    assert raw(labs, "A", "subject") == [r for r in before["A"][0] if r[0] not in gone]
    assert raw(labs, "A", "session") == [r for r in before["A"][1] if r[0] not in gone]
    assert raw(labs, "B", "session") == before["B"][1]
    same = set(raw(labs, "B", "subject")) & set(before["B"][0])
    changed = {row[0] for row in set(raw(labs, "B", "subject")) - same}
    assert changed == gone - {"JC50"}


def test_results_are_computed_from_and_into_their_project(labs: dict[str, Any]) -> None:
    for name, lab in labs.items():
        key = insert_dataset(lab, "sorted")
        insert_streams(lab, key)
        insert_unit(lab, key, spike_times=[30000 * n for n in range(1, 4 if name == "A" else 8)])
        lab.UnitCountCriteria.insert1({"unit_criteria_id": 1, "sua_criteria": "num_spikes > 4"})

    def compute(name: str) -> None:
        labs[name].UnitMetrics.populate()
        labs[name].UnitCount.populate()

    together(compute)
    for name, lab in labs.items():
        assert int(lab.UnitMetrics.fetch1("num_spikes")) == (3 if name == "A" else 7)
        assert int(lab.UnitCount.fetch1("sua")) == (0 if name == "A" else 1)
        (row,) = raw(labs, f"{name}_computed", "__unit_metrics")
        assert row[0] == "sorted"
    labs["A"].UnitCount.delete(safemode=False)
    labs["A"].UnitMetrics.delete(safemode=False)
    assert (len(labs["A"].UnitMetrics()), len(labs["B"].UnitMetrics())) == (0, 1)
