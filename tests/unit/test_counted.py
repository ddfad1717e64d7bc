"""Numbers in words."""

import pytest

from labdata.counted import count_of


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
