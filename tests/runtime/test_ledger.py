"""The books of the capacities, as a pure machine: requests in, grants out."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascade.runtime.ledger import PATIENCE, Amounts, Ledger

NAMES = ("cpu", "gpu", "db")
CAPACITY = {"cpu": 4.0, "gpu": 1.0, "db": 2.5}


@st.composite
def requests(draw: st.DrawFn) -> Amounts:
    """Draw amounts that are never above the capacity."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    return tuple(sorted((n, draw(st.sampled_from([0.5, 1.0, CAPACITY[n]]))) for n in names))


class Books:
    """A ledger, and what a suspicious auditor writes down beside it."""

    def __init__(self) -> None:
        self.ledger = Ledger(CAPACITY)
        self.wanted: dict[int, Amounts] = {}
        self.held: list[int] = []
        self.waiting: list[int] = []

    def ask(self, amounts: Amounts) -> None:
        node = len(self.wanted)
        self.wanted[node] = amounts
        (self.held if self.ledger.take(node, amounts) else self.waiting).append(node)
        self.audit()

    def give_back(self, place: int) -> list[int]:
        node = self.held.pop(place % len(self.held))
        granted = self.ledger.release(self.wanted[node])
        for other in granted:
            self.waiting.remove(other)
            self.held.append(other)
        self.audit()
        return granted

    def audit(self) -> None:
        for name, capacity in CAPACITY.items():
            used = sum(dict(self.wanted[node]).get(name, 0.0) for node in self.held)
            assert self.ledger.used[name] == pytest.approx(used)
            assert used <= capacity + 1e-9


@given(st.lists(st.one_of(requests(), st.integers(0, 50)), max_size=120))
def test_sum_never_exceeds_capacity_and_all_come_at_last(steps: list[Amounts | int]) -> None:
    """Whatever is asked and given back, the sum held stays within the capacity, and everyone who waits comes."""
    books = Books()
    for step in steps:
        if not isinstance(step, int):
            books.ask(step)
        elif books.held:
            books.give_back(step)
    while books.held:
        books.give_back(0)
    assert not books.waiting
    assert not any(books.ledger.used.values())


@pytest.mark.parametrize("seed", range(12))
def test_long_crowded_days_come_to_an_end(seed: int) -> None:
    """Hundreds of mixed requests, most of them waiting, limits that give grants back: everybody comes at last."""
    draw = random.Random(seed)
    capacity = {"cpu": 4.0, "gpu": 1.0, "db": 2.5, "net": 8.0}
    ledger = Ledger(capacity)
    wanted: list[Amounts] = []
    held: list[int] = []
    for node in range(600):
        names = draw.sample(sorted(capacity), draw.choice([1, 1, 2, 3]))
        wanted.append(tuple(sorted((n, draw.choice([0.5, 1.0, capacity[n]])) for n in names)))
        if ledger.take(node, wanted[node]):
            held.append(node)
    came = set(held)
    while held:
        granted = ledger.release(wanted[held.pop(draw.randrange(len(held)))])
        held += granted
        came.update(granted)
    assert len(came) == 600


@given(st.lists(requests(), min_size=1, max_size=40))
def test_whoever_fits_an_empty_house_is_let_in(asked: list[Amounts]) -> None:
    """When nothing is held, nobody waits: a queue without a holder would never move again."""
    books = Books()
    for amounts in asked:
        books.ask(amounts)
        while books.held and len(books.wanted) % 3 == 0:
            books.give_back(0)
    assert books.held or not books.waiting


@given(st.data())
def test_nobody_is_passed_for_ever(data: st.DataObject) -> None:
    """Someone who wants all of a capacity comes after a bounded number of small requests that arrive all the time."""
    books = Books()
    for _ in range(4):
        books.ask((("cpu", 1.0),))
    books.ask((("cpu", 4.0),))
    big = len(books.wanted) - 1
    for _ in range(4 * PATIENCE):
        books.ask((("cpu", 1.0),))
        books.give_back(data.draw(st.integers(0, 3)))
        if big in books.held:
            return
    pytest.fail("the big request starves")


def test_amounts_are_taken_together_or_not_at_all() -> None:
    """A request that lacks one of its amounts takes none of the others."""
    ledger = Ledger({"cpu": 2, "gpu": 1})
    assert ledger.take(0, (("gpu", 1.0),))
    assert not ledger.take(1, (("cpu", 1.0), ("gpu", 1.0)))
    assert ledger.used == {"cpu": 0.0, "gpu": 1.0}
    assert ledger.release((("gpu", 1.0),)) == [1]
    assert ledger.used == {"cpu": 1.0, "gpu": 1.0}


def test_scarce_capacity_blocks_nobody_who_does_not_need_it() -> None:
    """While a node waits for the GPU, however long, nodes that need only processors come and go."""
    ledger = Ledger({"cpu": 4, "gpu": 1})
    assert ledger.take(0, (("gpu", 1.0),))
    assert not ledger.take(1, (("cpu", 1.0), ("gpu", 1.0)))
    for node in range(2, 200):
        assert ledger.take(node, (("cpu", 1.0),))
        assert ledger.release((("cpu", 1.0),)) == []
    assert [ledger.take(node, (("cpu", 1.0),)) for node in range(200, 203)] == [True, True, True]
    assert not ledger.take(203, (("cpu", 1.0),)), "the one that is kept for the patient node"
    assert ledger.release((("gpu", 1.0),))[0] == 1


def test_equal_requests_come_in_the_order_of_their_arrival() -> None:
    """Among equals the first to wait is the first to come."""
    ledger = Ledger({"db": 1})
    assert ledger.take(0, (("db", 1.0),))
    assert not any(ledger.take(node, (("db", 1.0),)) for node in (5, 3, 9))
    order = []
    for _ in range(3):
        order += ledger.release((("db", 1.0),))
    assert order == [5, 3, 9]


def test_fractions_do_not_drift() -> None:
    """Ten tenths are one, also after a million of them."""
    ledger = Ledger({"db": 1})
    tenth = (("db", 0.1),)
    for _ in range(1000):
        assert all(ledger.take(node, tenth) for node in range(10))
        assert not ledger.take(10, tenth)
        for _ in range(10):
            ledger.release(tenth)
        ledger.release(tenth)
    assert ledger.used["db"] == 0.0


def test_lacking_names_what_is_missing() -> None:
    """A waiting node is told which capacity it waits for."""
    ledger = Ledger({"cpu": 2, "gpu": 1})
    ledger.take(0, (("gpu", 1.0),))
    assert ledger.lacking((("cpu", 1.0), ("gpu", 1.0))) == "gpu"
