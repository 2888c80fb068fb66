"""Why the items of a map ran, what a plan knows of them, and how their runs differ."""

from __future__ import annotations

from typing import Any

import pytest

import cascade as cs
from cascade.adapters.stores.local import LocalStore
from cascade.tools.diff import diff
from cascade.tools.plan import plan
from cascade.tools.why import why

QUIET: dict[str, Any] = {"log_level": None}


@pytest.fixture
def store(tmp_path):
    """A store of its own."""
    with LocalStore(tmp_path / "store", key_file=tmp_path / "key") as made:
        yield made


def make_task(factor: int = 3, body: str = "return helper(x) + shift"):
    """Return a task with a helper, a global and a second argument."""
    names: dict[str, Any] = {"FACTOR": factor}
    exec(f"def helper(x): return x * FACTOR\ndef fit(x, shift):\n    {body}\n", names)
    return cs.task(pure=True)(names["fit"])


def mapped(xs: Any, task: Any = None) -> Any:
    """Return the map over `xs`, with a Param."""
    return (task or make_task()).map(x=xs, shift=cs.Param("shift", type=int, default=1))


def go(store: LocalStore, target: Any, **params: Any) -> None:
    """Run it."""
    cs.run(target, params, cache=store, **QUIET)


@pytest.mark.slow
def test_why_names_the_elements_that_are_new(store) -> None:
    """Of a thousand items two are new: which, and who made the others."""
    elements = list(range(1000))
    go(store, mapped(elements))
    assert str(why("fit", cache=store)) == "1,000 of 1,000 items ran: it had not run before"
    elements[3], elements[17] = -1, -2
    go(store, mapped(elements))
    assert str(why("fit", cache=store)) == "2 of 1,000 items ran: new elements [3], [17]; 998 from run 1"
    go(store, mapped(elements))
    assert str(why("fit", cache=store)) == "stored: same code and inputs · 998 from run 1, 2 from run 2"
    go(store, mapped([*elements, *range(5000, 5010)]))
    told = "10 of 1,010 items ran: new elements [1000], [1001], [1002], [1003], [1004] and 5 more; "
    assert str(why("fit", cache=store)) == f"{told}998 from run 1, 2 from run 2"
    assert str(why("fit", run=2, cache=store)).startswith("2 of 1,000 items ran: ")
    assert why("fit", run=2, cache=store).outcome == "ran"


def test_why_names_what_changed_for_all_items(store) -> None:
    """A Param, a global of a helper, the function itself: the reason is that, not the elements."""
    go(store, mapped(range(5)))
    go(store, mapped(range(5)), shift=2)
    assert str(why("fit", cache=store)) == "5 of 5 items ran: shift 1 → 2"
    go(store, mapped(range(5), make_task(factor=4)), shift=2)
    assert str(why("fit", cache=store)) == "5 of 5 items ran: code changed (global FACTOR 3 → 4 (used in helper))"
    go(store, mapped(range(6), make_task(4, "return helper(x) - shift")), shift=2)
    assert str(why("fit", cache=store)).startswith("6 of 6 items ran: code changed (")


def test_why_tells_items_that_are_gone_from_new_ones(store) -> None:
    """An element that was there before and runs again was no longer in the store."""
    go(store, mapped(range(5)))
    store.clear("fit")
    go(store, mapped([0, 1, 2, 3, 4, 9]))
    told = "6 of 6 items ran: new elements [5] · no longer in the store, or asked for anew: "
    assert str(why("fit", cache=store)) == f"{told}[0], [1], [2], [3], [4]"


def test_iterators_are_told_of_too(store) -> None:
    """Elements that come while the map runs are known afterwards as well."""
    go(store, mapped(iter(range(600))))
    go(store, mapped(iter([*range(600), -1])))
    assert str(why("fit", cache=store)) == "1 of 601 items ran: new elements [600]; 600 from run 1"


def test_a_difference_names_new_and_gone_elements(store) -> None:
    """Between two runs of a map with the same code, elements count."""
    go(store, mapped([1, 2, 3]))
    go(store, mapped([2, 3, 4, 5]))
    assert diff(1, 2, cache=store).changes == {"fit": ("new elements [2], [3]", "1 element is gone")}
    go(store, mapped([5, 4, 3, 2]))
    assert diff(2, 3, cache=store).changes == {}


def test_a_plan_counts_the_items_that_would_run(store) -> None:
    """Items of a list are looked up one by one; all of them stored is stored."""
    go(store, mapped(range(1000)))
    step = plan(mapped([*range(998), -1, -2]), cache=store)["fit"]
    assert (step.status, step.items) == ("run", (998, 1000))
    assert step.reason == "2 of 1,000 items would run: [998], [999]; 998 from run 1"
    whole = plan(mapped(range(10)), cache=store)["fit"]
    assert (whole.status, whole.items, whole.reason) == ("stored", (10, 10), "10 from run 1")
    changed = plan(mapped(range(10)), {"shift": 5}, cache=store)["fit"]
    assert (changed.items, changed.reason) == ((0, 10), "10 of 10 items would run: code or inputs changed")
    assert plan(mapped([-5]).named("other"), cache=store)["other"].reason == (
        "1 of 1 items would run: it has not run before"
    )


def test_a_plan_predicts_a_map_by_its_items(store) -> None:
    """Half as many items that run take half as long."""
    go(store, mapped(range(100)))
    whole, half = (plan(mapped(range(-count, 0)), cache=store)["fit"].seconds for count in (100, 50))
    assert whole is not None
    assert half == pytest.approx(whole / 2)


def test_a_plan_reads_a_stored_iterable_and_what_follows_a_stored_map(store) -> None:
    """A list that a task gave is known when it is stored; so is what is made of the map's values."""

    @cs.task(pure=True)
    def numbers(n):
        return list(range(n))

    @cs.task(pure=True)
    def total(values):
        return sum(values)

    def target(n):
        return total(mapped(numbers(n)))

    go(store, target(10))
    go(store, numbers(12))
    outlook = plan(target(12), cache=store)
    assert (outlook["numbers"].status, outlook["fit"].items, outlook["total"].status) == ("stored", (10, 12), "unknown")
    same = plan(total(mapped(list(range(10)))), cache=store)
    assert (same["fit"].status, same["total"].status) == ("stored", "stored")
    unknown = plan(target(13), cache=store)
    assert (unknown["fit"].status, unknown["fit"].items) == ("unknown", None)


def test_a_plan_takes_nothing_from_an_iterator(store) -> None:
    """What only the run may ask for is left alone, and said to be unknown."""
    source = iter(range(5))
    step = plan(mapped(source), cache=store)["fit"]
    assert (step.status, step.items) == ("run", None)
    assert "known only when it takes them" in step.reason
    assert list(source) == [0, 1, 2, 3, 4]


def test_lineage_goes_through_a_map(store) -> None:
    """A map's row says from which node its elements came, also when its items came from the store."""
    from cascade.tools.lineage import lineage

    @cs.task(pure=True)
    def numbers(n):
        return list(range(n))

    @cs.task(pure=True)
    def total(values):
        return sum(values)

    for n in (3, 4):
        go(store, total(mapped(numbers(n))))
    assert [step.node for step in lineage("total", cache=store).steps()] == ["total", "fit", "numbers"]
    assert "shift = 1" in str(lineage("total", cache=store))


def test_a_map_that_fails_says_which_error(store) -> None:
    """The reason of a failure stays the failure; the next run says what ran and what was stored."""
    with pytest.raises(TypeError, match="NoneType"):
        go(store, mapped([1, None], make_task(body="return x + shift")))
    assert str(why("fit", cache=store)).startswith("failed: ")
    go(store, mapped([1, 2], make_task(body="return x + shift")))
    assert str(why("fit", cache=store)) in {
        "1 of 2 items ran: new elements [1]; 1 from run 1",
        "2 of 2 items ran: new elements [1] · no longer in the store, or asked for anew: [0]",
    }, "item [0] may have been done before the other one failed"
