"""Runs elsewhere, from here: which there are, what they do, what they are told.

In: a connector. Out: statuses, messages, answers. Invariant: every call ends within its time; what did not answer is
said, never taken for done.
"""

from __future__ import annotations

import os
import queue
import secrets
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any, Final, Self

from cascade.interfaces.remote_errors import ConnectorError, RefusedError, RemoteError
from cascade.runtime.remote_answers import LimitInForce, RunGraph, RunStatus, read_graph, read_lifecycle, read_status
from cascade.runtime.remote_orders import SetLimit, limit_to_wire, read_limit
from cascade.runtime.telemetry import name_of, source_of_process
from cascade.runtime.threads import borrow_loop, return_loop
from cascade.spec.constraint import GlobalConstraint
from cascade.spec.telemetry import (
    CONSTRAINTS,
    answers_topic,
    constraint_topic,
    control_topic,
    level_of,
    telemetry_topic,
)

if TYPE_CHECKING:
    from cascade.interfaces.protocols import Connector

__all__ = ["LimitInForce", "RemoteDesk", "RunStatus"]

TIMEOUT: Final = 3.0  # seconds for an answer
ASK: Final = 0.3  # seconds to wait for all runs there are, on this machine
ASK_FAR: Final = 0.8  # the same over a network
BUSY: Final = 2.0  # seconds that runs have which are known to go on and have not answered yet
LONG_AGO: Final = 86_400.0  # seconds after which a run that never said its end is not waited for
COME_BACK: Final = 10.0  # seconds after which a run that was lost is not waited for
POLL: Final = 0.2


class RemoteDesk:
    """Watches and steers runs that were started with ``connector=``, from any program.

    Args:
        connector: not connected yet, or connected. org_id, project_id: which runs; by default as for runs themselves.
        timeout: seconds to wait for an answer.

    Example:
        >>> import cascade as cs
        >>> from cascade.adapters.connectors.addresses import open_connector
        >>> @cs.task
        ... def one(): return 1
        >>> run = cs.start(one(), log_level=None, connector="inprocess:desk", step=True)
        >>> with RemoteDesk(open_connector("inprocess:desk")) as desk:
        ...     [status] = desk.runs()
        ...     desk.resume(status.run_id).run_id == run.run_id, run.result(10)
        (True, 1)
    """

    def __init__(
        self, connector: Connector, org_id: str | None = None, project_id: str | None = None, timeout: float = TIMEOUT
    ) -> None:
        """Connect at entry, not here."""
        self.connector: Any = connector
        if hasattr(self.connector, "is_observer"):
            self.connector.is_observer = True
        self.org_id = org_id or os.environ.get("CASCADE_ORG_ID") or "local"
        self.project_id = project_id or os.environ.get("CASCADE_PROJECT_ID") or "default"
        self.timeout = timeout
        self._loop = borrow_loop()

    def __enter__(self) -> Self:
        """Connect.

        Raises:
            ConnectorError: when nobody is there within `timeout`.
        """
        try:
            self._do(self.connector.connect())
            if hasattr(self.connector, "wait_connected"):
                self._do(self.connector.wait_connected(self.timeout))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect."""
        self._do(self.connector.disconnect())
        return_loop(self._loop)

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        import asyncio

        future = asyncio.run_coroutine_threadsafe(work, self._loop.loop)
        try:
            return future.result(self.timeout + 5)
        except TimeoutError:
            future.cancel()
            raise ConnectorError.for_unreached(name_of(self.connector), "it does not answer", self.timeout) from None

    # -- which runs there are -------------------------------------------------------------------------------------

    def runs(self, wait: float | None = None) -> list[RunStatus]:
        """Return the runs that go on, the latest first.

        Args:
            wait: seconds that they have to answer; None: as long as is usual over such a connector, and longer where
                it is known that one goes on which is too busy to answer at once.
        """
        found: dict[str, RunStatus] = {}

        def hear(_: str, answer: Mapping[str, Any]) -> None:
            status = read_status(answer)
            if status is not None:
                found[status.run_id] = status

        subscription = self._subscribe(self._everybody("control", "answers"), hear)
        question = {"command": "status", "id": secrets.token_hex(4)}
        begun = time.monotonic()
        self._do(self.connector.publish(control_topic(self.org_id, self.project_id), question, 1))
        is_far = name_of(self.connector).startswith("mqtt")
        time.sleep((ASK_FAR if is_far else ASK) if wait is None else wait)
        if wait is None:
            going = self._said_to_go_on()
            while not going <= found.keys() and time.monotonic() < begun + BUSY:
                time.sleep(POLL / 4)
        self._end(subscription)
        return sorted(found.values(), key=lambda status: -status.started_at)

    def _said_to_go_on(self) -> set[str]:
        """Return the runs of which the start was written down, and no end; none where nothing is written down."""
        since = time.time() - LONG_AGO
        known = self.recent(1_000)
        return {status.run_id for status in known if status.state == "running" and status.started_at > since}

    def recent(self, most: int = 20) -> list[RunStatus]:
        """Return runs that this machine's file knows, also those that ended; nothing over other connectors."""
        history = getattr(self.connector, "history", None)
        if history is None:
            return []
        found: dict[str, RunStatus] = {}
        for _, _, message in history(self._everybody("telemetry", "events"), vital=True):
            status = read_lifecycle(message, found)
            if status is not None:
                found[status.run_id] = status
        return sorted(found.values(), key=lambda status: -status.started_at)[:most]

    def status(self, run: str) -> RunStatus:
        """Return what the run of that id, beginning of an id or name says of itself.

        Raises:
            RemoteError: when there is none, or several.
        """
        statuses = self.runs()
        exact = [status for status in statuses if run in (status.run_id, status.name)]
        found = exact or [status for status in statuses if status.run_id.startswith(run)]
        if len(found) == 1:
            return found[0]
        if found:
            raise RemoteError.for_several(run, [status.run_id for status in found])
        ended = [status for status in self.recent(1000) if status.run_id.startswith(run)]
        if len(ended) == 1:
            return ended[0]
        raise RemoteError.for_unknown(run, [status.run_id for status in statuses])

    def graph(self, run_id: str) -> RunGraph | None:
        """Return nodes and arrows of a run; None where nobody can tell, or there are too many of them.

        A run that goes on is asked; of one that has ended, what it said is looked up where the connector keeps that.
        """
        history = getattr(self.connector, "history", None)
        found = None
        if not any(known.run_id == run_id and known.state != "running" for known in self.recent(1_000)):
            try:
                return read_graph(self._ask(run_id, "graph"))
            except RemoteError:
                pass
        if history is not None:
            topic = answers_topic(self.org_id, self.project_id, run_id)
            for _, _, answer in history(topic):
                found = read_graph(answer) or found
        return found

    # -- orders to one run ----------------------------------------------------------------------------------------

    def cancel(self, run_id: str, reason: str = "") -> RunStatus:
        """Stop a run."""
        return self.order(run_id, "cancel", reason=reason)

    def pause(self, run_id: str) -> RunStatus:
        """Have a run start nothing more."""
        return self.order(run_id, "pause")

    def resume(self, run_id: str) -> RunStatus:
        """Have a run that was paused by `pause` go on; limits stay in force."""
        return self.order(run_id, "resume")

    def limit(self, run_id: str, limit: GlobalConstraint) -> RunStatus:
        """Set a limit on one run."""
        wire = limit_to_wire(limit, source_of_process())
        return self.order(run_id, "limit", limit=wire)

    def unlimit(self, run_id: str, limit_id: str) -> RunStatus:
        """Take a limit of one run away."""
        return self.order(run_id, "unlimit", limit_id=limit_id)

    def order(self, run_id: str, command: str, **fields: object) -> RunStatus:
        """Tell a run something, and return what it says of itself afterwards.

        Raises:
            RemoteError: when it does not answer in time, or refuses.
        """
        return read_status(self._ask(run_id, command, **fields)) or RunStatus(run_id)

    def _ask(self, run_id: str, command: str, **fields: object) -> Mapping[str, Any]:
        """Send an order, and return the answer to it."""
        request = secrets.token_hex(6)
        answers: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()

        def hear(_: str, answer: Mapping[str, Any]) -> None:
            if answer.get("id") == request:
                answers.put(answer)

        subscription = self._subscribe(answers_topic(self.org_id, self.project_id, run_id), hear)
        message = {"command": command, "id": request, **{k: v for k, v in fields.items() if v}}
        self._do(self.connector.publish(control_topic(self.org_id, self.project_id, run_id), message, 1))
        try:
            answer = answers.get(timeout=self.timeout)
        except queue.Empty:
            raise RemoteError.for_silence(run_id, command, self.timeout) from None
        finally:
            self._end(subscription)
        if not answer.get("ok"):
            raise RemoteError.for_refusal(run_id, command, str(answer.get("reason", "")))
        return answer

    # -- limits on all runs ---------------------------------------------------------------------------------------

    def set_limit(self, limit: GlobalConstraint) -> None:
        """Set a limit that every run obeys, also those that start later; it replaces that of its scope and type.

        Raises:
            ValueError: when its scope cannot be sent.
        """
        topic, wire = constraint_topic(limit.scope, limit.type), limit_to_wire(limit, source_of_process())
        self._do(self.connector.publish(topic, wire, 1, True))  # noqa: FBT003 - retain, as the protocol has it
        self._settle()

    def clear_limit(self, scope: str, kind: str) -> bool:
        """Take the limit of this scope and type away, and no other; say whether there was one."""
        was_there = any(known.limit.scope == scope and known.limit.type == kind for known in self.limits())
        self._do(self.connector.publish(constraint_topic(scope, kind), {}, 1, True))  # noqa: FBT003 - as above
        self._settle()
        return was_there

    def limits(self) -> list[LimitInForce]:
        """Return the limits that every run obeys now."""
        found: dict[str, LimitInForce] = {}

        def hear(topic: str, data: Any) -> None:
            try:
                order = read_limit(topic, data, time.time())
            except RefusedError:
                return
            found.pop(topic, None)
            if isinstance(order, SetLimit):
                found[topic] = LimitInForce(order.limit, order.set_at, order.set_by)

        subscription = self._subscribe(f"{CONSTRAINTS}/#", hear)
        self._settle()
        self._end(subscription)
        return list(found.values())

    # -- watching -------------------------------------------------------------------------------------------------

    def follow(
        self, run_id: str | None, *, history: bool = True, timeout: float | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the messages of a run as they come, up to its end; of all runs, without an end.

        Args:
            run_id: None: all. history: begin with what was said before, where the connector keeps that (local).
            timeout: seconds of silence after which it ends; None: it does not.
        """
        heard: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        leave = self.listen(run_id, heard.put, history=history and run_id is not None)
        try:
            yield from self._take(heard, timeout, ends=run_id is not None)
        finally:
            leave()

    def listen(
        self, run_id: str | None, callback: Callable[[dict[str, Any]], None], *, history: bool = True
    ) -> Callable[[], None]:
        """Call `callback` with each message of a run, on the connector's thread; return what ends that.

        Args:
            run_id: None: all runs. history: begin with what was said before, where the connector keeps that (local).

        Example:
            >>> from cascade.adapters.connectors.inprocess import InProcessConnector
            >>> with RemoteDesk(InProcessConnector("ears")) as desk:
            ...     leave = desk.listen(None, print)
            ...     leave()  # from any thread
        """
        topic = (
            telemetry_topic(self.org_id, self.project_id, run_id) if run_id else self._everybody("telemetry", "events")
        )
        keeps = history and "after" in signature(self.connector.subscribe).parameters
        more = {"after": 0} if keeps else {}
        subscription = self._subscribe(topic, lambda _, message: callback(dict(message)), **more)
        return lambda: self._end(subscription)

    def _take(
        self, heard: queue.SimpleQueue[dict[str, Any]], timeout: float | None, *, ends: bool
    ) -> Iterator[dict[str, Any]]:
        silent_since, patience = time.monotonic(), timeout
        while True:
            try:
                message = heard.get(timeout=POLL)
            except queue.Empty:
                if patience is not None and time.monotonic() - silent_since > patience:
                    return
                continue
            silent_since, patience = time.monotonic(), timeout
            yield message
            body = message.get("body")
            if ends and isinstance(body, dict) and body.get("event") == "ENGINE_STOPPED":
                if body.get("status") != "lost":
                    return
                patience = COME_BACK

    # -- messages -------------------------------------------------------------------------------------------------

    def _everybody(self, what: str, last: str) -> str:
        return f"cascade/{what}/{level_of(self.org_id)}/{level_of(self.project_id)}/+/{last}"

    def _subscribe(self, topic: str, callback: Callable[[str, Any], None], **more: Any) -> Any:
        return self._do(self.connector.subscribe(topic, callback, **more))

    def _end(self, subscription: Any) -> None:
        from inspect import isawaitable

        answer = getattr(subscription, "unsubscribe", subscription)()
        if isawaitable(answer):
            self._do(_await(answer))

    def _settle(self) -> None:
        if hasattr(self.connector, "settle"):
            self._do(self.connector.settle())


async def _await(work: Any) -> None:
    await work
