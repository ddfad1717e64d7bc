"""Numbers as people read them: ``1 row``, ``2 rows``, ``1.5 KiB``, ``2 min 5 s``."""

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


def show_size(n_bytes: int) -> str:
    """Return bytes in binary units.

    Parameters
    ----------
    n_bytes : int
        For instance 1536, which is ``1.5 KiB``.
    """
    size = float(n_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def show_duration(duration_s: float) -> str:
    """Return a time span by its two largest units.

    Parameters
    ----------
    duration_s : float
        Seconds, not negative.

    Examples
    --------
    >>> [show_duration(s) for s in (0.4, 59.6, 125, 7260, 200_000)]
    ['0 s', '1 min', '2 min 5 s', '2 h 1 min', '2 d 7 h']
    """
    left_s = round(duration_s)
    parts: list[str] = []
    for unit, length_s in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        number, left_s = divmod(left_s, length_s)
        if number or parts:
            parts.append(f"{number} {unit}" if number else "")
    return " ".join(part for part in parts[:2] if part) or "0 s"
