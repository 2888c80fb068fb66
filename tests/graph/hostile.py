"""Graph files as somebody would write them who means ill, or whose disk is failing.

In: a number. Out: always the same file for it: one of a few good ones, damaged as data or as text. Invariant: what is
read is never more than the number says; a task that runs, or a method of a class that is called, is written down.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import cascade as cs
from cascade.context import get_current_context
from cascade.graph.build import build
from cascade.interfaces.exceptions import CascadeError, GraphFormatError

__all__ = ["check", "damaged", "ran", "register"]

ran: list[str] = []  # what was called while files were read: nothing, ever


class Colour(Enum):
    RED = 1


class Row(NamedTuple):
    a: Any
    b: Any


class OwnError(Exception):
    def __init__(self, *args: object) -> None:
        ran.append("OwnError")
        super().__init__(*args)


class Lure:
    """Asked for anything, it says so."""

    def __getattr__(self, name: str) -> Any:
        ran.append(f"Lure.{name}")
        raise AttributeError(name)


lure = Lure()


@dataclass
class Point:
    x: Any
    y: Any = 0

    def __post_init__(self) -> None:
        if self.x == "called":
            ran.append("Point")

    @cs.task
    @classmethod
    def origin(cls, y: int = 0) -> Any:
        ran.append("origin")

    @cs.task
    def moved(self, dx: int = 1) -> Any:
        ran.append("moved")


@cs.task(pure=True)
def add(x: Any, y: Any = 0) -> Any:
    ran.append("add")


@cs.task
def join(*parts: Any, **named: Any) -> Any:
    ran.append("join")


@cs.task(retry={"retry_on": lambda error: True})
def patient(x: int = cs.Param("own", 1)) -> Any:
    ran.append("patient")


def register() -> None:
    """Put the tasks of this module into the workflow context."""
    for task in (add, join, patient, Point.moved, Point.origin.task):
        get_current_context().tasks[task.key] = task  # type: ignore[assignment]


@cache
def samples() -> tuple[str, ...]:
    """A few good files, with something of everything between them."""
    berlin = datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))
    values = [
        1 << 70, 1.5, float("nan"), 2j, "\ud800", b"x", bytearray(b"y"), (1, (2,)), {1, "a"}, frozenset({3}),
        {1: 2, "$": 3}, slice(1, 2), range(3), ..., berlin, datetime.now(UTC).date(), Decimal("1.5"), Fraction(1, 3),
        UUID(int=1), Path("a"), Colour.RED, Row(1, [2]), Point(1, (2,)),
    ]  # fmt: skip
    a = add(1, y={"k": (cs.Param("p", 1, type=int | None), cs.inject("db"))}).with_retry(
        3, retry_on=(OSError, OwnError)
    )
    b = add.map([1, 2], a["k"][0]).with_timeout(2).named("b").with_constraints(gpu=1, cpu=a).run_if(a).after(a)
    kinds = [list[int], Literal["a", 1], dict[str, tuple[int, ...]], Colour]
    params = [cs.Param(f"p{i}", type=kind, description="d", choices=["a"]) for i, kind in enumerate(kinds)]
    loop = cs.bind(add(1), cs.select_jump({"go": add(a), "on": Point(1).moved, 2: join, "end": None}, max_jumps=9))
    targets: list[Any] = [
        [cs.Router(a, {"x": b, 2: [a]}, default=None, name="way"), b, {"k": b[a]}],
        {"values": join(*values), "own": [Point(a).moved(), Point.origin(3), Point.origin.map([1, 2])]},
        [join(*params, cs.Env("HOME"), key=cs.Param("s", "x", secret=True)), patient(), loop, b.with_fallback((a, 1))],
        join(a, [cs.unmapped([b]), cs.Router(cs.Router(1, {1: a}), {True: b})]),
    ]
    return tuple(cs.to_json(target) for target in targets)


NAMES = ["node", "of", "items", "text", "path", "name", "fields", "key", "args", "kwargs", "task", "class", "router"]
NAMES += [
    "options",
    "retry",
    "jump",
    "routes",
    "selector",
    "map",
    "iso",
    "zone",
    "hex",
    "parts",
    "called",
    "owner",
    "$",
]
TAGS = ["ref", "input", "inject", "unmapped", "int", "float", "complex", "str", "bytes", "tuple", "set", "frozenset"]
TAGS += ["dict", "slice", "range", "ellipsis", "datetime", "date", "time", "timedelta", "decimal", "fraction", "uuid"]
TAGS += ["path", "data", "enum", "named", "eval", "", "__import__"]
WORDS = [
    "",
    "a",
    "os:system",
    "builtins:eval",
    "__class__",
    "__globals__",
    "\ud800",
    "\x00",
    "0",
    "nan",
    "-inf",
    "1e999",
]
WORDS += ["zone ../../etc/passwd", "zone Europe/Berlin", "2026-01-01", "ValueError", "int", "of the task", "x" * 5_000]
WORDS += [
    f"{__name__}:{name}" for name in ("Point", "Colour", "Row", "Lure", "lure", "OwnError", "add", "Point.origin")
]
NUMBERS = [0, 1, -1, 2, 7, 1 << 53, -(1 << 64), 10**39, 10**4_000, 1.5, -0.0, 1e308, 5e-324, True, False, None]


def _value(chance: random.Random, depth: int = 0) -> Any:
    """Draw something that somebody might put anywhere."""
    kind = chance.randrange(10 if depth < 3 else 4)
    if kind < 2:
        return chance.choice(NUMBERS)
    if kind < 4:
        return chance.choice(WORDS)
    if kind == 4:
        return {"$": "ref", "node": chance.randrange(-1, 8)}
    if kind == 5:
        return [_value(chance, depth + 1) for _ in range(chance.randrange(3))]
    if kind == 6:
        return {chance.choice(NAMES): _value(chance, depth + 1) for _ in range(chance.randrange(3))}
    tagged = {chance.choice(NAMES): _value(chance, depth + 1) for _ in range(chance.randrange(1, 3))}
    return {**tagged, "$": chance.choice(TAGS) if chance.random() < 0.9 else _value(chance, depth + 1)}


DEEP = "something deep stands here"


def _deep(chance: random.Random) -> str:
    """Draw the text of something nested."""
    before, after = chance.choice([("[", "]"), ('{"k":', "}"), ('{"$":"tuple","items":[', "]}"), ('{"$":', "}")])
    times = chance.choice([50, 99, 101, 150, 700, 980, 100_000])
    return before * times + "1" + after * times


def _place(document: Any, chance: random.Random) -> tuple[Any, Any]:
    """Choose a list or object of the file, and a key in it; (None, None) when it has none."""
    holder, key = None, None
    current = document
    while isinstance(current, (dict, list)) and current:
        holder = current
        key = chance.choice(list(current)) if isinstance(current, dict) else chance.randrange(len(current))
        current = current[key]
        if chance.random() < 0.15:
            break
    return holder, key


def _damage(document: Any, chance: random.Random) -> None:
    """Change one place of a file as data."""
    holder, key = _place(document, chance)
    if holder is None:
        return
    kind = chance.randrange(8)
    if kind < 3:
        holder[key] = _value(chance)
    elif kind == 3:
        del holder[key]
    elif kind == 4 and isinstance(holder, list):
        holder.insert(key, holder[key])
    elif kind == 4:
        holder[chance.choice(NAMES)] = holder[key]
    elif kind == 5:
        other, place = _place(document, chance)
        if other is not None:
            other[place], holder[key] = json.loads(json.dumps(holder[key])), json.loads(json.dumps(other[place]))
    elif kind == 6 and chance.random() < 0.1:
        holder[key] = DEEP
    elif kind == 6:
        holder[key] = [holder[key]]
    else:
        holder[key] = _nudged(holder[key], chance)


def _nudged(value: Any, chance: random.Random) -> Any:
    if isinstance(value, str):
        i = chance.randrange(len(value) + 1)
        return value[:i] + chance.choice("a:/.\x00\ud8000 ") + value[i + chance.randrange(2) :]
    if isinstance(value, (int, float)):
        return value + chance.choice([-1, 1, 10**30] if isinstance(value, int) else [-1.0, 1.0, 1e300])
    return str(value)[:100]


NOISE = [
    "NaN",
    "-Infinity",
    "1e999",
    "[" * 3_000,
    '{"a":' * 3_000,
    '"$":1,"$":2,',
    "\\ud800",
    "\ufeff",
    "\x00",
    "9" * 5_000,
]
NOISE += ["null", ",", "}", "]", '"', "//", "'", "0x1", "01", "+1", "True"]


def _scribble(text: str, chance: random.Random) -> str | bytes:
    """Change one place of a file as text."""
    i, j = sorted((chance.randrange(len(text) + 1), chance.randrange(len(text) + 1)))
    kind = chance.randrange(6)
    if kind == 0:
        return text[:i]
    if kind == 1:
        return text[:i] + text[j:]
    if kind == 2:
        return text[:i] + chance.choice(NOISE) + text[i:]
    if kind == 3:
        return text[:i] + chr(chance.randrange(32, 127)) + text[i + 1 :]
    if kind == 4:
        return text.encode(chance.choice(["utf-8", "utf-16", "utf-32-be"]))
    return text[:i].encode() + bytes([chance.randrange(256)]) + text[i:].encode()


def damaged(number: int) -> str | bytes:
    """Return file `number`."""
    chance = random.Random(number)
    text = chance.choice(samples())
    if chance.random() < 0.25:
        return _scribble(text, chance)
    document = json.loads(text)
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        _damage(document, chance)
    text = json.dumps(document, allow_nan=True, ensure_ascii=chance.random() < 0.9)
    return text.replace(f'"{DEEP}"', _deep(chance), 1)


def check(number: int, *, build_too: bool = False) -> bool:
    """Read file `number`; say whether it is a graph. Anything but that and a `GraphFormatError` gets out of here."""
    try:
        target = cs.from_json(damaged(number))
    except GraphFormatError as error:
        told = str(error)
        assert told.startswith("The graph file is not valid at "), told
        assert len(told) < 2_000
        return False
    if build_too:
        text = cs.to_json(target)
        assert cs.to_json(cs.from_json(text)) == text
        _only_cascade_errors(lambda: build(target))
    return True


def _only_cascade_errors(act: Callable[[], object]) -> None:
    try:
        act()
    except CascadeError:
        return
