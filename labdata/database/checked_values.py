"""Values that the server would take and change, or that are no names, are refused before.

A server rounds 3.7 to 4 in a column of whole numbers without a word, and to it ``"JC5 "`` and
``"JC5"`` are one name. Names become folders and parts of keys, so ``/`` and ``..`` are none.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import numpy as np

from .teaching_errors import refused_class

#: Where a name is given first; other tables refer to it.
_NAMED = {"Subject": "subject_name", "Session": "session_name", "Dataset": "dataset_name"}
_WHOLE = re.compile(r"(tiny|small|medium|big)?int\b", re.IGNORECASE)
_IN_NAME = re.compile(r"[^/\\\x00-\x1f]+")


def check_value(table: Any, column: str, value: Any) -> None:
    """Raise if a value would be stored as another, or is no name.

    Parameters
    ----------
    table : Table
        That is written to.
    column : str
        Of it.
    value : object
        As the user gave it.

    Raises
    ------
    DatabaseError
        Also a ``ValueError``: a fraction for a whole number, a name with spaces around it, with
        a slash, or of dots alone, or what the table itself refuses.
    """
    table.check_cell(column, value)
    if isinstance(value, float | np.floating | Decimal | str) and column in table.heading.names:
        from .tables import label_of

        label = label_of(type(table))
        if _NAMED.get(label) == column:
            _check_name(label, column, value)
        elif _WHOLE.match(str(table.heading[column].type)) and _has_fraction(value):
            raise refused_class(ValueError)(
                f"{column} of {label} cannot be {_plain(value)!r}: it is a whole number.",
                hint=f"Round it first, as you mean it: {column}=round(...).",
            )


def _check_name(label: str, column: str, value: Any) -> None:
    name = str(value)
    if name != name.strip() or not name.strip(".") or not _IN_NAME.fullmatch(name):
        raise refused_class(ValueError)(
            f"{column} of {label} cannot be {name!r}.",
            hint="A name has no space before or after it, no slash, and is not empty or of dots "
            "alone: it becomes a folder.",
        )


def _has_fraction(value: Any) -> bool:
    try:
        number = Decimal(str(value))
    except ArithmeticError:
        return False  # no number; what then is wrong is said elsewhere
    return number.is_finite() and number != number.to_integral_value()


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
