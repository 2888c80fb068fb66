"""The house of DESIGN section 3: who may import whom, read off the source by `ast`."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).resolve().parent.parent / "cascade"

# From top to bottom. A file imports its own layer and those above it, never below.
LAYERS = (
    {"interfaces", "spec", "context"},
    {"graph", "identity"},
    {"messaging"},
    {"runtime"},
    {"adapters", "testing"},
    {"providers"},
    {"tools", "cli", "__main__"},
    {"notebook"},
)
# Narrower than their place in the list: adapters reach the engine as arguments, providers are written as users write.
NARROWED = {
    "adapters": {"interfaces", "spec", "context", "graph", "adapters", "testing"},
    "testing": {"interfaces", "spec", "context", "graph", "adapters", "testing"},
    "providers": {"", "providers"},
}
# The agreements name the plain data that passes through them, for type checkers only.
NAMED_BY_AGREEMENTS = {"graph"}
# The one function that wires defaults together lives here and may import adapters.
COMPOSITION = "cascade.runtime.run"
# Who orders attempts, and who decides whether a stored result serves.
SCHEDULER, REBUILDER = "cascade.runtime.scheduler", "cascade.runtime.rebuilder"


@dataclass(frozen=True, slots=True)
class Import:
    """One import of a cascade module and where it stands.

    Args:
        source: the importing module.
        target: the imported one.
        line: the line of the import.
        function: the outermost function around it, empty at module level; `TYPE_CHECKING` under that condition.
    """

    source: str
    target: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.source} line {self.line} imports {self.target}"


def module_name(path: Path) -> str:
    """The dotted name of a file of the package."""
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def sources() -> dict[str, ast.Module]:
    """Every module of the package, parsed, by its name."""
    paths = (path for path in PACKAGE.rglob("*.py") if "node_modules" not in path.parts)
    return {module_name(path): ast.parse(path.read_text(encoding="utf-8"), str(path)) for path in sorted(paths)}


SOURCES = sources()


def walk(tree: ast.AST, function: str = "") -> Iterator[tuple[ast.AST, str]]:
    """Every node of a syntax tree with the name of the outermost function around it."""
    for child in ast.iter_child_nodes(tree):
        inside = function
        if not function and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = child.name
        elif not function and isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            inside = "TYPE_CHECKING"
        yield child, inside
        yield from walk(child, inside)


def is_package(name: str) -> bool:
    """Whether a module is a folder with an `__init__.py`."""
    return (PACKAGE.parent / Path(*name.split(".")) / "__init__.py").exists()


def targets(node: ast.AST, source: str) -> Iterator[str]:
    """The modules of cascade that one import statement names."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "cascade")
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parts = source.split(".") if is_package(source) else source.split(".")[:-1]
            parts = parts[: len(parts) - node.level + 1]
            base = ".".join([*parts, base]) if base else ".".join(parts)
        if base.split(".")[0] == "cascade":
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield full if full in SOURCES else base


def imports() -> list[Import]:
    """All imports between modules of the package, also those inside functions and for type checkers only."""
    return [
        Import(source, target, getattr(node, "lineno", 0), function)
        for source, tree in SOURCES.items()
        for node, function in walk(tree)
        for target in targets(node, source)
    ]


def part(module: str) -> str:
    """The second word of a module's name: its folder in the house; empty for `cascade` itself."""
    return module.split(".")[1] if "." in module else ""


def is_allowed(each: Import) -> bool:
    """Whether the house has a door from one part to the other."""
    source, target = part(each.source), part(each.target)
    if not source or source == target:
        return True
    if source in NARROWED:
        return target in NARROWED[source]
    if each.source == COMPOSITION and target == "adapters":
        return bool(each.function)
    if source == "interfaces" and target in NAMED_BY_AGREEMENTS:
        return each.function == "TYPE_CHECKING"
    depth = next(number for number, layer in enumerate(LAYERS) if source in layer)
    above = set().union(*LAYERS[: depth + 1])
    is_below_runtime = depth > next(number for number, layer in enumerate(LAYERS) if "runtime" in layer)
    return target in above or (not target and is_below_runtime)


def test_every_part_has_a_place() -> None:
    """A new folder or top-level module is given its layer before it is used."""
    known = set().union(*LAYERS)
    assert {part(name) for name in SOURCES} - {""} <= known


def test_no_import_goes_down() -> None:
    """A file imports its own layer and those above it; the message lists every breach."""
    breaches = [str(each) for each in imports() if not is_allowed(each)]
    assert not breaches, "\n" + "\n".join(breaches)


def test_one_function_composes() -> None:
    """Only one function of runtime/run.py knows which adapters are the defaults."""
    composing = {each.function for each in imports() if each.source == COMPOSITION and part(each.target) == "adapters"}
    assert len(composing) <= 1, composing


def test_scheduler_and_rebuilder_are_strangers() -> None:
    """The scheduler does not ask whether stored results serve, the rebuilder does not know what runs when."""
    met = [
        str(each)
        for each in imports()
        for one, other in ((SCHEDULER, REBUILDER), (REBUILDER, SCHEDULER))
        if each.source.startswith(one) and each.target.startswith(other)
    ]
    assert not met, "\n".join(met)


def test_scheduler_needs_neither_loop_nor_clock_nor_threads() -> None:
    """The scheduler core is a plain state machine: facts in, orders out."""
    assert SCHEDULER in SOURCES, f"{SCHEDULER} has moved: say here where the scheduler core lives"
    modules: set[str] = set()
    for node in ast.walk(SOURCES[SCHEDULER]):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module or "")
    assert not modules & {"asyncio", "time", "threading", "concurrent.futures", "queue"}


def test_tasks_are_created_in_one_module() -> None:
    """One supervisor owns every attempt, so asyncio tasks are made in one place."""
    creators = {"create_task", "ensure_future"}
    modules = {
        name
        for name, tree in SOURCES.items()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr in creators)
        or (isinstance(node, ast.Name) and node.id in creators)
    }
    assert len(modules) <= 1, modules


def test_nothing_prints() -> None:
    """Only `messaging` speaks."""
    printing = [
        f"{name} line {node.lineno}"
        for name, tree in SOURCES.items()
        if part(name) != "messaging"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"print", "pprint"}
    ]
    assert not printing, "\n".join(printing)


def test_no_dumping_places() -> None:
    """A module is called after its concept; `resource_manager` is a promised name."""
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "handler"}
    named = [name for name in SOURCES if vague & set(name.rsplit(".", maxsplit=1)[-1].split("_"))]
    assert set(named) <= {"cascade.runtime.resource_manager"}, named


@pytest.mark.parametrize(
    ("source", "target", "function", "allowed"),
    [
        ("cascade.graph.build", "cascade.spec.task", "", True),
        ("cascade.spec.task", "cascade.graph.build", "", False),
        ("cascade.spec.task", "cascade.graph.build", "TYPE_CHECKING", False),
        ("cascade.interfaces.protocols", "cascade.graph.model", "TYPE_CHECKING", True),
        ("cascade.interfaces.protocols", "cascade.graph.model", "", False),
        ("cascade.spec.task", "cascade.notebook.display", "show", False),
        ("cascade.adapters.stores.sqlite", "cascade.runtime.engine", "", False),
        ("cascade.adapters.stores.sqlite", "cascade.interfaces.protocols", "", True),
        ("cascade.runtime.run", "cascade.adapters.solvers.native", "compose", True),
        ("cascade.runtime.run", "cascade.adapters.solvers.native", "", False),
        ("cascade.runtime.engine", "cascade.adapters.solvers.native", "compose", False),
        ("cascade.runtime.engine", "cascade", "", False),
        ("cascade.providers.sql", "cascade", "", True),
        ("cascade.providers.sql", "cascade.spec.task", "", False),
        ("cascade.notebook.display", "cascade.runtime.run", "", True),
        ("cascade.tools.preview", "cascade.notebook.display", "", False),
        ("cascade", "cascade.notebook.extension", "load", True),
    ],
)
def test_the_rule_itself(source: str, target: str, function: str, allowed: bool) -> None:
    """The rule says yes and no where DESIGN does."""
    assert is_allowed(Import(source, target, 1, function)) is allowed
