"""Random graphs of the whole language against a naive sequential evaluator: same values, same failures, same skips."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import cascade as cs
from cascade.interfaces import events as ev
from tests.runtime.by_hand import WORDS
from tests.runtime.core_model import Replay
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
    turn_value,
)
from tests.runtime.programs import CAPACITIES, KEYS, PARAMS, Ask, Boom, Pair, Program, Step, programs

assert Pair  # the programs' dataclass: a graph file may name it, since it stands here beside tasks


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
        self.target = self.write(program, "n", [])

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

    def write(self, program: Program, prefix: str, around: list[Any]) -> Any:
        """Return the target of `program`; names of its nodes begin with `prefix`, outer ones are those `around`."""
        scope = Scope(self.params, around)
        tasks: list[Any] = []
        for number, step in enumerate(program.steps):
            if step.kind == "twin":
                twin = program.steps[step.twin]
                tasks.append(None)
                scope.lazy.append(self.call(f"{prefix}{step.twin}", twin, tasks[step.twin], scope))
            else:
                name = f"{prefix}{number}"
                mode = None if step.mode == "async" else step.mode
                decorated = cs.task(name=name, mode=mode, pure=step.pure)  # type: ignore[call-overload]
                body = self.body(name, step, scope)
                body.__qualname__ = f"body_of_{name}"  # a graph file tells tasks apart by it
                tasks.append(decorated(body))
                scope.lazy.append(self.call(name, step, tasks[number], scope))
        return scope.ask(program.target)

    def call(self, name: str, step: Step, made: Any, scope: Scope) -> Any:
        if step.kind == "route":
            return self.make_router(name, step, scope)
        args = [scope.ask(a) for a in step.args]
        kwargs = {k: scope.ask(a) for k, a in step.kwargs.items()}
        if step.kind == "map":
            lazy = made.map(*args, max_concurrency=step.width, on_error="collect" if step.collect else "fail")
        elif step.kind == "loop":
            routes = {"on": made, "other": self.other_turn(name, step), "end": None}
            lazy = cs.bind(made(*args), cs.select_jump(routes))
        else:
            lazy = made(*args, **kwargs)
        return self.refine(lazy.named(name), step, scope)

    def refine(self, lazy: Any, step: Step, scope: Scope) -> Any:
        if step.condition is not None:
            lazy = lazy.run_if(scope.ask(step.condition))
        if step.after:
            lazy = lazy.after(*[scope.lazy[n] for n in step.after])
        if step.fallback is not None:
            lazy = lazy.with_fallback(scope.ask(step.fallback))
        if step.attempts > 1:
            lazy = lazy.with_retry(max_attempts=step.attempts, delay=0.001 if step.nap else 0.0)
        if step.amounts:
            lazy = lazy.with_constraints(**{k: scope.ask(a) for k, a in step.amounts.items()})
        if step.timeout is not None:
            lazy = lazy.with_timeout(step.timeout)
        return lazy

    def make_router(self, name: str, step: Step, scope: Scope) -> Any:
        assert step.selector is not None
        routes = {key: scope.ask(a) for key, a in zip(KEYS, step.routes, strict=False)}
        rest = {} if step.default is None else {"default": scope.ask(step.default)}
        return cs.Router(selector=scope.ask(step.selector), routes=routes, name=name, **rest)

    def other_turn(self, name: str, step: Step) -> Any:
        """Return a second state of a loop: an async task that does the same."""

        async def other(*args: Any) -> Any:
            with self.at_work(name, step):
                return self.turn(name, step, args)

        other.__qualname__ = f"other_turn_of_{name}"
        return cs.task(name=f"{name} too")(other)

    def body(self, name: str, step: Step, scope: Scope) -> Any:
        if step.mode == "compute":
            return compute_body(name, step)

        def plain(*args: Any, **kwargs: Any) -> Any:
            with self.at_work(name, step):
                if step.nap:
                    time.sleep(0.0005)
                return self.work(name, step, args, kwargs, scope)

        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            with self.at_work(name, step):
                await asyncio.sleep(0.0005 if step.nap else 0)
                return self.work(name, step, args, kwargs, scope)

        return coroutine if step.mode == "async" else plain

    def work(self, name: str, step: Step, args: tuple[Any, ...], kwargs: dict[str, Any], scope: Scope) -> Any:
        if step.kind == "loop":
            return self.turn(name, step, args)
        if step.kind == "map":
            picked = step.picky and is_picked(name, args)
            if picked and not step.late:
                raise LookupError(name)
            value = give("number", name, args, kwargs)
            return value if step.inner is None else self.item_task(f"{name}.item", fails=picked)(value)
        with self.lock:
            before = self.runs[name] - 1
        if step.flaky < 0 or before < step.flaky:
            raise Boom(name)
        if step.inner is not None:
            return self.write(step.inner, f"{name}.", scope.lazy)
        return give(step.gives, name, args, kwargs)

    def item_task(self, name: str, *, fails: bool) -> Any:
        def item(value: Any) -> Any:
            if fails:
                raise LookupError(name)
            return give("number", name, (value,), {})

        return cs.task(item, name=name, mode="inline")

    def turn(self, name: str, step: Step, args: tuple[Any, ...]) -> Any:
        """Take a turn of a loop: every second one in another task."""
        turn, value = args[0] if type(args[0]) is Turn else (0, args[0])
        if turn < step.turns:
            return cs.Jump("other" if turn % 2 else "on", data=Turn(turn + 1, turn_value(name, turn, value)))
        if step.ends == "value":
            return ["end", value]
        return cs.Jump("end", data=["end", value]) if step.ends == "data" else cs.Jump("end")

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


class Turn(NamedTuple):
    """What a turn of a loop gets from the one before."""

    number: int
    value: Any


class Scope:
    """What the expressions of one program refer to."""

    def __init__(self, params: dict[str, Any], around: list[Any]) -> None:
        self.params = params
        self.around = around
        self.lazy: list[Any] = []

    def ask(self, ask: Ask) -> Any:
        """Return what `ask` means in cascade."""
        if ask.kind == "literal":
            return ask.value
        if ask.kind == "param":
            return self.params[ask.value]
        if ask.kind == "resource":
            return cs.inject(ask.value)
        if ask.kind == "stream":
            return Stream(ask.value)
        if ask.kind in ("node", "outer"):
            return (self.lazy if ask.kind == "node" else self.around)[ask.value]
        parts = [self.ask(p) for p in ask.parts]
        if ask.kind == "item":
            lazy = self.lazy[ask.value]
            for key in parts:
                lazy = lazy[key]
            return lazy
        if ask.kind == "unmapped":
            return cs.unmapped(parts[0])
        return build_container(ask.kind, parts)


def compute_body(name: str, step: Step) -> Any:
    def body(*args: Any, **kwargs: Any) -> Any:
        if step.kind == "map" and step.picky and is_picked(name, args):
            raise LookupError(name)
        if step.flaky < 0 and step.kind != "map":
            raise Boom(name)
        return give("number" if step.kind == "map" else step.gives, name, args, kwargs)

    return body


def final_states(run: Any) -> dict[str, str]:
    """Return the last word of the events about each node, by name.

    A name may be that of several nodes: equal calls of a pure task that came up while the run went on, of which one
    runs and the others have its value or none, and calls whose value was gone when something returned needed it again.
    """
    replay = Replay(run.events)
    names = dict(zip(run.graph.ids, run.graph.labels, strict=True))
    states: dict[str, str] = {}
    for node, name in names.items():
        state = replay.state_of(node)
        if state != "skipped" or name not in states:
            states[name] = state
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


def check(
    program: Program, expected: Expected, *, make: Callable[[Program], World] | None = None, **options: Any
) -> None:
    """Run a program and compare everything with what a sequential reading gives; `make` makes its world."""
    if expected.unclear:
        return
    world = (make or World)(program)
    run = start(world, on_failure="continue", **options)
    error = run.exception(20)
    states = final_states(run)
    for name, state in expected.states.items():
        if state == "any":
            continue
        wanted = "skipped" if state == "never" else state
        assert states.get(name, "absent") in (wanted, *["absent"] * (state == "never")), f"{name}: {states}"
    for name, count in expected.runs.items():
        if name in expected.loose:
            continue
        ran = world.runs[name]
        assert ran == count or (expected.again and ran > count) or name not in world.runs, f"{name} ran {ran} times"
    check_words(run, expected)
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


def check_words(run: Any, expected: Expected) -> None:
    """Failures are of the type, and have the text, that the task raised; skips say what was missing."""
    failed: dict[str, tuple[str, str]] = {}
    for event in run.events:
        if isinstance(event, ev.NodeFailed) and event.index is None:
            failed[event.name] = (event.error_type, event.error)  # the last word, should a fallback fail as well
        elif isinstance(event, ev.NodeSkipped) and event.name in expected.reasons.keys() - expected.loose:
            said = {event.reason}
            if "#" in event.because:  # an equal call, which may have been skipped since the first one failed
                said.add(event.reason.replace("was skipped", "failed"))
            is_equal = event.reason.startswith(f"needs '{event.name}',")  # to one that was skipped, for its reason
            assert is_equal or said & expected.reasons[event.name]
    for name in expected.failed:
        kind, text = failed[name]
        assert {(kind, text), (kind, None)} & expected.errors[name]


def check_quiet(world: World) -> None:
    """Nothing runs, every resource that was opened is closed, in reverse order."""
    assert world.running == 0
    assert Counter(world.opened) == Counter(world.closed)
    shared = [name for name in world.opened if name != "own"]
    assert [name for name in world.closed if name != "own"] == shared[::-1]


def check_log(run: Any) -> None:
    """The events alone tell the whole story: how everything ended, that each attempt did, that all was given back."""
    events = run.events
    replay = Replay(events)
    core = run._flow.core
    for node, identity in enumerate(run.graph.ids):
        assert replay.state_of(identity) == WORDS[core.state[node]], f"{identity}: {WORDS[core.state[node]]}"
    assert isinstance(events[0], ev.RunStarted)
    begun: Counter[Any] = Counter()
    ended = (ev.NodeCompleted, ev.NodeFailed, ev.NodeRetrying, ev.NodeCancelled, ev.GraphGrown)
    for event in events:
        if isinstance(event, ev.NodeStarted):
            begun[event.node, event.index] += 1
            assert begun[event.node, event.index] == 1, f"{event.label} began twice"
        elif isinstance(event, ended) and begun[event.node, event.index]:
            begun[event.node, event.index] -= 1
        elif isinstance(event, ev.ItemsCompleted):
            begun[event.node, event.first] = 0
    assert not +begun, "attempts without an end"
    assert not any(replay.usage.values()), "amounts that were not given back"
    assert replay.status == run.state


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
    check_cancel(program)


def check_cancel(program: Program) -> None:
    assume(needs_a_run(program))
    expected = expect(program)
    assume(not expected.unclear)
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


@pytest.mark.soak
@pytest.mark.timeout(1800)
@settings(SETTINGS, max_examples=1000)
@given(programs())
def test_run_gives_the_same_a_thousand_times(program: Program) -> None:
    """Values, failures and skips of a run are those of a plain sequential reading, whatever was drawn."""
    assume(needs_a_run(program))
    check(program, expect(program))


@pytest.mark.soak
@pytest.mark.timeout(1800)
@settings(SETTINGS, max_examples=1000)
@given(programs())
def test_first_failure_stops_the_rest_a_thousand_times(program: Program) -> None:
    """With on_failure="cancel" nothing goes on behind the first failure, and the events say so."""
    check_cancel(program)
