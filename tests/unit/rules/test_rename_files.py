"""Where a path has the name of its subject, session or dataset, and where it only looks so."""

from __future__ import annotations

import pytest

from labdata.rules.rename_files import new_path

RULES = "{subject_name}/{session_name}/{dataset_name}"
BOTH = "{subject_name}_{session_name}"
KEY = {"subject_name": "JC1", "session_name": "S", "dataset_name": "ephys"}


@pytest.mark.parametrize(
    ("path", "changed", "to", "rules", "expected"),
    [
        ("JC1/S/ephys/JC1.bin", "subject_name", "X", RULES, "X/S/ephys/JC1.bin"),
        ("JC1/S/ephys/S/a", "session_name", "T", RULES, "JC1/T/ephys/S/a"),
        ("JC1/S/ephys/ephys_g0.bin", "dataset_name", "e", RULES, "JC1/S/e/ephys_g0.bin"),
        ("JC11/S/ephys/a", "subject_name", "X", RULES, None),
        ("jc1/S/ephys/a", "subject_name", "X", RULES, None),
        ("old/JC1/S/a", "subject_name", "X", RULES, None),
        ("JC1/T/ephys/a", "session_name", "X", RULES, None),
        ("JC1/S/ephys2/a", "dataset_name", "X", RULES, None),
        ("JC1", "subject_name", "X", RULES, None),
        ("raw/JC1_S/e/a", "session_name", "T", f"raw/{BOTH}", "raw/JC1_T/e/a"),
        ("JC1/JC1_S/a", "subject_name", "X", f"{{subject_name}}/{BOTH}", "X/X_S/a"),
        ("2024/JC1/a", "subject_name", "X", "{year}/{subject_name}", "2024/X/a"),
        ("20/24/JC1/a", "subject_name", "X", "{year}/{subject_name}", None),
        ("JC1/S/ephys/a", "dataset_name", "X", "{subject_name}/{session_name}", None),
    ],
)  # fmt: skip
def test_the_name_is_changed_in_its_place_only(path, changed, to, rules, expected) -> None:
    assert new_path(path, [KEY], changed, to, rules) == expected


def test_names_that_are_not_known_may_be_any() -> None:
    key = {"subject_name": "JC1", "session_name": "S"}
    assert new_path("JC1/S/any/a", [key], "session_name", "T", RULES) == "JC1/T/any/a"
    assert new_path("JC1/S/any/a", [], "session_name", "T", RULES) is None


def test_a_name_with_signs_of_a_pattern_is_taken_as_it_is() -> None:
    key = {"subject_name": "J.1+"}
    assert new_path("J.1+/a", [key], "subject_name", r"X\1", RULES) == r"X\1/a"
    assert new_path("Jx11/a", [key], "subject_name", "X", RULES) is None
