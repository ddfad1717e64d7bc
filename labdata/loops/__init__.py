"""The inner loops that were compiled, if they were.

Whoever calls one has the same in NumPy beside it, for a computer where ``pip`` found no C
compiler: slower, and equal to the bit. Installing again once there is one builds them. Arrays must
be contiguous, and of the types that the source names.
"""

from __future__ import annotations

import importlib
from typing import Any

#: Of the loops that this source calls: one that was built of an older source is not used.
VERSION = 3


def _load() -> Any:
    try:
        found = importlib.import_module("._compiled", __name__)
    except ImportError:
        return None
    return found if getattr(found, "VERSION", None) == VERSION else None


#: The module of them, or None.
compiled: Any = _load()
