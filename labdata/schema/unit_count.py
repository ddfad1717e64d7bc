"""Criteria on unit metrics: read by pandas as expressions on columns, never evaluated as code."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np
import pandas as pd

from ..errors import QueryError


def judge_units(metrics: pd.DataFrame, criteria: str) -> np.ndarray:
    """Return which units meet a criterion; a unit whose metric is missing does not.

    Parameters
    ----------
    metrics : DataFrame
        One row a unit, columns of UnitMetrics.
    criteria : str
        For instance ``isi_contamination < 0.1 & spike_amplitude > 50``: comparisons of columns
        and numbers, joined by ``&``, ``|``, ``~``; ``abs()`` is the only function. ``&`` and
        ``|`` bind looser than comparisons, as in pandas.

    Returns
    -------
    ndarray of bool, shape (n_units,)

    Raises
    ------
    QueryError
        If the text is no such expression, or names a column that does not exist.
    """
    # `a < 1 & b > 2` reads as `a < (1 & b) > 2` in Python; as words the operators bind looser
    words = criteria.replace("&", " and ").replace("|", " or ").replace("~", " not ")
    try:
        tree = ast.parse(" ".join(words.split()), mode="eval")
    except SyntaxError as error:
        raise QueryError(
            f"The criterion {criteria!r} cannot be read: {error.msg}.",
            hint="Write for instance: isi_contamination < 0.1 & spike_amplitude > 50",
        ) from None
    return np.asarray(_Criterion(criteria, metrics).truth(tree.body), dtype=bool)


class _Criterion:
    """Evaluates a checked expression; what a missing number leaves open counts as false."""

    def __init__(self, text: str, metrics: pd.DataFrame) -> None:
        self.text, self.metrics = text, metrics

    def truth(self, node: ast.expr, *, negated: bool = False) -> Any:
        match node:
            case ast.BoolOp():
                parts = [self.truth(value, negated=negated) for value in node.values]
                joined = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
                return joined.reduce(parts)
            case ast.UnaryOp(op=ast.Not()):
                return np.logical_not(self.truth(node.operand, negated=not negated))
            case ast.Compare():
                return self._compare(node, negated)
        raise self._unreadable(node)

    def number(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=int() | float() as value):
                return np.float64(value)
            case ast.Name(id=name):
                return self._column(name)
            case ast.Call(func=ast.Name(id="abs"), args=[argument], keywords=[]):
                return np.abs(self.number(argument))
            case ast.UnaryOp(op=ast.USub()):
                return -self.number(node.operand)
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                return _ARITHMETIC[type(node.op)](self.number(node.left), self.number(node.right))
        raise self._unreadable(node)

    def _compare(self, node: ast.Compare, negated: bool) -> Any:
        values = [self.number(v) for v in (node.left, *node.comparators)]
        known = ~np.logical_or.reduce([np.isnan(v) for v in values])
        pairs = zip(node.ops, values[:-1], values[1:], strict=True)
        holds = np.logical_and.reduce([_COMPARE[type(op)](a, b) for op, a, b in pairs])
        # below a negation an unknown comparison is taken as true, so that the whole stays false
        return holds | ~known if negated else holds & known

    def _column(self, name: str) -> Any:
        if name not in self.metrics.columns:
            raise QueryError(
                f"The criterion {self.text!r} names {name!r}, which is no column of UnitMetrics.",
                hint=f"The columns are: {', '.join(map(str, self.metrics.columns))}.",
            )
        return pd.to_numeric(self.metrics[name], errors="coerce").to_numpy(dtype="float64")

    def _unreadable(self, node: ast.expr) -> QueryError:
        return QueryError(
            f"The criterion {self.text!r} cannot be read near {ast.unparse(node)!r}.",
            hint="Compare columns and numbers; join with & | ~; abs() is the only function.",
        )


_ARITHMETIC: dict[type, Any] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
}
_COMPARE: dict[type, Any] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}


def make_unit_count(table: Any, key: dict[str, Any]) -> None:
    """Judge the units of one sorting; see :class:`UnitCount`."""
    lab = table.lab
    criteria = (lab.UnitCountCriteria & key).fetch1()
    units = (lab.UnitMetrics & key).fetch(as_dict=True)
    metrics = pd.DataFrame(units, columns=list(lab.UnitMetrics.heading.names))
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
    names = lab.UnitMetrics.primary_key
    lab.UnitCount.Unit.insert(
        {**key, **{n: unit[n] for n in names}, "passes": int(p)}
        for unit, p in zip(units, passes, strict=True)
    )
