"""Tasks that return calls by a plan, and what a reader of the plan expects: the language of `test_growth_stored`.

A plan is plain data, so that it can stand among the arguments of a remembered call: a list of a word and its parts. The
evaluator shares no code with the engine.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import cascade as cs
from cascade.interfaces import events as ev

Plan = list[Any]
PARAM = 7
KINDS: dict[str, Any] = {
    "list": list,
    "tuple": tuple,
    "dict": lambda parts: {f"k{place}": part for place, part in enumerate(parts)},
}


class NoError(Exception):
    """What `fail` raises."""


@cs.task(pure=True, mode="inline")
def add(*numbers):
    return sum(map(flat, numbers))


@cs.task
def live(number):
    """Not pure: two of them are two, and each runs in each run."""
    return number + 1


@cs.task(pure=True)
def fail(number):
    raise NoError(number)


@cs.task(pure=True)
def grow(plan):
    return make(plan)


@cs.task(pure=True, mode="inline")
def grow_inline(plan):
    return make(plan)


@cs.task(pure=True)
async def grow_later(plan):
    return make(plan)


def flat(value: Any) -> int:
    """Return one number for any value of a plan."""
    if isinstance(value, dict):
        return sum(map(flat, value.values()))
    return sum(map(flat, value)) if isinstance(value, (list, tuple)) else int(value)


def make(plan: Plan) -> Any:  # noqa: C901, PLR0911 - one branch for each word
    """Return the lazy value that a plan means."""
    word, *parts = plan
    if word == "number":
        return parts[0]
    if word == "param":
        return add(cs.Param("extra", default=PARAM, type=int))
    if word in KINDS:
        made = [make(part) for part in parts]
        return KINDS[word](made)
    if word == "live":
        return live(parts[0])
    if word == "twice":  # the same call in two places
        shared = live(parts[0])
        return [shared, add(shared, shared)]
    if word == "grow":
        return (grow, grow_inline, grow_later)[parts[0]](parts[1])
    if word == "map":
        return (grow_later if parts[0] else grow).map(plan=parts[1:], max_concurrency=parts[0] or None)
    if word == "route":
        routes = {k: make(part) for k, part in enumerate(parts[1:])}
        return cs.Router(selector=add(parts[0] % len(routes)), routes=routes)
    if word == "fallback":
        return fail(1).with_fallback(make(parts[0]))
    if word == "gate":
        return add(make(parts[1])).run_if(add(parts[0])).with_fallback(-1).named("gated")
    return add(*[make(part) for part in parts])


def expect(plan: Plan) -> Any:  # noqa: PLR0911 - one branch for each word
    """Return the value of a plan."""
    word, *parts = plan
    if word in ("number", "live"):
        return parts[0] + (word == "live")
    if word == "param":
        return PARAM
    if word in KINDS:
        found = [expect(part) for part in parts]
        return KINDS[word](found)
    if word == "twice":
        return [parts[0] + 1, 2 * (parts[0] + 1)]
    if word == "grow":
        return expect(parts[1])
    if word == "map":
        return [expect(part) for part in parts[1:]]
    if word == "route":
        return expect(parts[1:][parts[0] % len(parts[1:])])
    if word == "fallback":
        return expect(parts[0])
    if word == "gate":
        return flat(expect(parts[1])) if parts[0] else -1
    return sum(flat(expect(part)) for part in parts)


# -- runs of them -----------------------------------------------------------------------------------------------------


def run_of(target, store, **options):
    """Run to the end; return the run."""
    run = cs.start(target, cache=store, log_level=None, **options)
    run.result(20)
    return run


def started(run):
    """Return how often a function of each name was called; items of maps count."""
    return Counter(e.name for e in run.events if isinstance(e, ev.NodeStarted))
