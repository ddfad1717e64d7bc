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
_WORDS = {"&": "and", "|": "or", "~": "not", "&&": "and", "||": "or"}
_ALIKE = "Compare numbers with numbers, and texts with texts, which stand in quotes."
_WORDS |= {word.upper(): word for word in ("and", "or", "not", "in")}


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
    why = "it is nested too deeply"
    try:
        tokens = tokenize.generate_tokens(io.StringIO(text.strip()).readline)
        words = [_WORDS.get(t.string, t.string) for t in tokens if t.string.strip()]
        tree = ast.parse(" ".join(words), mode="eval")
        with np.errstate(all="ignore"):
            mask = _Expression(text, names).truth(tree.body, negated=False)
        return np.asarray(mask, dtype=np.bool_)
    except (RecursionError, MemoryError):
        pass
    except SyntaxError as fault:
        why = fault.msg
    except tokenize.TokenError as fault:
        why = str(fault.args[0])
    raise ObjectError(
        f"Cannot read the expression {text[:200]!r}: {why}.",
        hint='Write comparisons such as "shank == 2 & depth > 500".',
    )


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
            case ast.Constant(value=int() | float() | str()):
                return node.value
            case ast.Name():
                return self._column(node.id)
            case ast.UnaryOp(op=ast.USub()):
                return self._number(node, operator.neg, node.operand)
            case ast.UnaryOp(op=ast.UAdd()):
                return self._number(node, operator.pos, node.operand)
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                return self._number(node, _ARITHMETIC[type(node.op)], node.left, node.right)
            case ast.Call(func=ast.Name(id="abs"), args=[argument], keywords=[]):
                return self._number(node, np.abs, argument)
        raise ObjectError(
            f"{ast.unparse(node)!r} in {self.text!r} is not allowed in an expression.",
            hint="Only comparisons, arithmetic, abs(), &, | and ~ of columns are.",
        )

    def _number(self, node: ast.expr, compute: Callable[..., Any], *operands: ast.expr) -> Any:
        values = [self.value(operand) for operand in operands]
        if any(_is_text(value) for value in values):
            raise ObjectError(f"{ast.unparse(node)!r} computes with a text.", hint=_ALIKE)
        first = np.asarray(values[0])[()]  # a number as a column has it: 1/0 is infinite there
        try:
            return compute(first, *values[1:])
        except (TypeError, OverflowError) as fault:
            raise ObjectError(f"{ast.unparse(node)!r} cannot be computed: {fault}.") from None

    def _compare(self, node: ast.Compare, negated: bool) -> Any:
        items = [node.left, *node.comparators]
        result: Any = np.bool_(True)
        for op, first, second in zip(node.ops, items[:-1], items[1:], strict=True):
            if type(op) not in _COMPARE:
                raise ObjectError(f"{ast.unparse(node)!r} is not a comparison of values.")
            left = self.value(first)
            right = (
                self._list(second) if isinstance(op, ast.In | ast.NotIn) else self.value(second)
            )
            for one in right if isinstance(right, list) else [right]:
                if _is_text(left) != _is_text(one):
                    raise ObjectError(
                        f"{ast.unparse(node)!r} compares a number with a text.", hint=_ALIKE
                    )
            step = np.asarray(_COMPARE[type(op)](left, right), dtype=np.bool_)
            unknown = (
                _missing(left) if isinstance(right, list) else _missing(left) | _missing(right)
            )
            # below a negation the unknown is taken as true, so that the whole comes out false
            result = result & (step | unknown if negated else step & ~unknown)
        return result

    def _list(self, node: ast.expr) -> list[Any]:
        """Return what a value may be in: a list as it is written."""
        if isinstance(node, ast.List | ast.Tuple):
            return [self.value(item) for item in node.elts]
        raise ObjectError(
            f"{ast.unparse(node)!r} in {self.text!r} is no list of values.",
            hint="Write a list: shank in [0, 2].",
        )

    def _column(self, name: str) -> Any:
        if name not in self.names:
            raise ObjectError(
                f"{name!r} in {self.text!r} is not a column of the units.",
                hint=f"There are: {', '.join(sorted(map(str, self.names)))}.",
            )
        return np.asarray(self.names[name])


def _is_text(value: Any) -> bool:
    return not isinstance(value, int) and np.asarray(value).dtype.kind not in "biuf"


def _missing(value: Any) -> Any:
    array = np.asarray(value)
    return np.isnan(array) if array.dtype.kind == "f" else np.bool_(False)
