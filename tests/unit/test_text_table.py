"""Tables for a terminal: whole words at every width, and nothing left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labdata.text_table import format_table

HEADINGS = ["job", "status", "subject", "session", "size", "host", "log"]
ROW = ["12", "FAILED", "JC1", "20240305_100000", "1.5 GiB", "rig-7", "one\nb.bin differs"]
RIGHT = [True, False, False, False, True, False, False]


def lines(width, rows=(ROW,)):
    return format_table(HEADINGS, rows, right=RIGHT, width=width).splitlines()


def test_a_wide_terminal_has_all_short_columns_beside_each_other():
    heading, rule, row, *below = lines(160)
    assert heading == "job  status  subject  session             size  host"
    assert rule == "─" * (len(heading) + 1)  # rig-7 is longer than its heading
    assert row == " 12  FAILED  JC1      20240305_100000  1.5 GiB  rig-7"
    assert below == ["    one", "    b.bin differs"]


def test_in_a_narrow_one_the_last_columns_go_below_with_their_headings():
    heading, _, row, *below = lines(45)
    assert heading == "job  status  subject  session"
    assert row == " 12  FAILED  JC1      20240305_100000"
    assert below == ["    size 1.5 GiB · host rig-7", "    one", "    b.bin differs"]


def test_a_cell_without_text_is_not_named_below():
    empty = [*ROW[:5], "", ""]
    assert lines(38, [empty])[3:] == ["    size 1.5 GiB"]


def test_letters_that_take_two_columns_are_counted_so():
    text = format_table(["名前", "n"], [["ab", "1"]], right=[False, True], width=80)
    assert text.splitlines() == ["名前  n", "─" * 7, "ab    1"]


@pytest.mark.parametrize("width", [1, 10, 20, 30, 60, 80, 200])
def test_every_word_is_whole_at_every_width(width):
    words = {word for cell in ROW for word in cell.split()}
    assert words <= set(" ".join(lines(width)).split())


@given(
    st.lists(
        st.lists(st.text("abc de", max_size=12), min_size=3, max_size=3), min_size=1, max_size=4
    ),
    st.integers(15, 60),
)
def test_no_line_is_longer_than_the_terminal(rows, width):
    text = format_table(["x", "y", "z"], rows, right=[False] * 3, width=width)
    assert max(map(len, text.splitlines())) <= max(width, 20)
    for row in rows:
        for word in " ".join(row).split():
            assert word in text
