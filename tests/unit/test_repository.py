"""What no file of the repository may name, and what the package may not depend on."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

#: Spelled in pieces, so that this file does not contain what it looks for.
PLACES = {
    "a folder of one machine": re.compile(r"(?<![\w.~-])/" + r"(?:work|root)/"),
    "a package registry": re.compile(
        "|".join(
            re.escape(".".join(parts))
            for parts in (
                ("pypi", "org"),
                ("files", "pythonhosted", "org"),
                ("registry", "npmjs", "org"),
                ("conda", "anaconda", "org"),
            )
        )
        + "|--(?:extra-)?index"
        + r"-url|PIP_(?:EXTRA_)?INDEX"
        + "_URL"
    ),
}


def tracked_files():
    try:
        done = subprocess.run(
            ["git", "-C", str(REPOSITORY), "ls-files", "-z"], capture_output=True, check=True
        )
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("needs git and a clone")
    return [REPOSITORY / os.fsdecode(name) for name in done.stdout.split(b"\0") if name]


@pytest.mark.parametrize("what", PLACES)
def test_no_file_names(what):
    found = []
    for path in tracked_files():
        if not path.is_file():
            continue
        text = path.read_bytes().decode("utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            if PLACES[what].search(line):
                found.append(f"{path.relative_to(REPOSITORY)}:{number}: {line.strip()[:100]}")
    assert found == []


@pytest.mark.parametrize(
    "what,text,expected",
    [
        ("a folder of one machine", "path = '/ro" + "ot/x'", True),
        ("a folder of one machine", "cd /wo" + "rk/main", True),
        ("a folder of one machine", "frame/wo" + "rk/file", False),
        ("a folder of one machine", "example.org/ro" + "ot/x", False),
        ("a package registry", "https://py" + "pi.org/simple", True),
        ("a package registry", "pip install --index" + "-url x", True),
        ("a package registry", "pip install labdata-jupyter", False),
    ],
)
def test_the_search_finds_what_it_should(what, text, expected):
    assert bool(PLACES[what].search(text)) == expected


def test_torch_is_not_a_dependency():
    """Two gigabytes that nobody asked for: only the extra named after its sorter has it."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    asking = {name for name, needs in extras.items() if re.search(r"'torch\b", str(needs))}
    assert asking == {"kilosort"}
    everything = [*project["dependencies"], *(one for needs in extras.values() for one in needs)]
    assert not [one for one in everything if re.search(r"\[.*kilosort.*\]", one)]
