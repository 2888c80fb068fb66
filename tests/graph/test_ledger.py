"""The books of the capacities, as a pure machine: requests in, grants out."""

from __future__ import annotations

import random
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cascade.graph.check import Amounts
from cascade.graph.ledger import HASTE, PATIENCE, SLACK, Ledger

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


@settings(max_examples=25)
@given(st.data())
def test_nobody_is_passed_for_ever(data: st.DataObject) -> None:
    """Someone who wants all of a capacity comes after a bounded number of small requests that arrive all the time."""
    books = Books()
    for _ in range(4):
        books.ask((("cpu", 1.0),))
    books.ask((("cpu", 4.0),))
    big = len(books.wanted) - 1
    for _ in range(PATIENCE + 4):
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
    ledger = Ledger({"aux": 1, "cpu": 2, "gpu": 1})
    ledger.take(0, (("gpu", 1.0),))
    assert ledger.lacking((("cpu", 1.0), ("gpu", 1.0))) == "gpu"
    assert ledger.take(1, (("cpu", 1.0),))
    assert not ledger.take(2, (("cpu", 2.0),))
    while ledger.take(3, (("cpu", 0.5),)):
        ledger.release((("cpu", 0.5),))
    assert ledger.lacking((("aux", 1.0), ("cpu", 0.5))) == "cpu", "it is free, but kept"


class Plain:
    """The rules of the ledger in their plainest form: a list of those who wait, looked at from the oldest on."""

    def __init__(self, capacity: dict[str, float]) -> None:
        self.capacity, self.used = capacity, dict.fromkeys(capacity, 0.0)
        self.waiting: list[tuple[int, Amounts]] = []
        self.passed: dict[int, int] = {}  # of the oldest of each set of names, by node

    def oldest(self) -> list[tuple[int, Amounts]]:
        """Return the oldest of each set of names."""
        found: dict[tuple[str, ...], tuple[int, Amounts]] = {}
        for node, amounts in self.waiting:
            found.setdefault(tuple(name for name, _ in amounts), (node, amounts))
        return list(found.values())

    def fits(self, amounts: Amounts, before: int) -> bool:
        kept: Counter[str] = Counter()
        older = {node for node, _ in self.waiting[:before]}
        for node, other in self.oldest():
            if node in older and self.passed.get(node, 0) >= patience(other, self.capacity):
                kept.update(dict(other))
        return all(self.used[n] + kept[n] + amount <= self.capacity[n] + SLACK for n, amount in amounts)

    def add(self, amounts: Amounts, before: int) -> None:
        for name, amount in amounts:
            self.used[name] += amount
        older = {node for node, _ in self.waiting[:before]}
        for node, other in self.oldest():
            if node in older and dict(amounts).keys() & dict(other).keys():
                self.passed[node] = self.passed.get(node, 0) + 1

    def take(self, node: int, amounts: Amounts) -> bool:
        if self.fits(amounts, len(self.waiting)):
            self.add(amounts, len(self.waiting))
            return True
        self.waiting.append((node, amounts))
        return False

    def release(self, amounts: Amounts) -> list[int]:
        for name, amount in amounts:
            self.used[name] -= amount
        granted, place = [], 0
        while place < len(self.waiting):
            node, wanted = self.waiting[place]
            if self.fits(wanted, place):
                del self.waiting[place]
                self.add(wanted, place)
                granted.append(node)
            else:
                place += 1
        return granted


def patience(amounts: Amounts, capacity: dict[str, float]) -> int:
    """Return how often the oldest of a line is passed before its amounts are kept."""
    return HASTE + int((PATIENCE - HASTE) * max(amount / capacity[name] for name, amount in amounts))


WIDE = {"cpu": 8.0, "gpu": 2.0, "db": 4.0, "net": 16.0}


def draw_wide(draw: random.Random) -> Amounts:
    """Draw amounts in 64ths, which have exact sums, mostly small ones; some ask for all there is."""
    names = sorted(draw.sample(sorted(WIDE), draw.choice([1, 2, 3])))
    return tuple((n, WIDE[n] * (1.0 if draw.random() < 0.1 else draw.randint(1, 8) / 64)) for n in names)


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 5])
def test_it_decides_as_its_rules_say(seed: int) -> None:
    """On a crowded day everyone is let in, or not, and in the same order, as by the rules in their plainest form."""
    draw, wanted, held = random.Random(seed), [], []
    ledger, plain, patient = Ledger(WIDE), Plain(WIDE), 0
    for node in range(260):
        wanted.append(draw_wide(draw))
        taken = ledger.take(node, wanted[node])
        assert taken == plain.take(node, wanted[node])
        held += [node] if taken else []
        while held and (node == 259 or draw.random() < 0.45):
            given = wanted[held.pop(draw.randrange(len(held)))]
            granted = ledger.release(given)
            assert granted == plain.release(given)
            held += granted
            patient += bool(ledger._patient)
    assert not plain.waiting
    assert not ledger.is_wanted
    assert patient, "nobody was ever patient: the test tests little"


class Passes:
    """Counts how often the oldest of each set of names is passed by later ones that take what it needs."""

    def __init__(self) -> None:
        self.ledger = Ledger(WIDE)
        self.used: Counter[str] = Counter()
        self.wanted: list[Amounts] = []
        self.held: list[int] = []
        self.waiting: list[int] = []
        self.passed: Counter[int] = Counter()

    def ask(self, amounts: Amounts) -> bool:
        node = len(self.wanted)
        self.wanted.append(amounts)
        if self.ledger.take(node, amounts):
            self.enter(node)
            return True
        self.waiting.append(node)
        return False

    def enter(self, node: int) -> None:
        self.held.append(node)
        self.used.update(dict(self.wanted[node]))
        oldest = {tuple(n for n, _ in self.wanted[other]): other for other in reversed(self.waiting)}
        for other in oldest.values():
            needs = dict(self.wanted[other])
            if other < node and any(n in needs and self.used[n] + needs[n] > WIDE[n] for n, _ in self.wanted[node]):
                self.passed[other] += 1
                assert self.passed[other] <= patience(self.wanted[other], WIDE)

    def give_back(self, place: int) -> None:
        amounts = self.wanted[self.held.pop(place)]
        self.used.subtract(dict(amounts))
        for node in self.ledger.release(amounts):
            self.waiting.remove(node)
            self.enter(node)


@pytest.mark.parametrize("seed", range(6))
def test_the_oldest_is_passed_a_bounded_number_of_times(seed: int) -> None:
    """Small requests come all the time; nobody who wants much is passed more often than it has patience, and all come.

    To be passed: someone who came later takes so much that what one needs is not left.
    """
    draw, passes = random.Random(seed), Passes()
    for node in range(500):
        part = 1.0 if node % 50 == 20 else draw.choice([1 / 32, 1 / 16, 1 / 8])
        is_in = passes.ask(tuple((n, WIDE[n] * part) for n in sorted(draw.sample(sorted(WIDE), draw.choice([1, 2])))))
        while len(passes.held) > (24 if is_in else 16):
            passes.give_back(draw.randrange(len(passes.held)))
    while passes.held:
        passes.give_back(draw.randrange(len(passes.held)))
    assert not passes.waiting
    assert max(passes.passed.values()) > PATIENCE / 2, "nobody was passed often: the test tests little"


def test_what_asks_for_little_loses_its_patience_sooner() -> None:
    """The oldest of a line is passed `PATIENCE` times if it asks for all of a capacity, fewer times for less."""
    counts = []
    for share in (0.125, 0.5, 1.0):
        ledger = Ledger({"cpu": 8})
        most = (("cpu", 8 - 4 * share),)
        assert ledger.take(0, most)
        assert ledger.take(1, (("cpu", 4 * share - 0.25),))
        assert not ledger.take(2, (("cpu", 8 * share),))
        count = 0
        while ledger.take(3, (("cpu", 0.25),)):
            assert ledger.release((("cpu", 0.25),)) == []
            count += 1
        counts.append(count)
    assert counts == [HASTE + (PATIENCE - HASTE) // 8, HASTE + (PATIENCE - HASTE) // 2, PATIENCE]


def test_what_is_kept_does_not_hold_older_ones_back() -> None:
    """An older request of other names may take what is kept for a younger one that lost its patience first."""
    ledger = Ledger({"cpu": 4, "gpu": 1})
    assert ledger.take(0, (("cpu", 3.0),))
    assert ledger.take(1, (("gpu", 1.0),))
    assert not ledger.take(2, (("cpu", 1.0), ("gpu", 1.0)))
    assert not ledger.take(3, (("cpu", 2.0),))
    while ledger.take(4, (("cpu", 1.0),)):
        assert ledger.release((("cpu", 1.0),)) == []
    assert ledger.lacking((("cpu", 1.0),)) == "cpu", "it is kept for the third"
    assert ledger.release((("gpu", 1.0),)) == [2], "who takes some of it, for it came earlier"
    assert ledger.release((("cpu", 3.0),)) == [3, 4]


def test_one_who_stops_being_patient_keeps_nothing() -> None:
    """What was kept for someone is what it uses once it is in, and is not counted twice."""
    ledger = Ledger({"cpu": 4})
    assert ledger.take(0, (("cpu", 3.0),))
    assert not ledger.take(1, (("cpu", 2.0),))
    while ledger.take(2, (("cpu", 0.5),)):
        ledger.release((("cpu", 0.5),))
    assert not ledger.take(3, (("cpu", 2.0),)), "the other one of the two below"
    assert ledger.release((("cpu", 3.0),)) == [1, 2]
    assert ledger.used["cpu"] == 2.5
    assert ledger.release((("cpu", 2.0),)) == [3]


@pytest.mark.slow
def test_ten_thousand_different_amounts_take_seconds_not_minutes() -> None:
    """The time does not grow with the square of the number of different amounts."""
    draw = random.Random(3)
    wanted = []
    for _ in range(10_000):
        names = sorted(draw.sample(sorted(WIDE), draw.choice([1, 1, 2, 3])))
        wanted.append(tuple((n, WIDE[n] * draw.uniform(0.02, 1.0)) for n in names))
    ledger, held, count = Ledger(WIDE), [], 0
    began = time.process_time()
    held = [node for node in range(10_000) if ledger.take(node, wanted[node])]
    while held:
        count += 1
        held += ledger.release(wanted[held.pop(draw.randrange(len(held)))])
    assert count == 10_000
    assert time.process_time() - began < 6
