"""What the demo's report tells the user to type."""

from __future__ import annotations

import shlex
from pathlib import Path

from labdata.cli.demo_report import look_around


def test_what_is_to_be_typed_survives_a_folder_with_spaces():
    text = look_around(Path("/data/my demo"), ["JC1", "JC2"])
    words = shlex.split(text)
    assert "LABDATA_PATH=/data/my demo/labdata" in words
    assert words[-3:] == ["JC1", "JC2", "--include-size"]


def test_a_demo_in_a_project_is_looked_at_in_it(tmp_path):
    assert look_around(tmp_path, ["JC1"], project="vision").endswith("--include-size -p vision")
    assert look_around(tmp_path, ["JC1"]).endswith("--include-size")
