"""What a path says: every layout that path_rules can describe, and nothing guessed."""

from __future__ import annotations

from datetime import datetime

import pytest

from labdata.errors import PreferenceError, UploadError
from labdata.rules.names import check_name, guess_dataset_type, parse_date, read_path

RULE = "{subject_name}/{session_name}/{dataset_name}"
DATE = ("session_name", "%Y%m%d_%H%M%S")


def names(path, rule=RULE, date=DATE):
    found = read_path(path, rule, date)
    return found.subject_name, found.session_name, found.dataset_name


def test_the_default_layout():
    found = read_path("JC1/20260131_140500/ephys_g0", RULE, DATE)
    assert found.subject_name == "JC1"
    assert found.session_name == "20260131_140500"
    assert found.dataset_name == "ephys_g0"
    assert found.session_datetime == datetime(2026, 1, 31, 14, 5)
    assert found.dataset_type == "ephys"


@pytest.mark.parametrize(
    ("path", "rule", "expected"),
    [
        ("JC1/s/d/deeper/still", RULE, ("JC1", "s", "d")),
        ("JC1/s", RULE, ("JC1", "s", None)),
        ("JC1", RULE, ("JC1", None, None)),
        ("data/JC1/s/d", "data/" + RULE, ("JC1", "s", "d")),
        ("raw/JC1/s/d", "data/" + RULE, (None, None, None)),
        ("JC1/2026_s/d", "{subject_name}/2026_{session_name}/{dataset_name}", ("JC1", "s", "d")),
        ("s/JC1/d", "{session_name}/{subject_name}/{dataset_name}", ("JC1", "s", "d")),
        ("JC1_s/d", "{subject_name}_{session_name}/{dataset_name}", ("JC1", "s", "d")),
        ("JC1_s_2/d", "{subject_name}_{session_name}/{dataset_name}", ("JC1", "s_2", "d")),
        ("rig.1/JC1/s/d", "rig.1/" + RULE, ("JC1", "s", "d")),
        ("rigx1/JC1/s/d", "rig.1/" + RULE, (None, None, None)),
        ("a/JC1/s/d", "{rig}/" + RULE, ("JC1", "s", "d")),
        ("JC 1/a b/Größe", RULE, ("JC 1", "a b", "Größe")),
        ("JC1/s/d", "{subject_name}", ("JC1", None, None)),
    ],
)
def test_layouts(path, rule, expected):
    assert names(path, rule) == expected


def test_a_literal_that_does_not_fit_leaves_nothing_half_read():
    """Half of the names would be right for the wrong reason."""
    found = read_path("JC1/x/20260131_140500", "{subject_name}/data/{session_name}", DATE)
    assert (found.subject_name, found.session_name, found.session_datetime) == (None, None, None)


@pytest.mark.parametrize(
    "rule", ["{subject_name}{subject_name}/{session_name}", "{1}/{session_name}"]
)
def test_a_malformed_rule_is_named(rule):
    with pytest.raises(PreferenceError, match="path_rules"):
        read_path("JC1/s", rule, DATE)


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        ("20260131_140500", "%Y%m%d_%H%M%S", datetime(2026, 1, 31, 14, 5)),
        ("2026-01-31", "%Y-%m-%d", datetime(2026, 1, 31)),
        ("20260231_140500", "%Y%m%d_%H%M%S", None),
        ("20260131_140500_2", "%Y%m%d_%H%M%S", None),
        ("x20260131_140500", "%Y%m%d_%H%M%S", None),
        ("monday", "%Y%m%d_%H%M%S", None),
        ("", "%Y%m%d_%H%M%S", None),
        (None, "%Y%m%d_%H%M%S", None),
    ],
)
def test_dates(text, form, expected):
    assert parse_date(text, form) == expected


def test_the_date_may_be_in_a_field_of_its_own():
    rule = "{subject_name}/{day}_{session_name}/{dataset_name}"
    found = read_path("JC1/20260131_a/d", rule, ("day", "%Y%m%d"))
    assert found.session_datetime == datetime(2026, 1, 31)
    assert found.session_name == "a"


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ("ephys_g0", "ephys"),
        ("run_ephys_g1", "ephys"),
        ("task", "task-training"),
        ("two_photon_1", "imaging-2p"),
        ("one_photon", "imaging-widefield"),
        ("analysis", "analysis"),
        ("ephys_task", "ephys"),
        ("Ephys", None),
        ("notes", None),
        ("", None),
        (None, None),
    ],
)
def test_the_type_that_a_name_hints_at(dataset, expected):
    assert guess_dataset_type(dataset) == expected


@pytest.mark.parametrize("name", ["JC1", "a", "JC 1", "A-b_c.d+e", "Müller", "20260131_140500"])
def test_names_that_are_usable(name):
    assert check_name("subject_name", name, 20) == name


@pytest.mark.parametrize(
    "name",
    [
        *("..", ".", ".hidden", "-rf", "a/b", "a\\b", "a\nb", "a'b", 'a"b', "a`b", "a%", "a*"),
        *(" a", "a ", "a.", "a\n", "x" * 21, "\u202eabc"),
    ],
)
def test_names_that_are_not(name):
    with pytest.raises(UploadError, match="subject_name") as caught:
        check_name("subject_name", name, 20)
    assert caught.value.hint and "20" in caught.value.hint


@pytest.mark.parametrize(
    ("field", "flag"), [("subject_name", "-a"), ("session_name", "-s"), ("dataset_name", "-d")]
)
@pytest.mark.parametrize("missing", [None, ""])
def test_a_missing_name_says_which_option_gives_it(field, flag, missing):
    with pytest.raises(UploadError, match=field) as caught:
        check_name(field, missing, 20)
    assert flag in str(caught.value.hint)


def test_fault_27_a_session_that_is_no_date_is_read_without_a_word(capsys):
    names = read_path(
        "JC1/pilot/ephys_g0",
        "{subject_name}/{session_name}/{dataset_name}",
        ("session_name", "%Y%m%d_%H%M%S"),
    )
    assert (names.session_name, names.session_datetime) == ("pilot", None)
    assert capsys.readouterr() == ("", "")
