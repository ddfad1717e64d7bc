"""Rows that are asked for in one question: the same as DataJoint's."""

from __future__ import annotations

import numpy as np
import pytest
from test_clocks_of_streams import KEY, add_stream

from labdata.database.quick_rows import select_rows


@pytest.fixture
def lab(lab_rig):
    lab = lab_rig.lab
    lab.Session.insert1({**KEY, "session_datetime": "2024-03-05"}, ignore_extra_fields=True)
    for number, stream in enumerate(("imec0", "nidq", "box")):
        add_stream(lab, KEY, stream, 5 + number, 100.0 * number)
    return lab


LINE = ("stream_name", "event_name", "event_timestamps", "event_values")


@pytest.mark.parametrize("names", [["nidq"], ["nidq", "imec0"], ["none"], []])
def test_they_are_those_that_datajoint_fetches(lab, names):
    keys = [{**KEY, "stream_name": name} for name in names]
    found = select_rows(lab.DatasetEvents.Digital, LINE, keys)
    expected = (lab.DatasetEvents.Digital & keys).fetch(*LINE, as_dict=True)
    assert [list(row) for row in found] == [list(row) for row in expected]
    for row, other in zip(found, expected, strict=True):
        for name in LINE:
            np.testing.assert_array_equal(row[name], other[name])
            assert getattr(row[name], "dtype", None) == getattr(other[name], "dtype", None)


def test_nothing_but_the_question_is_asked(lab, monkeypatch):
    asked = []
    query = type(lab.connection).query
    monkeypatch.setattr(
        type(lab.connection), "query", lambda *a, **k: [asked.append(a[1]), query(*a, **k)][1]
    )
    select_rows(lab.DatasetEvents, ("n_samples", "first_sample"), [KEY])
    assert len(asked) == 1


def test_a_value_is_never_part_of_the_statement(lab):
    key = {**KEY, "stream_name": "x' OR '1'='1"}
    assert select_rows(lab.DatasetEvents, ("stream_name",), [key]) == []
    numbers = select_rows(lab.DatasetEvents, ("sampling_rate", "first_sample"), [KEY])
    assert [type(row["sampling_rate"]) for row in numbers] == [float] * 3
