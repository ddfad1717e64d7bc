"""Evaluate a comparison such as ``"shank == 2 & depth > 500"`` over named arrays.

Users write unit criteria as text. It is parsed and only comparisons, arithmetic and logic of known
names are computed; nothing is handed to ``eval``. As in pandas and SQL, ``&`` and ``|`` bind less
tightly than comparisons.
"""

from __future__ import annotations

import ast
import io
import operator
import tokenize
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

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


def evaluate(text: str, names: Mapping[str, Any]) -> Any:
    """Return the mask that an expression describes.

    Parameters
    ----------
    text : str
        Comparisons joined by ``&``/``and``, ``|``/``or``, ``~``/``not`` and parentheses.
    names : mapping of str to ndarray, shape (n,)
        Arrays that the expression may name.

    Returns
    -------
    ndarray of bool, shape (n,)

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
    mask = np.asarray(_value(tree.body, names, text))
    if mask.dtype != np.bool_:
        raise ObjectError(
            f"The expression {text!r} gives {mask.dtype} values, not true or false.",
            hint='Compare with something: "passes_sua == 1".',
        )
    return mask


def _value(node: ast.expr, names: Mapping[str, Any], text: str) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        if node.id not in names:
            raise ObjectError(
                f"{node.id!r} in {text!r} is not a coordinate of the units.",
                hint=f"There are: {', '.join(sorted(names))}.",
            )
        return names[node.id]
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(item, names, text) for item in node.elts]
    if isinstance(node, ast.Compare):
        return _comparison(node, names, text)
    if isinstance(node, ast.BoolOp):
        masks = [np.asarray(_value(item, names, text), dtype=np.bool_) for item in node.values]
        join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        return join.reduce(masks)
    if isinstance(node, ast.UnaryOp):
        inner = _value(node.operand, names, text)
        return ~np.asarray(inner, dtype=np.bool_) if isinstance(node.op, ast.Not) else -inner
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        return _ARITHMETIC[type(node.op)](
            _value(node.left, names, text), _value(node.right, names, text)
        )
    raise ObjectError(
        f"{ast.unparse(node)!r} in {text!r} is not allowed in an expression.",
        hint="Only comparisons, arithmetic, &, | and ~ of unit coordinates are.",
    )


def _comparison(node: ast.Compare, names: Mapping[str, Any], text: str) -> Any:
    left, result = _value(node.left, names, text), None
    for op, right_node in zip(node.ops, node.comparators, strict=True):
        right = _value(right_node, names, text)
        if type(op) not in _COMPARE:
            raise ObjectError(f"{ast.unparse(node)!r} is not a comparison of values.")
        step = np.asarray(_COMPARE[type(op)](left, right))
        result = step if result is None else result & step
        left = right
    return result
