"""What notebooks written for DataJoint 0.14 meet: fetching, restricting, deleting, threads, forks.

One lab with known rows serves all tests that only read; each row of it is written down here, and
results are compared with it, not with another query.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import warnings
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from labdata.database.connection import connect
from labdata.errors import QueryError
from labdata.schema import (
    Dataset,
    DatasetEvents,
    EphysRecording,
    LabMember,
    Probe,
    ProbeConfiguration,
    Session,
    SpikeSorting,
    SpikeSortingParams,
    Subject,
    UnitCount,
    UnitCountCriteria,
    UnitMetrics,
    dj,
)

#: pymysql leaves the socket of a refused attempt to the garbage collector; the rest is ours.
pytestmark = [
    pytest.mark.database,
    pytest.mark.filterwarnings("error"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SESSIONS = [("JC1", "s1"), ("JC1", "s2"), ("JC2", "s1")]
N_UNITS = 20
SHANKS = [unit % 4 if unit < 15 else None for unit in range(N_UNITS)]
RATES = [None if unit == 3 else 1.5 * unit for unit in range(N_UNITS)]
WHEN = [datetime(2025, 6, day, 9, 30, 0, 250_000) for day in (3, 1, 2)]


def probe_num_key(subject: str, session: str) -> dict[str, Any]:
    return dict(subject_name=subject, session_name=session, dataset_name="ephys_g0", probe_num=0)


def fill() -> None:
    LabMember.insert1(dict(user_name="couto"))
    Probe.insert1(
        dict(probe_id="p", probe_type="24", probe_n_shanks=4, probe_recording_channels=384)
    )
    ProbeConfiguration.insert1(
        dict(
            probe_id="p",
            configuration_id=0,
            probe_n_channels=2,
            probe_gain=0.5,
            channel_idx=np.arange(2),
            channel_shank=np.array([0, 1]),
            channel_coords=np.array([[0.0, 0.0], [32.0, 15.0]]),
            configuration_hash="0" * 64,
        )
    )
    SpikeSortingParams.insert1(
        dict(parameter_set_num=5, algorithm_name="ks", parameters_dict={}, parameters_hash="1")
    )
    UnitCountCriteria.insert1(dict(unit_criteria_id=1, sua_criteria="firing_rate > 10"))
    for name in ("JC1", "JC2", "JC3"):
        Subject.insert1(
            dict(
                subject_name=name,
                subject_dob=date(2025, 4, 8),
                subject_sex="M",
                strain_name="B6129SF1/J",
                user_name="couto",
            )
        )
    for number, ((subject, session), when) in enumerate(zip(SESSIONS, WHEN, strict=True)):
        fill_session(subject, session, when, number)


def fill_session(subject: str, session: str, when: datetime, number: int) -> None:
    key = dict(subject_name=subject, session_name=session)
    experimenter = "couto" if number else None
    Session.insert1(dict(key, session_datetime=when, experimenter=experimenter))
    key["dataset_name"] = "ephys_g0"
    Dataset.insert1(dict(key, dataset_type="ephys"))
    EphysRecording.insert1(
        dict(key, n_probes=1, recording_duration=100.5 + number, recording_software="SpikeGLX")
    )
    EphysRecording.ProbeSetting.insert1(
        dict(key, probe_num=0, probe_id="p", configuration_id=0, sampling_rate=30000.0)
    )
    sorting = dict(key, probe_num=0, parameter_set_num=5)
    SpikeSorting.insert1(sorting)
    SpikeSorting.Unit.insert(
        dict(sorting, unit_id=unit, spike_times=np.arange(4) + unit) for unit in range(N_UNITS)
    )
    UnitMetrics.insert(
        (
            dict(
                sorting,
                unit_id=unit,
                num_spikes=4,
                shank=SHANKS[unit],
                firing_rate=RATES[unit],
                position=None if unit == 2 else np.array([1.0, unit]),
            )
            for unit in range(N_UNITS)
        ),
        allow_direct_insert=True,
    )
    count = dict(sorting, unit_criteria_id=1, all=number + 1, sua=1, mua=0)
    UnitCount.insert1(count, allow_direct_insert=True)


@pytest.fixture(scope="module", autouse=True)
def lab(make_embedded_lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with make_embedded_lab(tmp_path_factory.mktemp("lab")):
        fill()
        yield


FIRST = probe_num_key("JC1", "s1")


# --- fetch ---------------------------------------------------------------------------------------


def test_fetch_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    Session.fetch()
    Session.fetch("session_name", as_dict=True)
    Session().fetch("KEY")
    (Session * Dataset).fetch(format="frame")
    (Session & FIRST).fetch1()
    (Session & FIRST).fetch1("session_datetime")
    Subject.aggr(Session, n="count(session_name)").fetch("n")
    assert capfd.readouterr() == ("", "")


def test_rows_come_in_the_order_of_their_keys() -> None:
    assert list(zip(*Session.fetch("subject_name", "session_name"), strict=True)) == SESSIONS
    assert list(Session.fetch("session_datetime")) == WHEN
    units = SpikeSorting.Unit & FIRST & "parameter_set_num = 5"
    assert list(units.fetch("unit_id")) == list(range(N_UNITS))
    assert [r["unit_id"] for r in units.fetch("spike_times", "unit_id", as_dict=True)] == list(
        range(N_UNITS)
    )


def test_a_whole_table_is_a_structured_array() -> None:
    table = UnitMetrics.fetch()
    assert table.shape == (3 * N_UNITS,)
    assert list(table.dtype.names) == list(UnitMetrics.heading.names)
    assert table["unit_id"].dtype == np.int64
    assert table["firing_rate"].dtype == np.float64
    np.testing.assert_array_equal(
        table["firing_rate"][:N_UNITS], [np.nan if r is None else r for r in RATES]
    )
    assert isinstance(table["subject_name"][0], str)
    assert table["position"].dtype == object


def test_missing_integers_are_nan() -> None:
    shanks = (UnitMetrics & FIRST).fetch("shank")
    assert shanks.dtype == np.float64
    np.testing.assert_array_equal(shanks, [np.nan if s is None else s for s in SHANKS])
    present = (UnitMetrics & FIRST & "shank IS NOT NULL").fetch("shank")
    assert present.dtype == np.int64


@pytest.mark.parametrize(
    "query,name,kind",
    [
        (UnitMetrics, "num_spikes", np.int64),
        (UnitMetrics, "firing_rate", np.float64),
        (Session, "session_datetime", object),
        (Session, "session_name", object),
        (SpikeSorting.Unit, "spike_times", object),
        (LabMember, "is_active", np.int64),
    ],
)
def test_types_are_the_attributes_own_also_without_rows(query, name: str, kind: type) -> None:
    assert query.fetch(name).dtype == kind
    none = (query & "1 = 0").fetch(name)
    assert (none.shape, none.dtype) == ((0,), kind)
    whole = (query & "1 = 0").fetch()
    assert (whole.shape, whole[name].dtype) == ((0,), kind)


def test_arrays_of_equal_length_stay_one_a_row() -> None:
    trains = (SpikeSorting.Unit & FIRST).fetch("spike_times")
    assert (trains.shape, trains.dtype) == ((N_UNITS,), object)
    for unit, train in enumerate(trains):
        np.testing.assert_array_equal(train, np.arange(4) + unit)
    table = (SpikeSorting.Unit & FIRST).fetch()
    assert table["spike_times"].shape == (N_UNITS,)
    np.testing.assert_array_equal(table["spike_times"][7], np.arange(4) + 7)
    one = (SpikeSorting.Unit & FIRST & "unit_id = 1").fetch("spike_times")
    assert one.shape == (1,)


def test_dicts_hold_what_was_asked_for() -> None:
    rows = Session.fetch("session_datetime", as_dict=True)
    assert rows == [{"session_datetime": when} for when in WHEN]
    rows = Session.fetch("KEY", "session_datetime", as_dict=True)
    assert list(rows[0]) == ["subject_name", "session_name", "session_datetime"]
    assert list(Session.fetch(as_dict=True)[0]) == list(Session.heading.names)


def test_keys() -> None:
    keys = [dict(subject_name=s, session_name=n) for s, n in SESSIONS]
    assert Session.fetch("KEY") == keys
    names, again = Session.fetch("session_name", "KEY")
    assert (list(names), again) == ([n for _, n in SESSIONS], keys)


def test_frames_are_indexed_by_the_key() -> None:
    frame = Session.fetch(format="frame")
    assert frame.index.names == ["subject_name", "session_name"]
    assert list(frame.session_datetime) == WHEN


def test_joins_fetch_the_same_way() -> None:
    query = (EphysRecording & "subject_name = 'JC1'").proj()
    frame = pd.DataFrame((Session * EphysRecording * UnitCount & query).fetch())
    assert list(frame["all"]) == [1, 2]
    assert list(frame.recording_duration) == [100.5, 101.5]
    assert list(frame.session_datetime) == WHEN[:2]
    dates, duration = (Session * EphysRecording & query).fetch(
        "session_datetime", "recording_duration"
    )
    assert list(dates) == WHEN[:2]
    assert duration.dtype == np.float64
    days = (dates - datetime(2025, 5, 30)).astype("timedelta64[D]").astype(int)
    assert list(days) == [4, 2]


@pytest.mark.parametrize(
    "arguments,expected",
    [
        (dict(order_by="session_datetime"), [1, 2, 0]),
        (dict(order_by="session_datetime DESC"), [0, 2, 1]),
        (dict(order_by=["session_name DESC", "subject_name"]), [1, 0, 2]),
        (dict(order_by="KEY DESC"), [2, 1, 0]),
        (dict(order_by="session_datetime", limit=2), [1, 2]),
        (dict(order_by="session_datetime", limit=1, offset=1), [2]),
        (dict(limit=2), [0, 1]),
        (dict(offset=1), [1, 2]),
        (dict(limit=5, offset=2), [2]),
        (dict(limit=0), []),
    ],
)
def test_order_limit_and_offset(arguments: dict[str, Any], expected: list[int]) -> None:
    wanted = [SESSIONS[i] for i in expected]
    for query in (Session, Session.proj("session_datetime"), Session * Dataset):
        found = query.fetch("subject_name", "session_name", **arguments)
        assert list(zip(*found, strict=True)) == wanted
        rows = query.fetch("session_name", as_dict=True, **arguments)
        assert rows == [{"session_name": name} for _, name in wanted]
        assert [r[0] for r in query.fetch(**arguments)] == [s for s, _ in wanted]


def test_order_by_a_renamed_attribute() -> None:
    query = Session.proj(when="session_datetime", animal="subject_name")
    found = query.fetch("animal", "when", order_by="when")
    assert list(found[1]) == sorted(WHEN)
    assert list(found[0]) == ["JC1", "JC2", "JC1"]


def test_top_keeps_its_own_order() -> None:
    query = Session & dj.Top(2, "session_datetime")
    assert list(query.fetch("session_datetime")) == sorted(WHEN)[:2]
    assert list(query.fetch("session_datetime", limit=1)) == sorted(WHEN)[:1]


def test_aggregates() -> None:
    counts = Subject.aggr(Session, number_of_sessions="count(session_name)")
    frame = pd.DataFrame(counts)
    assert dict(zip(frame.subject_name, frame.number_of_sessions, strict=True)) == {
        "JC1": 2,
        "JC2": 1,
    }
    assert counts.fetch("number_of_sessions").dtype == np.int64
    # the guide counts the subject's own name: a subject without sessions must not count as one
    guide = Subject.aggr(Session, number_of_sessions="count(subject_name)")
    assert list(guide.fetch("number_of_sessions")) == [2, 1]
    everyone = Subject.aggr(Session, n="count(session_name)", keep_all_rows=True)
    assert list(everyone.fetch("n")) == [2, 1, 0]
    newer = Subject.aggr(Session, n="count(session_name)", exclude_nonmatching=False)
    assert list(newer.fetch("n")) == [2, 1, 0]
    first = (Subject & 'subject_name = "JC1"').aggr(Session, first="min(session_datetime)")
    assert first.fetch1("first") == min(WHEN[:2])
    mean = Subject.aggr(EphysRecording, mean="avg(recording_duration)").fetch("mean")
    assert mean.dtype == np.float64
    np.testing.assert_allclose(mean, [101.0, 102.5])
    with_none = Subject.aggr(EphysRecording, m="max(recording_duration)", keep_all_rows=True)
    np.testing.assert_array_equal(with_none.fetch("m"), [101.5, 102.5, np.nan])


def test_what_is_not_an_attribute_is_named() -> None:
    with pytest.raises((QueryError, dj.DataJointError), match="sesion_name"):
        Session.fetch("sesion_name")


def test_fetch1_needs_one_row() -> None:
    with pytest.raises(dj.DataJointError):
        Session.fetch1()


# --- restrictions --------------------------------------------------------------------------------


def test_not_null_as_text_keeps_zeros() -> None:
    kept = (UnitMetrics & FIRST & 'shank != "NULL"').fetch("unit_id")
    assert list(kept) == [unit for unit in range(N_UNITS) if SHANKS[unit] is not None]
    assert len(UnitMetrics & FIRST & "position != 'NULL'") == N_UNITS - 1
    assert len(UnitMetrics & FIRST & 'position <> "NULL"') == N_UNITS - 1
    assert list((UnitMetrics & FIRST & 'firing_rate = "NULL"').fetch("unit_id")) == [3]
    assert len(Session & 'experimenter != "NULL"') == 2
    assert len(Session - 'experimenter != "NULL"') == 1


def test_a_row_restricts_although_it_holds_arrays() -> None:
    row = (UnitMetrics & FIRST & "unit_id = 7").fetch1()
    assert len(UnitMetrics & row) == 1
    with_null = (UnitMetrics & FIRST & "unit_id = 3").fetch1()
    assert with_null["firing_rate"] is None
    assert (UnitMetrics & with_null).fetch1("unit_id") == 3
    configuration = (EphysRecording.ProbeSetting * ProbeConfiguration & FIRST).fetch1()
    assert len(SpikeSorting & configuration) == 1
    assert len(SpikeSorting.Unit & (Session & FIRST).fetch1()) == N_UNITS


def test_nan_and_none_mean_missing() -> None:
    for value in (np.nan, None, np.float64("nan"), float("nan")):
        assert list((UnitMetrics & FIRST & dict(firing_rate=value)).fetch("unit_id")) == [3]
    assert len(UnitMetrics & FIRST & dict(shank=None)) == 5


def test_numpy_numbers() -> None:
    assert len(UnitMetrics & dict(unit_id=np.int32(4))) == 3
    assert len(UnitMetrics & dict(unit_id=np.uint8(4), firing_rate=np.float64(6.0))) == 3
    assert len(LabMember & dict(is_active=np.bool_(True))) == 1
    assert len(LabMember & dict(is_active=True)) == 1
    assert len(Session & dict(session_datetime=pd.Timestamp(WHEN[0]))) == 1
    assert len(Session & dict(session_datetime=np.datetime64(WHEN[0]))) == 1


@pytest.mark.parametrize(
    "restriction",
    [
        {"sesion_name": "s1"},
        {"unit_id": 3},
        pd.DataFrame({"unit_id": [1, 2]}),
        [{"unit_id": 3}],
        pd.Series({"unit_id": 3}),
        np.array([(1,)], dtype=[("unit_id", "i8")]),
    ],
    ids=["misspelt", "dict", "frame", "list", "series", "records"],
)
def test_nothing_in_common_is_an_error_and_not_every_row(restriction: Any) -> None:
    with pytest.raises(QueryError, match="nothing in common"):
        len(Session & restriction)
    with pytest.raises(QueryError, match="nothing in common"):
        len(Session - restriction)


def test_a_row_of_arrays_only_is_an_error() -> None:
    with pytest.raises(QueryError, match="nothing in common"):
        len(SpikeSorting.Unit & {"spike_times": np.arange(3)})


def test_records_and_frames_restrict() -> None:
    table = UnitMetrics.fetch()
    chosen = table[(table["firing_rate"] > 10) & (table["subject_name"] == "JC2")]
    units = UnitMetrics & chosen
    expected = [unit for unit in range(N_UNITS) if RATES[unit] and RATES[unit] > 10]
    assert list(units.fetch("unit_id")) == expected
    assert (UnitMetrics & chosen[0]).fetch1("unit_id") == expected[0]
    frame = pd.DataFrame(chosen)
    assert list((UnitMetrics & frame).fetch("unit_id")) == expected
    assert list((SpikeSorting.Unit & frame).fetch("unit_id")) == expected
    indexed = UnitMetrics.fetch(format="frame").query("firing_rate > 10")
    assert len(UnitMetrics & indexed) == 3 * len(expected)
    assert len(UnitMetrics & indexed.iloc[:0]) == 0
    assert len(UnitMetrics & chosen[:0]) == 0


def test_a_list_of_keys() -> None:
    keys = Session.fetch("KEY")
    assert len(Session & keys[1:]) == 2
    assert len(Session - keys[1:]) == 1
    assert len(Session & []) == 0


def test_reserved_words() -> None:
    assert list((UnitCount & "all > 2").fetch("all")) == [3]
    assert list((UnitCount & "`all` > 2").fetch("all")) == [3]
    assert list((UnitCount & "all > 1" & "all < 3").fetch("all")) == [2]
    assert list((UnitCount & dict(all=3)).fetch("all")) == [3]
    assert len(UnitCount & "unit_criteria_id = ALL (SELECT 1)") == 3
    assert len(UnitCount & 'subject_name != "all"') == 3
    assert len(Session * UnitCount & "all > 2") == 1
    assert list(UnitCount.fetch("all", order_by="all DESC")) == [3, 2, 1]


def test_restrictions_by_queries_and_their_negation() -> None:
    assert len(Session & (Dataset & 'dataset_name LIKE "%ephys%"')) == 3
    assert len(Subject - Session) == 1
    assert len(Subject & dj.Not(dict(subject_name="JC1"))) == 2
    assert len(UnitMetrics & dj.Not('shank != "NULL"')) == 15
    assert len(Session & dj.AndList(['experimenter != "NULL"', dict(subject_name="JC1")])) == 1


# --- other connections, threads, forks -----------------------------------------------------------


def test_another_connection_keeps_datajoint_as_it_is() -> None:
    ours = connect()
    assert ours.embedded is not None
    database = ours._preferences.name

    class Plain(dj.Connection):
        def connect(self) -> None:
            self._conn = ours.embedded._connect()
            self._is_closed = False

    with pytest.warns(UserWarning, match="MariaDB"):
        plain = Plain("localhost", "labdata", ours.embedded.password())
    module = dj.VirtualModule("plain", database, connection=plain)
    with pytest.warns(DeprecationWarning):
        rows = module.Session.fetch("session_name", as_dict=True)
    assert set(rows[0]) > {"session_name"}, "DataJoint adds the key"
    assert len(module.Session & {"nothing": 1}) == 3
    assert len(module.Subject.aggr(module.Session, n="count(session_name)")) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(Session.fetch("session_name", as_dict=True)[0]) == ["session_name"]


def test_eight_threads_read_at_once() -> None:
    faults: list[Any] = []

    def read(number: int) -> None:
        try:
            for _ in range(15):
                unit = number % N_UNITS
                found = (UnitMetrics & FIRST & dict(unit_id=unit)).fetch("unit_id", "num_spikes")
                if [list(column) for column in found] != [[unit], [4]]:
                    faults.append(found)
                train = (SpikeSorting.Unit & FIRST & dict(unit_id=unit)).fetch1("spike_times")
                if list(train) != list(np.arange(4) + unit):
                    faults.append(train)
        except BaseException as fault:
            faults.append(fault)

    run_threads(read)
    assert faults == []


def run_threads(target: Any, n: int = 8) -> None:
    threads = [threading.Thread(target=target, args=(number,)) for number in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def test_each_thread_has_its_own_transaction() -> None:
    connection, faults = connect(), []
    barrier = threading.Barrier(8, timeout=30)

    def write(number: int) -> None:
        member = dict(user_name=f"thread{number}")
        try:
            barrier.wait()
            with connection.transaction:
                assert connection.in_transaction
                LabMember.insert1(member)
                barrier.wait()
                if number % 2:
                    raise KeyError(number)
        except KeyError:
            pass
        except BaseException as fault:
            faults.append(fault)

    run_threads(write)
    assert faults == []
    assert not connection.in_transaction
    kept = set(LabMember.fetch("user_name")) - {"couto"}
    assert kept == {"thread0", "thread2", "thread4", "thread6"}
    (LabMember & [dict(user_name=name) for name in kept]).delete(prompt=False)


def test_threads_that_end_leave_no_connections() -> None:
    connection = connect()
    run_threads(lambda number: len(Session()))

    def count() -> int:
        return len(connection.query("SHOW PROCESSLIST").fetchall())

    for _ in range(3):
        run_threads(lambda number: len(Session()))
    assert count() < 8


def _child(queue: Any) -> None:
    try:
        queue.put((connect().connection_id, list(Session.fetch("session_name"))))
    except BaseException as fault:
        queue.put(repr(fault))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_has_its_own_connection() -> None:
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    mine = connect().connection_id
    children = [context.Process(target=_child, args=(queue,)) for _ in range(3)]
    with connect().transaction:
        LabMember.insert1(dict(user_name="forked"))
        for child in children:
            child.start()
        answers = [queue.get(timeout=60) for _ in children]
        for child in children:
            child.join()
    assert all(names == [n for _, n in SESSIONS] for _, names in answers), answers
    assert len({mine, *(number for number, _ in answers)}) == 4
    assert connect().connection_id == mine
    assert len(LabMember & dict(user_name="forked")) == 1
    (LabMember & dict(user_name="forked")).delete(prompt=False)


def kill_connection(number: int) -> None:
    embedded = connect().embedded
    assert embedded is not None
    with embedded._connect() as admin, admin.cursor() as cursor:
        cursor.execute(f"KILL {number}")


def test_a_lost_connection_is_made_again(caplog: pytest.LogCaptureFixture) -> None:
    kill_connection(connect().connection_id)
    assert len(Session()) == 3


def test_a_connection_lost_in_a_transaction_is_an_error_and_nothing_is_kept() -> None:
    connection = connect()
    with pytest.raises(dj.errors.LostConnectionError), connection.transaction:
        LabMember.insert1(dict(user_name="lost"))
        kill_connection(connection.connection_id)
        LabMember.insert1(dict(user_name="after"))
    assert not connection.in_transaction
    assert set(LabMember.fetch("user_name")) == {"couto"}


# --- delete --------------------------------------------------------------------------------------


def test_delete_by_a_restricted_child() -> None:
    fill_session("JC3", "gone", WHEN[0] + timedelta(days=1), 9)
    fill_session("JC3", "kept", WHEN[0] + timedelta(days=2), 4)
    (Session & (UnitCount & "all = 10")).delete(prompt=False)
    assert list((Session & 'subject_name = "JC3"').fetch("session_name")) == ["kept"]
    (Session & (UnitCount & "all > 4" & 'subject_name = "JC3"').proj()).delete(safemode=False)
    assert len(Session()) == 3
    assert len(SpikeSorting.Unit()) == 3 * N_UNITS


def test_delete_quick_by_a_restricted_child() -> None:
    Session.insert1(dict(subject_name="JC3", session_name="q", session_datetime=WHEN[0]))
    DatasetEvents()
    (Session & (Subject & 'subject_name = "JC3"')).delete_quick()
    assert len(Session()) == 3
