"""The agreements between the engine and what can be exchanged around it.

In: nothing. Out: protocols. Invariant: the engine knows its surroundings only by these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from concurrent.futures import Future

    from cascade.graph.model import Graph
    from cascade.interfaces.events import Event

__all__ = [
    "CacheBackend",
    "CachePolicy",
    "Connector",
    "ExecutionPlan",
    "Executor",
    "Solver",
    "StateBackend",
    "Subscriber",
]


class ExecutionPlan(Protocol):
    """What a solver makes of a graph.

    Attributes:
        order: node numbers, each after what it may need. rank: for each node its place in the queue, 0 first; a
            permutation. heights: for each node, the longest path that remains, in nodes.
    """

    @property
    def order(self) -> Sequence[int]:
        """Node numbers, needs first."""

    @property
    def rank(self) -> Sequence[int]:
        """Priority of each node, 0 first."""

    @property
    def heights(self) -> Sequence[int]:
        """Longest remaining path of each node."""


@runtime_checkable
class Solver(Protocol):
    """Makes a plan of a graph. Runs nothing, keeps nothing."""

    def solve(self, graph: Graph) -> ExecutionPlan:
        """Return the plan."""


@runtime_checkable
class Executor(Protocol):
    """Runs calls somewhere else."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start a call and return its future."""


@runtime_checkable
class Subscriber(Protocol):
    """Hears the events of a run, in order, on a thread of its own."""

    def __call__(self, event: Event, /) -> object:
        """Take one event."""


class CachePolicy(Protocol):
    """Decides whether a stored result serves and what is stored."""

    def check(self, key: str) -> bool:
        """Say whether the result stored under `key` serves."""


class CacheBackend(Protocol):
    """Keeps bytes by key."""

    def get(self, key: str) -> bytes | None:
        """Return what is stored, or None."""

    def put(self, key: str, value: bytes) -> None:
        """Store `value`."""


class StateBackend(Protocol):
    """Keeps the values of a run's nodes while it goes on."""

    def put_result(self, node: str, value: object) -> None:
        """Keep the value of `node`."""

    def get_result(self, node: str) -> object:
        """Return the value of `node`; KeyError if there is none."""


class Connector(Protocol):
    """Carries events out and limits in."""

    async def connect(self) -> None:
        """Begin."""

    async def disconnect(self) -> None:
        """End."""

    async def publish(self, topic: str, payload: Mapping[str, object], qos: int = 0, retain: bool = False) -> None:  # noqa: FBT001, FBT002
        """Send one message."""

    async def subscribe(self, topic: str, callback: Callable[[str, Mapping[str, object]], Any]) -> Iterable[object]:
        """Hear messages."""
