"""What an attempt's end means: a value, another try, a failure, a stop.

In: ended attempts. Out: facts to the core, records, timers for further tries, the run's outcome. Invariant: capacity
and resources of an attempt are given back here and only here, when it has really ended; a node ends once.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from sys import getrefcount
from typing import TYPE_CHECKING, Any

from cascade.graph.build import refs_in
from cascade.graph.ledger import SLACK
from cascade.graph.model import MAP, REFS
from cascade.interfaces.exceptions import (
    DependencyMissingError,
    JumpError,
    NodeTimeoutError,
    RunCancelledError,
    RunTimeoutError,
)
from cascade.runtime import journal as jr
from cascade.runtime import scheduler as core_
from cascade.runtime.arguments import GONE
from cascade.runtime.attempts import Attempt
from cascade.runtime.failure import causes_of, hide_secrets, join_errors, note_origin, own_frames, text_of, to_exception
from cascade.runtime.growth import ODD, is_lazy
from cascade.runtime.held import ALONE
from cascade.runtime.loops import ending
from cascade.runtime.summary import preview_arguments, summarize
from cascade.spec.control import Jump

if TYPE_CHECKING:
    from cascade.graph.check import Amounts
    from cascade.interfaces.records import Entry
    from cascade.runtime.flow import Flow
    from cascade.runtime.limits import Ticket
    from cascade.runtime.maps import Row
    from cascade.runtime.parts import Part
    from cascade.spec.policy import RetryPolicy

__all__ = ["Outcomes"]

MOST_ROWS = 20  # failed items whose arguments are kept, so that they can be looked at


class Outcomes:
    """Settles the attempts of one flow. Everything here runs under the flow's lock.

    Attributes:
        tries: failed attempts so far, by node. failures: what failed for good. reasons: why nodes were skipped, and
            the node that caused it. error: of the run as a whole (its timeout). failed_rows: the arguments of the first
            items of maps that failed. fallen: failures of nodes that turned to their fallbacks.
    """

    def __init__(self, flow: Flow) -> None:
        """Begin with nothing settled."""
        self.flow = flow
        self.tries: dict[int, int] = {}
        self.failures: list[tuple[int, BaseException]] = []
        self.reasons: dict[int, tuple[str, int]] = {}
        self.error: BaseException | None = None
        self.failed_rows: dict[tuple[int, int], Row] = {}
        self.fallen: dict[int, BaseException] = {}

    # -- ends -----------------------------------------------------------------------------------------------------

    def settle(self, attempt: Attempt, value: Any, error: BaseException | None) -> None:
        """An attempt has really ended: give back what it held, then see what its end means."""
        flow = self.flow
        flow.running.pop(attempt, None)
        if flow.settings.clock is not None:
            flow.ring()  # whether the rest of the run is idle has to be seen again
        attempt.handle = None  # an asyncio task knows its attempt: together they would wait for the garbage collector
        is_unwanted = attempt.given_up or attempt.timed_out or attempt.node in flow.parts.dropped
        if type(value) is Jump and not (is_unwanted or flow.core.cancelling):
            try:
                if flow.loops.turn(attempt, value):
                    return
                value = ending(value)
            except JumpError as problem:
                error = problem
        self.give_back(attempt)
        if not attempt.given_up:
            self._judge(attempt, value, error)

    def _judge(self, attempt: Attempt, value: Any, error: BaseException | None) -> None:
        flow = self.flow
        if attempt.index is not None:
            flow.map_side.item_ended(attempt)
        if flow.parts.dropped and attempt.node in flow.parts.dropped:
            flow.stops.cancelled(attempt)
            return
        if attempt.timed_out:
            error = self.timeout_of(attempt)
        if attempt.rows is not None:
            flow.map_side.settle_rows(attempt, value or [])
        elif flow.core.cancelling and attempt.stopping and (value is None if error is None else _is_cancel(error)):
            flow.stops.cancelled(attempt)
        elif error is not None:
            self.decide(attempt, error)
        elif type(value) in ODD and flow.growth.takes(attempt) and is_lazy(value):
            flow.growth.returned(attempt.node, value, attempt.started, attempt, is_shared=attempt.is_shared)
        else:
            self._succeed(attempt, value)

    def timeout_of(self, attempt: Attempt) -> NodeTimeoutError:
        """Return the error of an attempt whose time was over."""
        options = self.flow.graph.options(attempt.node)
        return NodeTimeoutError.after(self.label(attempt), (options.timeout if options else 0) or 0)

    def give_back(self, attempt: Attempt) -> None:
        """Give back what `attempt` held."""
        if attempt.amounts or attempt.resources:
            self.give_back_of(attempt.node, attempt.index, attempt.amounts, attempt.resources)
        if attempt.amounts:
            self.flow.core.release(attempt.amounts)
        if attempt.ticket:
            self.leave_limits(attempt.ticket)

    def give_back_of(self, node: int, index: int | None, amounts: Amounts, resources: Iterable[str]) -> None:
        """Note that `node` no longer holds `amounts` and uses `resources`; the core is told by the caller."""
        flow, now = self.flow, self.flow.now()
        for name, amount in amounts:
            left = flow.held[name] - amount
            left = flow.held[name] = left if left > SLACK else 0.0
            capacity = flow.core.ledger.capacity[name]
            flow.record((jr.RELEASED, now, name, "capacity", node, index, amount, left, capacity))
        for name in resources:
            users = flow.resources.leave(name)
            flow.record((jr.RELEASED, now, name, "resource", node, index, 1.0, float(users), 0.0))

    def leave_limits(self, ticket: Ticket) -> None:
        """An attempt no longer counts for the limits on its `ticket`."""
        for freed in self.flow.core.limits.leave(ticket):
            self.flow.core.offer(freed)

    def _succeed(self, attempt: Attempt, value: Any) -> None:
        node, now = attempt.node, self.flow.now()
        began = self.flow.loops.end(node) if attempt.is_turn else attempt.started
        rebuilder = self.flow.rebuilder
        if rebuilder is not None and node in rebuilder.policies:
            self._remember(attempt, value, now - began)
            return
        self._tell_success(attempt, value, now, now - began)

    def _remember(self, attempt: Attempt, value: Any, duration: float) -> None:
        """Store a value before anyone hears of it."""
        rebuilder, node = self.flow.rebuilder, attempt.node
        assert rebuilder is not None  # noqa: S101 - the caller has looked

        def tell() -> None:
            self._tell_success(attempt, self.flow.process_side.left_there(attempt, value), self.flow.now(), duration)

        if attempt.index is None:
            rebuilder.save(node, value, duration, tell)
        elif attempt.row is not None:
            rebuilder.save_item(node, attempt.row, value, duration, tell)

    def _tell_success(self, attempt: Attempt, value: Any, now: float, duration: float) -> None:
        node, index = attempt.node, attempt.index
        shown = self._show(value)
        self.flow.record((jr.COMPLETED, now, node, index, attempt.number, duration, shown))
        if index is not None:
            self.flow.map_side.put_item(node, index, value)
        else:
            self._has_value(node, value)

    def remember(self, node: int, value: Any, duration: float) -> None:
        """Store the value of an inline node without an attempt of its own; then it is done."""
        rebuilder = self.flow.rebuilder
        assert rebuilder is not None  # noqa: S101 - who else would want it remembered

        def tell() -> None:
            self.flow.record((jr.COMPLETED, self.flow.now(), node, None, 1, duration, ""))
            self._has_value(node, value)

        rebuilder.save(node, value, duration, tell)

    def part_completed(self, part: Part, value: Any) -> None:
        """What the call at `part` returned has its value: it is the call's."""
        duration = self.flow.now() - part.began
        self.flow.growth.tell(part.node, part.index, part.number, duration, self._show(value))
        if part.index is not None:
            self.flow.map_side.put_item(part.node, part.index, value)
        else:
            self._has_value(part.node, value)

    def alias_completed(self, node: int, value: Any) -> None:
        """What `node` returned, or the equal call that it stands for, has its value: it is the node's."""
        now = self.flow.now()
        self.flow.growth.tell(node, None, 1, now - self.flow.growth.began.get(node, now), self._show(value))
        self._has_value(node, value)

    def _show(self, value: Any) -> str:
        return self.flow.settings.redact(summarize(value)) if self.flow.settings.watched else ""

    def complete(self, node: int, value: Any, began: float | None = None) -> None:
        """`node` has its value without an attempt of its own: a route, a fallback, a whole map."""
        now = self.flow.now()
        shown = self._show(value)
        self.flow.record((jr.COMPLETED, now, node, None, 1, now - began if began is not None else 0.0, shown))
        self._has_value(node, value)

    def recalled(self, node: int, value: Any, entry: Entry) -> None:
        """`node` has its value from the store."""
        rebuilder = self.flow.rebuilder
        number = rebuilder.number_of(entry.run_id) if rebuilder is not None else 0
        told = (1, 0.0, entry.summary, entry.run_id, entry.made_at, entry.duration, number)
        self.flow.record((jr.RECALLED, self.flow.now(), node, None, *told))
        self._has_value(node, value)

    def kept(self, node: int, value: Any, told: tuple[Any, ...]) -> None:
        """`node` has its value from the run that this one retries."""
        self.flow.record((jr.KEPT, self.flow.now(), node, None, *told))
        self._has_value(node, value)

    def complete_map(self, node: int, results: list[Any], began: float | None = None) -> None:
        """All items of a map have their values; where some are lazy, the graph grows."""
        jump = next((r for r in results if type(r) is Jump), None) if Jump in set(map(type, results)) else None
        if jump is not None:
            self.map_failed(node, JumpError.for_unbound(self.flow.graph.label(node), jump.key), 0.0)
        elif is_lazy(results):
            self.flow.growth.grow_map(node, results, self.flow.now() if began is None else began)
        elif self.flow.rebuilder is not None and (entry := self.flow.rebuilder.whole_map(node)) is not None:
            self.recalled(node, results, entry)
        else:
            self.complete(node, results, began)

    def _has_value(self, node: int, value: Any) -> None:
        flow = self.flow
        flow.values[node] = value
        if flow.heads is not None:
            flow.heads.take(node, value)
        if flow.settings.state is not None:
            flow.settings.state.put_result(flow.graph.ids[node], value)
        flow.core.succeed(node)
        graph, uses = flow.graph, flow.uses
        needs = (
            graph.args[node] if graph.shapes[node] == REFS and node not in graph.needs else graph.needs.get(node, ())
        )
        for j in needs:
            uses[j] -= 1
            if not uses[j] and flow.core.state[j] == core_.DONE:  # a node that took its fallback did not wait for all
                flow.values[j] = GONE

    # -- failures -------------------------------------------------------------------------------------------------

    def plain_failure(self, node: int, began: float, error: BaseException) -> None:
        """An inline node without an attempt of its own raised."""
        self._finally_fail(node, 1, self.flow.now() - began, error, self._preview(node, None))

    def settle_odd(self, node: int, value: Any, began: float) -> bool:
        """An inline node without an attempt of its own returned what may be more than a value; say whether it was."""
        if type(value) is Jump:
            self.plain_failure(node, began, JumpError.for_unbound(self.flow.graph.label(node), value.key))
        elif is_lazy(value):
            is_shared = getrefcount(value) > ALONE + 1  # the caller has it, too
            self.flow.growth.returned(node, value, began, is_shared=is_shared)
        else:
            return False
        return True

    def fail_before_start(self, node: int, error: BaseException) -> None:
        """A node cannot start: its condition, its amounts or a resource that it needs failed."""
        self.tries.pop(node, None)
        self._finally_fail(node, 1, 0.0, error, {})

    def decide(self, attempt: Attempt, error: BaseException) -> None:
        """An attempt failed: try again, collect, fall back or fail for good."""
        flow = self.flow
        options = flow.graph.options(attempt.node)
        policy = options.retry if options is not None else None
        is_lost = attempt.index is not None and flow.map_side.states[attempt.node].error is not None  # the map is
        if policy is not None and attempt.number < policy.max_attempts and not is_lost and _applies(policy, error):
            if flow.core.cancelling:
                flow.stops.cancelled(attempt)
            else:
                self._try_again(attempt, policy, error)
            return
        if attempt.index is None:
            duration, inputs = flow.now() - attempt.started, self._preview(attempt.node, attempt)
            self._finally_fail(attempt.node, attempt.number, duration, error, inputs)
        else:
            self.item_failed(attempt, error)

    def attempt_of(self, part: Part) -> Attempt:
        """Return what stands for the attempt that returned `part`."""
        graph = self.flow.graph
        attempt = Attempt(part.node, graph.modes[part.node], graph.calls[part.node]._task.func, part.number)  # noqa: SLF001
        attempt.index, attempt.row, attempt.started = part.index, part.row, part.began
        return attempt

    def part_failed(self, part: Part, error: BaseException) -> None:
        """What a call returned failed, or took too long: the call did."""
        flow = self.flow
        flow.growth.stored.pop((part.node, part.index), None)
        if part.index is None:
            flow.core.reopen(part.node)
        if part.index is None and flow.graph.kinds[part.node] == MAP:
            self.map_failed(part.node, error, flow.now() - part.began)
        else:
            self.decide(self.attempt_of(part), error)

    def item_failed(self, attempt: Attempt, error: BaseException) -> None:
        """An item of a map failed for good: collect, or fail the map."""
        flow, duration = self.flow, self.flow.now() - attempt.started
        inputs = self._preview(attempt.node, attempt)
        assert attempt.index is not None  # noqa: S101 - an item has one
        if attempt.row is not None and len(self.failed_rows) < MOST_ROWS:
            self.failed_rows[attempt.node, attempt.index] = attempt.row
        state = flow.map_side.states[attempt.node]
        exception = self._note(self.label(attempt), attempt.number, error, inputs)
        self._record_failure(attempt.node, attempt.index, attempt.number, duration, exception, inputs)
        if state.collect:
            flow.map_side.put_item(attempt.node, attempt.index, exception)
        else:
            flow.map_side.fail_item(attempt.node, exception)

    def map_failed(self, node: int, error: BaseException, duration: float) -> None:
        """A map whose items have all ended fails with the `error` of one of them, or of its inputs."""
        self.flow.parts.drop_items(node)
        if any(
            note.startswith(f"In the node '{self.flow.graph.label(node)}[") for note in getattr(error, "__notes__", ())
        ):
            exception = to_exception(error, self.flow.graph.label(node))
        else:
            exception = self._note(self.flow.graph.label(node), 1, error, {})
        self._record_failure(node, None, 1, duration, exception, {})
        self.node_failed(node, exception)

    def _preview(self, node: int, attempt: Attempt | None) -> dict[str, str]:
        """Return short texts of the arguments, without secrets."""
        try:
            args, kwargs = attempt.row[1:] if attempt is not None and attempt.row else self.flow.arguments.of(node)
        except Exception:  # noqa: BLE001 - an argument that cannot be had is perhaps the very failure
            return {}
        task = self.flow.graph.calls[node]._task  # noqa: SLF001
        return {k: self.flow.settings.redact(v) for k, v in preview_arguments(task.positional, args, kwargs).items()}

    def _try_again(self, attempt: Attempt, policy: RetryPolicy, error: BaseException) -> None:
        flow, node, index = self.flow, attempt.node, attempt.index
        delay = policy.delay_after(attempt.number, random.random)
        told = _first_line(flow.settings.redact(text_of(error)))
        now = flow.now()
        flow.record(
            (jr.RETRYING, now, node, index, attempt.number, policy.max_attempts, delay, type(error).__name__, told)
        )
        if index is not None:
            flow.map_side.states[node].attempts[index] = attempt.number
        else:
            self.tries[node] = attempt.number
            flow.core.state[node] = core_.PENDING
            flow.growth.forget(node)

        def again() -> None:
            if flow.core.cancelling:
                return
            if index is not None:
                flow.map_side.try_item_again(attempt)
            elif flow.core.hold[node] & core_.PREPARE:  # what it returned before came from the store
                flow.orders.prepare(node)
            else:
                flow.core.offer(node)

        if delay > 0:
            flow.set_timer(delay, again)
        else:
            again()

    def _note(self, label: str, number: int, error: BaseException, inputs: dict[str, str]) -> Exception:
        exception = to_exception(error, label)
        hide_secrets(exception, self.flow.settings.redact)
        note_origin(exception, label, number, inputs)
        return exception

    def _finally_fail(
        self, node: int, number: int, duration: float, error: BaseException, inputs: dict[str, str]
    ) -> None:
        exception = self._note(self.flow.graph.label(node), number, error, inputs)
        self._record_failure(node, None, number, duration, exception, inputs)
        self.node_failed(node, exception)

    def _record_failure(
        self, node: int, index: int | None, number: int, duration: float, error: Exception, inputs: dict[str, str]
    ) -> None:
        redact = self.flow.settings.redact
        frames = tuple([(f, line, name, redact(code)) for f, line, name, code in own_frames(error)])
        told = redact(text_of(error))[:2000]
        kind = type(error).__name__
        causes = tuple(
            [
                (how, name, redact(said), tuple([(f, at, where, redact(code)) for f, at, where, code in path]))
                for how, name, said, path in causes_of(error)
            ]
        )
        now = self.flow.now()
        self.flow.record((jr.FAILED, now, node, index, number, duration, kind, told, frames, inputs, causes))

    def node_failed(self, node: int, error: BaseException) -> None:
        """A node failed for good and is recorded so: fall back, or stop what needs it, or everything."""
        flow = self.flow
        if flow.core.has_fallback(node):
            if flow.core.cancelling:  # nobody can say whether it would have had its fallback's value
                flow.record((jr.NODE_CANCELLED, flow.now(), node, None, flow.cancel_reason))
                flow.core.stop(node)
            else:
                self.fallen[node] = error
                flow.core.fall_back(node, "it failed")
            return
        if (guard := flow.parts.guard_of(node)) is not None:
            flow.parts.inner_failed(guard, node, error)
            return
        self.failures.append((node, error))
        if flow.settings.on_failure == "cancel":
            flow.core.state[node] = core_.RUNNING
            flow.cancel(f"'{flow.graph.label(node)}' failed")
        flow.core.fail(node)

    def keep_failure(self, node: int) -> None:
        """The fallback of a node that failed has no value: its failure counts after all."""
        error = self.fallen.pop(node)
        if (guard := self.flow.parts.guard_of(node)) is not None:
            self.flow.parts.inner_failed(guard, node, error)
        else:
            self.blame(node, error)

    def blame(self, node: int, error: BaseException) -> None:
        """The failure of a node that has ended is the run's."""
        self.failures.append((node, error))
        if self.flow.settings.on_failure == "cancel":
            self.flow.cancel(f"'{self.flow.graph.label(node)}' failed")

    # -- the end ----------------------------------------------------------------------------------------------------

    def run_timed_out(self) -> None:
        """The run's own time is over."""
        seconds = self.flow.settings.timeout or 0.0
        if not self.flow.core.cancelling:
            self.error = RunTimeoutError.after(seconds)
            self.flow.cancel(f"the run took longer than {seconds:g} s")

    def label(self, attempt: Attempt) -> str:
        """``name`` or ``name[3]``."""
        name = self.flow.graph.label(attempt.node)
        return name if attempt.index is None else f"{name}[{attempt.index}]"

    def failure(self) -> BaseException | None:
        """Return the run's error, None if it has a value."""
        errors = [error for _, error in self.failures]
        if self.error is not None:
            errors.insert(0, self.error)
        if errors:
            return join_errors(errors)
        if self.flow.core.cancelling:
            return RunCancelledError(
                f"The run was cancelled{f': {self.flow.cancel_reason}' if self.flow.cancel_reason else ''}."
            )
        for ref in refs_in(self.flow.graph.target):
            if self.flow.core.state[ref] != core_.DONE:
                return DependencyMissingError.for_skip(self.flow.graph.label(ref), self._chain(ref))
        return None

    def _chain(self, node: int) -> list[str]:
        chain: list[str] = []
        seen: set[int] = set()
        while node >= 0 and node not in seen and node in self.reasons and len(chain) < 20:  # noqa: PLR2004
            seen.add(node)
            reason, node_before = self.reasons[node]
            chain.append(f"'{self.flow.graph.label(node)}': {reason}" if chain else reason)
            node = node_before
        return chain

    def result(self) -> Any:
        """Return the value of the target."""
        return self.flow.arguments.resolve(self.flow.graph.target)


def _first_line(text: str) -> str:
    return (text.splitlines() or [""])[0][:300]


def _applies(policy: RetryPolicy, error: BaseException) -> bool:
    try:
        return policy.applies_to(error)
    except Exception:  # noqa: BLE001 - a filter that fails does not ask for another try
        return False


def _is_cancel(error: BaseException) -> bool:
    return any(k.__name__ == "CancelledError" for k in type(error).__mro__)
