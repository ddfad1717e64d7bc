"""Criteria on unit metrics: read as the guide writes them, and never run as code."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from labdata.errors import LabdataError
from labdata.schema.unit_count import judge_units, removed_by_clause, split_clauses

NAN = np.nan
METRICS = pd.DataFrame(
    {
        "unit_id": [0, 1, 2, 3],
        "isi_contamination": [0.05, 0.5, NAN, 0.01],
        "spike_amplitude": [80.0, 120.0, 90.0, NAN],
        "depth": [-10.0, 10.0, 30.0, -40.0],
        "shank": pd.array([0, 1, None, 2], dtype=object),
    }
)


def judged(criteria: str) -> list[int]:
    return np.flatnonzero(judge_units(METRICS, criteria)).tolist()


@pytest.mark.parametrize(
    "criteria,units",
    [
        ("isi_contamination < 0.1", [0, 3]),
        ("isi_contamination < 0.1 & spike_amplitude > 50", [0]),
        ("isi_contamination<0.1&spike_amplitude>50", [0]),
        ("isi_contamination < 0.1 | spike_amplitude > 100", [0, 1, 3]),
        ("(isi_contamination < 0.1) & (spike_amplitude > 50)", [0]),
        ("depth > 0 | depth < -20 & spike_amplitude > 50", [1, 2]),
        ("(depth > 0 | depth < -20) & spike_amplitude > 100", [1]),
        ("abs(depth) > 20", [2, 3]),
        ("depth == 10", [1]),
        ("depth != 10", [0, 2, 3]),
        ("-20 < depth < 20", [0, 1]),
        ("depth * 2 + 1 >= 21", [1, 2]),
        ("spike_amplitude > 50\n & depth < 0", [0]),
        ("shank == 0", [0]),
        ("shank IN [0, 2] AND NOT depth > 0", [0, 3]),
        ("shank in [0.0, 2.5]", [0]),
        ("depth > +20", [2]),
        ("1/0 > depth & depth / 0 > 1", [1, 2]),
    ],
)
def test_criteria(criteria: str, units: list[int]) -> None:
    assert judged(criteria) == units


@pytest.mark.parametrize(
    "criteria,units",
    [
        ("isi_contamination > 0.1", [1]),
        ("~(isi_contamination > 0.1)", [0, 3]),
        ("~(isi_contamination < 0.1)", [1]),
        ("~~(isi_contamination < 0.1)", [0, 3]),
        ("isi_contamination != 0.05", [1, 3]),
        ("~(isi_contamination == 0.05)", [1, 3]),
        ("shank != 1", [0, 3]),
        ("~(shank == 1)", [0, 3]),
        ("isi_contamination < 0.1 | depth > 20", [0, 2, 3]),
        ("~(isi_contamination > 0.1 & depth > 20)", [0, 1, 3]),
        ("~(isi_contamination > 0.1 | depth > 20)", [0, 3]),
        ("abs(isi_contamination) >= 0", [0, 1, 3]),
    ],
)
def test_a_missing_number_passes_nothing_also_not_under_negation(
    criteria: str, units: list[int]
) -> None:
    assert judged(criteria) == units


def test_no_units() -> None:
    passes = judge_units(METRICS.iloc[:0], "depth > 0")
    assert (passes.shape, passes.dtype) == ((0,), bool)


def test_an_unknown_column_is_named() -> None:
    with pytest.raises(LabdataError, match="'isi_contaminaton'") as caught:
        judge_units(METRICS, "isi_contaminaton < 0.1")
    assert "isi_contamination" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "criteria",
    [
        "__import__('os').system('true') == 0",
        "depth.max() > 0",
        "depth.__class__ == 1",
        "[x for x in (1, 2)]",
        "(lambda: 1)() == 1",
        "open('x') == 1",
        "abs(depth, 1) > 0",
        "depth > 'a'",
        "depth",
        "1",
        "depth +",
        "",
        "depth > 0; depth",
        "depth[0] > 1",
        "f'{depth}' == 1",
        "depth == 'a'",
        "depth != 'a'",
        "depth in ['a']",
        "depth in 5",
        "depth == [-10, 10, 30, -40]",
        "depth == [1, 2]",
        "[1] * 9999999999 == depth",
        "'x' * 9999999999 == 'x'",
        "depth + 'a' > 0",
        "-'a' == depth",
        "abs('a') > 0",
        "depth < 1j",
        "depth == b'x'",
        "depth < 9" + "9" * 5000,
        "~" * 3000 + "(depth > 0)",
        "not " * 3000 + "depth > 0",
        "-" * 3000 + "1 < depth",
        "(" * 3000 + "depth > 0" + ")" * 3000,
    ],
    ids=lambda text: text[:30],
)
def test_what_is_no_criterion_is_refused_and_never_run(criteria: str) -> None:
    with pytest.raises(LabdataError) as caught:
        judge_units(METRICS, criteria)
    assert caught.value.hint
    assert len(caught.value.message) < 600 and "<unknown>" not in caught.value.message


@pytest.mark.parametrize(
    "criteria,clauses",
    [
        ("depth > 0", ["depth > 0"]),
        ("depth > 0 & shank==1", ["depth > 0", "shank==1"]),
        ("depth > 0 and (shank == 1 | depth < 5)", ["depth > 0", "(shank == 1 | depth < 5)"]),
        ("depth > 0 && ~(shank == 1 & depth < 5)", ["depth > 0", "~(shank == 1 & depth < 5)"]),
        ("depth > 0 & shank == 1 | depth < 5", ["depth > 0 & shank == 1 | depth < 5"]),
    ],
)
def test_clauses_are_split_where_all_must_be_met(criteria: str, clauses: list[str]) -> None:
    assert split_clauses(criteria) == clauses


def test_what_each_clause_removed_by_brute_force() -> None:
    rng = np.random.default_rng(1)
    metrics = pd.DataFrame(rng.uniform(0, 1, (120, 3)), columns=["a", "b", "c"])
    metrics.loc[rng.random(120) < 0.2, "b"] = np.nan
    found = removed_by_clause(metrics, "a < 0.7 & b > 0.3 & abs(c) < 0.9").to_dict("records")
    passes = [(a < 0.7, b > 0.3, c < 0.9) for a, b, c in metrics.to_numpy()]
    assert [row["removed"] for row in found] == [sum(not p[i] for p in passes) for i in range(3)]
    assert [row["alone"] for row in found] == [
        sum(not p[i] and sum(p) == 2 for p in passes) for i in range(3)
    ]
    assert [row["missing"] for row in found] == [0, int(metrics["b"].isna().sum()), 0]
    assert {row["units"] for row in found} == {120}
