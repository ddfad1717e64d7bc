"""The tables as users know them, on the embedded database and on a server."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pymysql
import pytest
from fresh_connection import forget_connection

from labdata import schema
from labdata.database.connection import LabConnection, connect, reset_connection
from labdata.errors import DatabaseError, QueryError
from labdata.schema import default_lab, dj, load_project_schema
from labdata.testing import insert_dataset, insert_streams, insert_unit

pytestmark = pytest.mark.database

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["embedded_lab", pytest.param("server_lab", marks=pytest.mark.server)])
def lab_folder(request: pytest.FixtureRequest) -> Path:
    """Each test runs on the embedded database and on the server."""
    folder: Path = request.getfixturevalue(request.param)
    return folder


# --- rows ----------------------------------------------------------------------------------------


def test_rows_come_back_as_they_went_in(lab_folder: Path) -> None:
    key = insert_dataset(default_lab)
    times = np.array([0, 5, 5, 299_999, 2**40])
    positions = np.random.default_rng(0).normal(size=(5, 2)).astype("float32")
    unit_key = insert_unit(
        default_lab, key, spike_times=times, spike_positions=positions,
        spike_amplitudes=None,
    )  # fmt: skip
    (row,) = schema.SpikeSorting.Unit.fetch(as_dict=True)
    assert {k: row[k] for k in unit_key} == unit_key
    assert row["spike_times"].dtype == np.int64
    np.testing.assert_array_equal(row["spike_times"], times)
    assert row["spike_positions"].dtype == np.float32
    np.testing.assert_array_equal(row["spike_positions"], positions)
    assert row["spike_amplitudes"] is None
    setting = schema.EphysRecording.ProbeSetting.fetch1()
    assert setting["sampling_rate"] == 30000.123456789
    assert schema.SpikeSortingParams.fetch1("parameters_dict") == {"a": [1, None, "x"]}
    assert schema.Session.fetch1("session_datetime") == datetime(2025, 6, 1, 10, 0, 0, 123456)
    assert schema.Subject.fetch1("subject_dob") == date(2025, 4, 8)
    assert schema.Session.fetch1("experimenter") is None


def test_fault_25_long_names_and_parameters_are_kept_whole(lab_folder: Path) -> None:
    key = insert_dataset(default_lab, subject="s" * 64)
    parameters = {f"parameter_{n}": [n, "x" * 100] for n in range(200)}
    schema.ComputeTask.insert1(dict(key, task_name="a", task_parameters=parameters))
    assert schema.ComputeTask.fetch1("subject_name", "task_parameters") == ("s" * 64, parameters)
    path = "/".join(["f" * 99] * 4)
    row = dict(file_path=path, file_datetime=datetime(2025, 1, 1), file_size=2**40 + 1)
    schema.File.insert1(row)
    assert schema.File.fetch1("file_path", "file_size") == (path, 2**40 + 1)
    with pytest.raises(pymysql.err.DataError):  # and what is longer is refused, never cut
        schema.File.insert1(dict(row, file_path=path + "x" * 10))


def test_numbers_are_taken_for_event_names(lab_folder: Path) -> None:
    key = insert_dataset(default_lab)
    insert_streams(default_lab, key)
    lines = schema.DatasetEvents.Digital
    assert set(lines.fetch("event_name")) == {"6", "7"}
    for restriction in ("event_name = 6", {"event_name": 6}, {"event_name": np.int64(6)},
                        [{"event_name": 6}], 'event_name = "6"'):  # fmt: skip
        assert (lines & restriction).fetch1("stream_name") == "imec0"


def sync_row(key: dict[str, str]) -> dict[str, Any]:
    return dict(
        key, stream_name="imec0", event_name=6, clock_dataset=key["dataset_name"],
        clock_stream="nidq", clock_stream_event=7,
    )  # fmt: skip


def test_the_same_synchronisation_twice_is_success(lab_folder: Path) -> None:
    key = insert_dataset(default_lab)
    insert_streams(default_lab, key)
    row = sync_row(key)
    schema.StreamSync().insert1(row)
    schema.StreamSync().insert1(row)
    schema.StreamSync.insert([row, row])
    assert len(schema.StreamSync()) == 1
    assert schema.StreamSync().clock_stream() == "nidq"


def test_a_synchronisation_of_a_line_that_is_not_there_is_refused(lab_folder: Path) -> None:
    key = insert_dataset(default_lab)
    insert_streams(default_lab, key)
    with pytest.raises(QueryError, match="no line 3 of stream imec0"):
        schema.StreamSync().insert1(dict(sync_row(key), event_name=3))
    assert len(schema.StreamSync()) == 0


def test_delete_takes_what_depends_and_nothing_else(lab_folder: Path) -> None:
    first, second = insert_dataset(default_lab, "JC1"), insert_dataset(default_lab, "JC2")
    for key in (first, second):
        insert_streams(default_lab, key)
        schema.StreamSync().insert1(sync_row(key))
    (schema.Subject & 'subject_name = "JC1"').delete(safemode=False)
    for table in (schema.Subject, schema.Session, schema.Dataset, schema.StreamSync):
        assert set(table.fetch("subject_name")) == {"JC2"}
    assert len(schema.DatasetEvents.Digital()) == 2
    assert len(schema.LabMember()) == 1


def test_delete_with_top_deletes_no_more(lab_folder: Path) -> None:
    for name in ("A", "B", "C"):
        insert_dataset(default_lab, name)
    (schema.Session & dj.Top(1)).delete(prompt=False)
    assert list(schema.Session.fetch("subject_name")) == ["B", "C"]


def test_delete_of_parts_is_refused_unless_asked_for(lab_folder: Path) -> None:
    key = insert_dataset(default_lab)
    insert_streams(default_lab, key)
    lines = schema.DatasetEvents.Digital & 'stream_name = "nidq"'
    with pytest.raises(dj.DataJointError, match="Part"):
        lines.delete(prompt=False)
    assert lines.delete(prompt=False, part_integrity="ignore") == 1
    assert list(schema.DatasetEvents.Digital.fetch("stream_name")) == ["imec0"]


def test_delete_of_nothing_deletes_nothing(lab_folder: Path) -> None:
    insert_dataset(default_lab)
    assert (schema.Subject & 'subject_name = "other"').delete(prompt=False) == 0
    assert len(schema.Subject()) == 1


def test_classes_count_iterate_and_travel(lab_folder: Path) -> None:
    insert_dataset(default_lab, "JC1")
    insert_dataset(default_lab, "JC2")
    assert len(schema.Session) == len(schema.Session()) == 2
    assert bool(schema.StreamSync)
    assert [row["subject_name"] for row in schema.Session] == ["JC1", "JC2"]
    assert [row["subject_name"] for row in schema.Session()] == ["JC1", "JC2"]
    assert pickle.loads(pickle.dumps(schema.Session)) is schema.Session
    assert schema.Session.__doc__.startswith("Experimental sessions of a subject.")


def test_lookups_are_filled_when_the_lab_is_made_and_never_later(lab_folder: Path) -> None:
    kinds = set(schema.DatasetType.fetch("dataset_type"))
    assert kinds == set(
        [
            "task-training",
            "task-behavior",
            "passive-spontaneous",
            "passive-stimulation",
            "free-behavior",
            "imaging-2p",
            "imaging-widefield",
            "imaging-miniscope",
            "ephys",
            "opto-inactivation",
            "opto-activation",
            "analysis",
        ]
    )
    (schema.DatasetType & 'dataset_type = "imaging-2p"').delete(prompt=False)
    default_lab.deactivate()
    reset_connection()
    assert set(schema.DatasetType.fetch("dataset_type")) == kinds - {"imaging-2p"}


# --- activation ----------------------------------------------------------------------------------


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything that is sent to the database."""
    sent: list[str] = []
    original: Callable[..., Any] = LabConnection._execute_query

    def spy(self: Any, cursor: Any, query: str, *rest: Any) -> Any:
        sent.append(query)
        return original(self, cursor, query, *rest)

    monkeypatch.setattr(LabConnection, "_execute_query", spy)
    return sent


def test_a_lab_that_is_there_is_used_without_ddl(lab_folder: Path, statements: list[str]) -> None:
    insert_dataset(default_lab)
    load_project_schema("new").create()
    assert any(s.lstrip().upper().startswith("CREATE") for s in statements)
    default_lab.deactivate()
    reset_connection()
    statements.clear()
    assert len(schema.Session()) == 1
    assert len(schema.SpikeSorting.Unit()) == 0
    words = {s.split()[0].upper() for s in statements}
    assert words <= {"SELECT", "SHOW"}
    assert len(statements) < 150


def test_importing_asks_nothing_of_the_database(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "def watch(event, arguments):\n"
        "    if event.split('.')[0] in ('socket', 'subprocess') or event == 'os.mkdir':\n"
        "        if event not in ('socket.gethostname',): print(event, arguments)\n"
        "    if event == 'open' and 'preferences.json' in str(arguments[0]):\n"
        "        print(event, arguments)\n"
        "sys.addaudithook(watch)\n"
        "from labdata.schema import *\n"
        "from labdata import load_project_schema\n"
        "Session, SpikeSorting.Unit, dj, np, pd, Path, load_project_schema('x')\n"
    )
    environment = {**os.environ, "LABDATA_PATH": str(tmp_path / "lab"), "HOME": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "widgets")])
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    # one that could not be read
    broken = tmp_path / "lab" / "user_preferences.json"
    broken.parent.mkdir()
    broken.write_text("{")
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == done.stderr == ""
    assert list(tmp_path.rglob("*")) == [broken.parent, broken]


def test_the_first_use_may_be_a_part_or_a_restricted_class(lab_folder: Path) -> None:
    assert len(schema.SpikeSorting.Unit & 'subject_name = "x"') == 0
    default_lab.deactivate()
    assert len(schema.Session & (schema.Dataset & 'dataset_name LIKE "%ephys%"')) == 0


# --- projects ------------------------------------------------------------------------------------


def test_two_projects_live_side_by_side(embedded_lab: Path) -> None:
    one, two = load_project_schema("one"), load_project_schema("two")
    for lab in (one, two):
        key = insert_dataset(lab, "JC1")
        insert_streams(lab, key)
    two.Session.insert1(
        dict(subject_name="JC1", session_name="s2", session_datetime=datetime(2025, 1, 1))
    )
    assert (len(one.Session()), len(two.Session()), len(schema.Session())) == (1, 2, 0)
    assert len(one.LabMember()) == len(two.LabMember()) == len(schema.LabMember()) == 1
    (one.Subject & 'subject_name = "JC1"').delete(prompt=False)
    assert (len(one.Session()), len(two.Session())) == (0, 2)
    assert len(two.DatasetEvents.Digital()) == 2
    assert one.Session.full_table_name != two.Session.full_table_name
    assert isinstance(two.Session(), schema.Session)
    assert (two.Session & 'session_name = "s2"').lab is two
    assert one.project == "one"
    assert load_project_schema("one") is one
    assert set(one.Project.fetch("project_name")) == {"one", "two"}
    assert one.Project.fetch("project_contact").tolist() == [None, None]


def test_the_project_of_the_environment_is_the_default(
    embedded_lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABDATA_DATABASE_PROJECT", "mine")
    insert_dataset(default_lab)
    assert default_lab.project == "mine"
    assert len(load_project_schema("mine").Session()) == 1
    assert len(load_project_schema("other").Session()) == 0


@pytest.mark.server
def test_an_unknown_project_on_a_server_is_an_error(server_lab: Path) -> None:
    len(schema.Session())
    with pytest.raises(DatabaseError, match="no project 'typo'") as caught:
        len(load_project_schema("typo").Session())
    assert "database.project" in caught.value.hint
    found = connect().query("SHOW DATABASES LIKE '%%typo%%'").fetchall()
    assert found == ()


@pytest.mark.server
def test_who_may_only_read_can_open_a_lab(
    server_lab: Path, mariadb_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = insert_dataset(default_lab)
    database = default_lab.Session.database
    with mariadb_server.admin() as admin, admin.cursor() as cursor:
        cursor.execute("DROP USER IF EXISTS 'onlooker'@'%'")
        cursor.execute("CREATE USER 'onlooker'@'%' IDENTIFIED BY 'r'")
        cursor.execute(f"GRANT SELECT ON `{database}`.* TO 'onlooker'@'%'")
        cursor.execute(f"GRANT SELECT ON `{database}_computed`.* TO 'onlooker'@'%'")
    monkeypatch.setenv("LABDATA_DATABASE_USER", "onlooker")
    monkeypatch.setenv("LABDATA_DATABASE_PASS", "r")
    default_lab.deactivate()
    reset_connection()
    assert (schema.Dataset & key).fetch1("dataset_type") == "ephys"
    assert len(schema.SpikeSorting.Unit()) == len(schema.UnitCount()) == 0
    with pytest.raises(dj.errors.AccessError):
        add_member("onlooker")


def test_threads_at_once_activate_one_lab(lab_folder: Path) -> None:
    """Each thread has a connection of its own, and none sees half the tables."""
    with ThreadPoolExecutor(8) as pool:
        found = list(
            pool.map(
                lambda name: (len(getattr(default_lab, name)()), connect().connection_id),
                ["DatasetType", "Species", "Session", "UnitMetrics"] * 4,
            )
        )
    assert [n for n, _ in found] == [12, 2, 0, 0] * 4
    assert len({number for _, number in found}) > 1


# --- transactions --------------------------------------------------------------------------------


def add_member(name: str) -> None:
    schema.LabMember.insert1(dict(user_name=name))


def members() -> set[str]:
    return set(schema.LabMember.fetch("user_name"))


def test_a_transaction_inside_another_is_refused_and_ends_nothing(lab_folder: Path) -> None:
    connection = default_lab.connection
    with pytest.raises(ValueError, match="outer"), connection.transaction:
        add_member("a")
        with pytest.raises(DatabaseError, match="open already"), connection.transaction:
            pass
        assert connection.in_transaction
        add_member("b")
        raise ValueError("outer")
    assert members() == set()
    assert not connection.in_transaction
    with connection.transaction:
        add_member("c")
    assert members() == {"c"}


@pytest.mark.parametrize("looked_at", [False, True])
def test_a_connection_lost_inside_a_transaction_leaves_nothing(
    lab_folder: Path, looked_at: bool
) -> None:
    connection = default_lab.connection
    add_member("before")
    with pytest.raises(dj.errors.LostConnectionError), connection.transaction:
        add_member("a")
        kill_connection(connection)
        if looked_at:
            assert connection.in_transaction
        add_member("b")
    assert members() == {"before"}
    with pytest.raises(ValueError, match="mine"), connection.transaction:
        add_member("a")
        kill_connection(connection)
        raise ValueError("mine")
    assert members() == {"before"}
    add_member("after")
    assert members() == {"before", "after"}


def kill_connection(connection: LabConnection) -> None:
    number = connection.connection_id
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: connection.query(f"KILL {number}")).result()


def test_a_forked_child_has_a_connection_of_its_own(lab_folder: Path) -> None:
    number = default_lab.connection.connection_id
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        add_member("child")
        os.write(writer, str(default_lab.connection.connection_id).encode())
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert int(os.read(reader, 20)) != number == default_lab.connection.connection_id
    assert members() == {"child"}


@pytest.mark.parametrize("name", ["computed", "user", "a_computed", "x`; DROP", "a b", "x" * 33])
def test_names_that_no_project_can_have(embedded_lab: Path, name: str) -> None:
    with pytest.raises(DatabaseError, match="cannot be the name of a project"):
        len(load_project_schema(name).Session())


def test_a_table_that_does_not_exist_is_named(embedded_lab: Path) -> None:
    with pytest.raises(AttributeError, match="'Sesion'"):
        getattr(load_project_schema("p"), "Sesion")  # noqa: B009


def test_two_rows_where_one_is_needed(embedded_lab: Path) -> None:
    with pytest.raises(QueryError, match="0 synchronisations"):
        schema.StreamSync().clock_map()


@pytest.mark.slow
def test_first_users_at_once_make_one_lab(lab_folder: Path) -> None:
    code = "from labdata.schema import *; print(len(DatasetType()), len(Session()))"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    users = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=-1, stderr=-1)
        for _ in range(4)
    ]
    answers = [user.communicate(timeout=120) for user in users]
    assert [out.decode().split() for out, _ in answers] == [["12", "0"]] * 4, answers


def test_opening_a_lab_asks_few_things_of_its_server(lab_folder, monkeypatch) -> None:
    """A server far away takes 20 ms for each; there are 93 tables."""
    assert len(default_lab.Session()) == 0
    forget_connection()
    asked, real = [], LabConnection.query

    def query(self: Any, text: str, *args: Any, **options: Any) -> Any:
        asked.append(text)
        return real(self, text, *args, **options)

    monkeypatch.setattr(LabConnection, "query", query)
    assert len(default_lab.Session()) == 0
    assert len(asked) < 15, asked
    asked.clear()
    for table in ("Subject", "Session", "Dataset", "UploadJob"):
        assert default_lab.tables[table]().heading.names
    assert sum("~lineage" in text and "information_schema" in text for text in asked) <= 1


def test_a_table_that_is_gone_is_not_declared(embedded_lab) -> None:
    table = default_lab.Weighing()
    assert table.is_declared
    default_lab.connection.query("SET FOREIGN_KEY_CHECKS = 0")
    default_lab.connection.query(f"DROP TABLE {table.full_table_name}")
    assert not table.is_declared
