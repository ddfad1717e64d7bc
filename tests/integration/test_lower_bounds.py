"""Numbers that cannot be are refused when typed, and stay when they are copied from elsewhere."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from labdata.cli import main
from labdata.database.lab_dump import dump_lab
from labdata.database.lab_load import load_lab
from labdata.database.lower_bounds import NOT_NEGATIVE
from labdata.errors import DatabaseError
from labdata.schema import default_lab, load_project_schema
from labdata.schema.project_admin import plan_share
from labdata.testing import insert_dataset

pytestmark = pytest.mark.database

ROW = {"subject_name": "JC1", "weighing_datetime": "2025-06-01 09:00:00"}
BROKEN_CRITERIA = "isi_contamination < 0.1 &"

#: Numeric columns that look like a measure and may be negative: why.
MAY_BE_NEGATIVE = {
    "Atlas.Region.region_graph_depth": "an ontology numbers as it likes",
    "ProbeBrainRegion.min_depth": "extrapolated beyond the tip",
    "ProbeBrainRegion.max_depth": "extrapolated beyond the tip",
    "TwoPhoton.Plane.plane_depth": "a stack may begin above the surface",
    "UnitMetrics.depth": "extrapolated beyond the tip",
    "UnitMetrics.spike_duration": "of trough and peak in either order",
}
_MEASURE = re.compile(r"(^n_|_n_|weight|volume|size|duration|_rate$|depth$|^num_|width|height)")


@pytest.fixture(scope="module", autouse=True)
def lab(make_embedded_lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with make_embedded_lab(tmp_path_factory.mktemp("bounds")):
        insert_dataset(default_lab, "JC1")
        insert_dataset(load_project_schema("vision"), "JC1")
        yield default_lab


def refusal(do: Any) -> DatabaseError:
    with pytest.raises(DatabaseError) as caught:
        do()
    assert isinstance(caught.value, ValueError)
    return caught.value


@pytest.mark.parametrize(
    "weight", [-23.4, -3, "-3", np.float32(-1), np.int64(-2), Decimal("-0.5"), np.array(-1.0)]
)
def test_a_negative_weight_is_refused(lab: Any, weight: Any) -> None:
    error = refusal(lambda: lab.Weighing.insert1({**ROW, "weight": weight}))
    assert error.message == f"weight of Weighing cannot be {weight}: it is 0 or more (g)."
    assert error.hint and "minus" in error.hint
    assert len(lab.Weighing()) == 0


def test_zero_and_what_may_be_negative_are_taken(lab: Any) -> None:
    lab.Weighing.insert1({**ROW, "weight": 0})
    row = {**ROW, "weighing_datetime": "2025-06-02", "weight": 23.4}
    lab.Weighing.insert1(row)
    with pytest.raises(DatabaseError, match="cannot be -1"):
        lab.Weighing.update1({**row, "weight": -1})
    assert list(lab.Weighing.fetch("weight")) == [0.0, 23.4]
    (lab.Weighing & ROW).delete_quick()
    lab.Weighing.delete_quick()
    for column in ("insertion_ap", "insertion_ml", "insertion_az"):
        lab.ProbeInsertion().check_cell(column, -500.0)
    assert (
        "insertion_depth"
        in refusal(lambda: lab.ProbeInsertion().check_cell("insertion_depth", -3840.0)).message
    )


def test_of_many_rows_the_wrong_one_is_named(lab: Any) -> None:
    rows = [{**ROW, "weighing_datetime": f"2025-06-0{d}", "weight": 20.0 + d} for d in (1, 2, 3)]
    for wrong, shown in ((-5.0, "-5.0"), (float("nan"), "NaN"), (np.inf, "inf")):
        rows[1]["weight"] = wrong
        for given in (rows, pd.DataFrame(rows), iter(rows), tuple(rows)):
            message = refusal(lambda given=given: lab.Weighing.insert(given)).message
            assert message.startswith(f"weight of Weighing cannot be {shown}: ")
            assert "In row 2 of 3 (subject_name: JC1, weighing_datetime: 2025-06-02)." in message
    assert len(lab.Weighing()) == 0


def test_nan_is_no_name_and_no_default(lab: Any) -> None:
    row = {"subject_dob": "2024-03-05", "subject_sex": "F", "user_name": "couto"}
    for missing in (np.nan, np.float32("nan"), pd.NA):
        error = refusal(
            lambda m=missing: lab.Subject.insert1({**row, "subject_name": m, "strain_name": "x"})
        )
        assert error.message == "subject_name of Subject cannot be NaN: it is a text."
    # the column has the default 0, which NaN would become
    error = refusal(lambda: lab.ProbeInsertion().check_cell("insertion_spin", np.nan))
    assert "cannot be NaN" in error.message


def test_a_missing_number_is_null_where_it_may_be(lab: Any) -> None:
    key = (lab.Dataset & {"subject_name": "JC1"}).fetch1("KEY")
    lab.DatasetVideo.insert1({**key, "video_name": "eye", "frame_rate": np.nan, "n_frames": None})
    (rate,) = (lab.DatasetVideo & "frame_rate IS NULL").fetch("frame_rate")
    assert np.isnan(rate)
    lab.DatasetVideo.delete_quick()


def test_each_bound_is_on_a_number_and_no_measure_is_forgotten(lab: Any) -> None:
    tables = lab.tables_and_parts()
    for name, columns in NOT_NEGATIVE.items():
        for column in columns:
            assert tables[name].heading[column].numeric, (name, column)
    assert sum(map(len, NOT_NEGATIVE.values())) > 60
    found = {
        f"{name}.{column}"
        for name, cls in tables.items()
        for column, attribute in cls.heading.attributes.items()
        if attribute.numeric and not attribute.in_key and _MEASURE.search(column)
    }
    listed = {f"{name}.{column}" for name, columns in NOT_NEGATIVE.items() for column in columns}
    drifts = {n for n in found if "drift" in n}  # differences
    assert found - listed - drifts == set(MAY_BE_NEGATIVE)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BROKEN_CRITERIA, f"Cannot read the expression {BROKEN_CRITERIA!r}"),
        ("isi_contamination", "is not true or false"),
        ("isi_contaminatoin < 0.1", "'isi_contaminatoin' in"),
        ("snr == 'good'", "compares a number with a text"),
        ("__import__('os')", "is not allowed"),
        ("", "Cannot read the expression ''"),
        (5, "is not true or false"),
    ],
)
def test_criteria_that_cannot_be_read_are_refused_at_once(lab: Any, text: Any, words: str) -> None:
    row = {"unit_criteria_id": 1, "sua_criteria": text}
    error = refusal(lambda: lab.UnitCountCriteria.insert1(row))
    assert words in error.message and error.message.startswith("sua_criteria: ")
    also = {"unit_criteria_id": 1, "sua_criteria": "snr > 1", "mua_criteria": text}
    if text != "":
        assert words in refusal(lambda: lab.UnitCountCriteria.insert1(also)).message
    assert len(lab.UnitCountCriteria()) == 0


def test_criteria_that_are_right_are_taken(lab: Any) -> None:
    rows = [
        "isi_contamination < 0.1 & spike_amplitude > 50",
        "abs(depth - 500) < 10 | 1/(snr - 1) > 2",  # a division by zero is no fault of the text
        "~(unit_id in [1, 2])",
        "manual_anna",  # chosen by hand, not by an expression
    ]
    lab.UnitCountCriteria.insert(
        {"unit_criteria_id": n, "sua_criteria": text, "mua_criteria": None}
        for n, text in enumerate(rows)
    )
    with pytest.raises(DatabaseError, match="Cannot read"):
        lab.UnitCountCriteria.update1({"unit_criteria_id": 0, "sua_criteria": "snr >"})
    assert len(lab.UnitCountCriteria()) == 4
    lab.UnitCountCriteria.delete_quick()


def test_rows_of_before_are_dumped_loaded_and_shared_as_they_are(
    lab: Any, make_embedded_lab: Any, tmp_path: Path
) -> None:
    vision, attention = load_project_schema("vision"), load_project_schema("attention")
    query = lab.connection.query
    weighing, criteria = vision.Weighing.full_table_name, vision.UnitCountCriteria.full_table_name
    query(f"INSERT INTO {weighing} VALUES ('JC1', '2020-01-01', -4)")
    query(f"INSERT INTO {criteria} VALUES (7, %s, NULL)", (BROKEN_CRITERIA,))
    plan = plan_share(vision, attention, {"Subject": [("JC1",)]})
    assert plan.apply() > 0
    assert list(attention.Weighing.fetch("weight")) == [-4.0]
    dump_lab(lab.connection, tmp_path / "lab.sqlite")
    with make_embedded_lab(tmp_path / "other"):
        load_lab(default_lab, tmp_path / "lab.sqlite")
        loaded = load_project_schema("vision")
        assert list(loaded.Weighing.fetch("weight")) == [-4.0]
        assert list(loaded.UnitCountCriteria.fetch("sua_criteria")) == [BROKEN_CRITERIA]
    assert main(["db", "status"]) == 0  # of this lab again


def test_the_keys_of_db_status_are_names(lab: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["db", "status", "--json"]) == 0
    (facts,) = json.loads(capsys.readouterr().out)
    assert set(facts) == {"version", "version_of_labdata", "projects", "last_backup"}
    assert main(["db", "status"]) == 0
    assert "version of labdata" in capsys.readouterr().out
