"""The name that a hint offers is the one that a person would say was meant."""

from __future__ import annotations

import pytest

from labdata.nearest import nearest

SESSIONS = ["20250408_110300", "20250303_100000", "20250307_100700"]


@pytest.mark.parametrize(
    ("given", "known", "meant"),
    [
        ("subject", ["SUBJECT", "JC1"], "SUBJECT"),
        ("JC20", ["JC207", "JC201", "MM20"], "JC201"),
        ("2025030", SESSIONS, "20250303_100000"),
        ("20250303_10000", SESSIONS, "20250303_100000"),
        ("20250303_100001", SESSIONS, "20250303_100000"),
        ("visoin", ["attention", "vision"], "vision"),
        ("Visoin", ["attention", "vision"], "vision"),
        ("session_nam", ["session_name", "session_datetime"], "session_name"),
    ],
)
def test_what_was_meant(given: str, known: list[str], meant: str) -> None:
    assert nearest(given, known) == [meant]


@pytest.mark.parametrize("given", ["", "z", "zebra", "J"])
def test_nothing_where_nothing_is_near(given: str) -> None:
    assert nearest(given, ["JC1", "JC2"]) == []


def test_of_nothing_there_is_nothing() -> None:
    assert nearest("JC1", []) == []
