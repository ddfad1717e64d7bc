"""Where the real files are, for tests that read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
SHARED = REPOSITORY.parent / "shared"
DATA = SHARED / "data"


def expected_facts() -> dict[str, Any]:
    """Facts of the real SpikeGLX files, {} where they are absent."""
    path = DATA / "expected_spikeglx.json"
    return json.loads(path.read_text())["files"] if path.is_file() else {}


@pytest.fixture
def real_data() -> Path:
    """Folder of real recordings; the test is skipped without it."""
    if not DATA.is_dir():
        pytest.skip("the real recordings (shared/data) are not here")
    return DATA
