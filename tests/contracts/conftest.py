"""Make the contracts importable by name, with pytest's explanations of failed assertions."""

import sys
from pathlib import Path

import pytest

pytest.register_assert_rewrite("store_contract")
sys.path.insert(0, str(Path(__file__).parent))
