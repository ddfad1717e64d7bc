"""Who may import whom, and what may not be written.

The rules are read off the source with ``ast``, so they hold for packages that nobody has imported
and for those that are yet to come. Each rule is also shown a piece of code that breaks it.
"""

import ast
import itertools
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
ROOTS = {
    "labdata": REPOSITORY / "labdata",
    "labdata_widgets": REPOSITORY / "widgets" / "labdata_widgets",
    "labdata_hub": REPOSITORY / "hub" / "labdata_hub",
}

PURE = ["formats", "clocks", "objects", "stores"]
TOP = ["cli", "notebook", "testing"]

#: Package of labdata -> packages of labdata that it may not import.
FORBIDDEN = {
    **{
        name: ["database", "schema", "rules", "compute", "access", "migration", *TOP]
        for name in PURE
    },
    "database": ["schema", "rules", "compute", "access", "migration", *TOP],
    "schema": ["rules", "compute", "access", "migration", *TOP],
    "migration": ["rules", "compute", "access", *TOP],
    **{name: ["cli", "notebook"] for name in ("rules", "compute", "access")},
}

#: The edges of a process, where whatever went wrong must be recorded before it ends: module and
#: function, with the reason. Everywhere else an exception is named.
CATCH_ALL = {
    ("labdata.cli", "main"): "what the database's driver raises is shown as one line",
    ("labdata.database.claims", "claim_row"): "the row records why it failed; it is raised again",
    ("labdata.database.connection", "LabConnection.transaction"): "it is rolled back and raised",
    ("labdata.database.locks", "WorkerLock._hold"): "it is raised in the thread that asked",
    ("labdata.rules.upload_worker", "_upload_each"): "a rule may raise anything; others go on",
    ("labdata.plugins", "_load"): "a plugin's code may raise anything; it is named and skipped",
    ("labdata.formats.zarr_band", "compress_band"): "the half-written file goes, the error stays",
}


class Module:
    """A source file, parsed."""

    def __init__(self, name, text, *, is_package=False):
        self.name = name
        self.is_package = is_package
        self.tree = ast.parse(text)

    @property
    def package(self):
        """First package below the distribution's: ``clocks`` of ``labdata.clocks.edges``."""
        parts = self.name.split(".")
        return parts[1] if parts[0] == "labdata" and len(parts) > 1 else parts[0]

    @property
    def folder(self):
        """The package that relative imports start from."""
        return self.name if self.is_package else self.name.rpartition(".")[0]


def read_modules():
    for top, folder in ROOTS.items():
        for path in sorted(folder.rglob("*.py")):
            parts = [top, *path.relative_to(folder).with_suffix("").parts]
            is_package = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if is_package else parts)
            yield Module(name, path.read_text(encoding="utf-8"), is_package=is_package)


MODULES = list(read_modules())
LABDATA = [module for module in MODULES if module.name.split(".")[0] == "labdata"]


def lazy_names():
    """Return the public names of ``labdata`` and the modules they come from."""
    (module,) = [module for module in LABDATA if module.name == "labdata"]
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "_PUBLIC":
            return ast.literal_eval(node.value)
    return {}


LAZY = lazy_names()


def imports(module, tree=None):
    """Yield (line, dotted name) of everything that is imported, wherever in the file."""
    for node in ast.walk(tree or module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.folder.split(".")
                above = parts[: len(parts) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield node.lineno, LAZY.get(alias.name, full) if base == "labdata" else full
        elif isinstance(node, ast.Call) and _called(node) == "import_module":
            constants = [item for item in node.args[:1] if isinstance(item, ast.Constant)]
            yield from ((node.lineno, str(item.value)) for item in constants)


def _called(node):
    return getattr(node.func, "id", None) or getattr(node.func, "attr", None)


def wrong_direction(module):
    """Return imports that go against the layers."""
    forbidden = FORBIDDEN.get(module.package, []) if module.name.startswith("labdata.") else []
    found = []
    for line, name in imports(module):
        parts = name.split(".")
        if parts[0] == "labdata" and len(parts) > 1 and parts[1] in forbidden:
            found.append(f"{module.name}:{line} imports {name}")
    return found


def foreign_private_parts(module):
    """Return imports of names that start with ``_`` from another package."""
    found = []
    for line, name in imports(module):
        parts = name.split(".")
        owner = parts[1] if parts[0] == "labdata" and len(parts) > 1 else parts[0]
        ours = parts[0] in ROOTS
        private = [part for part in parts if part.startswith("_") and not part.endswith("__")]
        if ours and private and owner != module.package:
            found.append(f"{module.name}:{line} imports {name}")
    return found


def eager_upper_packages(module):
    """Return imports of the packages above labdata that run when the module is imported."""
    if not module.name.startswith("labdata.") and module.name != "labdata":
        return []
    found = []
    for statement in outside_functions(module.tree):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            wrapped = ast.Module(body=[statement], type_ignores=[])
            found += [
                f"{module.name}:{line} imports {name}"
                for line, name in imports(module, wrapped)
                if name.split(".")[0] in ("labdata_widgets", "labdata_hub")
            ]
    return found


def outside_functions(node):
    """Yield the nodes that run at import: all but those inside functions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from outside_functions(child)


def prints(module):
    """Return calls of print outside the command line, the only part that owns a terminal."""
    if module.package == "cli":
        return []
    return calls_of(module, {"print"})


def evaluations(module):
    """Return places that run text as code."""
    return calls_of(module, {"eval", "exec"})


def calls_of(module, names):
    return [
        f"{module.name}:{node.lineno} calls {node.func.id}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names
    ]


def catch_alls(module):
    """Return (module, function, line) of handlers that catch every exception."""
    return [
        (module.name, function, handler.lineno)
        for function, handler in _handlers(module.tree, "")
        if handler.type is None or _names(handler.type) & {"Exception", "BaseException"}
    ]


def _handlers(node, function):
    for child in ast.iter_child_nodes(node):
        inside = function
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inside = f"{function}.{child.name}".lstrip(".")
        if isinstance(child, ast.ExceptHandler):
            yield function, child
        yield from _handlers(child, inside)


def _names(expression):
    return {
        getattr(node, "id", None) or getattr(node, "attr", None)
        for node in ast.walk(expression)
        if isinstance(node, ast.Name | ast.Attribute)
    }


def undocumented(module):
    """Return public modules, classes, functions and methods without a docstring."""
    found = [] if ast.get_docstring(module.tree) else [module.name]
    return found + _undocumented(module.tree, module.name)


def _undocumented(node, prefix):
    found = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If | ast.Try | ast.With):
            found += _undocumented(child, prefix)
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if child.name.startswith("_"):
            continue
        decorators = set().union(*(_names(item) for item in child.decorator_list))
        if not ast.get_docstring(child) and not decorators & {"overload", "setter", "override"}:
            found.append(f"{prefix}.{child.name}")
        if isinstance(child, ast.ClassDef):
            found += _undocumented(child, f"{prefix}.{child.name}")
    return found


#: Methods that others define and document: commands' modules, DataJoint, ipywidgets.
OTHERS_METHODS = {"add_arguments", "run", "make", "get_dtype", "encode", "decode", "get_state"}


def public_functions(node, prefix="", bases=()):
    """Yield (dotted name, function, names of its class's bases) of what users can call."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If | ast.Try | ast.With):
            yield from public_functions(child, prefix, bases)
        elif isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            above = [base for item in child.bases for base in _names(item)]
            yield from public_functions(child, f"{prefix}{child.name}.", above)
        elif isinstance(child, ast.FunctionDef) and not child.name.startswith("_"):
            yield f"{prefix}{child.name}", child, bases


def own_arguments(function):
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    named += [item for item in (arguments.vararg, arguments.kwarg) if item]
    return [item for item in named if item.arg not in ("self", "cls")]


def unannotated(module):
    """Return public functions with a parameter or a result without a type."""
    return [
        f"{module.name}.{name}"
        for name, function, _ in public_functions(module.tree)
        if function.returns is None or any(a.annotation is None for a in own_arguments(function))
    ]


DOCUMENTED_METHODS = {
    name
    for module in MODULES
    for name, function, _ in public_functions(module.tree)
    if "Parameters" in (ast.get_docstring(function) or "")
}


def parameters_undocumented(module):
    """Return public functions whose parameters are explained neither here nor where it says."""
    found = []
    for name, function, bases in public_functions(module.tree):
        last, text = name.rpartition(".")[2], ast.get_docstring(function) or ""
        inherited = any(f"{base}.{last}" in DOCUMENTED_METHODS for base in bases)
        told = "Parameters" in text or "see :" in text or inherited or last in OTHERS_METHODS
        if own_arguments(function) and text and not told:
            found.append(f"{module.name}.{name}")
    return found


RULES = [wrong_direction, foreign_private_parts, eager_upper_packages, prints, evaluations]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_source_keeps_the_rule(rule):
    modules = MODULES if rule in (foreign_private_parts, evaluations) else LABDATA
    assert list(itertools.chain.from_iterable(rule(module) for module in modules)) == []


def test_public_names_are_documented():
    assert list(itertools.chain.from_iterable(undocumented(module) for module in MODULES)) == []


@pytest.mark.parametrize("rule", [unannotated, parameters_undocumented])
def test_public_functions_say_what_they_take_and_give(rule):
    assert list(itertools.chain.from_iterable(rule(module) for module in MODULES)) == []


def test_fault_42_every_exception_is_named_except_at_the_edges_of_a_process():
    found = [place for module in MODULES for place in catch_alls(module)]
    assert [place for place in found if place[:2] not in CATCH_ALL] == []
    stale = set(CATCH_ALL) - {place[:2] for place in found}
    assert stale == set(), "these no longer catch everything; remove them from the list"


@pytest.mark.parametrize(
    "rule,name,code",
    [
        (wrong_direction, "labdata.clocks.edges", "from labdata.schema import File"),
        (wrong_direction, "labdata.clocks.edges", "from labdata import schema"),
        (wrong_direction, "labdata.clocks.edges", "import labdata.database.connection as c"),
        (wrong_direction, "labdata.stores.s3", "def f():\n    from ..database import connect"),
        (wrong_direction, "labdata.objects", "importlib.import_module('labdata.access')"),
        (wrong_direction, "labdata.schema.ephys", "from labdata.compute import task"),
        (wrong_direction, "labdata.access", "from labdata.cli import main"),
        (wrong_direction, "labdata.migration.plan", "from labdata.cli.output import show_size"),
        (foreign_private_parts, "labdata.schema.ephys", "from labdata.clocks._fit import line"),
        (foreign_private_parts, "labdata.objects.spikes", "from labdata.clocks.fit import _line"),
        (foreign_private_parts, "labdata_widgets.unit", "from labdata.objects import _x"),
        (eager_upper_packages, "labdata.notebook", "import labdata_widgets"),
        (eager_upper_packages, "labdata.notebook", "if x:\n    from labdata_hub import y"),
        (prints, "labdata.rules.ephys", "def f():\n    print('debugging')"),
        (evaluations, "labdata.schema.ephys", "x = eval(criteria)"),
        (evaluations, "labdata_hub.spawner", "exec(text)"),
        (undocumented, "labdata.x", "'''Doc.'''\nclass A:\n    '''Doc.'''\n    def f(self): ..."),
        (undocumented, "labdata.x", "'''Doc.'''\nif True:\n    def f(): ..."),
        (undocumented, "labdata.x", "'''Doc.'''\nclass A: ..."),
        (undocumented, "labdata.x", "def _f(): ..."),
        (unannotated, "labdata.x", "def f(a) -> int: ..."),
        (unannotated, "labdata.x", "class A:\n    def f(self, *, a: int): ..."),
        (parameters_undocumented, "labdata.x", "def f(a: int) -> None:\n    'Do it.'"),
        (catch_alls, "labdata.x", "try: f()\nexcept Exception as error: raise X from error"),
        (catch_alls, "labdata.x", "try: f()\nexcept: pass"),
        (catch_alls, "labdata.x", "try: f()\nexcept (OSError, builtins.BaseException): pass"),
    ],
)
def test_a_breach_is_found(rule, name, code):
    assert len(rule(Module(name, code))) == 1


@pytest.mark.parametrize(
    "rule,name,code",
    [
        (wrong_direction, "labdata.schema.ephys", "from labdata.clocks import ClockMap"),
        (wrong_direction, "labdata.stores.local", "from .base import Store"),
        (wrong_direction, "labdata.clocks.edges", "import numpy.access"),
        (foreign_private_parts, "labdata.clocks.edges", "from labdata.clocks._fit import _line"),
        (foreign_private_parts, "labdata.stores.s3", "from labdata import __version__"),
        (foreign_private_parts, "labdata.stores.s3", "from _typeshed import X"),
        (eager_upper_packages, "labdata.notebook", "def f():\n    import labdata_widgets"),
        (prints, "labdata.cli.demo", "print('done')"),
        (evaluations, "labdata.x", "frame.eval('a')"),
        (undocumented, "labdata.x", "'''Doc.'''\ndef _f(): ..."),
        (unannotated, "labdata.x", "def f(a: int) -> None: ..."),
        (parameters_undocumented, "labdata.x", "class A:\n    def f(self) -> int:\n        'Do.'"),
        (
            parameters_undocumented,
            "labdata.x",
            "class MyStore(Store):\n    def put(self, a: int) -> None:\n        'Put.'",
        ),
        (catch_alls, "labdata.x", "try: f()\nexcept (OSError, ValueError): pass"),
    ],
)
def test_what_is_allowed_is_not_found(rule, name, code):
    assert rule(Module(name, code)) == []


def test_relative_imports_are_resolved():
    inner = Module("labdata.stores.s3", "from . import a\nfrom .b import c\nfrom ..d import e")
    assert [name for _, name in imports(inner)] == [
        "labdata.stores.a",
        "labdata.stores.b.c",
        "labdata.d.e",
    ]
    package = Module("labdata.stores", "from .b import c", is_package=True)
    assert [name for _, name in imports(package)] == ["labdata.stores.b.c"]
