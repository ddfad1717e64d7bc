"""Old databases: one made by the published package, and small ones written in plain SQL."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from labdata.migration import OldAddress, read_address

sys.path.insert(0, str(Path(__file__).parent))
from old_servers import OLD_NAME, drop_database

MAKER = Path(__file__).with_name("make_old_lab.py")
PUBLISHED = ["labdata==0.1.25", "datajoint<2", "setuptools<81"]


@pytest.fixture(scope="session")
def old_python(request: pytest.FixtureRequest) -> Path:
    """A python with the published package: LABDATA_OLD_PYTHON, else one made in pytest's cache."""
    if os.environ.get("LABDATA_OLD_PYTHON"):
        return Path(os.environ["LABDATA_OLD_PYTHON"])
    folder = request.config.cache.mkdir("labdata-0.1.25")
    with Path(folder.parent, "labdata-0.1.25.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of several test processes installs
        return _installed(folder)


def _installed(folder: Path) -> Path:
    """Return the python of an environment that has the published package."""
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    done = subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", *PUBLISHED],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        reason = f"labdata 0.1.25 cannot be installed: {done.stderr.strip()[-300:]}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(f"{reason}. Set LABDATA_OLD_PYTHON to a python that has it.")
    (folder / "complete").touch()
    return python


@dataclass(frozen=True)
class PublishedLab:
    """A lab of the published package, with two projects.

    Attributes
    ----------
    preferences : Path
        Its preference file; the package has encrypted the password in it.
    folders : dict
        Of the oracle and objects, by project.
    password : str
    """

    preferences: Path
    folders: dict[str | None, Path]
    password: str

    @property
    def source(self) -> tuple[str, str]:
        """The preference file and the password."""
        return str(self.preferences), self.password

    def rows(self, project: str | None) -> dict[str, list[dict[str, Any]]]:
        """Return what was inserted, by table."""
        folder = self.folders[project]
        with np.load(folder / "arrays.npz") as arrays:
            content = {name: arrays[name] for name in arrays.files}
        described = json.loads((folder / "oracle.json").read_text())["rows"]
        return {
            table: [{k: _value(v, content) for k, v in row.items()} for row in rows]
            for table, rows in described.items()
        }

    def objects(self) -> dict[str, str]:
        """Return the SHA-256 of each object by store and path."""
        found: dict[str, str] = {}
        for folder in self.folders.values():
            found |= json.loads((folder / "oracle.json").read_text())["objects"]
        return found


def _value(described: dict[str, Any], arrays: dict[str, Any]) -> Any:
    from datetime import date, datetime

    ((kind, value),) = described.items()
    if kind == "array":
        return arrays[value]
    if kind == "dict":
        return {name: _value(one, arrays) for name, one in value.items()}
    if kind == "time":
        return datetime.fromisoformat(value) if "T" in value else date.fromisoformat(value)
    return value


@pytest.fixture(scope="session")
def published_lab(
    old_python: Path, mariadb_server: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PublishedLab]:
    """A database that the published package made and filled, on the server with TLS."""
    root = tmp_path_factory.mktemp("published")
    folders: dict[str | None, Path] = {}
    for project in (None, "vision"):
        folder = folders[project] = root / (project or "shared")
        _write_old_preferences(folder, mariadb_server)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LABDATA_")}
        environment.pop("PYTHONPATH", None)
        environment |= {"LABDATA_PATH": str(folder / "labdata")}
        environment |= {"LABDATA_DATABASE_PROJECT": project or ""}
        done = subprocess.run(
            [str(old_python), str(MAKER), str(folder)],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-3000:]
    preferences = root / "shared" / "labdata" / "user_preferences.json"
    yield PublishedLab(preferences, folders, mariadb_server.password)
    drop_database(mariadb_server, OLD_NAME)


def _write_old_preferences(folder: Path, server: Any) -> None:
    content = {
        "local_paths": [str(folder / "data")],
        "scratch_path": str(folder / "scratch"),
        "database": {
            "database.host": "127.0.0.1",
            "database.port": server.port,
            "database.user": "scientist",
            "database.password": server.password,
            "database.name": OLD_NAME,
        },
        "storage": {name: {"protocol": "local", "folder": ""} for name in ("data", "analysis")},
    }
    (folder / "labdata").mkdir(parents=True)
    (folder / "labdata" / "user_preferences.json").write_text(json.dumps(content))


SMALL = """
CREATE TABLE `lab_member` (user_name varchar(32) PRIMARY KEY, date_joined date NOT NULL,
  is_active tinyint NOT NULL DEFAULT 1);
CREATE TABLE `project` (project_name varchar(32) PRIMARY KEY,
  project_description varchar(500) NOT NULL);
CREATE TABLE `#species` (species_name varchar(32) PRIMARY KEY,
  species_scientific_name varchar(56) NOT NULL, species_description varchar(256));
CREATE TABLE `#strain` (strain_name varchar(56) PRIMARY KEY, species_name varchar(32) NOT NULL,
  strain_description varchar(256));
CREATE TABLE `file` (file_path varchar(300), storage varchar(12), file_datetime datetime NOT NULL,
  file_size double NOT NULL, file_md5 varchar(32), PRIMARY KEY (file_path, storage));
CREATE TABLE `analysis_file` LIKE `file`;
CREATE TABLE `upload_job` (job_id int AUTO_INCREMENT PRIMARY KEY, job_waiting tinyint NOT NULL,
  job_status varchar(52), job_host varchar(52), job_log varchar(500), project_name varchar(32));
CREATE TABLE `subject` (subject_name varchar(20) PRIMARY KEY, subject_dob date NOT NULL,
  subject_sex enum('M','F','U') NOT NULL, strain_name varchar(56) NOT NULL,
  user_name varchar(32) NOT NULL);
CREATE TABLE `weighing` (subject_name varchar(20), weighing_datetime datetime,
  weight float NOT NULL, PRIMARY KEY (subject_name, weighing_datetime),
  FOREIGN KEY (subject_name) REFERENCES subject (subject_name));
CREATE TABLE `session` (subject_name varchar(20), session_name varchar(54),
  session_datetime datetime NOT NULL, experimenter varchar(32),
  PRIMARY KEY (subject_name, session_name));
CREATE TABLE `dataset` (subject_name varchar(20), session_name varchar(54),
  dataset_name varchar(128), dataset_type varchar(32),
  PRIMARY KEY (subject_name, session_name, dataset_name));
CREATE TABLE `_dataset_events` (subject_name varchar(20), session_name varchar(54),
  dataset_name varchar(128), stream_name varchar(54), stream_time longblob,
  PRIMARY KEY (subject_name, session_name, dataset_name, stream_name));
CREATE TABLE `_dataset_events__digital` (subject_name varchar(20), session_name varchar(54),
  dataset_name varchar(128), stream_name varchar(54), event_name varchar(54),
  event_timestamps longblob, event_values longblob,
  PRIMARY KEY (subject_name, session_name, dataset_name, stream_name, event_name));
INSERT INTO `lab_member` VALUES ('couto', '2019-04-01', 1);
INSERT INTO `#species` VALUES ('mouse', 'Mus musculus', 'as the old lab describes it');
INSERT INTO `#strain` VALUES ('Ai14', 'mouse', NULL);
INSERT INTO `subject` VALUES ('JC1', '2025-01-02', 'F', 'Ai14', 'couto'),
  ('JC2', '2025-01-03', 'M', 'Ai14', 'couto');
INSERT INTO `weighing` VALUES ('JC1', '2025-05-01 09:00:00', 23.4);
INSERT INTO `session` VALUES ('JC1', 's1', '2025-06-01 10:00:00', 'couto');
INSERT INTO `dataset` VALUES ('JC1', 's1', 'ephys', 'ephys');
"""


@dataclass(frozen=True)
class SmallLab:
    """An old database in plain SQL.

    Attributes
    ----------
    name : str
    address : OldAddress
    text : str
        The address as one types it.
    sql : callable
        Runs a statement in it, with values.
    """

    name: str
    address: OldAddress
    text: str
    sql: Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def small_lab(mariadb_server: Any) -> Iterator[SmallLab]:
    """A small old database on the server with TLS."""
    name = "labtestsmall"
    drop_database(mariadb_server, name)
    connection = mariadb_server.admin()

    def sql(statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())

    sql(f"CREATE DATABASE {name}")
    connection.select_db(name)
    for statement in SMALL.split(";\n"):
        if statement.strip():
            sql(statement)
    text = f"mysql://scientist@127.0.0.1:{mariadb_server.port}/{name}"
    password = SecretStr(mariadb_server.password)
    yield SmallLab(name, read_address(text, password=password), text, sql)
    connection.close()
    drop_database(mariadb_server, name)


@pytest.fixture
def old(small_lab: SmallLab, embedded_lab: Path) -> SmallLab:
    """A small old database, and an empty lab of ours."""
    return small_lab
