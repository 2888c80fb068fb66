"""A flow without a driver, for tests that say themselves what starts, what ends how, and what time it is.

In: `Call`s. Out: the state machine of a run with all that obeys it (orders, outcomes, maps, loops, growth), but no
thread, no loop and no time of its own. Invariant: nothing happens but what the test asks for.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

import cascade as cs
from cascade.adapters.solvers.native import NativeSolver
from cascade.graph.build import build
from cascade.graph.check import check_amounts
from cascade.graph.ledger import Ledger
from cascade.graph.model import INLINE, LOOP, MAP, THREAD
from cascade.interfaces import events as ev
from cascade.runtime.flow import Flow, Settings
from cascade.runtime.journal import Journal
from cascade.runtime.limits import Limits
from cascade.runtime.resource_manager import ResourceManager
from cascade.runtime.scheduler import CANCELLED, DONE, FAILED, PENDING, RUNNING, SKIPPED
from cascade.spec.constraint import GlobalConstraint
from tests.runtime.core_model import CONSTANT, Call, Expr

__all__ = ["CAPACITY", "HEAPS", "LIMITS", "WORDS", "Hand", "draw_calls"]

CAPACITY = {"cpu": 2.0, "db": 1.0}
WORDS = {
    PENDING: "pending",
    RUNNING: "running",
    DONE: "done",
    FAILED: "failed",
    SKIPPED: "skipped",
    CANCELLED: "cancelled",
}
HEAPS = {"inline": INLINE, "blocking": THREAD, "async": LOOP}


@cs.task(mode="inline")
def step(*needs: object) -> None:
    """Never called: the machine says what comes of it."""


@cs.task
def work(*needs: object) -> None:
    """The same for threads."""


@cs.task
async def wait(*needs: object) -> None:
    """The same for the loop."""


TASKS = {"inline": step, "blocking": work, "async": wait}


class HandClock:
    """Time that stands still until a test moves it."""

    sleepers = 0

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    wall = now

    def wait(self, bell: Any, seconds: float, *, idle: bool) -> None:
        raise AssertionError("nobody waits")


class Hand:
    """A flow without a driver: whoever has it says what starts, what ends how, and what time it is."""

    def __init__(self, calls: list[Call], targets: Expr) -> None:
        self.lazy: dict[str, Any] = {}
        self.write(calls)
        self.clock = HandClock()
        graph = build([self.lazy[name] for name in targets])
        journal = Journal("by hand", graph, self.clock)
        rules = Settings()
        rules.on_failure = "continue"
        rules.clock = self.clock
        rules.admit = lambda graph, nodes, _inputs: ({}, check_amounts(graph, CAPACITY, nodes), {})
        self.flow = Flow(
            graph, NativeSolver().solve(graph), journal, Ledger(CAPACITY), Limits(self.clock.now, self.clock.wall),
            ResourceManager({}, journal), {}, check_amounts(graph, CAPACITY), rules,
        )  # fmt: skip
        self.kept = 0
        self.keep_values()
        self.flow.orders.begin()
        self.obey()

    # -- writing ----------------------------------------------------------------------------------------------------

    def write(self, calls: list[Call]) -> None:
        for call in calls:
            self.lazy[call.name] = self.make(call)

    def value(self, expr: Expr) -> Any:
        values = [self.lazy[name] for name in expr]
        return CONSTANT if not values else values[0] if len(values) == 1 else values

    def make(self, call: Call) -> Any:
        if call.kind == "route":
            rest = {} if call.default is None else {"default": self.value(call.default)}
            routes = {key: self.value(expr) for key, expr in enumerate(call.routes)}
            return cs.Router(selector=self.lazy[call.selector], routes=routes, name=call.name, **rest)
        task, needs = TASKS[call.mode], [self.lazy[name] for name in call.needs]
        if call.kind == "map":
            made = task.map(
                list(range(call.items)), *map(cs.unmapped, needs), max_concurrency=call.width,
                on_error="collect" if call.collect else "fail",
            )  # fmt: skip
        else:
            made = task(*needs)
        if call.kind == "loop":
            made = cs.bind(made, cs.select_jump({"on": task, "end": None}))
        return self.refine(made.named(call.name), call)

    def refine(self, made: Any, call: Call) -> Any:
        if call.gate is not None:
            made = made.run_if(self.value(call.gate))
        if call.after:
            made = made.after(*[self.lazy[name] for name in call.after])
        if call.fallback is not None:
            made = made.with_fallback(self.value(call.fallback))
        if call.attempts > 1:
            made = made.with_retry(max_attempts=call.attempts, delay=call.delay)
        if call.amounts:
            made = made.with_constraints(**{k: self.lazy[a] if isinstance(a, str) else a for k, a in call.amounts})
        return made

    def keep_values(self) -> None:
        """Let no value go: a call that has ended may be returned again, and is then not made anew."""
        uses = self.flow.uses
        for node in range(self.kept, len(uses)):
            uses[node] += 1
        self.kept = len(uses)

    # -- driving ----------------------------------------------------------------------------------------------------

    def obey(self) -> None:
        """Do what the driver does between two starts."""
        flow = self.flow
        while flow.inbox or flow.core.orders or (flow.timers and flow.timers[0][0] <= self.clock.time):
            while flow.inbox:
                flow.inbox.popleft()()
            if flow.timers and flow.timers[0][0] <= self.clock.time:
                due = flow.timers[0]
                flow.timers.remove(due)
                flow.timers.sort()
                due[2]()
            flow.orders.carry_out()
        flow._look_at_limits(self.clock.time)
        self.keep_values()

    def take(self, mode: str) -> tuple[str, Any]:
        """Start what the core hands out next; return its name (empty: nothing) and attempt (None: no item)."""
        flow = self.flow
        node = flow.core.take(HEAPS[mode])
        if node < 0:
            return "", None
        name = flow.graph.label(node)
        is_map = flow.graph.kinds[node] == MAP
        if is_map and flow.map_side.open(node) is None:
            return name, None
        attempt = flow.make_attempt(node, THREAD)
        if attempt is not None:
            if is_map:
                flow.map_side.offer_more(node)
            flow.begin_attempt(attempt)
        return name, attempt

    def set_limit(self, limit: GlobalConstraint) -> None:
        flow = self.flow
        running = []
        for attempt in flow.running:
            attempt.ticket = attempt.ticket or []
            running.append((flow.core.names(attempt.node), attempt.ticket))
        freed = flow.core.limits.set(limit, running)
        flow.journal.tell(ev.LimitSet, limit_id=limit.id, scope=limit.scope, kind=limit.type)
        for node in freed:
            flow.core.offer(node)

    def remove_limit(self, limit_id: str) -> None:
        freed = self.flow.core.limits.remove(limit_id)
        self.flow.journal.tell(ev.LimitRemoved, limit_id=limit_id)
        for node in freed:
            self.flow.core.offer(node)


# -- drawing --------------------------------------------------------------------------------------------------------


def draw_calls(draw: Any, first: int, least: int, most: int, known: list[str]) -> list[Call]:
    """Draw calls, the first of which is number `first`; they refer to each other and to those `known`."""
    calls: list[Call] = []
    names = list(known)
    for number in range(first, first + draw(st.integers(least, most))):
        calls.append(draw_call(draw, f"n{number}", names))
        names.append(f"n{number}")
    return calls


def draw_call(draw: Any, name: str, names: list[str]) -> Call:
    recent = names[-5:]
    exprs = st.lists(st.sampled_from(recent), max_size=2, unique=True).map(tuple) if recent else st.just(())
    kind = draw(st.sampled_from(["task", "task", "task", "map", "loop", "route"] if recent else ["task", "map"]))
    if kind == "route":
        routes = tuple(draw(st.lists(exprs, min_size=1, max_size=3)))
        default = draw(st.none() | exprs)
        return Call(name, kind, selector=draw(st.sampled_from(recent)), routes=routes, default=default)
    said: dict[str, Any] = {"mode": draw(st.sampled_from(sorted(HEAPS))), "needs": draw(exprs)}
    seldom = st.integers(0, 3).map(lambda n: n == 3)
    if draw(seldom):
        said["after"] = draw(exprs)
    if recent and draw(seldom):
        said["gate"] = draw(exprs)
    if draw(seldom):
        said["fallback"] = draw(exprs)
    if draw(st.booleans()):
        amounts = st.sampled_from([0.5, 1.0, 1.0]) if not recent else st.sampled_from([0.5, 1.0, 1.0, *recent[-1:]])
        found = draw(st.dictionaries(st.sampled_from(sorted(CAPACITY)), amounts, min_size=1))
        said["amounts"] = tuple(sorted(found.items()))
    if draw(seldom):
        said |= {"attempts": draw(st.integers(2, 3)), "delay": draw(st.sampled_from([0.0, 0.0, 1.0]))}
    if kind == "map":
        said |= {"items": draw(st.sampled_from([3, 3, 2, 5, 0])), "collect": draw(st.booleans())}
        said["width"] = draw(st.sampled_from([None, None, 1, 2]))
    return Call(name, kind, **said)


LIMITS = (
    st.builds(
        GlobalConstraint,
        st.sampled_from(["x", "y", "z"]),
        st.sampled_from(["global", "task:work", "task:step", "task:n1*", "task:n[02468]"]),
        st.just("concurrency"),
        st.builds(lambda n: {"limit": n}, st.integers(1, 2)),
    )
    | st.builds(
        GlobalConstraint,
        st.sampled_from(["x", "y", "z"]),
        st.sampled_from(["global", "task:work", "task:n[02468]"]),
        st.just("rate_limit"),
        st.builds(lambda r, c: {"rate": r, "capacity": c}, st.sampled_from([0.5, 1.0, 2.0]), st.sampled_from([1, 2])),
    )
    | st.builds(GlobalConstraint, st.sampled_from(["x", "y"]), st.sampled_from(["global", "task:wait", "task:n1*"]))
)
