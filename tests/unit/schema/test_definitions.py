"""Every table says what it is, and every measured column its unit or meaning."""

from __future__ import annotations

import re
from typing import Any

import pytest

from labdata.schema import default_lab

TABLES = default_lab._tables
#: Columns whose numbers mean nothing without a word on them.
MEASURED = re.compile(r"\s*(\w+)(=\S+)?\s*:\s*(float64|<array>|<spiketrain>)\s*(#\s*(\S.*))?$")


def tables_and_parts() -> dict[str, Any]:
    from labdata.database.tables import parts_of

    found = {}
    for name, cls in TABLES.items():
        found[name] = cls
        found |= {f"{name}.{part.__name__}": part for part in parts_of(cls)}
    return found


def measured(definition: str) -> dict[str, str | None]:
    """Columns that hold measured numbers, and what is said about each."""
    found = (MEASURED.match(line) for line in definition.splitlines())
    return {match[1]: match[5] for match in found if match}


def test_the_pattern_sees_a_column_with_and_without_a_word() -> None:
    assert measured("a : float64\nb=null : <array>  # um\n-> File\nc : int32") == {
        "a": None,
        "b": "um",
    }


@pytest.mark.parametrize("name", tables_and_parts())
def test_a_table_is_described(name: str) -> None:
    cls = tables_and_parts()[name]
    # DataJoint adds the definition when the table is first used
    said = cls.__dict__["__doc__"].partition("Table definition:")[0]
    assert said.strip().endswith((".", ")"))
    assert [c for c, said in measured(cls.definition).items() if not said] == []
