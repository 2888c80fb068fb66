"""The workflow context: which tasks, Params, Envs and resources exist in this process.

In: what decorators and constructors register. Out: look-up by name. Invariant: the only global mutable state of
cascade; defining something again replaces it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike
    from pathlib import Path

    from cascade.interfaces.protocols import Clock, ConstraintHandler
    from cascade.spec.input import Env, Param
    from cascade.spec.resource import Resource
    from cascade.spec.task import Task

__all__ = ["Display", "WorkflowContext", "get_current_context"]


class Closable(Protocol):
    """What has to be closed when the context is cleared."""

    def close(self) -> None:
        """Close it."""


Bundle = tuple[dict[str, Any], dict[str, Any]]


class Display(Protocol):
    """What knows how things are shown in a notebook."""

    def bundle(self, shown: object) -> Bundle:
        """Return the MIME bundle of a lazy result, a Router, a graph or a run."""

    def view(self, run: Any) -> object:
        """Show a run."""

    def replay(self, run: Any) -> object:
        """Show a run that has ended from its beginning again."""

    def report(self, run: Any, path: str | PathLike[str]) -> Path:
        """Write a run that has ended as a page."""


class WorkflowContext:
    """Names that a run, a notebook cell or a graph file may refer to.

    Args:
        tasks: by ``module:qualname``. params, envs, resources: by name. overrides: what stands in for resources.
        display: gives what knows how things are shown, at first use; what is recorded, meant and run does not know it.
        sessions: the instances of session-wide resources, made by the first run that needs one.
        clock: tells the time to runs that start now; None: the machine's.
        constraint_handlers: by the type of limit that each knows, beside those of cascade.
        ready_made: finds the task of a provider by its ``module:qualname``; None: there is none.
    """

    __slots__ = (
        "clock",
        "constraint_handlers",
        "display",
        "envs",
        "overrides",
        "params",
        "ready_made",
        "resources",
        "sessions",
        "tasks",
    )

    def __init__(self) -> None:
        """Begin empty."""
        self.tasks: dict[str, Task[..., object]] = {}
        self.params: dict[str, Param] = {}
        self.envs: dict[str, Env] = {}
        self.resources: dict[str, Resource] = {}
        self.overrides: dict[str, Resource] = {}
        self.sessions: Closable | None = None
        self.display: Callable[[], Display] | None = None
        self.clock: Clock | None = None
        self.constraint_handlers: dict[str, ConstraintHandler] = {}
        self.ready_made: Callable[[str], Task[..., object] | None] | None = None

    def find_task(self, key: str) -> Task[..., object] | None:
        """Return the task of that ``module:qualname``: one that was defined here, or a ready-made one."""
        found = self.tasks.get(key)
        return self.ready_made(key) if found is None and self.ready_made is not None else found

    def bundle_of(self, shown: object) -> Bundle:
        """Return what a notebook shows of `shown`: its text, where nobody knows more."""
        return self.display().bundle(shown) if self.display is not None else ({"text/plain": repr(shown)}, {})

    def clear(self) -> None:
        """Forget everything and close the session's resources; for tests."""
        sessions, self.sessions = self.sessions, None
        if sessions is not None:
            sessions.close()
        tables = (self.tasks, self.params, self.envs, self.resources, self.overrides, self.constraint_handlers)
        for table in tables:
            table.clear()


_CURRENT = WorkflowContext()


def get_current_context() -> WorkflowContext:
    """Return the workflow context of this process.

    Example:
        >>> import cascade as cs
        >>> _ = cs.Param("alpha", default=0.5)
        >>> "alpha" in cs.get_current_context().params
        True
    """
    return _CURRENT
