"""Which units meet the criteria of UnitCountCriteria, and how many."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..database.teaching_errors import refused_class
from ..errors import ObjectError
from ..objects.expression import check_expression, evaluate


def judge_units(metrics: pd.DataFrame, criteria: str) -> np.ndarray:
    """Return which units meet a criterion; a unit whose metric is missing does not.

    Parameters
    ----------
    metrics : DataFrame
        One row a unit, columns of UnitMetrics.
    criteria : str
        For instance ``isi_contamination < 0.1 & spike_amplitude > 50``; see
        :func:`labdata.objects.expression.evaluate`.

    Returns
    -------
    ndarray of bool, shape (n_units,)

    Raises
    ------
    ObjectError
        If the text is no such expression, or names a column that does not exist.
    """
    columns = {
        str(name): metrics[name].to_numpy()
        if metrics[name].dtype.kind in "biu"
        else pd.to_numeric(metrics[name], errors="coerce").to_numpy(dtype="float64")
        for name in metrics.columns
    }
    passed = evaluate(criteria, columns)
    return np.broadcast_to(passed, (len(metrics),)).copy()


def check_criteria(table: Any, column: str, value: Any) -> None:
    """Raise if a value is a criterion that could not be judged by.

    One that begins with ``manual_`` is no expression: it names who chose units by hand.

    Parameters
    ----------
    table : UnitCountCriteria
        That is written to.
    column : str
        Of it.
    value : object
        As the user gave it.

    Raises
    ------
    DatabaseError
        Also a ``ValueError``, with what :func:`labdata.objects.expression.evaluate` says.
    """
    is_left_out = value is None or (column == "mua_criteria" and value == "")
    if column not in ("sua_criteria", "mua_criteria") or is_left_out:
        return
    if str(value).startswith("manual_"):
        return
    try:
        check_expression(str(value), _metric_names(table.lab))
    except ObjectError as error:
        raise refused_class(ValueError)(f"{column}: {error.message}", hint=error.hint) from None


def _metric_names(lab: Any) -> list[str]:
    return [n for n, a in lab.UnitMetrics.heading.attributes.items() if a.numeric]


def make_unit_count(table: Any, key: dict[str, Any]) -> None:
    """Judge the units of one sorting; see :class:`UnitCount`."""
    lab = table.lab
    criteria = (lab.UnitCountCriteria & key).fetch1()
    units = (lab.UnitMetrics & key).fetch(as_dict=True)
    metrics = pd.DataFrame(units, columns=_metric_names(lab))
    single = judge_units(metrics, criteria["sua_criteria"])
    multi = np.ones(len(metrics), dtype=bool)
    if criteria["mua_criteria"]:
        multi = judge_units(metrics, criteria["mua_criteria"])
    passes = np.where(single, 1, np.where(multi, 0, -1))
    table.insert1(
        {
            **key,
            "all": len(passes),
            "sua": int(np.sum(passes == 1)),
            "mua": int(np.sum(passes == 0)),
        }
    )
    unit_key = lab.UnitMetrics.primary_key
    lab.UnitCount.Unit.insert(
        {**key, **{n: unit[n] for n in unit_key}, "passes": int(p)}
        for unit, p in zip(units, passes, strict=True)
    )
