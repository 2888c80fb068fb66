"""A run that has ended → the rows that the history keeps of its nodes.

In: a flow, and what was learnt of its nodes while they were looked up and stored. Out: `NodeRow`s, in the order of the
nodes, and how many came to which end. Invariant: reads only; a row says what happened and with which inputs, whoever
computed the value.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from json.encoder import encode_basestring_ascii as quoted
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from cascade.graph.build import refs_in
from cascade.graph.model import REFS, ROUTE, Ref
from cascade.interfaces.records import Entry, NodeRow
from cascade.runtime import journal as jr
from cascade.runtime import states as st
from cascade.runtime.item_rows import Items
from cascade.runtime.node_keys import Given, NodeKeys

if TYPE_CHECKING:
    from cascade.graph.model import Graph
    from cascade.interfaces.protocols import Store
    from cascade.runtime.flow import Flow

__all__ = ["Learnt", "rows_of"]

MOST_SOURCES: Final = 5000  # nodes of a graph of which the history knows where every argument came from
SOME: Final = 20  # nodes of each task that have rows, where a large graph is not remembered …
HEAD: Final = 500  # nodes at the beginning of its order, which are preferred: their ids are known at once
MOST_RECORDS: Final = 500  # of each part of its records, those that are searched for their times
MOST_SKIPPED: Final = 1000  # nodes of a graph of which those that nothing needed have rows, too
_NEEDLESS: Final = "only '"  # … needs it: see `Orders.tell_unneeded`
_OUTCOMES: Final = {st.FAILED: "failed", st.SKIPPED: "skipped", st.CANCELLED: "cancelled"}


@dataclass(slots=True)
class Learnt:
    """What a run has learnt of its nodes, by number.

    Attributes:
        keys: node keys; empty: it has none. given: what it was called with. found: the entries that served.
        items: of maps. sizes: bytes of values that were stored. numbers: of the runs that made what was found.
    """

    keys: dict[int, str] = field(default_factory=dict)
    given: dict[int, list[Given] | None] = field(default_factory=dict)
    found: dict[int, Entry] = field(default_factory=dict)
    items: dict[int, Items] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)

    def items_of(self, node: int) -> Items:
        """Return what is known of the items of a map."""
        found = self.items.get(node)
        if found is None:
            found = self.items[node] = Items()
        return found

    def measure(self, node: int, size: int) -> None:
        """Note that a value of `size` bytes was stored: that of a node, or of one item of a map."""
        if size:
            self.sizes[node] = self.sizes.get(node, 0) + size

    def learn_number(self, store: Store, run_id: str) -> None:
        """Ask once for the number of the run that made something; not under the lock."""
        if run_id not in self.numbers:
            self.numbers[run_id] = store.run_numbers([run_id]).get(run_id, 0)


def rows_of(
    flow: Flow, store: Store, node_keys: NodeKeys, learnt: Learnt, remembered: Iterable[int]
) -> tuple[list[NodeRow], dict[str, int]]:
    """Return the rows of a run that has ended, and how many nodes had which outcome.

    Of a large graph of which a stored result made most of the nodes needless, those have no rows: nobody looked at
    them, and their last rows still tell the truth. A large graph of which nothing is remembered has rows for some nodes
    of each task, from which the next plan learns how long they take; to remember nothing shall cost nothing.

    Args:
        store: keeps the texts of the code. remembered: the nodes whose results the run would store.
    """
    graph, state = flow.graph, flow.core.state
    kinds, calls = graph.kinds, graph.calls
    run_id, wall, start = flow.journal.run_id, flow.journal.wall, flow.journal.start
    codes = _Codes(store, node_keys)
    remembered = set(remembered)
    is_large = graph.complete > MOST_SKIPPED
    is_sampled = is_large and not remembered
    begun, durations, failures, paces = _times(
        _some_records(flow.journal.records) if is_sampled else flow.journal.records
    )
    known = _some_nodes(flow, durations) if is_sampled else range(graph.complete)
    nodes = [node for node in known if kinds[node] != ROUTE and state[node] != st.PENDING]
    ids = _ids_of(graph, nodes) if is_large and len(nodes) < HEAD else graph.ids
    known_inputs, keys, texts, sizes = learnt.given, learnt.keys, node_keys.texts, learnt.sizes
    counts: dict[str, int] = {}
    sources = _Sources(flow, node_keys)
    why_not, nothing = flow.outcomes.reasons, ("", -1)
    crew = getattr(flow.settings.executor, "_max_workers", None) or 0
    rows = []
    for node in nodes:
        entry = learnt.found.get(node)
        items = learnt.items.get(node) if learnt.items else None
        is_stored = entry is not None or (items is not None and items.is_stored)
        outcome = _OUTCOMES.get(state[node]) or ("stored" if is_stored else "ran")
        counts[outcome] = counts.get(outcome, 0) + 1
        if is_large and outcome == "skipped" and why_not.get(node, nothing)[0].startswith(_NEEDLESS):
            continue
        given = known_inputs.get(node)
        if given is not None:
            inputs = f"[{', '.join(map(_input_text, given))}]"
        else:
            inputs = sources.values_of(node) if node in known_inputs else sources.text_of(node, entry)
        task = calls[node]._task  # noqa: SLF001
        if entry is not None:
            reason = f"made in run {entry.run_id}"
        elif items is not None and items.stored:
            reason = f"{items.stored:,} of {items.total:,} items from the store"
        else:
            reason = failures.get(node) or why_not.get(node, nothing)[0]
            reason = reason or flow.settings.redact(node_keys.opaque.get(node, ""))
        rows.append(
            NodeRow(
                run_id,
                ids[node],
                task.name,
                outcome,  # type: ignore[arg-type]
                keys.get(node, ""),
                codes.text_of(task) if node in remembered else "",
                inputs,
                durations.get(node, entry.duration if entry is not None else 0.0),
                entry.size if entry is not None else sizes.get(node, 0) + (items.size if items is not None else 0),
                entry.summary if entry is not None else texts.get(node, ""),
                reason,
                wall + begun.get(node, start) - start,
                _items_text(items, paces.get(node), durations.get(node, 0.0) * crew, store.put_text),
            )
        )
    return rows, _count_ends(flow) if is_sampled else counts


def _some_records(records: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return the first and the last records of a run, and some between them."""
    stride = len(records) // MOST_RECORDS | 1  # odd: what belongs together often comes in pairs
    first, rest = records[:MOST_RECORDS], records[MOST_RECORDS:]
    return [*first, *rest[:-MOST_RECORDS:stride], *rest[-MOST_RECORDS:]]


def _some_nodes(flow: Flow, ended: Iterable[int]) -> list[int]:
    """Return a few of the nodes that `ended` of each task, and all that failed."""
    left: dict[int, int] = {}
    chosen = {node for node, _ in flow.outcomes.failures}
    head = set(flow.graph.order[:HEAD])
    for node in sorted(ended, key=lambda node: node not in head):
        task = id(getattr(flow.graph.calls[node], "_task", None))
        count = left.get(task, 0)
        if count < SOME:
            left[task] = count + 1
            chosen.add(node)
    return sorted(chosen)


def _ids_of(graph: Graph, nodes: Iterable[int]) -> Mapping[int, str] | list[str]:
    """Return the ids of some nodes; those of all are made only where one of them cannot be told without the others."""
    if graph.routes or graph.refined:
        return graph.ids
    found: dict[int, str] = {}
    counts: dict[str, int] = {}
    for node in graph.order[:HEAD]:
        name = graph.label(node)
        count = counts[name] = counts.get(name, 0) + 1
        found[node] = name if count == 1 else f"{name}#{count}"
    tasks = list(map(attrgetter("_task"), graph.calls))
    names = [task.name for task in set(tasks)]
    for node in nodes:
        if node not in found:
            name = found[node] = graph.label(node)
            if name in counts or tasks.count(tasks[node]) > 1:
                return graph.ids
    return found if len(set(names)) == len(names) and not any("#" in name for name in names) else graph.ids


def _count_ends(flow: Flow) -> dict[str, int]:
    """Return how many nodes had which outcome, where none came from the store."""
    graph, state = flow.graph, flow.core.state
    ends = (
        bytes(state[: graph.complete])
        if not graph.routes
        else bytes([state[node] for node in range(graph.complete) if graph.kinds[node] != ROUTE])
    )
    found = {"ran": ends.count(st.DONE), **{name: ends.count(code) for code, name in _OUTCOMES.items()}}
    return {name: count for name, count in found.items() if count}


class _Pace:
    """How long the items of a map took that had their values.

    Attributes:
        count: how many were told of. seconds: all together. total: how many items the map has, None if nobody said.
    """

    __slots__ = ("count", "seconds", "total")

    def __init__(self) -> None:
        """Nothing is known."""
        self.count, self.seconds = 0, 0.0
        self.total: int | None = None

    def add(self, count: int, seconds: float) -> None:
        """Note items that took `seconds` together."""
        self.count += count
        self.seconds += seconds


def _items_text(items: Items | None, pace: _Pace | None, most: float, put_text: Callable[[str], str]) -> str:
    """Return what a row says of items as JSON: which were stored, and how long one of the others took.

    Args:
        most: seconds that the workers of the user's executor had for the map; with the time in which items only waited
            for one of them, more may have been told. 0: the run has its own.
    """
    text = items.to_text(put_text) if items is not None else ""
    if pace is None or not pace.count:
        return text
    known = json.loads(text) if text else {}
    total = pace.count if pace.total is None else pace.total
    seconds = min(pace.seconds, most) if most else pace.seconds
    return json.dumps({**known, "count": total, "each": seconds / pace.count})


def _times(
    records: Iterable[tuple[Any, ...]],
) -> tuple[dict[int, float], dict[int, float], dict[int, str], dict[int, _Pace]]:
    """Return when each node began, how long it took, why it failed, and how long the items of maps took."""
    begun: dict[int, float] = {}
    durations: dict[int, float] = {}
    failures: dict[int, str] = {}
    paces: defaultdict[int, _Pace] = defaultdict(_Pace)
    for record in records:
        code = record[0]
        if code == jr.STARTED:
            begun.setdefault(record[2], record[1])
        elif code == jr.DONE_INLINE:
            durations[record[2]] = record[1] - record[3]
        elif code == jr.COMPLETED:
            if record[3] is None:
                durations[record[2]] = record[5]
            else:
                paces[record[2]].add(1, record[5])
        elif code == jr.ITEMS:
            paces[record[2]].add(record[4], record[5])
        elif code == jr.EXPANDED:
            paces[record[2]].total = record[3]
        elif code == jr.FAILED and record[3] is None:
            failures[record[2]] = f"{record[6]}: {record[7]}"[:500]
    return begun, durations, failures, paces


def _input_text(given: Given) -> str:
    """Return one input as JSON; `json.dumps` takes several times as long for four texts."""
    name, key, text, source = given
    return f"[{quoted(name)}, {quoted(key)}, {quoted(text)}, {quoted(source)}]"


class _Sources:
    """From where nodes have their arguments, as JSON; of large graphs, nothing of nodes that nobody keyed."""

    __slots__ = ("_flow", "_given_names", "_ids", "_keys", "_names", "_values")

    def __init__(self, flow: Flow, keys: NodeKeys) -> None:
        """Quote each id once."""
        self._flow = flow
        self._keys = keys
        self._given_names: dict[int, list[str]] = {}  # the same, where a value that is known follows
        self._values: dict[int, str] = {}  # the ends of such texts
        is_small = flow.graph.complete <= MOST_SOURCES
        self._ids = [f"{quoted(each)}]" for each in flow.graph.ids] if is_small else []
        self._names: dict[int, list[str]] = {}  # of each task, the beginnings of the texts of its arguments

    def values_of(self, node: int) -> str:
        """Return the inputs of a node that was given nothing but whole values of others; most are given to several."""
        graph, values = self._flow.graph, self._values
        task, refs = graph.calls[node]._task, graph.args[node]  # noqa: SLF001
        if len(refs) > len(task.positional):
            return f"[{', '.join(map(_input_text, self._keys.given_by_nodes(node)))}]"
        names = self._given_names.get(id(task))
        if names is None:
            names = self._given_names[id(task)] = [f"[{quoted(name)}, " for name in task.positional]
        texts = []
        for name, ref in zip(names, refs, strict=False):
            value = values.get(ref)
            if value is None:
                key, text = self._keys.digests.get(ref, ""), self._keys.texts.get(ref, "")
                value = values[ref] = f"{quoted(key)}, {quoted(text)}, {quoted(graph.ids[ref])}]"
            texts.append(name + value)
        return f"[{', '.join(texts)}]"

    def text_of(self, node: int, entry: Entry | None) -> str:
        """Return the inputs of a node that nobody keyed."""
        graph, ids = self._flow.graph, self._ids
        if not ids or entry is not None:
            return "[]"
        task = graph.calls[node]._task  # noqa: SLF001
        beginnings = self._names.get(id(task))
        if beginnings is None:
            beginnings = self._names[id(task)] = [_beginning(name) for name in task.positional]
        count = len(beginnings)
        if graph.shapes[node] == REFS and node not in graph.kwargs and len(graph.args[node]) <= count:
            return (
                f"[{', '.join([first + ids[ref] for first, ref in zip(beginnings, graph.args[node], strict=False)])}]"
            )
        plain = map(Ref, graph.args[node]) if graph.shapes[node] == REFS else graph.args[node]
        slots = [
            (beginnings[k] if k < count else _beginning(f"argument {k + 1}"), slot) for k, slot in enumerate(plain)
        ]
        slots += [(_beginning(name), slot) for name, slot in graph.kwargs.get(node, {}).items()]
        texts = [first + ids[ref] for first, slot in slots for ref in dict.fromkeys(refs_in(slot))]
        return f"[{', '.join(texts)}]"


def _beginning(name: str) -> str:
    return f'[{quoted(name)}, "", "", '


class _Codes:
    """The texts of the code of tasks, each kept in the store once."""

    __slots__ = ("_keys", "_known", "_store")

    def __init__(self, store: Store, keys: NodeKeys) -> None:
        """Keep nothing yet."""
        self._store = store
        self._keys = keys
        self._known: dict[int, str] = {}

    def text_of(self, task: Any) -> str:
        """Return the digest of the text of a task's code."""
        found = self._known.get(id(task))
        if found is None:
            record = self._keys.code_of(task).to_dict(self._store.put_text)
            found = self._known[id(task)] = self._store.put_text(json.dumps(record, sort_keys=True))
        return found
