"""Tables as text, for a terminal of any width, in which no word is ever broken.

Columns that do not fit go, from the last one, to lines below their row; so do texts of several
lines. Nothing is left out.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

GAP = 2


def format_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[bool], width: int
) -> str:
    """Return a table as lines of text.

    Parameters
    ----------
    headings : sequence of str
        Of the columns.
    rows : sequence of sequence of str
        Cells; a column with a text of several lines is printed below its rows.
    right : sequence of bool
        Whether a column is aligned to the right.
    width : int
        Characters a line may have. Only a first column that is wider than that is let pass it.
    """
    columns = list(range(len(headings)))
    below = [c for c in columns[1:] if any("\n" in row[c] for row in rows)]
    beside = [c for c in columns if c not in below]
    widths = {c: max(map(_length, [headings[c], *(row[c] for row in rows)])) for c in beside}
    while len(beside) > 1 and sum(widths[c] + GAP for c in beside) - GAP > width:
        below.append(beside.pop())
    below.sort()

    def line(cells: Sequence[str]) -> str:
        placed = (_place(cells[c], widths[c], right[c]) for c in beside)
        return (" " * GAP).join(placed).rstrip()

    used = sum(widths[c] + GAP for c in beside) - GAP
    lines = [line(headings), "─" * min(used, width)]
    for row in rows:
        lines += [line(row), *_lines_below(headings, row, below, width)]
    return "\n".join(lines)


def _lines_below(
    headings: Sequence[str], row: Sequence[str], below: Sequence[int], width: int
) -> list[str]:
    """Return the short cells of a row on one line with their headings, then its long texts."""
    short = [f"{headings[c]} {row[c]}" for c in below if row[c] and "\n" not in row[c]]
    paragraphs = [" · ".join(short)] if short else []
    for c in below:
        if "\n" in row[c]:
            paragraphs += row[c].splitlines()
    indent = " " * 2 * GAP
    return [
        line
        for text in paragraphs
        for line in textwrap.wrap(
            text,
            max(width, 20),
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    ]


def _place(text: str, width: int, to_right: bool) -> str:
    space = " " * (width - _length(text))
    return space + text if to_right else text + space


def _length(text: str) -> int:
    """Return the columns of a terminal that a text takes; some letters take two, or none."""
    from rich.cells import cell_len

    return cell_len(text)
