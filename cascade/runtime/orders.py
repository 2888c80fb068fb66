"""What the scheduler core orders beside starts: conditions, routes, fallbacks, preparations, and things to tell.

In: orders. Out: facts back to the core, records. Invariant: runs on the driver, under the lock; what a user's value
does when it is asked for its truth or its key can fail the node, never the run's machinery.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from cascade.graph.build import refs_in
from cascade.graph.check import check_amount
from cascade.graph.model import MAP
from cascade.graph.order import may_need
from cascade.interfaces import events as ev
from cascade.interfaces.exceptions import RouteError
from cascade.runtime import journal as jr
from cascade.runtime import scheduler as core_
from cascade.spec.constraint import LIMIT, describe_limit
from cascade.spec.policy import UNSET

if TYPE_CHECKING:
    from cascade.runtime.flow import Flow

__all__ = ["Orders"]

HOLDERS = 20  # that a waiting node is told at most


class Orders:
    """Carries out the core's orders for one flow."""

    __slots__ = ("_chosen", "flow")

    def __init__(self, flow: Flow) -> None:
        """Begin with nothing chosen."""
        self.flow = flow
        self._chosen: dict[int, object] = {}

    def begin(self) -> None:
        """Tell the core which nodes need preparation, and let it begin."""
        graph, special = self.flow.graph, {*self.flow.graph.resources, *self.flow.graph.amounts}
        if self.flow.rebuilder is not None:
            self.flow.core.recalled.update(self.flow.rebuilder.recalled)
            special.update(self.flow.rebuilder.policies)
        if self.flow.settings.kept is not None:
            self.flow.core.recalled.update(self.flow.settings.kept.values)
            self.flow.mark_remembered(self.flow.settings.kept.items)
        self.flow.core.begin(refs_in(graph.target), self.to_prepare(special))

    def to_prepare(self, nodes: Iterable[int]) -> set[int]:
        """Return those of `nodes` for which something must be done between their needs being met and their start."""
        flow, graph, given = self.flow, self.flow.graph, set(nodes)
        found = {n for n in given & graph.resources.keys() if flow.resources.uses(graph.resources[n])[0]}
        if flow.rebuilder is not None:
            found.update(n for n in given & flow.rebuilder.policies.keys() if graph.kinds[n] != MAP)
        amounts = {n: graph.amounts[n].values() for n in given & graph.amounts.keys()}
        return found | {n for n, each in amounts.items() if any(refs_in(a) or _is_slot(a) for a in each)}

    def carry_out(self) -> None:
        """Do everything that is ordered, what follows from it included."""
        core = self.flow.core
        while core.orders:
            orders, core.orders = core.orders, []
            for order, node, text, because in orders:
                if node < 0:
                    self.flow.parts.hear(node, (text, because) if order == core_.TELL_PART_LOST else None)
                    continue
                self._carry_out(order, node, text, because)
                if because in self.flow.parts.forgiven:
                    self.flow.parts.spread(node, because)

    def _carry_out(self, order: str, node: int, text: str, because: int) -> None:
        core = self.flow.core
        if order == core_.EVALUATE:
            self._guard(node, self._evaluate)
        elif order == core_.MAKE_READY:
            self._guard(node, self._make_ready)
        elif order == core_.USE_FALLBACK:
            if core.state[node] == core_.PENDING:
                core.choose(node, refs_in(self.flow.graph.fallbacks[node]))
        elif order == core_.KEEP_FAILURE:
            self.flow.outcomes.keep_failure(node)
        elif order == core_.LET_GO:
            self.flow.loops.let_go_of(node)
        elif order != core_.LOOK_AGAIN:  # an order makes the driver look at all modes: that is all
            self._tell(order, node, text, because)

    def _guard(self, node: int, step: Any) -> None:
        if self.flow.core.state[node] != core_.PENDING:
            return
        try:
            step(node)
        except BaseException as error:  # noqa: BLE001 - the fault of a user's value fails its node
            self.flow.outcomes.fail_before_start(node, error)

    # -- conditions, routes, fallbacks ------------------------------------------------------------------------------

    def _evaluate(self, node: int) -> None:
        flow, graph = self.flow, self.flow.graph
        if node in graph.fallbacks and not flow.core.has_fallback(node):
            flow.outcomes.complete(node, flow.arguments.resolve(graph.fallbacks[node]))
        elif flow.settings.kept is not None and flow.settings.kept.give(flow, node):
            return
        elif node in flow.core.recalled:
            rebuilder = flow.rebuilder
            assert rebuilder is not None  # noqa: S101 - who else would have recalled it
            rebuilder.recall(node, rebuilder.recalled[node])
        elif node in graph.aliases:
            flow.outcomes.alias_completed(node, flow.arguments.resolve(graph.aliases[node]))
        elif node in graph.routes:
            self._route(node)
        elif flow.arguments.resolve(graph.gates[node]):
            flow.core.open_gate(node)
        else:
            flow.core.skip(node, "its run_if is false")

    def _route(self, node: int) -> None:
        flow = self.flow
        route = flow.graph.routes[node]
        if node in self._chosen:
            flow.outcomes.complete(node, flow.arguments.resolve(self._chosen[node]))
            return
        key = flow.arguments.resolve(route.selector)
        try:
            slot = route.branches.get(key, route.default)
        except TypeError:
            slot = route.default
        if slot is UNSET:
            raise RouteError.for_key(route.label, key, route.branches)
        taken = str(key) if slot is not route.default else f"{key} (otherwise)"
        flow.record((jr.CHOSEN, flow.now(), node, flow.settings.redact(taken)[:80]))
        self._chosen[node] = slot
        flow.core.choose(node, refs_in(slot))

    # -- preparations ---------------------------------------------------------------------------------------------

    def _make_ready(self, node: int) -> None:
        rebuilder = self.flow.rebuilder
        if rebuilder is None or node not in rebuilder.policies or self.flow.graph.kinds[node] == MAP:
            self._prepare(node)
        else:
            rebuilder.check(node, lambda: self.prepare(node))

    def prepare(self, node: int) -> None:
        """Nothing stored serves `node`: have done what must be done before it starts."""
        self._guard(node, self._prepare)

    def _prepare(self, node: int) -> None:
        flow, graph = self.flow, self.flow.graph
        if node in graph.amounts:
            self._compute_amounts(node)
        wanted = flow.resources.uses(graph.resources[node])[0] if node in graph.resources else ()
        pending = len(wanted)

        def one_done(error: BaseException | None) -> None:
            nonlocal pending
            pending -= 1
            if pending < 0 or flow.core.state[node] != core_.PENDING:
                return
            if error is not None:
                pending = 0  # one failure is enough
                flow.outcomes.fail_before_start(node, error)
            elif not pending:
                flow.core.prepared(node)

        if not pending:
            flow.core.prepared(node)
        for name in wanted:
            flow.resources.request(name, one_done)

    def _compute_amounts(self, node: int) -> None:
        flow = self.flow
        label, found = flow.graph.label(node), {}
        capacity = flow.core.ledger.capacity
        for name, slot in flow.graph.amounts[node].items():
            amount = check_amount(label, name, flow.arguments.resolve(slot), capacity)
            if amount:
                found[name] = amount
        flow.core.set_amounts(node, tuple(sorted(found.items())))

    # -- telling --------------------------------------------------------------------------------------------------

    def _tell(self, order: str, node: int, text: str, because: int) -> None:
        flow, now = self.flow, self.flow.now()
        if order == core_.TELL_SKIPPED:
            flow.outcomes.reasons[node] = (text, because)
            self._keep_skip(node, text)
            flow.record((jr.SKIPPED, now, node, text, because))
        elif order == core_.TELL_CANCELLED:
            flow.record((jr.NODE_CANCELLED, now, node, None, flow.cancel_reason))
        elif order == core_.TELL_HELD:
            flow.journal.tell(ev.NodeHeld, node=flow.graph.ids[node], name=flow.graph.labels[node])
        elif order == core_.TELL_LIMITED:
            limit = flow.core.limits.find(text)
            if limit is not None:
                told = describe_limit(limit.type, limit.scope, limit.params)
                reason = f"waits, since a limit is in force: {told}"
                flow.record((jr.WAITING, now, node, None, f"{LIMIT}{told}", reason, ()))
        elif order == core_.TELL_WAITING:
            holders = self.holders(text)
            shown = f", held by {', '.join(holders[:3])}{' …' if len(holders) > 3 else ''}" if holders else ""  # noqa: PLR2004
            flow.record((jr.WAITING, now, node, None, text, f"waits for {text}{shown}", holders))

    def _keep_skip(self, node: int, reason: str) -> None:
        state = self.flow.settings.state
        if state is not None:
            state.mark_skipped(self.flow.graph.ids[node], reason)

    def holders(self, name: str) -> tuple[str, ...]:
        """Return the labels of the attempts that hold some of the capacity `name`."""
        ids = self.flow.graph.ids
        held = islice((a for a in self.flow.running if any(n == name for n, _ in a.amounts)), HOLDERS)
        return tuple([ids[a.node] if a.index is None else f"{ids[a.node]}[{a.index}]" for a in held])

    def tell_unneeded(self) -> None:
        """At the end: say why each node that was never needed did not run."""
        flow, graph = self.flow, self.flow.graph
        idle = [n for n in graph.order if flow.core.state[n] == core_.PENDING]
        if not idle:
            return
        wanted_by: dict[int, int] = {}
        for consumer in graph.order:
            for node in may_need(graph, consumer):
                wanted_by.setdefault(node, consumer)
        for node in reversed(idle):
            consumer = wanted_by.get(node, -1)
            reason = "nothing needs it"
            if consumer >= 0:
                label = graph.label(consumer)
                routed = consumer in graph.routes and flow.core.state[consumer] == core_.DONE
                reason = f"'{label}' took another route" if routed else f"only '{label}' needs it, which did not run"
                if flow.rebuilder is not None and flow.rebuilder.is_stored(consumer):
                    reason = f"only '{label}' needs it, which came from the store"
                if flow.settings.kept is not None and consumer in flow.settings.kept.told:
                    reason = f"only '{label}' needs it, which was kept from the run before"
            flow.core.state[node] = core_.SKIPPED
            flow.outcomes.reasons[node] = (reason, consumer)
            self._keep_skip(node, reason)
            flow.record((jr.SKIPPED, flow.now(), node, reason, consumer))


def _is_slot(value: object) -> bool:
    return not isinstance(value, (int, float))
