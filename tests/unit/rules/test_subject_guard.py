"""Another animal's name in the path or in the files stops a put; parts of names do not."""

from __future__ import annotations

import pytest

from labdata.errors import UploadError
from labdata.rules.subject_guard import check_same_animal

KNOWN = ["JC1", "JC10", "JC1_b", "mouse-7", "Ä3"]


def check(subject: str, text: str, path_subject: str | None = None) -> None:
    check_same_animal(
        subject, KNOWN, path_subject=path_subject, texts={"fileName in x.meta": text}
    )


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("JC1", "D:/data/JC1/20240305/run_g0"),
        ("JC1", "D:/data/jc1/20240305/run_g0"),
        ("JC1", "D:/data/nobody/run_g0"),
        ("JC1", "JC100 XJC10 JC10x"),
        ("JC1", "JC10 and JC1 together"),
        ("JC1_b", "D:\\data\\JC1_b_20240305"),
        ("mouse-7", "run_mouse-7_g0"),
        ("JC1", ""),
    ],
)
def test_the_same_or_no_animal(subject: str, text: str) -> None:
    check(subject, text)


@pytest.mark.parametrize(
    ("subject", "text", "other"),
    [
        ("JC1", "D:/data/JC10/run_g0", "JC10"),
        ("JC1", "D:/data/JC1_b/run_g0", "JC1_b"),
        ("JC1_b", "D:/data/JC1/run_g0", "JC1"),
        ("JC1", "MOUSE-7", "mouse-7"),
        ("JC1", "run of ä3, left hemisphere", "Ä3"),
        ("JC1", "20240305_JC10_g0", "JC10"),
    ],
)
def test_another_animal_is_named(subject: str, text: str, other: str) -> None:
    with pytest.raises(UploadError, match="fileName in x") as caught:
        check(subject, text)
    assert repr(other) in caught.value.message
    assert "--subject-is-right" in str(caught.value.hint)


def test_the_path_against_what_was_said() -> None:
    check("JC1", "", path_subject="JC1")
    check("JC1", "", path_subject="incoming")  # no subject
    with pytest.raises(UploadError, match="path says 'JC10', you say 'JC1'"):
        check("JC1", "", path_subject="JC10")
