"""Which calls a function returned is not stored where they could not be given back exactly; then it runs again."""

from __future__ import annotations

import functools
import logging

import numpy as np
import pandas as pd
import pytest

import cascade as cs
from cascade.adapters.stores.local import LocalStore
from cascade.interfaces import events as ev
from tests.runtime.grown_programs import run_of, started

SHARED = cs.task(name="shared")(lambda: 1)()


@cs.task(pure=True, mode="inline")
def plus(*numbers):
    return sum(numbers)


@cs.task
def live(x):
    return x


@cs.task(pure=True)
def item(x):
    return plus(x, 10)


@pytest.fixture
def store(tmp_path):
    """A store of its own, with a key of its own."""
    with LocalStore(tmp_path / "store", key_file=tmp_path / "key") as made:
        yield made


@pytest.fixture
def said(caplog):
    """What was said about results that are not remembered."""
    caplog.set_level(logging.WARNING, logger="cascade")
    return lambda: [r.getMessage() for r in caplog.records if "is not remembered" in r.getMessage()]


# -- what is not stored -----------------------------------------------------------------------------------------------


@functools.cache
def hidden():
    """One lazy result for everybody who asks."""
    return live(1)


@cs.task(pure=True)
def takes_hidden(x):
    return plus(hidden(), x)


@cs.task(pure=True)
def gives_hidden(x):
    return hidden() if x else plus(0)


@cs.task(pure=True, mode="inline")
def gives_hidden_inline(x):
    return hidden() if x else plus(0)


@cs.task(pure=True)
async def gives_hidden_later(x):
    return [hidden(), x]


@cs.task(pure=True)
def takes_global(x):
    return plus(SHARED, x)


@cs.task(pure=True)
def takes_function(x):
    return apply(lambda y: y, x)


@cs.task(pure=True)
def apply(function, x):
    return function(x)


@cs.task(pure=True)
def takes_moment(x):
    return plus(length([pd.Timestamp("2020-01-01"), x]))


@cs.task(pure=True)
def takes_moments(x):
    return plus(length(np.array([pd.Timestamp("2020-01-01"), x], dtype=object)))


@cs.task(pure=True)
def length(values):
    return len(values)


@cs.task(pure=True)
def takes_computed(x):
    return globals()["li" + "ve"](x)


@cs.task(pure=True, ignore=("log",))
def ignores(x, log=()):
    return plus(x, *log)


@cs.task(pure=True)
def takes_sink(x, sink=cs.inject("sink")):
    return count_into(sink, x)


@cs.task(pure=True)
def count_into(sink, x):
    sink.append(x)
    return len(sink)


@cs.resource(name="sink")
def open_sink():
    yield []


@cs.task(pure=True)
def takes_new(x):
    return cs.task(name="new")(lambda y: y)(x)


@pytest.mark.parametrize(
    ("task", "why"),
    [
        (takes_hidden, "something else holds some of them"),
        (gives_hidden, "something else holds some of them"),
        (gives_hidden_inline, "something else holds some of them"),
        (gives_hidden_later, "something else holds some of them"),
        (takes_global, "its code uses 'shared' from outside"),
        (takes_function, "cannot hold a function"),
        (takes_moment, "cannot hold a pandas"),
        (takes_computed, "its code does not show where the task"),
        (takes_new, "its code does not show where the task"),
        (ignores, "it ignores arguments"),
        (takes_sink, "the instance of a resource"),
    ],
)
def test_in_doubt_the_function_runs(store, said, task, why):
    """What cannot be given back exactly is not stored; that is said once for each task of a run."""
    for times in (1, 2):
        run = run_of([task(1), task(2)], store, resources=[open_sink])
        assert started(run)[task.name] == 2
        assert len(said()) == times
    assert f"The result of '{task.name}' is not remembered: it returned calls" in said()[0]
    assert why in said()[0]


def test_what_has_no_codec_is_not_stored(store):
    """An array of any objects could only be pickled, and calls never are."""
    for _ in range(2):
        run = run_of(takes_moments(1), store)
        assert started(run)["takes_moments"] == 1
        assert any("never pickled" in e.problem for e in run.events if isinstance(e, ev.StoreReported))


def make_step(k):
    @cs.task(pure=True)
    def step(x):
        return x * k

    return step


STEP = make_step(2)


@cs.task(pure=True)
def applies(x, step=STEP):
    return step(x)


class Scale:
    """Has a task."""

    @cs.task(pure=True)
    def by(self, x):
        return x


@cs.task(pure=True)
def uses(x, owner):
    return plus(x) if owner else 0


def test_a_task_among_the_arguments_is_asked_itself(store, said):
    """A key knows tasks by their names; of two with one name, each is called."""
    other = make_step(5)
    for _ in range(2):
        run = run_of([applies(3), applies(3, step=other), applies(3, other), applies(3, STEP)], store)
        assert run.result() == [6, 15, 15, 6]
    for owner in (Scale(), [{"a": Scale()}], Scale, {"f": len, "g": lambda: 1}):
        for _ in range(2):
            assert started(run_of(uses(1, owner), store))["uses"] == 1
    assert all("is among its arguments" in each for each in said())


def test_one_lazy_result_in_two_calls_is_one_node(store):
    """The calls that two functions share run once in each run, as before."""
    for _ in range(2):
        assert started(run_of([takes_hidden(1), takes_hidden(2), gives_hidden(1)], store))["live"] == 1


def test_equal_pure_calls_may_come_from_anywhere(store):
    """Pure calls that something else holds are stored: they are one node by what they are."""
    for times in (1, 0):
        assert started(run_of([takes_pure(1), takes_pure(2)], store))["takes_pure"] == 2 * times


@functools.cache
def hidden_pure():
    return plus(5)


@cs.task(pure=True)
def takes_pure(x):
    return plus(hidden_pure(), x)


def test_a_policy_holds_for_which_calls_they_are(store, said):
    """With a time to live the calls are kept as long; that their values are not is said where they have no policy."""
    for times in (1, 0):
        run = run_of(timed(1), store)
        assert started(run)["timed"] == times
    assert len(said()) == 1
    assert "for which calls they are, not for their values" in said()[0]
    assert "as 'live' has none" in said()[0]
    for _ in range(2):
        run_of(item(1).with_cache(cs.cache.ttl(60)), store)
    assert len(said()) == 1


@cs.task(cache=cs.cache.ttl(3600))
def timed(x):
    return live(x)


@pytest.mark.parametrize("policy", [cs.cache.file_exists("/"), cs.cache.never()])
def test_other_policies_cannot_judge_calls(store, said, policy):
    """A policy that asks for the value is told nothing, and who wrote it what to write instead."""
    for _ in range(2):
        assert started(run_of(live_outer(1).with_cache(policy), store))["live_outer"] == 1
    assert len(said()) == (0 if policy == cs.cache.never() else 2)
    assert all("Give the policy to these calls" in each for each in said())


@cs.task
def live_outer(x):
    return plus(x)
