"""What was computed is not computed again: which nodes have their value from the store, and what goes into it.

In: a flow, a store. Out: values recalled instead of computed; results, recipes and the history of the run stored.
Invariant: everything slow (keys of large values, files) is done on a thread of its own, many nodes at a time; a result
that is remembered is stored before anyone hears that the node is done, so that what was completed is never repeated.

The two ways to a stored value. Before the run, the recipe keys, from the targets down: what is found there needs
nothing above it. While the run goes on, the node key, made of the values that the inputs really have.
"""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cascade.graph.model import ROUTE
from cascade.identity.errors import IdentityError
from cascade.interfaces.exceptions import DependencyMissingError
from cascade.interfaces.records import Entry, Grown, StoreMiss
from cascade.runtime import states as st
from cascade.runtime.drafts import Drafts, Save
from cascade.runtime.errands import Errands
from cascade.runtime.grown_calls import UNREAD, GrownCalls
from cascade.runtime.item_rows import Calls, Served, load_items
from cascade.runtime.node_keys import NodeKeys, digest_of
from cascade.runtime.node_rows import Learnt, rows_of
from cascade.runtime.recipes import Recipes
from cascade.runtime.single_flight import Flights
from cascade.runtime.summary import describe
from cascade.spec.cache import ByContent, TimeToLive

if TYPE_CHECKING:
    from cascade.interfaces.protocols import CachePolicy, Store
    from cascade.interfaces.records import Draft
    from cascade.runtime.flow import Flow
    from cascade.runtime.maps import Row

__all__ = ["Rebuilder"]

MOST_ROWS: Final = 50_000  # nodes of a run that the history keeps
_DEFAULT: Final = ByContent()
_SIMPLE: Final = (ByContent, TimeToLive)  # policies that need no arguments to judge an entry
_TASK_OF: Final = attrgetter("_task")
SLICE: Final = 0.005  # seconds; nodes that are looked up or stored together do not wait longer for each other

Job = Callable[[], None]
Found = Callable[[dict[int, Any], float, Calls], None]  # values of items by place, seconds saved, calls of others


class _Look(NamedTuple):
    """Load the `entry` of a node, or find it: then its inputs are known, and it can `go_on` without."""

    node: int
    entry: Entry | None
    go_on: Job | None


class Rebuilder:
    """Decides for one flow whether a stored result serves, and stores what is new.

    Args:
        store: where results are. is_fresh: look nothing up, but store. secret: makes the keys of secrets.

    Attributes:
        policies: of the nodes that are remembered, by number. recalled: entries of nodes found by their recipes.
        keepsakes: what the nodes that are remembered write.
    """

    def __init__(self, flow: Flow, store: Store, *, is_fresh: bool, secret: bytes) -> None:
        """Look at nothing yet."""
        self.flow = flow
        self.store = store
        self.is_fresh = is_fresh
        self.policies: dict[int, CachePolicy] = {}
        self.recalled: dict[int, Entry] = {}
        self.keys = NodeKeys(flow, secret, lambda value: flow.settings.redact(describe(value)))
        self._learnt = Learnt()
        self._recipes = Recipes(flow, store, self.keys)
        self._warned: set[int] = set()
        self._grown = GrownCalls(flow, self.policies, self._complain)
        self._drafts = Drafts(flow, store, self.keys, self._learnt, self.policies, self._grown)
        self.keepsakes = self._drafts.keepsakes
        self._errands: Errands[_Look | Save | Job] = Errands(self._carry_out, flow.break_down)
        self._flights = Flights(store, self._is_wanted, flow.break_down)

    # -- before the run -------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Note the run and find what need not run. By the driver, before anything runs, not under the lock."""
        name = self.flow.graph.name
        facts = {"name": name, "python": platform.python_version(), "host": platform.node(), "pid": os.getpid()}
        self.look_at(range(len(self.flow.graph)))
        if self.policies:
            self.store.begin_run(self.flow.journal.run_id, facts)
        else:  # nothing is looked up: the first node need not wait for the index
            self._errands.add(lambda: self.store.begin_run(self.flow.journal.run_id, facts))
        self._find_needless()

    def look(self) -> None:
        """Find what need not run; writes nothing."""
        self.look_at(range(len(self.flow.graph)))
        self._find_needless()

    def _find_needless(self) -> None:
        self._check_code()
        if self.policies:
            self.recalled.update(self._recipes.find(self.policies, is_fresh=self.is_fresh))

    def needs_arguments(self, node: int) -> bool:
        """Whether the policy of a node may want to know its arguments."""
        return not isinstance(self.policies[node], _SIMPLE)

    def find_entry(self, node: int) -> Entry | None:
        """Return what would serve a node whose inputs are known; loads no value."""
        key, _ = self.keys.node_key(node)
        entry = self._entry_of(node, key, self._find([key])) if key else None
        return entry if entry is not None and self.can_serve(node, entry) else None

    def can_serve(self, node: int, entry: Entry, row: Row | None = None) -> bool:
        """Whether an entry holds a value, or calls that can still be made; of an item, whose arguments are `row`."""
        return not entry.is_growth or self._read(node, self.store.load(entry), row) is not UNREAD

    def look_at(self, nodes: Iterable[int]) -> None:
        """See which of `nodes` are remembered: pure ones, and those with a policy."""
        graph, policies = self.flow.graph, self.policies
        kinds, calls, refined = graph.kinds, graph.calls, graph.refined
        if not refined and not graph.routes and not any(task.pure for task in set(map(_TASK_OF, calls))):
            return  # to remember nothing shall cost nothing
        for node in nodes:
            if node in refined:
                policy = refined[node].cache
                if policy is not None and kinds[node] != ROUTE:
                    if policy is not False:  # cache=False takes a pure task out
                        policies[node] = _DEFAULT if policy is True else policy  # type: ignore[assignment]
                    continue
            if kinds[node] != ROUTE and calls[node]._task.pure:  # noqa: SLF001
                policies[node] = _DEFAULT

    def _check_code(self) -> None:
        """Refuse or warn of code that cannot be keyed, once for each task.

        Raises:
            IdentityError: when a policy is strict.
        """
        graph = self.flow.graph
        tasks: dict[Any, int] = {}
        strict: set[Any] = set()
        lost: set[Any] = set()
        for node, policy in self.policies.items():
            if policy is _DEFAULT and node not in graph.jumps:
                tasks.setdefault(graph.calls[node]._task, node)  # noqa: SLF001
                continue
            for task in self.keys.tasks_of(node):
                tasks.setdefault(task, node)
                strict.update([task] if self._is_strict(node) else [])
        for task, node in tasks.items():
            try:
                warnings = self.keys.code_of(task, strict=task in strict).warnings
            except Exception as error:
                if task in strict:
                    raise
                lost.add(task)
                self._complain(node, str(error))
            else:
                for warning in warnings:
                    logging.getLogger("cascade").warning("%s", warning)
        for node in [n for n in self.policies if lost and not lost.isdisjoint(self.keys.tasks_of(n))]:
            del self.policies[node]

    def _is_strict(self, node: int) -> bool:
        return getattr(self.policies[node], "strict", False) is True

    # -- while it goes on: asked by the driver, under the lock --------------------------------------------------------

    def recall(self, node: int, entry: Entry) -> None:
        """Load the value of a node that was found; the node runs if it cannot be had."""
        self._errands.add(_Look(node, entry, None))

    def check(self, node: int, go_on: Job) -> None:
        """See whether a node whose inputs are known has a stored value; if not, `go_on` is called under the lock."""
        self._errands.add(_Look(node, None, go_on))

    def save(self, node: int, value: Any, duration: float, done: Job) -> None:
        """Store the value that `node` computed, then call `done` under the lock."""
        self._errands.add(Save(node, None, value, duration, done))

    def check_items(self, node: int, rows: list[Row], done: Found) -> None:
        """Find the stored items of a map; `done` is called under the lock with what was found."""
        self._errands.add(lambda: self._look_up_items(node, rows, done))

    def save_item(self, node: int, row: Row, value: Any, duration: float, done: Job) -> None:
        """Store one item of a map, then call `done` under the lock."""
        self._errands.add(Save(node, row, value, duration, done))

    def save_growth(
        self, node: int, row: Row | None, value: Any, duration: float, done: Job, *, is_shared: bool
    ) -> None:
        """Store which calls `node`, or an item of it, returned; then call `done` under the lock."""
        self._errands.add(Save(node, row, value, duration, done, is_growth=True, is_shared=is_shared))

    def note_stored(self, node: int, entry: Entry) -> None:
        """`node` has its value from calls that are stored under `entry`."""
        self._learnt.found[node] = entry

    def is_stored(self, node: int) -> bool:
        """Whether the value of `node` came from the store."""
        return node in self._learnt.found

    def whole_map(self, node: int) -> Entry | None:
        """Return what stands for a map all of whose items came from the store, None if some ran."""
        items = self._learnt.items.get(node)
        return items.whole if items is not None else None

    def number_of(self, run_id: str) -> int:
        """Return the number of the run that made something that was found; 0: it has none."""
        return self._learnt.numbers.get(run_id, 0)

    # -- on the thread --------------------------------------------------------------------------------------------

    def _carry_out(self, jobs: list[_Look | Save | Job]) -> None:
        """Do what has come: first store what others may look for."""
        self._save_all([job for job in jobs if type(job) is Save])
        self._look_up_all([job for job in jobs if type(job) is _Look])
        for job in jobs:
            if type(job) is not Save and type(job) is not _Look:
                job()  # type: ignore[operator, unused-ignore]
        self._recipes.write(is_last=False)
        self._flights.sweep()

    def _post(self, calls: list[Job]) -> None:
        """Have the driver do all of `calls` under the lock; it is woken once."""

        def call_all() -> None:
            for call in calls:
                call()

        if calls:
            self.flow.post(call_all)

    # -- looking up -----------------------------------------------------------------------------------------------

    def _look_up_all(self, looks: list[_Look]) -> None:
        """Find the values of nodes; the index is asked once for all that are keyed within a slice of time."""
        asked: list[tuple[_Look, str]] = []
        until = time.perf_counter() + SLICE
        for look in looks:
            asked.append((look, self._key_of(look.node) if look.entry is None else ""))
            if time.perf_counter() > until:
                self._answer_all(asked)
                asked, until = [], time.perf_counter() + SLICE
        self._answer_all(asked)

    def _key_of(self, node: int) -> str:
        try:
            key, given = self.keys.node_key(node)
        except BaseException as error:  # noqa: BLE001 - a value that cannot even be looked at
            key, given = "", []
            self.keys.opaque[node] = f"{type(error).__name__}: {error}"
        self._learnt.given[node], self._learnt.keys[node] = given, key
        if not key and not self._is_strict(node):
            self._warn(node)
        return key

    def _answer_all(self, asked: list[tuple[_Look, str]]) -> None:
        """Load what is stored, and have the driver go on with what is not."""
        found = self._find([key for _, key in asked if key])
        answers: list[Job] = []
        until = time.perf_counter() + SLICE
        for look, key in asked:
            entry = look.entry or self._entry_of(look.node, key, found)
            if entry is None and self._is_shared(look.node, key):
                if not self._may_compute(look.node, key, lambda look=look: self._errands.add(look)):  # type: ignore[misc]
                    continue
                entry = self._entry_of(look.node, key, self._find([key]))  # it may have come before the claim
            if look.go_on is not None and not key and self._is_strict(look.node):
                answers.append(self._refuse(look.node))
                continue
            is_plain_miss = entry is None and look.go_on is not None
            answers.append(look.go_on if is_plain_miss else self._answer(look, entry))  # type: ignore[arg-type]
            if time.perf_counter() > until:
                self._post(answers)
                answers, until = [], time.perf_counter() + SLICE
        self._post(answers)

    def _refuse(self, node: int) -> Job:
        """Return what fails a node whose arguments have no key, although its policy is strict."""
        why = self.keys.opaque.get(node, "it has no key")
        error = IdentityError.for_argument(self.flow.graph.label(node), why)
        return lambda: self.flow.outcomes.fail_before_start(node, error)

    def _find(self, keys: list[str]) -> dict[str, Entry]:
        return {} if self.is_fresh or not keys else self.store.find(list(dict.fromkeys(keys)))

    def _entry_of(self, node: int, key: str, found: Mapping[str, Entry]) -> Entry | None:
        """Return the entry that serves a node, None if there is none."""
        entry = found.get(key)
        if entry is None:
            return None
        try:
            serves = bool(self.policies[node].serves(entry, time.time(), self._arguments(node)))
        except BaseException as error:  # noqa: BLE001 - a user's policy that fails says no
            self._complain(node, f"its cache policy raised {type(error).__name__}: {error}")
            return None
        return entry if serves else None

    def _arguments(self, node: int) -> Mapping[str, object]:
        """Return the arguments of a node by name, for policies that want to know them."""
        if isinstance(self.policies[node], _SIMPLE):
            return {}
        args, kwargs = self.flow.arguments.of(node)
        names = self.flow.graph.calls[node]._task.positional  # noqa: SLF001
        return {**dict(zip(names, args, strict=False)), **kwargs}

    def _answer(self, look: _Look, entry: Entry | None) -> Job:
        """Return what the driver does about a node, under the lock; its value is loaded here and now."""
        flow, node, go_on = self.flow, look.node, look.go_on
        value = UNREAD if entry is None else self.store.load(entry)
        is_growth = isinstance(value, Grown)
        value = self._read(node, value)
        outputs: str | None = None
        is_found = value is not UNREAD
        if is_found and entry is not None:
            self._flights.land(node)
            outputs = self.store.get_text(entry.outputs) if entry.outputs else None
            self._learnt.learn_number(self.store, entry.run_id)
            if go_on is not None and not is_growth:
                self._recipes.note(node, entry.key)

        def answer() -> None:
            if go_on is None:
                self.recalled.pop(node, None)
            if flow.core.state[node] != st.PENDING:
                return
            if is_growth and is_found and entry is not None:
                flow.output_side.repeat(node, outputs)
                flow.growth.recall(node, value, entry)
            elif is_found and entry is not None:
                self.keys.digests[node], self.keys.texts[node] = entry.digest, entry.summary
                self._learnt.found[node], self._learnt.keys[node] = entry, entry.key
                flow.output_side.repeat(node, outputs)
                flow.outcomes.recalled(node, value, entry)
            elif go_on is None:
                flow.core.forget_recall(node)
            else:
                go_on()

        return answer

    def _read(self, node: int, value: Any, row: Row | None = None) -> Any:
        """Return a value as it came from the store, or the calls that were stored instead; `UNREAD`: neither."""
        if isinstance(value, Grown):
            return self._grown.read(node, row, value)
        return UNREAD if isinstance(value, StoreMiss) else value

    # -- storing --------------------------------------------------------------------------------------------------

    def _save_all(self, saves: list[Save]) -> None:
        """Store values, in one transaction all that are keyed within a slice of time."""
        drafts: list[Draft | None] = []
        until = time.perf_counter() + SLICE
        for save in saves:
            drafts.append(self._draft(save))
            if time.perf_counter() > until:
                self._put(saves[: len(drafts)], drafts)
                saves, drafts, until = saves[len(drafts) :], [], time.perf_counter() + SLICE
        self._put(saves, drafts)

    def _draft(self, save: Save) -> Draft | None:
        try:
            return self._drafts.draft(save, self._arguments)
        except BaseException as error:  # noqa: BLE001 - what cannot be stored is computed again next time
            self._complain(save.node, f"{type(error).__name__}: {error}")
            return None

    def _put(self, saves: list[Save], drafts: list[Draft | None]) -> None:
        """Store the drafts; then, and not before, have it told that their nodes are done."""
        ready = [draft for draft in drafts if draft is not None]
        try:
            stored = {e.key: e.size for e in self.store.save_many(ready) if e is not None} if ready else {}
        except BaseException as error:  # noqa: BLE001 - what cannot be stored is computed again next time
            stored = {}
            self._complain(saves[0].node, f"{type(error).__name__}: {error}")
        for save, draft in zip(saves, drafts, strict=False):
            is_stored = draft is not None and draft.key in stored
            if draft is not None and not save.is_growth:
                self._learnt.measure(save.node, stored.get(draft.key, 0))
            if save.row is None and (is_stored or not save.is_growth):
                self._flights.land(save.node)
                if draft is not None and is_stored and not save.is_growth:
                    self._recipes.note(save.node, draft.key)
            elif save.row is not None and not self._learnt.items_of(save.node).waiting:
                self._flights.land(save.node)
        self._post([save.done for save, _ in zip(saves, drafts, strict=False)])

    # -- items of maps --------------------------------------------------------------------------------------------

    def _look_up_items(self, node: int, rows: list[Row], done: Found) -> None:
        keys: dict[int, str] = {}
        calls: Calls = {}
        found = Served({}, {})
        try:
            keys = self.keys.item_keys(node, rows)
            if node not in self._learnt.given:
                self._learnt.given[node] = self.keys.map_given(node)
            if not self._flights.holds(node):  # else this is the second look
                whole = digest_of("items", keys.values())
                if self._is_shared(node, whole) and not self._may_compute(
                    node, whole, lambda: self.check_items(node, rows, done)
                ):
                    return
            found = load_items(self.store, self.policies[node], keys, self._find([key for key in keys.values() if key]))
            calls = self._take_out_calls(node, rows, found)
            self.flow.output_side.repeat_items(node, found.entries, self.store)
            for entry in found.entries.values():
                self._learnt.learn_number(self.store, entry.run_id)
        except BaseException as error:  # noqa: BLE001 - then all of them run
            self._complain(node, f"{type(error).__name__}: {error}")
        items = self._learnt.items_of(node)
        saved = items.meet(len(rows), keys, found.entries)
        if not items.waiting:
            self._flights.land(node)
        self._post([lambda: done(found.values, saved, calls)])

    def _take_out_calls(self, node: int, rows: list[Row], found: Served) -> Calls:
        """Return the calls that items returned; what cannot be read is not found."""
        calls: Calls = {}
        for row in [row for row in rows if isinstance(found.values.get(row[0]), Grown)]:
            index = row[0]
            value = self._read(node, found.values.pop(index), row)
            if value is UNREAD:
                del found.entries[index]
            else:
                calls[index] = value, found.entries[index]
        return calls

    # -- one computation for all ----------------------------------------------------------------------------------

    def _is_wanted(self, node: int) -> bool:
        """Whether a node may still be computed: it has not ended, and the run goes on."""
        core = self.flow.core
        return core.state[node] in (st.PENDING, st.RUNNING) and not core.cancelling and self.flow.fault is None

    def _is_shared(self, node: int, key: str) -> bool:
        """Whether only one process at a time is to compute `key`."""
        return bool(key) and not self.is_fresh and getattr(self.policies[node], "single_flight", False)

    def _may_compute(self, node: int, key: str, look_again: Job) -> bool:
        """Say whether this run may compute `key` now; if not, `look_again` is called when it may."""
        if self._flights.holds(node) or self._flights.begin(node, key):
            return True
        self._flights.wait(node, key, look_again)
        return False

    # -- after the run --------------------------------------------------------------------------------------------

    def finish(self, status: str, facts: Mapping[str, object], failure: BaseException | None) -> None:
        """Write the history of the run and end the thread. By the driver, not under the lock."""
        self._flights.close()
        told = "skipped" if isinstance(failure, DependencyMissingError) else status  # nothing failed then

        def write() -> None:
            self._recipes.write(is_last=True)
            rows, counts = rows_of(self.flow, self.store, self.keys, self._learnt, self.policies)
            self.store.record_nodes(self.flow.journal.run_id, rows[:MOST_ROWS])
            self.store.end_run(self.flow.journal.run_id, {**facts, "status": told, "counts": counts})

        def guarded() -> None:
            try:
                write()
            except Exception as error:  # noqa: BLE001 - a history that cannot be written costs no result
                logging.getLogger("cascade").warning("The history of the run is not kept: %s.", error)

        self._errands.add(guarded)
        self._errands.end()

    def _warn(self, node: int) -> None:
        """Say once for each task why its results are not remembered."""
        task = self.flow.graph.calls[node]._task  # noqa: SLF001
        if id(task) not in self._warned:
            self._warned.add(id(task))
            self._complain(node, self.keys.opaque.get(node, "it has no key"))

    def _complain(self, node: int, why: str) -> None:
        label, told = self.flow.graph.label(node), self.flow.settings.redact(why)
        logging.getLogger("cascade").warning("The result of '%s' is not remembered: %s.", label, told)
