"""Print how long the usual queries take in a lab of 500 subjects, 100,000 sessions, 10^6 files.

Run it by hand: ``python tests/benchmarks/queries_at_size.py FOLDER``. The lab is made in the
folder at the first run (about a minute).
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))


def main(folder: Path) -> None:
    """Make the lab if it is not there, and print the times."""
    os.environ["LABDATA_PATH"] = str(folder / "labdata")
    from test_size import QUERIES

    from labdata.schema import Session, default_lab
    from labdata.testing import insert_many

    if len(Session()) == 0:
        insert_many(default_lab)
    for name, query in QUERIES.items():
        took_s = []
        for _ in range(5):
            began = time.perf_counter()
            query()
            took_s.append(time.perf_counter() - began)
        sys.stdout.write(f"{min(took_s) * 1e3:8.1f} ms  {name}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
