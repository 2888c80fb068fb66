"""The tie between one run and a connector.

In: a connector; a run. Out: the run's events on their topics, what comes from outside to the run. Invariant: nothing
here fails or holds up the run: its start waits `PATIENCE` at most for the connector, so that a limit that is in force
already holds the first task too, and its end waits for the last messages within the time that every subscriber has.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar, Final

from cascade.interfaces import events as ev
from cascade.runtime.bus import Subscription
from cascade.runtime.remote_picture import RunPicture
from cascade.runtime.remote_side import RemoteSide
from cascade.runtime.telemetry import TelemetrySubscriber, name_of
from cascade.runtime.threads import borrow_loop, return_loop
from cascade.spec.telemetry import CONSTRAINTS, LifecycleBody, control_topic

if TYPE_CHECKING:
    from cascade.interfaces.protocols import Connector
    from cascade.runtime.handle import Run

__all__ = ["Link"]

PATIENCE: Final = 0.5  # seconds that the start of a run waits for its connector
HURRY: Final = 0.5  # seconds that the rest of a run may take to be told after its end
PIECE: Final = 500  # events that are told between two looks at the clock
PARTING: Final = 0.9  # seconds that the end of a run waits for it; every subscriber has one second


class Link:
    """Connects one run; `Run.connections` lists it.

    Attributes:
        address: of the connector. org_id, project_id: parts of the topics.
        subscription: what the run tells its events to.
    """

    batched: ClassVar[bool] = True

    def __init__(self, connector: Connector) -> None:
        """Reach nobody before `attach`."""
        make = getattr(connector, "for_run", None)
        self._is_own = callable(make) or not getattr(connector, "is_connected", False)
        self._connector: Any = make() if callable(make) else connector
        self.address = name_of(self._connector)
        self._loop = borrow_loop()
        self._telemetry = TelemetrySubscriber(self._connector, nodes=self._nodes, loop=self._loop.loop)
        self.org_id, self.project_id = self._telemetry.teller.org_id, self._telemetry.teller.project_id
        self.subscription = Subscription(ev.Event, self, batched=True)
        self._run: Run | None = None
        self._picture = RunPicture()
        self._remote: RemoteSide | None = None
        self._problem = ""
        self._is_over = self._is_leaving = False
        self._late_at = 0.0

    # -- what people see of it ------------------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether the other side is there now."""
        return not self._is_over and not self._problem and bool(getattr(self._connector, "is_connected", True))

    @property
    def problem(self) -> str:
        """Why it is not, empty if it is."""
        return self._problem or str(getattr(self._connector, "problem", "")) or self._telemetry.problem

    @property
    def sent(self) -> int:
        """How many messages the connector has taken."""
        return self._telemetry.sent

    @property
    def dropped(self) -> int:
        """How many messages were left out."""
        return self._telemetry.lost + int(getattr(self._connector, "dropped", 0))

    @property
    def refused(self) -> int:
        """How many messages from outside were refused."""
        return self._remote.refused if self._remote is not None else 0

    def __repr__(self) -> str:
        """Show the address and how it is."""
        state = "over" if self._is_over else "connected" if self.is_connected else f"not connected: {self.problem}"
        return f"<connection {self.address}: {state}>"

    @property
    def _keeps(self) -> bool:
        """Whether the connector keeps what was said, so that it can be read later."""
        return hasattr(self._connector, "history")

    # -- the life of a run ----------------------------------------------------------------------------------------

    def attach(self, run: Run) -> None:
        """Connect for `run`, which has not begun; return when it is done, or after `PATIENCE`."""
        import asyncio

        self._run = run
        self._remote = RemoteSide(run, self._telemetry.teller, self.address, self._answer, self._picture)
        run.connections = (*run.connections, self)
        opening = asyncio.run_coroutine_threadsafe(self._open(run, self._remote), self._loop.loop)
        try:
            opening.result(PATIENCE)
        except TimeoutError:
            pass  # it goes on beside the run
        except Exception as error:  # noqa: BLE001 - whatever a connector raises, the run goes on
            self._fail(error)

    async def _open(self, run: Run, remote: RemoteSide) -> None:
        try:
            await self._connect(run, remote)
        except Exception as error:  # noqa: BLE001 - see `attach`, which may wait no more
            if not self._is_leaving:  # else the run has ended before it was connected, as the connector says
                self._fail(error)
        remote.at_start = False

    async def _connect(self, run: Run, remote: RemoteSide) -> None:
        connector, teller = self._connector, self._telemetry.teller
        if self._is_own:
            if hasattr(connector, "set_will"):
                lost = teller.message(run.run_id, time.time(), LifecycleBody("ENGINE_STOPPED", "lost"))
                back = teller.message(run.run_id, time.time(), LifecycleBody("ENGINE_STARTED", "reconnected"))
                await connector.set_will(teller.topic(run.run_id), lost, back)
            if hasattr(connector, "watch"):
                connector.watch(remote.hear_connection)
            await connector.connect()
        project = (teller.org_id, teller.project_id)
        await self._subscribe(f"{CONSTRAINTS}/#", remote.hear_limit)
        await self._subscribe(control_topic(*project, run.run_id), remote.hear_command)
        await self._subscribe(control_topic(*project), remote.hear_question)
        if hasattr(connector, "settle"):
            await connector.settle()

    async def _subscribe(self, topic: str, callback: Callable[[str, Any], None]) -> None:
        """Hear the bytes as they came, where the connector can give them: what is no JSON is refused with a reason."""
        subscribe = self._connector.subscribe
        if "raw" in signature(subscribe).parameters:
            await subscribe(topic, callback, raw=True)
        else:
            await subscribe(topic, callback)

    def _fail(self, error: Exception) -> None:
        if self._problem:
            return
        import logging

        self._problem = str(error).strip() or type(error).__name__
        logging.getLogger("cascade").warning(
            "The run is not connected to %s: %s The run goes on.", self.address, self._problem
        )

    def __call__(self, events: Sequence[ev.Event]) -> None:
        """Tell of events; after the last one, take leave.

        A run that ends while much of it has still to be told tells its end in time, and leaves the rest out: who
        watches would take it for dead otherwise.
        """
        self._picture.hear(events)
        for first in range(0, len(events), PIECE):
            piece = events[first : first + PIECE]
            if self._is_late():
                told = [event for event in piece if isinstance(event, ev.LifecycleEvent)]
                self._telemetry.lost += len(piece) - len(told)
                piece = told
            if not self._problem:
                self._telemetry(piece)
        if self._keeps and any(isinstance(event, ev.RunStarted) for event in events):
            self._tell_graph()
        if any(isinstance(event, ev.RunFinished) for event in events):
            if self._keeps and self._picture.is_new:
                self._tell_graph()
            self._close()

    def _tell_graph(self) -> None:
        """Tell the arrows where they are kept for those who come when the run can answer no more."""
        self._picture.is_new = False
        if self._remote is not None and not self._problem and not self._is_late():
            with suppress(Exception):  # the run is worth more than its picture
                self._remote.tell_graph()

    def _is_late(self) -> bool:
        """Whether the run has ended so long ago that only its end can still be told."""
        if self._run is None or not self._run._ending:  # noqa: SLF001 - the run's own side
            return False
        self._late_at = self._late_at or time.monotonic() + HURRY
        return time.monotonic() > self._late_at

    def _close(self) -> None:
        import asyncio

        self._is_leaving = True
        leaving = asyncio.run_coroutine_threadsafe(self._leave(), self._loop.loop)
        with suppress(Exception):  # a connector that cannot even end is left alone, with its loop
            leaving.result(PARTING)
        self._is_over = True
        if leaving.done():
            return_loop(self._loop)

    async def _leave(self) -> None:
        if self._is_own:
            await self._connector.disconnect()

    # -- what the parts ask ---------------------------------------------------------------------------------------

    def _answer(self, topic: str, payload: Mapping[str, object]) -> None:
        """Publish an answer, from any thread, and wait for nothing."""
        import asyncio

        with suppress(RuntimeError):
            asyncio.run_coroutine_threadsafe(self._publish(topic, payload), self._loop.loop)

    async def _publish(self, topic: str, payload: Mapping[str, object]) -> None:
        with suppress(Exception):  # an answer that cannot be sent is for nobody
            await self._connector.publish(topic, payload, 0)

    def _nodes(self) -> list[tuple[str, str]]:
        graph = self._run._flow.graph if self._run is not None else None  # noqa: SLF001 - the run's own side
        return list(zip(graph.ids, graph.labels, strict=False)) if graph is not None else []
