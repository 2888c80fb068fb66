"""Limits from outside, as a pure machine on a clock that the test turns."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascade.runtime.limits import Limits, Ticket
from cascade.spec.constraint import GlobalConstraint, parse_rate


class Clock:
    """Two clocks that show the same time, one of them since the epoch."""

    def __init__(self) -> None:
        self.now = 100.0

    def wall(self) -> float:
        return self.now + 1e9


class House:
    """Limits, and nodes that want to pass them in the order in which they ask."""

    def __init__(self, *limits: GlobalConstraint) -> None:
        self.clock = Clock()
        self.limits = Limits(lambda: self.clock.now, self.clock.wall)
        self.inside: dict[int, Ticket] = {}
        self.starts: list[tuple[float, int]] = []
        for limit in limits:
            self.limits.set(limit)

    def ask(self, *nodes: int, name: str = "fetch") -> list[int]:
        """Let those in that may come in, and those whose turn it becomes by that; return them."""
        came = []
        queue = list(nodes)
        while queue:
            node = queue.pop(0)
            if self.limits.has_room(node, (name,)):
                self.inside[node] = self.limits.count((name,))
                self.starts.append((self.clock.now, node))
                came.append(node)
            else:
                queue += self.limits.pass_on((name,))
        return came

    def leave(self, node: int) -> list[int]:
        return self.ask(*self.limits.leave(self.inside.pop(node)))

    def pass_time(self, seconds: float) -> list[int]:
        """Turn the clock on, stopping whenever the limits want to be woken."""
        came: list[int] = []
        end = self.clock.now + seconds
        while self.limits.wake_at is not None and self.limits.wake_at <= end:
            self.clock.now = max(self.clock.now, self.limits.wake_at)
            for _, freed in self.limits.expire():
                came += self.ask(*freed)
        self.clock.now = end
        return came


def concurrency(limit: int, scope: str = "global", **more: Any) -> GlobalConstraint:
    return GlobalConstraint("few", scope, "concurrency", {"limit": limit}, **more)


def rate(text: object, burst: float | None = None) -> GlobalConstraint:
    more = {} if burst is None else {"capacity": burst}
    return GlobalConstraint("slow", "global", "rate_limit", {"rate": text, **more})


@given(st.integers(1, 4), st.lists(st.integers(0, 9), max_size=60))
def test_concurrency_is_never_exceeded_and_all_come(limit: int, steps: list[int]) -> None:
    """At most `limit` are inside at any instant, and everyone who asked has been inside in the end."""
    house = House(concurrency(limit))
    for number, step in enumerate(steps):
        house.ask(number)
        if step > 4 and house.inside:
            house.leave(next(iter(house.inside)))
        assert len(house.inside) <= limit
    while house.inside:
        house.leave(next(iter(house.inside)))
        assert len(house.inside) <= limit
    assert {node for _, node in house.starts} == set(range(len(steps)))


@given(st.sampled_from(["10/m", "5/s", 3, "1/s"]), st.integers(1, 4), st.integers(1, 30))
def test_rate_is_kept_over_any_window(text: object, burst: int, nodes: int) -> None:
    """In any span of time no more start than the burst and the rate allow, and all start at last."""
    house = House(rate(text, burst))
    house.ask(*range(nodes))
    house.pass_time(nodes / parse_rate(text) + 1)
    times = [at for at, _ in house.starts]
    assert len(times) == nodes
    for first in range(nodes):
        for last in range(first, nodes):
            allowed = burst + (times[last] - times[first]) * parse_rate(text)
            assert last - first + 1 <= allowed + 1e-6


def test_ten_a_minute_lets_one_through_every_six_seconds() -> None:
    """A rate in minutes is not a rate of nothing."""
    house = House(rate("10/m"))
    assert house.ask(1, 2, 3) == [1]
    assert house.pass_time(5.9) == []
    assert house.pass_time(0.2) == [2]
    assert house.pass_time(6.0) == [3]


def test_expired_limit_holds_nobody() -> None:
    """A limit that expired before it was set, or expires later, lets everyone go without being asked."""
    house = House()
    house.limits.set(GlobalConstraint("old", expires_at=house.clock.wall() - 5))
    assert house.ask(1) == []
    assert house.pass_time(0) == [1]
    house.limits.set(GlobalConstraint("soon", expires_at=house.clock.wall() + 2))
    assert house.ask(2) == []
    assert house.pass_time(1.9) == []
    assert house.pass_time(0.2) == [2]
    assert not house.limits.active


def test_limit_is_replaced_by_one_of_the_same_id() -> None:
    """A new limit with the same id takes over those who are inside, and frees those who wait if it is wider."""
    house = House(concurrency(1))
    assert house.ask(1, 2, 3, 4) == [1]
    running: list[Any] = [(("fetch",), house.inside[1])]
    assert house.ask(*house.limits.set(concurrency(3), running)) == [2, 3]
    assert house.leave(1) == [4]
    for node in (2, 3, 4):
        house.leave(node)
    assert house.ask(5, 6, 7, 8) == [5, 6, 7]


def test_attempts_that_run_already_count() -> None:
    """A limit set while five run lets nobody in until only one less than its number runs."""
    house = House()
    tickets: list[Ticket] = [[] for _ in range(5)]
    house.limits.set(concurrency(2), [(("fetch",), ticket) for ticket in tickets])
    assert house.ask(9) == []
    assert [house.ask(*house.limits.leave(ticket)) for ticket in tickets[:4]] == [[], [], [], [9]]


def test_scope_is_a_pattern_of_names() -> None:
    """A limit of scope task:<glob> concerns the nodes and tasks of that name, and nobody else."""
    house = House(concurrency(1, scope="task:fetch*"))
    assert house.ask(1, 2, name="fetch_page") == [1]
    assert house.ask(3, 4, name="clean") == [3, 4]
    assert not house.limits.has_room(5, ("by another name", "fetch_page"))


def test_one_that_cannot_go_does_not_hold_up_others() -> None:
    """A node whose turn it is, but which another limit holds, passes its turn on."""
    house = House(concurrency(1), GlobalConstraint("stop", "task:slow", "pause"))
    assert house.ask(1) == [1]
    assert not house.limits.has_room(2, ("slow",))
    assert house.ask(3) == []
    freed = house.limits.leave(house.inside.pop(1))
    assert freed == [2]
    assert not house.limits.has_room(2, ("slow",))
    assert house.limits.pass_on(("slow",)) == [3]


def test_pause_holds_until_it_is_removed() -> None:
    """A pause lets nobody in, and its removal lets in all who waited."""
    house = House(GlobalConstraint("hold"))
    assert house.ask(1, 2) == []
    assert house.ask(*house.limits.remove("hold")) == [1, 2]
    assert "hold" not in house.limits


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: GlobalConstraint("x", "everywhere"), "scope 'everywhere' is neither 'global' nor 'task:<pattern>'"),
        (lambda: concurrency(0), "n at least 1, not 0"),
        (lambda: GlobalConstraint("x", type="concurrency"), "n at least 1, not None"),
        (lambda: rate("10 a minute"), "'10 a minute' is not a number above 0 or text like '10/m' or '5/s'"),
        (lambda: rate(0), "The rate 0 is not a number above 0"),
        (lambda: rate(float("nan")), "not a number above 0"),
        (lambda: rate("1/s", 0), "capacity of a rate limit is a number of at least 1, not 0"),
    ],
)
def test_limit_that_cannot_be_obeyed_is_refused(make: Any, says: str) -> None:
    """What no engine could obey is an error where it is written."""
    with pytest.raises(ValueError, match=says):
        make()


def test_unknown_type_is_refused() -> None:
    """A type that nobody handles is an error with the nearest, not a limit without effect."""
    with pytest.raises(ValueError, match=r"The type of a limit cannot be 'paus'. Did you mean 'pause'\?"):
        House(GlobalConstraint("x", type="paus"))


def test_a_refusal_is_news_once() -> None:
    """The limit that holds a node is told when it begins to; asked again while it waits, there is nothing new."""
    limit = GlobalConstraint("slow", "task:fetch", "concurrency", {"limit": 1})
    house = House(limit)
    house.ask(1)
    assert house.limits.news is None
    assert house.limits.has_room(2, ("fetch",)) is False
    assert house.limits.news == limit
    assert house.limits.has_room(2, ("fetch",)) is False
    assert house.limits.news is None
    assert house.limits.find("slow") == limit
    house.limits.remove("slow")
    assert house.limits.find("slow") is None
