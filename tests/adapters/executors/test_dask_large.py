"""Large values on a Dask cluster: how many bytes move, counted by its workers, and which way they come here."""

from __future__ import annotations

from typing import Any

import pytest

import cascade as cs
from cascade.adapters.executors.dask import DaskExecutor

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore::ResourceWarning:distributed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:distributed"),
]

LONG = 120.0
SIZE = 4_000_000
COUNT = 24

make = cs.task(lambda n: bytes([n]) * SIZE, name="make")
length = cs.task(len, name="length")


def moved(client: Any) -> int:
    """Return how many large values the workers have taken from each other so far."""

    def count(dask_worker: Any = None) -> int:
        keys = [key for move in dask_worker.transfer_incoming_log for key in move["keys"]]
        return sum(str(key).startswith("make") for key in keys)

    return sum(client.run(count).values())


@pytest.mark.parametrize("is_map", [False, True], ids=["nodes", "map"])
def test_short_calls_go_where_their_large_values_are(local: DaskExecutor, is_map: bool) -> None:
    """Each short call of a large value runs where that was made; together travel those whose values are together."""
    cluster: Any = local.join()
    before = moved(cluster.client)
    target = length.map(make.map(range(COUNT))) if is_map else [length(make(n)) for n in range(COUNT)]
    run = cs.start(target, executor=local, log_level=None)
    assert run.result(LONG) == [SIZE] * COUNT
    assert moved(cluster.client) - before <= COUNT // 8


def test_the_scheduler_knows_how_large_values_are(local: DaskExecutor) -> None:
    """What Dask takes a value to weigh, when it places calls or is short of memory, is what it weighs."""

    def weigh(dask_scheduler: Any = None) -> int:
        return max(task.nbytes for key, task in dask_scheduler.tasks.items() if str(key).startswith("weighed"))

    seen = []
    cluster: Any = local.join()

    @cs.task(mode="inline")
    def look(_: int) -> None:
        seen.append(cluster.client.run_on_scheduler(weigh))

    weighed = cs.task(lambda: bytes(SIZE), name="weighed")()
    first = length(weighed)
    cs.run([look(first), length(weighed).after(look(first))], executor=local, log_level=None)
    assert min(seen) >= SIZE


def test_values_come_straight_from_their_workers(local: DaskExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is needed here does not travel by way of the scheduler where workers are on this machine."""
    cluster: Any = local.join()
    ways = []
    plain = cluster.client._gather_remote

    async def gather(direct: bool, local_worker: Any) -> Any:
        ways.append(direct)
        return await plain(direct, local_worker)

    monkeypatch.setattr(cluster.client, "_gather_remote", gather)
    target = [make(n) for n in range(3)]
    found: list[bytes] = cs.run(target, executor=local, log_level=None)
    assert [(value[0], len(value)) for value in found] == [(n, SIZE) for n in range(3)]
    assert set(ways) == {True}
