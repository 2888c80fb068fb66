"""What a sequential reader of the docs expects of a `Program`: no threads, no loop, no graph, one recursive walk."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

from tests.runtime.programs import CAPACITIES, KEYS, PARAMS, Ask, Boom, Pair, Program, Step

__all__ = ["RESOURCES", "Expected", "Stream", "expect", "give", "is_picked", "turn_value"]

RESOURCES = {"base": 10, "upper": 11, "own": 12, "deep": 13}
NEEDS = {"base": {"base"}, "upper": {"base", "upper"}, "own": {"base", "own"}, "deep": {"base", "upper", "deep"}}
DONE, FAILED, SKIPPED, ANY = "done", "failed", "skipped", "any"


class Stream:
    """An iterable that does not know its length."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __iter__(self) -> Any:
        yield from range(self.size)


def shape(value: Any) -> Any:
    """Return a plain form of any value of a program, equal for equal values; exceptions by type."""
    if isinstance(value, BaseException):
        return ("error", type(value).__name__)
    if isinstance(value, Pair):
        return ("pair", shape(value.left), shape(value.right))
    if isinstance(value, dict):
        return ("dict", [(shape(k), shape(v)) for k, v in value.items()])
    if isinstance(value, (set, frozenset)):
        return ("set", sorted((shape(v) for v in value), key=repr))
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, [shape(v) for v in value])
    return (type(value).__name__, value)


def give(gives: str, tag: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Do the work of every task: a value that tells whether the arguments were right."""
    number = zlib.crc32(repr((tag, shape(list(args)), shape(kwargs))).encode()) % 997
    return {
        "number": number,
        "pair": [number, number % 3],
        "record": {"x": number, "y": [number]},
        "none": None,
        "items": [number, number + 1, number + 2],
    }.get(gives)


def turn_value(tag: str, turn: int, value: Any) -> int:
    """Return what a turn of a loop passes on to the next."""
    return zlib.crc32(repr((tag, turn, shape(value))).encode()) % 997


def is_picked(tag: str, args: tuple[Any, ...]) -> bool:
    """Say whether a picky map fails at this item."""
    return zlib.crc32(repr((tag, shape(list(args)))).encode()) % 3 == 0


@dataclass
class Expected:
    """The expectation: what becomes of each node, by name, and how the run ends."""

    states: dict[str, str] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    errors: dict[str, set[tuple[str, str | None]]] = field(
        default_factory=dict
    )  # any of them; type and text; None: in cascade's words
    reasons: dict[str, set[str]] = field(default_factory=dict)  # of skips: any of them, since it depends on the time
    again: bool = False  # what was returned needs calls from around, whose values may be gone: then they are made anew
    loose: set[str] = field(default_factory=set)  # what belongs to a part that was given up runs as often as it happens
    forgiven: set[str] = field(default_factory=set)  # failures that a call around saw to
    counts: dict[str, int] = field(default_factory=dict)  # calls of a node so far
    flaky: set[str] = field(default_factory=set)  # nodes that fail only sometimes
    unclear: bool = False  # what comes out depends on the time
    ends: str = "value"  # value, failures, skipped or broken (the target itself cannot be taken)
    value: Any = None

    @property
    def failed(self) -> set[str]:
        return {name for name, state in self.states.items() if state == FAILED} - self.forgiven


def expect(program: Program) -> Expected:
    """Evaluate `program` one step after the other, on demand."""
    return _Evaluator(program).evaluate()


class _Named(Exception):
    """A failure in cascade's own words."""


class _Skip(Exception):
    """What a node returned failed, and the node has no rules for that."""


class _Evaluator:
    """Evaluates one program, or what a task of the program `around` returned; names of nodes begin with `prefix`."""

    def __init__(self, program: Program, prefix: str = "n", around: _Evaluator | None = None) -> None:
        self.program = program
        self.prefix = prefix
        self.around = around
        self.broken: frozenset[str] = around.broken if around else program.broken
        self.found = around.found if around else Expected()
        self.values: dict[int, Any] = {}
        self.lost: list[str] = []

    def evaluate(self) -> Expected:
        found = self.found
        missing = not self.all_done(self.program.target)
        self.close()
        if found.failed:
            found.ends = "failures"
        elif missing:
            found.ends = "skipped"
        else:
            try:
                found.value = self.resolve(self.program.target)
            except (KeyError, TypeError, IndexError):
                found.ends = "broken"
        return found

    def close(self) -> None:
        for number, step in enumerate(self.program.steps):
            if step.kind != "twin":
                self.found.states.setdefault(self.name(number), "never")

    def name(self, number: int) -> str:
        return f"{self.prefix}{number}"

    def run(self, number: int) -> str:
        step, name = self.program.steps[number], self.name(number)
        if step.kind == "twin":
            state = self.run(step.twin)
            if state == DONE:
                self.values[number] = self.values[step.twin]
            return state
        if name not in self.found.states:
            state = self.attempt(number, step)
            if state != DONE and step.fallback is not None:
                state = self.fall_back(number, step.fallback, state)
            self.found.states[name] = state
        return self.found.states[name]

    def states_of(self, ask: Ask) -> dict[str, str]:
        """Run what `ask` needs, whatever becomes of the first; return the states by name."""
        inside = {self.actual(n): self.run(n) for n in nodes_in(ask)}
        outside = self.around
        if outside is not None:
            inside |= {outside.actual(n): outside.run(n) for n in nodes_in(ask, "outer")}
            self.found.again |= bool(nodes_in(ask, "outer"))
        return inside

    def actual(self, number: int) -> str:
        """Return the name of the node that stands for a step."""
        twin = self.program.steps[number].twin
        return self.name(number if twin < 0 else twin)

    def all_done(self, ask: Ask) -> bool:
        """Say whether all that `ask` needs has values; else note why not."""
        states = self.states_of(ask)
        self.lost = reasons_of(states)
        return not self.lost

    def skip(self, number: int, *reasons: str) -> str:
        self.found.reasons[self.name(number)] = set(reasons or self.lost)
        return SKIPPED

    def fall_back(self, number: int, fallback: Ask, state: str) -> str:
        if not self.all_done(fallback):
            return state
        return self.take(number, lambda: self.resolve(fallback))

    def take(self, number: int, make: Any) -> str:
        try:
            self.values[number] = make()
        except _Skip as skip:
            return self.skip(number, str(skip))
        except Exception as error:
            named = isinstance(error, _Named)
            told = (str(error), None) if named else (type(error).__name__, str(error))
            if str(error).startswith("unhashable"):
                told = (told[0], None)  # a set of lazy results has no order: any of them may be the first
            self.found.errors[self.name(number)] = {told}
            return FAILED
        return DONE

    def attempt(self, number: int, step: Step) -> str:
        if step.kind == "route":
            return self.route(number, step)
        condition = step.condition
        if condition is not None:
            if not self.all_done(condition):
                return self.skip(number)
            truth: list[bool] = []
            if self.take(number, lambda: truth.append(bool(self.resolve(condition)))) == FAILED:
                return FAILED
            if not truth[0]:
                return self.skip(number, "its run_if is false")
        needs: dict[str, str] = {}
        for ask in (*step.args, *step.kwargs.values(), *step.amounts.values()):
            needs |= self.states_of(ask)
        after = {self.actual(n): self.run(n) for n in step.after}
        lost = reasons_of(needs) + reasons_of({n: s for n, s in after.items() if s == FAILED})
        return self.skip(number, *lost) if lost else self.execute(number, step)

    def execute(self, number: int, step: Step) -> str:
        asked = {r for ask in (*step.args, *step.kwargs.values()) for r in resources_in(ask)}
        needed = {need for name in asked for need in NEEDS[name]}

        def call() -> Any:
            for name, ask in step.amounts.items():
                amount = self.resolve(ask)
                if isinstance(amount, bool) or not isinstance(amount, (int, float)) or amount > CAPACITIES[name]:
                    raise _Named("CapacityError")
            if needed & self.broken:
                raise _Named("Boom")
            return self.call(number, step)

        if step.inner is None or step.kind != "task":
            return self.take(number, call)
        for attempt in range(1, step.attempts + 1):
            state = self.take(number, call)
            if state == DONE:
                state = self.grow(number, step.inner, is_guarded=step.attempts > 1 or step.fallback is not None)
            elif self.found.errors[self.name(number)] & {("CapacityError", None), ("Boom", None)}:
                return state  # it never started
            if state != FAILED or attempt == step.attempts:
                return state
            self.clear(f"{self.name(number)}.")
        raise AssertionError

    def grow(self, number: int, inner: Program, *, is_guarded: bool) -> str:
        """The task returned calls: its value is theirs. A call with rules fails with the first of them that does."""
        found, prefix = self.found, f"{self.name(number)}."
        outside = {name for name in found.states if not name.startswith(prefix)}
        within = _Evaluator(inner, prefix, self)
        is_done = within.all_done(inner.target)
        within.close()
        failed = {name for name in found.failed if name.startswith(prefix)}
        around = [name for name in found.states if name not in outside and not name.startswith(prefix)]
        # a call from around that nothing else needed is a part of what was returned
        found.unclear |= is_guarded and any(found.states[name] == FAILED for name in around)
        if not is_guarded or not failed:
            self.lost = within.lost
            state = self.take(number, lambda: within.resolve(inner.target)) if is_done else self.skip(number)
            if state == FAILED:
                found.unclear |= self.is_flaky(prefix) > 0
            return state
        found.forgiven |= failed
        found.unclear |= bool(around) or self.is_flaky(prefix) > 1
        found.errors[self.name(number)] = {error for name in failed for error in found.errors[name]}
        for name in [name for name in found.states if name.startswith(prefix)]:
            found.states[name] = ANY
            found.loose.add(name)
        return FAILED

    def is_flaky(self, prefix: str) -> int:
        """Say how many calls of a part fail only sometimes."""
        return sum(name.startswith(prefix) for name in self.found.flaky)

    def clear(self, prefix: str) -> None:
        """What was returned is not needed any more; what is returned next has the same names."""
        for name in [name for name in self.found.states if name.startswith(prefix)]:
            del self.found.states[name]
            self.found.reasons.pop(name, None)
            self.found.forgiven.discard(name)
            self.found.loose.add(name)

    def call(self, number: int, step: Step) -> Any:
        name = self.name(number)
        args = tuple(self.resolve(a) for a in step.args)
        kwargs = {k: self.resolve(v) for k, v in step.kwargs.items()}
        if step.kind == "map":
            return self.map(number, step, args)
        if step.kind == "loop":
            return self.loop(name, step, args[0])
        before = self.found.counts.get(name, 0)
        left = 1 if step.inner is not None else step.attempts  # one that returns calls is called by `execute`
        while True:
            before, left = before + 1, left - 1
            self.found.runs[name] = self.found.counts[name] = before
            if step.flaky > 0:
                self.found.flaky.add(name)
            if step.flaky >= 0 and before > step.flaky:
                return give(step.gives, name, args, kwargs)
            if not left:
                raise Boom(name)

    def loop(self, name: str, step: Step, value: Any) -> Any:
        self.found.runs[name] = step.turns + 1
        for turn in range(step.turns):
            value = turn_value(name, turn, value)
        return None if step.ends == "none" else ["end", value]

    def map(self, number: int, step: Step, args: tuple[Any, ...]) -> list[Any]:
        columns = [list(a) if isinstance(a, (list, tuple, Stream)) else a for a in args]
        lengths = {len(c) for c in columns if isinstance(c, list)}
        if len(lengths) != 1:
            raise _Named("MapError")
        rows = [
            tuple(c[k] if isinstance(c, list) else getattr(c, "value", c) for c in columns) for k in range(*lengths)
        ]
        results: list[Any] = []
        name = self.name(number)
        for row in rows:
            if step.picky and is_picked(name, row):
                inner = f"{name}.item" if step.late else name
                if not step.collect:
                    self.fail_item(number, step, inner)
                results.append(LookupError(inner))
            else:
                value = give("number", name, row, {})
                results.append(give("number", f"{name}.item", (value,), {}) if step.inner is not None else value)
        picked = sum(isinstance(r, LookupError) for r in results)
        self.found.runs[name] = len(rows) + picked * (step.attempts - 1)
        return results

    def fail_item(self, number: int, step: Step, inner: str) -> None:
        """An item of a map fails, or the call that it returned: then without rules the run has failed, not the map."""
        has_rules = step.attempts > 1 or step.timeout is not None or step.fallback is not None or step.width is not None
        if step.late and not has_rules:
            self.found.states[inner] = FAILED
            self.found.errors[inner] = {("LookupError", inner)}
            raise _Skip(f"needs '{inner}', which failed")
        raise LookupError(inner)

    def route(self, number: int, step: Step) -> str:
        assert step.selector is not None
        if not self.all_done(step.selector):
            return self.skip(number)
        chosen: list[Ask] = []
        if self.take(number, lambda: chosen.append(self.choose(step))) == FAILED:
            return FAILED
        if not self.all_done(chosen[0]):
            return self.skip(number)
        return self.take(number, lambda: self.resolve(chosen[0]))

    def choose(self, step: Step) -> Ask:
        assert step.selector is not None
        routes = dict(zip(KEYS, step.routes, strict=False))
        key = self.resolve(step.selector)
        try:
            chosen = routes.get(key, step.default)
        except TypeError:
            chosen = step.default
        if chosen is None:
            raise _Named("RouteError")
        return chosen

    def resolve(self, ask: Ask) -> Any:
        if ask.kind == "literal":
            return ask.value
        if ask.kind in ("param", "resource"):
            return {**PARAMS, **RESOURCES}[ask.value]
        if ask.kind == "stream":
            return Stream(ask.value)
        if ask.kind == "node":
            return self.values[ask.value]
        if ask.kind == "outer":
            assert self.around is not None
            return self.around.values[ask.value]
        parts = [self.resolve(p) for p in ask.parts]
        if ask.kind == "item":
            value = self.values[ask.value]
            for key in parts:
                value = value[key]
            return value
        if ask.kind == "unmapped":
            return _Whole(parts[0])
        return build_container(ask.kind, parts)


@dataclass(frozen=True)
class _Whole:
    value: Any


def build_container(kind: str, parts: list[Any]) -> Any:
    """Return the container of `kind` with `parts` in it."""
    if kind == "list":
        return parts
    if kind == "tuple":
        return tuple(parts)
    if kind == "dict":
        return {f"k{n}": part for n, part in enumerate(parts)}
    if kind == "set":
        return set(parts)
    assert kind == "data"
    return Pair(*parts)


def reasons_of(states: dict[str, str]) -> list[str]:
    """Return why one that needs all of these cannot run."""
    words = {FAILED: "failed", SKIPPED: "was skipped"}
    return [f"needs '{name}', which {words[state]}" for name, state in states.items() if state in words]


def nodes_in(ask: Ask, *kinds: str) -> list[int]:
    """Return the steps that `ask` refers to."""
    own = [ask.value] if ask.kind in (kinds or ("node", "item")) else []
    return own + [n for part in ask.parts for n in nodes_in(part, *kinds)]


def resources_in(ask: Ask) -> set[str]:
    """Return the resources that `ask` injects."""
    own = {ask.value} if ask.kind == "resource" else set()
    return own | {name for part in ask.parts for name in resources_in(part)}
