"""Maps in a flow: one node, many items.

In: map nodes that may start, items that ended. Out: rows for attempts, one value for the node. Invariant: capacity is
taken by items, never by the map itself; a map ends when all its items have, in the order of its inputs. The user's own
iterators are never asked under the lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cascade.runtime import journal as jr
from cascade.runtime import scheduler as core_
from cascade.runtime.attempts import Attempt, current_attempt
from cascade.runtime.maps import MapState
from cascade.runtime.spans import spans_of
from cascade.runtime.threads import run_in_thread

if TYPE_CHECKING:
    from cascade.runtime.flow import Flow
    from cascade.runtime.item_rows import Calls
    from cascade.runtime.maps import Row

__all__ = ["MapSide"]

ITEMS_SLICE = 0.005  # seconds of short inline items that one record covers
SHORT = 0.00005  # seconds; while inline items are shorter, the clock is read only after some of them …
STRIDE = 16  # … this many at most
PULL = 256  # items that are taken at once from an iterator of the user
PULL_SLICE = 0.005  # seconds after which those that came so far are handed out

ItemOutcome = tuple[int, Any, BaseException | None]


class MapSide:
    """The maps of one flow. Everything here runs under the flow's lock, unless it says otherwise."""

    def __init__(self, flow: Flow) -> None:
        """Begin without maps."""
        self.flow = flow
        self.states: dict[int, MapState] = {}
        self._began: dict[int, float] = {}

    # -- handing out ----------------------------------------------------------------------------------------------

    def open(self, node: int, window: int | None = None) -> MapState | None:
        """Return the state of a map, made at first need; None when it has ended or cannot begin."""
        flow = self.flow
        state = self.states.get(node)
        if state is not None:
            return state
        call = flow.graph.calls[node]
        try:
            names = flow.graph.resources.get(node, ())
            own = flow.resources.uses(names)[1] if names else {}
            args, kwargs = flow.arguments.of_map(node, own) if own else flow.arguments.of(node)
            bound = call._max_concurrency or window  # noqa: SLF001
            collect = call._on_error == "collect"  # noqa: SLF001
            positional = call._task.positional  # noqa: SLF001
            state = MapState(flow.graph.label(node), positional, args, kwargs, bound, collect=collect)
        except BaseException as error:  # noqa: BLE001 - inputs are the user's; whatever they raise fails the map
            self._undo_start(node)
            flow.outcomes.fail_before_start(node, error)
            return None
        self.states[node] = state
        self._began[node] = flow.now()
        flow.record((jr.EXPANDED, self._began[node], node, state.total))
        self._look_up(node, state)
        if state.is_over:
            self._undo_start(node)
            flow.outcomes.complete_map(node, state.results)
            return None
        return state

    @property
    def is_pulling(self) -> bool:
        """Whether some map waits for its inputs."""
        return any(state.pulling for state in self.states.values())

    def _look_up(self, node: int, state: MapState) -> None:
        """Items that are remembered need not run; those of the user's own iterators are looked up as they come."""
        kept = self.flow.settings.kept
        if kept is not None and kept.give_items(self.flow, node, state):
            return
        if state.total and not state.lazy and self._is_remembered(node):
            rows: list[Row] = []
            state.pull(rows, state.total, float("inf"))
            self._look_up_rows(node, state, rows)

    def _is_remembered(self, node: int) -> bool:
        rebuilder = self.flow.rebuilder
        return rebuilder is not None and node in rebuilder.policies

    def _look_up_rows(self, node: int, state: MapState, rows: list[Row]) -> None:
        """Take the values of those items that are stored; while they are looked up, none starts and none is taken."""
        rebuilder = self.flow.rebuilder
        assert rebuilder is not None  # noqa: S101 - the caller has looked
        state.pulling = True

        def found(values: dict[int, Any], saved: float, calls: Calls) -> None:
            state.calls.update(calls)
            if values and self.flow.core.state[node] == core_.RUNNING:
                self.flow.record((jr.ITEMS_RECALLED, self.flow.now(), node, len(values), saved, spans_of(values)))
                state.put_stored(values)
            self._take_in(node, state, [row for row in rows if row[0] not in values], None)

        rebuilder.check_items(node, rows, found)

    def _undo_start(self, node: int) -> None:
        """The core let an item of `node` start, and there is none."""
        core = self.flow.core
        amounts = core.amounts.get(node)
        if amounts:
            core.release(amounts)
        ticket, core.ticket = core.ticket, None
        if ticket:
            self.flow.outcomes.leave_limits(ticket)

    def fill(self, attempt: Attempt, items: int | None) -> bool:
        """Give `attempt` its item, or up to `items` short ones as its rows; say whether there was any."""
        state = self.states[attempt.node]
        rows: list[Row] = []
        if state.has_more:
            try:
                rows = state.take(items or 1)
            except BaseException as error:  # noqa: BLE001 - an input of the map raised
                state.stop()
                state.error = error if state.error is None else state.error
        if rows and state.calls:
            rows = self._recall_calls(attempt.node, state, rows)
            if not rows:
                self._undo_start(attempt.node)
                self.offer_more(attempt.node)
                return False
        if not rows:
            self._undo_start(attempt.node)
            if state.has_more:
                self._pull(attempt.node, state)
            self.finish_if_over(attempt.node)
            return False
        state.running += 1
        attempt.row = rows[0]
        attempt.index = rows[0][0]
        attempt.rows = rows if items is not None else None
        attempt.number = state.attempts.get(attempt.index, 0) + 1
        return True

    def _recall_calls(self, node: int, state: MapState, rows: list[Row]) -> list[Row]:
        """Go on with the calls that items returned when they last ran; return the rows of those that are to run."""
        rest = [row for row in rows if row[0] not in state.calls]
        for row in rows:
            if row[0] in state.calls:
                self.flow.growth.recall(node, *state.calls.pop(row[0]), row)
        return rest

    def offer_more(self, node: int) -> None:
        """Queue the map again while it has items that may start."""
        if self.states[node].has_more:
            self.flow.core.offer(node)

    def _pull(self, node: int, state: MapState) -> None:
        """Ask the user's iterators for items, on a thread, since they may take their time."""
        flow = self.flow
        context = flow.context.copy()
        state.pulling = True

        def pull() -> None:
            rows: list[Row] = []
            failure: BaseException | None = None
            try:
                context.run(state.pull, rows, PULL, PULL_SLICE)
            except BaseException as error:  # noqa: BLE001 - whatever an iterator raises fails its map
                failure = error
            flow.post(lambda: self._pulled(node, state, rows, failure))

        run_in_thread(pull)

    def _pulled(self, node: int, state: MapState, rows: list[Row], error: BaseException | None) -> None:
        is_wanted = self.flow.core.state[node] == core_.RUNNING and state.error is None
        if rows and error is None and is_wanted and not self.flow.core.cancelling and self._is_remembered(node):
            self._look_up_rows(node, state, rows)
        else:
            self._take_in(node, state, rows, error)

    def _take_in(self, node: int, state: MapState, rows: list[Row], error: BaseException | None) -> None:
        """Let items start that were taken from the inputs, or end the map as these did."""
        state.pulling = False
        is_wanted = self.flow.core.state[node] == core_.RUNNING and node not in self.flow.parts.dropped
        if not is_wanted or state.error is not None or self.flow.core.cancelling:
            state.stop()
        elif error is not None:
            state.stop()
            state.error = error
        else:
            state.waiting.extend(rows)
            self.offer_more(node)
        self.finish_if_over(node)

    # -- taking back ----------------------------------------------------------------------------------------------

    def item_ended(self, attempt: Attempt) -> None:
        """An attempt of an item no longer runs; another one may have its place."""
        state = self.states[attempt.node]
        was_full = state.max_concurrency is not None and state.running + state.apart >= state.max_concurrency
        state.running -= 1
        if was_full:
            self.offer_more(attempt.node)

    def set_apart(self, node: int, change: int) -> None:
        """One more item, or one less, waits for what it returned; until then no other one has its place."""
        state = self.states[node]
        if self.flow.graph.calls[node]._max_concurrency is not None:  # noqa: SLF001
            state.apart += change
            if change < 0 and self.flow.core.state[node] == core_.RUNNING:
                self.offer_more(node)

    def put_item(self, node: int, index: int, value: Any) -> None:
        """Item `index` has its value (or, when collecting, its exception)."""
        self.states[node].put(index, value)
        self.finish_if_over(node)

    def try_item_again(self, attempt: Attempt) -> None:
        """An item that failed is to be tried again now."""
        if attempt.row is not None:
            self.states[attempt.node].again.append(attempt.row)
            self.flow.core.offer(attempt.node)

    def settle_rows(self, attempt: Attempt, outcomes: list[ItemOutcome]) -> None:
        """Several items that ran one after the other have ended, perhaps not all of them."""
        node = attempt.node
        state = self.states[node]
        good = [o for o in outcomes if o[2] is None]
        for index, value, _ in good:
            state.put(index, value)
        rows = attempt.rows or []
        self._record_items(attempt, [index for index, _, _ in good], len(rows))
        if state.error is None and not self.flow.core.cancelling and node not in self.flow.parts.dropped:
            state.again.extend(rows[len(outcomes) :])
            self.offer_more(node)
        by_index = {row[0]: row for row in rows}
        for index, _, error in outcomes:
            if error is not None:
                attempt.index, attempt.row = index, by_index[index]
                self.flow.outcomes.decide(attempt, error)
        self.finish_if_over(node)

    def _record_items(self, attempt: Attempt, indices: list[int], rows: int) -> None:
        """Tell of items that have their values: of those that follow each other in one record."""
        now = self.flow.now()
        took = now - attempt.started
        if rows == 1:
            for index in indices:
                self.flow.record((jr.COMPLETED, now, attempt.node, index, attempt.number, took, ""))
            return
        first = 0
        for place in range(1, len(indices) + 1):
            if place == len(indices) or indices[place] != indices[place - 1] + 1:
                count = place - first
                share = took * count / len(indices)
                self.flow.record((jr.ITEMS, now, attempt.node, indices[first], count, share))
                first = place

    def fail_item(self, node: int, error: BaseException) -> None:
        """An item failed for good: the map fails when the items that run have ended."""
        state = self.states[node]
        state.error = error if state.error is None else state.error
        state.stop()
        self.finish_if_over(node)

    def finish_if_over(self, node: int) -> None:
        """End the map if all its items have ended."""
        flow = self.flow
        state = self.states.get(node)
        if state is None or flow.core.state[node] != core_.RUNNING:
            return
        if state.error is not None:
            if state.running == 0:
                flow.outcomes.map_failed(node, state.error, flow.now() - self._began[node])
        elif state.is_over:
            flow.outcomes.complete_map(node, state.results, self._began[node])
        elif state.running == 0 and (flow.core.cancelling or node in flow.parts.dropped):
            flow.parts.cancel_items(node)
            reason = flow.parts.dropped.get(node, flow.cancel_reason)
            flow.record((jr.NODE_CANCELLED, flow.now(), node, None, reason))
            flow.core.stop(node)

    def drop(self, node: int) -> None:
        """Nobody needs the map `node` any more: hand out nothing more, and end when what runs has."""
        state = self.states.get(node)
        if state is not None:
            state.stop()
            self.finish_if_over(node)

    def cancel(self) -> None:
        """Hand out nothing more; maps of which nothing runs end now."""
        for node, state in self.states.items():
            if not state.is_over:
                state.stop()
                self.finish_if_over(node)

    # -- inline ---------------------------------------------------------------------------------------------------

    def run_inline(self, node: int, state: MapState) -> None:
        """Run the items of an inline map in one go. Called under the lock; gives it up meanwhile."""
        flow = self.flow
        function = flow.graph.calls[node]._task.func  # noqa: SLF001
        state.running += 1
        flow.lock.release()
        try:
            if flow.settings.watched:
                failed = flow.context.copy().run(self._run_watched, node, state, function)
            else:
                failed = self._run_items(node, state, function)
        finally:
            flow.lock.acquire()
            state.running -= 1
        if failed is not None:
            self._inline_failure(node, state, *failed)
        if flow.core.state[node] == core_.RUNNING:
            self.offer_more(node)
        self.finish_if_over(node)

    def _run_watched(self, node: int, state: MapState, function: Any) -> tuple[tuple[Any, ...], BaseException] | None:
        """Run items whose output goes to the node, since asking for each whose it is would cost more than the item."""
        attempt = Attempt(node, self.flow.graph.modes[node], function)
        self.flow.introduce(attempt)
        current_attempt.set(attempt)
        try:
            return self._run_items(node, state, function)
        finally:
            attempt.conclude()

    def _run_items(self, node: int, state: MapState, function: Any) -> tuple[tuple[Any, ...], BaseException] | None:
        """Run items until the end, a failure or a command; one record for each few milliseconds of short items.

        Not under the lock.

        Returns:
            None, or the inputs of the item that failed and its error.
        """
        flow, results, clock = self.flow, state.results, self.flow.now
        inbox, look_at, stride = flow.inbox, 0, 1
        plain, known = state.is_plain, state.total is not None
        index = first = state.pulled
        began = looked = clock()
        zipped: tuple[Any, ...] = ()
        failed = None
        try:
            for zipped in state.rows():
                if plain:
                    value = function(zipped[0])
                else:
                    args, kwargs = state.row(zipped)
                    value = function(*args, **kwargs)
                if known:
                    results[index] = value
                else:
                    results.append(value)
                index += 1
                if index < look_at and not inbox:
                    continue
                now = clock()
                stride = min(2 * stride, STRIDE) if now - looked < SHORT * stride else 1
                looked, look_at = now, index + stride
                if now - began > ITEMS_SLICE or inbox:
                    flow.record((jr.ITEMS, now, node, first, index - first, now - began))
                    began, first = now, index
                    if inbox or flow.core.cancelling or flow.core.paused:
                        break
            else:
                state.pulled = index
                state.end_inputs()
        except BaseException as error:  # noqa: BLE001 - nothing a task raises ends the driver
            failed = zipped, error
        state.pulled = index
        if index > first:
            now = clock()
            flow.record((jr.ITEMS, now, node, first, index - first, now - began))
        return failed

    def _inline_failure(self, node: int, state: MapState, zipped: tuple[Any, ...], error: BaseException) -> None:
        if state.is_from_inputs(error):
            state.stop()
            state.error = error
            return
        index = state.pulled
        attempt = Attempt(node, self.flow.graph.modes[node], self.flow.graph.calls[node]._task.func)  # noqa: SLF001
        attempt.index, attempt.row, attempt.started = index, (index, *state.row(zipped)), self.flow.now()
        if index >= len(state.results):
            state.results.append(None)
        state.pulled += 1
        state.outstanding += 1
        state.dry = state.pulled == state.total
        self.flow.outcomes.decide(attempt, error)
