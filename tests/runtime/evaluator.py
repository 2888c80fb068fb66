"""What a sequential reader of the docs expects of a `Program`: no threads, no loop, no graph, one recursive walk."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

from tests.runtime.programs import CAPACITIES, KEYS, PARAMS, Ask, Pair, Program, Step

__all__ = ["RESOURCES", "Expected", "Stream", "expect", "give", "is_picked"]

RESOURCES = {"base": 10, "upper": 11, "own": 12, "deep": 13}
NEEDS = {"base": {"base"}, "upper": {"base", "upper"}, "own": {"base", "own"}, "deep": {"base", "upper", "deep"}}
DONE, FAILED, SKIPPED = "done", "failed", "skipped"


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
    }[gives]


def is_picked(tag: str, args: tuple[Any, ...]) -> bool:
    """Say whether a picky map fails at this item."""
    return zlib.crc32(repr((tag, shape(list(args)))).encode()) % 3 == 0


@dataclass
class Expected:
    """The expectation: `states` by node name, `runs` of bodies by node name, and how the run ends."""

    states: dict[str, str] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    ends: str = "value"  # value, failures, skipped or broken (the target itself cannot be taken)
    value: Any = None

    @property
    def failed(self) -> set[str]:
        return {name for name, state in self.states.items() if state == FAILED}


def expect(program: Program) -> Expected:
    """Evaluate `program` one step after the other, on demand."""
    return _Evaluator(program).evaluate()


class _Missing(Exception):
    """A value that is needed was not made."""


class _Evaluator:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.found = Expected()
        self.values: dict[int, Any] = {}

    def evaluate(self) -> Expected:
        found = self.found
        missing = not self.all_done(nodes_in(self.program.target))
        for number in range(len(self.program.steps)):
            found.states.setdefault(f"n{number}", "never")
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

    def run(self, number: int) -> str:
        name = f"n{number}"
        if name not in self.found.states:
            step = self.program.steps[number]
            state = self.attempt(number, step)
            if state != DONE and step.fallback is not None:
                state = self.fall_back(number, step.fallback, state)
            self.found.states[name] = state
        return self.found.states[name]

    def all_done(self, numbers: list[int]) -> bool:
        """Run all of them, whatever becomes of the first, and say whether all have values."""
        return {self.run(n) for n in numbers} <= {DONE}

    def fall_back(self, number: int, fallback: Ask, state: str) -> str:
        if not self.all_done(nodes_in(fallback)):
            return state
        return self.take(number, lambda: self.resolve(fallback))

    def take(self, number: int, make: Any) -> str:
        try:
            self.values[number] = make()
        except Exception:
            return FAILED
        return DONE

    def attempt(self, number: int, step: Step) -> str:
        if step.kind == "route":
            return self.route(number, step)
        if step.condition is not None:
            if not self.all_done(nodes_in(step.condition)):
                return SKIPPED
            try:
                if not self.resolve(step.condition):
                    return SKIPPED
            except Exception:
                return FAILED
        needs = [n for ask in (*step.args, *step.kwargs.values(), *step.amounts.values()) for n in nodes_in(ask)]
        ends = [self.run(n) for n in needs]
        after = [self.run(n) for n in step.after]
        if any(e != DONE for e in ends) or FAILED in after:
            return SKIPPED
        return self.execute(number, step)

    def execute(self, number: int, step: Step) -> str:
        for name, ask in step.amounts.items():
            amount = self.resolve(ask)
            if not isinstance(amount, (int, float)) or amount > CAPACITIES[name]:
                return FAILED
        asked = {r for ask in (*step.args, *step.kwargs.values()) for r in resources_in(ask)}
        needed = {need for name in asked for need in NEEDS[name]}
        if needed & self.program.broken:
            return FAILED
        return self.take(number, lambda: self.call(number, step))

    def call(self, number: int, step: Step) -> Any:
        args = tuple(self.resolve(a) for a in step.args)
        kwargs = {k: self.resolve(v) for k, v in step.kwargs.items()}
        if step.kind == "map":
            return self.map(number, step, args)
        attempts = step.attempts if step.flaky < 0 else min(step.attempts, step.flaky + 1)
        self.found.runs[f"n{number}"] = attempts if step.flaky else 1
        if step.flaky < 0 or step.flaky >= step.attempts:
            raise ValueError(f"n{number}")
        return give(step.gives, f"n{number}", args, kwargs)

    def map(self, number: int, step: Step, args: tuple[Any, ...]) -> list[Any]:
        columns = [list(a) if isinstance(a, (list, tuple, Stream)) else a for a in args]
        lengths = {len(c) for c in columns if isinstance(c, list)}
        if len(lengths) != 1:
            raise ValueError("the lengths differ, or there are none")
        rows = [
            tuple(c[k] if isinstance(c, list) else getattr(c, "value", c) for c in columns) for k in range(*lengths)
        ]
        results: list[Any] = []
        for row in rows:
            if step.picky and is_picked(f"n{number}", row):
                if not step.collect:
                    raise ValueError(f"n{number}")
                results.append(LookupError(f"n{number}"))
            else:
                results.append(give("number", f"n{number}", row, {}))
        picked = sum(isinstance(r, LookupError) for r in results)
        self.found.runs[f"n{number}"] = len(rows) + picked * (step.attempts - 1)
        return results

    def route(self, number: int, step: Step) -> str:
        assert step.selector is not None
        if not self.all_done(nodes_in(step.selector)):
            return SKIPPED
        try:
            chosen = self.choose(step)
        except Exception:
            return FAILED
        if not self.all_done(nodes_in(chosen)):
            return SKIPPED
        return self.take(number, lambda: self.resolve(chosen))

    def choose(self, step: Step) -> Ask:
        assert step.selector is not None
        routes = dict(zip(KEYS, step.routes, strict=False))
        key = self.resolve(step.selector)
        try:
            chosen = routes.get(key, step.default)
        except TypeError:
            chosen = step.default
        if chosen is None:
            raise LookupError(key)
        return chosen

    def resolve(self, ask: Ask) -> Any:
        if ask.kind == "literal":
            return ask.value
        if ask.kind == "param":
            return PARAMS[ask.value]
        if ask.kind == "resource":
            return RESOURCES[ask.value]
        if ask.kind == "stream":
            return Stream(ask.value)
        if ask.kind == "node":
            return self.values[ask.value]
        parts = [self.resolve(p) for p in ask.parts]
        if ask.kind == "item":
            return self.values[ask.value][parts[0]]
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
    assert kind == "data"
    return Pair(*parts)


def nodes_in(ask: Ask) -> list[int]:
    """Return the steps that `ask` refers to."""
    own = [ask.value] if ask.kind in ("node", "item") else []
    return own + [n for part in ask.parts for n in nodes_in(part)]


def resources_in(ask: Ask) -> set[str]:
    """Return the resources that `ask` injects."""
    own = {ask.value} if ask.kind == "resource" else set()
    return own | {name for part in ask.parts for name in resources_in(part)}
