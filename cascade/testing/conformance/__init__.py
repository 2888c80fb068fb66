"""Conformance kits: what each protocol promises, as cases that anybody's implementation can be held against.

``check_solver(MySolver)`` runs them all and lists what is broken; ``SOLVER_CASES`` and its like are the same cases for
``pytest.mark.parametrize("case", SOLVER_CASES, ids=str)``, each to be called as ``case(MySolver)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cascade.testing.conformance.cache_backends import CACHE_BACKEND_CASES, check_cache_backend
    from cascade.testing.conformance.cases import Case
    from cascade.testing.conformance.connectors import CONNECTOR_CASES, check_connector
    from cascade.testing.conformance.executors import EXECUTOR_CASES, check_executor
    from cascade.testing.conformance.runs import EXECUTOR_RUN_CASES, check_executor_runs
    from cascade.testing.conformance.solvers import SOLVER_CASES, check_solver
    from cascade.testing.conformance.state_backends import STATE_BACKEND_CASES, check_state_backend
    from cascade.testing.errors import ConformanceError

_HOMES = {
    "CACHE_BACKEND_CASES": "cascade.testing.conformance.cache_backends",
    "check_cache_backend": "cascade.testing.conformance.cache_backends",
    "Case": "cascade.testing.conformance.cases",
    "CONNECTOR_CASES": "cascade.testing.conformance.connectors",
    "check_connector": "cascade.testing.conformance.connectors",
    "EXECUTOR_CASES": "cascade.testing.conformance.executors",
    "check_executor": "cascade.testing.conformance.executors",
    "EXECUTOR_RUN_CASES": "cascade.testing.conformance.runs",
    "check_executor_runs": "cascade.testing.conformance.runs",
    "SOLVER_CASES": "cascade.testing.conformance.solvers",
    "check_solver": "cascade.testing.conformance.solvers",
    "STATE_BACKEND_CASES": "cascade.testing.conformance.state_backends",
    "check_state_backend": "cascade.testing.conformance.state_backends",
    "ConformanceError": "cascade.testing.errors",
}

__all__ = [
    "CACHE_BACKEND_CASES",
    "CONNECTOR_CASES",
    "EXECUTOR_CASES",
    "EXECUTOR_RUN_CASES",
    "SOLVER_CASES",
    "STATE_BACKEND_CASES",
    "Case",
    "ConformanceError",
    "check_cache_backend",
    "check_connector",
    "check_executor",
    "check_executor_runs",
    "check_solver",
    "check_state_backend",
]


def __getattr__(name: str) -> Any:
    """Load a name at its first use."""
    home = _HOMES.get(name)
    if home is None:
        from cascade.interfaces.exceptions import nearest

        raise AttributeError(f"module 'cascade.testing.conformance' has no attribute '{name}'.{nearest(name, _HOMES)}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    """List the names."""
    return sorted([*globals(), *_HOMES])
