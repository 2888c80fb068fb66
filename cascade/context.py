"""The workflow context: which tasks, Params, Envs and resources exist in this process.

In: what decorators and constructors register. Out: look-up by name. Invariant: the only global mutable state of
cascade; defining something again replaces it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cascade.spec.input import Env, Param
    from cascade.spec.resource import Resource
    from cascade.spec.task import Task

__all__ = ["WorkflowContext", "get_current_context"]


class Closable(Protocol):
    """What has to be closed when the context is cleared."""

    def close(self) -> None:
        """Close it."""


class WorkflowContext:
    """Names that a run, a notebook cell or a graph file may refer to.

    Args:
        tasks: by ``module:qualname``. params, envs, resources: by name. overrides: what stands in for resources.
        sessions: the instances of session-wide resources, made by the first run that needs one.
    """

    __slots__ = ("envs", "overrides", "params", "resources", "sessions", "tasks")

    def __init__(self) -> None:
        """Begin empty."""
        self.tasks: dict[str, Task[..., object]] = {}
        self.params: dict[str, Param] = {}
        self.envs: dict[str, Env] = {}
        self.resources: dict[str, Resource] = {}
        self.overrides: dict[str, Resource] = {}
        self.sessions: Closable | None = None

    def clear(self) -> None:
        """Forget everything and close the session's resources; for tests."""
        sessions, self.sessions = self.sessions, None
        if sessions is not None:
            sessions.close()
        for table in (self.tasks, self.params, self.envs, self.resources, self.overrides):
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
