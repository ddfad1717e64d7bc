"""How long work says how far it is: a callable that takes the amount just done.

The library reports to a :data:`Progress`; the command line and the notebook decide how it looks.
"""

from __future__ import annotations

from collections.abc import Callable

#: Called with the number of bytes (or items) done since the last call.
Progress = Callable[[int], None]


class Interruptible:
    """A report that ends the work of other threads at their next word, once that is wanted.

    Parameters
    ----------
    progress : callable
        Told what is done until then.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress, self._stopped = progress, False

    def stop(self) -> None:
        """Have the work end."""
        self._stopped = True

    def __call__(self, advance: int) -> None:
        """Report what is done since the last call; see :data:`Progress`."""
        if self._stopped:
            raise KeyboardInterrupt
        self._progress(advance)


def ignore_progress(advance: int) -> None:
    """Report nothing.

    Parameters
    ----------
    advance : int
        Amount done since the last call.
    """
