"""What is heard of a run elsewhere → events, such as the run itself would have made.

In: messages that were understood, and what the run says of itself. Out: events in one order, and the nodes that were
heard of. Invariant: nothing is invented: a run whose end was not heard is told as lost, and what nobody said
(arguments, values, the arrows of a run that does not tell them) is not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from cascade.cli.following import ENDED, WORDS, Told
from cascade.graph.model import Edge, Node
from cascade.interfaces import events as e
from cascade.interfaces.remote_events import ConnectionReported
from cascade.notebook.log_book import WAITS_FOR
from cascade.notebook.plain import plain
from cascade.runtime.remote_answers import Waiting

if TYPE_CHECKING:
    from cascade.runtime.remote_answers import Past, RunGraph, RunStatus
    from cascade.spec.constraint import GlobalConstraint

__all__ = ["FlatGraph", "Translator"]

MOST_EVENTS: Final = 50_000
NEXT_TRY: Final = "its next try"
LOST: Final = "Lost: it ended without a word, or its connection did"
SAME: Final = 2e-6  # seconds between one moment and the same as a text


@dataclass(frozen=True, slots=True)
class FlatGraph:
    """The nodes that were heard of, with the arrows that the run told.

    Args:
        is_flat: not all arrows are known: that there is none does not mean that nothing needs anything.
    """

    calls: ClassVar[tuple[Any, ...]] = ()

    name: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...] = ()
    is_flat: bool = True

    def __len__(self) -> int:
        """How many nodes are known."""
        return len(self.nodes)

    @property
    def labels(self) -> list[str]:
        """What people call each node."""
        return [node.name for node in self.nodes]


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
        self._edges: tuple[Edge, ...] = ()
        self._drawn: frozenset[str] = frozenset()  # nodes whose arrows are known
        self._totals: dict[str, int] = {}
        self._counted: set[str] = set()  # maps of which it was told how many items they have
        self._running: set[str] = set()
        self._waiting: dict[tuple[str, int | None], Waiting] = {}
        self._heard: set[tuple[str, int | None]] = set()
        self._lost_at = 0.0
        self._limits: dict[str, GlobalConstraint] = {}
        self._before: dict[tuple[str, int | None], float] = {}  # until when it was told what became of whom
        self._note = ""  # what there is to say of the connection
        self._ordered = ""  # why it is to be cancelled, if that was ordered here
        self._last_error = ("", "")
        self._elapsed = 0.0

    @property
    def graph(self) -> FlatGraph:
        """What is known of the graph by now."""
        is_flat = not self._drawn or not self._drawn >= self._nodes.keys()
        return FlatGraph(self.name, tuple(self._nodes.values()), self._edges, is_flat)

    def lacks(self, told: Told) -> bool:
        """Whether a message is about a node that came after the graph had been told."""
        return bool(self._drawn) and told.kind == "node" and told.node not in self._drawn

    def take_graph(self, graph: RunGraph | None) -> None:
        """Take nodes and arrows as the run told them; None: nobody told them, or not all of them."""
        if graph is None:
            self._drawn = frozenset()
            return
        told = {node.id: node for node in graph.nodes}
        self._nodes = {**told, **{name: node for name, node in self._nodes.items() if name not in told}}
        self._edges, self._drawn = graph.edges, frozenset(node.id for node in graph.nodes)
        self._totals.update(graph.totals)

    def take_past(self, past: Sequence[Past]) -> list[e.Event]:
        """Return the events of what was before anybody listened; messages that tell the same are not heard again."""
        made: list[e.Event] = []
        for one in past:
            if one.node not in self._nodes or one.state not in WORDS:
                continue
            self._before[one.node, one.index] = one.at + SAME
            if one.index is not None:
                self._know(self._told(one, WORDS[one.state]))
        for moment, one, state in sorted(_moments(past), key=lambda row: row[0]):
            if (one.node, one.index) not in self._before:
                continue
            made += self._keep(self._translate(replace(self._told(one, state), at=moment)))
            if one.node in self._totals and one.node not in self._counted:
                made += self._keep(iter([self._expanded(one.node, moment)]))
        return made

    def _told(self, one: Past, state: str) -> Told:
        name = self._nodes[one.node].name
        return Told(self.run_id, "", one.at, "node", name, one.node, one.index, state, one.seconds)

    def take_note(self, note: str, moment: float) -> list[e.Event]:
        """Return the event that stands for what there is to say of the connection; empty: it is back."""
        if self.state in {"completed", "failed", "cancelled"} or (not note and not self._note):
            return []
        self._note = note
        return self._keep(iter([ConnectionReported(**self._head(moment), problem=note)]))

    def expect_cancel(self, reason: str) -> None:
        """Take note that it was ordered here."""
        self._ordered = reason

    def hear(self, told: Told) -> list[e.Event]:
        """Return the events that a message stands for."""
        if told.kind == "node" and told.at <= self._before.get((told.node, told.index), 0.0):
            return []  # told already, with what was before
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
        self._lost_at = told.at if told.state == "lost" else 0.0
        if told.name == "stopped" and told.state in {"completed", "failed", "cancelled"}:
            yield self._finished(told.at, told.state, *(self._last_error if told.state == "failed" else ("", "")))

    def give_up(self, moment: float) -> list[e.Event]:
        """Return the end of a run that was heard of no more."""
        if self.state in {"completed", "failed", "cancelled"}:
            return []
        moment = self._lost_at or moment
        begin: list[e.Event] = []
        if self.state == "pending":
            begin = [e.RunStarted(**self._head(self.began or moment), name=self.name, nodes=len(self._nodes))]
        return self._keep(iter([*begin, self._finished(moment, "failed", LOST, "")]))

    def _finished(self, moment: float, status: str, error_type: str, error: str) -> e.Event:
        self.state = status
        head = self._head(moment)
        return e.RunFinished(**head, status=status, duration=head["elapsed"], error_type=error_type, error=error)

    def take_status(self, status: RunStatus, moment: float) -> list[e.Event]:
        """Return the events that lie between what the run said of itself before and now."""
        made: list[e.Event] = []
        if self.state in {"running", "paused", "cancelling"} and status.state != self.state:
            kinds: dict[str, Any] = {"paused": e.RunPaused, "running": e.RunResumed}
            if status.state == "cancelling":
                made.append(e.RunCancelRequested(**self._head(moment), reason=self._ordered or "cancelled elsewhere"))
            elif status.state in kinds:
                made.append(kinds[status.state](**self._head(moment)))
            if made:
                self.state = status.state
        in_force = {known.limit.id: known.limit for known in status.limits}
        for name, limit in in_force.items():
            if self._limits.get(name) == limit:
                continue
            made.append(
                e.LimitSet(
                    **self._head(moment), limit_id=name, scope=limit.scope, kind=limit.type, params=dict(limit.params),
                    expires_at=limit.expires_at,
                )
            )  # fmt: skip
        made += [e.LimitRemoved(**self._head(moment), limit_id=name) for name in self._limits.keys() - in_force.keys()]
        self._limits = in_force
        if self.state in {"running", "paused", "cancelling"}:
            made += [*self._count(status.totals, moment), *self._tell_reasons(status.waiting, moment)]
        return self._keep(iter(made)) if self.state != "pending" else []

    def _count(self, totals: Mapping[str, int], moment: float) -> Iterator[e.Event]:
        """Tell how many items the maps have that run already."""
        self._totals.update(totals)
        for node in sorted(self._running & self._totals.keys() - self._counted):
            yield self._expanded(node, moment)

    def _expanded(self, node: str, moment: float) -> e.Event:
        self._counted.add(node)
        head = self._head(moment)
        return e.MapExpanded(**head, node=node, name=self._nodes[node].name, total=self._totals[node])

    def _tell_reasons(self, waiting: Sequence[Waiting], moment: float) -> Iterator[e.Event]:
        """Tell for what those wait of whom only that was told, or who wait for something else by now."""
        for each in waiting:
            key = (each.node, each.index)
            before = self._waiting.get(key)
            if before == each or (before is None and (key in self._heard or each.node not in self._nodes)):
                continue  # it has gone on since
            self._waiting[key] = each
            yield e.NodeWaiting(
                **self._head(moment), node=each.node, name=self._nodes[each.node].name, index=each.index,
                resource=plain(each.resource, 200), reason=plain(each.reason, 300),
                holders=tuple(plain(holder, 80) for holder in each.holders),
            )  # fmt: skip

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
        self._follow_waiting(told)
        if told.index is None and told.node in self._totals and told.node not in self._counted:
            yield self._expanded(told.node, told.at)
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

    def _follow_waiting(self, told: Told) -> None:
        key = (told.node, told.index)
        if len(self._heard) < MOST_EVENTS:
            self._heard.add(key)
        if told.state == "waiting":
            self._waiting[key] = Waiting(*key, WAITS_FOR, "")
        else:
            self._waiting.pop(key, None)
        if told.index is None and told.state == "running":
            self._running.add(told.node)
        elif told.index is None and told.state in ENDED:
            self._running.discard(told.node)

    # -- order ----------------------------------------------------------------------------------------------------

    def _head(self, moment: float) -> dict[str, Any]:
        """Return the fields that every event has; time never runs back."""
        self._elapsed = max(self._elapsed, moment - self.began, 0.0)
        return {"run_id": self.run_id, "seq": 0, "at": moment, "elapsed": self._elapsed}

    def _keep(self, made: Iterator[e.Event]) -> list[e.Event]:
        """Number the events and keep them, as far as there is room: ends are always kept."""
        kept = []
        for event in made:
            numbered = replace(event, seq=len(self.events))
            if len(self.events) < MOST_EVENTS or isinstance(event, e.LifecycleEvent):
                self.events.append(numbered)
                kept.append(numbered)
        return kept


def _moments(past: Sequence[Past]) -> Iterator[tuple[float, Past, str]]:
    """Say when each began, as far as that is known, and when it became what it is."""
    for one in past:
        state = WORDS.get(one.state, "")
        if state in {"done", "failed"} and one.seconds > 0:
            yield one.at - one.seconds, one, "running"
        yield one.at, one, state
