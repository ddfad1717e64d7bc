"""When two names are one to a server: letters of another case, accents, spaces at the end.

MySQL and MariaDB compare text by a collation that passes over these, and so take ``jc1`` for the
key ``JC1``. In Python, in pandas and in folders they are two names, and two animals.
"""

from __future__ import annotations

import unicodedata
from typing import Any


def fold(value: Any) -> Any:
    """Return a name without what a server passes over; other values as they are.

    Parameters
    ----------
    value : object
        Of a key.
    """
    if not isinstance(value, str):
        return value
    letters = unicodedata.normalize("NFKD", value.rstrip())
    return "".join(c for c in letters if not unicodedata.combining(c)).casefold()
