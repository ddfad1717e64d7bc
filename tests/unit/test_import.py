"""What ``import labdata`` may cost and do: next to nothing, and nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = [REPOSITORY, REPOSITORY / "widgets", REPOSITORY / "hub"]

#: Packages that cost time, or reach out, and are loaded when first used.
HEAVY = ["numpy", "pandas", "datajoint", "xarray", "zarr", "pymysql", "IPython", "rich"]

IMPORT_LIMIT_S = 0.050

#: Imports labdata as a user does, writing down what it does to the world.
IMPORT = """
import json, sys, time
done = []
def watch(event, arguments):
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        done.append([event, str(arguments[0])])
    elif event.split(".")[0] in ("socket", "subprocess", "sqlite3") or event in (
        "os.mkdir", "os.rename", "os.remove", "os.system", "os.exec", "os.posix_spawn", "os.fork"
    ):
        done.append([event, ""])
sys.addaudithook(watch)
start_s = time.perf_counter()
import labdata
elapsed_s = time.perf_counter() - start_s
print(json.dumps({"s": elapsed_s, "done": done, "loaded": sorted(sys.modules)}))
"""


@pytest.fixture(scope="module")
def fresh_imports(tmp_path_factory):
    """Return what five fresh interpreters reported, and the home folder they ran in."""
    home = tmp_path_factory.mktemp("home")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LABDATA", "COV_", "XDG_", "DJ_"))
    }
    environment |= {
        "HOME": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join(map(str, FOLDERS)),
    }
    reports = []
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-c", IMPORT],
            env=environment,
            cwd=home,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        reports.append(json.loads(done.stdout))
    return reports, home


def test_import_loads_nothing_heavy(fresh_imports):
    reports, _ = fresh_imports
    top = {name.split(".")[0] for report in reports for name in report["loaded"]}
    assert "labdata" in top
    assert sorted(top & {*HEAVY, "labdata_widgets", "labdata_hub"}) == []


def test_import_costs_less_than_50_ms(fresh_imports):
    reports, _ = fresh_imports
    assert min(report["s"] for report in reports) < IMPORT_LIMIT_S


def test_fault_37_import_writes_no_file_and_connects_to_nothing(fresh_imports):
    reports, home = fresh_imports
    assert [report["done"] for report in reports] == [[]] * len(reports)
    assert list(home.iterdir()) == []
