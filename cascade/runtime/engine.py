"""The engine: the explicit way in, for programs that exchange the parts.

In: solver, executor, bus, capacities. Out: runs. Invariant: the same machinery as `cs.run`; nothing here decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from cascade.runtime.bus import MessageBus
from cascade.runtime.run import Run, start

if TYPE_CHECKING:
    from cascade.interfaces.protocols import Executor, Solver
    from cascade.spec.resource import Resource

__all__ = ["Engine"]


class Engine:
    """Runs targets with parts that you choose.

    Args:
        solver: makes plans; `NativeSolver` by default. executor: runs calls; threads and processes by default.
        bus: its subscriptions hear every run. system_resources: capacities of every run.
        state_backend_factory, connector, cache_backend: as in `cs.run`.

    Example:
        >>> import asyncio, cascade as cs
        >>> from cascade.adapters.solvers.native import NativeSolver
        >>> @cs.task
        ... def one(): return 1
        >>> asyncio.run(cs.Engine(solver=NativeSolver()).run(one()))
        1
    """

    def __init__(
        self,
        solver: Solver | None = None,
        executor: Executor | None = None,
        bus: MessageBus | None = None,
        state_backend_factory: Callable[[str], Any] | None = None,
        system_resources: Mapping[str, float] | None = None,
        connector: Any = None,
        cache_backend: Any = None,
    ) -> None:
        """Keep the parts; run nothing."""
        self.solver = solver
        self.executor = executor
        self.bus = bus or MessageBus()
        self.state_backend_factory = state_backend_factory
        self.system_resources = dict(system_resources or {})
        self.connector = connector
        self.cache_backend = cache_backend
        self._resources: dict[str, Resource] = {}

    def register(self, resource: Resource) -> None:
        """Use `resource` in this engine's runs, whatever the workflow context says of its name."""
        self._resources[resource.name] = resource

    async def run(self, target: Any, params: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Run `target` with its async tasks on the caller's loop and return its value."""
        import asyncio

        return await self.start(target, params, _loop=asyncio.get_running_loop(), **options)

    def start(self, target: Any, params: Mapping[str, Any] | None = None, **options: Any) -> Run:
        """Start a run and return its handle."""
        options.setdefault("log_level", None)
        subscribers = (*self.bus.subscriptions, *options.pop("subscribers", ()))
        resources = (*self._resources.values(), *options.pop("resources", ()))
        return start(
            target,
            params,
            options.pop("system_resources", self.system_resources),
            connector=self.connector,
            solver=self.solver,
            executor=self.executor,
            cache=self.cache_backend,
            state_backend=self.state_backend_factory,
            subscribers=subscribers,
            resources=resources,
            **options,
        )
