"""The table of what was tried and what came of it.

Each test of a fault notes a row. Where the environment variable ``LABTEST_OUTCOMES`` names a file,
the rows are added to the table in it, so that runs of several processes make one table.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

_COLUMNS = ("verb", "fault", "moments", "seen at once", "after a rerun")
Note = Callable[[str, str, int, str, str], None]


@pytest.fixture(scope="session")
def outcomes() -> Iterator[Note]:
    """Note verb, fault, number of moments tried, what was seen at once, what a rerun did."""
    rows: list[tuple[str, ...]] = []

    def note(verb: str, fault: str, n_moments: int, at_once: str, rerun: str) -> None:
        rows.append((verb, fault, str(n_moments), at_once, rerun))

    yield note
    if named := os.environ.get("LABTEST_OUTCOMES"):
        write_table(Path(named), rows)


def write_table(path: Path, rows: list[tuple[str, ...]]) -> None:
    """Add rows to a Markdown table; one that is not there begins with its head."""
    lines = [] if path.exists() else [_COLUMNS, ("---",) * len(_COLUMNS)]
    with path.open("a", encoding="utf-8") as file:
        for row in [*lines, *rows]:
            file.write("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n")
