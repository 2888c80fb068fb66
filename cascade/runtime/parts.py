"""Grown parts: what a call returned instead of a value, under the rules of that call.

In: parts as they grow, failures of their nodes, time. Out: the value of the call, or its failure, of which its retries
and its fallback make what they make of any; what only a part that is given up needs is stopped. Invariant: a part is to
its call what a run is to its target: it fails with the first of its nodes that fails for good, and has its value when
none of them goes on.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from cascade.graph.model import MAP
from cascade.graph.order import may_need
from cascade.interfaces.exceptions import DependencyMissingError, NodeTimeoutError
from cascade.runtime import journal as jr
from cascade.runtime import states as st
from cascade.runtime.scheduler import DORMANT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cascade.runtime.flow import Flow
    from cascade.runtime.maps import Row

__all__ = ["Part", "Parts"]

_ENDED: Final = (st.DONE, st.FAILED, st.SKIPPED, st.CANCELLED)


class Part:
    """What one call returned.

    Attributes:
        node, index: of the call; `index` is None but for an item of a map. row: the arguments of that item.
        number: of the attempt. began: when that did. first, last: the nodes that were added are numbers first to
            last - 1. slot: what gives the value. parent: the part that the call itself belongs to.
        guard: the nearest part, from this one outwards, whose call does more about a failure than to fail.
        waiter: the number below zero under which the core knows it; 0: the call waits as every other node does.
        is_open: the call has neither value nor failure. is_settled: it is known which of them, or neither, comes:
            `lost` says why neither.
    """

    __slots__ = (
        "began", "children", "first", "guard", "index", "is_open", "is_settled", "last", "lost", "node", "number",
        "parent", "row", "slot", "waiter",
    )  # fmt: skip

    def __init__(self, node: int, index: int | None, row: Row | None, number: int, began: float) -> None:
        """Record whose it is."""
        self.node, self.index, self.row, self.number, self.began = node, index, row, number, began
        self.first = self.last = self.waiter = 0
        self.slot: object = None
        self.parent: Part | None = None
        self.guard: Part | None = None
        self.children: list[Part] = []
        self.is_open, self.is_settled = True, False
        self.lost: tuple[str, int] | None = None


class Parts:
    """The grown parts of one flow. Everything here runs under the flow's lock.

    Attributes:
        dropped: nodes whose values nobody needs any more, since their part was given up, with the reason.
        forgiven: failures that are some call's own, by the node that failed.
    """

    __slots__ = ("_borrowers", "_by_waiter", "_firsts", "_items", "_parts", "dropped", "flow", "forgiven")

    def __init__(self, flow: Flow) -> None:
        """Nothing has grown."""
        self.flow = flow
        self.dropped: dict[int, str] = {}
        self.forgiven: dict[int, BaseException] = {}
        self._parts: list[Part] = []
        self._firsts: list[int] = []
        self._by_waiter: dict[int, Part] = {}
        self._items: dict[int, list[Part]] = {}
        self._borrowers: dict[int, list[int]] = {}

    # -- what there is --------------------------------------------------------------------------------------------

    def is_itemwise(self, node: int) -> bool:
        """Whether each item of a map has rules of its own for what it returned; else the map goes on as a whole."""
        flow = self.flow
        if flow.graph.kinds[node] != MAP:
            return False
        options = flow.graph.options(node)
        has_rules = options is not None and bool(options.retry or options.timeout)
        is_remembered = flow.rebuilder is not None and node in flow.rebuilder.policies
        is_bounded = flow.graph.calls[node]._max_concurrency is not None  # noqa: SLF001
        return has_rules or is_remembered or is_bounded or self._collects(node)

    def _collects(self, node: int) -> bool:
        return bool(self.flow.graph.calls[node]._on_error == "collect")  # noqa: SLF001

    def add(self, part: Part, refs: list[int]) -> bool:
        """Take in a part that has grown; say whether its call has rules, so that the part waits in its place."""
        part.parent = self.part_of(part.node)
        options = self.flow.graph.options(part.node)
        is_map, is_item = self.flow.graph.kinds[part.node] == MAP, part.index is not None
        guards = is_item or part.node in self.flow.graph.fallbacks
        guards = guards or (not is_map and options is not None and options.retry is not None)
        part.guard = part if guards else part.parent.guard if part.parent is not None else None
        if part.parent is not None:
            part.parent.children.append(part)
        for ref in refs:
            self.borrow(ref, part.node, part.first)
        self._parts.append(part)
        self._firsts.append(part.first)
        seconds = options.timeout if options is not None else None
        has_time = seconds is not None and (is_item or not is_map)
        if not (guards or has_time):
            return False
        part.waiter = -len(self._parts)
        self._by_waiter[part.waiter] = part
        if is_item:
            self._items.setdefault(part.node, []).append(part)
            self.flow.map_side.set_apart(part.node, 1)
        if has_time and seconds is not None:
            left = max(0.0, part.began + seconds - self.flow.now())
            self.flow.set_timer(left, lambda: self._time_is_over(part, seconds))
        return True

    def borrow(self, need: int, consumer: int, first: int) -> None:
        """`consumer` may need the value of `need`, which was there before the nodes from `first` on."""
        if self._firsts and self._firsts[0] <= need < first:
            self._borrowers.setdefault(need, []).append(consumer)

    def part_of(self, node: int) -> Part | None:
        """Return the part that `node` came with, None if it was there from the beginning."""
        place = bisect_right(self._firsts, node) - 1
        return self._parts[place] if place >= 0 else None

    def guard_of(self, node: int) -> Part | None:
        """Return the part whose call sees to a failure of `node`, None if the run does."""
        part = self.part_of(node) if self._parts else None
        return part.guard if part is not None else None

    def _within(self, part: Part) -> Iterator[Part]:
        """Yield `part` and all that grew within it."""
        stack = [part]
        while stack:
            each = stack.pop()
            yield each
            stack.extend(each.children)

    # -- how parts end --------------------------------------------------------------------------------------------

    def hear(self, waiter: int, lost: tuple[str, int] | None = None) -> None:
        """What the part waited for is there, or never will be: `lost` says why, and the node that caused it."""
        part, core = self._by_waiter[waiter], self.flow.core
        if not part.is_open or core.cancelling:
            return
        if lost is not None and (error := self.forgiven.get(lost[1])) is not None:
            self.fail(part, error)
            return
        if not part.is_settled:
            part.is_settled, part.lost = True, lost
        rest = self._unfinished(part) if part.guard is part else []
        if rest:  # one of them may fail: until then nobody can say what becomes of the call
            core.choose(waiter, rest)
            return
        if part.lost is not None:
            self._lose(part, *part.lost)
            return
        try:
            value = self.flow.arguments.resolve(part.slot)
        except BaseException as error:  # noqa: BLE001 - a part of the value that is not there fails the call
            self.fail(part, error)
            return
        self._end(part)
        self.flow.outcomes.part_completed(part, value)

    def _unfinished(self, part: Part) -> list[int]:
        core = self.flow.core
        numbers = (number for each in self._within(part) for number in range(each.first, each.last))
        return [number for number in numbers if core.state[number] not in _ENDED and not core.hold[number] & DORMANT]

    def _lose(self, part: Part, reason: str, because: int) -> None:
        """A part that was skipped skips its call."""
        flow = self.flow
        self._end(part)
        if part.index is None:
            flow.core.skip(part.node, reason, because)
            return
        label = f"{flow.graph.label(part.node)}[{part.index}]"
        flow.outcomes.item_failed(flow.outcomes.attempt_of(part), DependencyMissingError.for_skip(label, [reason]))

    def inner_failed(self, guard: Part, node: int, error: BaseException) -> None:
        """`node` failed for good, and `guard` sees to it."""
        core, is_open = self.flow.core, guard.is_open and not self.flow.core.cancelling
        self.forgiven[node] = error
        self.dropped[node] = "failed"
        if is_open:
            self._end(guard)
        if core.state[node] != st.FAILED:
            core.fail(node)
        if is_open:
            self.fail(guard, error)

    def spread(self, node: int, because: int) -> None:
        """`node` needs the value of `because`, whose failure another call sees to: it is a failure here, too."""
        guard, error = self.guard_of(node), self.forgiven[because]
        if guard is None:
            del self.forgiven[because]
            self.flow.outcomes.blame(because, error)
        elif guard.is_open and not self.flow.core.cancelling:
            self.fail(guard, error)

    def fail(self, part: Part, error: BaseException) -> None:
        """The call that returned `part` fails with `error`, unless it is tried again."""
        self._end(part)
        name = self.flow.graph.label(part.node)
        self._drop([part], f"'{name if part.index is None else f'{name}[{part.index}]'}', which returned it, failed")
        self.flow.outcomes.part_failed(part, error)

    def _time_is_over(self, part: Part, seconds: float) -> None:
        if part.is_open and not self.flow.core.cancelling:
            label = self.flow.outcomes.label(self.flow.outcomes.attempt_of(part))
            self.fail(part, NodeTimeoutError.after(label, seconds))

    # -- what nobody needs any more -------------------------------------------------------------------------------

    def drop_items(self, node: int) -> None:
        """The map `node` has failed: what its items returned is not needed any more."""
        parts = [part for part in self._items.pop(node, ()) if part.is_open]
        if parts:
            self._drop(parts, f"'{self.flow.graph.label(node)}', which returned it, failed")

    def cancel_items(self, node: int) -> None:
        """The map `node` is cancelled: so are its items that wait for what they returned."""
        for part in self._items.pop(node, ()):
            self._close(part, self.flow.cancel_reason)

    def _end(self, part: Part) -> None:
        """The call at `part` no longer waits for it."""
        if part.is_open and part.index is not None:
            self.flow.map_side.set_apart(part.node, -1)
        part.is_open = False

    def _close(self, part: Part, reason: str) -> None:
        """The call at `part` will have neither value nor failure."""
        if part.is_open:
            self._end(part)
            if part.index is not None:
                self.flow.record((jr.NODE_CANCELLED, self.flow.now(), part.node, part.index, reason))

    def _drop(self, parts: list[Part], reason: str) -> None:
        """Stop what only `parts` need."""
        flow, core = self.flow, self.flow.core
        all_ = [each for part in parts for each in self._within(part)]
        numbers = [number for each in all_ for number in range(each.first, each.last)]
        kept = self._needed_elsewhere(set(numbers))
        for each in all_:
            if each.node not in kept:
                self._close(each, reason)
        running: set[int] = set()
        for number in numbers:
            state = core.state[number]
            if state == st.DONE or number in kept:
                continue
            self.dropped[number] = reason
            if state == st.RUNNING:
                running.add(number)
            elif state == st.PENDING and not core.hold[number] & DORMANT:
                flow.loops.drop(number)
                core.stop(number)
                flow.record((jr.NODE_CANCELLED, flow.now(), number, None, reason))
        if running:
            flow.stops.drop(running)
            for number in running:
                if flow.graph.kinds[number] == MAP:
                    flow.map_side.drop(number)

    def _needed_elsewhere(self, numbers: set[int]) -> set[int]:
        """Return those of `numbers` that a node which is none of them may still need."""
        kept: set[int] = set()
        state, graph = self.flow.core.state, self.flow.graph
        stack = [
            lent
            for lent in self._borrowers.keys() & numbers
            if any(by not in numbers and state[by] not in _ENDED for by in self._borrowers[lent])
        ]
        while stack:
            number = stack.pop()
            if number not in kept:
                kept.add(number)
                stack.extend(need for need in may_need(graph, number) if need in numbers)
        return kept
