"""What each role can and cannot do, asked of the server itself by connections of the accounts."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

import pymysql
import pytest

from labdata.cli import main

pytestmark = [pytest.mark.database, pytest.mark.server]

OURS, THEIRS = "a_b", "axb"
ROLES = ("reader", "experimenter", "analyst", "admin")
DENIED = {1044, 1142, 1143}
EVERYONE, DATA, RESULTS = set(ROLES), {"experimenter", "admin"}, {"analyst", "admin"}

#: An entry of the log, with more columns and their values.
CURATE = (
    "INSERT INTO `{{2}}`.unit_curation (subject_name, session_name, dataset_name, probe_num, "
    "parameter_set_num, entry_num, curated_by, action, unit_ids, new_unit_ids, label, note{}) "
    "SELECT subject_name, session_name, dataset_name, probe_num, parameter_set_num, 0, 'kim', "
    "'label', '[0]', '[]', 'SUA', ''{} FROM `{{2}}`.spike_sorting"
)
#: What, its SQL on the schemas {0} shared, {1} data, {2} results, {3} plugins, and who can.
STATEMENTS = [
    ("read subjects", "SELECT * FROM `{1}`.subject", EVERYONE),
    ("read units", "SELECT * FROM `{2}`.spike_sorting__unit", EVERYONE),
    ("read curation", "SELECT * FROM `{2}`.unit_curation", EVERYONE),
    ("curate units", CURATE.format("", ""), RESULTS),
    ("curate as another account", CURATE.format(", account", ", 'kim@%'"), {"admin"}),
    ("curate as no account", CURATE.format(", account", ", NULL"), {"admin"}),
    ("curate at another time", CURATE.format(", entry_datetime", ", '2020-01-01'"), {"admin"}),
    (
        "curate by the order of columns",
        "INSERT INTO `{2}`.unit_curation SELECT subject_name, session_name, dataset_name, "
        "probe_num, parameter_set_num, 0, 'x', 'x', NOW(), 'label', '[0]', '[]', 'SUA', NULL, "
        "NULL, '' FROM `{2}`.spike_sorting",
        {"admin"},
    ),
    ("change the log", "UPDATE `{2}`.unit_curation SET label = 'MUA'", {"admin"}),
    ("change whose it is", "UPDATE `{2}`.unit_curation SET curated_by = 'me'", {"admin"}),
    ("delete from the log", "DELETE FROM `{2}`.unit_curation", {"admin"}),
    (
        "replace in the log",
        "REPLACE INTO `{2}`.unit_curation SELECT * FROM `{2}`.unit_curation",
        {"admin"},
    ),
    (
        "change the log by adding",
        "INSERT INTO `{2}`.unit_curation SELECT * FROM `{2}`.unit_curation AS old "
        "ON DUPLICATE KEY UPDATE label = 'MUA'",
        {"admin"},
    ),
    ("empty the log", "TRUNCATE TABLE `{2}`.unit_curation", set()),
    ("delete a count", "DELETE FROM `{2}`.__curated_unit_count", RESULTS),
    ("read strains", "SELECT * FROM `{0}`.`#strain`", EVERYONE),
    ("read members", "SELECT * FROM `{0}`.lab_member", EVERYONE),
    ("read own files", "SELECT * FROM `{0}`.`~file~a_b`", EVERYONE),
    ("read own jobs", "SELECT * FROM `{0}`.`~upload_job~a_b`", EVERYONE),
    ("read all files", "SELECT * FROM `{0}`.file", set()),
    ("read one column of all files", "SELECT file_path FROM `{0}`.file", set()),
    ("count all files", "SELECT COUNT(*) FROM `{0}`.file", set()),
    ("read all results' files", "SELECT * FROM `{0}`.analysis_file", set()),
    ("read all originals", "SELECT * FROM `{0}`.processed_file", set()),
    ("read all jobs", "SELECT * FROM `{0}`.upload_job", set()),
    ("read all jobs' files", "SELECT * FROM `{0}`.upload_job__assigned_files", set()),
    ("read passwords", "SELECT * FROM mysql.global_priv", set()),
    (
        "add a subject",
        "INSERT INTO `{1}`.subject SELECT 'new', subject_dob, subject_sex, strain_name, user_name "
        "FROM `{1}`.subject",
        DATA,
    ),
    ("correct a subject", "UPDATE `{1}`.subject SET subject_sex = 'F'", DATA),
    ("delete data", "DELETE FROM `{1}`._dataset_events__digital", {"admin"}),
    ("delete a note", "DELETE FROM `{1}`.note", {"admin"}),
    ("add a result", "INSERT INTO `{2}`.compute_task (task_name) VALUES ('x')", RESULTS),
    ("change a result", "UPDATE `{2}`.spike_sorting__unit SET unit_id = 1", RESULTS),
    ("delete a result", "DELETE FROM `{2}`.spike_sorting__unit", RESULTS),
    (
        "delete computed rows among the data",
        "DELETE FROM `{1}`.__ephys_recording_noise_stats",
        RESULTS,
    ),
    (
        "add a file",
        "INSERT INTO `{0}`.`~file~a_b` (file_path, storage, file_datetime, file_size) "
        "VALUES ('new', 'data', NOW(), 1)",
        DATA,
    ),
    ("change a checksum", "UPDATE `{0}`.`~file~a_b` SET file_sha256 = NULL", set()),
    ("delete a file", "DELETE FROM `{0}`.`~processed_file~a_b`", {"admin"}),
    (
        "add a file past the view",
        "INSERT INTO `{0}`.file (file_path, storage, file_datetime, file_size) "
        "VALUES ('new', 'data', NOW(), 1)",
        set(),
    ),
    (
        "add a file of results",
        "INSERT INTO `{0}`.`~analysis_file~a_b` (file_path, storage, file_datetime, file_size) "
        "VALUES ('new', 'data', NOW(), 1)",
        RESULTS,
    ),
    ("put", "INSERT INTO `{0}`.`~upload_job~a_b` (project_name) VALUES ('a_b')", DATA),
    ("take a job", "UPDATE `{0}`.`~upload_job~a_b` SET job_status = 'WORKING'", DATA),
    ("delete a job", "DELETE FROM `{0}`.`~upload_job__assigned_files~a_b`", {"admin"}),
    ("add a strain", "INSERT INTO `{0}`.`#strain` VALUES ('new', 'mouse', NULL)", {"admin"}),
    ("change a strain", "UPDATE `{0}`.`#strain` SET strain_description = 'x'", set()),
    ("add a lab member", "INSERT INTO `{0}`.lab_member (user_name) VALUES ('new')", set()),
    ("add a project", "INSERT INTO `{0}`.project (project_name) VALUES ('new')", set()),
    (
        "join another project",
        "INSERT INTO `{0}`.project__user VALUES ('axb', 'reader')",
        set(),
    ),
    ("remove data's tables", "DROP TABLE `{1}`.note__attachment", set()),
    ("remove a view", "DROP VIEW `{0}`.`~file~a_b`", set()),
    ("replace a view", "CREATE OR REPLACE VIEW `{0}`.`~file~a_b` AS SELECT 1", set()),
    ("make an account", "CREATE USER 'sneaky'@'%' IDENTIFIED BY 'x'", set()),
    ("make a schema", "CREATE DATABASE `{0}_sneaky`", set()),
]
#: The same where there is no project: {1} is {0}, and views have no name after them.
OF_NO_PROJECT = [
    row
    for row in STATEMENTS
    if row[0] not in ("put", "join another project", "replace a view", "make a schema")
]
#: Read or written, all of it is another project's.
OF_OTHERS = [
    "SELECT * FROM `{0}_axb`.subject",
    "SELECT * FROM `{0}_axb`.session",
    "SELECT * FROM `{0}_axb`._dataset_events__digital",
    "SELECT * FROM `{0}_axb_computed`.spike_sorting__unit",
    "SELECT * FROM `{0}_axb_computed`.unit_curation",
    "SELECT * FROM `{0}_axb_computed`.__curated_unit_count",
    "SELECT * FROM `{0}_computed`.unit_curation",
    "INSERT INTO `{0}_axb_computed`.unit_curation SELECT * FROM `{0}_a_b_computed`.unit_curation",
    "UPDATE `{0}_axb_computed`.unit_curation SET label = 'SUA'",
    "DELETE FROM `{0}_axb_computed`.unit_curation",
    "SELECT COUNT(*) FROM `{0}_axb`.subject",
    "SELECT * FROM `{0}`.subject",
    "SELECT * FROM `{0}`._dataset_events__digital",
    "SELECT * FROM `{0}_computed`.spike_sorting__unit",
    "SELECT * FROM `{0}`.`~file~`",
    "SELECT * FROM `{0}`.`~upload_job~`",
    "UPDATE `{0}`.subject SET subject_sex = 'F'",
    "SELECT * FROM `{0}`.`~file~axb`",
    "SELECT * FROM `{0}`.`~analysis_file~axb`",
    "SELECT * FROM `{0}`.`~processed_file~axb`",
    "SELECT * FROM `{0}`.`~upload_job~axb`",
    "SELECT * FROM `{0}`.`~upload_job__assigned_files~axb`",
    "INSERT INTO `{0}_axb`.note (notetaker, note_datetime) VALUES ('couto', NOW())",
    "UPDATE `{0}_axb`.subject SET subject_sex = 'F'",
    "DELETE FROM `{0}_axb_computed`.spike_sorting__unit",
    "INSERT INTO `{0}`.`~project__user~axb` VALUES ('axb', 'reader')",
    "CREATE TABLE `{0}_axb`.mine (x INT)",
    "CREATE TABLE `{0}_axb_user`.mine (x INT)",
]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("statement", "allowed"), [row[1:] for row in STATEMENTS], ids=[row[0] for row in STATEMENTS]
)
def test_a_role_can_and_cannot(
    accounts: Any, role: str, statement: str, allowed: set[str]
) -> None:
    base = accounts.base
    statement = statement.format(base, f"{base}_a_b", f"{base}_a_b_computed", f"{base}_a_b_user")
    error = accounts.sql(role, statement)
    if role in allowed:
        assert error is None
    else:
        assert error in {*DENIED, 1227}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("statement", "allowed"),
    [row[1:] for row in OF_NO_PROJECT],
    ids=[row[0] for row in OF_NO_PROJECT],
)
def test_a_role_without_a_project(
    accounts: Any, role: str, statement: str, allowed: set[str]
) -> None:
    base = accounts.base
    statement = statement.format(base, base, f"{base}_computed", f"{base}_user")
    error = accounts.sql(f"plain_{role}", statement.replace("~a_b`", "~`"))
    if role in allowed:
        assert error is None
    else:
        assert error in {*DENIED, 1227}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("statement", [s for s in OF_OTHERS if "axb" in s])
def test_projects_are_closed_to_those_of_none(accounts: Any, role: str, statement: str) -> None:
    assert accounts.sql(f"plain_{role}", statement.format(accounts.base)) in DENIED


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("statement", OF_OTHERS)
def test_nothing_of_another_project_is_open(accounts: Any, role: str, statement: str) -> None:
    assert accounts.sql(role, statement.format(accounts.base)) in DENIED


@pytest.mark.parametrize("role", ROLES)
def test_the_server_tells_nothing_of_another_projects_tables(accounts: Any, role: str) -> None:
    places = accounts.rows(
        role,
        "SELECT table_schema, table_name FROM information_schema.tables "
        f"WHERE table_schema LIKE '{accounts.base}%'",
    )
    assert {schema for schema, _ in places} == {
        accounts.base, f"{accounts.base}_a_b", f"{accounts.base}_a_b_computed",
    }  # fmt: skip
    assert not [table for _, table in places if "axb" in table]


def test_views_hold_the_rows_of_their_project(accounts: Any) -> None:
    for name, project in [*((role, OURS) for role in ROLES), ("outsider", THEIRS)]:
        for query, expected in [
            ("SELECT file_path FROM `{}`.`~file~{}`", f"{project}/raw.bin"),
            ("SELECT file_path FROM `{}`.`~analysis_file~{}`", f"{project}/raw.bin"),
            ("SELECT file_path FROM `{}`.`~processed_file~{}`", f"{project}/raw.ap.bin"),
            ("SELECT project_name FROM `{}`.`~upload_job~{}`", project),
            (
                "SELECT src_path FROM `{}`.`~upload_job__assigned_files~{}`",
                f"{project}/raw.ap.bin",
            ),
        ]:
            assert accounts.rows(name, query.format(accounts.base, project)) == [(expected,)]


def test_a_view_takes_no_rows_of_another_project(accounts: Any) -> None:
    check_option_failed = 1369
    base = accounts.base
    (job,) = accounts.rows("outsider", f"SELECT job_id FROM `{base}`.`~upload_job~axb`")
    for statement in (
        "INSERT INTO `{0}`.`~upload_job~a_b` (project_name) VALUES ('axb')",
        "INSERT INTO `{0}`.`~upload_job~a_b` (project_name) VALUES (NULL)",
        "UPDATE `{0}`.`~upload_job~a_b` SET project_name = 'axb'",
        "INSERT INTO `{0}`.`~upload_job__assigned_files~a_b` "
        "(job_id, src_path, src_datetime, src_size) VALUES ({1}, 'x', NOW(), 1)",
    ):
        assert accounts.sql("experimenter", statement.format(base, *job)) == check_option_failed
    statement = f"INSERT INTO `{base}`.`~project__user~a_b` VALUES ('axb', 'reader')"
    assert accounts.sql("admin", statement) == check_option_failed


def test_an_admin_makes_tables_that_refer_to_data_and_files(accounts: Any) -> None:
    base = accounts.base
    with accounts.connect("admin") as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE IF NOT EXISTS `{base}_a_b_user` CHARACTER SET utf8mb4")
        cursor.execute(
            f"CREATE TABLE `{base}_a_b_user`.score (subject_name VARCHAR(64) PRIMARY KEY, "
            f"file_path VARCHAR(400), storage VARCHAR(32), "
            f"FOREIGN KEY (subject_name) REFERENCES `{base}_a_b`.subject (subject_name), "
            f"FOREIGN KEY (file_path, storage) REFERENCES `{base}`.file (file_path, storage))"
        )
    score = f"INSERT INTO `{base}_a_b_user`.score (subject_name) VALUES ('a_b1')"
    assert [accounts.sql(role, score) in DENIED for role in ROLES] == [True, True, False, False]
    assert accounts.sql("analyst", f"DROP TABLE `{base}_a_b_user`.score") in DENIED
    assert accounts.sql("admin", f"DROP DATABASE `{base}_a_b_user`") is None


@pytest.mark.parametrize("pattern", ["{0}_a_b", r"{0}\_a_b", r"{0}\_a%", "{0}%", "%"])
def test_an_admin_gives_no_right_on_more_than_the_project(accounts: Any, pattern: str) -> None:
    place = pattern.format(accounts.base)
    assert accounts.sql("admin", f"GRANT SELECT ON `{place}`.* TO 'reader'@'%'") in DENIED
    assert accounts.sql("reader", f"SELECT * FROM `{accounts.base}_axb`.subject") in DENIED


def test_without_tls_the_account_is_refused(accounts: Any) -> None:
    accounts.connect("reader").close()
    with pytest.raises(pymysql.OperationalError) as refused:
        accounts.connect("reader", tls=False)
    assert refused.value.args[0] == 1045


@pytest.mark.skipif(not shutil.which("mariadb"), reason="the program mariadb is not installed")
def test_the_client_program_is_held_to_the_same(accounts: Any) -> None:
    def ask(statement: str, *options: str) -> subprocess.CompletedProcess[str]:
        line = ["mariadb", "--no-defaults", "--protocol=tcp", "--host=127.0.0.1"]
        line += [f"--port={accounts.port}", "--user=reader", "--batch", "--skip-column-names"]
        environment = {**os.environ, "MYSQL_PWD": accounts.passwords["reader"]}
        return subprocess.run(
            [*line, *options, "-e", statement.format(accounts.base)],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    ours = "SELECT subject_name FROM `{0}_a_b`.subject"
    assert ask(ours, "--ssl").stdout == "a_b1\n"
    assert "Access denied" in ask(ours, "--skip-ssl").stderr
    for denied in (
        "SELECT * FROM `{0}_axb`.subject",
        "SELECT * FROM `{0}`.file",
        "UPDATE `{0}_a_b`.subject SET subject_sex = 'F'",
    ):
        assert "denied" in ask(denied, "--ssl").stderr


def test_rights_that_were_wider_are_made_those_of_now(
    accounts: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """As an account of an earlier version had them, which were given on the whole schema."""
    accounts.make("both", "-p", OURS, "--role", "analyst")
    with accounts.used_by("chief"):
        assert main(["account", "grant", "both", "-p", OURS, "--role", "admin"]) == 0
    computed = f"{accounts.base}_a_b_computed"
    change = f"UPDATE `{computed}`.unit_curation SET label = 'MUA'"
    curate = CURATE.replace("{{2}}", computed)
    forge = curate.format(", account", ", 'kim@%'")
    others = f"UPDATE `{computed}`.spike_sorting__unit SET unit_id = 1"
    delete = f"DELETE FROM `{computed}`.spike_sorting__unit"
    pattern = computed.replace("_", r"\_")
    grant = ["account", "grant", "analyst", "-p", OURS, "--role", "analyst"]
    for line in (["db", "upgrade"], grant):
        with accounts.admin() as connection, connection.cursor() as cursor:
            cursor.execute(f"GRANT INSERT, UPDATE, DELETE ON `{pattern}`.* TO 'analyst'@'%'")
            cursor.execute(f"REVOKE DELETE ON `{computed}`.spike_sorting__unit FROM 'analyst'@'%'")
        assert accounts.sql("analyst", change) is accounts.sql("analyst", forge) is None
        with accounts.used_by("chief"):
            assert main(line) == 0
        assert accounts.sql("analyst", change) in DENIED
        assert accounts.sql("analyst", forge) in DENIED
        assert accounts.sql("analyst", curate.format("", "")) is None
        assert accounts.sql("analyst", others) is None
        assert accounts.sql("analyst", delete) is None
    assert accounts.sql("both", change) is None, "an admin's rights stay"
    assert "accounts are those of this version" in capsys.readouterr().out
    assert accounts.sql("reader", others) in DENIED
    with accounts.used_by("admin", OURS):
        assert main(["db", "upgrade"]) == 0
    assert "accounts" not in capsys.readouterr().out


def test_who_does_not_see_accounts_is_told_that_no_rights_were_renewed(
    accounts: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with accounts.admin() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER 'half'@'%' IDENTIFIED BY 'x-1' REQUIRE SSL")
        cursor.execute("GRANT ALL ON `labtest%`.* TO 'half'@'%' WITH GRANT OPTION")
    accounts.passwords["half"] = "x-1"
    said = "No account's rights were renewed: half does not see other accounts."
    with accounts.used_by("half"):
        assert main(["db", "upgrade"]) == 0
        found = capsys.readouterr()
        assert said in found.err and "GRANT SELECT ON mysql.* TO 'half'@'%'" in found.err
        with accounts.admin() as connection, connection.cursor() as cursor:
            cursor.execute("GRANT SELECT ON mysql.* TO 'half'@'%'")
    with accounts.used_by("half"):  # as it was told
        assert main(["db", "upgrade"]) == 0
        found = capsys.readouterr()
        assert "accounts are those of this version" in found.out and said not in found.err
