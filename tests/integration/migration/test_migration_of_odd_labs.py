"""Old labs as they are: plugins, contents that were stored twice, data without a project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datajoint import blob
from old_servers import findings, run

from labdata import plugins
from labdata.database.connection import reset_connection
from labdata.preferences import labdata_folder, write_preferences
from labdata.schema import default_lab

pytestmark = [pytest.mark.database, pytest.mark.server]

PROBES = """
CREATE TABLE probe (probe_id varchar(32) PRIMARY KEY, probe_type varchar(12) NOT NULL,
  probe_n_shanks tinyint NOT NULL, probe_recording_channels int NOT NULL);
CREATE TABLE probe_configuration (probe_id varchar(32), configuration_id smallint,
  probe_n_channels int NOT NULL, probe_gain float NOT NULL, channel_idx blob NOT NULL,
  channel_shank blob NOT NULL, channel_coords blob NOT NULL,
  PRIMARY KEY (probe_id, configuration_id));
INSERT INTO probe VALUES ('1', '24', 1, 384), ('2', '24', 1, 384);
CREATE DATABASE labtestsmall_computed;
CREATE TABLE labtestsmall_computed.spike_sorting_params (parameter_set_num int PRIMARY KEY,
  algorithm_name varchar(64) NOT NULL, parameters_dict varchar(2000) NOT NULL)
"""

PLUGIN = '''"""Licks."""
from labdata.plugins import Manual, plugin_table


@plugin_table
class Licks(Manual):
    """Licks."""

    definition = """
    n : int32
    ---
    seconds=null : <array>
    force_g=null : float32
    """
'''


def add_probes(old: Any) -> None:
    for statement in PROBES.split(";\n"):
        old.sql(statement)
    packed = [blob.pack(one) for one in (np.arange(3), np.zeros(3, int), np.eye(3)[:, :2])]
    for probe, number in (("1", 1), ("1", 2), ("2", 1), ("1", 3)):
        old.sql(
            "INSERT INTO probe_configuration VALUES (%s, %s, 3, 2.34, %s, %s, %s)",
            *(probe, number, *packed),
        )


def test_contents_that_were_stored_twice_both_come(old: Any) -> None:
    add_probes(old)
    for number, text in ((1, '{"a": 1}'), (2, '{"a":1}'), (3, '{"a": 2}')):
        old.sql(
            "INSERT INTO labtestsmall_computed.spike_sorting_params VALUES (%s, 'ks', %s)",
            *(number, text),
        )
    assert run(old, "--apply") == 0
    hashes = default_lab.ProbeConfiguration.fetch("configuration_hash")
    assert (len(hashes), len(set(hashes))) == (4, 3)  # one is unique within a probe
    assert len(set(default_lab.SpikeSortingParams.fetch("parameters_hash"))) == 3
    assert findings(old) == {}
    assert run(old, "--apply") == 0


def test_data_without_a_project_do_not_land_in_the_project_in_use(
    small_lab, make_embedded_lab, tmp_path
) -> None:
    with make_embedded_lab(tmp_path), pytest.MonkeyPatch.context() as patch:
        patch.setenv("LABDATA_DATABASE_PROJECT", "vision")
        reset_connection()
        assert run(small_lab, "--apply") == 0
        assert len(default_lab.Subject()) == 0
        patch.delenv("LABDATA_DATABASE_PROJECT")
        default_lab.deactivate()
        reset_connection()
        assert len(default_lab.Subject()) == 2


def test_the_table_of_an_installed_plugin_comes(old: Any, tmp_path: Path) -> None:
    old.sql(f"CREATE DATABASE {old.name}_user")
    old.sql(
        f"CREATE TABLE {old.name}_user.licks (n int PRIMARY KEY, seconds longblob, force_g float)"
    )
    packed = blob.pack(np.array([0.5, 1.5]))
    old.sql(f"INSERT INTO {old.name}_user.licks VALUES (1, %s, 1234567.1)", packed)
    assert findings(old)[f"{old.name}_user.licks"].blocks
    (tmp_path / "licking").mkdir()
    (tmp_path / "licking" / "__init__.py").write_text(PLUGIN)
    file = labdata_folder() / "user_preferences.json"
    content = json.loads(file.read_text()) | {"plugins": {"licking": str(tmp_path / "licking")}}
    write_preferences(content, file)
    plugins.forget_plugins()
    default_lab.deactivate()
    reset_connection()
    try:
        assert run(old, "--apply") == 0
        row = default_lab.Licks.to_dicts()[0]
    finally:
        plugins.forget_plugins()
        default_lab.deactivate()
    np.testing.assert_array_equal(row["seconds"], [0.5, 1.5])
    assert row["force_g"] == pytest.approx(1234567.1, rel=1e-5)  # as the server's text has it
