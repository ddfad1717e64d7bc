"""Make the contracts importable by name, with pytest's explanations of failed assertions."""

import itertools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
from s3_proxy import run_proxy
from seaweed import ACCESS_KEY, SECRET_KEY, seaweed  # noqa: F401

pytest.register_assert_rewrite("store_contract")

_numbers = itertools.count()


@pytest.fixture
def s3_settings():
    """Return a callable that gives settings of an empty folder behind an endpoint."""
    from labdata.stores import S3Settings

    folder = f"run/{next(_numbers)}"

    def settings(endpoint, **changes):
        given = {
            "bucket": "tests",
            "endpoint": endpoint,
            "folder": folder,
            "access_key": ACCESS_KEY,
            "secret_key": SECRET_KEY,
        }
        return S3Settings(**{**given, **changes})

    return settings


@pytest.fixture(scope="session")
def running_proxy(seaweed):  # noqa: F811
    with run_proxy(seaweed.port) as proxy:
        yield proxy


@pytest.fixture
def proxy(running_proxy):
    """Return the proxy before the server, doing nothing yet."""
    running_proxy.reset()
    yield running_proxy
    running_proxy.reset()
