"""How long work says how far it is: a callable that takes the amount just done.

The library reports to a :data:`Progress`; the command line and the notebook decide how it looks.
"""

from __future__ import annotations

from collections.abc import Callable

#: Called with the number of bytes (or items) done since the last call.
Progress = Callable[[int], None]


def ignore_progress(advance: int) -> None:
    """Report nothing.

    Parameters
    ----------
    advance : int
        Amount done since the last call.
    """
