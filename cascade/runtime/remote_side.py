"""What a run hears from outside → what it does.

In: messages on the topics of limits and of one run. Out: orders to the run, answers. Invariant: a message that is not
valid is refused with a reason that is logged, kept as an event and answered, and changes nothing; a limit is cleared
by its own topic only; a pause that holds a run at its start is said.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from cascade.interfaces.remote_errors import RefusedError
from cascade.interfaces.remote_events import ControlRefused, RunHeld
from cascade.runtime.remote_orders import ClearLimit, Command, SetLimit, limit_to_wire, read_command, read_limit
from cascade.runtime.states import CANCELLED, DONE, FAILED, PENDING, RUNNING, SKIPPED
from cascade.runtime.telemetry import Teller, source_of_process
from cascade.spec.telemetry import answers_topic

if TYPE_CHECKING:
    from cascade.runtime.handle import Run
    from cascade.runtime.remote_picture import RunPicture

__all__ = ["RemoteSide"]

TOLD_ONE_BY_ONE: Final = 20  # refusals that each have an event; then at 40, 80, …
MOST_LOOKED_AT: Final = 262_144  # bytes of a message that was refused: for the id in it, so that its sender hears why
MOST_LIMITS: Final = 1_000  # from outside, in force at once
_OWN: Final = "run "  # no topic begins so
_STATES: Final = {
    PENDING: "pending",
    RUNNING: "running",
    DONE: "completed",
    FAILED: "failed",
    SKIPPED: "skipped",
    CANCELLED: "cancelled",
}
Answer = Callable[[str, Mapping[str, object]], None]


class RemoteSide:
    """Obeys for one run.

    Responsible for: which limit came by which topic, answers, what is said of refusals. Refuses: carrying messages;
    what a valid message is (`remote_orders`).

    Args:
        run: the handle. teller: knows organisation and project. address: of the connector, for words.
        answer: publishes. picture: what is told to those who ask this run alone.

    Attributes:
        refused: how many messages were. at_start: until it is cleared, a pause that comes holds the run's start.
    """

    def __init__(self, run: Run, teller: Teller, address: str, answer: Answer, picture: RunPicture) -> None:
        """Know of no limit."""
        self._picture = picture
        self.refused = 0
        self.at_start = True
        self._run = run
        self._teller = teller
        self._address = address
        self._answer = answer
        self._topic = answers_topic(teller.org_id, teller.project_id, run.run_id)
        self._limits: dict[str, SetLimit] = {}  # by topic, those of this run alone by `_OWN` and id
        self._seen: set[str] | None = None  # while the broker tells again what is retained: topics it has told
        self._lock = threading.Lock()

    # -- limits ---------------------------------------------------------------------------------------------------

    def hear_limit(self, topic: str, data: bytes | Mapping[str, object]) -> None:
        """Put a limit in force or take it out, as a message says."""
        try:
            order = read_limit(topic, data, time.time())
            with self._lock:
                if self._seen is not None:
                    self._seen.add(topic)
                self._obey_limit(topic, order)
        except RefusedError as error:
            self._refuse(topic, str(error))

    def _obey_limit(self, topic: str, order: SetLimit | ClearLimit) -> None:
        if isinstance(order, ClearLimit):
            self._clear(topic)
            return
        now = time.time()
        for place in [place for place, other in self._limits.items() if (other.limit.expires_at or now) < now]:
            del self._limits[place]
        known = self._limits.get(topic)
        limit = order.limit
        if any(other.limit.id == limit.id for place, other in self._limits.items() if place != topic):
            raise RefusedError(f"The limit '{limit.id}' is in force on another scope or type; choose another id.")
        if len(self._limits) >= MOST_LIMITS and known is None:
            raise RefusedError(f"There are {MOST_LIMITS:,} limits in force already; clear some.")
        if known is not None and known.limit == limit and self._seen is not None:
            return  # a broker that is back tells again what is retained
        if known is not None and known.limit.id != limit.id:
            self._run.remove_limit(known.limit.id)
        self._limits[topic] = order
        self._run.set_limit(limit)
        if self.at_start and limit.type == "pause":
            self._say_held(order)

    def _clear(self, topic: str) -> None:
        known = self._limits.pop(topic, None)
        if known is not None:
            self._run.remove_limit(known.limit.id)

    def _say_held(self, order: SetLimit) -> None:
        flow, limit = self._run._flow, order.limit  # noqa: SLF001 - the run's own side
        if limit.scope != "global":
            names = {name for node in range(len(flow.graph)) for name in flow.core.names(node)}
            if not any(limit.matches(name) for name in names):
                return
        told = {"limit_id": limit.id, "scope": limit.scope, "source": self._address, "set_at": order.set_at}
        flow.post(
            lambda: flow.journal.tell(RunHeld, **told, set_by=order.set_by, expires_at=limit.expires_at)
        )  # after the run's first event, and when the pause is in force

    def hear_connection(self, word: str) -> None:
        """Hear that the broker is ``lost``, or ``back``: what was cleared meanwhile is not told again."""
        with self._lock:
            if word == "lost":
                self._seen = set()
            elif self._seen is not None:
                gone = {topic for topic in self._limits if not topic.startswith(_OWN)} - self._seen
                self._seen = None
                for topic in gone:
                    self._clear(topic)

    # -- orders ---------------------------------------------------------------------------------------------------

    def hear_command(self, topic: str, data: bytes | Mapping[str, object]) -> None:
        """Do what a message to this run orders, and answer."""
        self._hear(topic, data, is_for_all=False)

    def hear_question(self, topic: str, data: bytes | Mapping[str, object]) -> None:
        """Answer a question to all runs; orders to all of them at once are refused."""
        self._hear(topic, data, is_for_all=True)

    def _hear(self, topic: str, data: bytes | Mapping[str, object], *, is_for_all: bool) -> None:
        if not data:
            return  # somebody cleared what was retained
        try:
            command = read_command(data)
            self._obey(command, is_for_all=is_for_all)
        except RefusedError as error:
            self._refuse(topic, str(error), _request_of(data))
            return
        made = self._words({"command": command.command, "id": command.id, "ok": True, "reason": ""}, command.limit_id)
        if not is_for_all:
            made |= {"waiting": self._picture.waiting(), "maps": self._picture.maps()}
        if command.command == "graph":
            graph = self._picture.graph(self._run)
            made |= {"graph": graph, "past": self._picture.past(graph.get("nodes", ()))}
        self._answer(self._topic, made)

    def tell_graph(self) -> None:
        """Tell nodes and arrows without being asked, for who reads them when the run is over and answers no more."""
        made = self._words({"command": "graph", "id": "", "ok": True, "reason": ""})
        self._answer(self._topic, {**made, "graph": self._picture.graph(self._run)})

    def _obey(self, command: Command, *, is_for_all: bool) -> None:
        run = self._run
        if is_for_all and command.command != "status":
            raise RefusedError(f"'{command.command}' is for one run: send it to the topic of its run_id.")
        if command.command == "cancel":
            run.cancel(command.reason or f"cancelled over {self._address}")
        elif command.command == "pause":
            run.pause()
        elif command.command == "resume":
            run.resume()
        elif command.command == "limit" and command.limit is not None:
            with self._lock:
                self._obey_limit(_OWN + command.limit.limit.id, command.limit)
        elif command.command == "unlimit":
            self._lift(command.limit_id)

    def _lift(self, limit_id: str) -> None:
        """Take a limit of this run out of force; one that all runs obey is cleared by its own topic only."""
        with self._lock:
            shared = [topic for topic, known in self._limits.items() if known.limit.id == limit_id]
            if shared and not shared[0].startswith(_OWN):
                raise RefusedError(f"Every run obeys the limit '{limit_id}'. Clear it on its own topic, {shared[0]}.")
            self._limits.pop(_OWN + limit_id, None)
        self._run.remove_limit(limit_id)

    def _words(self, answer: Mapping[str, object], lifted: str = "") -> dict[str, object]:
        run, teller = self._run, self._teller
        return {
            "v": "1.0",
            "ts": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "run_id": run.run_id,
            "org_id": teller.org_id,
            "project_id": teller.project_id,
            "source": source_of_process(),
            **answer,
            "state": run.state,
            "name": run.name,
            "started_at": round(run.started_at, 3),
            "elapsed": round(run.elapsed, 3),
            "counts": self._counts(),
            "limits": [limit_to_wire(order.limit, order.set_by, order.set_at) for order in self._in_force(lifted)],
        }

    def _in_force(self, lifted: str) -> list[SetLimit]:
        """Return the limits from outside, and those that the run's own program set; `lifted` is none any more."""
        now = time.time()
        ends = [(order, order.limit.expires_at) for order in list(self._limits.values())]
        known = {order.limit.id: order for order, end in ends if end is None or end > now}
        inside = self._run._flow.core.limits.in_force()  # noqa: SLF001 - the run's own side
        own = [SetLimit(limit) for limit in inside if limit.id not in known and limit.id != lifted]
        return [*known.values(), *own]

    def _counts(self) -> dict[str, int]:
        states = bytes(self._run._flow.core.state)  # noqa: SLF001 - the run's own side
        return {word: count for state, word in _STATES.items() if (count := states.count(state))}

    # -- refusals -------------------------------------------------------------------------------------------------

    def _refuse(self, topic: str, reason: str, request: str = "") -> None:
        reason = self._run.redact(reason)[:500]
        self.refused += 1
        count = self.refused
        if count <= TOLD_ONE_BY_ONE or (count % TOLD_ONE_BY_ONE == 0 and (count // TOLD_ONE_BY_ONE).bit_count() == 1):
            self._run._flow.journal.tell(ControlRefused, topic=topic[:200], reason=reason, count=count)  # noqa: SLF001
        with suppress(Exception):
            self._answer(
                self._topic,
                self._words({"command": "", "id": request, "ok": False, "reason": reason, "topic": topic[:200]}),
            )


def _request_of(data: Any) -> str:
    """Return the id of a message that was refused, so that who sent it knows the answer; empty where there is none."""
    import json

    is_text = isinstance(data, (bytes, bytearray))
    if is_text and len(data) > MOST_LOOKED_AT:
        return ""
    try:
        found = json.loads(data) if is_text else data
        name = found.get("id")
    except (ValueError, AttributeError, RecursionError):
        return ""
    return name[:200] if isinstance(name, str) and name.isprintable() else ""
