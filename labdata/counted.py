"""Numbers of things in words: ``1 row``, ``2 rows``."""

from __future__ import annotations


def count_of(number: int, thing: str) -> str:
    """Return a number and what is counted, in the singular or the plural.

    Parameters
    ----------
    number : int
        How many.
    thing : str
        One of them, whose plural is with ``s``: ``row``; or ``entry``, whose is ``entries``.

    Examples
    --------
    >>> count_of(1, "row"), count_of(0, "row"), count_of(2, "other entry")
    ('1 row', '0 rows', '2 other entries')
    """
    if number == 1:
        return f"1 {thing}"
    if thing.endswith("y") and thing[-2:-1] not in "aeiou":
        return f"{number} {thing[:-1]}ies"
    return f"{number} {thing}s"
