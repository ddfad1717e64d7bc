"""Evaluate a comparison such as ``"shank == 2 & depth > 500"`` over named columns.

Users write unit criteria as text. It is parsed and only comparisons, arithmetic and logic of known
names are computed; nothing is handed to ``eval``. As in pandas and SQL, ``&`` and ``|`` bind less
tightly than comparisons. A comparison with a missing number (NaN) is unknown, and an unknown whole
counts as false, also below a negation: a unit whose metric is missing meets no criterion on it.
"""

from __future__ import annotations

import ast
import io
import operator
import tokenize
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labdata.errors import ObjectError

_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: np.isin(a, b),
    ast.NotIn: lambda a, b: ~np.isin(a, b),
}
_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_WORDS = {"&": "and", "|": "or", "~": "not", "&&": "and", "||": "or", "AND": "and", "OR": "or"}


def evaluate(text: str, names: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Return the mask that an expression describes.

    Parameters
    ----------
    text : str
        Comparisons joined by ``&``/``and``, ``|``/``or``, ``~``/``not`` and parentheses; numbers,
        texts, lists of them, ``+ - * /`` and ``abs()``.
    names : mapping of str to ndarray, shape (n,)
        Columns that the expression may name.

    Returns
    -------
    ndarray of bool, shape (n,)
        False also where a missing number leaves the answer open.

    Raises
    ------
    ObjectError
        If the text cannot be parsed, names something unknown, or is not a comparison.
    """
    try:
        tokens = tokenize.generate_tokens(io.StringIO(text.strip()).readline)
        words = [_WORDS.get(t.string, t.string) for t in tokens if t.string.strip()]
        tree = ast.parse(" ".join(words), mode="eval")
    except (SyntaxError, tokenize.TokenError) as fault:
        raise ObjectError(
            f"Cannot read the expression {text!r}: {fault}.",
            hint='Write comparisons such as "shank == 2 & depth > 500".',
        ) from fault
    return np.asarray(_Expression(text, names).truth(tree.body, negated=False), dtype=np.bool_)


def check_expression(text: str, names: Iterable[str]) -> None:
    """Raise if an expression could not be evaluated over columns of numbers.

    Parameters
    ----------
    text : str
        As of :func:`evaluate`.
    names : iterable of str
        Columns that there will be.

    Raises
    ------
    ObjectError
        As of :func:`evaluate`.
    """
    with np.errstate(all="ignore"):
        evaluate(text, {name: np.ones(1) for name in names})


class _Expression:
    """One expression over one set of columns."""

    def __init__(self, text: str, names: Mapping[str, Any]) -> None:
        self.text, self.names = text, names

    def truth(self, node: ast.expr, *, negated: bool) -> Any:
        match node:
            case ast.BoolOp():
                parts = [self.truth(item, negated=negated) for item in node.values]
                join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
                return join.reduce(np.broadcast_arrays(*parts))
            case ast.UnaryOp(op=ast.Not()):
                return ~self.truth(node.operand, negated=not negated)
            case ast.Compare():
                return self._compare(node, negated)
        column = self.value(node)
        if np.asarray(column).dtype != np.bool_:
            raise ObjectError(
                f"{ast.unparse(node)!r} in {self.text!r} is not true or false.",
                hint='Compare it with something: "passes_sua == 1".',
            )
        return np.asarray(column)

    def value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return self._column(node.id)
            case ast.List() | ast.Tuple():
                return [self.value(item) for item in node.elts]
            case ast.UnaryOp(op=ast.USub()):
                return -self.value(node.operand)
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                return _ARITHMETIC[type(node.op)](self.value(node.left), self.value(node.right))
            case ast.Call(func=ast.Name(id="abs"), args=[argument], keywords=[]):
                return np.abs(self.value(argument))
        raise ObjectError(
            f"{ast.unparse(node)!r} in {self.text!r} is not allowed in an expression.",
            hint="Only comparisons, arithmetic, abs(), &, | and ~ of columns are.",
        )

    def _compare(self, node: ast.Compare, negated: bool) -> Any:
        values = [self.value(item) for item in (node.left, *node.comparators)]
        result: Any = np.bool_(True)
        for op, left, right in zip(node.ops, values[:-1], values[1:], strict=True):
            if type(op) not in _COMPARE:
                raise ObjectError(f"{ast.unparse(node)!r} is not a comparison of values.")
            try:
                step = np.asarray(_COMPARE[type(op)](left, right), dtype=np.bool_)
            except TypeError:
                raise ObjectError(
                    f"{ast.unparse(node)!r} compares a number with a text.",
                    hint="Compare numbers with numbers, and texts with texts.",
                ) from None
            unknown = _missing(left) | _missing(right)
            # below a negation the unknown is taken as true, so that the whole comes out false
            result = result & (step | unknown if negated else step & ~unknown)
        return result

    def _column(self, name: str) -> Any:
        if name not in self.names:
            raise ObjectError(
                f"{name!r} in {self.text!r} is not a column of the units.",
                hint=f"There are: {', '.join(sorted(map(str, self.names)))}.",
            )
        return np.asarray(self.names[name])


def _missing(value: Any) -> Any:
    array = np.asarray(value)
    return np.isnan(array) if array.dtype.kind == "f" else np.bool_(False)
