"""The scripts that find Python, and the programs that pip cannot install: with stand-ins."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="stand-ins are those of a Debian system"
)


@pytest.fixture
def run(tmp_path):
    """Return a callable that runs a script where only the stand-ins given exist."""
    programs = tmp_path / "programs with a space"
    programs.mkdir()
    for name in ("sh", "dirname", "uname", "cut", "sort", "tail", "chmod", "touch"):
        (programs / name).symlink_to(shutil.which(name))

    def run(script, *arguments, ci=False, **stand_ins):
        for name, code in stand_ins.items():
            path = programs / name.replace("_", "-")
            path.write_text(f"#!/bin/sh\n{code}\n")
            path.chmod(0o755)
        environment = {"PATH": str(programs), "FOLDER": str(programs)} | (
            {"CI": "true"} if ci else {}
        )
        return subprocess.run(
            [programs / "sh", TESTS / script, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


USER = {"id": "echo 1000", "apt_get": "echo must not run; exit 9"}
ROOT = {"id": "echo 0", "apt_cache": "exit 0"}


def test_nothing_is_done_when_nothing_is_missing(run):
    done = run("system_packages.sh", "chromium", chromium="exit 0", **USER)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_user_is_told_what_is_missing_and_goes_on(run):
    done = run("system_packages.sh", "chromium", **USER)
    assert done.returncode == 0
    assert "apt-get install chromium" in done.stderr
    assert "must not run" not in done.stdout


def test_with_ci_set_a_missing_program_ends_the_run(run):
    done = run("system_packages.sh", "chromium", ci=True, **USER)
    assert done.returncode == 1
    assert "CI is set" in done.stderr


def test_root_installs_what_is_missing(run):
    record = (
        'echo "$DEBIAN_FRONTEND $*" >> "$FOLDER/log"; '
        'if [ "$1" = install ]; then touch "$FOLDER/chromium"; chmod +x "$FOLDER/chromium"; fi'
    )
    done = run("system_packages.sh", "chromium", ci=True, apt_get=record, **ROOT)
    assert done.returncode == 0, done.stderr
    update, install = (Path(done.args[0]).parent / "log").read_text().splitlines()
    assert "update" in update
    assert install.startswith("noninteractive install --yes")
    assert "--no-install-recommends" in install
    assert install.endswith(" chromium")


def test_a_failed_installation_is_not_taken_for_success(run):
    done = run("system_packages.sh", "chromium", ci=True, apt_get="exit 100", **ROOT)
    assert done.returncode == 1
    assert "could not install: chromium" in done.stderr


def test_an_unknown_program_is_an_error(run):
    assert run("system_packages.sh", "chromiun", **USER).returncode == 2


def test_a_compiler_without_the_headers_of_python_is_none(run, tmp_path):
    """As on a Debian system with gcc, but without python3-dev."""
    python = f'exec "{sys.executable}" "$@"'
    without = f'case "$2" in *Python.h*) exit 1;; esac; {python}'
    done = run("system_packages.sh", "compiler", python3=python, **USER)
    assert "compiler is not installed" in done.stderr
    done = run("system_packages.sh", "compiler", gcc="exit 0", python3=without, **USER)
    assert "python3-dev" in done.stderr
    done = run("system_packages.sh", "compiler", python3=python, **USER)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_first_python_that_works_is_found(run):
    """A name on PATH may be a stand-in of a version manager that runs nothing."""
    broken = "echo 'command not found' >&2; exit 127"
    done = run("find_python.sh", **{"python3.13": broken}, python3=f'exec "{sys.executable}" "$@"')
    assert done.returncode == 0
    assert Path(done.stdout.strip()).name == "python3"


def test_without_a_python_the_command_is_named(run):
    done = run("find_python.sh", python3="exit 1")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "apt-get install python3 python3-venv" in done.stderr


def test_a_named_python_is_used_or_refused_with_the_reason(run):
    done = run("find_python.sh", sys.executable)
    assert done.stdout.strip() == sys.executable
    old = run("find_python.sh", "python-old", python_old="echo 'Python 3.9 is too old'; exit 1")
    assert old.returncode == 1
    assert "Python 3.9 is too old" in old.stderr


def test_continuous_integration_runs_make_test_from_anywhere(tmp_path):
    """With CI set, so that nothing is skipped; and its failure is the run's failure."""
    (tmp_path / "make").write_text('#!/bin/sh\necho "$PWD $CI $*"\nexit 3\n')
    (tmp_path / "make").chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [TESTS.parent / ".ci" / "run"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"{TESTS.parent} true test\n"
    assert done.returncode == 3
