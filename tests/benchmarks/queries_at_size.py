"""Print how long the usual queries take in a lab of 500 subjects, 100,000 sessions, 10^6 files.

Run it by hand: ``python tests/benchmarks/queries_at_size.py FOLDER``. The lab is made in the
folder at the first run (a minute or two). A line says the median of five times, the rows that
came, the statements sent, and the indexes that the server used; ``all of`` is a table that was
read whole, with the rows that the server believed it to have.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))


def main(folder: Path) -> None:
    """Make the lab if it is not there, and print the times."""
    os.environ["LABDATA_PATH"] = str(folder / "labdata")
    from size_queries import QUERIES, heard

    from labdata.schema import Session, default_lab
    from labdata.testing import insert_many

    with heard() as said:
        default_lab.activate()
        n_opening = len(said)
        n_rows = len(Session())
    changes = [query for query, _ in said if _changes_tables(query)]
    _say(f"opening {n_opening} statements, first query {len(said) - n_opening} more,")
    _say(f"  of which {len(changes)} make or change tables")
    if n_rows == 0:
        insert_many(default_lab)
    _say(f"{'ms':>8} {'rows':>7} {'stmts':>5}  query: indexes")
    for name, query in QUERIES.items():
        _say(_measure(name, query))


def _measure(name: str, query: Callable[[], Any]) -> str:
    from size_queries import heard, plan_of

    from labdata.database.connection import connect

    query()  # headings are read, pages before are found
    with heard() as said:
        result = query()
    took_s = []
    for _ in range(5):
        began = time.perf_counter()
        query()
        took_s.append(time.perf_counter() - began)
    used = dict.fromkeys(map(_describe, plan_of(connect(), said)))
    median_ms = statistics.median(took_s) * 1e3
    indexes = ", ".join(filter(None, used))
    return f"{median_ms:8.1f} {_rows(result):>7} {len(said):>5}  {name}: {indexes}"


def _rows(result: Any) -> str:
    if isinstance(result, str):
        return "shown"
    if isinstance(result, tuple) and len(result) and hasattr(result[0], "shape"):
        return str(len(result[0]))
    return str(len(result))


def _describe(step: dict[str, Any]) -> str:
    table = step["table"]
    if table is None or str(table).startswith("<"):
        return ""
    if step["type"] == "ALL":
        return f"all of {table} ({step['rows']})"
    return f"{table}.{step['key']}"


def _changes_tables(query: str) -> bool:
    return query.split(None, 1)[0].upper() in ("CREATE", "ALTER", "DROP", "RENAME", "TRUNCATE")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
