"""Who holds a lazy value is known to the call."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import pytest

import cascade as cs
from cascade.runtime.held import are_calls_held


@cs.task
def load(x=0):
    return x


@cs.task(retry=2)
def join(*parts, **named):
    return parts, named


@cs.task(pure=True)
def pure(*parts):
    return parts


@dataclass
class Pair:
    """Holds lazy results, as a user's own class may."""

    one: Any
    other: Any = None


KEPT = load()
LISTED = [load()]
PAIRED = Pair(load())
PURE = pure(pure(1))


@functools.cache
def hidden():
    return join(load(), k=load())


def shared_within():
    one = load()
    return [join(one, one), one.named("n"), Pair(one), one["k"], join().run_if(one).after(one, load())]


def in_a_loop():
    return cs.bind(join(load()), cs.select_jump({"on": join, "off": None}))


ALONE = [
    lambda: join(load(), [load(2), (1, 2)], k={"a": load()}),
    shared_within,
    lambda: join.map([load(), load()], k=cs.unmapped(load())).with_fallback(load()).with_constraints(gpu=load()),
    lambda: {"way": cs.Router(selector=load(), routes={1: load(), 2: join(load())}, default=load())},
    in_a_loop,
    lambda: join(PURE),
    lambda: join((1, "a"), k=PURE),
]
HELD = [
    lambda: join(KEPT),
    lambda: join(KEPT["k"]),
    lambda: join(LISTED),
    lambda: [LISTED],
    lambda: join(PAIRED),
    lambda: join(pure(KEPT)),
    lambda: join(hidden()),
    lambda: hidden().named("n"),
    lambda: [hidden().with_fallback(1)],
    lambda: join().after(KEPT),
    lambda: cs.Router(selector=1, routes={1: KEPT}),
]


@pytest.mark.parametrize("make", ALONE)
def test_what_a_function_has_made_is_its_receivers_alone(make):
    """Sharing within a value does not count, nor do pure calls that others hold."""
    assert not are_calls_held(make(), is_shared=False)


@pytest.mark.parametrize("make", HELD)
def test_what_something_else_holds_is_noticed(make):
    """A call, or anything around one, that a global, a cache or another call holds, too."""
    assert are_calls_held(make(), is_shared=False)


def test_the_value_itself_may_be_held():
    """Only who received it can know that, and it counts where a call that is not pure stands in it."""
    assert are_calls_held(KEPT, is_shared=True)
    assert are_calls_held(LISTED, is_shared=True)
    assert not are_calls_held(PURE, is_shared=True)
    assert not are_calls_held([1, 2], is_shared=True)
