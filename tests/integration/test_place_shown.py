"""Whose rows these are, said by every table, labelled object and command."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from typing import Any

import pytest

import labdata
from labdata.cli import COMMANDS, build_parser, main
from labdata.database.connection import connect
from labdata.database.datajoint_compat import dj
from labdata.schema import Dataset, Session, default_lab, load_project_schema
from labdata.testing import insert_dataset, insert_streams, insert_unit

pytestmark = pytest.mark.database

PROGRAM = "import sys; from labdata.cli import main; sys.exit(main())"


@pytest.fixture(scope="module")
def base(make_embedded_lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The name of a database with a dataset in a project and one in none."""
    with make_embedded_lab(tmp_path_factory.mktemp("place")):
        for lab in (default_lab, load_project_schema("vision")):
            key = insert_dataset(lab)
            insert_streams(lab, key)
            insert_unit(lab, key, spike_times=[30000, 60000])
        yield connect()._preferences.name


def test_the_first_line_of_a_table_is_whose_it_is(base: str) -> None:
    vision = load_project_schema("vision")
    assert repr(Session()).split("\n")[0] == f"Session · {base}"
    assert repr(vision.Session()).split("\n")[0] == f"Session · project vision · {base}"
    assert repr(vision.Session & "1").split("\n")[0] == f"Session · project vision · {base}"
    part = repr(vision.SpikeSorting.Unit()).split("\n")[0]
    assert part == f"SpikeSorting.Unit · project vision · {base}"


def test_datajoints_own_text_follows_unchanged(base: str) -> None:
    table = load_project_schema("vision").Session()
    assert repr(table).split("\n", 1)[1] == table.preview()


@pytest.mark.parametrize("name", ["Session", "Dataset", "ComputeTask"])
@pytest.mark.parametrize("restriction", [{}, {"subject_name": "JC1"}])
def test_html_begins_with_the_same_line(base: str, name: str, restriction: dict) -> None:
    table = getattr(load_project_schema("vision"), name)() & restriction
    line, _, rest = table._repr_html_().partition("</p>")
    assert line == f'<p class="labdata-place">{name} · project vision · {base}'
    assert "<table" in rest


def _queries(lab: Any) -> dict[str, Any]:
    sessions = lab.Session.proj()
    of_two = lab.Subject.proj(a="subject_name") * default_lab.Subject.proj(b="subject_name")
    other = load_project_schema("attention").Subject.proj(b="subject_name")
    return {
        "Session * Dataset · {}": lab.Session * lab.Dataset,
        "Session * Dataset * SpikeSorting.Unit · {}": lab.Session
        * lab.Dataset
        * lab.SpikeSorting.Unit,
        "UnitMetrics * File · {}": lab.UnitMetrics.proj() * lab.File.proj(),
        "Subject, Session · {}": lab.Subject.aggr(lab.Session, n="count(session_name)"),
        "Session + Dataset · {}": sessions + (dj.U(*lab.Session.primary_key) & lab.Dataset),
        "Session * Dataset · {} ": (lab.Session * lab.Dataset).proj(a="subject_name") & "a != 'x'",
        "Session · {}": lab.Session.proj(animal="subject_name"),
        "Subject · project vision and of none · {base}": of_two,
        "Subject · projects attention, vision · {base}": lab.Subject.proj(a="subject_name")
        * other,
    }


def test_a_join_a_projection_an_aggregation_and_a_union_say_whose_rows_too(base: str) -> None:
    for expected, query in _queries(load_project_schema("vision")).items():
        line = expected.strip().format(f"project vision · {base}", base=base)
        assert repr(query).split("\n")[0] == line
        assert query._repr_html_().startswith(f'<p class="labdata-place">{line}</p>')
        assert len(repr(query).split(base)) == len(query._repr_html_().split(base)) == 2
    of_none = Session * Dataset
    assert repr(of_none).split("\n")[0] == f"Session * Dataset · {base}"
    shared = default_lab.LabMember * load_project_schema("vision").Project
    assert repr(shared).split("\n")[0] == f"LabMember * Project · {base}"


@pytest.mark.parametrize("kind", ["spikes", "events"])
def test_objects_name_their_project(base: str, kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = getattr(labdata, kind)(load_project_schema("vision").Dataset(), **_only(kind))
        of_none = getattr(labdata, kind)(Dataset(), **_only(kind))
    assert found.attrs["project"] == "vision"
    assert "vision" in repr(found)
    assert "project" not in of_none.attrs


def _only(kind: str) -> dict[str, str]:
    return {"stream": "nidq"} if kind == "events" else {}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_a_project(command: str) -> None:
    flags = {flag for action in build_parser(command)._actions for flag in action.option_strings}
    assert {"-p", "--project"} <= flags


LISTS = {
    "subjects": [],
    "sessions": [],
    "upload": ["--queue"],
    "run": ["--queue"],
    "get": ["-a", "JC1", "--dry-run"],
    "clean": ["--dry-run"],
    "rename": ["-a", "JC1", "--to", "JC2"],
    "delete": ["-a", "JC1"],
    "project": ["list"],
    "garbage": [],
    "verify": [],
    "storage": [],
}


@pytest.mark.parametrize("command", LISTS)
def test_a_command_says_whose_rows_it_shows(
    base: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for project in (["-p", "vision"], []):
        main([command, *LISTS[command], *project])
        said = capsys.readouterr()
        place = f"project vision · {base}" if project else base
        assert said.err.split("\n")[0] == f"{place} on this computer"
        assert "on this computer" not in said.out
        code = main([command, *LISTS[command], *project, "--json"])
        said = capsys.readouterr()
        assert "on this computer" not in said.out + said.err
        if code == 0:
            json.loads(said.out)


def test_share_takes_its_source_by_either_name(base: str, capsys: Any) -> None:
    line = ["share", "--to", "vision", "-a", "JC1"]
    assert main([*line, "-p", "a", "--from", "b"]) == 2
    assert main([*line, "-p", "vision"]) == main([*line, "--from", "vision"]) == 1
    assert capsys.readouterr().err.count("Both are the project 'vision'") == 2


def test_a_server_is_named_even_if_it_does_not_answer(
    base: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fresh_connection import forget_connection

    monkeypatch.setenv("LABDATA_DATABASE_HOST", "localhost")
    monkeypatch.setenv("LABDATA_DATABASE_PORT", "1")
    monkeypatch.setenv("LABDATA_DATABASE_USER", "kim")
    monkeypatch.setenv("LABDATA_DATABASE_PASS", "x")
    forget_connection()
    assert main(["subjects"]) == 1
    assert capsys.readouterr().err.startswith(f"{base} at localhost\nlabdata: ")
    monkeypatch.undo()
    forget_connection()


def test_a_pipe_gets_the_rows_alone(base: str) -> None:
    command = [sys.executable, "-c", PROGRAM, "subjects", "-p", "vision"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "subject"
    assert done.stderr == f"project vision · {base} on this computer\n"  # no colours


def test_in_a_notebook_it_is_above_the_table(base: str, capsys: Any) -> None:
    from labdata.cli.output import in_notebook

    token = in_notebook.set(True)
    try:
        main(["project", "list", "-p", "vision"])
    finally:
        in_notebook.reset(token)
    said = capsys.readouterr()
    assert said.out.startswith(f"project vision · {base} on this computer\n")
    assert said.err == ""


def test_a_dashboard_shows_the_project_it_was_asked_for(
    base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    from labdata.cli import serve

    class Server:
        url = "http://127.0.0.1:1/"

        def wait(self) -> None: ...
        def stop(self) -> None: ...

    seen: list[str | None] = []

    def start(**_: Any) -> Server:
        seen.append(os.environ.get("LABDATA_DATABASE_PROJECT"))
        return Server()

    server = pytest.importorskip("labdata_widgets.server")
    monkeypatch.setattr(server, "serve_dashboard", start)
    monkeypatch.setenv("LABDATA_DATABASE_PROJECT", "")
    serve.show_dashboard({}, browser=False, port=None, project="vision")
    assert seen == ["vision"]
