"""What was computed is not computed again: which nodes have their value from the store, and what goes into it.

In: a flow, a store. Out: values recalled instead of computed; results, recipes and the history of the run stored.
Invariant: everything slow (keys of large values, files) is done on a thread of its own, in order; a result that is
remembered is stored before anyone hears that the node is done, so that what was completed is never repeated.

The two ways to a stored value. Before the run, the recipe keys, from the targets down: what is found there needs
nothing above it. While the run goes on, the node key, made of the values that the inputs really have.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from cascade.graph.build import refs_in
from cascade.graph.model import REFS, ROUTE, Ref
from cascade.graph.order import may_need
from cascade.interfaces.records import Draft, Entry, NodeRow, StoreMiss
from cascade.runtime import journal as jr
from cascade.runtime import states as st
from cascade.runtime.node_keys import Given, NodeKeys
from cascade.runtime.summary import summarize
from cascade.runtime.threads import run_in_thread
from cascade.spec.cache import ByContent, TimeToLive

if TYPE_CHECKING:
    from cascade.interfaces.protocols import CachePolicy, Store
    from cascade.runtime.flow import Flow

__all__ = ["Rebuilder"]

MOST_SOURCES: Final = 5000  # nodes of a graph of which the history knows where every argument came from
MOST_ROWS: Final = 50_000  # nodes of a run that the history keeps
_DEFAULT: Final = ByContent()
_SIMPLE: Final = (ByContent, TimeToLive)  # policies that need no arguments to judge an entry
_OUTCOMES: Final = {st.FAILED: "failed", st.SKIPPED: "skipped", st.CANCELLED: "cancelled"}

Job = Callable[[], None]


class Rebuilder:
    """Decides for one flow whether a stored result serves, and stores what is new.

    Args:
        store: where results are. is_fresh: look nothing up, but store. secret: makes the keys of secrets.

    Attributes:
        policies: of the nodes that are remembered, by number. recalled: entries of nodes found by their recipes.
    """

    def __init__(self, flow: Flow, store: Store, *, is_fresh: bool, secret: bytes) -> None:
        """Look at nothing yet."""
        self.flow = flow
        self.store = store
        self.is_fresh = is_fresh
        self.policies: dict[int, CachePolicy] = {}
        self.recalled: dict[int, Entry] = {}
        self.keys = NodeKeys(flow, secret, lambda value: flow.settings.redact(summarize(value)))
        self._node_keys: dict[int, str] = {}
        self._given: dict[int, list[Given]] = {}
        self._shown: dict[int, str] = {}  # short texts of values that were stored
        self._recipes: dict[int, str] = {}
        self._found: dict[int, Entry] = {}
        self._warned: set[int] = set()
        self._items: dict[int, tuple[int, int]] = {}  # of each map, how many items it has and how many were stored
        self._whole: dict[int, Entry] = {}  # of maps whose items were all stored, an entry for the whole
        self._jobs: deque[Job | None] = deque()
        self._bell = threading.Lock()
        self._bell.acquire()
        self._is_working = False
        self._end = threading.Event()

    # -- before the run -------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Note the run and find what need not run. By the driver, before anything runs, not under the lock."""
        name = self.flow.graph.name
        facts = {"name": name, "python": platform.python_version(), "host": platform.node(), "pid": os.getpid()}
        self.store.begin_run(self.flow.journal.run_id, facts)
        self.look()

    def look(self) -> None:
        """Find what need not run; writes nothing."""
        graph = self.flow.graph
        self.look_at(range(len(graph)))
        if self.policies:
            self._recipes = self.keys.recipes(lambda node: node in self.policies)
            if not self.is_fresh:
                self._find_from(refs_in(graph.target))

    def look_at(self, nodes: Iterable[int]) -> None:
        """See which of `nodes` are remembered: pure ones, and those with a policy."""
        graph = self.flow.graph
        for node in nodes:
            if graph.kinds[node] == ROUTE:
                continue
            options = graph.refined.get(node)
            policy = options.cache if options is not None else None
            if policy is True:
                policy = _DEFAULT
            if policy is not None or graph.calls[node]._task.pure:  # noqa: SLF001
                self.policies[node] = policy or _DEFAULT  # type: ignore[assignment]

    def _find_from(self, frontier: list[int]) -> None:
        """Walk from the targets down, a layer at a time; beneath what is stored nothing is looked at."""
        seen: set[int] = set()
        while frontier:
            layer = [node for node in dict.fromkeys(frontier) if node not in seen]
            seen.update(layer)
            asked = {node: self._recipes[node] for node in layer if node in self._recipes and self._is_simple(node)}
            keys = self.store.find_recipes(list(dict.fromkeys(asked.values()))) if asked else {}
            entries = self.store.find(list(dict.fromkeys(keys.values()))) if keys else {}
            now, frontier = time.time(), []
            for node in layer:
                entry = entries.get(keys.get(asked.get(node, ""), ""))
                if entry is not None and self.policies[node].serves(entry, now, {}):
                    self.recalled[node] = entry
                else:
                    frontier.extend(may_need(self.flow.graph, node))

    def _is_simple(self, node: int) -> bool:
        return node in self.policies and isinstance(self.policies[node], _SIMPLE)

    # -- while it goes on: asked by the driver, under the lock --------------------------------------------------------

    def recall(self, node: int, entry: Entry) -> None:
        """Load the value of a node that was found; the node runs if it cannot be had."""

        def load() -> None:
            value = self.store.load(entry)
            self.flow.post(lambda: self._recalled(node, entry, value))

        self._do(load)

    def _recalled(self, node: int, entry: Entry, value: Any) -> None:
        flow = self.flow
        self.recalled.pop(node, None)
        if flow.core.state[node] != st.PENDING:
            return
        if isinstance(value, StoreMiss):
            flow.core.forget_recall(node)
            return
        self._serve(node, entry, value)

    def _serve(self, node: int, entry: Entry, value: Any) -> None:
        self.keys.digests[node] = entry.digest
        self._found[node] = entry
        self._node_keys[node] = entry.key
        self.flow.outcomes.recalled(node, value, entry)

    def check(self, node: int, go_on: Callable[[], None]) -> None:
        """See whether a node whose inputs are known has a stored value; if not, `go_on` is called under the lock."""

        def look() -> None:
            try:
                key, given = self.keys.node_key(node)
            except Exception as error:  # noqa: BLE001 - a value that cannot even be looked at
                key, given = "", []
                self.keys.opaque[node] = f"{type(error).__name__}: {error}"
            self._given[node], self._node_keys[node] = given, key
            if not key:
                self._warn(node)
            entry = None if self.is_fresh or not key else self.store.find([key]).get(key)
            if entry is not None and not self._serves(node, entry):
                entry = None
            value = StoreMiss(key, "not there") if entry is None else self.store.load(entry)
            self.flow.post(lambda: answer(entry, value))

        def answer(entry: Entry | None, value: Any) -> None:
            if self.flow.core.state[node] != st.PENDING:
                return
            if entry is None or isinstance(value, StoreMiss):
                go_on()
            else:
                self._note_recipe(node, entry.key)
                self._serve(node, entry, value)

        self._do(look)

    def _serves(self, node: int, entry: Entry) -> bool:
        try:
            return bool(self.policies[node].serves(entry, time.time(), self._arguments(node)))
        except Exception as error:  # noqa: BLE001 - a user's policy that fails says no
            self._complain(node, f"its cache policy raised {type(error).__name__}: {error}")
            return False

    def _arguments(self, node: int) -> Mapping[str, object]:
        args, kwargs = self.flow.arguments.of(node)
        names = self.flow.graph.calls[node]._task.positional  # noqa: SLF001
        return {**dict(zip(names, args, strict=False)), **kwargs}

    def is_stored(self, node: int) -> bool:
        """Whether the value of `node` came from the store."""
        return node in self._found

    def whole_map(self, node: int) -> Entry | None:
        """Return what stands for a map all of whose items came from the store, None if some ran."""
        return self._whole.get(node)

    def save(self, node: int, value: Any, duration: float, done: Callable[[], None]) -> None:
        """Store the value that `node` computed, then call `done` under the lock."""

        def write() -> None:
            try:
                self._write(node, value, duration)
            except Exception as error:  # noqa: BLE001 - what cannot be stored is computed again next time
                self._complain(node, f"{type(error).__name__}: {error}")
            self.flow.post(done)

        self._do(write)

    def _write(self, node: int, value: Any, duration: float) -> None:
        key = self._node_keys.get(node, "")
        if not key or not self.policies[node].stores(value, self._arguments(node)):
            return
        from cascade.identity.data import data_key

        digest = data_key(value)
        if digest.startswith("o:"):
            digest = f"r:{key}"  # the recipe stands in for a value that has no key of its own
        self.keys.digests[node] = digest
        graph, run_id = self.flow.graph, self.flow.journal.run_id
        task, shown = graph.calls[node]._task.name, self.flow.settings.redact(summarize(value))  # noqa: SLF001
        self._shown[node] = shown
        draft = Draft(key, value, digest=digest, task=task, summary=shown, run_id=run_id, duration=duration)
        if self.store.save_many([draft])[0] is not None:
            self._note_recipe(node, key)

    def _note_recipe(self, node: int, key: str) -> None:
        recipe = self._recipes.get(node)
        if recipe:
            self.store.save_recipes({recipe: key})

    # -- items of maps --------------------------------------------------------------------------------------------

    def check_items(self, node: int, rows: list[tuple[int, tuple[Any, ...], dict[str, Any]]], done: Any) -> None:
        """Find the stored items of a map; `done` is called under the lock with their values by index."""

        def look() -> None:
            found: dict[int, Any] = {}
            saved = 0.0
            try:
                keys = {row[0]: self.keys.item_key(node, row[1], row[2]) for row in rows}
                entries = {} if self.is_fresh else self.store.find([key for key in dict.fromkeys(keys.values()) if key])
                for index, key in keys.items():
                    entry = entries.get(key)
                    if entry is not None and self.policies[node].serves(entry, time.time(), {}):
                        value = self.store.load(entry)
                        if not isinstance(value, StoreMiss):
                            found[index] = value
                            saved += entry.duration
            except Exception as error:  # noqa: BLE001 - then all of them run
                self._complain(node, f"{type(error).__name__}: {error}")
            self._items[node] = len(rows), len(found)
            if found and len(found) == len(rows):
                latest = max((entries[keys[index]] for index in found), key=lambda entry: entry.made_at)
                self._whole[node] = latest._replace(duration=saved, summary="")
            self.flow.post(lambda: done(found, saved))

        self._do(look)

    def save_item(
        self, node: int, row: tuple[int, tuple[Any, ...], dict[str, Any]], value: Any, duration: float, done: Job
    ) -> None:
        """Store one item of a map, then call `done` under the lock."""

        def write() -> None:
            try:
                key = self.keys.item_key(node, row[1], row[2])
                if key and self.policies[node].stores(value, {}):
                    task = self.flow.graph.calls[node]._task.name  # noqa: SLF001
                    shown = self.flow.settings.redact(summarize(value))
                    run_id = self.flow.journal.run_id
                    self.store.save_many(
                        [Draft(key, value, task=task, summary=shown, run_id=run_id, duration=duration)]
                    )
            except Exception as error:  # noqa: BLE001 - what cannot be stored is computed again next time
                self._complain(node, f"{type(error).__name__}: {error}")
            self.flow.post(done)

        self._do(write)

    # -- after the run --------------------------------------------------------------------------------------------

    def finish(self, status: str, facts: Mapping[str, object]) -> None:
        """Write the history of the run and end the thread. By the driver, not under the lock."""

        def write() -> None:
            rows = self._rows()
            counts: dict[str, int] = {}
            for row in rows:
                counts[row.outcome] = counts.get(row.outcome, 0) + 1
            self.store.record_nodes(self.flow.journal.run_id, rows[:MOST_ROWS])
            self.store.end_run(self.flow.journal.run_id, {**facts, "status": status, "counts": counts})

        def guarded() -> None:
            try:
                write()
            except Exception as error:  # noqa: BLE001 - a history that cannot be written costs no result
                logging.getLogger("cascade").warning("The history of the run is not kept: %s.", error)

        self._do(guarded)
        self._jobs.append(None)
        self._ring()
        self._end.wait()

    def _rows(self) -> list[NodeRow]:
        flow, graph = self.flow, self.flow.graph
        run_id, wall, start = flow.journal.run_id, flow.journal.wall, flow.journal.start
        durations: dict[int, float] = {}
        begun: dict[int, float] = {}
        failures: dict[int, str] = {}
        for record in flow.journal.records:
            code = record[0]
            if code == jr.STARTED:
                begun.setdefault(record[2], record[1])
            elif code == jr.DONE_INLINE:
                durations[record[2]] = record[1] - record[3]
            elif code == jr.COMPLETED and record[3] is None:
                durations[record[2]] = record[5]
            elif code == jr.FAILED and record[3] is None:
                failures[record[2]] = f"{record[6]}: {record[7]}"[:500]
        texts: dict[int, str] = {}
        rows = []
        for node in range(graph.complete):
            state = flow.core.state[node]
            if graph.kinds[node] == ROUTE or state == st.PENDING:
                continue
            entry = self._found.get(node)
            items, stored = self._items.get(node, (1, 0))
            outcome = _OUTCOMES.get(state) or ("stored" if entry is not None or items == stored else "ran")
            given = self._given[node] if node in self._given else self._sources(node)
            task = graph.calls[node]._task  # noqa: SLF001
            reason = failures.get(node) or flow.outcomes.reasons.get(node, ("", -1))[0]
            if entry is not None:
                reason = f"made in run {entry.run_id}"
            elif stored:
                reason = f"{stored:,} of {items:,} items from the store"
            rows.append(
                NodeRow(
                    run_id,
                    graph.ids[node],
                    task.name,
                    outcome,  # type: ignore[arg-type]
                    key=self._node_keys.get(node, ""),
                    code=self._code_text(task, texts) if node in self.policies else "",
                    inputs=json.dumps([[g.name, g.key, g.text, g.source] for g in given]),
                    duration=durations.get(node, entry.duration if entry is not None else 0.0),
                    summary=entry.summary if entry is not None else self._shown.get(node, ""),
                    reason=reason or self.keys.opaque.get(node, ""),
                    started_at=wall + begun.get(node, start) - start,
                )
            )
        return rows

    def _sources(self, node: int) -> list[Given]:
        """Return from where a node that nobody keyed has its arguments; of large graphs, nothing."""
        graph = self.flow.graph
        if graph.complete > MOST_SOURCES or node in self._found:
            return []
        names = graph.calls[node]._task.positional  # noqa: SLF001
        plain = map(Ref, graph.args[node]) if graph.shapes[node] == REFS else graph.args[node]
        slots = [(names[k] if k < len(names) else f"argument {k + 1}", slot) for k, slot in enumerate(plain)]
        slots += graph.kwargs.get(node, {}).items()
        return [Given(name, "", "", graph.ids[ref]) for name, slot in slots for ref in dict.fromkeys(refs_in(slot))]

    def _code_text(self, task: Any, known: dict[int, str]) -> str:
        found = known.get(id(task))
        if found is None:
            record = self.keys.code_of(task).to_dict(self.store.put_text)
            found = known[id(task)] = self.store.put_text(json.dumps(record, sort_keys=True))
        return found

    # -- the thread -----------------------------------------------------------------------------------------------

    def _do(self, job: Job) -> None:
        self._jobs.append(job)
        if not self._is_working:
            self._is_working = True
            run_in_thread(self._work)
        self._ring()

    def _ring(self) -> None:
        try:  # noqa: SIM105 - a suppress() costs more than all the rest
            self._bell.release()
        except RuntimeError:
            pass  # it has rung already

    def _work(self) -> None:
        while True:
            while self._jobs:
                job = self._jobs.popleft()
                if job is None:
                    self._end.set()
                    return
                try:
                    job()
                except BaseException as fault:  # noqa: BLE001 - a fault of the machinery must end the run, not hang it
                    self.flow.break_down(fault)
            self._bell.acquire()

    def _warn(self, node: int) -> None:
        """Say once for each task why its results are not remembered."""
        task = self.flow.graph.calls[node]._task  # noqa: SLF001
        if id(task) not in self._warned:
            self._warned.add(id(task))
            self._complain(node, self.keys.opaque.get(node, "it has no key"))

    def _complain(self, node: int, why: str) -> None:
        label = self.flow.graph.label(node)
        logging.getLogger("cascade").warning("The result of '%s' is not remembered: %s.", label, why)
