"""Graph as plain data: what every reader of a graph (solver, engine, drawer, file) agrees on.

In: what `build` recorded. Out: nodes, edges and argument slots. Invariant: nothing here runs, and nothing here
refers to a run; the same graph can be run any number of times (a run in which tasks return lazy results works on a
graph of its own, which only ever gains nodes).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from cascade.context import get_current_context

if TYPE_CHECKING:
    from cascade.spec.input import Env, Input, Param
    from cascade.spec.policy import Options
    from cascade.spec.resource import Inject
    from cascade.spec.task import Task

T = TypeVar("T")
NodeKind = Literal["task", "map", "route", "param", "env"]
EdgeKind = Literal["data", "condition", "selector", "route", "constraint", "order"]


@dataclass(frozen=True, slots=True)
class Node:
    """One box of a graph as people see it.

    Args:
        id: unique within the graph, readable: the name, with ``#2``, ``#3`` … when the name repeats.
        name: what the user calls it (the task's name or ``.named(…)``); any text, never trusted as markup.
        kind: ``task``, ``map`` and ``route`` run; ``param`` and ``env`` only give values.
        task: ``module:qualname`` of the task, empty for routes, params and envs.
        mode: ``blocking``, ``inline``, ``compute`` or ``async``; empty for what does not run.
        note: one short line under the name: ``retry ≤ 3 · gpu 1``; for params the default.
        requirements: static capacity amounts by name.
    """

    id: str
    name: str
    kind: NodeKind = "task"
    task: str = ""
    mode: str = ""
    note: str = ""
    requirements: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Edge:
    """One arrow of a graph: `source` must be known before `target` can go on.

    Args:
        source: id of the node that gives.
        target: id of the node that needs.
        kind: ``data`` an argument, ``condition`` a ``run_if``, ``selector`` and ``route`` of a Router,
            ``constraint`` an amount computed by a node, ``order`` an ``after``.
        label: the route key or the index path, else empty.
    """

    source: str
    target: str
    kind: EdgeKind = "data"
    label: str = ""


# -- argument slots -------------------------------------------------------------------------------------------------


@dataclass(slots=True, unsafe_hash=True)
class Ref:
    """Stands for the value of node number `index`, or an item of it.

    Nobody changes one; it is not frozen only because there is one for each use of a value, and a frozen one takes three
    times as long to make.
    """

    index: int
    path: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class InputRef:
    """Stands for the value of a Param or Env."""

    input: Input


@dataclass(frozen=True, slots=True)
class ResourceRef:
    """Stands for an instance of a resource."""

    inject: Inject


@dataclass(frozen=True, slots=True)
class ContainerSlot:
    """A list, tuple, set, dict or dataclass that holds slots somewhere inside.

    Args:
        like: the container as written, for its type. items: its items; for dicts, keys and values in turn; for
            dataclasses, the values of its fields.
    """

    like: object
    items: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class UnmappedSlot:
    """A map input that goes whole to every item."""

    value: object


SLOTS: Final = (Ref, InputRef, ResourceRef, ContainerSlot, UnmappedSlot)


@dataclass(frozen=True, slots=True)
class State:
    """What a jump can lead to: a task, with the slots of the arguments that it was given beforehand."""

    task: Task[..., Any]
    args: tuple[object, ...] = ()
    kwargs: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Machine:
    """The loop at a node: its states by key (None ends it), and how many jumps it may take."""

    states: Mapping[object, State | None]
    max_jumps: int


@dataclass(frozen=True, slots=True)
class Route:
    """A Router in a graph: the selector's slot, the branches' slots by key, perhaps a default's."""

    label: str
    selector: object
    branches: dict[object, object]
    default: object


# -- the graph ------------------------------------------------------------------------------------------------------

TASK, MAP, ROUTE = 0, 1, 2
INLINE, THREAD, LOOP, PROCESS = 0, 1, 2, 3
LITERALS, REFS, GENERAL = 0, 1, 2
MODES: Final = {"inline": INLINE, "blocking": THREAD, "async": LOOP, "compute": PROCESS}


LONGEST_NAME: Final = 200
_naming = threading.Lock()


def as_name(text: str) -> str:
    """Return a name that can stand anywhere: on one line, bounded, without what steers a terminal or deceives."""
    if len(text) <= LONGEST_NAME and text.isprintable():
        return text  # nearly all are such
    from cascade.graph.draw_measure import clean

    return clean(text, LONGEST_NAME) or "?"


class Graph:
    """The calls that a target needs, numbered, as parallel lists.

    Lists and not node objects, since an engine that touches a hundred thousand nodes touches these; `nodes` and
    `edges` make objects for people, on demand.

    Attributes:
        calls: the lazy result (or Router) of each node. kinds: TASK, MAP or ROUTE. modes: where it runs.
        shapes: LITERALS: `args` are values; REFS: they are node numbers; GENERAL: values and slots.
        kwargs, needs: only for nodes that have any beyond what `args` tells.
        left: how many needed values each node waits for. succ: who waits for each node's value.
        refined: what was said about calls, where anything was. gates: condition slots. orders: nodes to wait for
            without taking their values. routes, fallbacks, amounts, jumps: of the nodes that have them.
        aliases: slots of the nodes whose value is another's: of those that returned something lazy.
        resources: names that each node injects.
        target: the slot that gives the result. complete: how many nodes are wholly recorded; a graph that grows in a
            run has more while it does, and other threads look at these only.
    """

    __slots__ = (
        "_edges",
        "_heights",
        "_hide",
        "_ids",
        "_labels",
        "_nodes",
        "_order",
        "_taken",
        "aliases",
        "amounts",
        "args",
        "calls",
        "complete",
        "envs",
        "fallbacks",
        "gates",
        "injects",
        "jumps",
        "kinds",
        "kwargs",
        "left",
        "modes",
        "name",
        "needs",
        "orders",
        "params",
        "refined",
        "resources",
        "routes",
        "shapes",
        "succ",
        "target",
    )

    def __init__(self) -> None:
        """Begin empty; `build` fills it."""
        self.name = ""
        self.complete = 0
        self.calls: list[Any] = []
        self.kinds = bytearray()
        self.modes = bytearray()
        self.shapes = bytearray()
        self.args: list[tuple[Any, ...]] = []
        self.kwargs: dict[int, dict[str, object]] = {}
        self.needs: dict[int, list[int]] = {}
        self.left: list[int] = []
        self.succ: list[list[int]] = []
        self.refined: dict[int, Options] = {}
        self.gates: dict[int, object] = {}
        self.orders: dict[int, list[int]] = {}
        self.routes: dict[int, Route] = {}
        self.fallbacks: dict[int, object] = {}
        self.amounts: dict[int, dict[str, object]] = {}
        self.jumps: dict[int, Machine] = {}
        self.aliases: dict[int, object] = {}
        self.resources: dict[int, tuple[str, ...]] = {}
        self.injects: dict[str, Inject] = {}
        self.params: list[Param] = []
        self.envs: list[Env] = []
        self.target: object = None
        self._ids: list[str] | None = None
        self._taken: tuple[dict[str, int], set[str]] | None = None  # counts of names and all ids, once it grows
        self._labels: list[str] | None = None
        self._hide: Callable[[str], str] | None = None  # takes secrets out of names
        self._order: list[int] | None = None
        self._heights: list[int] | None = None
        self._nodes: tuple[Node, ...] | None = None
        self._edges: tuple[Edge, ...] | None = None

    def __len__(self) -> int:
        """How many nodes run."""
        return len(self.calls)

    def label(self, index: int) -> str:
        """What people call node number `index`."""
        call = self.calls[index]
        label: str = self.routes[index].label if self.kinds[index] == ROUTE else call._label  # noqa: SLF001
        return as_name(label if self._hide is None else self._hide(label))

    def hide_in_names(self, hide: Callable[[str], str]) -> None:
        """Have all names go through `hide`; to be said before anyone was told an id."""
        self.hide_in_new_names(hide)
        self._ids = self._taken = None
        self.name = hide(self.name)

    def hide_in_new_names(self, hide: Callable[[str], str]) -> None:
        """Have names go through `hide` from now on; ids that were given out stay."""
        self._hide, self._labels, self._nodes, self._edges = hide, None, None, None

    def _hidden(self, shown: tuple[T, ...], place: str) -> tuple[T, ...]:
        if self._hide is None:
            return shown
        return tuple([replace(each, **{place: self._hide(getattr(each, place))}) for each in shown])  # type: ignore[type-var]

    def options(self, index: int) -> Options | None:
        """What was said about the call, None if nothing."""
        return self.refined.get(index)

    def needs_of(self, index: int) -> Sequence[int]:
        """The nodes whose values or end node `index` waits for, once it is sure to run."""
        return self.args[index] if self.shapes[index] == REFS and index not in self.needs else self.needs.get(index, ())

    @property
    def heights(self) -> list[int]:
        """For each node, the length of the longest path from it to a target, in nodes."""
        self._sort()
        return self._heights or []

    @property
    def order(self) -> list[int]:
        """Node numbers, each after everything it may need.

        Raises:
            GraphError: when nodes need each other in a circle.
        """
        self._sort()
        return self._order or []

    def _sort(self) -> None:
        if self._order is None:
            from cascade.graph.order import sort

            self._order, self._heights = sort(self)

    @property
    def ids(self) -> list[str]:
        """Readable unique names by node number."""
        if self._ids is None or len(self._ids) < self.complete:
            from cascade.graph.outline import extend_ids, make_ids

            with _naming:  # a run's graph grows while subscribers read
                self._ids = make_ids(self) if self._ids is None else extend_ids(self, self._ids)
        return self._ids

    @property
    def labels(self) -> list[str]:
        """What people call each node, by number."""
        if self._labels is None or len(self._labels) < self.complete:
            known = self._labels or []
            self._labels = known + [self.label(i) for i in range(len(known), self.complete)]
        return self._labels

    def forget_order(self) -> None:
        """The graph has gained nodes or arrows: what was worked out of them holds no more, but ids stay."""
        self._order = self._heights = self._nodes = self._edges = None

    def truncate(self, count: int) -> None:
        """Forget the nodes from number `count` on: they could not be added."""
        for nodes in (self.calls, self.kinds, self.modes, self.shapes, self.args, self.left, self.succ):
            del nodes[count:]
        for consumers in self.succ:
            while consumers and consumers[-1] >= count:
                consumers.pop()
        for name in Graph.__slots__:
            table = getattr(self, name)
            if isinstance(table, dict):
                for number in [key for key in table if isinstance(key, int) and key >= count]:
                    del table[number]
        self._ids, self._labels, self._taken = (self._ids or [])[:count] or None, (self._labels or [])[:count], None
        self.complete = min(self.complete, count)
        self.forget_order()

    def copy(self) -> Graph:
        """Return a graph that may gain nodes while this one stays as it is."""
        made = Graph()
        for name in Graph.__slots__:
            value = getattr(self, name)
            setattr(made, name, value.copy() if isinstance(value, (list, dict, bytearray)) else value)
        made.succ = [list(consumers) for consumers in self.succ]
        made._taken = None
        return made

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes as people see them: what runs, in order, then Params and Envs."""
        if self._nodes is None:
            from cascade.graph.outline import make_nodes

            self._nodes = self._hidden(make_nodes(self), "note")
        return self._nodes

    @property
    def edges(self) -> tuple[Edge, ...]:
        """The arrows between `nodes`."""
        if self._edges is None:
            from cascade.graph.outline import make_edges

            self._edges = self._hidden(make_edges(self), "label")
        return self._edges

    def walk_edges(self) -> Iterator[tuple[str, str, EdgeKind]]:
        """Go through the arrows as source, target and kind; of a large graph, that takes less memory than `edges`."""
        from cascade.graph.outline import walk_edges

        return walk_edges(self)

    def __repr__(self) -> str:
        """Show the size."""
        return f"<graph {self.name!r}: {len(self)} nodes>"

    def _repr_mimebundle_(
        self,
        include: object = None,  # noqa: ARG002 - as IPython calls it
        exclude: object = None,  # noqa: ARG002
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Show the graph as a picture in a notebook."""
        return get_current_context().bundle_of(self)
