"""How values are printed."""

from __future__ import annotations

import io
import json
import sys
from datetime import date, datetime

import numpy as np
import pytest

from labdata.cli import write
from labdata.cli.output import print_rows, show, show_size


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024**2, "1.0 MiB"),
        (int(2.5 * 1024**3), "2.5 GiB"),
        (3 * 1024**4, "3.0 TiB"),
        (5000 * 1024**4, "5000.0 TiB"),
    ],
)
def test_sizes_are_binary(n_bytes, text):
    assert show_size(n_bytes) == text


def test_dates_are_iso():
    assert show(datetime(2026, 1, 31, 14, 5, 0, 123)) == "2026-01-31 14:05:00"
    assert show(date(2026, 1, 31)) == "2026-01-31"
    assert show(None) == ""
    assert show(1536, "size") == "1.5 KiB"
    assert show(1536, "files") == "1536"


ROWS = [
    {"name": "a", "size": 2048, "when": datetime(2026, 1, 31), "more": np.int64(3)},
    {"name": "b", "size": None, "when": None, "more": None},
]


def test_a_table_aligns_and_hides_what_is_not_asked_for(capsys):
    print_rows(ROWS, ("name", "size"))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0].split() == ["name", "size"]
    assert [line.split() for line in lines[2:]] == [["a", "2.0", "KiB"], ["b"]]
    assert "\x1b" not in "".join(lines)


def test_json_has_every_field_as_machines_want_it(capsys):
    print_rows(ROWS, ("name",), as_json=True)
    read = json.loads(capsys.readouterr().out)
    assert read[0] == {"name": "a", "size": 2048, "when": "2026-01-31T00:00:00", "more": 3}
    assert read[1]["size"] is None


def test_nothing_is_said(capsys):
    print_rows([], ("name",), empty="There are no jobs.")
    assert capsys.readouterr().out == "There are no jobs.\n"
    print_rows([], ("name",), as_json=True)
    assert json.loads(capsys.readouterr().out) == []


def test_machines_get_bytes_and_people_binary_units(capsys):
    rows = [{"job": 1, "raw": 80544370, "stored": 39182616}]
    print_rows(rows, ("job", "raw", "stored"))
    shown = capsys.readouterr().out
    assert "76.8 MiB" in shown and "37.4 MiB" in shown
    print_rows(rows, ("job", "raw", "stored"), as_json=True)
    assert json.loads(capsys.readouterr().out) == rows


@pytest.mark.parametrize(
    ("column", "heading"),
    [
        ("job_endtime", "ended (UTC)"),
        ("task_starttime", "started (UTC)"),
        ("session_datetime", "start of session"),
    ],
)
def test_times_of_jobs_say_their_zone(column, heading, capsys):
    print_rows([{column: datetime(2026, 1, 31)}], [column])
    assert capsys.readouterr().out.splitlines()[0].strip() == heading


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "日本 é ─ caf\\udce9"),
        ("cp1252", "\\u65e5\\u672c é \\u2500 caf\\udce9"),
        ("ascii", "\\u65e5\\u672c \\xe9 \\u2500 caf\\udce9"),
    ],
)
def test_what_a_terminal_cannot_show_does_not_end_a_command(monkeypatch, encoding, shown):
    """Names of files, lines of tables, and names that are no text at all."""
    stream = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stream, encoding=encoding, newline=""))
    write("日本 é ─ caf\udce9")
    assert stream.getvalue().decode(encoding) == f"{shown}\n"
