"""Which values may stay on a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

import cascade as cs
from cascade.runtime.flow import Settings
from cascade.runtime.locality import Locality
from cascade.runtime.run import lay_out

make = cs.task(lambda *_: [1], name="make")
use = cs.task(lambda *_: 1, name="use")
here = cs.task(lambda *_: 1, name="here", mode="inline")
later = cs.task(lambda *_: 1, name="later", mode="inline")


@dataclass
class Pair:
    left: Any
    right: Any = 0


@pytest.mark.parametrize(
    ("build", "stays"),
    [
        (use, True),
        (lambda made: use([made, {"a": (made,)}]), True),
        (lambda made: use(made["key"]), True),
        (lambda made: use.map([1, 2], cs.unmapped(made)), True),
        (lambda made: made, False),
        (lambda made: [use(made), made[0]], False),
        (here, False),
        (lambda made: here([made]), False),
        (lambda made: use(1).run_if(made), False),
        (lambda made: use(1).with_fallback(made), False),
        (lambda made: cs.Router(selector=made, routes={1: use(1)}), False),
        (lambda made: cs.Router(selector=1, routes={1: made}), False),
        (lambda made: use(1).with_constraints(seat=made), False),
        (use.map, False),
        (lambda made: use(Pair(made)), False),
        (lambda made: use(make(2)[made]), False),
    ],
)  # fmt: skip
def test_who_takes_it(build: Any, stays: bool) -> None:
    """A value stays if only calls on the cluster take it whole, within plain containers, or by key."""
    flow = lay_out(build(make(1)), None, {"seat": 1}, (), Settings())
    node = next(n for n, args in enumerate(flow.graph.args) if flow.graph.labels[n].startswith("make") and 1 in args)
    assert Locality(flow).stays(node) is stays


def test_items_of_a_map_stay_for_another_map() -> None:
    """A map over a map hands out the items of the first by reference."""
    first = make.map([1, 2])
    flow = lay_out(use.map(first), None, None, (), Settings())
    assert [Locality(flow).stays(n) for n in range(2)].count(True) == 1


def test_state_backends_want_everything() -> None:
    """With a state backend every value comes, since another process may want to read it."""
    flow = lay_out(use(make(1)), None, None, (), Settings())
    node = flow.graph.labels.index("make")
    assert Locality(flow).stays(node)
    flow.settings.state = object()  # type: ignore[assignment]
    assert not Locality(flow).stays(node)
