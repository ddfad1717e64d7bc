"""Plugins: the template as a user installs it, and broken ones that harm nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from labdata import plugins
from labdata.cli import main
from labdata.errors import UploadError

TEMPLATE = Path(__file__).parents[3] / "notebooks" / "guide" / "plugins" / "licking"
TRIALS = """\
trial,contrast,side,choice,reaction_time_s,water_ul
1,1.0,left,left,0.31,3
2,1.0,right,left,0.28,0
3,0.1,right,right,0.52,3
4,0.1,left,none,,0
5,0.5,right,right,0.40,3
"""
SELECT = ["-a", "JC1", "-s", "20240305_100000"]


@pytest.fixture
def with_plugins(lab_rig):
    """Install plugins by the preference file; forget them afterwards."""

    def install(**folders: Path | str):
        lab_rig.prefer(plugins={name: str(folder) for name, folder in folders.items()})
        plugins.forget_plugins()
        lab_rig.lab.deactivate()
        return lab_rig

    yield install
    lab_rig.prefer()
    plugins.forget_plugins()
    lab_rig.lab.deactivate()


def make_plugin(folder: Path, code: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(code)
    return folder


def test_the_template_from_the_rig_to_a_number(with_plugins, tmp_path, capsys) -> None:
    copy = shutil.copytree(TEMPLATE, tmp_path / "my licking")
    rig = with_plugins(licking=copy)
    folder = rig.folder("JC1/20240305_100000/licking", {"trials.csv": TRIALS.encode()})
    assert main(["put", str(folder), "-r", "licking"]) == 0
    assert main(["upload"]) == 0
    lab = rig.lab
    task = lab.DecisionTask.fetch1()
    assert (task["n_total_trials"], task["n_total_with_choice"]) == (5, 4)
    trials = lab.DecisionTask.TrialSet.fetch1()
    assert (trials["performance"], trials["performance_easy"]) == (3 / 4, 2 / 3)
    np.testing.assert_array_equal(trials["response_values"], [1, 1, -1, 0, -1])
    np.testing.assert_array_equal(trials["correct_values"], [1, 0, 1, np.nan, 1])
    assert lab.Watering.fetch1("water_volume") == 9.0
    np.testing.assert_array_equal(lab.LickingSession.fetch1("side_values"), [1, -1, -1, 1, -1])
    assert lab.LickingSession.full_table_name.split(".")[0].strip("`").endswith("_user")
    capsys.readouterr()
    assert main(["run", "licking-side", *SELECT, "--json"]) == 0
    assert "50% of 4 choices" in json.loads(capsys.readouterr().out)[0]["result"]
    assert lab.LickingBias.fetch1("left_fraction") == 0.5
    assert len(plugins.licking.LickingSession()) == 1


def test_wrong_trials_are_refused_before_anything_is_copied(with_plugins, capsys) -> None:
    rig = with_plugins(licking=TEMPLATE)
    wrong = TRIALS.replace("3,0.1,right,right", "3,0.1,right,up")
    folder = rig.folder("JC1/20240305_100000/licking", {"trials.csv": wrong.encode()})
    before = rig.state()
    assert main(["put", str(folder), "-r", "licking"]) == 1
    assert "choice 'up' in trial 3" in capsys.readouterr().err
    assert rig.state() == before


BROKEN = {
    "raises": "raise ZeroDivisionError('by nought')",
    "syntax": "def broken(:",
    "missing": "import a_package_that_nobody_has",
    "list": "UPLOAD_RULES = ['licking']",
    "table": (
        "from labdata.plugins import Manual, plugin_table\n"
        "@plugin_table\nclass Bad(Manual):\n    definition = '-> NoSuchTable'\n"
    ),
    "taken": (
        "from labdata.plugins import Manual, plugin_table\n"
        "@plugin_table\nclass Session(Manual):\n    definition = 'x : int32'\n"
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_named_and_the_rest_works(
    with_plugins, tmp_path, caplog, capsys, name
) -> None:
    broken = make_plugin(tmp_path / name, BROKEN[name])
    rig = with_plugins(bad=broken, licking=TEMPLATE)
    assert len(rig.lab.Subject()) == 2
    assert len(rig.lab.LickingSession()) == 0
    assert main(["sessions", "-a", "JC1"]) == 0
    assert "'bad'" in caplog.text and str(broken) in caplog.text
    capsys.readouterr()
    main(["doctor", "--json"])
    checks = {c["name"]: c for c in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["plugin bad"]["state"] == "failed"
    assert checks["plugin licking"]["state"] == "ok"


def test_a_missing_folder_and_a_bad_name_are_said(with_plugins, tmp_path, caplog) -> None:
    rig = with_plugins(**{"gone": tmp_path / "gone", "no-name": TEMPLATE})
    assert len(rig.lab.Subject()) == 2
    assert "gone" in caplog.text and "'no-name' cannot be the name" in caplog.text


def test_a_plugin_of_some_projects_has_no_tables_in_others(with_plugins) -> None:
    rig = with_plugins(**{"licking@vision": TEMPLATE})
    vision = rig.project("vision")
    assert len(vision.LickingSession()) == 0
    assert "vision" in vision.LickingSession.full_table_name
    with pytest.raises(AttributeError, match="LickingSession"):
        rig.lab.LickingSession  # noqa: B018


def test_each_project_has_plugin_tables_of_its_own(with_plugins) -> None:
    rig = with_plugins(licking=TEMPLATE)
    vision = rig.project("vision")
    assert vision.LickingSession.full_table_name != rig.lab.LickingSession.full_table_name
    assert len(vision.LickingSession()) == len(rig.lab.LickingSession()) == 0


def test_a_rule_that_fails_leaves_nothing(with_plugins, monkeypatch) -> None:
    rig = with_plugins(licking=TEMPLATE)
    folder = rig.folder("JC1/20240305_100000/licking", {"trials.csv": TRIALS.encode()})
    job_id = rig.put(folder, rule="licking")
    before = rig.counts()

    def refuse(*_, **__):
        raise UploadError("The rig's clock was wrong.")

    monkeypatch.setattr(rig.lab.LickingSession, "insert1", refuse)
    with pytest.raises(UploadError, match="clock was wrong"):
        rig.upload(job_id)
    assert {k: v for k, v in rig.counts().items() if k != "UploadJob"} == {
        k: v for k, v in before.items() if k != "UploadJob"
    }


def test_dashboards_of_plugins_are_found(with_plugins, tmp_path) -> None:
    server = pytest.importorskip("labdata_widgets.server")
    pytest.importorskip("voila")
    page = tmp_path / "page.ipynb"
    page.write_text("{}")
    with_plugins(pages=make_plugin(tmp_path / "pages", f"DASHBOARDS = {{'mine': {str(page)!r}}}"))
    assert server.find_dashboard("mine") == page
    assert server.find_dashboard("spike_sorting").name == "spike_sorting.ipynb"


def test_a_page_of_labdatas_own_name_is_flagged_and_not_served(
    with_plugins, tmp_path, capsys
) -> None:
    server = pytest.importorskip("labdata_widgets.server")
    pytest.importorskip("voila")
    page = tmp_path / "page.ipynb"
    page.write_text("{}")
    code = f"DASHBOARDS = {{'spike_sorting': {str(page)!r}}}"
    with_plugins(pages=make_plugin(tmp_path / "pages", code))
    main(["doctor", "--json"])
    checks = {c["name"]: c for c in json.loads(capsys.readouterr().out)["checks"]}
    check = checks["plugin pages"]
    assert check["state"] == "failed"
    assert "'spike_sorting' in DASHBOARDS again; that of labdata counts" in check["message"]
    assert "Rename it" in check["hint"]
    assert server.find_dashboard("spike_sorting") == server.own_dashboards()["spike_sorting"]
    assert server.find_dashboard("spike_sorting") != page
