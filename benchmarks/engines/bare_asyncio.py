"""An asyncio Task per node, which awaits the Tasks it reads: what one writes by hand without an engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from benchmarks.work import add, anap, inc, total
from benchmarks.workloads import Workload


async def step(before: asyncio.Task[int]) -> int:
    """A node with one input."""
    return inc(await before)


async def leaf(value: int) -> int:
    """A node without inputs."""
    return inc(value)


async def join(left: asyncio.Task[int], right: asyncio.Task[int]) -> int:
    """A node with two inputs."""
    return add(await left, await right)


def chain(workload: Workload) -> Callable[[], object]:
    """Each Task awaits the one before."""

    async def main() -> int:
        task = asyncio.create_task(leaf(0))
        for _ in range(workload.size - 1):
            task = asyncio.create_task(step(task))
        return await task

    return lambda: asyncio.run(main())


def fan_in(workload: Workload) -> Callable[[], object]:
    """`gather`, then one call."""

    async def main() -> int:
        return total(await asyncio.gather(*(asyncio.create_task(leaf(number)) for number in range(workload.size))))

    return lambda: asyncio.run(main())


def map_(workload: Workload) -> Callable[[], object]:
    """`gather`."""

    async def main() -> list[int]:
        return list(await asyncio.gather(*(asyncio.create_task(leaf(number)) for number in range(workload.size))))

    return lambda: asyncio.run(main())


def dag(workload: Workload) -> Callable[[], object]:
    """Each Task awaits its two."""
    parents = workload.parents

    async def main() -> int:
        tasks = [asyncio.create_task(leaf(number)) for number in range(workload.width)]
        for left, right in parents:
            tasks.append(asyncio.create_task(join(tasks[left], tasks[right])))
        return total([await tasks[number] for number in workload.last_layer])

    return lambda: asyncio.run(main())


def async_naps(workload: Workload) -> Callable[[], object]:
    """All sleeps at once."""

    async def main() -> list[int]:
        return list(await asyncio.gather(*(asyncio.create_task(anap(number)) for number in range(workload.size))))

    return lambda: asyncio.run(main())


PREPARE = {"chain": chain, "fan_in": fan_in, "map": map_, "dag": dag, "async_naps": async_naps}
