"""The public names, their signatures and the import paths that people know: what may not change by accident.

When a change is meant, run `python -m tests.test_public_names` and commit the new list with it.
"""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import cascade as cs

LIST = Path(__file__).with_name("data") / "public_names.txt"

NAMES = [
    "task", "Param", "Env", "run", "arun", "start", "cli", "dry_run", "visualize", "to_json", "from_json",
    "with_constraints", "LazyResult", "Router", "resource", "inject", "Engine", "override_resource",
    "DependencyMissingError", "get_current_context", "sequence", "pipeline", "unmapped", "Event", "MessageBus",
    "messaging_bus", "Run", "Jump", "select_jump", "bind", "why", "plan", "diff", "history", "lineage",
    "simulate", "File", "cache", "controls",
]  # fmt: skip

PATHS = {
    "cascade.spec.task": ["Task", "task"],
    "cascade.spec.lazy_types": ["LazyResult", "unmapped"],
    "cascade.spec.routing": ["Router"],
    "cascade.spec.resource": ["Resource", "inject", "override_resource", "resource"],
    "cascade.spec.constraint": ["GlobalConstraint"],
    "cascade.spec.input": ["Env", "Param"],
    "cascade.spec.telemetry": ["LifecycleBody", "ResourceBody", "TaskStateBody"],
    "cascade.interfaces.events": ["Event", "NodeCompleted", "RunFinished"],
    "cascade.interfaces.exceptions": ["CascadeError", "DependencyMissingError", "ParamError"],
    "cascade.interfaces.protocols": [
        "CacheBackend", "CachePolicy", "Clock", "Connector", "ConstraintHandler", "ExecutionPlan", "Executor", "Solver",
        "StateBackend", "Store",
    ],
    "cascade.runtime.engine": ["Engine"],
    "cascade.runtime.bus": ["MessageBus"],
    "cascade.runtime.subscribers": ["HumanReadableLogSubscriber"],
    "cascade.runtime.resource_manager": ["ResourceManager"],
    "cascade.adapters.solvers.native": ["NativeSolver"],
    "cascade.adapters.executors.local": ["LocalExecutor"],
    "cascade.messaging.bus": ["messaging_bus"],
    "cascade.messaging.renderer": ["ConsoleRenderer", "JsonRenderer"],
    "cascade.tools.preview": ["dry_run"],
    "cascade.tools.visualize": ["visualize"],
    "cascade.context": ["get_current_context"],
    "cascade.cli": ["cli"],
    "cascade.testing": ["EventSpy", "FakeExecutor", "FakeSolver", "inject_faults", "virtual_clock"],
}  # fmt: skip


def describe() -> list[str]:
    """Return a line for each public name, and for each public method of those that are classes."""
    lines = []
    for name in sorted(NAMES):
        thing = getattr(cs, name)
        lines.append(f"{name}{_signature(thing)}")
        if inspect.isclass(thing):
            for each, member in sorted(inspect.getmembers(thing)):
                if not each.startswith("_") and not (inspect.isclass(thing) and issubclass(thing, BaseException)):
                    lines.append(f"{name}.{each}{_signature(member)}")
    return lines


def _signature(thing: object) -> str:
    """Return names, kinds and defaults of the parameters; types may become more exact without breaking anyone."""
    if not callable(thing):
        return ""
    try:
        found = inspect.signature(thing)
    except (TypeError, ValueError):
        return "(…)"
    plain = [p.replace(annotation=p.empty) for p in found.parameters.values()]
    return str(found.replace(parameters=plain, return_annotation=found.empty))


@pytest.mark.parametrize("name", NAMES)
def test_every_promised_name_is_there(name: str) -> None:
    """Each name of the public contract can be had from `cascade` and is listed."""
    assert getattr(cs, name) is not None
    assert name in cs.__all__
    assert name in dir(cs)


def test_nothing_else_is_public() -> None:
    """What is listed beside the contract is only what IPython looks for."""
    assert set(cs.__all__) - set(NAMES) == {"load_ipython_extension", "unload_ipython_extension"}


def test_signatures_are_those_of_the_list() -> None:
    """No argument of a public function is renamed, moved or lost without someone saying so."""
    known = LIST.read_text(encoding="utf-8").splitlines()
    assert describe() == known, "the public names changed: see the top of this file"


@pytest.mark.parametrize("path", PATHS)
def test_promised_import_paths(path: str) -> None:
    """The modules that people import by path have what they look for there."""
    module = import_module(path)
    for name in PATHS[path]:
        assert hasattr(module, name)


def test_public_names_load_lazily() -> None:
    """`import cascade` loads no engine, no asyncio and no library of others."""
    heavy = ("asyncio", "rich", "typer", "cascade.runtime.flow")
    code = f"import sys, cascade; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_unknown_name_tells_the_nearest() -> None:
    """A misspelt name is an `AttributeError` that names what was meant."""
    with pytest.raises(AttributeError, match=r"module 'cascade' has no attribute 'Rooter'. Did you mean 'Router'\?"):
        _ = cs.Rooter


if __name__ == "__main__":
    LIST.parent.mkdir(exist_ok=True)
    LIST.write_text("\n".join(describe()) + "\n", encoding="utf-8")
