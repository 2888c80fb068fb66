from __future__ import annotations

import time
from typing import Any

import pytest

import cascade as cs
from cascade.spec.policy import UNSET


@cs.task
def kind_of(x: Any) -> Any:
    """Stand for any task."""
    return x


@pytest.mark.parametrize("routes", [{}, None, [("a", 1)], "ab"])
def test_there_is_something_to_choose_from(routes: Any) -> None:
    """Routes are a mapping with at least one entry, unless there is a default."""
    with pytest.raises(ValueError, match="A Router needs routes="):
        cs.Router(selector=1, routes=routes)


def test_a_default_alone_is_enough() -> None:
    """None is a default like any other."""
    assert cs.Router(1, {}, default=None).default is None
    assert cs.Router(1, {1: 2}).default is UNSET


def test_labels() -> None:
    """A given name, else the selector's with a question mark."""
    routes = {1: 2}
    labels = [
        cs.Router(1, routes, name="way").label,
        cs.Router(kind_of(1), routes).label,
        cs.Router(cs.Param("p"), routes).label,
        cs.Router(3, routes).label,
    ]
    assert labels == ["way", "kind_of?", "p?", "choose"]


def test_labels_cost_nothing() -> None:
    """The label of a Router is read for every event; it makes no error message on the way."""
    router = cs.Router(kind_of(1), {1: 2})
    start = time.perf_counter()
    for _ in range(1_000):
        _ = router.label
    assert time.perf_counter() - start < 0.1


def test_routes_are_copied() -> None:
    """Changing the dict afterwards does not change the Router."""
    routes = {1: "a"}
    router = cs.Router(1, routes)
    routes[2] = "b"
    assert router.routes == {1: "a"}
    assert repr(router) == "Router('choose', routes=[1])"
