"""Random programs in the language of cascade, and a naive evaluator of them.

In: Hypothesis' choices. Out: a `Program` (plain data), the lazy results it means, and what a sequential reader of the
docs expects of it: a value, the failures, the skips. Invariant: the evaluator shares no code with the engine.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

from hypothesis import strategies as st

__all__ = ["CAPACITIES", "KEYS", "PARAMS", "Ask", "Boom", "Pair", "Program", "Step", "programs"]

GIVES = ("number", "pair", "record", "none", "items")
PARAMS = {"p": 7, "q": [1, 2], "z": 0}
CAPACITIES = {"a": 2, "b": 1.5}
LITERALS = [0, 1, 2, None, "", "word", True, 2.5, (1, 2), [3]]
MODES = ("inline", "blocking", "async")
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
    """An expression: `kind` is literal, node, outer, item, param, resource, list, tuple, dict, set or data.

    An outer one is a node of the program around, in what a task of that program returns.
    """

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

    kind: str  # task, map, route, loop, or twin: the call number `twin` written down once more
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
    late: bool = False  # … in the calls that they return
    selector: Ask | None = None
    routes: tuple[Ask, ...] = ()
    default: Ask | None = None
    inner: Program | None = None  # what a task returns instead of a value, or the items of a map
    turns: int = 0  # of a loop
    ends: str = "value"  # a loop: by a plain value, by a jump with data, or by one without (none)
    pure: bool = False
    twin: int = -1

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
def programs(draw: st.DrawFn, modes: tuple[str, ...] = MODES, most: int = 9, depth: int = 3) -> Program:
    """Draw a program of 1 to `most` nodes, whose tasks return others up to `depth` deep."""
    steps = _steps(draw, modes, draw(st.integers(1, most)), depth, 0)
    last = Ask("node", len(steps) - 1)
    shape = draw(st.sampled_from(["node", "node", "list", "tuple", "dict", "data", "list of routes"]))
    others = tuple(_ask(draw, steps, 2, injected=False) for _ in range(draw(st.integers(1, 2))))
    target = last if shape == "node" else Ask(shape.split()[0], None, (last, *others[:1]))
    if shape == "list of routes":
        routes = [Ask("node", k) for k, s in enumerate(steps) if s.kind == "route"]
        target = Ask("list", None, (last, *routes, *others))
    broken = draw(st.sampled_from([frozenset(), frozenset(), frozenset(), frozenset({"base"}), frozenset({"own"})]))
    return Program(tuple(steps), target, broken)


def _steps(draw: st.DrawFn, modes: tuple[str, ...], count: int, depth: int, around: int) -> list[Step]:
    steps: list[Step] = []
    for _ in range(count):
        kind = draw(st.sampled_from(["task", "task", "task", "grower", "map", "route", "loop", "twin"]))
        pure = [k for k, step in enumerate(steps) if step.pure]
        if kind == "twin" and pure:
            steps.append(Step("twin", twin=draw(st.sampled_from(pure))))
        elif kind == "grower" and depth:
            steps.append(_grower(draw, steps, modes, depth, around))
        else:
            makers = {"map": _map, "route": _route, "loop": _loop}
            steps.append(makers.get(kind, _task)(draw, steps, modes))
    if around and draw(st.booleans()):  # the last one of what is returned also takes a value from around
        outer = Ask("outer", draw(st.integers(0, around - 1)))
        last = steps[-1]
        steps[-1] = replace(last, args=(*last.args, outer)) if last.kind == "task" else last
    return steps


def _grower(draw: st.DrawFn, steps: list[Step], modes: tuple[str, ...], depth: int, around: int) -> Step:
    """Draw a task that returns what other tasks will give; those may take values of the program around."""
    del around
    made = _task(draw, steps, tuple(m for m in modes if m != "compute") or ("inline",))
    inner = _steps(draw, modes, draw(st.integers(1, 3)), depth - 1, len(steps))
    last = Ask("node", len(inner) - 1)
    shape = draw(st.sampled_from(["node", "list", "tuple", "dict"]))
    target = last if shape == "node" else Ask(shape, None, (last, _ask(draw, inner, 2, injected=False)))
    return replace(made, inner=Program(tuple(inner), target), gives="lazy", pure=False)


def _loop(draw: st.DrawFn, steps: list[Step], modes: tuple[str, ...]) -> Step:
    args = (_ask(draw, steps, 2, injected=False),)
    options = _options(draw, steps)
    options["flaky"] = 0
    mode = draw(st.sampled_from(tuple(m for m in modes if m != "compute") or ("inline",)))
    ends = draw(st.sampled_from(["value", "data", "none"]))
    return Step("loop", mode, args=args, turns=draw(st.integers(0, 4)), ends=ends, **options)


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
    options["pure"] = _seldom(draw) and not any(_is_own_kind(a) for a in (*args, *kwargs.values()))
    if options["pure"]:
        options = {key: option for key, option in options.items() if key in ("pure", "attempts", "timeout", "nap")}
    return Step("task", mode, draw(st.sampled_from(GIVES)), args, kwargs, **options)


def _map(draw: st.DrawFn, steps: list[Step], modes: tuple[str, ...]) -> Step:
    columns = [_column(draw, steps) for _ in range(draw(st.integers(1, 2)))]
    columns += [_ask(draw, steps, 1, injected=False)] if _seldom(draw) else []
    options = _options(draw, steps)
    options["flaky"] = 0
    mode = draw(st.sampled_from(modes))
    if mode != "compute" and _seldom(draw):
        options["inner"] = Program((), Ask("literal"))  # its items return calls
        options["late"] = draw(st.booleans())
    return Step(
        "map", mode, args=tuple(columns), collect=draw(st.booleans()), picky=_seldom(draw),
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


def _is_own_kind(ask: Ask) -> bool:
    """Whether two such values are equal only to themselves."""
    return ask.kind in ("data", "set") or any(_is_own_kind(part) for part in ask.parts)


def _seldom(draw: st.DrawFn) -> bool:
    return draw(st.integers(0, 4)) == 4


def _ask(draw: st.DrawFn, steps: list[Step], depth: int, *, injected: bool) -> Ask:
    kinds = ["literal", "literal", "param"] + ["node"] * 5 * bool(steps) + ["item"] * 2 * bool(steps)
    if depth > 1:
        kinds += ["list", "tuple", "dict", "data", "set"]
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
        known = {"pair": [1], "items": [0], "record": draw(st.sampled_from([["x"], ["y", 0]]))}.get(steps[number].gives)
        if steps[number].kind != "task" or known is None:
            return Ask("node", number)
        path = ["missing"] if draw(st.integers(0, 9)) == 9 else known
        return Ask(kind, number, tuple(Ask("literal", key) for key in path))
    parts = tuple(_ask(draw, steps, depth - 1, injected=injected) for _ in range(draw(st.integers(1, 2))))
    if kind == "set":
        parts = tuple(
            Ask("literal", 4) if part.kind == "literal" and part.value in ([3], True) else part for part in parts
        )
    return Ask(kind, None, parts)
