"""A lab on a server with two projects, and an account a role in the first of them.

The names of the projects differ in one character, which as ``_`` in a grant would stand for any:
a right on ``a_b`` that is written carelessly is one on ``axb``.
"""

from __future__ import annotations

import json
import secrets
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pymysql
import pytest

from labdata.cli import main
from labdata.database.connection import reset_connection
from labdata.schema import default_lab, load_project_schema
from labdata.testing import insert_dataset
from labdata.testing.rows import insert_streams, insert_unit

OURS, THEIRS = "a_b", "axb"
ROLES = ("reader", "experimenter", "analyst", "admin")
NOW = datetime(2025, 6, 1, 10)


@dataclass
class Accounts:
    """The lab and the passwords of its accounts.

    Attributes
    ----------
    base : str
        The shared schema.
    port : int
        Of the server.
    admin : callable
        A new connection of the server's own administrator.
    folder : Path
        For files of a test.
    passwords : dict
        By account.
    keys : dict
        The dataset of each project.
    """

    base: str
    port: int
    admin: Callable[[], Any]
    folder: Path
    passwords: dict[str, str] = field(default_factory=dict)
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)

    @contextmanager
    def used_by(self, name: str, project: str | None = None) -> Iterator[None]:
        """Let labdata in this process be an account's."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LABDATA_DATABASE_USER", name)
            patch.setenv("LABDATA_DATABASE_PASS", self.passwords[name])
            if project:
                patch.setenv("LABDATA_DATABASE_PROJECT", project)
            _forget()
            yield
        _forget()

    def connect(self, name: str, *, tls: bool = True) -> Any:
        """Return a connection of an account that is not labdata's."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        how: dict[str, Any] = {"ssl": context} if tls else {"ssl_disabled": True}
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user=name, password=self.passwords[name], **how
        )

    def sql(self, name: str, statement: str) -> Any:
        """Run a statement as an account and take it back; ``None``, or the error's number."""
        with self.connect(name) as connection, connection.cursor() as cursor:
            try:
                cursor.execute(statement)
            except pymysql.MySQLError as error:
                return error.args[0]
            finally:
                connection.rollback()
        return None

    def rows(self, name: str, query: str) -> list[tuple[Any, ...]]:
        """Return what an account reads."""
        with self.connect(name) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def make(self, name: str, *line: str) -> None:
        """Make an account by the command, and learn its password from the file it writes."""
        file = self.folder / f"{name}.json"
        with self.used_by("chief"):
            assert main(["account", "create", name, "--write", str(file), *line]) == 0
        self.passwords[name] = json.loads(file.read_text())["database"]["database.password"]


def _forget() -> None:
    from labdata import schema

    for lab in (schema.default_lab, *schema._labs.values()):
        lab.deactivate()
    schema._labs.clear()
    reset_connection()


@pytest.fixture(scope="session")
def chief_password(mariadb_server: Any) -> str:
    """Of the lab's administrator: all rights on the lab, and those to make accounts."""
    password = secrets.token_hex(12)
    with mariadb_server.admin() as connection, connection.cursor() as cursor:
        cursor.execute("DROP USER IF EXISTS 'chief'@'%'")  # of an earlier run on this server
        cursor.execute("CREATE USER 'chief'@'%%' IDENTIFIED BY %s", (password,))
        cursor.execute("GRANT CREATE USER ON *.* TO 'chief'@'%'")
        cursor.execute("GRANT SELECT ON mysql.* TO 'chief'@'%'")
        cursor.execute("GRANT ALL ON `labtest%`.* TO 'chief'@'%' WITH GRANT OPTION")
    return password


@pytest.fixture(scope="module")
def bare_lab(
    make_server_lab: Any,
    mariadb_server: Any,
    chief_password: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Accounts]:
    """A lab with two projects that hold a dataset each, and no accounts of members."""
    import os

    folder = tmp_path_factory.mktemp("accounts")
    with make_server_lab(folder):
        # rows of files are made without objects here, and an empty store counts as not mounted
        (folder / "stores" / "data" / ".labdata-store").touch()
        accounts = Accounts(
            os.environ["LABDATA_DATABASE"], mariadb_server.port, mariadb_server.admin, folder
        )
        accounts.passwords["chief"] = chief_password
        accounts.passwords["scientist"] = mariadb_server.password
        with accounts.used_by("chief"):
            for project in (OURS, THEIRS):
                assert main(["project", "create", project]) == 0
                accounts.keys[project] = fill_project(load_project_schema(project), project)
            accounts.keys["none"] = fill_project(default_lab, "none")
        yield accounts
        with mariadb_server.admin() as connection, connection.cursor() as cursor:
            for name in set(accounts.passwords) - {"chief", "scientist"}:
                cursor.execute("DROP USER IF EXISTS %s@'%%'", (name,))


@pytest.fixture(scope="module")
def accounts(bare_lab: Accounts) -> Accounts:
    """The lab with an account a role in ``a_b``, ``outsider``, who reads ``axb``, and accounts
    a role in the data of no project."""
    for role in ROLES:
        bare_lab.make(role, "-p", OURS, "--role", role)
    bare_lab.make("outsider", "-p", THEIRS, "--role", "reader")
    for role in ROLES:
        bare_lab.make(f"plain_{role}", "--role", role)
    return bare_lab


def fill_project(lab: Any, project: str) -> dict[str, Any]:
    """Insert a row of everything that another project must not see."""
    key = insert_dataset(lab, f"{project}1")
    insert_streams(lab, key)
    insert_unit(lab, key, spike_times=[30000, 60000, 90000])
    for table, storage in ((lab.File, "data"), (lab.AnalysisFile, "analysis")):
        table.insert1(file_row(f"{project}/raw.bin", storage))
    lab.Dataset.DataFiles.insert1({**key, "file_path": f"{project}/raw.bin", "storage": "data"})
    lab.SpikeSorting.update1(
        {
            **(lab.SpikeSorting & key).fetch1("KEY"),
            "waveforms_file": f"{project}/raw.bin",
            "waveforms_storage": "analysis",
        }
    )
    lab.UploadJob.insert1({"job_status": "COMPLETED", "project_name": lab.project})
    job_id = max(lab.UploadJob.fetch("job_id"))
    source = {k: v for k, v in file_row("", "").items() if k in ("file_datetime", "file_size")}
    lab.UploadJob.AssignedFiles.insert1(
        {
            "job_id": job_id,
            "src_path": f"{project}/raw.ap.bin",
            "src_datetime": source["file_datetime"],
            "src_size": source["file_size"],
        }
    )
    lab.ProcessedFile.insert1({"file_path": f"{project}/raw.ap.bin", **source})
    return key


def file_row(path: str, storage: str) -> dict[str, Any]:
    """A row of File or AnalysisFile."""
    return {
        "file_path": path,
        "storage": storage,
        "file_datetime": NOW,
        "file_size": 8,
        "file_sha256": "0" * 64,
    }
