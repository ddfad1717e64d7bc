"""Two projects from the outside: the program ``mariadb``, as a member of each at the same time."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

import pytest

from labdata.schema import load_project_schema

pytestmark = [
    pytest.mark.database,
    pytest.mark.server,
    pytest.mark.skipif(not shutil.which("mariadb"), reason="the program mariadb is not installed"),
]

PROJECTS = {"a_b": "kim", "axb": "ada"}
SEX = {"a_b": "F", "axb": "M"}


@pytest.fixture(scope="module")
def members(accounts: Any) -> Any:
    """An experimenter of each project; both projects have a subject JC1."""
    for project, name in PROJECTS.items():
        accounts.make(name, "-p", project, "--role", "experimenter")
    with accounts.used_by("chief"):
        for project in PROJECTS:
            lab = load_project_schema(project)
            row = (lab.Subject & {"subject_name": f"{project}1"}).fetch1()
            lab.Subject.insert1({**row, "subject_name": "JC1", "subject_sex": SEX[project]})
    return accounts


def start(accounts: Any, name: str, statements: str) -> subprocess.Popen[str]:
    line = ["mariadb", "--no-defaults", "--protocol=tcp", "--host=127.0.0.1", "--ssl", "--batch"]
    line += ["--skip-column-names", "--force", f"--port={accounts.port}", f"--user={name}"]
    process = subprocess.Popen(
        line,
        env={**os.environ, "MYSQL_PWD": accounts.passwords[name]},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(statements)
    process.stdin.close()
    process.stdin = None
    return process


def say(accounts: Any, name: str, statements: str) -> tuple[str, str]:
    out, err = start(accounts, name, statements).communicate(timeout=60)
    return out, err


def test_both_write_at_once_and_each_sees_its_own(members: Any) -> None:
    insert = (
        "INSERT INTO `{0}_{1}`.session (subject_name, session_name, session_datetime) "
        "VALUES ('JC1', 'n{2}', '2025-01-01');\n"
    )
    running = [
        start(members, name, "".join(insert.format(members.base, p, n) for n in range(200)))
        for p, name in PROJECTS.items()
    ]
    assert [process.communicate(timeout=120) for process in running] == [("", ""), ("", "")]
    for project, name in PROJECTS.items():
        joined = (
            f"SELECT subject_sex, COUNT(*) FROM `{members.base}_{project}`.subject "
            f"JOIN `{members.base}_{project}`.session USING (subject_name) "
            "WHERE subject_name = 'JC1' GROUP BY subject_sex"
        )
        out, _ = say(members, name, joined)
        assert out.split() == [SEX[project], "200"]
        with members.used_by(name, project):
            lab = load_project_schema(project)
            assert len(lab.Session & {"subject_name": "JC1"}) == 200
            assert (lab.Subject & {"subject_name": "JC1"}).fetch1("subject_sex") == SEX[project]


@pytest.mark.parametrize("project", PROJECTS)
def test_nothing_of_the_other_is_read_or_changed(members: Any, project: str) -> None:
    (other,) = set(PROJECTS) - {project}
    base = members.base
    out, err = say(members, PROJECTS[project], f"SHOW DATABASES LIKE '{base}%';")
    assert err == "" and f"{base}_{project}" in out.split()
    assert f"{base}_{other}" not in out.split()
    statements = [
        f"SELECT * FROM `{base}_{other}`.subject;",
        f"SELECT a.* FROM `{base}_{project}`.subject a JOIN `{base}_{other}`.subject b "
        "USING (subject_name);",
        f"INSERT INTO `{base}_{other}`.subject SELECT * FROM `{base}_{project}`.subject;",
        f"UPDATE `{base}_{other}`.subject SET subject_sex = 'F';",
        f"DELETE FROM `{base}_{other}`.session;",
        f"DELETE FROM `{base}_{project}`.session;",  # an experimenter deletes nothing
        f"SELECT * FROM `{base}`.`~file~{other}`;",
        f"SELECT * FROM `{base}`.`~labdata_rename~{other}`;",
    ]
    for statement in statements:
        out, err = say(members, PROJECTS[project], statement)
        assert out == "" and "denied" in err, statement
