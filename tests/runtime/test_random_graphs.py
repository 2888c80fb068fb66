"""Random graphs of the whole language against a naive sequential evaluator: same values, same failures, same skips."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import cascade as cs
from cascade.interfaces import events as ev
from tests.runtime.evaluator import (
    RESOURCES,
    Expected,
    Stream,
    build_container,
    expect,
    give,
    is_picked,
    nodes_in,
    shape,
)
from tests.runtime.programs import CAPACITIES, KEYS, PARAMS, Ask, Boom, Program, Step, programs


class World:
    """The lazy results of a program, and what its bodies saw while they ran."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.lock = threading.Lock()
        self.runs: Counter[str] = Counter()
        self.usage: Counter[str] = Counter()
        self.running = 0
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.params = {name: cs.Param(name, type=object, default=value) for name, value in PARAMS.items()}
        self.resources = self.make_resources()
        self.lazy: list[Any] = []
        for number, step in enumerate(program.steps):
            self.lazy.append(self.make(f"n{number}", step))
        self.target = self.ask(program.target)

    # -- resources ----------------------------------------------------------------------------------------------------

    def make_resources(self) -> list[Any]:
        @cs.resource
        def base() -> Iterator[int]:
            with self.lifetime("base"):
                yield RESOURCES["base"]

        @cs.resource
        async def upper(base: int = cs.inject("base")) -> Any:
            with self.lifetime("upper"):
                yield base + 1

        @cs.resource(scope="task")
        def own(base: int = cs.inject("base")) -> Iterator[int]:
            with self.lifetime("own"):
                yield base + 2

        @cs.resource
        def deep(upper: int = cs.inject("upper")) -> Any:
            @contextmanager
            def manager() -> Iterator[int]:
                with self.lifetime("deep"):
                    yield upper + 2

            return manager()

        return [base, upper, own, deep]

    @contextmanager
    def lifetime(self, name: str) -> Iterator[None]:
        if name in self.program.broken:
            raise Boom(name)
        with self.lock:
            self.opened.append(name)
        try:
            yield
        finally:
            with self.lock:
                self.closed.append(name)

    # -- tasks --------------------------------------------------------------------------------------------------------

    def make(self, name: str, step: Step) -> Any:
        if step.kind == "route":
            return self.make_router(name, step)
        args = [self.ask(a) for a in step.args]
        kwargs = {k: self.ask(a) for k, a in step.kwargs.items()}
        mode = None if step.mode == "async" else step.mode
        made = cs.task(name=name, mode=mode)(self.body(name, step))  # type: ignore[call-overload]
        lazy = made(*args, **kwargs) if step.kind == "task" else self.make_map(made, step, args)
        return self.refine(lazy.named(name), step)

    def make_map(self, made: Any, step: Step, args: list[Any]) -> Any:
        return made.map(*args, max_concurrency=step.width, on_error="collect" if step.collect else "fail")

    def refine(self, lazy: Any, step: Step) -> Any:
        if step.condition is not None:
            lazy = lazy.run_if(self.ask(step.condition))
        if step.after:
            lazy = lazy.after(*[self.lazy[n] for n in step.after])
        if step.fallback is not None:
            lazy = lazy.with_fallback(self.ask(step.fallback))
        if step.attempts > 1:
            lazy = lazy.with_retry(max_attempts=step.attempts, delay=0.001 if step.nap else 0.0)
        if step.amounts:
            lazy = lazy.with_constraints(**{k: self.ask(a) for k, a in step.amounts.items()})
        if step.timeout is not None:
            lazy = lazy.with_timeout(step.timeout)
        return lazy

    def make_router(self, name: str, step: Step) -> Any:
        assert step.selector is not None
        routes = {key: self.ask(a) for key, a in zip(KEYS, step.routes, strict=False)}
        rest = {} if step.default is None else {"default": self.ask(step.default)}
        return cs.Router(selector=self.ask(step.selector), routes=routes, name=name, **rest)

    def body(self, name: str, step: Step) -> Any:
        if step.mode == "compute":
            return compute_body(name, step)

        def plain(*args: Any, **kwargs: Any) -> Any:
            with self.at_work(name, step):
                if step.nap:
                    time.sleep(0.0005)
                return self.work(name, step, args, kwargs)

        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            with self.at_work(name, step):
                await asyncio.sleep(0.0005 if step.nap else 0)
                return self.work(name, step, args, kwargs)

        return coroutine if step.mode == "async" else plain

    def work(self, name: str, step: Step, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if step.kind == "map":
            if step.picky and is_picked(name, args):
                raise LookupError(name)
            return give("number", name, args, kwargs)
        with self.lock:
            before = self.runs[name] - 1
        if step.flaky < 0 or before < step.flaky:
            raise Boom(name)
        return give(step.gives, name, args, kwargs)

    @contextmanager
    def at_work(self, name: str, step: Step) -> Iterator[None]:
        amounts = {k: a.value for k, a in step.amounts.items() if a.kind == "literal"}
        with self.lock:
            self.runs[name] += 1
            self.running += 1
            for key, amount in amounts.items():
                self.usage[key] += amount
                assert self.usage[key] <= CAPACITIES[key], f"{key} is exceeded"
        try:
            yield
        finally:
            with self.lock:
                self.running -= 1
                self.usage.subtract(amounts)

    # -- expressions --------------------------------------------------------------------------------------------------

    def ask(self, ask: Ask) -> Any:
        if ask.kind == "literal":
            return ask.value
        if ask.kind == "param":
            return self.params[ask.value]
        if ask.kind == "resource":
            return cs.inject(ask.value)
        if ask.kind == "stream":
            return Stream(ask.value)
        if ask.kind == "node":
            return self.lazy[ask.value]
        parts = [self.ask(p) for p in ask.parts]
        if ask.kind == "item":
            return self.lazy[ask.value][parts[0]]
        if ask.kind == "unmapped":
            return cs.unmapped(parts[0])
        return build_container(ask.kind, parts)


def compute_body(name: str, step: Step) -> Any:
    def body(*args: Any, **kwargs: Any) -> Any:
        if step.kind == "map" and step.picky and is_picked(name, args):
            raise LookupError(name)
        if step.flaky < 0:
            raise Boom(name)
        return give("number" if step.kind == "map" else step.gives, name, args, kwargs)

    return body


def final_states(run: Any) -> dict[str, str]:
    """Replay the events: the last word about each node, and what was said of nodes that ran."""
    states: dict[str, str] = {}
    for event in run.events:
        if isinstance(event, ev.NodeEvent) and event.index is None:
            if isinstance(event, ev.NodeCompleted):
                states[event.name] = "done"
            elif isinstance(event, ev.NodeFailed):
                states[event.name] = "failed"
            elif isinstance(event, ev.NodeSkipped):
                states[event.name] = "skipped"
            elif isinstance(event, ev.NodeCancelled):
                states[event.name] = "cancelled"
    return states


def blamed(error: BaseException) -> list[set[str]]:
    """Return, for each error that a run raised, the names of the nodes that it is about; a resource's has many."""
    leaves = error.exceptions if isinstance(error, BaseExceptionGroup) else [error]
    return [
        {note.split("'")[1].split("[")[0] for note in getattr(leaf, "__notes__", ()) if note.startswith("In the node")}
        for leaf in leaves
    ]


def start(world: World, **options: Any) -> Any:
    return cs.start(world.target, system_resources=CAPACITIES, log_level=None, resources=world.resources, **options)


def needs_a_run(program: Program) -> bool:
    return bool(nodes_in(program.target))


def check(program: Program, expected: Expected, **options: Any) -> None:
    world = World(program)
    run = start(world, on_failure="continue", **options)
    error = run.exception(20)
    states = final_states(run)
    for name, state in expected.states.items():
        wanted = "skipped" if state == "never" else state
        assert states.get(name, "absent") in (wanted, *["absent"] * (state == "never")), f"{name}: {states}"
    for name, count in expected.runs.items():
        if program.steps[int(name[1:])].mode != "compute":
            assert world.runs[name] == count, f"{name} ran {world.runs[name]} times"
    if expected.ends == "failures":
        assert error is not None
        assert all(names & expected.failed for names in blamed(error))
        assert set().union(*blamed(error)) >= expected.failed
    elif expected.ends == "skipped":
        assert isinstance(error, cs.DependencyMissingError)
    elif expected.ends == "broken":
        assert isinstance(error, (KeyError, IndexError, TypeError))
    else:
        assert error is None
        assert shape(run.result()) == shape(expected.value)
    check_quiet(world)
    check_log(run)


def check_quiet(world: World) -> None:
    """Nothing runs, every resource that was opened is closed, in reverse order."""
    assert world.running == 0
    assert Counter(world.opened) == Counter(world.closed)
    shared = [name for name in world.opened if name != "own"]
    assert [name for name in world.closed if name != "own"] == shared[::-1]


def check_log(run: Any) -> None:
    """The events alone tell a whole story: every attempt that began ended once, every amount taken came back."""
    events = run.events
    assert [event.seq for event in events] == list(range(len(events)))
    assert isinstance(events[0], ev.RunStarted)
    begun: Counter[Any] = Counter()
    usage: Counter[str] = Counter()
    ended = (ev.NodeCompleted, ev.NodeFailed, ev.NodeRetrying, ev.NodeCancelled)
    for event in events:
        if isinstance(event, ev.NodeStarted):
            begun[event.node, event.index] += 1
            assert begun[event.node, event.index] == 1, f"{event.label} began twice"
        elif isinstance(event, ended) and begun[event.node, event.index]:
            begun[event.node, event.index] -= 1
        elif isinstance(event, ev.ItemsCompleted):
            begun[event.node, event.first] = 0
        elif isinstance(event, ev.ResourceAcquired | ev.ResourceReleased):
            usage[event.resource] += event.amount if isinstance(event, ev.ResourceAcquired) else -event.amount
            assert usage[event.resource] == event.usage
            assert event.kind == "resource" or event.usage <= event.capacity
    assert not +begun, "attempts without an end"
    assert not any(usage.values()), "amounts that were not given back"
    finished = [event for event in events if isinstance(event, ev.RunFinished)]
    assert [event.status for event in finished] == [run.state]


SETTINGS = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


@SETTINGS
@given(programs())
def test_run_gives_what_a_sequential_evaluator_gives(program: Program) -> None:
    """A run in threads, on a loop and inline has the values, failures and skips of a plain sequential reading."""
    assume(needs_a_run(program))
    check(program, expect(program))


@pytest.mark.slow
@SETTINGS
@given(programs())
def test_callers_loop_gives_the_same(program: Program) -> None:
    """With the caller's own loop for async tasks and resources, the values, failures and skips are the same."""
    assume(needs_a_run(program))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(check, program, expect(program), _loop=loop)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


@SETTINGS
@given(programs())
def test_first_failure_stops_the_rest(program: Program) -> None:
    """With on_failure="cancel" the error is one of those that were to come, and nothing goes on behind it."""
    assume(needs_a_run(program))
    expected = expect(program)
    world = World(program)
    run = start(world)
    error = run.exception(20)
    if expected.ends == "failures":
        assert error is not None
        assert all(names & expected.failed for names in blamed(error))
    elif expected.ends == "value":
        assert shape(run.result()) == shape(expected.value)
    check_quiet(world)
    check_log(run)


@pytest.mark.slow
@SETTINGS
@given(programs(), st.integers(0, 30))
def test_cancel_at_any_moment_leaves_nothing_behind(program: Program, moment: int) -> None:
    """A run that is cancelled after some events ends at once, with its resources closed and its amounts back."""
    assume(needs_a_run(program))
    world = World(program)
    run = start(world, on_failure="continue")
    deadline = time.perf_counter() + 0.05
    while len(run.events) < moment and not run.done() and time.perf_counter() < deadline:
        time.sleep(0.0002)
    run.cancel("a test")
    run.exception(20)
    check_quiet(world)
    check_log(run)
    assert run.state in ("cancelled", "completed", "failed")


@pytest.mark.slow
@settings(SETTINGS, max_examples=10)
@given(programs(modes=("compute", "inline"), most=6))
def test_processes_give_the_same(program: Program) -> None:
    """Tasks in other processes give the same values, failures and skips."""
    assume(needs_a_run(program))
    check(program, expect(program))
