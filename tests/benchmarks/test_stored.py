"""The rows about memory: right answers, and nothing is computed that another process has stored."""

from __future__ import annotations

from dataclasses import replace

import pytest

import cascade as cs
from benchmarks.engines import cascade_memory, cascade_redis
from benchmarks.workloads import BY_NAME, Workload

ROWS = ("plain", "opted_out", "pure", "first", "again", "changed")


def small(name: str) -> Workload:
    """A workload that takes no time."""
    return replace(BY_NAME[name], size=60, width=10)


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_answers(name: str) -> None:
    """Each row gives what plain calls give."""
    workload = small(name)
    assert cascade_memory.PREPARE[workload.kind](workload)() == workload.answer


@pytest.mark.parametrize("name", ["key_array", "key_frame"])
def test_keys_agree(name: str) -> None:
    """Two keys of one large value agree."""
    workload = replace(BY_NAME[name], size=8000)
    assert cascade_memory.PREPARE[workload.kind](workload)() == workload.answer


@pytest.mark.slow
@pytest.mark.parametrize("name", ["redis_look_up", "redis_first", "redis_again"])
def test_answers_from_redis(name: str) -> None:
    """Each row with a Redis server gives what plain calls give, twice."""
    pytest.importorskip("redis", reason="redis-py is not installed")
    workload = small(name)
    call = cascade_redis.PREPARE[workload.kind](workload)
    assert (call(), call()) == (workload.answer, workload.answer)


def test_why_is_asked_of_a_node_that_ran() -> None:
    """The question is about a node that a change has reached."""
    assert cascade_memory.PREPARE["why"](small("why"))() == "ran"


def test_the_same_graph_again_computes_nothing(tmp_path) -> None:
    """The second run of one store takes its value from the first; a changed leaf makes some of it run."""
    workload = small("again")
    for leaf in (0, 0, 1000):
        cascade_memory.remember(workload, tmp_path / "store", leaf)
    with cascade_memory.open_store(tmp_path / "store") as store:
        changed, again, first = cs.history(store)
    assert (first.ran, again.ran, again.stored) == (61, 0, 1)
    assert 1 < changed.ran < 61
