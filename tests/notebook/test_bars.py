"""Bars: bounded, merged where they lie close, never out of place."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cascade.notebook.bars import Bar, BarStore


def bar(t0: float, t1: float, row: str = "cpu/0", state: str = "done", label: str = "fit[1]") -> Bar:
    return Bar(row, 1, "fit", label, t0, t1, state)


def filled(store: BarStore, bars: list[Bar]) -> None:
    for one in bars:
        store.settle(store.add(one))


def test_the_closest_neighbours_become_one_bar() -> None:
    """A full list merges the two bars of a row that span the least time; the others stay as they are."""
    store = BarStore(limit=3)
    filled(store, [bar(0, 5), bar(6, 7), bar(7, 8), bar(9, 20)])
    told = sorted((one.t0, one.t1, one.label, one.count) for one in store.items)
    assert told == [(0, 5, "fit[1]", 1), (6, 8, "fit ×2", 2), (9, 20, "fit[1]", 1)]
    assert store.lost == 0


def test_bars_of_different_outcome_are_not_merged() -> None:
    """A failure stays visible among a thousand successes."""
    store = BarStore(limit=10)
    filled(store, [bar(i, i + 0.9, state="failed" if i == 500 else "done") for i in range(1000)])
    assert [one.count for one in store.items if one.state == "failed"] == [1]


def test_bars_that_go_on_are_never_merged_or_dropped() -> None:
    """When everything goes on there is no room: the newcomer is counted as left out."""
    store = BarStore(limit=2)
    assert [store.add(bar(i, i + 1)) for i in range(3)] == [0, 1, -1]
    assert store.lost == 1


def test_without_neighbours_the_oldest_gives_way() -> None:
    """Where nothing can be merged, the oldest settled bar is left out, and counted."""
    store = BarStore(limit=2)
    filled(store, [bar(0, 1, "a"), bar(1, 2, "b"), bar(2, 3, "c")])
    assert sorted(one.row for one in store.items) == ["b", "c"]
    assert store.lost == 1


def test_changes_name_every_place_that_a_viewer_must_draw_anew() -> None:
    """A merge changes two places: the kept bar and the one that the newcomer takes over."""
    store = BarStore(limit=2)
    filled(store, [bar(0, 1), bar(1, 2)])
    store.changed.clear()
    store.add(bar(2, 3))
    assert set(store.changed) == {0, 1}


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=120), st.integers(1, 12))
def test_merging_keeps_count_order_and_extent(steps: list[tuple[int, bool]], limit: int) -> None:
    """However bars come, the list stays within its limit, and each row keeps its order and loses no bar unsaid."""
    store = BarStore(limit)
    for at, (row, failed) in enumerate(steps):
        store.settle(store.add(bar(at, at + 0.5, f"r{row}", "failed" if failed else "done")))
    assert len(store.items) <= limit
    assert sum(one.count for one in store.items) <= len(steps)
    if store.lost == 0:
        assert sum(one.count for one in store.items) == len(steps)
    for row in range(3):
        times = sorted((one.t0, one.t1) for one in store.items if one.row == f"r{row}")
        assert all(first[1] <= second[0] for first, second in pairwise(times))


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(1, 9)), max_size=150), st.integers(1, 12))
def test_what_is_absorbed_is_counted_in_its_place(steps: list[tuple[int, int, int]], limit: int) -> None:
    """A bar that goes straight into its neighbour is as good as one that was added and merged: nothing is lost."""
    store, at = BarStore(limit), 0
    for row, kind, length in steps:
        state = "failed" if kind == 2 else "done"
        if state != "done" or not store.absorb(f"r{row}", "fit", "fit", at + length):
            store.settle(store.add(bar(at, at + length, f"r{row}", state, "fit")))
        at += length
    assert len(store.items) <= limit
    assert sum(one.count for one in store.items) == len(steps) or store.lost
    for row in range(3):
        times = sorted((one.t0, one.t1) for one in store.items if one.row == f"r{row}")
        assert all(first[1] <= second[0] for first, second in pairwise(times))


def test_only_the_closest_pair_is_absorbed() -> None:
    """Where another pair lies closer that one is merged, so that what took long keeps a bar of its own."""
    store = BarStore(limit=3)
    filled(store, [bar(0, 1), bar(1, 2), bar(5, 50)])
    assert not store.absorb("cpu/0", "fit", "fit[2]", 60)
    assert store.absorb("cpu/0", "fit", "fit[2]", 51) is False
    filled(store, [bar(50, 51)])
    assert sorted((one.t0, one.t1, one.count) for one in store.items) == [(0, 2, 2), (5, 50, 1), (50, 51, 1)]
    assert store.absorb("cpu/0", "fit", "fit[4]", 52)
    assert max((one.t0, one.t1, one.label) for one in store.items) == (50, 52, "fit ×2")
