"""Events → the messages of DESIGN.md section 8 → a connector.

In: the events of a run, in lists. Out: messages, published in their order. Invariant: each message has the fields of
the contract and no others; events carry no secrets, and nothing else is told; a connector that fails or hangs costs
the run nothing: what it does not take is counted.

A map is told as one task, and each of its items that takes long enough to have events of its own as ``map[3]``; short
items, which a run does by the thousand, are told by their map. Nodes by which a graph grows are told as PENDING when
they come, as are all nodes at the start where there are at most `MOST_PENDING`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Final

from cascade.interfaces import events as ev
from cascade.spec.telemetry import (
    Header,
    LifecycleBody,
    ResourceBody,
    TaskState,
    TaskStateBody,
    envelope,
    telemetry_topic,
)

if TYPE_CHECKING:
    from cascade.interfaces.protocols import Connector
    from cascade.runtime.handle import Run

__all__ = ["TelemetrySubscriber", "Teller", "source_of_process"]

MOST_PENDING: Final = 2_000  # nodes that are told as PENDING at once
LONGEST_ERROR: Final = 2_000  # characters
PATIENCE: Final = 5.0  # seconds that a connector may take for one list of events
Body = LifecycleBody | TaskStateBody | ResourceBody
Nodes = Callable[[], Iterable[tuple[str, str]]]  # id and name of each node of the graph as it is now


@cache
def source_of_process() -> str:
    """Return ``host-pid``."""
    return f"{socket.gethostname()}-{os.getpid()}"


class Teller:
    """Turns events into messages.

    Args:
        org_id, project_id: by default from CASCADE_ORG_ID and CASCADE_PROJECT_ID, else ``local`` and ``default``.
        nodes: gives id and name of each node of the graph, for PENDING; None: that is not told.

    Example:
        >>> teller = Teller()
        >>> event = ev.NodeRetrying(run_id="r", seq=3, at=0.0, elapsed=0.1, node="fit", name="fit", attempt=1,
        ...     max_attempts=3, delay=0.5, error_type="OSError", error="gone")
        >>> [message] = teller.tell([event])
        >>> message["ts"], message["body"]["state"], message["body"]["error"]
        ('1970-01-01T00:00:00.000000Z', 'RETRYING', 'OSError: gone')
    """

    def __init__(self, org_id: str | None = None, project_id: str | None = None, nodes: Nodes | None = None) -> None:
        """Read the environment once."""
        self.org_id = org_id or os.environ.get("CASCADE_ORG_ID") or "local"
        self.project_id = project_id or os.environ.get("CASCADE_PROJECT_ID") or "default"
        self.nodes = nodes
        self._topic = ("", "")
        self._running: set[str] = set()  # maps that were told as RUNNING

    def topic(self, run_id: str) -> str:
        """Return where the messages of a run go."""
        if self._topic[0] != run_id:  # asked for each message
            self._topic = (run_id, telemetry_topic(self.org_id, self.project_id, run_id))
        return self._topic[1]

    def tell(self, events: Iterable[ev.Event]) -> list[dict[str, object]]:
        """Return the messages for `events`, in order."""
        told: list[dict[str, object]] = []
        for event in events:
            words = _WORDS.get(type(event))
            if words is not None:
                told += [self.message(event.run_id, event.at, body) for body in words(self, event)]
        return told

    def message(self, run_id: str, at: float, body: Body) -> dict[str, object]:
        """Return one message; `at` in seconds since the epoch."""
        stamp = datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return envelope(Header(stamp, run_id, self.org_id, self.project_id, source_of_process()), body)

    # -- one kind of event ----------------------------------------------------------------------------------------

    def _started(self, event: ev.RunStarted) -> list[Body]:
        bodies: list[Body] = [LifecycleBody("ENGINE_STARTED", "running")]
        if self.nodes is not None and event.nodes <= MOST_PENDING:
            bodies += [TaskStateBody(node, name, "PENDING") for node, name in islice(self.nodes(), event.nodes)]
        return bodies

    def _finished(self, event: ev.RunFinished) -> list[Body]:
        return [LifecycleBody("ENGINE_STOPPED", event.status)]

    def _grown(self, event: ev.GraphGrown) -> list[Body]:
        if len(event.nodes) > MOST_PENDING:
            return []
        names = dict(self.nodes()) if self.nodes is not None else {}
        return [TaskStateBody(node, names.get(node, node), "PENDING") for node in event.nodes]

    def _expanded(self, event: ev.MapExpanded) -> list[Body]:
        if event.node in self._running:
            return []
        self._running.add(event.node)
        return [_state(event, "RUNNING")]

    def _completed(self, event: ev.NodeCompleted) -> list[Body]:
        return [_state(event, "COMPLETED", event.duration)]

    def _recalled(self, event: ev.NodeRecalled) -> list[Body]:
        return [_state(event, "COMPLETED")]

    def _failed(self, event: ev.NodeFailed) -> list[Body]:
        return [_state(event, "FAILED", event.duration, _error(event))]

    def _retrying(self, event: ev.NodeRetrying) -> list[Body]:
        return [_state(event, "RETRYING", error=_error(event))]


def _state(event: ev.NodeEvent, state: TaskState, duration: float = 0.0, error: str | None = None) -> TaskStateBody:
    node = event.node if event.index is None else f"{event.node}[{event.index}]"
    return TaskStateBody(node, event.label, state, round(duration * 1000, 3), error)


def _error(event: ev.NodeFailed | ev.NodeRetrying) -> str:
    return f"{event.error_type}: {event.error}"[:LONGEST_ERROR]


def _plain(state: TaskState) -> Callable[[Teller, Any], list[Body]]:
    return lambda _, event: [_state(event, state)]


def _acquired(_: Teller, event: ev.ResourceAcquired) -> list[Body]:
    return [ResourceBody(event.resource, "ACQUIRE", event.usage)]


def _released(_: Teller, event: ev.ResourceReleased) -> list[Body]:
    return [ResourceBody(event.resource, "RELEASE", event.usage)]


_WORDS: Final[dict[type[ev.Event], Callable[[Teller, Any], list[Body]]]] = {
    ev.RunStarted: Teller._started,  # noqa: SLF001 - its own table
    ev.RunFinished: Teller._finished,  # noqa: SLF001 - its own table
    ev.NodeStarted: _plain("RUNNING"),
    ev.NodeCompleted: Teller._completed,  # noqa: SLF001 - its own table
    ev.NodeRecalled: Teller._recalled,  # noqa: SLF001 - its own table
    ev.NodeFailed: Teller._failed,  # noqa: SLF001 - its own table
    ev.NodeRetrying: Teller._retrying,  # noqa: SLF001 - its own table
    ev.NodeWaiting: _plain("BLOCKED"),
    ev.NodeHeld: _plain("BLOCKED"),
    ev.NodeSkipped: _plain("SKIPPED"),
    ev.NodeCancelled: _plain("CANCELLED"),
    ev.MapExpanded: Teller._expanded,  # noqa: SLF001 - its own table
    ev.GraphGrown: Teller._grown,  # noqa: SLF001 - its own table
    ev.ResourceAcquired: _acquired,
    ev.ResourceReleased: _released,
}


class TelemetrySubscriber:
    """Publishes the events of runs over a connector; ``connector=`` of a run makes one, and connects it too.

    Give it to ``subscribers=`` yourself where the connection is yours to open and close.

    Args:
        connector: connected already. org_id, project_id, nodes: as for `Teller`.
        loop: where the connector's coroutines run; None: on a loop of its own.

    Attributes:
        batched: it takes lists of events. sent: messages that the connector took. lost: messages that it did not take.

    Example:
        >>> import asyncio, cascade as cs
        >>> from cascade.adapters.connectors.inprocess import InProcessConnector
        >>> @cs.task
        ... def one(): return 1
        >>> async def watch() -> list[str]:
        ...     async with InProcessConnector("doc") as connector:
        ...         heard = []
        ...         await connector.subscribe("cascade/telemetry/#", lambda _, told: heard.append(told["body"]["type"]))
        ...         await cs.arun(one(), log_level=None, subscribers=[TelemetrySubscriber(connector)])
        ...         return heard
        >>> asyncio.run(watch())[0]
        'LifecycleEvent'
    """

    batched: ClassVar[bool] = True

    def __init__(
        self,
        connector: Connector,
        org_id: str | None = None,
        project_id: str | None = None,
        nodes: Nodes | None = None,
        loop: Any = None,
    ) -> None:
        """Send nothing yet."""
        self.connector: Any = connector
        self.teller = Teller(org_id, project_id, nodes)
        self.sent = 0
        self.lost = 0
        self.problem = ""
        self._loop = loop

    def attach(self, run: Run) -> None:
        """Know the nodes of a run before it begins."""
        if self.teller.nodes is None:
            values = ("param", "env")
            self.teller.nodes = lambda: [(node.id, node.name) for node in run.graph.nodes if node.kind not in values]

    def __call__(self, events: ev.Event | Sequence[ev.Event]) -> None:
        """Publish what is to be told of one event or of a list of them, and wait for the connector to take it."""
        messages = self.teller.tell(events if isinstance(events, Sequence) else (events,))
        if messages:
            self.publish(messages)

    def publish(self, messages: Sequence[Mapping[str, object]]) -> None:
        """Have the connector take messages of runs, at most for `PATIENCE` seconds.

        Connectors that only put messages into a box have a method for many at once, which needs no loop.
        """
        if not _posts(type(self.connector)):
            self._publish_one_by_one(messages)
            return
        try:
            self.connector.post_all([self._addressed(message) for message in messages])
            self.sent += len(messages)
        except Exception as error:  # noqa: BLE001 - a connector's fault costs the run nothing
            self.lost += len(messages)
            self._say(str(error).strip() or type(error).__name__)

    def _publish_one_by_one(self, messages: Sequence[Mapping[str, object]]) -> None:
        import asyncio

        if self._loop is None:
            from cascade.runtime.threads import LoopThread

            self._loop = LoopThread().loop
        before, future = self.sent, asyncio.run_coroutine_threadsafe(self._publish(messages), self._loop)
        try:
            future.result(PATIENCE)
        except Exception as error:  # noqa: BLE001 - a connector's fault costs the run nothing
            future.cancel()
            self.lost += len(messages) - (self.sent - before)
            self._say(str(error).strip() or type(error).__name__)

    async def _publish(self, messages: Sequence[Mapping[str, object]]) -> None:
        for message in messages:
            await self.connector.publish(*self._addressed(message))
            self.sent += 1

    def _addressed(self, message: Mapping[str, object]) -> tuple[str, Mapping[str, object], int]:
        """Return topic, message and quality of service: starts and ends of runs must not be lost."""
        is_vital = message["body"]["type"] == "LifecycleEvent"  # type: ignore[index]
        return self.teller.topic(str(message["run_id"])), message, 1 if is_vital else 0

    def _say(self, problem: str) -> None:
        if not self.problem:
            import logging

            logging.getLogger("cascade").warning(
                "Telemetry over %s is not sent: %s. The run goes on.", name_of(self.connector), problem
            )
        self.problem = problem


def _posts(kind: type) -> bool:
    """Say whether connectors of that class have `post_all`, and no `publish` that somebody put in front of it."""
    place = next((each for each in kind.__mro__ if "publish" in vars(each)), object)
    return "post_all" in vars(place)


def name_of(connector: object) -> str:
    """Return the address of a connector, or what it is."""
    return str(getattr(connector, "address", "") or type(connector).__name__)
