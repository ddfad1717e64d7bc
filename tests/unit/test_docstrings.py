"""Every public name says what it takes, gives and raises, in numpydoc's sections.

Read off the source with ``ast``: packages that cannot be imported here are checked too. The
parameters that a docstring names are compared with the signature's, so that neither can change
alone; entries may be grouped, so their order is free. What a function gives is in a Returns or
Yields section, or, where one value is all, in a first line that begins with "Return", "Yield" or
the like; what its own body raises is in Raises.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
ROOTS = (REPOSITORY / "labdata", REPOSITORY / "widgets" / "labdata_widgets")
SECTIONS = (
    "Parameters", "Returns", "Yields", "Raises", "Examples", "Attributes", "Notes", "References",
    "See Also", "Warns", "Other Parameters",
)  # fmt: skip
#: Methods that others define and document: commands' modules, DataJoint, ipywidgets, IPython.
OTHERS_METHODS = {"add_arguments", "run", "make", "get_dtype", "encode", "decode", "get_state"}
#: What a first line that says what is given begins with.
GIVES = re.compile(r"(Return|Yield|Whether|How|Which|What|Like)\b")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Public:
    """A public function, method or property with where it is."""

    name: str
    node: Function
    bases: tuple[str, ...]
    in_class: bool

    @property
    def text(self) -> str:
        return ast.get_docstring(self.node) or ""

    @property
    def decorators(self) -> set[str]:
        return set().union(*map(names_in, self.node.decorator_list))

    @property
    def is_property(self) -> bool:
        return bool(self.decorators & {"property", "cached_property"})

    @property
    def own_name(self) -> str:
        return self.node.name


def names_in(expression: ast.AST) -> set[str]:
    return {
        getattr(node, "id", None) or getattr(node, "attr", "")
        for node in ast.walk(expression)
        if isinstance(node, ast.Name | ast.Attribute)
    }


def public(
    node: ast.AST, prefix: str, bases: tuple[str, ...] = (), in_class: bool = False
) -> Iterator[Public]:
    """Yield what users can call: not what begins with ``_``, nor what is inside a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If | ast.Try | ast.With):
            yield from public(child, prefix, bases, in_class)
        elif isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            above = tuple(base for item in child.bases for base in names_in(item))
            yield from public(child, f"{prefix}.{child.name}", above, True)
        elif isinstance(child, Function) and not child.name.startswith("_"):
            found = Public(f"{prefix}.{child.name}", child, bases, in_class)
            if not found.decorators & {"overload", "setter", "override"}:
                yield found


def read(root: Path) -> Iterator[Public]:
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        if not any(part.startswith("_") for part in parts[:-1]):
            yield from public(ast.parse(path.read_text(encoding="utf-8")), ".".join(parts))


ALL = [found for root in ROOTS for found in read(root)]
#: ``Store.put`` of a base class whose docstring its children share.
DOCUMENTED = {".".join(p.name.split(".")[-2:]) for p in ALL if "\nParameters\n---" in p.text}


def sections(text: str) -> dict[str, str]:
    """Return the sections of a docstring by their names; the text before the first is ``''``."""
    found, name = {"": []}, ""
    lines = text.splitlines()
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if line in SECTIONS and below == "-" * len(line):
            name = line
            found[name] = []
        elif not (name and not found[name] and set(line) == {"-"}):
            found[name].append(line)
    return {name: "\n".join(lines) for name, lines in found.items()}


def described(section: str) -> list[str]:
    """Return the names that begin the entries of a section: ``a, b : int`` names two."""
    entries = [line for line in section.splitlines() if line and not line.startswith(" ")]
    return [n.strip().lstrip("*") for e in entries for n in e.split(" :")[0].split(",")]


def taken(one: Public) -> list[ast.arg]:
    """Return the parameters in the order of the signature, without ``self`` and ``cls``."""
    given = one.node.args
    named = [*given.posonlyargs, *given.args]
    if one.in_class and "staticmethod" not in one.decorators:
        named = named[1:]
    named += [given.vararg] if given.vararg else []
    return [*named, *given.kwonlyargs, *([given.kwarg] if given.kwarg else [])]


def own_body(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements and expressions of a function, but not of functions inside it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, Function | ast.Lambda | ast.ClassDef):
            yield child
            yield from own_body(child)


def raised(node: Function) -> set[str]:
    """Return the classes that a function's own body raises by name."""
    found = set()
    for inner in own_body(node):
        if isinstance(inner, ast.Raise) and isinstance(inner.exc, ast.Call):
            called = inner.exc.func
            name = getattr(called, "id", None) or getattr(called, "attr", "")
            if name[:1].isupper():
                found.add(name)
    return found


def is_shared(one: Public) -> bool:
    """Whether another place documents it, which the reader is told or finds in the base class."""
    inherited = any(f"{base}.{one.own_name}" in DOCUMENTED for base in one.bases)
    return inherited or one.own_name in OTHERS_METHODS or "see :" in one.text


def without_summary(one: Public) -> str | None:
    first = one.text.partition("\n")[0]
    return None if first and first.rstrip().endswith((".", ":")) else "no first line"


def with_other_parameters(one: Public) -> str | None:
    if is_shared(one):
        return None
    told = described(sections(one.text).get("Parameters", ""))
    wanted = [item.arg for item in taken(one)]
    return None if sorted(told) == sorted(wanted) else f"documents {told}, takes {wanted}"


def without_result(one: Public) -> str | None:
    returns = one.node.returns
    is_block = "contextmanager" in one.decorators and isinstance(returns, ast.Subscript)
    given = returns.slice if is_block else returns
    nothing = isinstance(given, ast.Constant) and given.value is None
    if returns is None or nothing or names_in(returns) & {"NoReturn", "Never"}:
        return None
    told = {"Returns", "Yields"} & set(sections(one.text))
    if told or one.is_property or is_shared(one) or GIVES.match(one.text):
        return None
    return "does not say what it returns"


def without_errors(one: Public) -> str | None:
    if is_shared(one):
        return None
    told = sections(one.text).get("Raises", "")
    classes = {name.rpartition(".")[2] for name in described(told)}
    missing = sorted(raised(one.node) - classes)
    return f"raises {', '.join(missing)} and does not say so" if missing else None


def without_types(one: Public) -> str | None:
    bare = [item.arg for item in taken(one) if item.annotation is None]
    bare += ["return"] if one.node.returns is None else []
    return f"no types of {', '.join(bare)}" if bare else None


# --- the tests

RULES = [without_summary, with_other_parameters, without_result, without_errors, without_types]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_public_names_keep_the_rule(rule) -> None:
    assert [f"{one.name}: {fault}" for one in ALL if (fault := rule(one))] == []


def one_of(code: str) -> Public:
    return next(public(ast.parse(code), "labdata.x"))


def function(signature: str, body: str = "", **parts: str) -> str:
    """Return the code of a function with these sections, each of one entry."""
    lines = ["Do it.", *(f"\n    {n}\n    {'-' * len(n)}\n    {e}" for n, e in parts.items())]
    text = "\n".join(lines)
    return f'def {signature}:\n    """{text}\n    """\n    {body}'


@pytest.mark.parametrize(
    "rule,code",
    [
        (without_summary, "def f() -> None: ..."),
        (without_summary, "def f() -> None:\n    'no end'"),
        (with_other_parameters, function("f(a: int) -> None")),
        (with_other_parameters, function("f(a: int) -> None", Parameters="b : int")),
        (with_other_parameters, function("f(a: int) -> None", Parameters="a, a : int")),
        (with_other_parameters, function("f(a: int) -> None", Parameters="a, b : int")),
        (with_other_parameters, function("f() -> None", Parameters="a : int")),
        (without_result, function("f() -> int")),
        (without_result, "class A:\n    def f(self) -> int:\n        'Do it.'"),
        (without_errors, function("f() -> None", "if True: raise QueryError('no')")),
        (without_errors, function("f() -> None", "raise QueryError('no')", Raises="StoreError")),
        (without_types, function("f(a) -> None")),
        (without_types, function("f(*, cls) -> None")),
        (without_types, "class A:\n    def f(self):\n        'Do it.'"),
    ],
)
def test_a_breach_is_found(rule, code) -> None:
    assert rule(one_of(code)) is not None


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize(
    "code",
    [
        function("f() -> None"),
        function("f() -> int", Returns="int"),
        "def f() -> int:\n    'Return a number.'",
        "class A:\n    @property\n    def f(self) -> int:\n        'A number.'",
        function("f() -> None", "def g(): raise QueryError('no')"),
        function("f() -> None", "raise QueryError('no')", Raises="labdata.errors.QueryError"),
        "@contextmanager\n" + function("f() -> Iterator[None]"),
        function("f(a: int, *b: int, **c: int) -> None", Parameters="c, a, *b : int"),
    ],
)
def test_what_is_allowed_is_not_found(rule, code) -> None:
    assert rule(one_of(code)) is None


def test_all_packages_are_read() -> None:
    seen = {one.name.split(".")[0] for one in ALL}
    assert seen == {"labdata", "labdata_widgets"}
    assert len(ALL) > 400
