"""Telemetry messages → what is known of a run elsewhere.

In: messages as docs/telemetry.md has them, from whoever sent them. Out: a `Followed` run. Invariant: a message that is
none changes nothing; what is held is bounded, and what was not heard is not invented: states of nodes come from
messages, and counts from the run itself where its beginning was missed.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from cascade.messaging.renderer import one_line

if TYPE_CHECKING:
    from cascade.runtime.remote_answers import RunStatus, Waiting

__all__ = ["ENDED", "Followed", "NodeSeen", "Told", "read_message", "why_words"]

MOST_NODES: Final = 20_000
MOST_LINES: Final = 500
LONGEST: Final = 300  # characters of a name or an error
WORDS: Final = {
    "PENDING": "pending", "RUNNING": "running", "COMPLETED": "done", "FAILED": "failed", "SKIPPED": "skipped",
    "BLOCKED": "waiting", "RETRYING": "retry", "CANCELLED": "cancelled",
}  # fmt: skip
ENDED: Final = frozenset({"done", "failed", "skipped", "cancelled"})
COUNTED: Final = {"completed": "done"}  # words of a status that are other ones here
OVER: Final = frozenset({"completed", "failed", "cancelled", "lost"})


@dataclass(frozen=True, slots=True)
class Told:
    """One message that was understood.

    Args:
        run_id, source: who said it. at: seconds since the epoch. kind: ``life``, ``node`` or ``resource``.
        name: of the node or the resource; ``started`` or ``stopped``. node: its id, empty for others. index: of an item
            of a map. state: of the node, as people call it; the status of the engine; ``ACQUIRE`` or ``RELEASE``.
        seconds: how long it took, 0 while unknown; for resources, how much is in use. error: empty for none.
    """

    run_id: str
    source: str
    at: float
    kind: str
    name: str
    node: str = ""
    index: int | None = None
    state: str = ""
    seconds: float = 0.0
    error: str = ""


def read_message(message: Mapping[str, Any]) -> Told | None:
    """Return what a message tells; None for one that is none.

    Example:
        >>> body = {"type": "TaskStateEvent", "task_id": "fit[2]", "task_name": "fit[2]", "state": "RUNNING"}
        >>> told = read_message({"ts": "2026-01-01T00:00:00Z", "run_id": "r", "source": "h-1", "body": body})
        >>> told.node, told.index, told.state
        ('fit', 2, 'running')
    """
    try:
        body = message["body"]
        head = (str(message["run_id"])[:LONGEST], one_line(str(message["source"]), LONGEST), _moment(message["ts"]))
        kind = body["type"]
        if kind == "LifecycleEvent":
            word = {"ENGINE_STARTED": "started", "ENGINE_STOPPED": "stopped"}[body["event"]]
            return Told(*head, "life", word, state=str(body.get("status", ""))[:40])
        if kind == "TaskStateEvent":
            node, index = _split(str(body["task_id"]))
            seconds = float(body.get("duration_ms") or 0.0) / 1000
            error = one_line(str(body.get("error") or ""), LONGEST)
            name = one_line(str(body["task_name"]), LONGEST)
            return Told(*head, "node", name, node, index, WORDS[body["state"]], seconds, error)
        if kind == "ResourceEvent":
            name = one_line(str(body["resource_name"]), LONGEST)
            return Told(*head, "resource", name, state=str(body["action"]), seconds=float(body["current_usage"]))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None
    return None


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _split(task_id: str) -> tuple[str, int | None]:
    """Return the node and the item of ``fit[3]``."""
    node, bracket, rest = task_id.rpartition("[")
    if bracket and rest.endswith("]") and rest[:-1].isdecimal() and len(rest) < 20:  # noqa: PLR2004 - digits
        return one_line(node, LONGEST), int(rest[:-1])
    return one_line(task_id, LONGEST), None


@dataclass(slots=True)
class NodeSeen:
    """What was heard of a node: its state since a moment (seconds since the epoch), and of its items how many.

    Args:
        why: for what it waits, empty while nobody said.
        is_folded: it stands for all nodes of its name, and its items are these.
    """

    name: str
    state: str = "pending"
    since: float = 0.0
    seconds: float = 0.0
    error: str = ""
    why: str = ""
    items: dict[str, int] = field(default_factory=dict)
    active: dict[int, str] = field(default_factory=dict)
    is_folded: bool = False

    @property
    def shown(self) -> str:
        """Its state, as people see it: a map of which some items run is running, though others wait."""
        return "running" if self.state == "waiting" and self.items.get("running") else self.state

    def hear(self, told: Told) -> None:
        """Take the next message about it."""
        if told.index is None:
            self.name, self.state, self.since = told.name, told.state, told.at
            self.seconds, self.error = told.seconds, told.error or self.error
            return
        old = self.active.pop(told.index, "")
        if old:
            self.items[old] -= 1
        self.items[told.state] = self.items.get(told.state, 0) + 1
        if told.state not in ENDED:
            self.active[told.index] = told.state
        self.error = told.error or self.error


class Followed:
    """A run elsewhere, as its messages tell it.

    Attributes:
        run_id, name, source: of the run; empty while unknown. state: ``running``, ``paused`` … or how it ended.
        is_whole: whether its beginning was heard. nodes: by id. usage: of resources and capacities in use, by name.
        lines: the latest of what was told, oldest first. unread: messages that were none.
    """

    def __init__(self, run_id: str = "") -> None:
        """Know nothing yet."""
        self.run_id = run_id
        self.name = ""
        self.source = ""
        self.state = ""
        self.is_whole = False
        self.nodes: dict[str, NodeSeen] = {}
        self.usage: dict[str, float] = {}
        self.lines: deque[Told] = deque(maxlen=MOST_LINES)
        self.unread = 0
        self.limits: tuple[Any, ...] = ()
        self._began = 0.0
        self._ended = 0.0
        self._last = 0.0
        self._counts: dict[str, int] = {}

    @property
    def over(self) -> bool:
        """Whether it has ended, as far as is known."""
        return self.state in OVER

    def elapsed(self, now: float | None = None) -> float:
        """Return how long it has been going on, in seconds, up to its end."""
        if not self._began:
            return 0.0
        return max(0.0, (self._ended or (time.time() if now is None else now)) - self._began)

    def since_start(self, moment: float) -> float | None:
        """Return a moment as seconds after the start; None while that is not known."""
        return max(0.0, moment - self._began) if self._began else None

    @property
    def counts(self) -> dict[str, int]:
        """How many nodes are in which state: from the messages if all were heard, else as the run said last.

        Of a very large graph not every node is told before it begins.
        """
        if not self.is_whole and self._counts:
            return self._counts
        found: dict[str, int] = {}
        for node in self.nodes.values():
            found[node.shown] = found.get(node.shown, 0) + 1
        return self._counts if sum(self._counts.values()) > len(self.nodes) and not self.over else found

    def hear(self, message: Mapping[str, Any]) -> Told | None:
        """Take the next message; return it as it was understood, None if it was not or is of another run."""
        told = read_message(message)
        if told is None:
            self.unread += 1
            return None
        if self.run_id and told.run_id != self.run_id:
            return None
        if told.state == "lost":  # it was written down when the run began, for whoever finds it gone
            told = replace(told, at=max(told.at, self._last))
        self._last = max(told.at, self._last)
        self.run_id = told.run_id
        self.source = told.source or self.source
        if told.kind == "life":
            self._hear_life(told)
        elif told.kind == "node":
            node = self.nodes.get(told.node)
            if node is None and len(self.nodes) < MOST_NODES:
                node = self.nodes[told.node] = NodeSeen(told.name)
            if node is not None:
                node.hear(told)
        else:
            self.usage[told.name] = told.seconds
        if told.state != "pending":
            self.lines.append(told)
        return told

    def _hear_life(self, told: Told) -> None:
        if told.name == "stopped":
            self.state = told.state if told.state in OVER else "lost"
            self._ended = told.at
            return
        self.state, self._ended = "running", 0.0
        if told.state != "reconnected":
            self.is_whole, self._began = True, told.at

    def take_status(self, status: RunStatus) -> None:
        """Take what the run says of itself."""
        self.name = one_line(status.name, LONGEST) or self.name
        self.limits = status.limits
        if self.over:
            return
        self.state = status.state or self.state
        if not self._began and status.started_at:
            self._began = status.started_at
        if status.state in OVER:
            self._ended = status.started_at + status.elapsed
        self._counts = {COUNTED.get(word, word): count for word, count in status.counts.items()}
        reasons: dict[str, str] = {}
        for each in status.waiting:
            reasons.setdefault(each.node, one_line(why_words(each), LONGEST))
        for name, node in self.nodes.items():
            node.why = reasons.get(name, "")


def why_words(waiting: Waiting) -> str:
    """Return why somebody waits, to stand behind ``waiting``.

    Example:
        >>> from cascade.runtime.remote_answers import Waiting
        >>> why_words(Waiting("fit", None, "gpu", "waits for gpu", ("train[3]",)))
        'for gpu, held by train[3]'
    """
    reason = waiting.reason or f"waits for {waiting.resource}"
    holders = ", ".join(waiting.holders)
    held = f", held by {holders}" if holders and "held by" not in reason else ""
    return f"{reason.removeprefix('waits').lstrip(' ,')}{held}"
