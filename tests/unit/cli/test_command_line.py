"""The command line itself: help, exit codes, wrong words, and what it costs to start."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time

import pytest

from labdata import cli
from labdata.cli import COMMANDS, UsageError, execute, find_command, main
from labdata.errors import LabdataError

# what a console script does
PROGRAM = "import sys; from labdata.cli import main; sys.exit(main())"
HEAVY = ("numpy", "pandas", "datajoint", "pydantic", "xarray", "pymysql", "rich", "zarr", "json")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LABDATA_PATH", str(tmp_path / "labdata"))
    monkeypatch.delenv("LABDATA_PREFERENCES", raising=False)
    (tmp_path / "labdata").mkdir()
    (tmp_path / "labdata" / "user_preferences.json").write_text("{}")
    return tmp_path / "labdata"


@pytest.mark.parametrize("line", [["--help"], ["-h"], []])
def test_help_lists_every_command_and_examples(line, capsys):
    assert main(line) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in COMMANDS)
    assert "examples:" in shown
    assert len(shown.splitlines()) < 45  # one screen


@pytest.mark.parametrize(
    "command", ["subjects", "sessions", "put", "upload", "get", "clean", "run", "task"]
)
def test_each_command_explains_itself(command, capsys):
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"usage: labdata {command}" in shown
    assert "Examples:" in shown
    assert "--project" in shown


def test_version(capsys):
    from labdata import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"labdata {__version__}\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["sesions"], ["'sesions'", "Did you mean 'sessions'?"]),
        (["xyzzy"], ["'xyzzy'", "labdata -h"]),
        (["put"], ["folder"]),
        (["put", "x", "--nonsense"], ["--nonsense"]),
        (["put", "x", "--session-datetime", "monday"], ["monday"]),
        (["upload", "twelve"], ["'twelve' is not the number of an upload", "upload --queue"]),
        (
            ["task", "abc"],
            ["'abc' is not the number of a task; `labdata run --queue` lists them."],
        ),
        (["task", "1.5"], ["'1.5'"]),
        (["get"], ["-a"]),
        (["--nonsense"], ["--nonsense"]),
    ],
)
def test_wrong_usage_is_2_and_says_what(line, words, capsys):
    assert main(line) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("labdata: ")
    assert all(word in said.err for word in words)
    assert "Traceback" not in said.err


@pytest.mark.parametrize("name", ["__class__", "execute", "run.__init__", "output", "selection"])
def test_fault_43_only_commands_can_be_called(name, capsys):
    assert main([name]) == 2
    assert "no command" in capsys.readouterr().err


def test_dashes_and_underscores_are_equal(monkeypatch):
    monkeypatch.setitem(cli.COMMANDS, "build-container", "build")
    assert find_command("build_container") == find_command("build-container") == "build-container"
    with pytest.raises(UsageError):
        find_command("_subjects")


def stand_in(monkeypatch, error):
    class Module:
        """A command."""

        @staticmethod
        def add_arguments(parser):
            pass

        @staticmethod
        def run(options):
            if isinstance(error, BaseException):
                raise error
            return error

    monkeypatch.setattr(cli, "_module", lambda command: Module)


@pytest.mark.parametrize("end", [0, None, 1])
def test_the_exit_code_of_a_command(monkeypatch, end):
    stand_in(monkeypatch, end)
    assert main(["subjects"]) == (end or 0)


def test_an_error_is_one_line_and_a_hint_and_1(monkeypatch, capsys):
    stand_in(monkeypatch, LabdataError("It is off.", hint="Turn it on."))
    assert main(["subjects"]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "labdata: It is off.\n  Turn it on.\n")


def test_interrupted_is_130(monkeypatch, capsys):
    stand_in(monkeypatch, KeyboardInterrupt())
    assert main(["subjects"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_defect_is_not_dressed_up(monkeypatch):
    stand_in(monkeypatch, ZeroDivisionError("x"))
    with pytest.raises(ZeroDivisionError):
        main(["subjects"])


def test_in_a_notebook_errors_are_raised():
    with pytest.raises(UsageError):
        execute(["sesions"])


def test_a_broken_preference_file_is_one_error(home, capsys):
    (home / "user_preferences.json").write_text('{"local_pths": []}')
    assert main(["subjects"]) == 1
    said = capsys.readouterr().err
    assert "'local_pths' is not a preference." in said
    assert "Did you mean 'local_paths'?" in said


def test_the_first_command_makes_the_preference_file(home, capsys):
    file = home / "user_preferences.json"
    file.unlink()
    assert main(["--help"]) == 0
    assert str(file) in capsys.readouterr().err
    assert json.loads(file.read_text())["local_paths"]
    assert file.stat().st_mode & 0o777 == 0o600


def test_both_names_of_the_program_are_this_one():
    from importlib.metadata import entry_points

    scripts = {e.name: e.value for e in entry_points(group="console_scripts")}
    assert scripts["labdata"] == scripts["labdata2"] == "labdata.cli:main"


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom labdata.cli import main\nmain(['--help'])\n"
        f"sys.stderr.write(','.join(m for m in {HEAVY!r} if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_help_is_there_in_a_blink():
    """The best of five in a fresh interpreter, over what the interpreter itself needs."""

    def best(code, *line):
        spent = []
        for _ in range(5):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code, *line], capture_output=True, check=True)
            spent.append(time.perf_counter() - start)
        return min(spent)

    assert best(PROGRAM, "--help") - best("pass") < 0.12


def test_a_reader_that_goes_away_is_no_error(monkeypatch):
    done = subprocess.run(
        f"{shlex.quote(sys.executable)} -c '{PROGRAM}' --help | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "usage" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["dashboard", "--port", "99999"], "ports are 1 to 65535"),
        (["dashboard", "--port", "0"], "ports are 1 to 65535"),
        (["demo", "--port", "x"], "ports are 1 to 65535"),
        (["demo", "--seconds", "-3"], "is not a length from 20 to 3600 s"),
        (["demo", "--seconds", "nan"], "is not a length from 20 to 3600 s"),
        (["put", "x", "--session-datetime", "tomorrow"], "write it as 2026-01-31T14:05:00"),
    ],
)
def test_a_wrong_value_is_said_with_what_is_right(line, words, capsys):
    assert main(line) == 2
    told = capsys.readouterr().err
    assert repr(line[-1]) in told and words in told
    assert len(told.splitlines()) == 2


class Sessions:
    """Stands for the table of sessions of one subject each."""

    def __init__(self, rows):
        self.rows = rows

    def __and__(self, key):
        return Sessions([r for r in self.rows if key.items() <= r.items()])

    def fetch(self, name):
        return [row[name] for row in self.rows]


def test_a_session_that_is_not_there_is_refused_with_the_nearest():
    from types import SimpleNamespace

    from labdata.cli.selection import check_session
    from labdata.errors import QueryError

    rows = [
        {"subject_name": "JC1", "session_name": "20240305_100000"},
        {"subject_name": "JC2", "session_name": "20240307_143000"},
    ]
    lab = SimpleNamespace(Session=Sessions(rows))
    check_session(lab, "20240305_100000", subject="JC1")
    check_session(lab, "20240307_143000", subject=None)
    with pytest.raises(QueryError, match="no session '20240307_143000' of JC1") as told:
        check_session(lab, "20240307_143000", subject="JC1")
    assert "20240305_100000" in told.value.hint
    with pytest.raises(QueryError) as told:
        check_session(lab, "nope", subject=None)
    assert told.value.hint == "`labdata sessions` lists them."


def test_a_demo_where_no_folder_can_be_made_is_said_in_words(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LABDATA_PATH", "")
    (tmp_path / "file").write_text("")
    assert main(["demo", "--once", "--folder", str(tmp_path / "file" / "lab")]) == 1
    told = capsys.readouterr().err
    assert "Could not make a lab in" in told and "Traceback" not in told
