"""Maps in a flow: one node, many items.

In: map nodes that may start, items that ended. Out: rows for attempts, one value for the node. Invariant: capacity is
taken by items, never by the map itself; a map ends when all its items have, in the order of its inputs.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from cascade.runtime import journal as jr
from cascade.runtime import scheduler as core_
from cascade.runtime.maps import MapState

if TYPE_CHECKING:
    from cascade.runtime.attempts import Attempt
    from cascade.runtime.flow import Flow

__all__ = ["MapSide"]

ITEMS_SLICE = 0.005  # seconds of short inline items that one record covers


class MapSide:
    """What `Outcomes` knows about maps. Everything here runs under the flow's lock."""

    def __init__(self, flow: Flow) -> None:
        """Begin without maps."""
        self.flow = flow
        self._began: dict[int, float] = {}

    def complete(self, node: int, value: Any, began: float | None = None) -> None:  # noqa: ANN401
        """Defined by `Outcomes`."""
        raise NotImplementedError

    def node_failed(self, node: int, error: BaseException) -> None:
        """Defined by `Outcomes`."""
        raise NotImplementedError

    def fail_before_start(self, node: int, error: BaseException) -> None:
        """Defined by `Outcomes`."""
        raise NotImplementedError

    def decide(self, attempt: Attempt, error: BaseException) -> None:
        """Defined by `Outcomes`."""
        raise NotImplementedError

    # -- handing out ----------------------------------------------------------------------------------------------

    def open_map(self, node: int, window: int | None = None) -> MapState | None:
        """Return the state of a map, made at first need; None when it has ended or cannot begin."""
        flow = self.flow
        state = flow.maps.get(node)
        if state is not None:
            return state
        call = flow.graph.calls[node]
        try:
            args, kwargs = flow.arguments.of(node)
            bound = call._max_concurrency or window  # noqa: SLF001
            collect = call._on_error == "collect"  # noqa: SLF001
            state = MapState(flow.graph.label(node), call._task.positional, args, kwargs, bound, collect)  # noqa: SLF001
        except BaseException as error:  # noqa: BLE001 - inputs are the user's; whatever they raise fails the map
            self._undo_start(node)
            self.fail_before_start(node, error)
            return None
        flow.maps[node] = state
        self._began[node] = time.perf_counter()
        flow.record((jr.EXPANDED, self._began[node], node, state.total))
        if state.is_over:
            self._undo_start(node)
            self.complete(node, state.results)
            return None
        return state

    def _undo_start(self, node: int) -> None:
        core = self.flow.core
        amounts = core.amounts.get(node)
        if amounts:
            core.release(amounts)
        for freed in core.limits.leave(node):
            core.offer(freed)

    def fill_from_map(self, attempt: Attempt, items: int) -> bool:
        """Give `attempt` its item (or, when `items` > 1, several short ones); say whether there was any."""
        state = self.flow.maps[attempt.node]
        if not state.has_more:
            return False
        try:
            rows = state.take(items)
        except BaseException as error:  # noqa: BLE001 - the user's iterable raised
            state.exhausted = True
            state.error = state.error or error
            return False
        if not rows:
            return False
        state.running += 1
        attempt.row = rows[0]
        attempt.index = rows[0][0]
        if len(rows) > 1:
            attempt.rows = rows
        attempt.number = state.attempts.get(attempt.index, 0) + 1
        return True

    def offer_more(self, node: int, state: MapState) -> None:
        """Queue the map again while it has items that may start."""
        if state.has_more:
            self.flow.core.offer(node)

    # -- taking back ----------------------------------------------------------------------------------------------

    def put_item(self, node: int, index: int, value: Any) -> None:  # noqa: ANN401
        """Item `index` has its value (or, when collecting, its exception)."""
        state = self.flow.maps[node]
        had_room = state.max_concurrency is None or state.running + 1 < state.max_concurrency
        state.put(index, value)
        if not had_room:
            self.offer_more(node, state)
        self.finish_map_if_over(node)

    def settle_rows(self, attempt: Attempt, outcomes: list[tuple[int, Any, BaseException | None]]) -> None:
        """Several items that ran one after the other have ended."""
        node = attempt.node
        state = self.flow.maps[node]
        good = [o for o in outcomes if o[2] is None]
        for index, value, _ in good:
            state.put(index, value)
        if good:
            now = time.perf_counter()
            self.flow.record((jr.ITEMS, now, node, good[0][0], len(good), now - attempt.started))
        rows = {row[0]: row for row in attempt.rows or ()}
        for index, _, error in outcomes:
            if error is not None:
                attempt.index, attempt.row = index, rows[index]
                self.decide(attempt, error)
        self.finish_map_if_over(node)

    def fail_item(self, node: int, error: BaseException) -> None:
        """An item failed for good: the map fails when the items that run have ended."""
        state = self.flow.maps[node]
        state.error = state.error or error
        state.again.clear()
        state.exhausted = True
        self.finish_map_if_over(node)

    def finish_map_if_over(self, node: int) -> None:
        """End the map if all its items have ended."""
        flow = self.flow
        state = flow.maps.get(node)
        if state is None or flow.core.state[node] != core_.RUNNING:
            return
        if state.error is not None:
            if state.running == 0:
                self.node_failed(node, state.error)
        elif state.is_over:
            self.complete(node, state.results, self._began[node])
        elif flow.core.cancelling and state.running == 0:
            flow.record((jr.NODE_CANCELLED, time.perf_counter(), node, None, flow.cancel_reason))
            flow.core.stop(node)

    # -- inline ---------------------------------------------------------------------------------------------------

    def run_map_inline(self, node: int, state: MapState) -> None:
        """Run the items of an inline map in one go. Called under the lock; gives it up meanwhile."""
        flow = self.flow
        function = flow.graph.calls[node]._task.func  # noqa: SLF001
        flow.lock.release()
        try:
            failed = self._run_items(node, state, function)
        finally:
            flow.lock.acquire()
        if failed is not None:
            index, args, kwargs, error = failed
            self._inline_failure(node, state, index, args, kwargs, error)
        self.finish_map_if_over(node)

    def _run_items(self, node: int, state: MapState, function: Any) -> Any:  # noqa: ANN401 - None or what failed
        """Run items until the end, a failure or a cancel; one record for each few milliseconds of short items."""
        flow, results, clock = self.flow, state.results, time.perf_counter
        plain, index, first = state.is_plain, state.issued, state.issued
        known = state.total is not None
        core, began = flow.core, clock()
        zipped: tuple[Any, ...] = ()
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
                now = clock()
                if now - began > ITEMS_SLICE:
                    flow.record((jr.ITEMS, now, node, first, index - first, now - began))
                    began, first = now, index
                    if core.cancelling or flow.inbox:
                        self._obey_between_items()
                        if core.cancelling:
                            break
            else:
                state.exhausted, state.total = True, index
        except BaseException as error:  # noqa: BLE001 - nothing a task raises ends the driver
            state.issued = index
            args, kwargs = state.row(zipped) if zipped else ((), {})
            failed = (index, args, kwargs, error)
        else:
            failed = None
            state.issued = index
        if index > first:
            now = clock()
            flow.record((jr.ITEMS, now, node, first, index - first, now - began))
        return failed

    def _obey_between_items(self) -> None:
        flow = self.flow
        with flow.lock:
            while flow.inbox:
                flow.inbox.popleft()()

    def _inline_failure(
        self, node: int, state: MapState, index: int, args: tuple[Any, ...], kwargs: dict[str, Any], error: BaseException
    ) -> None:
        from cascade.runtime.attempts import Attempt

        call = self.flow.graph.calls[node]
        attempt = Attempt(node, self.flow.graph.modes[node], call._task.func)  # noqa: SLF001
        attempt.index, attempt.row, attempt.started = index, (index, args, kwargs), time.perf_counter()
        if index >= len(state.results):
            state.results.append(None)
        state.issued = index + 1
        state.outstanding += 1
        state.exhausted = state.issued == state.total
        self.decide(attempt, error)
        if state.collect and not state.exhausted:
            self.flow.core.offer(node)

