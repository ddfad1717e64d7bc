"""Another animal's name in the path or in the files stops a put; parts of names do not."""

from __future__ import annotations

import time

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


def check_paths(subject: str, *paths: str, known: tuple[str, ...] = tuple(KNOWN)) -> None:
    check_same_animal(subject, known, path_subject=None, texts={}, paths=paths)


@pytest.mark.parametrize(
    ("path", "part", "other"),
    [
        ("JC1/20240305/task/JC10_20240305_log.csv", "JC10_20240305_log.csv", "JC10"),
        ("JC1/20240305/JC10_task/a.csv", "JC10_task", "JC10"),
        ("JC1/20240305/task/left/mouse-7.tif", "mouse-7.tif", "mouse-7"),
        ("incoming/jc10/a.csv", "jc10", "JC10"),
    ],
)
def test_the_name_of_a_file_or_folder_of_another_animal(path: str, part: str, other: str) -> None:
    with pytest.raises(UploadError) as caught:
        check_paths("JC1", "JC1/20240305/task/video.avi", path)
    assert caught.value.message == f"The name {part!r} says {other!r}, and this is put as 'JC1'."


def test_names_of_the_same_of_both_or_of_no_animal() -> None:
    check_paths("JC1", "JC1/20240305/task/JC1_log.csv", "JC1/x/JC1_JC10_social.avi", "a/b.csv")
    check_paths("JC1_b", "JC1_b/20240305/task/JC1_b.csv")


def test_numbers_that_count_are_no_animals_in_names() -> None:
    known = ("7", "123", "1234", "JC1")
    check_paths("JC1", "JC1/20240305/task/trial_7_123.csv", known=known)
    with pytest.raises(UploadError, match="'1234'"):
        check_paths("JC1", "JC1/20240305/task/1234_log.csv", known=known)
    check_paths("123", "123/20240305/task/123_7.csv", known=known)


def test_many_files_and_many_animals_take_no_time() -> None:
    known = tuple(f"JC{n}" for n in range(5_000))
    paths = [f"JC1/20240305/task/frame_{n:06}_JC1_left.tif" for n in range(20_000)]
    began = time.perf_counter()
    check_paths("JC1", *paths, known=known)
    assert time.perf_counter() - began < 5  # trying each animal on each name takes minutes
