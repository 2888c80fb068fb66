"""What is heard of a run elsewhere → events, such as the run itself would have made.

In: messages that were understood, and what the run says of itself. Out: events in one order, and the nodes that were
heard of. Invariant: nothing is invented: a run whose end was not heard is told as lost, and what messages do not say
(arguments, values, arrows) is not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cascade.graph.model import Edge, Node
from cascade.interfaces import events as e
from cascade.notebook.plain import plain

if TYPE_CHECKING:
    from cascade.cli.following import Told
    from cascade.runtime.remote_desk import RunStatus

__all__ = ["FlatGraph", "Translator"]

MOST_EVENTS: Final = 50_000
WAITS_FOR: Final = "a capacity or a limit"  # the messages do not say which
NEXT_TRY: Final = "its next try"
LOST: Final = "Lost"
NO_GOODBYE: Final = "it ended without a word, or its connection did"


@dataclass(frozen=True, slots=True)
class FlatGraph:
    """The nodes that were heard of, without the arrows that messages do not tell.

    Args:
        is_flat: that no arrow is known does not mean that nothing needs anything.
    """

    name: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...] = ()
    is_flat: bool = True

    def __len__(self) -> int:
        """How many nodes are known."""
        return len(self.nodes)


class Translator:
    """Makes events of messages.

    Attributes:
        events: all of them; the oldest stay, so that a view can begin anew. state: of the run, as a view has it.
    """

    def __init__(self, status: RunStatus, place: str) -> None:
        """Begin with what the run says of itself."""
        self.run_id = status.run_id
        self.name = plain(f"{status.name or status.run_id} · {place}", 80)
        self.began = status.started_at
        self.events: list[e.Event] = []
        self.state = "pending"
        self._nodes: dict[str, Node] = {}
        self._limits: set[str] = set()
        self._last_error = ("", "")
        self._elapsed = 0.0

    @property
    def graph(self) -> FlatGraph:
        """What is known of the graph by now."""
        return FlatGraph(self.name, tuple(self._nodes.values()))

    def hear(self, told: Told) -> list[e.Event]:
        """Return the events that a message stands for."""
        return self._keep(self._translate(told))

    def _translate(self, told: Told) -> Iterator[e.Event]:
        if told.kind == "node":
            self._know(told)
            if told.state == "pending":
                return
        if self.state == "pending":
            self.state = "running"
            self.began = self.began or told.at
            yield e.RunStarted(**self._head(self.began), name=self.name, nodes=len(self._nodes))
        if told.kind == "life":
            yield from self._life(told)
        elif told.kind == "node":
            yield from self._node(told)

    def _life(self, told: Told) -> Iterator[e.Event]:
        if told.name == "stopped" and told.state in {"completed", "failed", "cancelled"}:
            yield self._finished(told.at, told.state, *(self._last_error if told.state == "failed" else ("", "")))

    def give_up(self, moment: float) -> list[e.Event]:
        """Return the end of a run that was heard of no more."""
        if self.state in {"completed", "failed", "cancelled"}:
            return []
        begin: list[e.Event] = []
        if self.state == "pending":
            begin = [e.RunStarted(**self._head(self.began or moment), name=self.name, nodes=len(self._nodes))]
        return self._keep(iter([*begin, self._finished(moment, "failed", LOST, NO_GOODBYE)]))

    def _finished(self, moment: float, status: str, error_type: str, error: str) -> e.Event:
        self.state = status
        head = self._head(moment)
        shown = f"{error_type}: {error}" if error_type == LOST else error_type
        return e.RunFinished(**head, status=status, duration=head["elapsed"], error_type=shown, error=error)

    def take_status(self, status: RunStatus, moment: float) -> list[e.Event]:
        """Return the events that lie between what the run said of itself before and now."""
        made: list[e.Event] = []
        if self.state in {"running", "paused", "cancelling"} and status.state != self.state:
            kinds: dict[str, Any] = {"paused": e.RunPaused, "running": e.RunResumed}
            if status.state == "cancelling":
                made.append(e.RunCancelRequested(**self._head(moment), reason="cancelled elsewhere"))
            elif status.state in kinds:
                made.append(kinds[status.state](**self._head(moment)))
            if made:
                self.state = status.state
        in_force = {known.limit.id: known.limit for known in status.limits}
        for name in in_force.keys() - self._limits:
            limit = in_force[name]
            made.append(
                e.LimitSet(
                    **self._head(moment), limit_id=name, scope=limit.scope, kind=limit.type, params=dict(limit.params),
                    expires_at=limit.expires_at,
                )
            )  # fmt: skip
        made += [e.LimitRemoved(**self._head(moment), limit_id=name) for name in self._limits - in_force.keys()]
        self._limits = set(in_force)
        return self._keep(iter(made)) if self.state != "pending" else []

    # -- nodes ----------------------------------------------------------------------------------------------------

    def _know(self, told: Told) -> None:
        known = self._nodes.get(told.node)
        kind: Any = "map" if told.index is not None else known.kind if known is not None else "task"
        if known is None or known.kind != kind:
            name = told.name.rpartition("[")[0] if told.index is not None else told.name
            self._nodes[told.node] = Node(told.node, known.name if known is not None else name, kind)

    def _node(self, told: Told) -> Iterator[e.Event]:
        name = self._nodes[told.node].name
        head = {**self._head(told.at), "node": told.node, "name": name, "index": told.index}
        if told.state == "running":
            yield e.NodeStarted(**head)
        elif told.state == "done":
            yield e.NodeCompleted(**head, duration=told.seconds)
        elif told.state == "failed":
            kind, _, text = told.error.partition(": ")
            self._last_error = (kind, text)
            yield e.NodeFailed(**head, duration=told.seconds, error_type=kind, error=text)
        elif told.state in {"waiting", "retry"}:
            resource = NEXT_TRY if told.state == "retry" else WAITS_FOR
            yield e.NodeWaiting(**head, resource=resource, reason=told.error)
        elif told.state == "skipped":
            yield e.NodeSkipped(**head, reason="")
        elif told.state == "cancelled":
            yield e.NodeCancelled(**head, reason="")

    # -- order ----------------------------------------------------------------------------------------------------

    def _head(self, moment: float) -> dict[str, Any]:
        """Return the fields that every event has; time never runs back."""
        self._elapsed = max(self._elapsed, moment - self.began, 0.0)
        return {"run_id": self.run_id, "seq": 0, "at": moment, "elapsed": self._elapsed}

    def _keep(self, made: Iterator[e.Event]) -> list[e.Event]:
        """Number the events and keep them, as far as there is room: ends are always kept."""
        from dataclasses import replace

        kept = []
        for event in made:
            numbered = replace(event, seq=len(self.events))
            if len(self.events) < MOST_EVENTS or isinstance(event, e.LifecycleEvent):
                self.events.append(numbered)
                kept.append(numbered)
        return kept
