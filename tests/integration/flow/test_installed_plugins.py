"""Plugins as packages: built, installed by pip beside labdata, and used by another process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.database

REPOSITORY = Path(__file__).parents[3]
TEMPLATE = REPOSITORY / "notebooks" / "guide" / "plugins" / "licking" / "__init__.py"
MAIN = "import sys; from labdata.cli import main; sys.exit(main())"
TRIALS = """\
trial,contrast,side,choice,reaction_time_s,water_ul
1,1.0,left,left,0.31,3
2,1.0,right,left,0.28,0
"""
#: What a build backend is at the least, so that no other package is needed to build one.
BACKEND = """
import pathlib, tomllib, zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]
    name, version = project["name"], project["version"]
    info = f"{name}-{version}.dist-info"
    points = "".join(
        f"[{group}]\\n" + "".join(f"{n} = {v}\\n" for n, v in entries.items())
        for group, entries in project["entry-points"].items()
    )
    files = {str(p): p.read_text() for p in pathlib.Path(name).rglob("*") if p.is_file()}
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    files[f"{info}/entry_points.txt"] = points
    files[f"{info}/RECORD"] = "".join(f"{n},,\\n" for n in [*files, f"{info}/RECORD"])
    wheel = f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory, wheel), "w") as out:
        for path, text in files.items():
            out.writestr(path, text)
    return wheel
"""
TABLE = "from labdata.plugins import Manual, plugin_table\n@plugin_table\nclass {}(Manual):\n"
TABLE += "    definition = '''\n    lick : int32\n    ---\n    whose='{}' : varchar(8)\n    '''\n"


class Installed:
    """Packages in a folder, and processes that find them there."""

    def __init__(self, rig: Any, folder: Path) -> None:
        self.rig, self.folder = rig, folder
        self.target = folder / "site"

    def install(self, name: str, code: str, **files: str) -> None:
        """Build a package with the entry point of a plugin, and install it by pip."""
        source = self.folder / f"source_{name}"
        (source / name).mkdir(parents=True)
        (source / name / "__init__.py").write_text(code)
        for file, text in files.items():
            (source / name / file.replace("_ipynb", ".ipynb")).write_text(text)
        (source / "backend.py").write_text(BACKEND)
        (source / "pyproject.toml").write_text(
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
            f'[project]\nname = "{name}"\nversion = "1.0"\n'
            f'[project.entry-points."labdata.plugins"]\n{name} = "{name}"\n'
        )
        line = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
        line += ["--no-build-isolation", "--disable-pip-version-check", "--target"]
        subprocess.run([*line, str(self.target), str(source)], check=True, capture_output=True)

    def python(self, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Python where the packages are installed."""
        paths = [str(self.target), str(REPOSITORY), str(REPOSITORY / "widgets")]
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True, text=True, check=False, cwd=self.folder,
        )  # fmt: skip

    def labdata(self, *line: str, code: int = 0) -> str:
        """Run a command; what it prints."""
        done = self.python(MAIN, *line)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if code == 0 else done.stderr

    def doctor(self) -> dict[str, dict[str, str]]:
        done = self.python(MAIN, "doctor", "--json")
        return {check["name"]: check for check in json.loads(done.stdout)["checks"]}


@pytest.fixture
def installed(lab_rig: Any, tmp_path: Path) -> Installed:
    return Installed(lab_rig, tmp_path)


def test_a_package_adds_tables_a_rule_an_analysis_and_a_page(installed: Installed) -> None:
    page = "\nDASHBOARDS = {'licks': str(Path(__file__).with_name('licks.ipynb'))}\n"
    installed.install("labdata_licks", TEMPLATE.read_text() + page, licks_ipynb="{}")
    rig = installed.rig
    project = rig.project("vision")
    rig.add_subjects("JC1", lab=project)
    folder = rig.folder("JC1/20240305_100000/licking", {"trials.csv": TRIALS.encode()})
    chosen = ["-p", "vision"]
    installed.labdata("put", str(folder), "-r", "licking", *chosen)
    installed.labdata("upload", *chosen)
    ran = installed.labdata("run", "licking-side", "-a", "JC1", "--json", *chosen)
    assert "100% of 2 choices" in json.loads(ran)[0]["result"]
    base = rig.lab.connection._preferences.name
    query = f"SELECT left_fraction FROM `{base}_vision_user`.__licking_bias"
    assert rig.lab.connection.query(query).fetchall() == ((1.0,),)
    check = installed.doctor()["plugin labdata_licks"]
    assert check["state"] == "ok" and "2 tables" in check["message"]
    pytest.importorskip("voila")
    code = "from labdata_widgets.server import find_dashboard; print(find_dashboard('licks'))"
    found = installed.python(code).stdout.strip()
    assert found == str(installed.target / "labdata_licks" / "licks.ipynb")


def test_one_that_raises_is_named_and_the_rest_works(installed: Installed) -> None:
    installed.install("labdata_bad", "raise ZeroDivisionError('by nought')")
    installed.install("labdata_good", TEMPLATE.read_text())
    assert "JC1" in installed.labdata("subjects")
    done = installed.python("from labdata.schema import default_lab as l; print(l.LickingSession)")
    assert done.returncode == 0, done.stderr
    assert "The plugin 'labdata_bad'" in done.stderr and "by nought" in done.stderr
    checks = installed.doctor()
    assert checks["plugin labdata_bad"]["state"] == "failed"
    assert "ZeroDivisionError: by nought" in checks["plugin labdata_bad"]["message"]
    assert checks["plugin labdata_good"]["state"] == checks["database"]["state"] == "ok"


def test_a_table_that_two_have_is_the_firsts(installed: Installed) -> None:
    installed.install("a_licks", TABLE.format("Lick", "a"))
    installed.install("b_licks", TABLE.format("Lick", "b"))
    code = "from labdata.schema import default_lab as l; l.Lick.insert1({'lick': 1}); "
    done = installed.python(code + "print(l.Lick.fetch1('whose'))")
    first = done.stdout.strip()
    assert first in ("a", "b"), done.stderr
    other = "b" if first == "a" else "a"
    said = f"There is a table Lick of the plugin '{first}_licks' already"
    assert said in done.stderr
    checks = installed.doctor()
    assert checks[f"plugin {first}_licks"]["state"] == "ok"
    assert checks[f"plugin {other}_licks"]["state"] == "failed"
    assert said in checks[f"plugin {other}_licks"]["message"]


def test_a_rule_that_two_have_is_the_firsts_and_labdatas_own_are_its_own(
    installed: Installed,
) -> None:
    rule = "from labdata.rules.plain import PlainRule\nclass Mine(PlainRule):\n    whose = '{}'\n"
    names = {"a": "{'licking': Mine, 'none': Mine}", "b": "{'licking': Mine}"}
    for who, rules in names.items():
        installed.install(f"{who}_rules", rule.format(who) + f"UPLOAD_RULES = {rules}\n")
    code = "from labdata.rules.base import find_rule; import sys; "
    done = installed.python(
        code + "print(find_rule('licking').whose, find_rule('none').__class__)"
    )
    first, own = done.stdout.split(maxsplit=1)
    assert "labdata.rules.plain.PlainRule" in own
    other = "b" if first == "a" else "a"
    said = f"The plugin '{other}_rules' names 'licking' in UPLOAD_RULES again"
    assert said in done.stderr and f"'{first}_rules' counts" in done.stderr
    checks = installed.doctor()
    assert said in checks[f"plugin {other}_rules"]["message"]
    assert (
        "names 'none' in UPLOAD_RULES again; that of labdata counts"
        in (checks["plugin a_rules"]["message"])
    )
    assert {checks[f"plugin {who}_rules"]["state"] for who in names} <= {"failed", "ok"}
