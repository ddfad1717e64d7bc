"""The magic has the command line's parsers, help, completion and errors."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from labdata.cli import COMMANDS
from labdata.notebook import magics


@pytest.fixture
def shell() -> Iterator[Any]:
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "labdata")
    yield shell
    InteractiveShell.clear_instance()


def complete(line: str) -> list[str]:
    symbol = "" if line.endswith(" ") else line.split()[-1]
    return magics.complete_labdata(None, SimpleNamespace(line=line, symbol=symbol))


def test_help_lists_the_commands(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run_line_magic("labdata", "-h")
    shown = capsys.readouterr().out
    assert all(name in shown for name in COMMANDS)


def test_help_of_a_command_has_examples(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run_line_magic("labdata", "sessions -h")
    assert "labdata sessions -a JC1" in capsys.readouterr().out


def test_a_wrong_command_is_named_with_its_neighbour(shell: Any) -> None:
    from IPython.core.error import UsageError

    with pytest.raises(UsageError, match=r"'sesions'[^?]*'sessions'\?"):
        shell.run_line_magic("labdata", "sesions")


def test_a_wrong_option_does_not_end_the_kernel(shell: Any) -> None:
    from IPython.core.error import UsageError

    with pytest.raises(UsageError, match="--nonsense"):
        shell.run_line_magic("labdata", "sessions --nonsense")


def test_commands_and_options_complete() -> None:
    assert complete("%labdata do") == ["doctor"]
    assert complete("%labdata sessions --i") == ["--include-size"]
    assert complete("%labdata run s") == ["spikeinterface", "spks"]
    assert complete("%labdata nonsense --") == []


def test_subjects_and_sessions_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def ask(what: str, question: Any) -> list[str]:
        asked.append(what)
        return ["JC1", "JC2"] if what == "subjects" else ["20260131_140500"]

    monkeypatch.setattr(magics, "_ask", ask)
    assert complete("%labdata sessions -a J") == ["JC1", "JC2"]
    assert complete("%labdata get -a JC1 -s 2026") == ["20260131_140500"]
    assert asked == ["subjects", "sessions JC1"]


def test_completion_gives_up_on_a_slow_database(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading
    import time

    import labdata.schema  # noqa: F401  (so that the thread below waits for the lab, not for it)

    release = threading.Event()
    monkeypatch.setattr(magics, "_remembered", {})

    def slow(lab: Any) -> list[str]:
        release.wait(5)
        return ["late"]

    began = time.monotonic()
    assert magics._ask("anything", slow) == []
    assert time.monotonic() - began < 1.0
    release.set()


def test_an_error_is_two_lines_not_a_traceback() -> None:
    from labdata.errors import QueryError

    lines = QueryError(
        "There is no subject 'JC7'.", hint="Did you mean 'JC1'?"
    )._render_traceback_()
    assert lines == ["QueryError: There is no subject 'JC7'.", "  Did you mean 'JC1'?"]
