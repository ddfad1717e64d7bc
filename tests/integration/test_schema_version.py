"""A lab of another version says what to do; an upgrade brings it there and keeps its rows."""

from __future__ import annotations

import numpy as np
import pytest

from labdata.cli import main
from labdata.database import schema_version
from labdata.database.connection import connect
from labdata.errors import DatabaseError
from labdata.schema import default_lab, load_project_schema
from labdata.testing import insert_dataset, insert_unit

pytestmark = pytest.mark.database

NEW_TABLES = (
    "decision_task__trial_set",
    "_decision_task",
    "watering",
    "death",
    "_ephys_recording__segment",
    "unit_curation",
    "__curated_unit_count__unit",
    "__curated_unit_count",
    "__stream_sync_report",
)
CURRENT = schema_version.CURRENT


@pytest.fixture(params=["embedded_lab", pytest.param("server_lab", marks=pytest.mark.server)])
def lab(request: pytest.FixtureRequest):
    request.getfixturevalue(request.param)
    insert_dataset(default_lab)
    return default_lab


def make_old(lab) -> None:
    """Bring a lab to what it was before versions were kept."""
    connection, base = connect(), connect()._preferences.name
    connection.query("SET FOREIGN_KEY_CHECKS=0")
    for schema in (base, f"{base}_computed"):
        for table in NEW_TABLES:
            connection.query(f"DROP TABLE IF EXISTS `{schema}`.`{table}`")
    connection.query(f"DROP TABLE `{base}`.`~labdata_version`")
    connection.query("SET FOREIGN_KEY_CHECKS=1")
    lab.deactivate()


def test_an_older_lab_is_not_opened_but_dumped_and_upgraded(lab, tmp_path, capsys) -> None:
    make_old(lab)
    assert main(["subjects"]) == 1
    said = capsys.readouterr().err
    assert f"version 1; this labdata needs {CURRENT}" in said and "labdata db upgrade" in said
    assert main(["db", "status"]) == 0
    assert main(["db", "dump", str(tmp_path / "old.sqlite")]) == 0
    capsys.readouterr()
    assert main(["db", "upgrade"]) == 0
    said = capsys.readouterr().out
    assert "version 1 to 2" in said and f"version {CURRENT - 1} to {CURRENT}" in said
    assert main(["db", "upgrade"]) == 0
    assert "up to date" in capsys.readouterr().out
    assert lab.Subject.fetch1("subject_name") == "JC1"
    assert len(lab.DecisionTask.TrialSet()) == 0
    assert len(lab.EphysRecording.Segment()) == 0
    assert len(lab.UnitCuration()) == len(lab.CuratedUnitCount.Unit()) == 0
    assert len(lab.StreamSyncReport()) == 0


def test_entries_of_a_curation_log_have_an_account_from_version_6_on(lab, capsys) -> None:
    """The table is as a new one; what was there has no account, and keeps its time."""
    insert_unit(lab, lab.Dataset.fetch1("KEY"), spike_times=[1, 2, 3])
    curation = lab.SpikeSorting().curation()
    curation.label([0], "SUA")
    connection, base = connect(), connect()._preferences.name
    log = f"`{base}_computed`.unit_curation"
    ((_, new),) = connection.query(f"SHOW CREATE TABLE {log}")
    before = lab.UnitCuration.fetch1()
    connection.query(
        f"ALTER TABLE {log} DROP COLUMN account, ALTER COLUMN entry_datetime DROP DEFAULT"
    )
    schema_version.write_version(connection, base, None, 5)
    lab.deactivate()
    assert main(["db", "upgrade"]) == 0
    assert "version 5 to 6: keeps with each entry" in capsys.readouterr().out
    assert connection.query(f"SHOW CREATE TABLE {log}").fetchall() == (
        (log.split("`")[-1].strip("."), new),
    )
    assert lab.UnitCuration.fetch1() == {**before, "account": None}
    lab.SpikeSorting().curation().label([0], "MUA")
    ((own,),) = connection.query("SELECT CURRENT_USER()")
    assert lab.UnitCuration.fetch("account", order_by="entry_num").tolist() == [None, own]


def test_trains_stored_before_version_7_are_read_as_they_are(lab, capsys) -> None:
    """As a block of differences of 4 bytes; what is stored from then on is of another kind."""
    from numcodecs import blosc

    samples = np.array([5, 5, 90, 2_000_000_000])
    insert_unit(lab, lab.Dataset.fetch1("KEY"), spike_times=samples)
    table, (unit,) = lab.SpikeSorting.Unit, lab.SpikeSorting.Unit.keys()
    connection, base = connect(), connect()._preferences.name
    stored = f"SELECT spike_times FROM {table.full_table_name}"
    ((new,),) = connection.query(stored)
    assert new[4] == 3
    steps = np.diff(samples, prepend=0).astype("<u4")
    block = bytes(blosc.compress(steps, b"zstd", 5, blosc.BITSHUFFLE))
    old = new[:4] + b"\2" + new[5:18] + block
    connection.query(f"UPDATE {table.full_table_name} SET spike_times = %s", (old,))
    schema_version.write_version(connection, base, None, 6)
    lab.deactivate()
    assert main(["db", "upgrade"]) == 0
    assert "version 6 to 7: lets spike trains be stored" in capsys.readouterr().out
    assert connection.query(stored).fetchall() == ((old,),)
    assert (lab.SpikeSorting.Unit & unit).fetch1("spike_times").tolist() == samples.tolist()
    (seconds,) = (lab.SpikeSorting.Unit & unit).get_spike_times(as_dict=False, warn=False)
    connection.query(f"UPDATE {table.full_table_name} SET spike_times = %s", (new,))
    (again,) = (lab.SpikeSorting.Unit & unit).get_spike_times(as_dict=False, warn=False)
    np.testing.assert_array_equal(seconds, again)


def test_a_newer_lab_is_not_opened(lab, capsys) -> None:
    base = connect()._preferences.name
    schema_version.write_version(connect(), base, None, schema_version.CURRENT + 1)
    lab.deactivate()
    with pytest.raises(DatabaseError, match="made by a newer labdata"):
        lab.Subject()
    with pytest.raises(DatabaseError, match="made by a newer labdata"):
        lab.upgrade()
    assert main(["subjects"]) == 1
    assert "pip install --upgrade" in capsys.readouterr().err


def test_each_project_has_its_own_version(embedded_lab) -> None:
    insert_dataset(default_lab)
    base = connect()._preferences.name
    load_project_schema("vision").Subject()
    schema_version.write_version(connect(), base, "vision", schema_version.CURRENT + 1)
    load_project_schema("vision").deactivate()
    with pytest.raises(DatabaseError, match="project 'vision'"):
        load_project_schema("vision").Subject()
    assert len(default_lab.Subject()) == 1


def test_a_killed_maker_is_told_from_an_older_lab(lab) -> None:
    make_old(lab)
    base = connect()._preferences.name
    schema_version.write_version(connect(), base, None, schema_version.MAKING)
    assert len(lab.Subject()) == 1  # made whole at the next use
    assert schema_version.read_version(connect(), base, None) == schema_version.CURRENT


def test_an_upgrade_that_was_killed_goes_on(lab, monkeypatch) -> None:
    make_old(lab)

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as now, pytest.raises(KeyboardInterrupt):
        now.setattr(type(lab), "_fill_lookups", stop)
        lab.upgrade()
    with pytest.raises(DatabaseError, match=f"version {CURRENT - 1}; this labdata needs"):
        lab.Subject()
    assert lab.upgrade() and len(lab.Subject()) == 1


def test_tables_that_are_there_are_opened_without_a_change(lab, monkeypatch) -> None:
    """No statement of the opening makes or changes anything."""
    from labdata.database.connection import LabConnection

    lab.deactivate()
    said: list[str] = []
    real = LabConnection._execute_query

    def listen(self, cursor, query, args, quiet):
        said.append(query)
        return real(self, cursor, query, args, quiet)

    monkeypatch.setattr(LabConnection, "_execute_query", listen)
    assert len(lab.Subject()) == 1
    verbs = {query.split(None, 1)[0].upper() for query in said}
    assert verbs <= {"SELECT", "SHOW", "SET"}, verbs


def test_a_database_of_labdata_0_1_is_neither_opened_nor_upgraded(lab, capsys) -> None:
    make_old(lab)
    connection, base = connect(), connect()._preferences.name
    connection.query(f"DROP TABLE `{base}`.`~lineage`")  # which DataJoint 0.14 did not make
    tables = connection.query(f"SHOW TABLES IN `{base}`").fetchall()
    for command in (["subjects"], ["db", "upgrade"]):
        assert main(command) == 1
        said = capsys.readouterr().err
        assert "made by labdata 0.1" in said and "labdata migrate --from" in said
    assert connection.query(f"SHOW TABLES IN `{base}`").fetchall() == tables
