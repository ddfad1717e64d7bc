"""The inner loops that were compiled, if they were.

Whoever calls one has the same in NumPy beside it, for a computer where ``pip`` found no C
compiler: slower, and equal to the bit. Installing again once there is one builds them. Arrays must
be contiguous, and of the types that the source names.
"""

from __future__ import annotations

from typing import Any

#: The module of them, or None.
compiled: Any
try:
    from . import _compiled as compiled
except ImportError:
    compiled = None
