"""Parameters of a sorter are refused before it runs where they cannot be what they should."""

from __future__ import annotations

import json
from typing import Any

import pytest

from labdata.errors import TaskError

pytest.importorskip("spikeinterface")
from labdata.compute.analyses.sorter_parameters import complete_parameters


def given(sorter: str, *one: str) -> dict[str, Any]:
    return complete_parameters(sorter, {"param": list(one)})


@pytest.mark.parametrize(
    ("sorter", "one", "said"),
    [
        ("simple", "detect_threshold=abc", "detect_threshold of simple is a number, not 'abc'"),
        ("simple", "detect_threshold=[5]", r"detect_threshold of simple is a number, not \[5\]"),
        ("simple", "apply_preprocessing=yes", "is true or false, not 'yes'"),
        ("simple", "detection.x=5", "simple has no parameter 'detection'"),
        ("spykingcircus2", "detection=5", "detection of spykingcircus2 is a group of parameters"),
        ("spykingcircus2", "filtering.freq_min=low", "filtering.freq_min of spykingcircus2 is a"),
    ],
)
def test_a_value_of_another_kind_is_refused(sorter: str, one: str, said: str) -> None:
    with pytest.raises(TaskError, match=said) as caught:
        given(sorter, one)
    assert caught.value.hint


def test_values_of_the_right_kind_are_taken() -> None:
    assert given("simple", "detect_threshold=6")["detect_threshold"] == 6
    assert given("simple", "detect_threshold=6.5", "seed=3")["seed"] == 3
    assert given("simple", "apply_preprocessing=false")["apply_preprocessing"] is False
    assert given("simple", "peak_sign=both")["peak_sign"] == "both"
    found = given("spykingcircus2", "filtering.freq_min=200")
    assert found["filtering"]["freq_min"] == 200 and "freq_max" in found["filtering"]


@pytest.mark.parametrize("sorter", ["simple", "spykingcircus2", "tridesclous2"])
def test_each_sorters_own_defaults_are_taken_when_they_are_given(sorter: str) -> None:
    usual = complete_parameters(sorter, {})
    assert complete_parameters(sorter, {"params": json.dumps(usual)}) == usual
