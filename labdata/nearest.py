"""The name that was meant, for hints: of names that differ by case, that go on, that are alike.

``difflib`` alone finds nothing for ``jc1`` among ``JC1``, and for the beginning of a session's
name offers any other with equal digits.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(given: str, known: Iterable[str]) -> list[str]:
    """Return the known name that was probably meant, alone in a list; an empty list if none.

    Parameters
    ----------
    given : str
        What was typed.
    known : iterable of str
        What there is. Of several that begin with what was typed the first by alphabet is taken.
    """
    names = {name.casefold(): name for name in sorted(known, reverse=True)}
    typed = given.casefold()
    begun = sorted(name for name in names if len(typed) > 1 and name.startswith(typed))
    found = [typed] if typed in names else begun or difflib.get_close_matches(typed, names, n=1)
    return [names[name] for name in found[:1]]
