"""What all tests share: the order in which they begin."""

from __future__ import annotations

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes minutes, so that none is left to one process at the end.

    The order within is kept: one process sorts for a module.
    """
    items.sort(key=lambda item: [not item.get_closest_marker(m) for m in ("slow", "sorting")])
