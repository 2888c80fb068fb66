"""Random programs in the language of cascade, and a naive evaluator of them.

In: Hypothesis' choices. Out: a `Program` (plain data), the lazy results it means, and what a sequential reader of the
docs expects of it: a value, the failures, the skips. Invariant: the evaluator shares no code with the engine.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from hypothesis import strategies as st

__all__ = ["CAPACITIES", "KEYS", "PARAMS", "Ask", "Boom", "Pair", "Program", "Step", "programs"]

GIVES = ("number", "pair", "record", "none", "items")
PARAMS = {"p": 7, "q": [1, 2], "z": 0}
CAPACITIES = {"a": 2, "b": 1.5}
LITERALS = [0, 1, 2, None, "", "word", True, 2.5, (1, 2), [3]]
KEYS = (0, 1, None)  # of routes, in order


class Boom(Exception):
    """What failing tasks raise; `tag` says which."""

    def __init__(self, tag: str) -> None:
        super().__init__(tag)
        self.tag = tag


@dataclass(frozen=True)
class Pair:
    """A user's dataclass, which may hold lazy results."""

    left: Any
    right: Any = None


@dataclass(frozen=True, repr=False)
class Ask:
    """An expression: `kind` is literal, node, item, param, resource, list, tuple, dict, set or data."""

    kind: str
    value: Any = None
    parts: tuple[Ask, ...] = ()

    def __repr__(self) -> str:
        inner = [repr(self.value)] * (self.value is not None or not self.parts) + [repr(p) for p in self.parts]
        return f"{self.kind}({', '.join(inner)})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


@dataclass(frozen=True, repr=False)
class Step:
    """One node of a program."""

    kind: str  # task, map or route
    mode: str = "inline"
    gives: str = "number"
    args: tuple[Ask, ...] = ()
    kwargs: dict[str, Ask] = field(default_factory=dict)
    condition: Ask | None = None
    after: tuple[int, ...] = ()
    fallback: Ask | None = None
    attempts: int = 1
    flaky: int = 0  # attempts that fail before one succeeds; -1: all
    amounts: dict[str, Ask] = field(default_factory=dict)
    timeout: float | None = None
    nap: bool = False
    collect: bool = False
    width: int | None = None  # max_concurrency
    picky: bool = False  # items whose number is divisible by 3 fail
    selector: Ask | None = None
    routes: tuple[Ask, ...] = ()
    default: Ask | None = None

    def __repr__(self) -> str:
        told = {f.name: getattr(self, f.name) for f in fields(self)[1:]}
        plain = {f.name: f.default for f in fields(self)}
        shown = [f"{k}={v!r}" for k, v in told.items() if v != plain[k] and v not in ({}, ())]
        return f"{self.kind}({', '.join(shown)})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


@dataclass(frozen=True)
class Program:
    """Steps, each of which refers to earlier ones only, and what is asked for."""

    steps: tuple[Step, ...]
    target: Ask
    broken: frozenset[str] = frozenset()  # resources whose set-up fails


# -- drawing --------------------------------------------------------------------------------------------------------


@st.composite
def programs(draw: st.DrawFn, modes: tuple[str, ...] = ("inline", "blocking", "async"), most: int = 9) -> Program:
    """Draw a program of 1 to `most` nodes."""
    steps: list[Step] = []
    for number in range(draw(st.integers(1, most))):
        kind = draw(st.sampled_from(["task", "task", "task", "map", "route"]))
        made = {"task": _task, "map": _map, "route": _route}[kind](draw, steps, modes)
        steps.append(made)
        assert len(steps) == number + 1
    last = Ask("node", len(steps) - 1)
    target = last if draw(st.booleans()) else Ask("list", None, (last, _ask(draw, steps, 1, injected=False)))
    broken = draw(st.sampled_from([frozenset(), frozenset(), frozenset(), frozenset({"base"}), frozenset({"own"})]))
    return Program(tuple(steps), target, broken)


def _options(draw: st.DrawFn, steps: list[Step]) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    if _seldom(draw):
        chosen["condition"] = _ask(draw, steps, 1, injected=False)
    if steps and _seldom(draw):
        chosen["after"] = tuple(draw(st.lists(st.integers(0, len(steps) - 1), min_size=1, max_size=2)))
    if _seldom(draw):
        chosen["fallback"] = _ask(draw, steps, 1, injected=False)
    if _seldom(draw):
        chosen["attempts"] = draw(st.integers(1, 3))
    if _seldom(draw):
        chosen["flaky"] = draw(st.sampled_from([1, 2, -1]))
    if _seldom(draw):
        chosen["amounts"] = _amounts(draw, steps)
    if _seldom(draw):
        chosen["timeout"] = 60.0
    chosen["nap"] = _seldom(draw)
    return chosen


def _amounts(draw: st.DrawFn, steps: list[Step]) -> dict[str, Ask]:
    names = draw(st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=2, unique=True))
    found = {name: Ask("literal", draw(st.sampled_from([0, 0.5, 1, 1.5]))) for name in names}
    nones = [k for k, s in enumerate(steps) if s.kind == "task" and s.gives == "none"]
    if nones and _seldom(draw):
        found["a"] = Ask("node", draw(st.sampled_from(nones)))  # None is no amount: the node fails
    return found


def _task(draw: st.DrawFn, steps: list[Step], modes: tuple[str, ...]) -> Step:
    mode = draw(st.sampled_from(modes))
    args = tuple(_ask(draw, steps, 2, injected=mode != "compute") for _ in range(draw(st.integers(0, 3))))
    kwargs = {"extra": _ask(draw, steps, 2, injected=mode != "compute")} if _seldom(draw) else {}
    options = _options(draw, steps)
    if mode == "compute" and options.get("flaky", 0) > 0:
        options["flaky"] = -1  # a process has no memory of earlier attempts
    return Step("task", mode, draw(st.sampled_from(GIVES)), args, kwargs, **options)


def _map(draw: st.DrawFn, steps: list[Step], modes: tuple[str, ...]) -> Step:
    columns = [_column(draw, steps) for _ in range(draw(st.integers(1, 2)))]
    columns += [_ask(draw, steps, 1, injected=False)] if _seldom(draw) else []
    options = _options(draw, steps)
    options["flaky"] = 0
    return Step(
        "map", draw(st.sampled_from(modes)), args=tuple(columns), collect=draw(st.booleans()), picky=_seldom(draw),
        width=draw(st.sampled_from([None, None, 1, 2])), **options,
    )  # fmt: skip


def _column(draw: st.DrawFn, steps: list[Step]) -> Ask:
    lists = [k for k, s in enumerate(steps) if s.gives == "items" and s.kind == "task"]
    if lists and draw(st.booleans()):
        return Ask("node", draw(st.sampled_from(lists)))
    size = draw(st.sampled_from([3, 3, 3, 3, 0, 1, 40]))
    kind = draw(st.sampled_from(["list", "stream", "unmapped", "holding"]))
    if kind == "list":
        return Ask("literal", list(range(size)))
    if kind == "stream":
        return Ask("stream", size)
    if kind == "unmapped":
        return Ask("unmapped", None, (Ask("literal", [1, 2, 3, 4]),))
    return Ask("list", None, tuple(_ask(draw, steps, 1, injected=False) for _ in range(3)))


def _route(draw: st.DrawFn, steps: list[Step], modes: tuple[str, ...]) -> Step:
    del modes
    routes = tuple(_ask(draw, steps, 1, injected=False) for _ in range(draw(st.integers(1, 3))))
    default = _ask(draw, steps, 1, injected=False) if draw(st.booleans()) else None
    return Step("route", selector=_ask(draw, steps, 1, injected=False), routes=routes, default=default)


def _seldom(draw: st.DrawFn) -> bool:
    return draw(st.integers(0, 4)) == 4


def _ask(draw: st.DrawFn, steps: list[Step], depth: int, *, injected: bool) -> Ask:
    kinds = ["literal", "literal", "param"] + ["node"] * 5 * bool(steps) + ["item"] * 2 * bool(steps)
    if depth > 1:
        kinds += ["list", "tuple", "dict", "data"]
    if injected:
        kinds += ["resource"]
    kind = draw(st.sampled_from(kinds))
    if kind == "literal":
        return Ask(kind, draw(st.sampled_from(LITERALS)))
    if kind == "param":
        return Ask(kind, draw(st.sampled_from(sorted(PARAMS))))
    if kind == "node":
        return Ask(kind, draw(st.integers(max(0, len(steps) - 4), len(steps) - 1)))
    if kind == "resource":
        return Ask(kind, draw(st.sampled_from(["base", "upper", "own", "deep"])))
    if kind == "item":
        number = draw(st.integers(0, len(steps) - 1))
        known = {"pair": 1, "items": 0, "record": "x"}.get(steps[number].gives)
        if steps[number].kind != "task" or known is None:
            return Ask("node", number)
        key = Ask("literal", "missing" if draw(st.integers(0, 9)) == 9 else known)
        return Ask(kind, number, (key,))
    parts = tuple(_ask(draw, steps, depth - 1, injected=injected) for _ in range(draw(st.integers(1, 2))))
    return Ask(kind, None, parts)
