"""The inner loops that were compiled, if they were.

Whoever calls one has the same in NumPy beside it, for a computer where ``pip`` found no C
compiler: slower, and equal to the bit. Installing again once there is one builds them. Arrays must
be contiguous, and of the types that the source names.
"""

from __future__ import annotations

import importlib
from typing import Any


def _load() -> Any:
    try:
        return importlib.import_module("._compiled", __name__)
    except ImportError:
        return None


#: The module of them, or None.
compiled: Any = _load()
