"""For the tests of people who use cascade: doubles, a clock that skips waits, faults on purpose, conformance kits.

This module holds the names and nothing else; each is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cascade.spec.resource import override_resource
    from cascade.testing.clock import VirtualClock, virtual_clock
    from cascade.testing.conformance import (
        check_cache_backend,
        check_connector,
        check_executor,
        check_solver,
        check_state_backend,
    )
    from cascade.testing.errors import ConformanceError, InjectedError, SpyError, ToolError
    from cascade.testing.executor import FakeExecutor
    from cascade.testing.faults import Fault, Faults, inject_faults
    from cascade.testing.solver import FakeSolver
    from cascade.testing.spy import EventSpy

_HOMES = {
    "override_resource": "cascade.spec.resource",
    "VirtualClock": "cascade.testing.clock",
    "virtual_clock": "cascade.testing.clock",
    "check_cache_backend": "cascade.testing.conformance",
    "check_connector": "cascade.testing.conformance",
    "check_executor": "cascade.testing.conformance",
    "check_solver": "cascade.testing.conformance",
    "check_state_backend": "cascade.testing.conformance",
    "ConformanceError": "cascade.testing.errors",
    "InjectedError": "cascade.testing.errors",
    "SpyError": "cascade.testing.errors",
    "ToolError": "cascade.testing.errors",
    "FakeExecutor": "cascade.testing.executor",
    "Fault": "cascade.testing.faults",
    "Faults": "cascade.testing.faults",
    "inject_faults": "cascade.testing.faults",
    "FakeSolver": "cascade.testing.solver",
    "EventSpy": "cascade.testing.spy",
}

__all__ = [
    "ConformanceError",
    "EventSpy",
    "FakeExecutor",
    "FakeSolver",
    "Fault",
    "Faults",
    "InjectedError",
    "SpyError",
    "ToolError",
    "VirtualClock",
    "check_cache_backend",
    "check_connector",
    "check_executor",
    "check_solver",
    "check_state_backend",
    "inject_faults",
    "override_resource",
    "virtual_clock",
]


def __getattr__(name: str) -> Any:
    """Load a name at its first use."""
    home = _HOMES.get(name)
    if home is None:
        from cascade.interfaces.exceptions import nearest

        raise AttributeError(f"module 'cascade.testing' has no attribute '{name}'.{nearest(name, _HOMES)}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    """List the names."""
    return sorted([*globals(), *_HOMES])
