from __future__ import annotations

import doctest
import subprocess
import sys
from importlib import import_module

import pytest

import cascade as cs
import cascade.testing
from cascade.testing import conformance

MODULES = [
    "cascade.adapters.state.facts", "cascade.adapters.state.memory", "cascade.adapters.state.sqlite",
    "cascade.testing.clock", "cascade.testing.executor", "cascade.testing.faults", "cascade.testing.solver",
    "cascade.testing.spy", "cascade.testing.conformance.cache_backends", "cascade.testing.conformance.connectors",
    "cascade.testing.conformance.executors", "cascade.testing.conformance.solvers",
    "cascade.testing.conformance.state_backends",
]  # fmt: skip


@pytest.mark.parametrize("module", [cascade.testing, conformance], ids=lambda m: m.__name__)
def test_names_are_there(module: object) -> None:
    """Each name that a module of the kit lists can be had from it and is listed by `dir`."""
    for name in module.__all__:
        assert getattr(module, name) is not None
        assert name in dir(module)


@pytest.mark.parametrize("module", [cascade.testing, conformance], ids=lambda m: m.__name__)
def test_a_misspelt_name_tells_the_nearest(module: object) -> None:
    """A name that is not there is an `AttributeError` with the nearest one."""
    with pytest.raises(AttributeError, match=r"has no attribute 'check_solvre'\. Did you mean 'check_solver'"):
        _ = module.check_solvre


def test_override_resource_is_the_one_of_cascade() -> None:
    """The kit gives the same `override_resource` as `cascade` itself."""
    assert cascade.testing.override_resource is cs.override_resource


def test_importing_the_kit_is_light() -> None:
    """`import cascade.testing` loads no tool yet, no asyncio and nothing of the engine."""
    heavy = {"asyncio", "concurrent.futures", "sqlite3", "cascade.testing.spy", "cascade.runtime", "dataclasses"}
    code = f"import sys; before = set(sys.modules); import cascade.testing; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    """The example in each docstring gives what it shows."""
    result = doctest.testmod(import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
