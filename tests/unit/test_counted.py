"""Numbers in words."""

import pytest

from labdata.counted import count_of, show_duration, show_size


@pytest.mark.parametrize(
    ("number", "thing", "words"),
    [
        (0, "row", "0 rows"),
        (1, "row", "1 row"),
        (2, "row", "2 rows"),
        (1, "entry", "1 entry"),
        (2, "entry", "2 entries"),
        (3, "day", "3 days"),
    ],
)
def test_singular_and_plural(number, thing, words):
    assert count_of(number, thing) == words


@pytest.mark.parametrize(
    ("n_bytes", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (2**40, "1.0 TiB"),
        (3 * 2**50, "3072.0 TiB"),
    ],
)
def test_sizes(n_bytes: int, shown: str) -> None:
    assert show_size(n_bytes) == shown


@pytest.mark.parametrize(
    ("duration_s", "shown"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (7269, "2 h 1 min"),
        (86_400 * 3 + 59, "3 d"),
    ],
)
def test_durations(duration_s: float, shown: str) -> None:
    assert show_duration(duration_s) == shown
