"""The engines that need no peer give the right answer to every workload; the peers' answers are checked as they run."""

from __future__ import annotations

import importlib
from dataclasses import replace

import pytest

from benchmarks import work
from benchmarks.workloads import BY_NAME, Workload

SMALL = {"chain": 30, "fan_in": 30, "map": 30, "dag": 60, "dag_threads": 60, "async_naps": 5, "naps": 5}
SMALL |= {"growth_1m": 60, "simulate_1k": 60, "plan_10k": 60, "view_10k": 60}
SMALL |= {"visualize_100k": 60, "report_10k": 60, "watch": 200}
OWN = ("cascade_run", "direct", "bare_asyncio", "bare_threads")


def small(name: str) -> Workload:
    """A workload that takes no time."""
    return replace(BY_NAME[name], size=SMALL[name], width=10)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("engine", OWN)
def test_answers(engine: str, name: str) -> None:
    """Where an engine knows the kind of graph, its answer is that of plain calls."""
    prepare = importlib.import_module(f"benchmarks.engines.{engine}").PREPARE
    workload = small(name)
    if workload.kind in prepare:
        assert prepare[workload.kind](workload)() == workload.answer


def test_layered_graph_needs_every_task() -> None:
    """No task of the layered graph is left unread, so that engines that skip such tasks have no advantage."""
    workload = small("dag")
    read = {parent for pair in workload.parents for parent in pair} | set(workload.last_layer)
    assert read == set(range(workload.size))


def test_layered_graph_is_the_same_each_time() -> None:
    """The shape is drawn from a fixed seed."""
    assert small("dag").parents == small("dag").parents


def test_spun_is_what_spin_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to the computing tasks is known without computing them."""
    monkeypatch.setattr(work, "SPINS", 1000)
    assert [work.spin(number) for number in range(8)] == [work.spun(number) for number in range(8)]
