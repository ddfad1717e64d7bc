"""Names are looked up: built in first, then entry points, and an unknown one is an error."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from labdata import registry
from labdata.compute import analysis_names, find_analysis
from labdata.errors import TaskError

THINGS = registry.Registry("thing", "labdata.things", {"list": "builtins:list"}, TaskError)


@pytest.fixture
def installed(monkeypatch):
    entries = [
        EntryPoint("mine", "builtins:dict", "labdata.things"),
        EntryPoint("list", "builtins:set", "labdata.things"),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda *, group: entries)


def test_a_package_adds_a_name_and_replaces_none(installed):
    assert THINGS.names() == ["list", "mine"]
    assert THINGS.make("mine") == {}
    assert THINGS.make("list") == []


@pytest.mark.parametrize("name", ["", "builtins:list", "__class__", "os:system", "List"])
def test_fault_30_an_unknown_name_is_an_error_that_lists_the_known(installed, name):
    with pytest.raises(TaskError, match="no thing") as caught:
        THINGS.make(name)
    assert "list, mine" in caught.value.hint


def test_the_analyses_of_labdata():
    assert "spikeinterface" in analysis_names()
    with pytest.raises(TaskError, match="no analysis 'spikeinterfase'"):
        find_analysis("spikeinterfase")
