"""Make the contracts importable by name, with pytest's explanations of failed assertions."""

import sys
from pathlib import Path

import pytest

pytest.register_assert_rewrite("store_contract")
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory):
    """A real S3 server for all tests of stores."""
    from seaweed import run_seaweed

    with run_seaweed(tmp_path_factory.mktemp("weed")) as server:
        yield server
