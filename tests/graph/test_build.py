from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cascade as cs
from cascade.graph.build import build, refs_in, slots_in
from cascade.graph.model import (
    GENERAL,
    INLINE,
    LITERALS,
    LOOP,
    MAP,
    PROCESS,
    REFS,
    ROUTE,
    TASK,
    THREAD,
    ContainerSlot,
    InputRef,
    Ref,
    ResourceRef,
    UnmappedSlot,
)
from cascade.interfaces.exceptions import GraphError, NotLazyError


@cs.task
def join(*parts: Any, **named: Any) -> Any:
    """Stand for any task."""
    return parts, named


def test_a_chain_is_numbered_from_the_target_up() -> None:
    """Node 0 is the target's; each node's successors and number of needs are known."""
    a = join(1)
    b = join(a)
    graph = build(join(b))
    assert graph.calls[2] is a
    assert graph.succ == [[], [0], [1]]
    assert graph.left == [1, 1, 0]
    assert list(graph.shapes) == [REFS, REFS, LITERALS]


def test_a_shared_call_is_one_node() -> None:
    """The same lazy result in two places is one node with two successors."""
    a = join(1)
    graph = build(join(a, a, join(a)))
    assert len(graph) == 3
    assert graph.left[0] == 3


def test_equal_calls_of_an_impure_task_are_two_nodes() -> None:
    """Only `pure` says that two calls may be one."""
    assert len(build([join(1), join(1)])) == 2


def test_target_keeps_its_shape() -> None:
    """The target's slot holds the containers as the user wrote them."""
    graph = build({"a": [join(1)], "b": (join(2), 3)})
    assert type(graph.target) is ContainerSlot
    assert type(graph.target.like) is dict
    assert refs_in(graph.target) == [0, 1]


@pytest.mark.parametrize("target", [None, 3, "text", [], {"a": [1, 2]}, join, lambda: 1, cs.Param("only")])
def test_nothing_lazy_is_an_error(target: object) -> None:
    """A target without a lazy result says what was given instead."""
    with pytest.raises(NotLazyError) as caught:
        build(target)
    assert type(target).__name__ in str(caught.value)


def test_a_task_that_was_not_called_says_so() -> None:
    """The usual slip, ``cs.run(task)``, is answered with the call that was meant."""
    with pytest.raises(NotLazyError, match="'join' is a task: call it first"):
        build(join)


@dataclass
class Pair:
    left: Any
    right: Any = None


@pytest.mark.parametrize(
    "wrap",
    [
        lambda x: [x],
        lambda x: (1, (x,)),
        lambda x: {x},
        lambda x: frozenset([x]),
        lambda x: {"k": {"k": x}},
        lambda x: {x: 1},
        lambda x: Pair(1, [x]),
        lambda x: x["key"],
        lambda x: [x[0][1]],
    ],
)
def test_lazy_results_are_found_at_any_depth(wrap: Any) -> None:
    """Lists, tuples, sets, dicts (keys too), dataclasses and items lead to the call inside."""
    a = join(1)
    graph = build(join(wrap(a), key=wrap(a)))
    assert graph.calls[1:] == [a]
    assert graph.shapes[0] == GENERAL
    assert list(graph.needs_of(0)) == [1, 1]


def test_containers_without_lazy_results_are_values() -> None:
    """What holds nothing lazy is passed on as it is: not copied, not walked again."""
    big = [list(range(10)), {"a": (1, 2)}]
    graph = build(join(big))
    assert graph.args[0][0] is big


def test_a_list_that_holds_itself_is_a_value() -> None:
    """Walking for lazy results ends in circular data."""
    loop: list[Any] = [1]
    loop.append(loop)
    assert build(join(loop)).args[0][0] is loop


def test_a_list_that_holds_itself_and_a_lazy_result_is_an_error() -> None:
    """There is no value to build of it, and no recursion error either."""
    loop: list[Any] = [join(1)]
    loop.append(loop)
    with pytest.raises(GraphError, match="too deeply"):
        build(join(loop))


def test_a_long_chain_needs_no_recursion() -> None:
    """Building, ordering and naming work at the default recursion limit."""
    last = join(0)
    for _ in range(20_000):
        last = join(last)
    graph = build(last)
    assert len(graph) == 20_001
    assert graph.order[0] == 20_000
    assert graph.heights[20_000] == 20_001


def test_params_envs_resources_have_slots() -> None:
    """Params, Envs, resources (by name or object) and whole inputs of maps are told apart."""

    @cs.resource
    def db() -> Any:
        yield 1

    param, env = cs.Param("p", 1), cs.Env("E", "x")
    graph = build(join.map(param, [env], cs.inject("other"), db, cs.unmapped([join(1)])))
    kinds = [type(slot) for slot in graph.args[0]]
    assert kinds == [InputRef, ContainerSlot, ResourceRef, ResourceRef, UnmappedSlot]
    assert graph.params == [param]
    assert graph.envs == [env]
    assert graph.resources == {0: ("other", "db")}
    assert list(graph.needs_of(0)) == [1]


def test_defaults_that_are_lazy_are_filled_in() -> None:
    """A resource, Param or lazy result as a parameter's default stands in when the argument is left out."""
    fallback = join(1)

    @cs.task
    def use(x: Any, way: Any = cs.Param("way", "a"), db: Any = cs.inject("db"), *, given: Any = fallback) -> Any:
        return x

    graph = build(use(1))
    assert set(graph.kwargs[0]) == {"way", "db", "given"}
    assert graph.calls[1] is fallback
    explicit = build(use(1, "b", None, given=2))
    assert not explicit.params
    assert not explicit.resources
    assert len(explicit) == 1


def test_kinds_and_modes() -> None:
    """Maps and routes have their kind, each task its mode."""

    @cs.task(mode="inline")
    def tiny() -> int:
        return 1

    @cs.task(mode="compute")
    def heavy() -> int:
        return 1

    @cs.task
    async def later() -> int:
        return 1

    graph = build([tiny(), heavy(), later(), join(), join.map([1]), cs.Router(tiny(), {1: 2})])
    assert list(graph.modes)[:4] == [INLINE, PROCESS, LOOP, THREAD]
    assert list(graph.kinds)[:6] == [TASK, TASK, TASK, TASK, MAP, ROUTE]


def test_options_become_gates_orders_amounts_and_fallbacks() -> None:
    """What ``.run_if``, ``.after``, ``.with_constraints`` and ``.with_fallback`` name becomes nodes too."""
    flag, first, amount, spare = (join(i) for i in range(4))
    graph = build(join(9).run_if(flag).after(first).with_constraints(gpu=amount, cpu=2).with_fallback(spare))
    assert len(graph) == 5
    assert [graph.calls[r.index] for r in (graph.gates[0], graph.fallbacks[0])] == [flag, spare]  # type: ignore[attr-defined]
    assert [graph.calls[j] for j in graph.orders[0]] == [first]
    assert graph.amounts[0]["cpu"] == 2
    assert {graph.calls[j] for j in graph.needs_of(0)} == {amount, first}


def test_a_router_waits_for_no_branch() -> None:
    """A route is known before any branch runs: selector and branches are slots, not needs."""
    graph = build(cs.Router(join(0), {"a": join(1), "b": 2}, default=join(2)))
    assert graph.left[0] == 0
    assert graph.routes[0].branches["b"] == 2
    assert type(graph.routes[0].selector) is Ref


def test_items_share_their_call() -> None:
    """``lazy["a"]`` and ``lazy["b"]`` are two references to one node."""
    a = join(1)
    graph = build([a["a"], a["b"][join(2)]])
    assert len(graph) == 2
    assert [slot.path for slot in graph.target.items] == [("a",), ("b", Ref(1))]  # type: ignore[attr-defined]


# -- equal calls of pure tasks -----------------------------------------------------------------------------------------


@cs.task(pure=True)
def pure(*args: Any, **kwargs: Any) -> Any:
    """Stand for any pure task."""
    return args, kwargs


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [
        (pure(1), pure(1), 1),
        (pure(1), pure(True), 2),
        (pure(1), pure(1.0), 2),
        (pure(0.0), pure(-0.0), 2),
        (pure("1"), pure(1), 2),
        (pure(float("nan")), pure(float("nan")), 1),
        (pure([1, {"a": (2,)}]), pure([1, {"a": (2,)}]), 1),
        (pure([1]), pure((1,)), 2),
        (pure(x=1, y=2), pure(y=2, x=1), 1),
        (pure(pure(1)), pure(pure(1)), 2),
        (pure([pure(1)]), pure([pure(1)]), 2),
        (pure(join(1)), pure(join(1)), 4),
        (pure.map([1]), pure.map([1]), 1),
        (pure.map([1]), pure([1]), 2),
        (pure.map([1]), pure.map([1], max_concurrency=2), 2),
        (pure(1).with_retry(2), pure(1).with_retry(2), 1),
        (pure(1).with_retry(2), pure(1).with_retry(3), 2),
        (pure(1).named("a"), pure(1), 2),
        (pure(1).with_constraints(a=1), pure(1).with_constraints(a=1), 1),
        (pure(1).with_constraints(a=1), pure(1).with_constraints(a=2), 2),
        (pure(1).run_if(pure(2)), pure(1).run_if(pure(2)), 2),
        (pure(1).run_if(pure(2)), pure(1).run_if(pure(3)), 4),
        (pure(1).after(pure(2)), pure(1).after(pure(2)), 2),
        (pure(1).with_fallback(None), pure(1), 2),
        (pure(object()), pure(object()), 2),
    ],
)
def test_equal_calls_of_a_pure_task_are_one_node(one: Any, other: Any, count: int) -> None:
    """Equality is by task, by type and by value, all the way down; what cannot be compared is equal only to itself."""
    assert len(build([one, other])) == count


def test_equal_repr_is_not_equal() -> None:
    """Two objects that look the same in text are still two (a known mistake of others)."""

    class Sly:
        def __repr__(self) -> str:
            return "Sly()"

    assert len(build([pure(Sly()), pure(Sly())])) == 2


def test_circular_and_huge_values_of_pure_calls_are_compared_by_identity() -> None:
    """Comparing ends, whatever a value looks like inside."""
    loop: list[Any] = []
    loop += [loop, loop]
    deep: Any = []
    for _ in range(2_000):
        deep = [deep]
    huge = [0] * 20_000
    for value in (loop, deep, huge):
        assert len(build([pure(value), pure(value)])) == 1
    assert len(build([pure([0] * 20_000), pure([0] * 20_000)])) == 2


# -- random graphs -----------------------------------------------------------------------------------------------------


@st.composite
def random_calls(draw: st.DrawFn) -> list[Any]:
    """Some calls, each of which names earlier ones in its arguments, options or routes."""
    calls: list[Any] = [join(0)]
    for number in range(draw(st.integers(1, 6))):
        pick = st.sampled_from(calls)
        args = draw(st.lists(pick | st.integers() | st.lists(pick, max_size=2), max_size=3))
        call: Any = join(number, *args)
        if draw(st.booleans()):
            call = call.run_if(draw(pick))
        if draw(st.booleans()):
            call = call.after(draw(pick))
        if draw(st.integers(0, 3)) == 0:
            call = cs.Router(draw(pick), {0: draw(pick), 1: call})
        calls.append(call)
    return calls


@given(random_calls())
def test_successors_and_needs_agree(calls: list[Any]) -> None:
    """For every node, the needs it counts are the successors that others know of it."""
    graph = build(calls[-1])
    for i in range(len(graph)):
        assert graph.left[i] == len(list(graph.needs_of(i)))
        assert graph.left[i] == sum(users.count(i) for users in graph.succ)


@given(random_calls())
def test_every_call_that_is_reached_is_a_node(calls: list[Any]) -> None:
    """Building again gives the same numbers; each slot refers to a node that is there."""
    graph, again = build(calls), build(calls)
    assert [id(c) for c in graph.calls] == [id(c) for c in again.calls]
    for args in graph.args:
        for slot in args:
            for inner in slots_in(slot):
                assert type(inner) is not Ref or 0 <= inner.index < len(graph)
