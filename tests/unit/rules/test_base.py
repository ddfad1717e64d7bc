"""Rules are found by name, and an unknown one names those there are."""

from __future__ import annotations

import pytest

from labdata.errors import RuleError
from labdata.rules import UploadRule, find_rule, rule_names


@pytest.mark.parametrize("name", ["none", "ephys"])
def test_the_rules_of_labdata(name):
    rule = find_rule(name)
    assert isinstance(rule, UploadRule)
    assert rule.name == name
    assert name in rule_names()


@pytest.mark.parametrize("name", ["ephyz", "", "__class__", "os:system", "Ephys"])
def test_fault_30_a_name_is_looked_up_and_never_run(name):
    with pytest.raises(RuleError, match="no upload rule") as caught:
        find_rule(name)
    assert "ephys, none" in str(caught.value.hint) or "none, ephys" in str(caught.value.hint)
